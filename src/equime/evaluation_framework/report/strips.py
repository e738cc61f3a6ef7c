"""Clips as strips of frames: around the micro-expression, with the change from onset to apex amplified."""

from __future__ import annotations

import base64
import io
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime.clip_sources import ClipSource
from equime.errors import EquimeError, WorkError
from equime.evaluation_framework.report.ground_truth import PHASES
from equime.frames import open_frames
from equime.preview import GAIN, difference
from equime.video import probe, read_frames_at

N_FRAMES: Final = 7
SIDE_PX: Final = 168
"""Longer side of a picture; shown at about two thirds of it."""

_QUALITY: Final = 82
_NAME_OF: Final = {0: "onset", 1: "apex", 2: "offset"}


@dataclass(frozen=True)
class Picture:
    """One picture of a strip.

    Attributes:
        caption: "apex", "" for a frame between, "apex - onset, x 4".
        frame: number from 0; None for the difference.
        time_ms: from the first frame; None for the difference, or where no frame rate is known.
        jpeg: the file.
        width, height: pixels.
    """

    caption: str
    frame: int | None
    time_ms: float | None
    jpeg: bytes
    width: int
    height: int

    @property
    def uri(self) -> str:
        """The picture as a ``data:`` address."""
        return "data:image/jpeg;base64," + base64.b64encode(self.jpeg).decode("ascii")


@dataclass(frozen=True)
class Strip:
    """A clip's pictures.

    Attributes:
        pictures: frames in order, then the difference; empty where the clip cannot be read.
        basis: where onset, apex and offset come from, in words.
        problem: why there are no pictures; "" where there are.
    """

    pictures: tuple[Picture, ...]
    basis: str
    problem: str = ""


def strip(root: Path, clip: dict[str, Any]) -> Strip:
    """The strip of a clip.

    Args:
        root: folder that ``clip["file"]`` is relative to.
        clip: its row of `Evaluation.clips`, None where it has no value.
    """
    basis = "evenly through the clip"
    try:
        n_frames, fps = _extent(root, clip)
        times = _times(clip) if fps is not None else None
        if times is None or fps is None:
            named: dict[int, str] = {}
            numbers = sorted({round(i * (n_frames - 1) / (N_FRAMES - 1)) for i in range(N_FRAMES)})
        else:
            basis, at_ms = times
            onset, apex, offset = (t * fps / 1000 for t in at_ms)  # The onset frame is the last neutral one.
            near = (math.floor(onset), round(apex), math.ceil(offset))
            three = [min(n_frames - 1, max(0, frame)) for frame in near]
            named = _captions(three)
            numbers = _spaced(three, n_frames)
        frames = _read(root, clip, numbers)
        first, second = _compared(numbers, named)
        change = difference(frames[first], frames[second])
    except (EquimeError, OSError, ValueError) as error:
        return Strip((), basis, " ".join(str(error).split()))
    pictures = [_picture(frames[i], named.get(i, ""), i, i * 1000 / fps if fps else None) for i in numbers]
    caption = f"{named.get(second, 'middle')} − {named.get(first, 'first')}, ×{GAIN:g}"
    return Strip((*pictures, _picture(change, caption, None, None)), basis)


def _extent(root: Path, clip: dict[str, Any]) -> tuple[int, float | None]:
    """Frames and frames per second, as measured, else as the file says; a folder may have no known rate."""
    n_frames, fps = clip.get("n_frames"), clip.get("fps")
    path = root / clip["file"]
    if n_frames and (fps or path.is_dir()):
        return int(n_frames), fps
    if path.is_dir():
        with open_frames(_source(root, clip)) as stream:
            return sum(1 for _ in stream.frames), fps
    found = probe(path)
    return found.n_frames, found.fps


def _times(clip: dict[str, Any]) -> tuple[str, list[float]] | None:
    """Onset, apex and offset in ms and where they come from: the true ones, else the measured ones."""
    for kind, basis in (("intended", "true times"), ("measured", "measured times")):
        found = [clip.get(f"{kind}_{phase}_ms") for phase in PHASES]
        if all(value is not None for value in found):
            return basis, [float(value) for value in found if value is not None]
    return None


def _captions(three: list[int]) -> dict[int, str]:
    """Frame number to the phases that it shows ("onset, apex" where both fall on one frame)."""
    named: dict[int, str] = {}
    for i, frame in enumerate(three):
        named[frame] = f"{named[frame]}, {_NAME_OF[i]}" if frame in named else _NAME_OF[i]
    return named


def _spaced(anchors: list[int], n_frames: int) -> list[int]:
    """The anchors and frames between and beside them, up to `N_FRAMES`, in order, none twice."""
    chosen = set(anchors)
    while len(chosen) < min(N_FRAMES, n_frames):
        ordered = sorted(chosen)
        gaps = [(b - a, -a, (a + b) // 2) for a, b in itertools.pairwise(ordered)]
        width, _, middle = max(gaps, default=(0, 0, 0))
        if width > 1:
            chosen.add(middle)
        else:  # The movement is shorter than the strip: what lies before and after it.
            beside = [i for i in (ordered[0] - 1, ordered[-1] + 1) if 0 <= i < n_frames]
            chosen.add(beside[len(chosen) % len(beside)])
    return sorted(chosen)


def _compared(numbers: list[int], named: dict[int, str]) -> tuple[int, int]:
    """Which two frames the difference is of: onset and apex, else the first and the middle one."""
    of_phase = {phase: frame for frame, text in named.items() for phase in text.split(", ")}
    if "onset" in of_phase:
        return of_phase["onset"], of_phase["apex"]
    return numbers[0], numbers[len(numbers) // 2]


def _source(root: Path, clip: dict[str, Any]) -> ClipSource:
    """A frame folder, to be read by frame number: its rate is of no consequence here."""
    return ClipSource(
        clip_id=str(clip["clip_id"]), file=clip["file"], root=str(root), kind="frames", input_digest="",
        fps=clip.get("fps") or 1.0,
    )  # fmt: skip


def _read(root: Path, clip: dict[str, Any], numbers: Iterable[int]) -> dict[int, NDArray[np.uint8]]:
    """The frames as RGB by their number; of a folder only those asked for are kept."""
    wanted = list(numbers)
    path = root / clip["file"]
    if not path.is_dir():
        return dict(zip(wanted, read_frames_at(path, wanted), strict=True))
    found = {}
    with open_frames(_source(root, clip)) as stream:
        for frame in stream.frames:
            if frame.index in wanted:
                found[frame.index] = np.ascontiguousarray(frame.bgr[:, :, ::-1])
            if frame.index >= max(wanted):
                break
    if len(found) < len(wanted):
        raise WorkError(f"{path}: has fewer frames than when it was measured; evaluate it again")
    return found


def _picture(rgb: NDArray[np.uint8], caption: str, frame: int | None, time_ms: float | None) -> Picture:
    """A small JPEG without metadata."""
    from PIL import Image  # noqa: PLC0415

    image = Image.fromarray(rgb)
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return Picture(caption, frame, time_ms, buffer.getvalue(), image.width, image.height)
