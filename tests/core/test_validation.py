"""Every kind of damage has its code, and a sound data set has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from equime.seeding import canonical_json, content_id
from equime.types import ClipSpec
from equime.validation import validate
from tests import runs


def test_a_sound_data_set_has_no_problem(reference: Path) -> None:
    report = validate(reference)
    assert (report.n_clips, report.problems) == (runs.N_CLIPS, ())


def edit(name: str, change: Callable[[dict[str, Any]], None], line: int = 0) -> Callable[[Path], None]:
    """Damage that edits one record."""

    def damage(root: Path) -> None:
        lines = (root / name).read_bytes().splitlines(keepends=True)
        record = json.loads(lines[line])
        change(record)
        lines[line] = canonical_json(record) + b"\n"
        (root / name).write_bytes(b"".join(lines))

    return damage


def clip_of(root: Path, line: int = 0) -> dict[str, Any]:
    clip: dict[str, Any] = json.loads((root / "clips.jsonl").read_bytes().splitlines()[line])
    return clip


def flip_byte(root: Path) -> None:
    path = root / clip_of(root)["file"]
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)


def swap_videos(root: Path) -> None:
    a, b = (root / clip_of(root, line)["file"] for line in (0, 1))
    data = a.read_bytes()
    a.write_bytes(b.read_bytes())
    b.write_bytes(data)


def resign_spec(record: dict[str, Any]) -> None:
    """Another number of frames under a valid id: only the file can tell."""
    record["duration_ms"] = 2000.0
    spec = msgspec.json.decode(canonical_json({**record, "spec_id": ""}), type=ClipSpec)
    record["spec_id"] = content_id(spec)


def append(name: str, text: bytes) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        with (root / name).open("ab") as file:
            file.write(text)

    return damage


def repeat_line(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        append(name, (root / name).read_bytes().splitlines(keepends=True)[0])(root)

    return damage


def drop_line(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / name).write_bytes(b"".join((root / name).read_bytes().splitlines(keepends=True)[1:]))

    return damage


def remove(find: Callable[[Path], str]) -> Callable[[Path], None]:
    return lambda root: (root / find(root)).unlink()


def metadata_of(root: Path) -> str:
    path = Path(clip_of(root)["file"])
    return f"{path.parent}/metadata/{path.stem}_metadata.json"


DAMAGES: dict[str, tuple[Callable[[Path], None], set[str]]] = {
    "video deleted": (remove(lambda r: clip_of(r)["file"]), {"missing_file"}),
    "video cut": (
        lambda r: (r / clip_of(r)["file"]).write_bytes(b"\0" * 9),
        {"wrong_size", "unreadable_video"},
    ),
    "one bit of a video": (flip_byte, {"wrong_sha256"}),
    "two videos swapped": (swap_videos, {"wrong_sha256"}),
    "video without record": (drop_line("clips.jsonl"), {"orphan_video", "stale_view"}),
    "record twice": (repeat_line("clips.jsonl"), {"duplicate_clip_id"}),
    "spec twice": (repeat_line("specs.jsonl"), {"duplicate_spec_id", "stale_view"}),
    "face twice": (repeat_line("faces.jsonl"), {"duplicate_face_id"}),
    "no JSON": (append("specs.jsonl", b"oops\n"), {"broken_record"}),
    "torn tail": (append("specs.jsonl", b'{"spec_id"'), {"torn_line"}),
    "spec lost": (drop_line("specs.jsonl"), {"unknown_spec", "stale_view"}),
    "spec edited": (
        edit("specs.jsonl", lambda r: r.update(emotion="anger")),
        {"wrong_spec_id", "wrong_metadata", "caption_contradicts", "stale_view", "wrong_captions"},
    ),
    "spec of other length": (edit("specs.jsonl", resign_spec), {"unknown_spec", "stale_view"}),
    "dangling twin": (
        edit("specs.jsonl", lambda r: r.update(twin_of="0" * 16)),
        {"unknown_twin", "wrong_spec_id", "wrong_metadata"},
    ),
    "clip id edited": (
        edit("clips.jsonl", lambda r: r.update(clip_id="0" * 16)),
        {"wrong_clip_id", "wrong_metadata", "stale_view"},
    ),
    "frames misrecorded": (edit("clips.jsonl", lambda r: r.update(n_frames=25)), {"wrong_n_frames"}),
    "fps misrecorded": (edit("clips.jsonl", lambda r: r.update(fps=25.0)), {"wrong_fps"}),
    "width misrecorded": (edit("clips.jsonl", lambda r: r.update(width=66)), {"wrong_dimensions"}),
    "codec misrecorded": (edit("clips.jsonl", lambda r: r.update(codec="vp9")), {"wrong_codec"}),
    "caption edited": (
        edit("clips.jsonl", lambda r: r["captions"].update(plain="The person blinks three times.")),
        {"wrong_captions", "wrong_metadata", "stale_view"},
    ),
    "timing edited": (
        edit("clips.jsonl", lambda r: r["timing"].update(apex_frame=1)),
        {"wrong_timing", "wrong_metadata", "stale_view"},
    ),
    "metadata lost": (remove(metadata_of), {"missing_metadata"}),
    "metadata edited": (lambda r: append(metadata_of(r), b" ")(r), {"wrong_metadata"}),
    "landmarks lost": (
        remove(lambda r: json.loads((r / "faces.jsonl").read_bytes().splitlines()[0])["landmarks"]),
        {"missing_landmarks"},
    ),
    "face lost": (drop_line("faces.jsonl"), {"unknown_face", "stale_view"}),
    "VideoFolder lost": (remove(lambda _: "metadata.jsonl"), {"missing_view"}),
    "curves lost": (remove(lambda _: "tables/au_curves.parquet"), {"missing_view"}),
    "curves cut": (lambda r: (r / "tables/au_curves.parquet").write_bytes(b"PAR1"), {"broken_view"}),
    "strange video": (lambda r: (r / "fear" / "me.mp4").write_bytes(b""), {"orphan_video"}),
    "leftover": (lambda r: (r / "tables" / ".x.partial-1").write_bytes(b""), {"leftover"}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found_and_named(name: str, made: Path) -> None:
    damage, expected = DAMAGES[name]
    damage(made)
    report = validate(made)
    codes = {problem.code for problem in report.problems}
    assert expected <= codes
    assert list(report.problems) == sorted(report.problems, key=lambda p: (p.path, p.code, p.message))
    for problem in report.problems:
        assert (made / problem.path.split(":")[0]).exists() or problem.code.startswith(("missing", "wrong"))


def test_quick_does_not_read_the_videos(made: Path) -> None:
    flip_byte(made)
    assert not validate(made, quick=True).problems
    assert [problem.code for problem in validate(made).problems] == ["wrong_sha256"]


def test_the_same_command_repairs_what_can_be_repaired(made: Path, faces: Path, reference: Path) -> None:
    for name in ("metadata lost", "VideoFolder lost", "curves lost", "leftover", "video without record"):
        DAMAGES[name][0](made)
    assert runs.problems(made)
    assert runs.generate(faces, made)[0] == 0
    assert runs.problems(made) == []
    assert runs.digests(made) == runs.digests(reference)
