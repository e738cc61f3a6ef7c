"""Which annotators run: what was asked for, and what of it is not possible here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from equime import registry, weights
from equime.errors import EquimeError, InputError, MissingError
from equime.evaluation_framework.annotators import Annotator
from equime.evaluation_framework.evaluation import NotRun
from equime.torch_env import INSTALL, installed

ON_REQUEST: Final = ("full_reference", "clip_iqa", "lpips", "deep_motion")
"""Annotators that take from seconds to minutes a clip on a CPU; they run where asked for by name."""

EQUIME: Final = ("video_file", "smoothness", "total_variation", "brisque", "clip_iqa")
"""What EquiME's published table holds."""

GROUPS: Final = {"default": (), "all": (), "equime": EQUIME}
"""Names for several annotators at once."""


@dataclass(frozen=True)
class Choice:
    """What will run and what will not.

    Attributes:
        annotators: those that run, in the order of the registry.
        not_run: those that cannot, with the next step; those that nobody asked for.
        missing: annotators that were asked for by name and cannot run.
    """

    annotators: tuple[Annotator, ...]
    not_run: tuple[NotRun, ...]
    missing: tuple[str, ...]


def choose(metrics: Sequence[str] | None) -> Choice:
    """Annotators for names of annotators, of their metrics, or of `GROUPS`; None is the default set.

    Raises:
        InputError: a name that nothing has; the message lists what there is.
    """
    known = {name: registry.lookup("annotator", name)() for name in registry.ANNOTATORS}
    known |= {name: registry.lookup("annotator", name)() for name in metrics or () if ":" in name}
    named = {name for text in metrics or () for name in _named(text, known)}
    wanted = _wanted(metrics, named, known)
    possible, not_run = [], []
    for name, annotator in known.items():
        problem = requirement(annotator)
        if problem is not None:
            not_run.append(_not_run(annotator, *problem))
        elif name not in wanted:
            text = "slow, and not asked for" if name in ON_REQUEST else "not asked for"
            not_run.append(_not_run(annotator, text, f"equime evaluate PATH --metrics default,{name}"))
        else:
            possible.append(annotator)
    missing = tuple(sorted(known[name].name for name in named if requirement(known[name]) is not None))
    return Choice(tuple(possible), tuple(not_run), missing)


def _named(text: str, known: dict[str, Annotator]) -> tuple[str, ...]:
    """Annotators that one word asks for by name."""
    if text in known:
        return (text,)
    if text in GROUPS:
        return GROUPS[text]
    for name, annotator in known.items():
        if text in {metric.name for metric in annotator.metrics}:
            return (name,)
    groups, names = ", ".join(GROUPS), ", ".join(known)
    raise InputError(
        f"metric {text!r} is not known; use {groups}, one of {names}, or a column of theirs "
        "(`equime metrics` lists all)"
    )


def _wanted(metrics: Sequence[str] | None, named: set[str], known: dict[str, Annotator]) -> set[str]:
    wanted = set(named)
    if metrics is None or "default" in metrics:
        wanted |= set(known) - set(ON_REQUEST)
    if metrics is not None and "all" in metrics:
        wanted |= set(known)
    return wanted


def requirement(annotator: Annotator) -> tuple[str, str] | None:
    """(what an annotator lacks, next step); None where it can run."""
    absent = [name for name in annotator.packages if not installed(name)]
    if absent:
        return f"{', '.join(absent)} not installed", INSTALL
    for name in annotator.weights:
        try:
            weights.require(name)
        except MissingError:
            return f"weights {name} are not there", f"equime weights fetch {name}"
        except EquimeError as error:
            return str(error), f"equime weights verify {name}"
    return None


def _not_run(annotator: Annotator, reason: str, next_step: str) -> NotRun:
    columns = tuple(metric.name for metric in annotator.metrics)
    return NotRun(annotator=annotator.name, metrics=columns, reason=reason, next_step=next_step)
