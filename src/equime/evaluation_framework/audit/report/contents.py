"""The page of an audit: its sections in order, and how the numbers were computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Final

from equime.evaluation_framework.audit.records import Audit
from equime.evaluation_framework.audit.report import associations, recognisers, who
from equime.evaluation_framework.audit.report.answer import answer
from equime.evaluation_framework.audit.report.blocks import (
    Block,
    Bullets,
    Cell,
    Heading,
    Page,
    Section,
    Table,
    columns,
    row,
)
from equime.evaluation_framework.audit.report.statement import statement
from equime.evaluation_framework.report.words import listing, number


def contents(audit: Audit) -> Page:
    """Everything that the page says."""
    sections = tuple(Section(key, title, build(audit)) for key, title, build in SECTIONS)
    return Page(f"Audit of {PurePath(audit.path).name or audit.path}", tuple(_facts(audit)), sections)


def _facts(audit: Audit) -> Iterator[tuple[str, str]]:
    yield "Path", audit.path
    yield "Clips", f"{audit.n_clips:,}"
    yield "People", f"{audit.n_subjects:,}"
    yield (
        "Passed the quality gate",
        "not applied" if audit.n_selected is None else f"{audit.n_selected:,} clips",
    )
    yield "Emotions", ", ".join(f"{name} {n:,}" for name, n in audit.emotions.items()) or "none"
    yield "Rendered by", listing(audit.renderers) or "not known"
    yield "Predictions", listing(m.file for m in audit.model_audits) or "none"


def method(audit: Audit) -> tuple[Block, ...]:
    """Tests, intervals, seeds, versions."""
    made = audit.provenance
    versions = [*made.versions.items(), ("Python", made.python), ("Platform", made.platform)]
    versions += [("Commit", made.commit)] if made.commit else []
    rows = tuple(row(name, Cell(version, code=True)) for name, version in versions)
    table = Table("Versions", columns("What", "Version", text=("Version",)), rows)
    return Bullets(tuple(_method(audit))), Heading("Versions"), table


def _method(audit: Audit) -> Iterator[str]:
    smallest = 1 / (audit.n_permutations + 1)
    yield (
        "The unit is the person. Clips of one person are not independent, so tests exchange whole people between groups "
        "and intervals draw whole people anew."
    )
    yield (
        f"Tests: {audit.n_permutations:,} permutations, so no p is smaller than {number(smallest)}. q is p corrected for "
        "all tests of its family after Benjamini & Hochberg (1995); it is called found below 0.05."
    )
    yield (
        f"Intervals: {100 * audit.level:g} %, bootstrap with {audit.n_boot:,} draws of people; shares of people have "
        "Wilson intervals (Wilson 1927)."
    )
    yield (
        f"Groups of fewer than {audit.min_group_subjects} people are counted and not compared: the figure would be about "
        "persons, not about a group. People of unknown group are counted and not compared either."
    )
    yield (
        "Detectable: the smallest effect or gap that would have had p below 0.05 in 80 of 100 data sets with these "
        "people and clips, one test alone; after correction for many tests it is larger."
    )
    yield (
        "Cramér's V and eta squared are corrected for the size of the sample (Bergsma 2013; Kelley 1935), mutual "
        "information after Miller (1955) and Madow."
    )
    yield (
        f"All random draws come from seed {audit.seed}: the same data set gives the same audit. audit.json holds every "
        "figure."
    )


SECTIONS: Final[tuple[tuple[str, str, Callable[[Audit], tuple[Block, ...]]], ...]] = (
    ("answer", "The answer", answer),
    ("limits", "What limits this audit", who.limits),
    ("who", "Who is in it", who.who),
    ("skin", "Measured skin tone", who.skin),
    ("associations", "What goes with whom", associations.associations),
    ("label-noise", "What errors of estimated labels do", associations.label_noise),
    ("parity", "Whether movement reached the pixels alike", associations.parity),
    ("agreement", "Labellers against each other", recognisers.agreement),
    ("recognisers", "Recognisers", recognisers.recognisers),
    ("statement", "Data statement", statement),
    ("method", "How it was computed", method),
)
