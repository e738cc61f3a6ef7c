"""Annotator ``adherence``: the gate over the clips of a data set, one row per clip in ``tables/adherence.parquet``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.clip_sources import ClipSource
from equime.errors import WorkError
from equime.frames import Frame
from equime.generation_pipeline.adherence import assess
from equime.generation_pipeline.adherence_measure import AdherenceSession
from equime.generation_pipeline.adherence_rates import Judged, groups_of
from equime.generation_pipeline.adherence_records import REASONS, Adherence

_FLOW: Final = "equime spotting on DIS optical flow (Kroeger et al. 2016)"
_SPEC: Final = "the Dataset's spec"


def _number(
    name: str, unit: str, low: float | None, high: float | None, meaning: str, reference: str = "equime"
) -> Metric:
    return Metric(name, unit, low, high, "none", meaning, reference)


def _text(name: str, meaning: str, reference: str) -> Metric:
    return Metric(name, "", None, None, "none", meaning, reference, "text")


METRICS: Final = (
    Metric("adheres", "", None, None, "higher", "Whether the clip shows what its spec intended.", "equime", "flag"),
    _text("adherence_reason", f"First reason against it, of {', '.join(REASONS)}; None where it adheres.", "equime"),
    _text("adherence_message", "The reason in words, with the measured value and the limit.", "equime"),
    _number("adherence_agreement", "1", -1.0, 1.0, "Cosine of measured and intended movement of the facial regions."),
    _text("intended_aus", "AUs of the spec with side and intensity at the apex.", _SPEC),
    _text("intended_regions", "Facial regions that these AUs move on this face.", _SPEC),
    _text("shown_aus", "AUs that explain the flow at the measured apex, with side and intensity.", "equime au_fit"),
    _text("shown_regions", "Facial regions that move at the measured apex.", _FLOW),
    _number("shown_onset_ms", "ms", 0.0, None, "Measured onset of the strongest movement.", _FLOW),
    _number("shown_apex_ms", "ms", 0.0, None, "Measured apex of the strongest movement.", _FLOW),
    _number("shown_offset_ms", "ms", 0.0, None, "Measured offset of the strongest movement.", _FLOW),
    _number("shown_duration_ms", "ms", 0.0, None, "From onset to offset; at least, where one is not in the clip.", _FLOW),
    _number("shown_motion_mm", "mm", 0.0, None, "Largest mean displacement of a region; None for lids alone.", _FLOW),
    _number("off_onset_ms", "ms", None, None, "Measured less intended onset."),
    _number("off_apex_ms", "ms", None, None, "Measured less intended apex."),
    _number("face_likeness", "1", -1.0, 1.0, "Least correlation of the skin's pattern with the first frame's."),
    _number("unexplained_mm", "mm", 0.0, None, "Largest movement that neither head nor facial muscles explain."),
    _number("faceless_share", "1", 0.0, 1.0, "Share of the frames looked at without a face."),
    _number("repeated_share", "1", 0.0, 1.0, "Share of frames that repeat the one before."),
    _number("black_share", "1", 0.0, 1.0, "Share of black frames."),
)  # fmt: skip


class AdherenceGate:
    """Measured against intended, with the default `equime.generation_pipeline.adherence.Limits`."""

    name = "adherence"
    version = "1"
    metrics: tuple[Metric, ...] = METRICS
    weights: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    needs_motion = False
    """It runs a motion analysis of its own, which can also be fed frames that have no file yet."""

    def start(self, clip: ClipContext) -> Session:
        """Open a session.

        Raises:
            WorkError: the clip has no spec, so nothing was intended.
        """
        return _Session(clip)


class _Session:
    def __init__(self, clip: ClipContext) -> None:
        if clip.source.spec is None:
            raise WorkError(
                f"{clip.source.file}: has no spec; the gate judges the clips of an equime data set"
            )
        self._spec = clip.source.spec
        self._session = AdherenceSession(clip, self._spec.n_frames)

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""
        self._session.feed(frame)

    def finish(self) -> Row:
        """The clip's row."""
        return Row(cells(assess(self._spec, *self._session.finish())))


def cells(found: Adherence) -> dict[str, Value]:
    """A clip's values, in the order of `METRICS`."""
    m, aim, verdict = found.measured, found.intended, found.verdict
    return {
        "adheres": verdict.accepted,
        "adherence_reason": verdict.reason,
        "adherence_message": verdict.message,
        "adherence_agreement": found.agreement,
        "intended_aus": _listed(aim.aus),
        "intended_regions": "+".join(aim.regions),
        "shown_aus": _listed(m.aus),
        "shown_regions": "+".join(m.regions),
        "shown_onset_ms": m.onset_ms,
        "shown_apex_ms": m.apex_ms,
        "shown_offset_ms": m.offset_ms,
        "shown_duration_ms": m.duration_ms,
        "shown_motion_mm": m.peak_mm,
        "off_onset_ms": found.onset_error_ms,
        "off_apex_ms": found.apex_error_ms,
        "face_likeness": m.likeness,
        "unexplained_mm": m.unexplained_mm,
        "faceless_share": 1.0 - m.face_share,
        "repeated_share": m.repeated_share,
        "black_share": m.black_share,
    }


def _listed(aus: Mapping[str, float]) -> str:
    return " ".join(f"{name}:{value:.1f}" for name, value in aus.items())


def judged_clips(rows: Iterable[Mapping[str, Any]], sources: Iterable[ClipSource]) -> list[Judged]:
    """Rows of the table as `equime.generation_pipeline.adherence.acceptance` counts them.

    Args:
        rows: with ``clip_id``, ``adheres`` and ``adherence_reason``; rows without a verdict are left out.
        sources: clips of the data set.
    """
    by_id = {source.clip_id: source for source in sources}
    return [
        Judged(
            subject_id=source.subject_id or "",
            reason=row["adherence_reason"] or None,
            groups=groups_of(source.emotion, source.face),
        )
        for row in rows
        if row["adheres"] is not None and (source := by_id.get(row["clip_id"])) is not None
    ]
