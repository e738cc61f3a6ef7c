"""Design of experiments: which face gets which emotion, how often, and what that reaches.

Clips come in *blocks*: one identity, one noise draw (replicate), every emotion once. Emotion is therefore
balanced exactly within every identity and every group, and the clips of a block are noise twins. Blocks cycle
over the identities in a seeded order; with a target for declared groups, over the identities of the group
that is furthest behind. The sequence of blocks never looks ahead: a smaller plan is the beginning of a larger
one. Emotion is *assigned*, so every spec records the intervention ``do(emotion = ...)``.

With ``twins``, the noise belongs to the replicate alone: the n-th block of every identity shows the very same
expressions (AUs, timing, blinks, head motion, light), each a counterfactual ``twin_of`` the clip of the identity
that came first. What then differs between two clips is whose face it is, and nothing else.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from equime.action_units import EMOTIONS
from equime.errors import InputError
from equime.generation_pipeline.balance import EQUAL, Balance, block_faces, eligible
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.mechanisms import declared_groups
from equime.generation_pipeline.setting import validate_clip_format
from equime.seeding import uniforms
from equime.types import ClipSpec, Face, Record

__all__ = ["EQUAL", "PRESETS", "Assignment", "Balance", "Design", "DesignReport", "Preset", "plan"]


class Preset(Record, frozen=True):
    """A published data set's size and format.

    Attributes:
        name: as given on the command line.
        n_clips: clips in total.
        emotions: in which each identity is shown.
        fps, duration_ms, size_px: format of the clips.
    """

    name: str
    n_clips: int
    emotions: tuple[str, ...]
    fps: float = 24.0
    duration_ms: float = 6000.0
    size_px: int = 512


_FIVE: Final = ("happiness", "sadness", "surprise", "fear", "anger")
PRESETS: Final[dict[str, Preset]] = {
    preset.name: preset
    for preset in (
        Preset(name="equime", n_clips=75_000, emotions=_FIVE),
        Preset(name="me-vlm", n_clips=100_000, emotions=_FIVE),
    )
}
"""The data sets that EquiME's page describes, by name."""


class Assignment(NamedTuple):
    """One clip of a design, before anything is drawn.

    Attributes:
        face: whose clip.
        emotion: assigned.
        replicate: block of this identity, from 0; names the noise draw.
        sequence: number of the clip among the identity's, from 1.
    """

    face: Face
    emotion: str
    replicate: int
    sequence: int


class TargetReached(Record, frozen=True):
    """Share of one declared group: asked for and reached."""

    attribute: str
    group: str
    target: float
    reached: float
    n_identities: int


class DesignReport(Record, frozen=True):
    """What a design reaches, counted from its assignments.

    Attributes:
        n_clips: clips.
        n_identities: identities that get at least one clip.
        n_unused: faces that get none (too few clips, or outside every target group).
        n_incomplete: clips of the last block, where it does not hold every emotion; 0 where all blocks do.
        per_emotion: emotion to clips.
        per_group: attribute to group to clips; "not declared" where a face does not say.
        per_group_and_emotion: attribute to group to emotion to clips.
        min_per_identity, max_per_identity: clips per used identity.
        targets: what `balance` asked for.
        notes: what a person should know, in sentences.
    """

    n_clips: int
    n_identities: int
    n_unused: int
    n_incomplete: int
    per_emotion: dict[str, int]
    per_group: dict[str, dict[str, int]]
    per_group_and_emotion: dict[str, dict[str, dict[str, int]]]
    min_per_identity: int
    max_per_identity: int
    targets: tuple[TargetReached, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """A plan for a data set; iterate `assignments` or `specs`, read `report`.

    Attributes:
        faces: the identities to choose from; their order does not matter.
        n_clips: clips in total.
        seed: of the run.
        emotions: shown by every identity.
        balance: attribute to target shares of its groups (or `EQUAL`), over declared groups.
        fps, duration_ms, size_px: format of every clip.
        do: further interventions on every clip.
        twins: whether all identities show the same expressions.

    Raises:
        InputError: on construction, with every problem.
    """

    faces: Sequence[Face]
    n_clips: int
    seed: int
    emotions: tuple[str, ...] = _FIVE
    balance: Balance = field(default_factory=dict)
    fps: float = 24.0
    duration_ms: float = 6000.0
    size_px: int = 512
    do: Mapping[str, Any] = field(default_factory=dict)
    twins: bool = False

    def __post_init__(self) -> None:
        """Check everything before anything is drawn."""
        problems = _problems(self)
        for check in (self._check_format, self._check_balance):
            try:
                check()
            except InputError as error:
                problems.append(str(error))
        if problems:
            raise InputError("\n".join(problems))

    def assignments(self) -> Iterator[Assignment]:
        """The clips in order; constant memory beside the faces."""
        return itertools.islice(self._all(), self.n_clips)

    def specs(self, model: CausalModel) -> Iterator[ClipSpec]:
        """The clips' specs in order, drawn one by one.

        Raises:
            InputError: where the model's priors cannot draw one of the emotions, before the first spec.
        """
        if missing := [e for e in self.emotions if e not in model.priors.emotions]:
            raise InputError(
                f"emotions: the priors hold no AU sets for {', '.join(missing)}; "
                f"they hold {', '.join(model.priors.emotions)}"
            )
        return self._specs(model)

    def report(self) -> DesignReport:
        """Count what the design reaches."""
        return _report(self)

    def _specs(self, model: CausalModel) -> Iterator[ClipSpec]:
        first: dict[int, Face] = {}
        for clip in self.assignments():
            drawn_for = first.setdefault(clip.replicate, clip.face) if self.twins else clip.face
            spec = model.sample(
                drawn_for,
                self.seed,
                do={**self.do, "emotion": clip.emotion},
                replicate=clip.replicate,
                sequence=clip.sequence,
                fps=self.fps,
                duration_ms=self.duration_ms,
                size_px=self.size_px,
            )
            is_own = drawn_for.face_id == clip.face.face_id
            yield spec if is_own else model.twin_on_face(spec, clip.face, sequence=clip.sequence)

    def _all(self) -> Iterator[Assignment]:
        """Without end."""
        n_blocks: Counter[str] = Counter()
        for face in block_faces(self.faces, self.balance, self.seed):
            replicate = n_blocks[face.face_id]
            n_blocks[face.face_id] += 1
            first = 1 + replicate * len(self.emotions)
            for i, emotion in enumerate(self._shuffled(face, replicate)):
                yield Assignment(face, emotion, replicate, first + i)

    def _shuffled(self, face: Face, replicate: int) -> list[str]:
        """Emotions of a block in a random order: neither file numbers nor a partial block favour one."""
        whose = "twins" if self.twins else face.face_id
        keys = uniforms(len(self.emotions), self.seed, "design", whose, replicate)
        return [emotion for _, emotion in sorted(zip(keys, self.emotions, strict=True))]

    def _check_format(self) -> None:
        validate_clip_format(self.fps, self.duration_ms, self.size_px)

    def _check_balance(self) -> None:
        if self.faces:
            eligible(self.faces, self.balance)


def plan(
    faces: Sequence[Face],
    *,
    model: CausalModel,
    n_clips: int,
    seed: int,
    emotions: Sequence[str] = _FIVE,
    balance: Balance | None = None,
    fps: float = 24.0,
    duration_ms: float = 6000.0,
    size_px: int = 512,
    do: Mapping[str, Any] | None = None,
    twins: bool = False,
) -> Iterator[ClipSpec]:
    """The specs of a data set, streamed; see `Design` for the arguments and its report for what it reaches.

    Raises:
        InputError: with every problem, before the first spec.
    """
    design = Design(
        faces=faces,
        n_clips=n_clips,
        seed=seed,
        emotions=tuple(emotions),
        balance=balance or {},
        fps=fps,
        duration_ms=duration_ms,
        size_px=size_px,
        do=do or {},
        twins=twins,
    )
    return design.specs(model)


def _problems(design: Design) -> list[str]:
    problems = []
    if design.n_clips < 1:
        problems.append(f"clips {design.n_clips} is below 1; ask for at least one, for example --clips 100")
    if unknown := [e for e in design.emotions if e not in EMOTIONS]:
        problems.append(f"emotions: {', '.join(unknown)} not known; use any of {', '.join(EMOTIONS)}")
    if not design.emotions or len(set(design.emotions)) != len(design.emotions):
        problems.append(f"emotions {list(design.emotions)}: give at least one emotion, and each once")
    if not design.faces:
        problems.append("faces: there are none; every image was rejected or the source is empty")
    for name in ("face_id", "subject_id"):
        counts = Counter(getattr(face, name) for face in design.faces)
        if twice := [value for value, n in counts.items() if n > 1]:
            problems.append(f"faces: {name} {', '.join(twice[:5])} occurs more than once; keep one face each")
    if "emotion" in design.do:
        problems.append("do emotion: a design assigns the emotion itself; choose with emotions instead")
    return problems


def _report(design: Design) -> DesignReport:
    per_face: Counter[str] = Counter()
    cells: Counter[tuple[str, str, str]] = Counter()
    per_emotion: Counter[str] = Counter()
    groups = {face.face_id: declared_groups(face.declared) for face in design.faces}
    attributes = sorted({a for declared in groups.values() for a in declared})
    for clip in design.assignments():
        per_face[clip.face.face_id] += 1
        per_emotion[clip.emotion] += 1
        for attribute in attributes:
            group = groups[clip.face.face_id].get(attribute, "not declared")
            cells[attribute, group, clip.emotion] += 1
    crossed: dict[str, dict[str, dict[str, int]]] = {}
    for (attribute, group, emotion), n in sorted(cells.items()):
        crossed.setdefault(attribute, {}).setdefault(group, {})[emotion] = n
    per_group = {a: {g: sum(by.values()) for g, by in gs.items()} for a, gs in crossed.items()}
    n_incomplete = design.n_clips % len(design.emotions)
    targets = _reached(design, per_group, Counter(_used_groups(groups, per_face)))
    return DesignReport(
        n_clips=design.n_clips,
        n_identities=len(per_face),
        n_unused=len(design.faces) - len(per_face),
        n_incomplete=n_incomplete,
        per_emotion={e: per_emotion[e] for e in design.emotions},
        per_group=per_group,
        per_group_and_emotion=crossed,
        min_per_identity=min(per_face.values()),
        max_per_identity=max(per_face.values()),
        targets=targets,
        notes=tuple(_notes(design, n_incomplete, per_face, targets)),
    )


def _used_groups(groups: dict[str, dict[str, str]], per_face: Counter[str]) -> Iterator[tuple[str, str]]:
    for face_id in per_face:
        yield from groups[face_id].items()


def _reached(
    design: Design, per_group: dict[str, dict[str, int]], n_identities: Counter[tuple[str, str]]
) -> tuple[TargetReached, ...]:
    _, targets = eligible(design.faces, design.balance)
    return tuple(
        TargetReached(
            attribute=attribute,
            group=group,
            target=share,
            reached=per_group.get(attribute, {}).get(group, 0) / design.n_clips,
            n_identities=n_identities[attribute, group],
        )
        for attribute, shares in targets.items()
        for group, share in shares.items()
    )


def _notes(
    design: Design, n_incomplete: int, per_face: Counter[str], targets: tuple[TargetReached, ...]
) -> Iterator[str]:
    n_emotions = len(design.emotions)
    if n_incomplete:
        yield (
            f"{design.n_clips} clips are no multiple of {n_emotions} emotions: the last block holds "
            f"{n_incomplete} of {n_emotions}; {design.n_clips - n_incomplete} clips balance exactly"
        )
    if max(per_face.values()) - min(per_face.values()) > n_emotions:
        yield (
            f"identities get between {min(per_face.values())} and {max(per_face.values())} clips, because "
            "the targets reuse the identities of small groups"
        )
    tolerance = n_emotions / design.n_clips
    for t in targets:
        if abs(t.target - t.reached) > tolerance:
            yield f"{t.attribute}={t.group}: {t.reached:.3f} of the clips, not the target of {t.target:.3f}"
