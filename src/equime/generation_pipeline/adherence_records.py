"""Records of the adherence gate: limits, what was intended, what was measured, and the verdict."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from equime.types import Record

Vector = tuple[float, float]

N_LOOKS: Final = 8
"""Frames, evenly spread behind the first, in which the face is looked for again and compared with the first."""

BLACK_LEVEL: Final = 32.0
"""A frame whose 99th percentile of grey stays below this is black: no photograph of a visible face is."""

REPEATED_GREY: Final = 0.05
"""A frame whose grey levels differ by less than this from those of the one before, on average, repeats it."""

AU_PRESENT: Final = 0.5
"""Intensity from which a measured AU is listed: half of FACS A."""

REGION_SHARE: Final = 0.4
"""A region moved where it reaches this share of the largest region's movement, and `DETECT_MM`."""

Reason = Literal[
    "black", "no_face", "frozen", "identity_drift", "warped_face", "unexpected_movement", "no_movement", "too_long",
    "wrong_time", "wrong_region",
]  # fmt: skip

REASONS: Final[tuple[Reason, ...]] = (
    "black", "no_face", "frozen", "identity_drift", "warped_face", "unexpected_movement", "no_movement", "too_long",
    "wrong_time", "wrong_region",
)  # fmt: skip
"""Why a clip is rejected, in the order in which it is asked: what makes the later questions meaningless first."""

MICRO_MS: Final = 500.0
"""A micro-expression lasts at most this long (Yan et al. 2013, How fast are the leaked facial expressions)."""


class Limits(Record, frozen=True):
    """Where the gate draws its lines.

    Those of black, no_face and frozen are definitions. The others lie between what untouched mesh clips of four drawn
    faces reach and what failures made from them reach (``bench/adherence.py --calibrate``, 256 px, 24 fps; in
    brackets); the bench reports on other faces. The mesh renderer moves skin by the muscle model that the gate measures
    with, and is exactly on time: on generated video, look at the measured values before trusting the verdicts.

    Attributes:
        max_black_share: share of frames that may be black.
        min_face_share: share of the frames looked at that must show a face.
        max_repeated_share: share of frames that may repeat the one before. Half of them do where a clip of half the
            frame rate was doubled, which is no frozen clip.
        min_likeness: of `Measured.likeness` (untouched at least 0.96; another face blended in wholly at most 0.75, by
            half 0.48 to 0.95).
        max_unexplained_mm: of `Measured.unexplained_mm` (untouched at most 1.45; bent by 3 mm at least 1.79, slowly
            towards another face at least 1.49).
        max_duration_ms: longest movement, a micro-expression's 500 ms (`MICRO_MS`).
        duration_slack_ms: that the measured duration may be longer: 24 ms were seen, and three times that is allowed
            (movements of 700 ms are measured as at least 600).
        onset_tolerance_ms: largest distance of the measured onset from the intended one (untouched at most 52). More
            than the apex's, as the onset is extrapolated and small movements drown at first.
        apex_tolerance_ms: the same of the apex (untouched at most 40). Two and a half times that, because a video
            model that works on groups of frames is less exact than the mesh, and still within the movement.
        min_agreement: of `adherence.agreement`, cosine between intended and measured movement of the regions
            (untouched at least 0.61, slow at least 0.56; AUs elsewhere at most 0.02).
    """

    max_black_share: float = 0.0
    min_face_share: float = 0.75
    max_repeated_share: float = 0.6
    min_likeness: float = 0.9
    max_unexplained_mm: float = 1.6
    max_duration_ms: float = MICRO_MS
    duration_slack_ms: float = 75.0
    onset_tolerance_ms: float = 150.0
    apex_tolerance_ms: float = 100.0
    min_agreement: float = 0.4


class Intended(Record, frozen=True):
    """Labels of a clip's spec; nothing in it is measured but the place of the face.

    Attributes:
        onset_ms, apex_ms, offset_ms: None for neutral.
        aus: AU and side ("L12", "4") to intensity at the apex.
        moves_skin: whether one of the AUs moves skin; gaze (61 to 64) and head codes (51 to 58) do not.
        regions: regions that the AUs move on this face; empty where no face was found.
        displacement_mm: (x, y) of each of `REGIONS` at the apex, x to the subject's left, y up; empty like regions.
    """

    onset_ms: float | None
    apex_ms: float | None
    offset_ms: float | None
    aus: dict[str, float]
    moves_skin: bool
    regions: tuple[str, ...] = ()
    displacement_mm: tuple[tuple[float, float], ...] = ()


class Measured(Record, frozen=True):
    """Labels measured on a clip's frames. None is "not there to be measured"; nothing in it is intended.

    Attributes:
        n_frames: frames seen.
        black_share: share of black frames (`BLACK_LEVEL`), 0..1.
        repeated_share: share of frames that repeat the one before (`REPEATED_GREY`), 0..1.
        face_share: share of the frames looked at that show a face; 0 where the first frames show none.
        n_movements: facial movements found, blinks left out.
        onset_ms, apex_ms, offset_ms: of the strongest movement; onset or offset None where the clip begins or
            ends within it.
        duration_ms: from onset to offset; where one of them is not in the clip, from or to the clip's end: at least.
        peak_mm: largest mean displacement of a facial region, head motion removed; None for lids alone.
        eyes_only: whether only the lids move.
        regions: of `equime.motion.track.REGIONS` that moved.
        displacement_mm: (x, y) of each of `REGIONS` at the apex against rest; x to the subject's left, y up. Empty
            without a movement.
        aus: AU and side ("L12", "4") to intensity at the apex, those of at least `AU_PRESENT`.
        blinks_ms: start and end of every blink, lids open to lids open again.
        likeness: how much the skin's pattern stays that of the first face, -1..1, the least of the frames looked at.
        unexplained_mm: largest movement since the first frame that neither a head nor facial muscles explain.
    """

    n_frames: int
    black_share: float
    repeated_share: float
    face_share: float
    n_movements: int = 0
    onset_ms: float | None = None
    apex_ms: float | None = None
    offset_ms: float | None = None
    duration_ms: float | None = None
    peak_mm: float | None = None
    eyes_only: bool = False
    regions: tuple[str, ...] = ()
    displacement_mm: tuple[Vector, ...] = ()
    aus: dict[str, float] = msgspec.field(default_factory=dict)
    blinks_ms: tuple[Vector, ...] = ()
    likeness: float | None = None
    unexplained_mm: float | None = None


class Verdict(Record, frozen=True):
    """What the gate says.

    Attributes:
        accepted: whether the clip shows what was intended.
        reason: one of `REASONS`; None where accepted.
        message: in words, with the measured value and the limit.
        value, limit: of the reason; None where accepted or where there is no number.
    """

    accepted: bool
    reason: Reason | None
    message: str
    value: float | None = None
    limit: float | None = None


class Adherence(Record, frozen=True):
    """Everything the gate knows of a clip.

    Attributes:
        intended, measured: kept apart.
        onset_error_ms, apex_error_ms: measured less intended; None where one is missing.
        agreement: cosine of `agreement`; None without a movement or a command that moves skin.
        verdict: by the limits that were given.
    """

    intended: Intended
    measured: Measured
    onset_error_ms: float | None
    apex_error_ms: float | None
    agreement: float | None
    verdict: Verdict
