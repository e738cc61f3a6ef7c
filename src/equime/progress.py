"""What a run tells whoever watches it."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Receives the stages of a run; the command line shows them as bars."""

    def start(self, stage: str, n_total: int, n_done: int) -> None:
        """A stage begins ("faces", "plan", "clips", "views", "measure"); ``n_done`` of its parts were done before."""
        ...

    def advance(self, n: int = 1) -> None:
        """So many further parts are done."""
        ...

    def note(self, text: str) -> None:
        """Something a person should know, one line."""
        ...


class Silent:
    """Shows nothing."""

    def start(self, stage: str, n_total: int, n_done: int) -> None:
        """Nothing."""

    def advance(self, n: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""
