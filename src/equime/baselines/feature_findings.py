"""What was noticed while features were made, brought together by kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from equime.baselines.feature_cache import Filled
from equime.baselines.inputs import Samples
from equime.coded import Finding

_NAMED: Final = 20

MEANINGS: Final[dict[str, str]] = {
    "no_frames": "no frames, the coding table was read alone; read the corpus folder",
    "missing_file": "nothing where the set says the frames are; read the corpus again, or copy what is missing",
    "missing_frame": "a frame that is needed is not there; check that table and folder count alike, or copy it again",
    "corrupt_frame": "a frame that cannot be read; copy it again",
    "corrupt_video": "a video that cannot be read; copy or make it again",
    "mixed_sizes": "frames of several sizes; scale or crop them alike",
    "no_face": "no face in the onset frame; for a corpus that comes cropped use crop none",
    "too_small": "a face too small for optical flow (below 16 px)",
    "failed": "an error that equime does not expect; please report it",
    "no_onset": "no onset is coded; the first frame was taken for it",
    "offset_before_onset": "the offset lies before the onset; the last frame was taken for the offset",
    "ends_early": "the frames end before the coded offset; what is there was used",
    "gap_in_frames": "gaps between onset and offset; what is there was used",
    "apex_spotted": "no apex is coded; the frame with the largest movement between onset and offset was taken",
    "apex_outside": "the apex lies outside of onset and offset and was not used, the frame with the largest movement "
    "between them was taken; correct the table",
    "no_movement": "no movement, so that an input is empty",
    "head_motion_kept": "the head's own motion could not be fitted and is kept",
    "flow_resized": "flow images of another size than the input; they were resized",
    "flow_channels": "the channels look like strain, v, u (an array written by OpenCV as BGR), not like u, v, strain; "
    "check what wrote them",
}
"""What a finding's code says of the clips."""

_LIKE_STRAIN: Final = 0.5
_MIN_IMAGES: Final = 20


def findings_of(names: Sequence[str], filled: Mapping[str, Filled]) -> tuple[Finding, ...]:
    """The findings of all inputs; a clip counts once for each code.

    Args:
        names: of the clips, by row.
        filled: `Input.key` to what became of it.
    """
    rows: dict[str, dict[int, tuple[str, bool]]] = {}
    for one in filled.values():
        for note in one.notes:
            for place, (code, text) in enumerate(note.notes):
                lost = not note.made and place == len(note.notes) - 1
                known = rows.setdefault(code, {}).get(note.row)
                rows[code][note.row] = (text, lost or bool(known and known[1]))
    findings = [_finding(code, found, names) for code, found in rows.items()]
    return tuple(sorted(findings, key=lambda f: (not f.dropped, f.code)))


def channel_findings(samples: Samples) -> tuple[Finding, ...]:
    """Whether the channels of flow images look as if they were stored the other way round.

    Scaled by its extremes, strain is dark with a few bright spots, u and v are grey.
    """
    rows = [i for i, clip in enumerate(samples.clips) if clip.kind == "flow"]
    arrays = [array for key, array in samples.inputs.items() if key.startswith("flow")]
    if len(rows) < _MIN_IMAGES or not arrays:
        return ()
    means = np.asarray(arrays[0][rows], np.float32).mean(axis=(0, 1, 2))
    if means[0] > _LIKE_STRAIN * means[2] or means[0] > _LIKE_STRAIN * means[1]:
        return ()
    text = f"their mean red, green and blue are {means[0]:.2f}, {means[1]:.2f} and {means[2]:.2f}"
    return (_finding("flow_channels", dict.fromkeys(rows, (text, False)), [c.name for c in samples.clips]),)


def _finding(code: str, found: dict[int, tuple[str, bool]], names: Sequence[str]) -> Finding:
    ordered = sorted(found)
    n, example = len(ordered), found[ordered[0]][0]
    clips = "clip" if n == 1 else "clips"
    return Finding(
        code=code,
        message=f"{n} {clips}: {MEANINGS[code]} ({example})",
        clips=tuple(names[row] for row in ordered[:_NAMED]),
        n=n,
        dropped=any(lost for _, lost in found.values()),
    )
