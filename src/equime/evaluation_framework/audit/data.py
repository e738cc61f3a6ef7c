"""What an audit looks at: one row per clip with who is in it, what was intended, and what was measured.

Three kinds of attribute, never mixed: *declared* by the source of a photograph, *estimated* by a model, *measured*
in the picture. Every attribute belongs to a person: what was found in several clips of one subject is brought
together because an association is tested over people, not over clips.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from equime.provenance import Provenance
from equime.types import Record

if TYPE_CHECKING:
    import pandas as pd

Origin = Literal["declared", "estimated", "measured"]

UNKNOWN: Final = "unknown"
"""Group of those of whom an attribute is not known; reported, never compared with other groups."""

MIN_GROUP_SUBJECTS: Final = 5
"""Groups of fewer subjects are counted and not compared: the figure would be about persons, not about a group."""


@dataclass(frozen=True)
class Attribute:
    """One way to group the people of a data set.

    Attributes:
        name: column of `AuditData.clips`: ``declared_gender``, ``estimated_race``, ``measured_skin_tone``.
        origin: who says so.
        title: for people: "gender (declared)".
        groups: all groups that occur, in their natural order, without `UNKNOWN`.
        source: where it comes from: "faces.jsonl", "tables/deepface.parquet".
        number: column of `AuditData.clips` that holds the number which was cut into groups (age in years, ITA in
            degrees); None where there is none.
        unit: of that number.
        soft: columns of `AuditData.clips` with the mean probability per group, in the order of ``groups``;
            empty where the labeller gives none.
    """

    name: str
    origin: Origin
    title: str
    groups: tuple[str, ...]
    source: str
    number: str | None = None
    unit: str = ""
    soft: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """Something a clip shows that must not go with who the person is.

    Attributes:
        name: column of `AuditData.clips`: ``emotion``, ``intensity_max``, ``au12``.
        title: for people: "largest intensity".
        kind: "groups" (text), "flag" (True or False), or "number".
        unit: of a number; "" for the others.
        origin: "intended" (from the spec) or "measured" (from a table).
        direction: of measured quality: which way is better; "none" where neither is.
    """

    name: str
    title: str
    kind: Literal["groups", "flag", "number"]
    unit: str = ""
    origin: Literal["intended", "measured"] = "intended"
    direction: Literal["higher", "lower", "none"] = "none"


class Finding(Record, frozen=True):
    """Something that limits what the audit can say: counted, and said in the report.

    Attributes:
        code: stable name: "no_face", "several_faces", "unknown_clip", "no_attribute", "constant_attribute",
            "small_group", "missing_weights", "not_extracted", "missing_prediction", "unknown_label", ...
        message: what is there, what was expected, the next step.
        n: clips, rows or groups that it concerns; 0 where it concerns the whole data set.
    """

    code: str
    message: str
    n: int = 0


@dataclass(frozen=True)
class AuditData:
    """One data set as the audit sees it.

    Attributes:
        path: as it was asked for.
        clips: one row per clip, index 0..n-1: ``clip_id``, ``file``, ``subject_id``, ``emotion``, ``twin_group``
            (clips of one expression on several people share it; None where a clip has no twin), one column per
            attribute (`UNKNOWN` where not known), their ``number`` and ``soft`` columns (NaN where not known),
            and one column per outcome (None or NaN where it does not apply: the intensity of a neutral clip).
        attributes: by which people are grouped.
        intended: outcomes that the causal model drew: null by construction.
        measured: outcomes that were measured in the pixels: motion, timing, quality.
        findings: what is missing or odd.
        provenance: versions and platform.
        renderers: names and versions of what made the clips.
        n_selected: clips that passed the quality gate; None where none was applied. All clips are audited.
        licences: licence of the source photographs to clips.
        models: causal models of the specs, as they record them.
    """

    path: str
    clips: pd.DataFrame
    attributes: tuple[Attribute, ...]
    intended: tuple[Outcome, ...]
    measured: tuple[Outcome, ...]
    findings: tuple[Finding, ...]
    provenance: Provenance
    renderers: tuple[str, ...] = ()
    n_selected: int | None = None
    licences: dict[str, int] = field(default_factory=dict)
    models: tuple[str, ...] = ()

    def attribute(self, name: str) -> Attribute:
        """An attribute by its name. Raises KeyError where there is none."""
        return next(a for a in self.attributes if a.name == name)

    def comparable(self, attribute: Attribute) -> tuple[str, ...]:
        """Its groups with at least `MIN_GROUP_SUBJECTS` subjects."""
        people = self.clips.groupby(attribute.name)["subject_id"].nunique()
        return tuple(g for g in attribute.groups if people.get(g, 0) >= MIN_GROUP_SUBJECTS)
