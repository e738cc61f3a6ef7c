"""README.md of a fine-tuning export: what it holds, how its clips were made, how to train, whose faces they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from equime.generation_pipeline.finetune_export_configs import FIRST_FRAME_P, TRAIN, VALIDATION, commands

if TYPE_CHECKING:
    from equime.generation_pipeline.finetune_export import Manifest

_NAMED: Final = 20

_FRAMES: Final = {
    "ltx": (
        "The trainers take the first {frames} frames of a video for this bucket, so the videos are those of the data "
        "set, unchanged."
    ),
    "finetrainers": (
        "finetrainers would pick {frames} frames evenly from a longer video, which changes its speed. Longer clips "
        "are therefore cut after frame {frames}; the frames that stay are bit for bit those of the data set."
    ),
}
_FIRST_FRAME: Final = {
    "ltx": f"Training is given the first frame in {100 * FIRST_FRAME_P:.0f} % of the steps (set in the YAML files).",
    "finetrainers": (
        "finetrainers gives the first frame in 10 % of the steps, fixed in its code; for image-to-video the layout "
        "`ltx` lets you set more."
    ),
}


def readme(manifest: Manifest, out: Path) -> str:
    """The text.

    Args:
        manifest: everything but the digests.
        out: absolute path of the export.
    """
    return "\n".join(_lines(manifest, out)) + "\n"


def _lines(manifest: Manifest, out: Path) -> Iterator[str]:
    yield from _contents(manifest)
    yield from _shape(manifest)
    yield from (
        "",
        "## Training",
        "",
        commands(manifest.request.layout, manifest.bucket, out),
        _FIRST_FRAME[manifest.request.layout],
        "The configuration files name this folder by its absolute path; export again rather than move it. Rank, "
        "learning rate and steps are those of the trainers' examples and not tuned for faces. Measure what a trained "
        "model makes; what it was asked for is no label.",
    )
    yield from _licences(manifest)
    if manifest.findings:
        yield from ("", "## To know before training", "")
        yield from (f"* {text}" for text in manifest.findings)


def _contents(manifest: Manifest) -> Iterator[str]:
    request = manifest.request
    style = "the trigger word alone" if request.captions == "trigger" else f"style `{request.captions}`"
    trigger = f", after the trigger word `{request.trigger}`" if request.trigger else ""
    yield from (
        "# Synthetic micro-expressions for fine-tuning an image-to-video model",
        "",
        "Written by `equime export-finetune`. Every clip is synthetic. The faces are those of the source photographs, "
        "and a model trained on them may reproduce them.",
        "",
        "| | clips | people |",
        "|---|---|---|",
    )
    for split in (TRAIN, VALIDATION):
        yield f"| {split} | {manifest.n_clips[split]} | {len(manifest.people[split])} |"
    yield from (
        "",
        "Nobody is on both sides. `validation/` holds the clips of the people kept out, to compare with; the trainer "
        "generates a few of them anew from their first frame and caption.",
        "",
        f"Captions: {style}{trigger}. They say what movement was asked for, never what a person feels. `clips.jsonl` "
        "has a line per clip: files with digests, caption, licence, and which clip of the data set it is.",
    )


def _shape(manifest: Manifest) -> Iterator[str]:
    bucket = manifest.bucket
    made = ", ".join(f"{n} by {how}" for how, n in manifest.made.items())
    yield from (
        "",
        "## Frames and size",
        "",
        f"Bucket `{bucket.name}` (width, height, frames) at {bucket.fps:g} fps: LTX's VAE takes 8k + 1 frames and sides "
        f"that are multiples of 32. The shortest clip has {bucket.n_frames} frames. "
        + _FRAMES[manifest.request.layout].format(frames=bucket.frames)
        + f" Nothing is resampled, repeated or padded. Videos: {made}. A linked video is the very file of the data set "
        "(a hard link): do not edit it in place.",
        "",
        f"A sample is {bucket.tokens} tokens long. Less memory: export again with `--frames` of fewer, or give the "
        "trainer a smaller bucket of the same number of frames.",
    )
    if bucket.width != bucket.size_px:
        yield f"\nThe clips are {bucket.size_px} px wide; the trainer scales them to {bucket.width}."
    if manifest.left_out:
        yield f"\nLeft out, because the movement is not over by frame {bucket.frames}: {len(manifest.left_out)} clips."
        yield from (f"* {item.file}" for item in manifest.left_out[:_NAMED])
        if len(manifest.left_out) > _NAMED:
            yield f"* and {len(manifest.left_out) - _NAMED} more, see `manifest.json`"


def _licences(manifest: Manifest) -> Iterator[str]:
    yield from ("", "## Licences", "", "| licence of the source photograph | people |", "|---|---|")
    yield from (f"| {name} | {n} |" for name, n in manifest.licences.items())
    yield from (
        "",
        "The weights that you start from have a licence of their own (LTX-Video: by version, from 0.9.5 on an "
        "OpenRAIL-M; LTX-2: the LTX-2 Community License). What you train falls under it too.",
    )
