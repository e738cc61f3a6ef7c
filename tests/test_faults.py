"""What happens when a run is killed, the disk is full, or two want the same OUT. Everything here is real."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from equime.dataset import Dataset, read_status
from equime.video import probe
from tests import runs

ON_LINUX_AS_ROOT = os.name == "posix" and hasattr(os, "geteuid") and os.geteuid() == 0


def wait_for(condition: Callable[[], object], timeout_s: float = 30.0) -> None:
    """Until the condition holds."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def no_partial_file(out: Path) -> bool:
    """Every file under a final name is whole."""
    return all(probe(path).n_frames == 24 for path in out.glob("*/*.mp4"))


def test_kills_at_any_moment_change_nothing(out: Path, faces: Path, reference: Path) -> None:
    """SIGKILL to the parent, again and again; then the same bytes as an uninterrupted run."""
    rng = random.Random(3)
    log = out.parent / "log"
    n_kills = 0
    for n_more in (1, 2, 1, 3):
        before = count_lines(out / "clips.jsonl")
        process = runs.start("generate", faces, out, *runs.options(), "--workers", "2",
                             EQUIME_TEST_SLEEP_S="0.05", EQUIME_TEST_LOG=str(log))  # fmt: skip
        wait_for(
            lambda b=before, n=n_more, p=process: (
                count_lines(out / "clips.jsonl") >= b + n or p.poll() is not None
            )
        )
        time.sleep(rng.random() * 0.08)
        process.kill()
        process.communicate()
        n_kills += process.returncode == -signal.SIGKILL
        assert no_partial_file(out)
    assert n_kills >= 3
    wait_for(lambda: not workers_of(log))
    n_recorded = count_lines(out / "clips.jsonl")
    assert 0 < n_recorded < runs.N_CLIPS
    n_complete = len(list(out.glob("*/*.mp4")))
    log.unlink()
    code, _, err = runs.generate(faces, out, EQUIME_TEST_LOG=str(log))
    assert code == 0, err
    assert runs.digests(out) == runs.digests(reference)
    assert runs.problems(out) == []
    rendered = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(rendered) == runs.N_CLIPS - n_complete, "complete clips were rendered again"


def workers_of(log: Path) -> list[int]:
    """Processes that rendered and still live."""
    pids = {int(line.split()[1]) for line in log.read_text().splitlines()}
    return [pid for pid in pids if Path(f"/proc/{pid}").exists() and not is_zombie(pid)]


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_a_kill_while_faces_are_ingested(faces: Path, reference: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = runs.start("generate", faces, out, *runs.options(), "--workers", "1")
    wait_for(lambda: count_lines(out / "faces.jsonl") >= 1)
    process.kill()
    process.communicate()
    assert not (out / "specs.jsonl").exists()
    assert runs.status(out) == {"n_specs": 0, "n_clips": 0, "n_rejected": 0, "n_failed": 0}
    code, _, err = runs.generate(faces, out)
    assert code == 0, err
    assert runs.digests(out) == runs.digests(reference)


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks into /proc for processes that are left")
def test_workers_end_when_the_parent_is_killed(out: Path, faces: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = runs.start("generate", faces, out, *runs.options(), "--workers", "2",
                         EQUIME_TEST_SLEEP_S="30", EQUIME_TEST_LOG=str(log))  # fmt: skip
    wait_for(lambda: len(children_of(process.pid)) >= 2)
    children = children_of(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: all(is_zombie(pid) for pid in children), timeout_s=10)
    assert not [pid for pid in children if not is_zombie(pid)]


def children_of(pid: int) -> list[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(text) for text in found.stdout.split()]


def test_a_clip_that_was_complete_but_not_recorded_is_adopted(
    made: Path, faces: Path, reference: Path
) -> None:
    lines = (made / "clips.jsonl").read_bytes().splitlines(keepends=True)
    (made / "clips.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:40])
    log = made.parent / "log"
    code, out, err = runs.generate(faces, made, *runs.options(), "--json", EQUIME_TEST_LOG=str(log))
    assert code == 0, err
    report = json.loads(out)
    assert (report["n_adopted"], report["n_rendered"]) == (runs.N_CLIPS - 5, 0)
    assert not log.exists()
    assert runs.digests(made) == runs.digests(reference)


def test_a_damaged_file_that_was_not_recorded_is_made_again(made: Path, faces: Path, reference: Path) -> None:
    lines = (made / "clips.jsonl").read_bytes().splitlines(keepends=True)
    (made / "clips.jsonl").write_bytes(b"".join(lines[:-1]))
    video = made / json.loads(lines[-1])["file"]
    data = bytearray(video.read_bytes())
    data[len(data) // 2] ^= 0xFF
    video.write_bytes(data)
    code, out, err = runs.generate(faces, made, *runs.options(), "--json")
    assert code == 0, err
    assert json.loads(out)["n_rendered"] == 1
    assert runs.digests(made) == runs.digests(reference)


def test_leftovers_are_removed(made: Path, faces: Path, reference: Path) -> None:
    (made / ".specs.jsonl.partial-999999").write_text("half")
    (made / "fear" / "metadata" / ".x.json.partial-999999").write_text("half")
    work = made / ".equime" / "tmp" / "1-of-1"
    work.mkdir(parents=True)
    (work / "abc.mp4").write_text("half")
    assert Counter(code for _, code in runs.problems(made)) == {"leftover": 3}
    assert runs.generate(faces, made)[0] == 0
    assert runs.problems(made) == []
    assert runs.digests(made) == runs.digests(reference)


def test_a_worker_that_dies_twice_costs_one_clip_each(planned: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, text, err = runs.generate(
        faces, out, *runs.options(renderer="tests.renderers:DyingRenderer"), "--json"
    )
    assert code == 1, err
    report = json.loads(text)
    assert (report["n_clips"], report["n_failed"]) == (runs.N_CLIPS - 3, 3)
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert {failure["error"] for failure in failures} == {"WorkerDied"}
    assert "same command" in err


def test_a_worker_that_dies_once_costs_nothing(faces: Path, tmp_path: Path) -> None:
    out, once = tmp_path / "out", tmp_path / "once"
    once.mkdir()
    renderer = runs.options(renderer="tests.renderers:DyingRenderer")
    code, _, err = runs.generate(faces, out, *renderer, EQUIME_TEST_ONCE=str(once))
    assert code == 0, err
    assert len(list(once.iterdir())) == 3
    assert runs.problems(out) == []


def test_a_failing_clip_is_recorded_and_made_later(faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    renderer = runs.options(renderer="tests.renderers:FailingRenderer")
    code, _, err = runs.generate(faces, out, *renderer)
    assert code == 1
    assert "a wrinkle too far" in err
    assert "Traceback" not in err
    assert runs.status(out) == {"n_specs": 12, "n_clips": 9, "n_rejected": 0, "n_failed": 3}
    code, _, err = runs.generate(faces, out, *renderer, EQUIME_TEST_HEALED="1")
    assert code == 0, err
    assert runs.status(out) == {"n_specs": 12, "n_clips": 12, "n_rejected": 0, "n_failed": 0}
    assert runs.problems(out) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if not ON_LINUX_AS_ROOT:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs (a container without CAP_SYS_ADMIN)")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_stops_the_run_and_loses_nothing(faces: Path, small_disk: Path, tmp_path: Path) -> None:
    """A real full file system; with room again the same command ends with the bytes of a run that had room."""
    noisy = [*runs.options(renderer="tests.renderers:NoisyRenderer"), "--crf", "0"]
    out = small_disk / "out"
    code, _, err = runs.generate(faces, out, *noisy)
    assert code == 1
    assert os.strerror(errno.ENOSPC) in err
    assert str(small_disk) in err
    assert "same command" in err
    assert "Traceback" not in err
    n_kept = len((out / "clips.jsonl").read_text().splitlines())
    assert 0 < n_kept < runs.N_CLIPS
    assert no_partial_file(out)
    subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
    code, text, err = runs.generate(faces, out, *noisy, "--json")
    assert code == 0, err
    assert json.loads(text)["n_rendered"] <= runs.N_CLIPS - n_kept
    assert runs.problems(out) == []
    roomy = tmp_path / "roomy"
    assert runs.generate(faces, roomy, *noisy)[0] == 0
    assert runs.digests(out) == runs.digests(roomy)


def test_no_write_permission(planned: Path, faces: Path, tmp_path: Path) -> None:
    """Root may write anywhere, so the folder is a read-only mount; others get a folder without the right."""
    place = tmp_path / "locked"
    place.mkdir()
    if ON_LINUX_AS_ROOT:
        mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(place)]
        if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
            pytest.skip("this machine does not let root mount a tmpfs, and root may write anywhere else")
    else:
        place.chmod(0o500)
    try:
        code, _, err = runs.generate(faces, place / "out")
    finally:
        if ON_LINUX_AS_ROOT:
            subprocess.run(["umount", str(place)], check=True)
    assert code == 1
    assert str(place) in err
    assert "make it writable" in err
    assert len(err.strip().splitlines()) == 1


def test_a_second_process_is_refused_at_once(out: Path, faces: Path, reference: Path) -> None:
    first = runs.start("generate", faces, out, *runs.options(), "--workers", "2", EQUIME_TEST_SLEEP_S="1")
    wait_for(lambda: count_lines(out / "clips.jsonl") >= 1)
    code, _, err = runs.generate(faces, out)
    code_of_shard, _, err_of_shard = runs.generate(faces, out, *runs.options(), "--shard", "1/2")
    running = read_status(out).running
    assert first.poll() is None, "the first run ended before the second was tried"
    assert (code, code_of_shard) == (1, 1)
    assert f"process {first.pid} on" in err
    assert "already working" in err_of_shard
    assert [holder.pid for holder in running] == [first.pid]
    first.communicate(timeout=60)
    assert first.returncode == 0
    assert runs.digests(out) == runs.digests(reference)
    assert not read_status(out).running


def test_shards_side_by_side_make_the_same_data_set(faces: Path, reference: Path, tmp_path: Path) -> None:
    """Three processes on one new OUT: one plans, the others wait, the last one to end writes the views."""
    out = tmp_path / "out"
    processes = [
        runs.start("generate", faces, out, *runs.options(), "--workers", "1", "--shard", f"{i}/3")
        for i in (1, 2, 3)
    ]
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    assert runs.digests(out) == runs.digests(reference)
    assert runs.problems(out) == []


def test_a_killed_shard_is_finished_by_an_undivided_run(out: Path, faces: Path, reference: Path) -> None:
    process = runs.start("generate", faces, out, *runs.options(), "--workers", "1", "--shard", "2/3",
                         EQUIME_TEST_SLEEP_S="0.1")  # fmt: skip
    record = out / "clips.2-of-3.jsonl"
    wait_for(lambda: count_lines(record) >= 1)
    process.kill()
    process.communicate()
    assert runs.status(out)["n_clips"] == count_lines(record)
    assert runs.generate(faces, out)[0] == 0
    assert not record.exists()
    assert runs.digests(out) == runs.digests(reference)


def test_ctrl_c_says_how_to_go_on(out: Path, faces: Path, reference: Path) -> None:
    process = runs.start("generate", faces, out, *runs.options(), "--workers", "2", EQUIME_TEST_SLEEP_S="0.2")
    wait_for(lambda: count_lines(out / "clips.jsonl") >= 1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "continue with the same command" in err
    assert "Traceback" not in err
    assert runs.generate(faces, out)[0] == 0
    assert runs.digests(out) == runs.digests(reference)


def test_a_data_set_of_a_newer_format_is_left_alone(made: Path, faces: Path) -> None:
    info = json.loads((made / "dataset.json").read_text())
    (made / "dataset.json").write_text(json.dumps({**info, "format_version": 99}))
    before = runs.digests(made)
    for command in (["generate", faces, made, *runs.options()], ["validate", made], ["status", made]):
        code, _, err = runs.call(*command)
        assert code == 2
        assert "format version 99 is newer than 1" in err
        assert "pip install --upgrade" in err
    assert runs.digests(made) == before


def test_torn_lines_are_not_data(made: Path) -> None:
    with (made / "clips.jsonl").open("ab") as file:
        file.write(b'{"clip_id":"half')
    assert len(Dataset.open(made)) == runs.N_CLIPS
    assert ("clips.jsonl:13", "torn_line") in runs.problems(made)


def test_source_changed_after_planning(out: Path, faces: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(faces.parent, tmp_path / "faces")
    image = next(iter(sorted(folder.glob("*.png"))))
    image.write_bytes(image.read_bytes() + b"x")
    code, _, err = runs.generate(folder / faces.name, out)
    assert code == 1
    assert "changed since it was ingested" in err
    assert msgspec.json.decode((out / "failures.jsonl").read_bytes().splitlines()[0])["error"] == "WorkError"


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_at_the_very_end_names_the_file(
    faces: Path, made: Path, small_disk: Path, reference: Path
) -> None:
    """All clips are there, the tables do not fit: again a clear stop, and nothing lost."""
    out = shutil.copytree(made, small_disk / "out")
    (out / "tables" / "au_curves.parquet").unlink()
    fill(small_disk / "ballast")
    code, _, err = runs.generate(faces, out)
    assert code == 1
    assert err.splitlines()[-1].startswith(f"error: {out}")
    assert "No space left on device; free some space" in err
    (small_disk / "ballast").unlink()
    assert runs.generate(faces, out)[0] == 0
    assert runs.digests(out) == runs.digests(reference)
