"""Training pairs: onset and apex of synthetic micro-expressions as a set of coded clips.

Only the two instants are rendered, so a pair costs a fraction of a clip. The set is synthetic, its subjects are the
faces. A folder ``pairs/<name>`` appears when it is complete, the records are written last; a run that was broken off
continues, and the number of workers changes nothing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from equime.coded import FORMAT_VERSION, CodedClip, CodedInfo, CodedSet, Finding, coded_id, write_set
from equime.errors import InputError, WorkError
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.ingest import ingest_faces
from equime.generation_pipeline.pair_faces import draw_faces
from equime.generation_pipeline.pair_plan import plan_pair
from equime.generation_pipeline.pair_recipe import Recipe
from equime.generation_pipeline.pair_render import (
    FACTORY,
    PAIRS,
    Block,
    PairConfig,
    Seat,
    is_complete,
    pair_name,
)
from equime.generation_pipeline.sources import find_faces
from equime.locks import HIDDEN, RunLock, Shard
from equime.progress import Progress, Silent
from equime.provenance import provenance
from equime.records import disk_guard, write_atomic
from equime.runner import Task, n_workers, run
from equime.seeding import canonical_json
from equime.types import Record

CORPUS: Final = "equime_pairs"
SETTINGS: Final = "pairs.json"
VERSION: Final = 1
"""Raise it when the same recipe gives other pixels."""
FPS: Final = 5.0
"""Onset and apex 200 ms apart, the median of DFME's coding."""
_DRAWN: Final = re.compile(r"drawn:(\d+)(?:-(\d+))?")


@dataclass(frozen=True)
class PairsReport:
    """What became of a run.

    Attributes:
        data: the written set.
        n_made: pairs rendered now.
        n_before: pairs that were there.
        n_faces: identities.
    """

    data: CodedSet
    n_made: int
    n_before: int
    n_faces: int


class PairSettings(Record, frozen=True):
    """``pairs.json``: what a folder of pairs was asked for. The number of pairs may grow, the rest may not change."""

    version: int
    seed: int
    recipe: Recipe
    faces: tuple[str, ...]


def make_pairs(
    faces: str | Path,
    out: Path,
    *,
    n: int,
    recipe: Recipe,
    seed: int = 0,
    workers: int | None = None,
    drawn: str | None = None,
    gates: Gates | None = None,
    progress: Progress | None = None,
) -> PairsReport:
    """Make a set of training pairs, or continue one.

    Args:
        faces: what `equime.generate` takes (folder, image, table), or "drawn:60" or "drawn:60-90" for default drawn
            identities by number.
        out: folder of the set.
        n: pairs in total; a later run may ask for more.
        recipe: what varies.
        seed: of all randomness.
        workers: processes; by default one per processor, 0 works in this process.
        drawn: further drawn identities beside ``faces``, written in the same way.
        gates: which photographs may be used.
        progress: is told of every pair.

    Raises:
        InputError: no usable face, or ``out`` holds pairs of other settings.
        WorkError: the disk refuses, or another run works there.
    """
    if n < 1:
        raise InputError(f"n = {n}: give the number of pairs, 1 or more")
    progress = progress or Silent()
    count = n_workers(workers)
    with RunLock(out, Shard()):
        sources = [str(faces)] + ([drawn] if drawn else [])
        seats = [s for i, text in enumerate(sources) for s in _seats(text, out, i, gates, count, progress)]
        seats = _unique(seats)
        _check_settings(out, PairSettings(
            version=VERSION, seed=seed, recipe=recipe, faces=tuple(seat.face.face_id for seat in seats)
        ))  # fmt: skip
        todo = [i for i in range(n) if not is_complete(out, i)]
        progress.start("clips", n, n - len(todo))
        lost = _make(out, todo, seats, recipe, seed, count, progress)
        data = _write(out, n, seats, recipe, seed, lost)
    return PairsReport(data, len(todo) - len(lost), n - len(todo), len(seats))


# -- faces -----------------------------------------------------------------------------------------------


def _seats(
    text: str, out: Path, index: int, gates: Gates | None, workers: int, progress: Progress
) -> list[Seat]:
    match = _DRAWN.fullmatch(text)
    root = out / "faces" / ("drawn" if match else f"given_{index}" if index else "given")
    with disk_guard(root):
        root.mkdir(parents=True, exist_ok=True)
    source = Path(text)
    if match:
        first, last = (0, int(match[1])) if match[2] is None else (int(match[1]), int(match[2]))
        if last <= first:
            raise InputError(f"faces {text!r}: no identity in it; use for example drawn:60 or drawn:60-90")
        source = draw_faces(root, first, last, workers, progress)
    elif text.startswith("drawn"):
        raise InputError(f"faces {text!r}: use drawn:60 for 60 drawn identities, or drawn:60-90")
    source = source.absolute()
    records = ingest_faces(source, find_faces(source), root, gates or Gates(), workers, progress)
    return [Seat(face=face, source=str(source), root=str(root)) for face in records]


def _unique(seats: Iterable[Seat]) -> list[Seat]:
    """One seat per identity: a subject that two sources name stays with the first."""
    kept: dict[str, Seat] = {}
    for seat in seats:
        kept.setdefault(seat.face.subject_id, seat)
    return list(kept.values())


def _check_settings(out: Path, settings: PairSettings) -> None:
    file = out / SETTINGS
    if not file.exists():
        write_atomic(file, canonical_json(settings) + b"\n")
        return
    try:
        before = msgspec.json.decode(file.read_bytes(), type=PairSettings)
    except (msgspec.DecodeError, msgspec.ValidationError, OSError) as error:
        raise InputError(f"{file}: cannot be read ({error}); choose another OUT") from None
    changed = [key for key in settings.__struct_fields__ if getattr(before, key) != getattr(settings, key)]
    if changed:
        raise InputError(
            f"{out}: holds pairs of other settings ({', '.join(changed)} differ); choose another OUT, or ask "
            "for the same (only the number of pairs may grow)"
        )


# -- rendering -------------------------------------------------------------------------------------------


def _make(
    out: Path, todo: list[int], seats: list[Seat], recipe: Recipe, seed: int, workers: int, progress: Progress
) -> dict[int, str]:
    """Render what is missing; numbers of the pairs that could not be made, with the reason."""
    lost: dict[int, str] = {}
    shutil.rmtree(out / HIDDEN / PAIRS, ignore_errors=True)  # what a killed run had begun
    config = PairConfig(out=str(out), seed=seed, recipe=recipe)
    tasks = _tasks(todo, seats, recipe)
    for outcome in run(FACTORY, config, tasks, workers=min(workers, len(todo))):
        block: Block = outcome.task.payload
        if outcome.error is not None:
            if outcome.error.fatal:
                raise WorkError(outcome.error.message)
            lost.update(dict.fromkeys(block.numbers, outcome.error.message))
        else:
            lost.update(outcome.value)
        progress.advance(len(block.numbers))
    return lost


def _tasks(todo: list[int], seats: list[Seat], recipe: Recipe) -> Iterator[Task]:
    blocks: dict[tuple[int, int], list[int]] = {}
    for number in todo:
        blocks.setdefault(_place(number, len(seats), recipe), []).append(number)
    for (face, variant), numbers in blocks.items():
        seat = seats[face]
        yield Task(seat.face.face_id, Block(msgspec.json.encode(seat), variant, tuple(numbers)))


def _place(number: int, n_faces: int, recipe: Recipe) -> tuple[int, int]:
    """Face and variant of a pair; a larger set begins with the smaller one."""
    return number % n_faces, number // n_faces // recipe.pairs_per_variant


# -- records ---------------------------------------------------------------------------------------------


def _write(out: Path, n: int, seats: list[Seat], recipe: Recipe, seed: int, lost: dict[int, str]) -> CodedSet:
    clips = tuple(_record(i, seats, recipe, seed) for i in range(n) if i not in lost)
    if not clips:
        raise WorkError(f"{out}: no pair could be made: {next(iter(lost.values()))}")
    info = CodedInfo(
        format_version=FORMAT_VERSION,
        corpus=CORPUS,
        root=".",
        licence="; ".join(sorted({seat.face.licence for seat in seats})),
        synthetic=True,
        cropped=recipe.crop.on,
        findings=_findings(lost),
        config={
            "n": n,
            "seed": seed,
            "recipe": recipe.name,
            "recipe_digest": recipe.digest,
            "faces": len(seats),
        },
        provenance=provenance(),
    )
    data = CodedSet(info, out.resolve(), clips)
    write_set(data, out)
    return data


def _findings(lost: dict[int, str]) -> tuple[Finding, ...]:
    by_reason: dict[str, list[int]] = {}
    for number, reason in sorted(lost.items()):
        by_reason.setdefault(reason, []).append(number)
    return tuple(
        Finding(
            code="pair_failed",
            message=f"{reason}; run the same command again, or leave that face out",
            clips=tuple(pair_name(i) for i in numbers[:20]),
            n=len(numbers),
            dropped=True,
        )
        for reason, numbers in by_reason.items()
    )


def _record(number: int, seats: list[Seat], recipe: Recipe, seed: int) -> CodedClip:
    face, variant = _place(number, len(seats), recipe)
    plan, name = plan_pair(recipe, seed, number), pair_name(number)
    subject = seats[face].face.subject_id
    codes = plan.codes()
    return CodedClip(
        clip_id=coded_id(CORPUS, subject, f"{name}/{seed}/{recipe.digest}"),
        corpus=CORPUS,
        subject_id=subject,
        name=name,
        file=f"{PAIRS}/{name}",
        kind="frames",
        fps=FPS,
        onset=1,
        apex=2,
        offset=2,
        emotion=plan.emotion,
        label=plan.label,
        aus=codes,
        au_text="+".join(f"{'' if c.side == 'both' else c.side[0].upper()}{c.au}{c.letter}" for c in codes),
        coded={"variant": str(variant), "group": plan.source},
    )
