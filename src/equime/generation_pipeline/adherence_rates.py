"""Acceptance rates of the adherence gate by emotion and group: a gate can be unfair too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from equime import layout
from equime.records import iterate
from equime.types import Attempt, Face, Record


class Rate(Record, frozen=True):
    """Acceptance of one group.

    Attributes:
        by: what the groups are of ("emotion", "gender"); "all" for all clips.
        group: its name; "" for all clips.
        n: clips judged.
        n_people: people they show; clips of one person are not independent.
        n_accepted: clips accepted.
        share: of them, 0..1.
        low, high: 95 % interval of Wilson (1927) over clips; wider in truth, as people have several clips.
        reasons: reason to clips rejected for it.
    """

    by: str
    group: str
    n: int
    n_people: int
    n_accepted: int
    share: float
    low: float
    high: float
    reasons: dict[str, int]


class Judged(Record, frozen=True):
    """One judged clip, as `acceptance` counts it.

    Attributes:
        subject_id: whose face.
        reason: None where accepted.
        groups: "emotion", "gender", ... to the clip's group. A clip without one of them is not counted there.
    """

    subject_id: str
    reason: str | None
    groups: dict[str, str]


def groups_of(emotion: str | None, face: Face | None) -> dict[str, str]:
    """Groups of a clip: its emotion, and what the face's source declares.

    Gender, age in decades, ethnicity and every other declared attribute. Nothing is estimated, and what is not declared
    is no group.
    """
    groups = {"emotion": emotion} if emotion else {}
    if face is None:
        return groups
    declared = face.declared
    if declared.gender != "u":
        groups["gender"] = declared.gender
    if declared.age is not None:
        groups["age"] = f"{int(declared.age // 10) * 10:d}s"
    if declared.ethnicity is not None:
        groups["ethnicity"] = declared.ethnicity
    return groups | declared.extra


def judged_attempts(root: Path) -> list[Judged]:
    """Every attempt of a generating renderer in a data set, kept or not, once."""
    found = {
        (a.clip_id, a.attempt): a for path in layout.attempts_paths(root) for a in iterate(path, Attempt)
    }
    if not found:
        return []
    faces = {face.subject_id: face for face in iterate(root / layout.FACES, Face)}
    return [
        Judged(
            subject_id=a.subject_id,
            reason=None if a.accepted else a.reason or "refused",
            groups=groups_of(a.emotion, faces.get(a.subject_id)),
        )
        for a in found.values()
    ]


def acceptance(clips: Sequence[Judged]) -> list[Rate]:
    """Acceptance rates of all clips and by every group: a gate can be unfair too.

    Returns:
        All clips first, then by grouping and group, sorted; empty without clips.
    """
    if not clips:
        return []
    members: dict[tuple[str, str], list[Judged]] = {}
    for clip in clips:
        for key in clip.groups.items():
            members.setdefault(key, []).append(clip)
    return [_rate("all", "", clips), *(_rate(by, group, members[by, group]) for by, group in sorted(members))]


def _rate(by: str, group: str, clips: Sequence[Judged]) -> Rate:
    from scipy.stats import binomtest  # noqa: PLC0415

    reasons = Counter(clip.reason for clip in clips if clip.reason is not None)
    n_accepted = len(clips) - reasons.total()
    interval = binomtest(n_accepted, len(clips)).proportion_ci(method="wilson")
    return Rate(
        by=by,
        group=group,
        n=len(clips),
        n_people=len({clip.subject_id for clip in clips}),
        n_accepted=n_accepted,
        share=n_accepted / len(clips),
        low=float(interval.low),
        high=float(interval.high),
        reasons=dict(reasons.most_common()),
    )
