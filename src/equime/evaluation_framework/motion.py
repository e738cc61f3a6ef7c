"""Movement of the face in a clip, by optical flow, with the head's own motion taken off."""

from __future__ import annotations

from equime.evaluation_framework.annotators import ClipContext
from equime.evaluation_framework.motion_track import MotionTrack
from equime.frames import Frame


class MotionSession:
    """Fed every frame once; then gives the track."""

    def __init__(self, clip: ClipContext) -> None:
        self.clip = clip

    def feed(self, frame: Frame) -> None:
        """Take the next frame."""

    def finish(self) -> MotionTrack | None:
        """The track; None where no face was found."""
        return None
