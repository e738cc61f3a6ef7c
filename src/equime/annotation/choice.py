"""Which annotators run: what was asked for, and what of it is not possible here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from equime import registry, weights
from equime.annotation.annotators import Annotator
from equime.annotation.measurement import NotRun
from equime.annotation.suites import EVALUATION, Suite
from equime.errors import EquimeError, InputError, MissingError
from equime.extras import install_hint, installed

_EVERY: Final = ("default", "all")


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


def choose(metrics: Sequence[str] | None, suite: Suite = EVALUATION) -> Choice:
    """Annotators of a suite for names of annotators, of their metrics, or of groups; None is the default set.

    Raises:
        InputError: a name that nothing has; the message lists what there is.
    """
    known = {name: registry.lookup("annotator", name)() for name in suite.names}
    known |= {name: registry.lookup("annotator", name)() for name in metrics or () if ":" in name}
    named = {name for text in metrics or () for name in _named(text, known, suite)}
    wanted = _wanted(metrics, named, known, suite)
    possible, not_run = [], []
    for name, annotator in known.items():
        problem = requirement(annotator)
        if problem is not None:
            not_run.append(_not_run(annotator, *problem))
        elif name not in wanted:
            text = "slow, and not asked for" if name in suite.on_request else "not asked for"
            not_run.append(_not_run(annotator, text, f"{suite.command} PATH --metrics default,{name}"))
        else:
            possible.append(annotator)
    missing = tuple(sorted(known[name].name for name in named if requirement(known[name]) is not None))
    return Choice(tuple(possible), tuple(not_run), missing)


def _named(text: str, known: dict[str, Annotator], suite: Suite) -> tuple[str, ...]:
    """Annotators that one word asks for by name."""
    if text in known:
        return (text,)
    if text in suite.groups:
        return suite.groups[text]
    if text in _EVERY:
        return ()
    for name, annotator in known.items():
        if text in {metric.name for metric in annotator.metrics}:
            return (name,)
    groups, names = ", ".join((*_EVERY, *suite.groups)), ", ".join(known)
    raise InputError(
        f"metric {text!r} is not known; use {groups}, one of {names}, or a column of theirs "
        "(`equime metrics` lists all)"
    )


def _wanted(
    metrics: Sequence[str] | None, named: set[str], known: dict[str, Annotator], suite: Suite
) -> set[str]:
    wanted = set(named)
    if metrics is None or "default" in metrics:
        wanted |= set(known) - set(suite.on_request)
    if metrics is not None and "all" in metrics:
        wanted |= set(known)
    return wanted


def requirement(annotator: Annotator) -> tuple[str, str] | None:
    """(what an annotator lacks, next step); None where it can run."""
    absent = [name for name in annotator.packages if not installed(name)]
    if absent:
        return f"{', '.join(absent)} not installed", install_hint(absent)
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
