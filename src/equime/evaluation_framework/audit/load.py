"""Everything that an audit looks at, read from a data set on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from equime import registry
from equime.annotation.choice import requirement
from equime.dataset import ClipView, Dataset
from equime.errors import InputError
from equime.evaluation_framework.audit import attributes as at
from equime.evaluation_framework.audit.data import (
    MIN_GROUP_SUBJECTS,
    UNKNOWN,
    Attribute,
    AuditData,
    Finding,
    Outcome,
)
from equime.evaluation_framework.audit.intent import finished, intent_row
from equime.evaluation_framework.audit.tables import read_table, table_names
from equime.provenance import provenance
from equime.quality_gate import read_marks

if TYPE_CHECKING:
    import pandas as pd

MEASURED: Final[dict[str, tuple[str, ...]]] = {
    "timing": (
        "peak_motion_mm", "measured_duration_ms", "onset_error_ms", "apex_error_ms", "offset_error_ms",
        "movement_found", "head_motion_mm",
    ),
    "au_fidelity": ("flow_cosine", "flow_ratio", "flow_leakage", "landmark_ratio", "au_passes"),
    "identity": ("identity_similarity",),
    "sequence": ("motion_energy", "flicker", "blockiness"),
    "fidelity": ("psnr_source_db", "ssim_source"),
    "smoothness": ("ssim_consecutive",),
    "brisque": ("brisque",),
    "clip_iqa": ("clip_iqa",),
    "lpips": ("lpips_source",),
}  # fmt: skip
"""What must reach the pixels alike: column by table of `equime evaluate`."""

ESTIMATED: Final = ("deepface", "fairface")
_NO_GROUPING: Final = ("_disagreement", "_abstained", "_counts")


def load(path: Path) -> AuditData:
    """One data set as the audit sees it.

    Raises:
        InputError: no data set there, or one without a finished clip.
        WorkError: a record or table that cannot be read.
    """
    import pandas as pd  # noqa: PLC0415

    dataset = Dataset.open(path)
    views = list(dataset)
    if not views:
        raise InputError(f"{path}: the data set has no finished clip yet; run `equime generate` first")
    rows, intended = finished([intent_row(view.spec) for view in views])
    clips = pd.DataFrame([_ids(view) | row for view, row in zip(views, rows, strict=True)])
    clips["twin_group"] = _twin_groups(views)
    reader = _Reader(path, clips, {view.clip.clip_id: view.clip.sha256[:16] for view in views})
    attributes = [*reader.declared(views), *reader.estimated(), *reader.measured()]
    measured = tuple(reader.outcomes())
    findings = [*reader.findings, *_about_groups(reader.clips, attributes)]
    marks = read_marks(path)
    return AuditData(
        path=str(path),
        clips=reader.clips,
        attributes=tuple(attributes),
        intended=intended,
        measured=measured,
        findings=tuple(findings),
        provenance=provenance(),
        renderers=tuple(sorted({f"{v.clip.renderer} {v.clip.renderer_version}" for v in views})),
        n_selected=None if marks is None else sum(not marks.leaves_out(v.clip.clip_id) for v in views),
        licences=dict(Counter(view.face.licence for view in views).most_common()),
        models=tuple(sorted({view.spec.model for view in views})),
    )


def _ids(view: ClipView) -> dict[str, Any]:
    clip, spec = view.clip, view.spec
    return {
        "clip_id": clip.clip_id, "file": clip.file, "subject_id": spec.subject_id, "emotion": spec.emotion
    }  # fmt: skip


def _twin_groups(views: list[ClipView]) -> list[str | None]:
    """Which clips show one expression on several people: those of one factual spec, each of another face."""
    face_of = {view.spec.spec_id: view.spec.face_id for view in views}
    roots = {
        view.spec.twin_of
        for view in views
        if view.spec.twin_of is not None
        and face_of.get(view.spec.twin_of, view.spec.face_id) != view.spec.face_id
    }
    groups = []
    for view in views:
        root = view.spec.twin_of or view.spec.spec_id
        other = view.spec.twin_of is None or face_of.get(root) != view.spec.face_id
        groups.append(root if root in roots and other else None)
    return groups


class _Reader:
    """Adds the columns of tables to the clips, and says what is missing."""

    def __init__(self, root: Path, clips: pd.DataFrame, digests: dict[str, str]) -> None:
        self.root, self.clips, self.digests = root, clips, digests
        self.findings: list[Finding] = []
        self._columns: dict[str, list[str]] = {}

    def declared(self, views: list[ClipView]) -> Iterator[Attribute]:
        """Attributes that the photographs' source declares."""
        columns = at.declared_columns([view.face for view in views])
        for name, values in columns.items():
            self.clips[name] = values
            if name == "declared_age":
                self.clips["declared_age_group"] = [at.age_group(value) for value in values]
                yield at.attribute_of(
                    self.clips, "declared_age_group", "declared", "age (declared)", "faces.jsonl",
                    number=name, unit="years", order=at.AGE_TITLES,
                )  # fmt: skip
                continue
            if len(set(values)) > at.MAX_GROUPS:
                text = f"{name} has {len(set(values))} values, too many to group people by; it was left out"
                self.findings.append(Finding(code="many_values", message=text))
                continue
            title = f"{name.removeprefix('declared_').replace('_', ' ')} (declared)"
            yield at.attribute_of(self.clips, name, "declared", title, "faces.jsonl")

    def estimated(self) -> Iterator[Attribute]:
        """Attributes that labellers estimate: DeepFace, FairFace, tables of annotations."""
        tables = [*ESTIMATED, *(n for n in table_names(self.root) if n.startswith("labels_"))]
        for table in tables:
            if self._join(table):
                yield from self._estimated(table)
            elif table == "deepface":
                self._not_extracted(table, "gender, age and race are not estimated")

    def _estimated(self, table: str) -> Iterator[Attribute]:
        columns = [name for name in self._columns[table] if name.startswith("estimated_")]
        for name in columns:
            if "_p_" in name or name.endswith(_NO_GROUPING) or name.startswith("estimated_emotion"):
                continue
            source, who = f"tables/{table}.parquet", _labeller(table)
            what = name.removeprefix("estimated_").removesuffix(f"_{table.removeprefix('labels_')}")
            title = f"{what.replace('_', ' ')} (estimated by {who})"
            if self._is_number(name):
                group = next((c for c in columns if c == _group_of(name)), None)
                if group is None:
                    self.clips[name], _ = at.by_median(self.clips, name, None)
                    continue
                self.clips[name], self.clips[group] = at.by_median(self.clips, name, group)
                title = f"age (estimated by {who})"
                yield at.attribute_of(
                    self.clips, group, "estimated", title, source, number=name, unit="years"
                )
            elif not any(_group_of(other) == name for other in columns):
                self.clips[name] = at.by_majority(self.clips, name)
                found = at.attribute_of(self.clips, name, "estimated", title, source)
                soft = tuple(f"{name}_p_{group.replace(' ', '_')}" for group in found.groups)
                if soft and all(column in self.clips for column in soft):
                    for column in soft:
                        mean = self.clips.groupby("subject_id")[column].mean()
                        self.clips[column] = self.clips["subject_id"].map(mean)
                    found = at.attribute_of(self.clips, name, "estimated", title, source, soft=soft)
                yield found

    def measured(self) -> Iterator[Attribute]:
        """Attributes measured in the picture."""
        if not self._join("skin_tone"):
            self._not_extracted("skin_tone", "skin tone is not measured")
            return
        self.clips["measured_ita_deg"], self.clips["measured_ita_group"] = at.by_median(
            self.clips, "measured_ita_deg", "measured_ita_group"
        )
        yield at.attribute_of(
            self.clips, "measured_ita_group", "measured", "skin tone (measured, ITA)", "tables/skin_tone.parquet",
            number="measured_ita_deg", unit="deg", order=at.ITA_GROUPS,
        )  # fmt: skip
        cut = at.halves(self.clips, "measured_ita_deg", "measured_ita_half", ("lighter half", "darker half"))
        if cut is not None:
            title = f"skin tone (measured, halves of these people at ITA {cut:.0f} deg)"
            yield at.attribute_of(
                self.clips, "measured_ita_half", "measured", title, "tables/skin_tone.parquet",
                number="measured_ita_deg", unit="deg", order=("lighter half", "darker half"),
            )  # fmt: skip

    def outcomes(self) -> Iterator[Outcome]:
        """What was measured of motion, timing and quality; columns are added to the clips."""
        absent = []
        for table, columns in MEASURED.items():
            if not self._join(table, columns):
                absent.append(table)
                continue
            metrics = {m.name: m for m in registry.lookup("annotator", table)().metrics}
            for name in columns:
                if name in self.clips and self.clips[name].notna().any():
                    metric = metrics[name]
                    kind: Literal["flag", "number"] = "flag" if metric.type == "flag" else "number"
                    yield Outcome(
                        name, _title(name), kind, "" if metric.unit == "1" else metric.unit, "measured",
                        metric.direction,
                    )  # fmt: skip
        if absent:
            text = f"not measured: {', '.join(absent)}; run `equime evaluate {self.root}` (weights may be needed)"
            self.findings.append(Finding(code="not_measured", message=text))

    def _join(self, table: str, columns: tuple[str, ...] | None = None) -> bool:
        """Add a table's columns; False where there is no such table."""
        found = read_table(self.root, table, self.digests, self.findings)
        if found is None:
            return False
        if columns is not None:
            found = found[["clip_id", *(name for name in columns if name in found)]]
        self._columns[table] = [name for name in found.columns if name != "clip_id"]
        if n := len(self.clips) - len(found):
            text = f"clips without a row in tables/{table}.parquet; measure them"
            self.findings.append(Finding(code="no_row", message=text, n=n))
        self.clips = self.clips.merge(found, on="clip_id", how="left")
        return True

    def _not_extracted(self, annotator: str, what: str) -> None:
        lacks = requirement(registry.lookup("annotator", annotator)())
        if lacks is None:
            text = f"{what}; run `equime attributes {self.root}`"
            self.findings.append(Finding(code="not_extracted", message=text))
        else:
            text = f"{what}: {lacks[0]}; run `{lacks[1]}`, then `equime attributes {self.root}`"
            self.findings.append(Finding(code="missing_weights", message=text))

    def _is_number(self, name: str) -> bool:
        from pandas.api.types import is_bool_dtype, is_numeric_dtype  # noqa: PLC0415

        column = self.clips[name]
        return bool(is_numeric_dtype(column) and not is_bool_dtype(column))


def _labeller(table: str) -> str:
    names = {"deepface": "DeepFace", "fairface": "FairFace"}
    return names.get(table, table.removeprefix("labels_"))


def _group_of(number: str) -> str | None:
    """Column with the groups of a column with numbers of years; None for any other column."""
    return number.replace("_years", "_group") if "_years" in number else None


def _title(column: str) -> str:
    for ending in ("_mm", "_ms", "_db", "_px", "_deg"):
        column = column.removesuffix(ending)
    return column.replace("_", " ")


def _about_groups(clips: pd.DataFrame, attributes: list[Attribute]) -> Iterator[Finding]:
    """Constant columns, small groups, people without a group."""
    if not attributes:
        yield Finding(
            code="no_attribute",
            message="nobody declares, estimates or measures who is in these clips; run `equime attributes`, or give "
            "attributes in the table of faces",
        )
    for attribute in attributes:
        people_of = clips.groupby(attribute.name)["subject_id"].nunique()
        n_unknown = int(people_of.get(UNKNOWN, 0))
        if len(attribute.groups) == 1:
            text = f"{attribute.title}: everybody is in one group ({attribute.groups[0]}), so nothing can be compared"
            yield Finding(code="constant_attribute", message=text)
        if n_unknown:
            text = f"{attribute.title}: people of unknown group; counted, never compared"
            yield Finding(code="unknown_group", message=text, n=n_unknown)
        small = [g for g in attribute.groups if people_of[g] < MIN_GROUP_SUBJECTS]
        if small and len(attribute.groups) > 1:
            text = f"{attribute.title}: groups of fewer than {MIN_GROUP_SUBJECTS} people, not compared: {', '.join(small)}"
            yield Finding(code="small_group", message=text, n=len(small))
