"""What commands print: JSON for scripts, a few lines for people, bars on standard error."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

LABELS: Final = {
    "faces": "looking at faces",
    "plan": "planning",
    "clips": "making clips",
    "export": "exporting clips",
    "views": "tables",
    "measure": "measuring clips",
    "audit": "auditing",
    "features": "making features",
    "train": "training",
}
PLAIN_EVERY_S: Final = 10.0


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    print(msgspec.json.encode(value).decode())


class ProgressView:
    """A bar with rate and time left per stage; plain lines where standard error is no terminal."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars: Bars | None = None
        self._task: TaskID | None = None
        self._stage, self._n_total, self._n_done, self._n_before = "", 0, 0, 0
        self._started = self._printed = 0.0

    def start(self, stage: str, n_total: int, n_done: int) -> None:
        """A stage begins."""
        self._end_stage()
        self._stage, self._n_total, self._n_done, self._n_before = stage, n_total, n_done, n_done
        self._started = self._printed = time.monotonic()
        if self._console.is_terminal:
            self._bars = _bars(self._console)
            self._bars.start()
            self._task = self._bars.add_task(LABELS[stage], total=n_total, completed=n_done, rate="")

    def advance(self, n: int = 1) -> None:
        """So many further parts are done."""
        self._n_done += n
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._n_done, rate=f"{self._rate():.2f}/s")
        elif time.monotonic() - self._printed >= PLAIN_EVERY_S:
            self._printed = time.monotonic()
            self._line()

    def note(self, text: str) -> None:
        """A line between the bars."""
        self._console.print(text, markup=False, soft_wrap=True)

    def _rate(self) -> float:
        return (self._n_done - self._n_before) / max(1e-9, time.monotonic() - self._started)

    def _line(self) -> None:
        rate = self._rate()
        n_left = self._n_total - self._n_done
        left = f", {clock(n_left / rate)} left" if rate and n_left else ""
        self.note(f"{LABELS[self._stage]}: {self._n_done} of {self._n_total}, {rate:.2f}/s{left}")

    def _end_stage(self) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        elif self._stage and self._n_total:
            self._line()
        self._stage = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_stage()


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("{task.description:>16}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )


def clock(seconds: float) -> str:
    """A duration as people say it: "45 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """A size as people say it."""
    for unit in ("kB", "MB", "GB"):
        n_bytes /= 1000
        if n_bytes < 1000:
            return f"{n_bytes:.1f} {unit}"
    return f"{n_bytes / 1000:.2f} TB"


def warn(text: str) -> None:
    """A line on standard error."""
    print(text, file=sys.stderr)
