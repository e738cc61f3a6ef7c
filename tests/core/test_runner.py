from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from equime.errors import InputError, WorkError
from equime.runner import MAX_ATTEMPTS, THREAD_LIMITS, Task, n_workers, run
from tests import runs

HERE = "tests.core.test_runner"


def make_square(offset: int) -> Callable[[int], int]:
    return lambda n: n * n + offset


def make_pid(_: Any) -> Callable[[Any], tuple[int, Any]]:
    def handler(payload: Any) -> tuple[int, Any]:
        time.sleep(0.01)
        return os.getpid(), payload

    return handler


def make_fragile(mark: str) -> Callable[[str], str]:
    """Dies on "die", dies once on "once", raises on "raise", "full" finds the disk full."""

    def handler(word: str) -> str:
        if word == "die" or (word == "once" and not Path(mark).exists()):
            Path(mark).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if word == "raise":
            raise ValueError("two\nlines")
        if word == "full":
            raise OSError(errno.ENOSPC, "full", "/somewhere")
        return word

    return handler


def make_nothing(_: Any) -> Callable[[Any], Any]:
    raise RuntimeError("cannot start")


def make_suicide(_: Any) -> Callable[[Any], Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def make_environment(_: Any) -> Callable[[str], str | None]:
    """The environment that the process was started with, before any library was imported."""
    pairs = Path("/proc/self/environ").read_text().split("\0")
    return dict(pair.partition("=")[::2] for pair in pairs).get


def tasks(*payloads: Any) -> list[Task]:
    return [Task(key=str(payload), payload=payload) for payload in payloads]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_every_task_has_one_outcome(workers: int) -> None:
    outcomes = list(run(f"{HERE}:make_square", 1, tasks(*range(20)), workers=workers))
    assert sorted(outcome.value for outcome in outcomes) == [n * n + 1 for n in range(20)]
    assert all(outcome.value == outcome.task.payload**2 + 1 for outcome in outcomes)


def test_no_more_tasks_are_taken_than_the_window() -> None:
    taken = 0

    def many() -> Iterator[Task]:
        nonlocal taken
        for task in tasks(*range(200)):
            taken += 1
            yield task

    ahead = [taken - i for i, _ in enumerate(run(f"{HERE}:make_square", 0, many(), workers=2, window=4))]
    assert taken == 200
    assert max(ahead) <= 4 + 2 + 2  # waiting, at work, and answers of both workers read at once


def test_a_key_stays_with_its_worker() -> None:
    """A worker takes up another's key only when its own is done, so of four pairs at most three occur."""
    work = [Task(key=key, payload=key) for key in "abababababab"]
    pairs = {o.value for o in run(f"{HERE}:make_pid", None, work, workers=2)}
    assert len(pairs) <= 3
    assert os.getpid() not in {pid for pid, _ in pairs}


def test_exceptions_are_data(tmp_path: Path) -> None:
    found = list(run(f"{HERE}:make_fragile", str(tmp_path / "m"), tasks("raise", "full", "x"), workers=1))
    errors = {o.task.payload: o.error for o in found}
    assert errors["x"] is None
    assert errors["raise"] is not None
    assert (errors["raise"].error, errors["raise"].message) == ("ValueError", "two lines")
    assert not errors["raise"].fatal
    assert errors["full"] is not None
    assert errors["full"].fatal
    assert errors["full"].message.startswith("/somewhere: ")


def test_a_task_that_kills_its_worker_is_one_error_and_the_rest_goes_on(tmp_path: Path) -> None:
    words = ["a", "die", "b", "c", "d", "e"]
    found = {
        o.task.payload: o for o in run(f"{HERE}:make_fragile", str(tmp_path / "m"), tasks(*words), workers=2)
    }
    assert set(found) == set(words)
    died = found.pop("die").error
    assert died is not None
    assert died.error == "WorkerDied"
    assert f"{MAX_ATTEMPTS} times" in died.message
    assert all(outcome.value == word for word, outcome in found.items())


def test_a_worker_killed_once_costs_nothing(tmp_path: Path) -> None:
    found = list(run(f"{HERE}:make_fragile", str(tmp_path / "m"), tasks("a", "once", "b"), workers=1))
    assert sorted(o.value for o in found) == ["a", "b", "once"]


def test_a_factory_that_raises_is_an_error_of_the_task() -> None:
    (outcome,) = run(f"{HERE}:make_nothing", None, tasks(1), workers=1)
    assert outcome.error is not None
    assert outcome.error.message == "cannot start"


def test_workers_that_die_at_once_end_the_run() -> None:
    with pytest.raises(WorkError, match="--workers 0"):
        list(run(f"{HERE}:make_suicide", None, tasks(*range(100)), workers=1))


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads /proc/self/environ")
def test_workers_run_one_thread_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREAD_LIMITS[0], "7")
    found = list(run(f"{HERE}:make_environment", None, tasks(*THREAD_LIMITS), workers=1))
    assert {o.value for o in found} == {"1"}
    assert os.environ[THREAD_LIMITS[0]] == "7"
    assert THREAD_LIMITS[-1] not in os.environ


def test_a_script_without_main_guard_is_not_run_again(tmp_path: Path) -> None:
    """What a researcher writes: no ``if __name__ == "__main__"``."""
    script = tmp_path / "script.py"
    script.write_text(
        "from equime.runner import run, Task\n"
        "print('here')\n"
        f"print([o.value for o in run('{HERE}:make_square', 0, [Task('a', 3)], workers=1)])\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], env=runs.environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout == "here\n[9]\n", done.stderr


def test_stopping_early_leaves_no_process() -> None:
    outcomes = run(f"{HERE}:make_pid", None, tasks(*range(50)), workers=2)
    pids = {next(outcomes).value[0] for _ in range(4)}
    outcomes.close()  # type: ignore[attr-defined]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EQUIME_WORKERS", "3")
    assert n_workers(None) == 3
    assert n_workers(1) == 1
    monkeypatch.setenv("EQUIME_WORKERS", "many")
    with pytest.raises(InputError, match="EQUIME_WORKERS=many: no whole number"):
        n_workers(None)
    monkeypatch.setenv("EQUIME_WORKERS", "-1")
    with pytest.raises(InputError, match="below 0"):
        n_workers(None)
    monkeypatch.delenv("EQUIME_WORKERS")
    assert n_workers(None) >= 1
