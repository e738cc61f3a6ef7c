"""What the labels of a clip say: the spec's, or what was measured where the renderer does not obey it.

An image-to-video model is asked for a movement and makes what it makes. Passing the wish off as the label would poison
every recogniser trained on it. Whoever reads labels (tables, captions, exports, training) therefore asks `described`;
whoever compares with what was meant (evaluation, the adherence gate, the audit) reads the spec.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np

from equime.types import Clip, ClipSpec, FrameTiming, Phases

_SLACK: Final = 0.01


def described(spec: ClipSpec, clip: Clip) -> ClipSpec:
    """A spec whose AUs, phases and blinks are those that a clip shows.

    The spec itself where nothing had to be measured (``clip.shown`` is None). Else blinks are the measured ones, and gaze
    and head, which are not measured, are empty; AUs and phases are the measured ones too unless ``clip.labels`` is
    "exact". Emotion and label semantics stay, as they name what was asked for; but a clip that was asked to move and does
    not is described as neutral.
    """
    shown = clip.shown
    if shown is None:
        return spec
    made = msgspec.structs.replace(spec, blinks=shown.blinks, gaze=(), head=())
    if clip.labels == "exact":
        return made
    if shown.phases is None and spec.phases is not None:
        return msgspec.structs.replace(made, emotion="neutral", aus=(), phases=None)
    return msgspec.structs.replace(made, aus=shown.aus if shown.phases else (), phases=shown.phases)


def measured_timing(phases: Phases | None, fps: float, n_frames: int) -> FrameTiming | None:
    """Frames of measured instants: the first after the onset, the one next to the apex, the last before the offset."""
    if phases is None:
        return None
    step = 1000.0 / fps
    onset = int(np.floor(phases.onset_ms / step + _SLACK)) + 1
    apex = round(phases.apex_ms / step)
    offset = int(np.ceil(phases.offset_ms / step - _SLACK)) - 1
    onset = min(max(onset, 0), n_frames - 1)
    return FrameTiming(
        onset_frame=min(onset, apex),
        apex_frame=apex,
        offset_frame=max(apex, min(offset, n_frames - 1)),
        onset_ms=phases.onset_ms,
        apex_ms=phases.apex_ms,
        offset_ms=phases.offset_ms,
    )
