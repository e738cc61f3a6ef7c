"""One number per clip by which a summary orders clips from worst to best.

**A sorting aid, not a published metric.** It says which clips to look at first. Its bounds are round numbers
between what sound clips and plainly broken ones show; they were not fitted to people's ratings. Do not report
it, do not compare data sets by it, do not train on it: report the columns it is made of.

The score is the plain mean of the parts that apply (`PARTS`), then held down by `Score.caps`. Measures between
consecutive frames (PSNR, SSIM and anything else that a still picture maximises) are not among its inputs, nor is
likeness to a clip's own first frame. A clip that stands still has the score 0 whatever else is good about it,
and one that rests for a share of its time cannot have more than the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from equime.annotation.annotators import Value
from equime.types import Record

NO_MOVEMENT_CAP: Final = 0.2
"""Most that a clip can have whose expression was intended and not found: such a clip has its label for nothing."""


class Score(Record, frozen=True):
    """A clip's place between worst (0) and best (1).

    Attributes:
        score: 0 to 1; None where no part applies.
        parts: name to value, 0 (worst) to 1 (best), of `PARTS` that apply.
        left_out: names of the parts that do not: without truth, not measured, or without a value.
        caps: (reason, most that the score could be) of what held it down, the strictest first.
        lowest: name of the lowest part, None where there is none.
    """

    score: float | None
    parts: dict[str, float]
    left_out: tuple[str, ...]
    caps: tuple[tuple[str, float], ...]
    lowest: str | None

    @property
    def reason(self) -> str:
        """Why the clip does not score higher, in a few words."""
        if self.caps:
            return self.caps[0][0]
        if self.lowest is None:
            return "nothing was measured"
        if self.parts[self.lowest] >= 1:
            return "no part below its best"
        return f"lowest part: {self.lowest} {self.parts[self.lowest]:.2f}"


@dataclass(frozen=True)
class Part:
    """One part of the score.

    Attributes:
        name: as in `Score.parts`.
        columns: it is made of.
        meaning: with the bounds, for the report's appendix.
        value: from a clip's row; None where the part does not apply.
    """

    name: str
    columns: tuple[str, ...]
    meaning: str
    value: Callable[[Mapping[str, Value]], float | None]


def clip_score(values: Mapping[str, Value]) -> Score:
    """Score of one clip.

    Args:
        values: a row of the joined tables, column to cell. Columns may be missing; None, NaN and pandas' NA are
            "does not apply".
    """
    parts, left_out = {}, []
    for part in PARTS:
        value = part.value(values)
        if value is None:
            left_out.append(part.name)
        else:
            parts[part.name] = min(1.0, max(0.0, value))
    mean = sum(parts.values()) / len(parts) if parts else 1.0
    caps = tuple(sorted((c for c in _caps(values) if c[1] < mean), key=lambda cap: cap[1]))
    score = min([mean, *(most for _, most in caps)]) if parts or caps else None
    return Score(
        score=score,
        parts=parts,
        left_out=tuple(left_out),
        caps=caps,
        lowest=min(parts, key=lambda name: parts[name]) if parts else None,
    )


def _caps(values: Mapping[str, Value]) -> list[tuple[str, float]]:
    found = []
    frozen, duplicate = _number(values, "frozen_share"), _number(values, "duplicate_share")
    if _flag(values, "is_frozen"):
        found.append(("frozen: the whole clip is one picture", 0.0))
    elif frozen is not None and frozen > 0:
        found.append((f"frozen for {frozen:.0%} of its time", max(0.0, 1 - frozen)))
    if duplicate is not None and duplicate >= 1:
        found.append(("every frame repeats the one before", 0.0))
    if _movement_missing(values):
        found.append(("movement intended, none found", NO_MOVEMENT_CAP))
    return found


def _movement_missing(values: Mapping[str, Value]) -> bool:
    """Whether an expression was intended and none was found.

    ``intended_onset_ms`` says that one was, or an emotion other than neutral.
    """
    if _flag(values, "movement_found") is not False:
        return False
    emotion = values.get("emotion")
    labelled = isinstance(emotion, str) and emotion not in ("", "neutral")
    return labelled or _number(values, "intended_onset_ms") is not None


def _is_missing(value: object) -> bool:
    return (
        value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))
    )


def _number(values: Mapping[str, Value], name: str) -> float | None:
    value = values.get(name)
    return None if _is_missing(value) or isinstance(value, str) or value is None else float(value)


def _flag(values: Mapping[str, Value], name: str) -> bool | None:
    value = _number(values, name)
    return None if value is None else bool(value)


def _between(value: float | None, worst: float, best: float) -> float | None:
    """Linear from 0 at ``worst`` to 1 at ``best``, clipped; None for None."""
    return None if value is None else min(1.0, max(0.0, (value - worst) / (best - worst)))


def _scaled(name: str, worst: float, best: float) -> Callable[[Mapping[str, Value]], float | None]:
    return lambda values: _between(_number(values, name), worst, best)


def _truth(name: str, good: bool) -> Callable[[Mapping[str, Value]], float | None]:
    def value(values: Mapping[str, Value]) -> float | None:
        flag = _flag(values, name)
        return None if flag is None else float(flag is good)

    return value


def _mean(*found: float | None) -> float | None:
    there = [value for value in found if value is not None]
    return sum(there) / len(there) if there else None


def _likeness(values: Mapping[str, Value]) -> float | None:
    if values.get("fidelity_reference") != "photograph":
        return None
    psnr = _between(_number(values, "psnr_source_db"), 15, 35)
    return _mean(psnr, _between(_number(values, "ssim_source"), 0.5, 0.95))


def _naturalness(values: Mapping[str, Value]) -> float | None:
    brisque = _between(_number(values, "brisque"), 80, 20)
    return _mean(brisque, _between(_number(values, "clip_iqa"), 0.2, 0.8))


def _movement(values: Mapping[str, Value]) -> float | None:
    found, false = _flag(values, "movement_found"), _flag(values, "false_movement")
    if false or _movement_missing(values):
        return 0.0
    # Not found and not missing either: nothing moved, and nothing should have.
    return None if found is None and false is None else 1.0


def _timing(values: Mapping[str, Value]) -> float | None:
    errors = (_number(values, f"{phase}_error_ms") for phase in ("onset", "apex", "offset"))
    return _mean(*(None if error is None else _between(abs(error), 250, 0) for error in errors))


def _magnitude(values: Mapping[str, Value]) -> float | None:
    ratio = _number(values, "flow_ratio")
    return None if ratio is None else (0.0 if ratio <= 0 else min(ratio, 1 / ratio))


def _stream(values: Mapping[str, Value]) -> float | None:
    dropped, variable = _number(values, "n_dropped_frames"), _flag(values, "is_variable_rate")
    lost = None if dropped is None else float(dropped == 0)
    return _mean(lost, None if variable is None else float(not variable))


PARTS: Final = (
    Part("liveness", ("frozen_share",), "1 less the share of time in freezes.", _scaled("frozen_share", 1, 0)),
    Part("distinct_frames", ("duplicate_share",), "1 less the share of frames that repeat the one before.",
         _scaled("duplicate_share", 1, 0)),
    Part("steady_light", ("flicker",), "1 without flicker, 0 from an amplitude of 2 grey levels.",
         _scaled("flicker", 2, 0)),
    Part("no_blocking", ("blockiness",), "1 to 0.05 (x264 at crf 24), 0 from 0.3 (crf 51).",
         _scaled("blockiness", 0.3, 0.05)),
    Part("likeness", ("psnr_source_db", "ssim_source", "fidelity_reference"),
         "Mean of PSNR (15 to 35 dB) and SSIM (0.5 to 0.95) against the photograph; not against the clip's own "
         "first frame.", _likeness),
    Part("naturalness", ("brisque", "clip_iqa"), "Mean of BRISQUE (80 to 20) and CLIP-IQA (0.2 to 0.8).",
         _naturalness),
    Part("movement", ("movement_found", "false_movement", "intended_onset_ms", "emotion"),
         "1 where a movement is found or none was intended and none found; 0 where it is missing or false.",
         _movement),
    Part("duration", ("is_micro_duration",), "1 where the movement lasts as a micro-expression does.",
         _truth("is_micro_duration", True)),
    Part("timing", ("onset_error_ms", "apex_error_ms", "offset_error_ms"),
         "Mean over onset, apex and offset: 1 without error, 0 from 250 ms.", _timing),
    Part("direction", ("flow_cosine",), "Cosine between intended and measured movement, 0 to 1.",
         _scaled("flow_cosine", 0, 1)),
    Part("magnitude", ("flow_ratio",), "Ratio of measured and intended movement, the smaller over the "
         "larger.", _magnitude),
    Part("no_leakage", ("flow_leakage",), "1 without movement where none was intended, 0 from a leakage of 1.",
         _scaled("flow_leakage", 1, 0)),
    Part("au", ("au_passes",), "1 where the intended Action Units are found again.", _truth("au_passes", True)),
    Part("identity", ("identity_similarity",), "Similarity of the face at first frame and apex: 0 to 0.3, 1 from "
         "0.9.", _scaled("identity_similarity", 0.3, 0.9)),
    Part("stream", ("n_dropped_frames", "is_variable_rate"), "Mean of: no frame dropped, constant frame rate.",
         _stream),
)  # fmt: skip
"""Every part with its columns and bounds, in the order of the score."""
