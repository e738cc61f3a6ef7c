"""Everything that one report says, and its sentences."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from equime.evaluation_framework.evaluation import Evaluation
from equime.evaluation_framework.published import PublishedRow, compare_with_published
from equime.evaluation_framework.report import facts, ground_truth
from equime.evaluation_framework.report.strips import Strip, strip
from equime.evaluation_framework.report.words import listing, plural, share
from equime.evaluation_framework.rules import load_rules
from equime.evaluation_framework.summary import RankedClip, best_and_worst, scores

if TYPE_CHECKING:
    import pandas as pd

N_WORST: Final = 5
N_BEST: Final = 3
NOT_ASKED: Final = "not asked for"
"""Reason that `choice` gives for annotators that nobody named."""

_KINDS: Final = {
    "dataset": "equime data set",
    "videos": "video files",
    "frames": "folders of frames",
}


@dataclass(frozen=True)
class Gate:
    """What the default rules of the quality gate would say.

    Attributes:
        rules: names of the rules whose column was measured.
        n_judged, n_passed: clips.
        broken: (rule, clips that break it), most frequent first.
    """

    rules: tuple[str, ...]
    n_judged: int
    n_passed: int
    broken: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Pick:
    """A clip that is shown.

    Attributes:
        clip_id, file, subject_id, emotion: which; None where not known.
        score: 0 to 1, by which clips are ordered.
        reason: what holds it down.
        strip: its frames.
    """

    clip_id: str
    file: str
    subject_id: str | None
    emotion: str | None
    score: float
    reason: str
    strip: Strip


@dataclass(frozen=True)
class Report:
    """All facts of one report; None stands for what was not measured."""

    evaluation: Evaluation
    title: str
    measured: tuple[tuple[str, str], ...]
    verdict: tuple[str, ...]
    counts: facts.Counts
    gate: Gate | None
    summary: tuple[facts.SummaryGroup, ...]
    problems: tuple[facts.Group, ...]
    notes: tuple[facts.Group, ...]
    scores: dict[str, float]
    distributions: tuple[facts.Distribution, ...]
    worst: tuple[Pick, ...]
    best: tuple[Pick, ...]
    au_table: ground_truth.AuTable | None
    timing: ground_truth.Timing | None
    published: tuple[PublishedRow, ...]


def collect(evaluation: Evaluation) -> Report:
    """Work out every fact; reads the frames of the clips that are shown and nothing else."""
    counts = facts.counts(evaluation)
    gate = judge(evaluation)
    worst, best = _picks(evaluation)
    timing = ground_truth.timing(evaluation)
    summary = facts.summary(evaluation)
    return Report(
        evaluation=evaluation,
        title=f"Evaluation of {Path(evaluation.path).name or evaluation.path}",
        measured=_measured(evaluation, counts),
        verdict=tuple(_verdict(evaluation, counts, gate, timing)),
        counts=counts,
        gate=gate,
        summary=summary,
        problems=facts.problem_groups(evaluation),
        notes=facts.note_groups(evaluation),
        scores={c.clip_id: c.score.score for c in scores(evaluation.clips) if c.score.score is not None},
        distributions=facts.distributions(evaluation),
        worst=worst,
        best=best,
        au_table=ground_truth.au_table(evaluation),
        timing=timing,
        published=_published(evaluation, summary),
    )


def judge(evaluation: Evaluation) -> Gate | None:
    """The default rules on every clip; None where no column of theirs was measured."""
    clips = evaluation.clips
    rules = [rule for rule in load_rules(None) if rule.column in evaluation.metrics and rule.column in clips]
    if not rules:
        return None
    broken: Counter[str] = Counter()
    n_passed = 0
    for row in records(clips[["emotion", *dict.fromkeys(rule.column for rule in rules)]]):
        failed = [
            rule.name
            for rule in rules
            if (rule.emotions is None or row["emotion"] in rule.emotions) and rule.breaks(row[rule.column])
        ]
        n_passed += not failed
        broken.update(failed)
    return Gate(tuple(rule.name for rule in rules), len(clips), n_passed, tuple(broken.most_common()))


def columns(clips: pd.DataFrame) -> dict[str, list[Any]]:
    """A table's columns as plain Python values, None where a cell has none."""
    found = {}
    for name in clips.columns:
        there = clips[name].notna().to_numpy()
        found[str(name)] = [
            _plain(v) if ok else None for v, ok in zip(clips[name].tolist(), there, strict=True)
        ]
    return found


def records(clips: pd.DataFrame) -> list[dict[str, Any]]:
    """The same row by row."""
    found = columns(clips)
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _measured(evaluation: Evaluation, counts: facts.Counts) -> tuple[tuple[str, str], ...]:
    """What was measured: name and value."""
    subjects = str(counts.n_subjects) if counts.n_subjects else "not known"
    found = [
        ("Path", evaluation.path),
        ("Kind", _KINDS[evaluation.kind]),
        ("Clips", f"{counts.n_clips:,}"),
        ("Subjects", subjects),
        ("Annotators", ", ".join(evaluation.annotators) or "none"),
    ]
    if evaluation.reference_path is not None:
        found.append(("Reference set", evaluation.reference_path))
    version = evaluation.provenance.versions.get("equime")
    if version:
        found.append(("equime", version))
    return tuple(found)


def _verdict(
    evaluation: Evaluation, counts: facts.Counts, gate: Gate | None, timing: ground_truth.Timing | None
) -> list[str]:
    """The findings in plain words."""
    of = f" of {plural(counts.n_subjects, 'subject')}" if counts.n_subjects else ""
    said = [f"{plural(counts.n_clips, 'clip')}{of}. {_problems(counts)}"]
    if counts.n_frozen is None:
        said.append("Whether clips are frozen was not measured.")
    elif counts.n_frozen == 0:
        said.append("No clip is frozen.")
    else:
        said.append(f"{_are(counts.n_frozen, counts.n_clips)} frozen: nothing moves.")
    if counts.n_moving is not None and counts.n_timed:
        micro = ""
        if counts.n_micro is not None:
            micro = f"; {counts.n_micro} of these movements are short enough for a micro-expression"
        said.append(f"Facial movement was found in {share(counts.n_moving, counts.n_timed)}{micro}.")
    errors = [e for e in timing.errors if e.absolute_ms.mean is not None] if timing is not None else []
    if errors:
        names = listing(e.phase for e in errors)
        said.append(
            f"Measured {names} lie {listing(f'{e.absolute_ms.mean:.0f}' for e in errors)} ms from the true times "
            "on average."
        )
    if counts.n_au_pass is not None and counts.n_au:
        said.append(f"The commanded Action Units were confirmed in {share(counts.n_au_pass, counts.n_au)}.")
    if gate is None:
        said.append("No rule of the default quality gate could be applied.")
    else:
        said.append(f"{share(gate.n_passed, gate.n_judged, 'clips')} pass the default quality gate.")
    lacking = [n.annotator for n in evaluation.not_run if n.reason != NOT_ASKED]
    if lacking:
        said.append(f"Could not be run: {listing(lacking)}.")
    return said


def _are(n: int, of: int) -> str:
    return f"{share(n, of, 'clips')} {'is' if n == 1 else 'are'}"


def _problems(counts: facts.Counts) -> str:
    if not counts.n_with_problem:
        return "Every clip could be read and measured."
    if counts.n_unread == counts.n_with_problem:
        return f"{share(counts.n_unread, counts.n_clips, 'clips')} could not be read."
    unread = f", {counts.n_unread} of them could not be read at all" if counts.n_unread else ""
    return f"{share(counts.n_with_problem, counts.n_clips, 'clips')} had a problem{unread}."


def _picks(evaluation: Evaluation) -> tuple[tuple[Pick, ...], tuple[Pick, ...]]:
    """The worst and the best clips, worst and best first."""
    best, worst = best_and_worst(evaluation.clips, N_WORST)
    best = best[:N_BEST]
    shown = evaluation.clips["clip_id"].isin([clip.clip_id for clip in (*best, *worst)])
    rows = {row["clip_id"]: row for row in records(evaluation.clips[shown])}
    picked = [[_pick(evaluation, clip, rows[clip.clip_id]) for clip in clips] for clips in (worst, best)]
    return tuple(picked[0]), tuple(picked[1])


def _pick(evaluation: Evaluation, ranked: RankedClip, row: dict[str, Any]) -> Pick:
    return Pick(
        clip_id=ranked.clip_id,
        file=ranked.file,
        subject_id=row["subject_id"],
        emotion=row["emotion"],
        score=ranked.score.score or 0.0,
        reason=ranked.reason,
        strip=strip(evaluation.root, row),
    )


def _published(evaluation: Evaluation, summary: tuple[facts.SummaryGroup, ...]) -> tuple[PublishedRow, ...]:
    """These clips beside the published means."""
    means = {
        row.metric.name: row.estimate for group in summary for row in group.rows if row.estimate is not None
    }
    fps, width, height = (_same(evaluation, name) for name in ("fps", "width", "height"))
    size_px = None if width is None or height is None else (int(width), int(height))
    return compare_with_published(means, fps=fps, size_px=size_px)


def _same(evaluation: Evaluation, column: str) -> float | None:
    """The value that all clips share; None where they differ or it was not measured."""
    if not facts.has(evaluation.clips, column):
        return None
    values = facts.numbers(evaluation.clips, column)
    values = values[np.isfinite(values)]
    return float(values[0]) if float(np.ptp(values)) < 1e-6 else None
