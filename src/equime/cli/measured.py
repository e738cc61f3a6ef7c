"""What `equime evaluate` and `equime attributes` say in common of what they measured."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from equime.cli.output import warn

if TYPE_CHECKING:
    from equime.annotation.measurement import Measurement

MISSING: Final = 3
SHOWN_PROBLEMS: Final = 20


def exit_code(result: Measurement) -> int:
    """3 where something that was asked for by name could not run (it is said why), 1 with problems, else 0."""
    for name in result.missing:
        reason = next(item for item in result.not_run if item.annotator == name)
        warn(f"error: {name} was asked for and not run: {reason.reason}; {reason.next_step}")
    return MISSING if result.missing else 1 if result.problems else 0


def as_json(result: Measurement) -> dict[str, Any]:
    """What ``--json`` prints of any measurement."""
    return {
        "path": result.path,
        "n_clips": len(result.clips),
        "problems": [asdict(problem) for problem in result.problems],
        "not_run": [asdict(item) for item in result.not_run],
        "missing": result.missing,
    }


def print_problems(result: Measurement) -> None:
    """Problems, the first of them in full, and what was not run."""
    for problem in result.problems[:SHOWN_PROBLEMS]:
        print(f"problem: {problem.code}: {problem.message}")
    if len(result.problems) > SHOWN_PROBLEMS:
        print(f"and {len(result.problems) - SHOWN_PROBLEMS} more problems")
    if result.problems:
        print(
            f"{len(result.problems)} problems in {len({problem.file for problem in result.problems})} clips"
        )
    for item in result.not_run:
        print(f"not run: {item.annotator}: {item.reason}; {item.next_step}")
