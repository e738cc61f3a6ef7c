"""Priors of the causal model from coded clips: what `equime.generation_pipeline.priors` reads, fitted to a user's tables.

Only counts leave the tables: an AU set that one clip alone has is counted, never named, so that no row of a licensed
table can be read off the file. Micro-expressions alone are fitted; macro-expressions, emotions that equime does not
command, and blinks, gaze and head movements in the AU sets (the model draws those by themselves) are counted as findings.

Durations are maximum-likelihood log-normals of (apex - onset) / fps and (offset - apex) / fps over the clips that have
both frames apart; emotions with too few take the pooled durations.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.action_units import ACTION_UNITS, EMOTIONS, LETTERS
from equime.coded import CodedClip, Finding
from equime.errors import InputError
from equime.generation_pipeline.priors import Priors, default_priors, parse_priors
from equime.records import write_atomic
from equime.seeding import canonical_json

MIN_CLIPS: Final = 20
"""Clips with a duration that a log-normal of its own needs: the standard error of mu is then sigma / 4.5."""

MIN_CODES: Final = 10
"""Codes of an AU that a share of one-sided ones needs; AUs with fewer are taken for bilateral."""

MIN_LETTERS: Final = 30
SIGMA: Final = (0.2, 2.0)
"""Bounds of the log-normal's sigma: below, the model's limits on durations could lie outside of all of it."""

MU: Final = (3.5, 6.5)
POOLED: Final = "pooled"

_WORDS: Final = {"happy": "happiness", "sad": "sadness", "angry": "anger", "surprised": "surprise"}
_DRAWN_APART: Final = frozenset({45, *(n for n, au in ACTION_UNITS.items() if au.region in ("gaze", "head"))})
_PHASES: Final = {"onset_to_apex": ("onset", "apex"), "apex_to_offset": ("apex", "offset")}

Durations = dict[str, list[float]]
"""Phase to its durations in ms."""


@dataclass(frozen=True)
class FittedPriors:
    """A priors file that was fitted.

    Attributes:
        data: its content.
        priors: the same, validated.
        findings: what was left out or replaced.
    """

    data: dict[str, Any]
    priors: Priors
    findings: tuple[Finding, ...]

    def write(self, path: Path) -> None:
        """Write the file; `equime plan --priors` and `equime generate --priors` read it."""
        write_atomic(path, msgspec.json.format(canonical_json(self.data), indent=1) + b"\n")


def fit_priors(clips: Sequence[CodedClip], about: str) -> FittedPriors:
    """Fit a priors file.

    Args:
        clips: coded clips of one or several corpora.
        about: where they are from, for the file.

    Raises:
        InputError: no emotion with an AU set that two clips share, or no duration of one of the two phases.
    """
    findings: list[Finding] = []
    micro = _micro(clips, findings)
    usable = _of_known_emotions(micro, findings)
    sets = _au_sets(usable, findings)
    if not sets:
        raise InputError(
            f"no priors from {len(clips)} clips: {len(usable)} are micro-expressions of an emotion that equime knows "
            f"({', '.join(e for e in EMOTIONS if e != 'neutral')}), and no AU set is shared by two of one emotion; "
            "give coding tables with AUs"
        )
    data = {
        "about": about,
        "au_sets_per_emotion": sets,
        "unilateral_share_per_au": _laterality(usable, sets, findings),
        **_durations(micro, usable, sets, findings),
        "intensity_letters": _letters(usable, findings),
    }
    return FittedPriors(data, parse_priors(canonical_json(data), "the fitted priors"), tuple(findings))


def _note(findings: list[Finding], code: str, message: str, n: int, names: Iterable[str] = ()) -> None:
    if n:
        findings.append(Finding(code=code, message=message, n=n, clips=tuple(names)[:20]))


def _micro(clips: Sequence[CodedClip], findings: list[Finding]) -> list[CodedClip]:
    micro = [clip for clip in clips if clip.expression == "micro"]
    _note(findings, "macro_expressions", "macro-expressions are not fitted", len(clips) - len(micro))
    return micro


def _of_known_emotions(clips: Sequence[CodedClip], findings: list[Finding]) -> list[tuple[str, CodedClip]]:
    usable = []
    unknown: Counter[str] = Counter()
    for clip in clips:
        word = (clip.emotion or "").strip().lower()
        emotion = _WORDS.get(word, word)
        if emotion in EMOTIONS and emotion != "neutral":
            usable.append((emotion, clip))
        else:
            unknown[word or "(none)"] += 1
    _note(
        findings, "other_emotion", "clips of emotions that equime does not command count for the pooled durations only: "
        + ", ".join(f"{word} {n}" for word, n in unknown.most_common()), unknown.total(),
    )  # fmt: skip
    return usable


def _au_sets(usable: Sequence[tuple[str, CodedClip]], findings: list[Finding]) -> dict[str, Any]:
    """AU sets per emotion, as `priors.EmotionSets` has them."""
    sets: dict[str, dict[str, Counter[tuple[int, ...]]]] = {}
    left_out: Counter[int] = Counter()
    without = []
    for emotion, clip in usable:
        numbers = {code.au for code in clip.aus or ()}
        outside = {au for au in numbers if au not in ACTION_UNITS or au in _DRAWN_APART}
        left_out.update(outside)
        if numbers - outside:
            counts = sets.setdefault(emotion, {}).setdefault(clip.corpus, Counter())
            counts[tuple(sorted(numbers - outside))] += 1
        else:
            without.append(clip.name)
    _note(
        findings, "other_aus", "AU codes that are no part of the model's AU sets were left out of them: "
        + ", ".join(f"{au} {n} times" for au, n in sorted(left_out.items())), left_out.total(),
    )  # fmt: skip
    _note(
        findings,
        "no_aus",
        "clips without an AU that the model commands count for no AU set",
        len(without),
        without,
    )
    fitted = {emotion: _counted(sets[emotion]) for emotion in EMOTIONS if emotion in sets}
    few = {emotion: part["n_clips"] for emotion, part in fitted.items() if not part["sets"]}
    _note(
        findings, "too_few_clips", "emotions without any AU set that two clips share are left out of the priors: "
        + ", ".join(f"{emotion} ({n} clips)" for emotion, n in few.items()), sum(few.values()),
    )  # fmt: skip
    return {emotion: part for emotion, part in fitted.items() if emotion not in few}


def _counted(by_corpus: Mapping[str, Counter[tuple[int, ...]]]) -> dict[str, Any]:
    total: Counter[tuple[int, ...]] = sum(by_corpus.values(), Counter())
    ordered = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    return {
        "n_clips": total.total(),
        "n_by_corpus": {corpus: counts.total() for corpus, counts in sorted(by_corpus.items())},
        "sets": [{"aus": list(aus), "count": n} for aus, n in ordered if n > 1],
        "n_in_sets_seen_once": sum(1 for _, n in ordered if n == 1),
    }


def _laterality(
    usable: Sequence[tuple[str, CodedClip]], sets: Mapping[str, Any], findings: list[Finding]
) -> dict[str, Any]:
    """Share of one-sided codes per AU; an AU coded on both sides of a clip, together or each, is bilateral."""
    sides: dict[int, Counter[str]] = {}
    for _, clip in usable:
        coded: dict[int, set[str]] = {}
        for code in clip.aus or ():
            coded.setdefault(code.au, set()).add(code.side)
        for au, seen in coded.items():
            sides.setdefault(au, Counter())[seen.pop() if len(seen) == 1 else "both"] += 1
    used = {au for part in sets.values() for entry in part["sets"] for au in entry["aus"]}
    few = sorted(au for au in used if sides[au].total() < MIN_CODES)
    _note(
        findings, "few_codes", f"AUs with fewer than {MIN_CODES} codes are taken for bilateral: "
        + ", ".join(map(str, few)), len(few),
    )  # fmt: skip
    shares = {}
    for au in sorted(used - set(few)):
        n, left, right = sides[au].total(), sides[au]["left"], sides[au]["right"]
        one_sided = left + right
        shares[str(au)] = {
            "n": n,
            "unilateral": round(one_sided / n, 3),
            "left_of_unilateral": round(left / one_sided, 3) if one_sided else None,
        }
    return shares


def _durations(
    micro: Sequence[CodedClip], usable: Sequence[tuple[str, CodedClip]], sets: Mapping[str, Any],
    findings: list[Finding],
) -> dict[str, Any]:  # fmt: skip
    """Pooled, per corpus and per emotion, with what had too few clips replaced by the pooled ones."""
    pooled = _phases(micro)
    lacking = [phase.replace("_", " ") for phase, values in pooled.items() if len(values) < 2]
    if lacking:
        raise InputError(
            f"no priors from {len(micro)} micro-expressions: fewer than two have a duration from {' and '.join(lacking)}; "
            "give coding tables with onset, apex and offset"
        )
    n_without = len(micro) - min(len(values) for values in pooled.values())
    _note(
        findings, "no_duration", "clips where a phase has no length (frames not coded, or in one frame) count for no "
        "duration of that phase", n_without,
    )  # fmt: skip
    fitted = {POOLED: {phase: _lognormal(values, phase, findings) for phase, values in pooled.items()}}
    for corpus in sorted({clip.corpus for clip in micro}):
        values = _phases([clip for clip in micro if clip.corpus == corpus])
        if min(map(len, values.values())) >= MIN_CLIPS:
            fitted[corpus] = {
                phase: _lognormal(v, f"{corpus} {phase}", findings) for phase, v in values.items()
            }
    per_emotion, few = {}, {}
    for emotion in sets:
        values = _phases([clip for name, clip in usable if name == emotion])
        n = min(map(len, values.values()))
        if n >= MIN_CLIPS:
            per_emotion[emotion] = {p: _lognormal(v, f"{emotion} {p}", findings) for p, v in values.items()}
        else:
            per_emotion[emotion], few[emotion] = fitted[POOLED], n
    _note(
        findings, "pooled_durations", f"emotions with fewer than {MIN_CLIPS} clips with both durations take the pooled "
        "durations of all clips: " + ", ".join(f"{emotion} ({n})" for emotion, n in few.items()), len(few),
    )  # fmt: skip
    return {"phase_durations": fitted, "phase_durations_per_emotion": per_emotion}


def _phases(clips: Iterable[CodedClip]) -> Durations:
    values: Durations = {phase: [] for phase in _PHASES}
    for clip in clips:
        for phase, (first, last) in _PHASES.items():
            a, b = getattr(clip, first), getattr(clip, last)
            if a is not None and b is not None and b > a:
                values[phase].append(1000 * (b - a) / clip.fps)
    return values


def _lognormal(values: Sequence[float], name: str, findings: list[Finding]) -> dict[str, float | int]:
    logs = [math.log(value) for value in values]
    mu, sigma = statistics.fmean(logs), statistics.pstdev(logs)
    held = min(max(mu, MU[0]), MU[1]), min(max(sigma, SIGMA[0]), SIGMA[1])
    if held != (mu, sigma):
        _note(
            findings, "out_of_range", f"{name.replace('_', ' ')}: log-normal ({mu:.3f}, {sigma:.3f}) of {len(values)} "
            f"clips set to ({held[0]:.3f}, {held[1]:.3f}), the range that the model takes; check frames and fps",
            len(values),
        )  # fmt: skip
    return {
        "n": len(values),
        "mu_log_ms": round(held[0], 3),
        "sigma_log_ms": round(held[1], 3),
        "median_ms": round(math.exp(held[0]), 1),
    }


def _letters(usable: Sequence[tuple[str, CodedClip]], findings: list[Finding]) -> dict[str, float]:
    letters = Counter(
        code.letter for _, clip in usable for code in clip.aus or () if code.letter in LETTERS and code.letter
    )
    n = letters.total()
    if n < MIN_LETTERS:
        message = f"{n} AU codes with an intensity letter, fewer than {MIN_LETTERS}: the letters that ship with equime are used"
        findings.append(Finding(code="shipped_letters", message=message, n=n))
        return dict(default_priors().intensity_letters_SAMM)
    return {**{letter: round(letters[letter] / n, 3) for letter in LETTERS}, "n": n}
