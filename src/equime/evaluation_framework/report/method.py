"""How the numbers were computed, in sentences that the HTML and the Markdown report share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from equime.evaluation_framework.evaluation import Evaluation
from equime.face.au_fit import GROUPS

SUMMARY: Final = (
    "One value per clip. The interval is a bootstrap over whole subjects, because clips of one person are not "
    "independent; a dash means too few subjects. Of flags the mean is the share of clips where it is true."
)
NOTES: Final = "What a person should know of a clip; not an error."
DISTRIBUTIONS: Final = (
    "Every dot is a clip (up to 120 per emotion), the box holds the middle half, the thick line is the median, "
    "the thin line reaches to the last value within 1.5 box lengths. Metrics that are equal in all clips are "
    "left out."
)
SCORE: Final = (
    "Clips are ordered by a score from 0 to 1, an aid for looking at them and no measure to report; what it is "
    "made of stands at the end of this report."
)
SCORE_METHOD: Final = (
    "The plain mean of the parts below that apply to a clip, each from 0 (worst) to 1 (best), held down where a "
    "clip or a share of it is frozen, or a movement was intended and none was found. Its bounds are round numbers "
    "and were not fitted to ratings. Do not report it and do not compare data sets by it."
)
STRIPS: Final = (
    "Seven frames around the movement and, last, the change between onset and apex: grey is no change, and a "
    "picture that is all grey is a clip in which nothing happened."
)
ACTION_UNITS: Final = (
    "Mean measured intensity (FACS, 0 to 5) of the Action Unit in the column, over clips in which the one of "
    "the row was commanded. The outlined diagonal is what should be there. A cell beside it counts only clips "
    "in which its column was not commanded, so it shows movement that nobody asked for; it is empty where the "
    "two were always commanded together. The muscles that commanded are the muscles that measure. Action Units "
    f"that move the skin alike are to be read together: {'; '.join(', '.join(map(str, g)) for g in GROUPS)}."
)
TIMING: Final = (
    "Measured from optical flow with head motion removed. On the dashed line, measured and true are equal."
)
CRITERION: Final = (
    "Durations: filled dots are measured, rings are true. A movement counts as a micro-expression when its onset "
    "phase is at most 250 ms or its total at most 500 ms; the shaded corner meets neither."
)
PUBLISHED: Final = (
    "EquiME published means of five metrics for its own clips and for three other sets. Its PSNR and SSIM are "
    "between consecutive frames of one clip: they measure smoothness, rise with the frame rate, and are best for a "
    "still picture. Its PSNR was computed on uint8 differences that wrap at 256, so only "
    "psnr_wrapped_consecutive_db is the same number. In grey, and hollow in the plots: not comparable."
)


def caveats(evaluation: Evaluation) -> Iterator[str]:
    """What a reader must know before quoting a number."""
    columns = set(evaluation.metrics)
    if columns & {"psnr_consecutive_db", "ssim_consecutive"}:
        yield (
            "PSNR and SSIM between consecutive frames measure smoothness. They reward a still clip: identical "
            "frames have the highest SSIM and the largest PSNR. Read them only together with is_frozen and "
            "motion_energy; they are no measure of how a face looks."
        )
    if "psnr_wrapped_consecutive_db" in columns:
        yield (
            "psnr_wrapped_consecutive_db repeats what published scripts computed: the difference of two uint8 "
            "pictures, squared, both modulo 256. The mean squared error is then at most 255, PSNR at least "
            "24.17 dB, and a grey-level difference of 16 counts as none. It is here for comparison with "
            "published tables and for nothing else."
        )
    if columns & {"psnr_source_db", "ssim_source"}:
        yield (
            "PSNR and SSIM against the source compare every frame with the source face (fidelity_reference "
            "says which picture that was). Movement lowers them, so the largest value is not the best clip."
        )
    if columns & {"brisque", "clip_iqa", "tv"}:
        yield (
            "Total variation, BRISQUE and CLIP-IQA are computed on grey frames, as EquiME publishes them; "
            "their values on colour frames differ."
        )
    if "measured_onset_ms" in columns:
        yield (
            "Onset, apex and offset are those of the largest facial movement outside of the eyes, in regions "
            "with the head's rigid motion removed. The criterion of a micro-expression is an onset phase of "
            "at most 250 ms or a total of at most 500 ms (Yan et al. 2013; it holds for 97 to 100 % of the "
            "coded clips of CASME II, SAMM, SMIC and DFME)."
        )
    if any(name.startswith("measured_au") for name in columns):
        yield (
            "Action Units are measured with the muscle model that also renders the clips of the mesh renderer. "
            "For such clips this checks that the commanded movement reaches the decoded file; it does not show "
            "that a FACS coder would agree."
        )
    yield (
        "Intervals are 95 % percentile bootstrap intervals over subjects, widened for few subjects (Hesterberg 2015); "
        "with fewer than 5 subjects there is none. A clip whose subject is not known counts as a subject of its own, "
        "which makes the interval too narrow where people return."
    )
    yield "A value that does not apply to a clip is left out of the mean; the column of clips says how many there were."
