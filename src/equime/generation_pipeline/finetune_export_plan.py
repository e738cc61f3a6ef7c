"""What a fine-tuning export holds: the bucket, the clips with their captions, who is kept for validation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from equime.dataset import ClipView
from equime.errors import InputError
from equime.generation_pipeline.captions import write_captions
from equime.generation_pipeline.estimate import NO_DERIVATIVES
from equime.seeding import uniforms
from equime.types import Captions, ClipSpec, Record

Layout = Literal["ltx", "finetrainers"]
CaptionStyle = Literal["plain", "short", "facs", "paraphrase", "trigger"]

FRAME_STEP: Final = 8
"""LTX's VAE makes one latent frame of 8 frames, after the first: clips have 8k + 1 frames."""
SIZE_STEP: Final = 32
"""LTX's VAE makes one latent pixel of 32 x 32: sides are multiples of 32."""
N_PROMPTS: Final = 4
"""Validation videos that a trainer makes each time; each costs as much as many training steps."""
TRAINER_FPS: Final = 25.0
"""What finetrainers trains with, whatever the clip (``LTXVideoModelSpecification.forward``: ``frame_rate = 25``)."""
MICRO_MS: Final = 500.0
"""Longest movement that is still called a micro-expression (Yan et al. 2013)."""


class Request(Record, frozen=True):
    """What was asked for; part of what tells one export from another.

    Attributes:
        layout: trainer that reads it: ``ltx`` (Lightricks' LTX-Video and LTX-2 trainers) or ``finetrainers``.
        captions: which of a clip's captions; ``paraphrase`` draws one of them, ``trigger`` is the trigger word alone.
        trigger: word before every caption, "" for none.
        validation: share of the people kept out of training, 0 to below 1.
        seed: of the draw of people, of paraphrases and of the order.
        frames: of the bucket, 8k + 1; None for the most that every clip has.
        include_failed: also clips that failed the quality gate.
        copy: copy files even where they could be linked.

    Raises:
        InputError: on making it, naming the option.
    """

    layout: Layout
    captions: CaptionStyle = "plain"
    trigger: str = ""
    validation: float = 0.1
    seed: int = 0
    frames: int | None = None
    include_failed: bool = False
    copy: bool = False

    def __post_init__(self) -> None:
        """Check values."""
        for name, value, known in (
            ("layout", self.layout, Layout),
            ("captions", self.captions, CaptionStyle),
        ):
            if value not in get_args(known):
                raise InputError(f"{name} {value!r} not known; use one of {', '.join(get_args(known))}")
        if not 0 <= self.validation < 1:
            raise InputError(
                f"validation {self.validation:g} is outside 0 to below 1; it is a share of the people"
            )
        if self.captions == "trigger" and not self.trigger.strip():
            raise InputError("captions 'trigger' needs a trigger word; give --trigger WORD")
        if self.frames is not None and (self.frames < FRAME_STEP + 1 or self.frames % FRAME_STEP != 1):
            below = max(FRAME_STEP + 1, (self.frames - 1) // FRAME_STEP * FRAME_STEP + 1)
            raise InputError(
                f"frames {self.frames} is not 8k + 1, which LTX's VAE needs; use {below} or {below + FRAME_STEP}"
            )


class Bucket(Record, frozen=True):
    """The one shape that every training sample has.

    Attributes:
        width, height: pixels, multiples of 32.
        frames: 8k + 1.
        fps: of the clips.
        n_frames: of the shortest clip, before the cut.
        size_px: side of the clips, before the trainer scales them.
    """

    width: int
    height: int
    frames: int
    fps: float
    n_frames: int
    size_px: int

    @property
    def name(self) -> str:
        """``WxHxF``, as LTX's trainers write it."""
        return f"{self.width}x{self.height}x{self.frames}"

    @property
    def tokens(self) -> int:
        """Length of the transformer's sequence: (W/32)(H/32)((F-1)/8 + 1)."""
        return self.width // SIZE_STEP * (self.height // SIZE_STEP) * ((self.frames - 1) // FRAME_STEP + 1)

    @property
    def latent_ms(self) -> float:
        """How long one latent frame is."""
        return FRAME_STEP * 1000 / self.fps


@dataclass(frozen=True)
class Sample:
    """One clip of the export.

    Attributes:
        view: the clip.
        split: ``train`` or ``validation``.
        caption: one line, with the trigger word.
        rewritten: whether the caption had to change because the clip's last frames are cut.
    """

    view: ClipView
    split: str
    caption: str
    rewritten: bool


class LeftOut(Record, frozen=True):
    """A clip that is not exported although it was selected."""

    clip_id: str
    file: str
    reason: str


def choose_bucket(views: Sequence[ClipView], frames: int | None) -> Bucket:
    """The bucket of clips that all have one size and rate.

    Raises:
        InputError: several sizes or rates, sides below 32 pixels, clips of fewer than 9 frames or than asked for.
    """
    shapes = Counter((view.clip.width, view.clip.height, view.clip.fps) for view in views)
    if len(shapes) > 1:
        listed = ", ".join(f"{n} of {w}x{h} at {fps:g} fps" for (w, h, fps), n in shapes.most_common(4))
        raise InputError(
            f"clips of several shapes ({listed}); the trainers take one bucket, export each alone"
        )
    width, height, fps = next(iter(shapes))
    if min(width, height) < SIZE_STEP:
        raise InputError(
            f"clips of {width}x{height} px; LTX needs at least {SIZE_STEP}, make them larger (--size)"
        )
    shortest = min(views, key=lambda view: view.clip.n_frames).clip
    most = (shortest.n_frames - 1) // FRAME_STEP * FRAME_STEP + 1
    if most <= FRAME_STEP:
        raise InputError(f"{shortest.file}: {shortest.n_frames} frames; LTX needs at least {FRAME_STEP + 1}")
    if frames is not None and frames > most:
        raise InputError(f"frames {frames}: {shortest.file} has {shortest.n_frames}; use at most {most}")
    return Bucket(
        width=width // SIZE_STEP * SIZE_STEP,
        height=height // SIZE_STEP * SIZE_STEP,
        frames=frames or most,
        fps=fps,
        n_frames=shortest.n_frames,
        size_px=width,
    )


def whole_movement(view: ClipView, bucket: Bucket) -> bool:
    """Whether the bucket's frames show the movement to its end; neutral clips always pass."""
    timing = view.clip.timing
    return timing is None or timing.offset_frame < bucket.frames


def validation_people(people: Iterable[str], share: float, seed: int) -> frozenset[str]:
    """The subjects that are kept out of training.

    Every subject has a place of its own in the seed's order, so that another subject moves nobody else in it.

    Args:
        people: subject ids.
        share: of the people, rounded; at least one where it is above 0.
        seed: of the order.

    Raises:
        InputError: where nobody would be left to train on.
    """
    names = sorted(set(people))
    if share == 0:
        return frozenset()
    if len(names) < 2:
        raise InputError(
            f"one person alone ({', '.join(names)}) cannot be on both sides; give --validation 0 or more faces"
        )
    n_kept = min(len(names) - 1, max(1, round(share * len(names))))
    order = sorted(names, key=lambda name: (uniforms(2, seed, "finetune", "validation", name), name))
    return frozenset(order[:n_kept])


def make_samples(views: Sequence[ClipView], bucket: Bucket, request: Request) -> list[Sample]:
    """The clips with caption and side, in an order drawn from the seed.

    The order is drawn because finetrainers shuffles a few neighbours only, and a plan has a person's clips side by
    side.

    Raises:
        InputError: a clip without the caption asked for, or nobody left to train on.
    """
    kept = validation_people((view.spec.subject_id for view in views), request.validation, request.seed)
    samples = []
    for view in views:
        caption, rewritten = caption_of(view, bucket, request)
        split = "validation" if view.spec.subject_id in kept else "train"
        samples.append(Sample(view=view, split=split, caption=caption, rewritten=rewritten))
    return sorted(
        samples, key=lambda s: (s.split, uniforms(2, request.seed, "finetune", "order", s.view.clip.clip_id))
    )


def caption_of(view: ClipView, bucket: Bucket, request: Request) -> tuple[str, bool]:
    """(caption on one line, whether it differs from the recorded one because of the cut).

    A caption counts blinks and says whether the movement is early or late. Both may change when the trainer sees fewer
    frames, and then the text is written again from the spec as far as it is shown.

    Raises:
        InputError: the clip has no such caption.
    """
    trigger = " ".join(request.trigger.split())
    if request.captions == "trigger":
        return trigger, False
    recorded, rewritten = _texts(view.clip.captions, request.captions), False
    if view.clip.n_frames > bucket.frames and recorded:
        n = len(view.clip.captions.paraphrases)
        written, shown = (
            _texts(write_captions(spec, view.clip.timing, n), request.captions)
            for spec in (view.described, shown_spec(view.described, bucket))
        )
        if written != shown:
            recorded, rewritten = shown, True
    if not recorded:
        raise InputError(
            f"{view.clip.file}: has no caption {request.captions!r}; use another of "
            f"{', '.join(get_args(CaptionStyle))}"
        )
    draw = uniforms(1, request.seed, "finetune", "caption", view.clip.clip_id)[0]
    text = recorded[int(draw * len(recorded))]
    return " ".join(f"{trigger} {text}".split()), rewritten


def shown_spec(spec: ClipSpec, bucket: Bucket) -> ClipSpec:
    """The spec as far as the bucket's frames show it; only good for writing text."""
    duration_ms = bucket.frames * 1000 / spec.fps
    gaze = tuple(shift for shift in spec.gaze if shift.start_ms < duration_ms)
    return msgspec.structs.replace(spec, duration_ms=duration_ms, gaze=gaze)


def _texts(captions: Captions, style: str) -> tuple[str, ...]:
    found = captions.paraphrases if style == "paraphrase" else (getattr(captions, style),)
    return tuple(text for text in found if text.strip())


def prompts(samples: Sequence[Sample]) -> list[Sample]:
    """Up to `N_PROMPTS` validation samples, different people and emotions first."""
    chosen: list[Sample] = []
    waiting = [sample for sample in samples if sample.split == "validation"]
    while waiting and len(chosen) < N_PROMPTS:
        people = Counter(s.view.spec.subject_id for s in chosen)
        emotions = Counter(s.view.spec.emotion for s in chosen)
        best = min(waiting, key=lambda s: people[s.view.spec.subject_id] + emotions[s.view.spec.emotion])
        waiting.remove(best)
        chosen.append(best)
    return chosen


def findings(samples: Sequence[Sample], bucket: Bucket, layout: Layout) -> list[str]:
    """Sentences that a user must know before training or giving weights away."""
    faces = {sample.view.face.subject_id: sample.view.face for sample in samples}
    licences = Counter(face.licence for face in faces.values())
    found = []
    for name, n in sorted(licences.items()):
        if name.lower() == "unknown":
            found.append(
                f"{n} face(s) without a licence: ask before you train on them or give the weights away"
            )
        elif any(word in name.lower() for word in NO_DERIVATIVES):
            found.append(f"{n} face(s) under {name!r}: weights trained on their clips may fall under it too")
    if len(licences) > 1:
        found.append(
            f"{len(licences)} licences of source faces: a release of the weights must satisfy all of them"
        )
    renderers = sorted({s.view.clip.renderer for s in samples if s.view.clip.labels == "measured"})
    if renderers:
        found.append(
            f"clips of renderer {', '.join(renderers)}: captions say what was measured, not what was intended"
        )
    if bucket.latent_ms > MICRO_MS / 2:
        found.append(
            f"one latent frame is {bucket.latent_ms:.0f} ms at {bucket.fps:g} fps, a micro-expression at most "
            f"{MICRO_MS:.0f} ms: LTX sees it in two or three latent frames; clips of a higher --fps show more"
        )
    if layout == "finetrainers" and bucket.fps != TRAINER_FPS:
        found.append(
            f"finetrainers trains every clip as if it had {TRAINER_FPS:g} fps: at {bucket.fps:g} fps a second of "
            f"these becomes {bucket.fps / TRAINER_FPS:.2f} s; the LTX trainers keep the rate of the file"
        )
    return found
