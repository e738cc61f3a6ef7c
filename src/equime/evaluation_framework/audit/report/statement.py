"""A data statement ready for a data card (after Bender & Friedman 2018 and Gebru et al. 2021)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from equime.evaluation_framework.audit.data import Origin
from equime.evaluation_framework.audit.records import Audit, Representation
from equime.evaluation_framework.audit.report import words as w
from equime.evaluation_framework.audit.report.answer import answer
from equime.evaluation_framework.audit.report.blocks import Block, Bullets, Heading, Source, Text
from equime.evaluation_framework.audit.report.markdown import lines
from equime.evaluation_framework.report.words import listing, number, plural

SYNTHETIC: Final = (
    "The clips are synthetic: a photograph of a person was animated, and the person never made the movement. They say "
    "nothing about what that person, or people like them, feel or do."
)
NOT_RENDERED: Final = "of which no record says how they were made"
INTENDED: Final = (
    "The emotion of a clip is what its specification asked for. It is a cause within the model, not what anybody felt "
    "and not what a viewer would say. Action Units, their intensities and times are exact because the clip was made "
    "from them; whether a FACS coder would see the same was not tested here."
)
KINDS: Final = {
    "declared": "Declared by the source of the photographs; how the source knows is for the source to say.",
    "estimated": (
        "Estimated by a model from the face, without asking anybody. Such labels are guesses with errors that differ "
        "by group; do not use them as if people had given them."
    ),
    "measured": (
        "Measured in the picture. Skin tone here is a property of a photograph in its light; it is not race, ethnicity "
        "or origin."
    ),
}
USES: Final = (
    "For training and testing recognisers of micro-expressions, with people, not clips, split between training and "
    "test.",
    "Not for judging what a person feels, intends or hides, and not for decisions about persons.",
    "Not as evidence of how groups of people express emotion: what is tested here is how the clips were made.",
)


def statement(audit: Audit) -> tuple[Block, ...]:
    """The statement, and its Markdown to be copied."""
    blocks = tuple(_statement(audit))
    lowered = tuple(Heading(b.text, 3) if isinstance(b, Heading) else b for b in blocks)
    source = "\n\n".join(("## Data statement", *lines(lowered))) + "\n"
    explained = Text(
        "Written from the figures of this audit; add why you chose these people and expressions.", soft=True
    )
    return (
        explained,
        *blocks,
        Heading("As Markdown, to be copied"),
        Source("Data statement as Markdown", source),
    )


def _statement(audit: Audit) -> Iterator[Block]:
    yield Heading("Curation")
    made = (
        f"rendered by {listing(audit.renderers)} from face photographs" if audit.renderers else NOT_RENDERED
    )
    model = f" Causal model of the specifications: {listing(audit.models)}." if audit.models else ""
    gate = "No quality gate was applied." if audit.n_selected is None else (
        f"{audit.n_selected:,} of {plural(audit.n_clips, 'clip')} passed the quality gate; all were audited."
    )  # fmt: skip
    yield Text(f"{plural(audit.n_clips, 'clip')} of {w.people(audit.n_subjects)}, {made}.{model} {gate}")
    if audit.renderers:
        yield Text(SYNTHETIC)
    if audit.licences:
        parts = (f"{name} ({plural(n, 'clip')})" for name, n in audit.licences.items())
        yield Text(f"Licences of the source photographs: {listing(parts)}.")
    else:
        yield Text("The licences of the source photographs are not recorded.")
    yield Heading("Who is shown")
    for origin in KINDS:
        of = [r for r in audit.representation if r.origin == origin]
        yield Text(KINDS[origin] if of else f"{w.capital(origin)}: nothing.")
        if of:
            yield Bullets(tuple(map(_groups, of)))
    yield Heading("What the labels are, and what they are not")
    emotions = ", ".join(f"{name} {n:,}" for name, n in audit.emotions.items())
    yield Text(f"Clips by intended emotion: {emotions or 'none'}.{f' {INTENDED}' if audit.renderers else ''}")
    yield Heading("What was found")
    without_recognisers = replace(audit, model_audits=())
    yield from (b for b in answer(without_recognisers)[2:] if isinstance(b, Bullets | Text))
    yield Heading("Known limits")
    yield Bullets((*_limits(audit),))
    yield Heading("Uses")
    yield Bullets(USES)
    yield Heading("How to cite")
    version = audit.provenance.versions.get("equime", "version not known")
    yield Text(
        f"Cite the data set by its name and version, the sources of the photographs as their licences ask, and equime "
        f"{version}, which made this audit (seed {audit.seed})."
    )


def _groups(r: Representation) -> str:
    """Shares with counts: "gender (declared): f 52 % (22 people, 110 clips), ..."."""
    known = [g for g in r.groups if g.share is not None]
    origin: Origin = r.origin
    said = ", ".join(f"{g.group} {w.percent(g.share)} ({w.counted(g.n_subjects, g.n_clips)})" for g in known)
    unknown = f"; not known of {w.people(r.n_unknown)}" if r.n_unknown else ""
    absent = f"; nobody: {listing(r.absent)}" if r.absent else ""
    title = r.title if origin in r.title.lower() else f"{r.title} ({origin})"
    return f"{w.capital(title)}: {said or 'known of nobody'}{unknown}{absent}."


def _limits(audit: Audit) -> Iterator[str]:
    for r in audit.representation:
        small = [g.group for g in r.groups if g.share is not None and not g.enough]
        if small:
            yield (
                f"{w.capital(w.introduced(r.title, r.attribute))}: groups of fewer than {audit.min_group_subjects} people "
                f"({listing(small)}); whether they are treated alike is not known."
            )
    for crossed in audit.intersections:
        if crossed.n_empty:
            titles = [w.introduced(t, a) for t, a in zip(crossed.titles, crossed.attributes, strict=True)]
            yield f"{w.capital(listing(titles))}: {crossed.n_empty} of {len(crossed.cells)} intersections have nobody in them."
    sizes = [
        t.detectable for t in audit.associations if t.detectable is not None and t.measure == "cramers_v"
    ]
    if sizes:
        yield f"An association smaller than V = {number(max(sizes), 1.0)} may have been missed."
    by_code: dict[str, list[str]] = {}
    for finding in audit.findings:
        by_code.setdefault(finding.code, []).append(finding.message)
    for messages in by_code.values():
        more = f" And {len(messages) - 1} more of this kind." if len(messages) > 1 else ""
        yield f"{messages[0]}{more}"
    yield "What nobody declared, estimated or measured (disability, culture, language, facial difference, ...) is not known."
