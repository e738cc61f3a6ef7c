"""How far each measured AU can be trusted: read from ``au_reliability.json``, which a bench wrote.

    python bench/au_intensity.py --write

makes that file again. It holds, per AU, what the annotator gave on clips whose AU curves are known: drawn faces,
rendered. Command and measurement share the muscle model of `equime.face.muscles`, so the table is an upper bound:
on a filmed face, whose muscles are its own, expect less. It was not validated on filmed faces, since no corpus
with coded intensities could be used here.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Final, Literal

import msgspec

from equime.action_units import ACTION_UNITS
from equime.face.au_fit import group_of
from equime.types import Record

Grade = Literal["good", "fair", "poor"]


@dataclass(frozen=True)
class Asked:
    """What a grade asks for, all of it.

    Attributes:
        correlation: of measured and commanded curve, at least.
        slope: measured over commanded at the apex, within.
        detected_b: share of commands at B (2) that are detected, at least.
        false_p95: intensity read where the AU is not commanded, 95th percentile, at most.
    """

    correlation: float
    slope: tuple[float, float]
    detected_b: float
    false_p95: float

    def reached_by(self, record: AuRecord) -> bool:
        """Whether an AU earns the grade."""
        return (
            record.correlation >= self.correlation
            and self.slope[0] <= record.slope <= self.slope[1]
            and record.detected["B"] >= self.detected_b
            and record.false_p95 <= self.false_p95
        )


GRADES: Final[dict[Grade, Asked]] = {
    "good": Asked(correlation=0.9, slope=(0.75, 1.25), detected_b=0.9, false_p95=0.5),
    "fair": Asked(correlation=0.75, slope=(0.5, 1.5), detected_b=0.6, false_p95=1.0),
}
"""The rest is poor. Half a letter (0.5) and a letter (1.0) bound what is read where nothing was commanded."""


class AuRecord(Record, frozen=True):
    """One AU, both sides together.

    Attributes:
        au: FACS number.
        n_clips: clips with this AU alone; n_faces is the file's.
        correlation: of the measured with the commanded curve over the frames, mean over clips at B and above.
        slope: measured over commanded intensity at the apex, median over clips at B and above.
        error: mean absolute error of the intensity over the frames in which the AU is commanded above 0.
        detected: share of clips whose largest intensity passes half of a letter and the clip's noise, by letter.
        false_p95: 95th percentile, over the causal model's clips that do not command this AU or one of its group,
            of its largest intensity.
        n_false: those clips.
        apex_error_ms: distance in time of the largest measured intensity from the commanded apex, median over
            the clips at B and above in which it reaches half a letter; None where none does.
        model_correlation, model_n: as `correlation`, over the causal model's clips that command it at 1 or more;
            None where fewer than three do.
        reads_as: AU that takes most of what this one loses, and its share of the command; None below 0.15.
    """

    au: int
    n_clips: int
    correlation: float
    slope: float
    error: float
    detected: dict[str, float]
    false_p95: float
    n_false: int
    apex_error_ms: float | None
    model_correlation: float | None = None
    model_n: int = 0
    reads_as: tuple[int, float] | None = None


class AuReliabilityTable(Record, frozen=True):
    """The file.

    Attributes:
        command: that made it.
        annotator_version: of `au_intensity`.
        equime: version of the package.
        n_faces, n_clips, n_model_clips, size_px, fps: what it was measured on.
        neutral_p95: 95th percentile of `au_noise` over the causal model's clips.
        aus: by FACS number, ascending.
    """

    command: str
    annotator_version: str
    equime: str
    n_faces: int
    n_clips: int
    n_model_clips: int
    size_px: int
    fps: float
    neutral_p95: float
    aus: tuple[AuRecord, ...]


@functools.lru_cache(maxsize=1)
def table() -> AuReliabilityTable:
    """The shipped table."""
    text = resources.files("equime.attribute_extraction").joinpath("au_reliability.json").read_bytes()
    return msgspec.json.decode(text, type=AuReliabilityTable)


def record_of(au: int) -> AuRecord | None:
    """An AU's record; None where the bench did not measure it."""
    return next((record for record in table().aus if record.au == au), None)


def grade(record: AuRecord) -> Grade:
    """By `GRADES`."""
    return next((name for name, asked in GRADES.items() if asked.reached_by(record)), "poor")


def meaning_of(au: int, side: str) -> str:
    """One sentence for the column of an AU, with its reliability."""
    where = "" if side == "both" else f", the subject's {side} side"
    text = f"Measured intensity of AU {au} ({ACTION_UNITS[au].name}){where}, 0 to 5; of a clip the largest"
    record, group = record_of(au), group_of(au)
    if record is not None:
        text += (
            f"; {grade(record)} on rendered clips (n {record.n_clips}): correlation {record.correlation:.2f}, "
            f"{record.slope:.2f} of the command at the apex"
        )
    if len(group) > 1:
        text += f"; read together with AU {', '.join(str(other) for other in group if other != au)}"
    return text + "."


def markdown(own: AuReliabilityTable | None = None) -> str:
    """A table, by default the shipped one, as Markdown for the documentation."""
    own = own or table()
    lines = [
        "| AU | name | grade | n | correlation | measured / commanded | error | found at A, B, C | read falsely (95 %) "
        "| apex error, ms | in causal-model clips (n) | read together with | loses to |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in own.aus:
        found = ", ".join(f"{r.detected[letter]:.2f}" for letter in "ABC")
        model = "" if r.model_correlation is None else f"{r.model_correlation:.2f} ({r.model_n})"
        group = ", ".join(str(other) for other in group_of(r.au) if other != r.au)
        lost = "" if r.reads_as is None else f"AU {r.reads_as[0]} ({r.reads_as[1]:.2f})"
        apex = "" if r.apex_error_ms is None else f"{r.apex_error_ms:.0f}"
        lines.append(
            f"| {r.au} | {ACTION_UNITS[r.au].name} | {grade(r)} | {r.n_clips} | {r.correlation:.2f} | {r.slope:.2f} "
            f"| {r.error:.2f} | {found} | {r.false_p95:.2f} | {apex} | {model} | {group} | {lost} |"
        )
    return "\n".join(lines)
