"""Empirical priors of the causal model: what coded micro-expressions look like.

The file that ships (``priors.json``) holds counts from the published coding tables of CASME II, SAMM and
DFME. A user's own file of the same schema takes its place (`equime fit-priors` makes one of coding tables); unknown
keys are ignored, known ones validated. Three names say where the shipped numbers come from; a file may use
``phase_durations_per_emotion``, ``phase_durations.pooled`` and ``intensity_letters`` instead, see `_NEUTRAL_NAMES`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final

import msgspec

from equime.action_units import ACTION_UNITS, EMOTIONS, LETTERS
from equime.errors import InputError, MissingError
from equime.seeding import content_id


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the parts of a priors file; keys that the model does not use are ignored."""


class AuSetCount(_Part, frozen=True):
    """How often one AU set was coded."""

    aus: tuple[int, ...]
    count: int


class EmotionSets(_Part, frozen=True):
    """AU sets coded for one emotion.

    Attributes:
        n_clips: clips behind the counts.
        sets: the sets seen at least twice.
        n_in_sets_seen_once: clips whose set was seen once; the file does not name those sets.
    """

    n_clips: int
    sets: tuple[AuSetCount, ...]
    n_in_sets_seen_once: int = 0


class Unilateral(_Part, frozen=True):
    """How often one AU was coded on one side only.

    Attributes:
        n: codes of this AU.
        unilateral: share coded on one side, 0..1.
        left_of_unilateral: share of those on the subject's left; None where there were none.
    """

    n: int
    unilateral: float
    left_of_unilateral: float | None = None


class LogNormal(_Part, frozen=True):
    """A log-normal duration in milliseconds."""

    n: int
    mu_log_ms: float
    sigma_log_ms: float
    median_ms: float


class PhaseDurations(_Part, frozen=True):
    """Durations of the two phases of a micro-expression."""

    onset_to_apex: LogNormal
    apex_to_offset: LogNormal


class Priors(_Part, frozen=True):
    """A validated priors file.

    Attributes:
        about: where the numbers come from.
        au_sets_per_emotion: emotion to its coded AU sets.
        unilateral_share_per_au: FACS number to its laterality; AUs that are not named are bilateral.
        phase_durations_per_emotion_DFME: emotion to its phase durations.
        phase_durations: corpus to its pooled phase durations; "DFME" times AUs forced on a neutral clip.
        intensity_letters_SAMM: FACS letter to its share (and "n").
        digest: content id of the whole file.
    """

    about: str
    au_sets_per_emotion: dict[str, EmotionSets]
    unilateral_share_per_au: dict[str, Unilateral]
    phase_durations_per_emotion_DFME: dict[str, PhaseDurations]
    phase_durations: dict[str, PhaseDurations]
    intensity_letters_SAMM: dict[str, float]
    digest: str = ""

    @property
    def emotions(self) -> tuple[str, ...]:
        """Emotions that these priors can draw, in the order of `EMOTIONS`; neutral is always one."""
        return tuple(e for e in EMOTIONS if e == "neutral" or e in self.au_sets_per_emotion)


POOLED_CORPUS: Final = "DFME"

_NEUTRAL_NAMES: Final = {
    "phase_durations_per_emotion": "phase_durations_per_emotion_DFME",
    "intensity_letters": "intensity_letters_SAMM",
}
"""Names without a corpus, for files that were not fitted to it, to the names of the shipped file."""


@functools.cache
def default_priors() -> Priors:
    """The priors that ship with equime."""
    name = "priors.json"
    data = resources.files("equime.generation_pipeline").joinpath(name).read_bytes()
    return parse_priors(data, name)


def load_priors(path: str | Path) -> Priors:
    """Read and validate a priors file.

    Raises:
        MissingError: where the file does not exist.
        InputError: with every problem found in it.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise MissingError(f"{path}: no such priors file; give the path of a JSON file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read as a priors file ({error.strerror})") from None
    return parse_priors(data, str(path))


def parse_priors(data: bytes, name: str) -> Priors:
    """Validate the bytes of a priors file; ``name`` is how errors call it.

    Raises:
        InputError: with every problem found.
    """
    try:
        plain = msgspec.json.decode(data)
        priors = msgspec.convert(_shipped_names(plain), Priors)
        digest = content_id(plain, 12)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{name}: not a priors file: {error}; start from the priors.json that ships with equime"
        ) from None
    problems = list(_problems(priors))
    if problems:
        raise InputError("\n".join(f"{name}: {problem}" for problem in problems))
    return msgspec.structs.replace(priors, digest=digest)


def _shipped_names(plain: Any) -> Any:
    """The file's content under the shipped file's names."""
    if not isinstance(plain, dict):
        return plain
    named = {_NEUTRAL_NAMES.get(key, key): value for key, value in plain.items()}
    durations = named.get("phase_durations")
    if isinstance(durations, dict) and "pooled" in durations:
        named["phase_durations"] = {**durations, POOLED_CORPUS: durations["pooled"]}
    return named


def _problems(priors: Priors) -> Iterator[str]:
    yield from _set_problems(priors)
    yield from _laterality_problems(priors)
    yield from _timing_problems(priors)
    yield from _letter_problems(priors)


def _set_problems(priors: Priors) -> Iterator[str]:
    key = "au_sets_per_emotion"
    if not priors.au_sets_per_emotion:
        yield f"{key} is empty; give the AU sets of at least one emotion"
    for emotion, sets in priors.au_sets_per_emotion.items():
        at = f"{key}.{emotion}"
        if emotion not in EMOTIONS or emotion == "neutral":
            allowed = ", ".join(e for e in EMOTIONS if e != "neutral")
            yield f"{at}: not an emotion with AU sets; allowed: {allowed}"
        if not sets.sets:
            yield f"{at}.sets is empty; give at least one AU set, or leave the emotion out"
        seen: set[frozenset[int]] = set()
        for i, entry in enumerate(sets.sets):
            if unknown := [au for au in entry.aus if au not in ACTION_UNITS]:
                yield f"{at}.sets[{i}].aus: AU {unknown} not known; see equime.action_units"
            if not entry.aus or len(set(entry.aus)) != len(entry.aus):
                yield f"{at}.sets[{i}].aus: {list(entry.aus)} is empty or repeats an AU"
            if entry.count < 1:
                yield f"{at}.sets[{i}].count: {entry.count} is below 1; leave out sets never seen"
            if frozenset(entry.aus) in seen:
                yield f"{at}.sets[{i}].aus: {list(entry.aus)} is listed twice; add the counts up"
            seen.add(frozenset(entry.aus))


def _laterality_problems(priors: Priors) -> Iterator[str]:
    for au, share in priors.unilateral_share_per_au.items():
        at = f"unilateral_share_per_au.{au}"
        if not (au.isdigit() and int(au) in ACTION_UNITS):
            yield f"{at}: not a known FACS number"
        for name in ("unilateral", "left_of_unilateral"):
            value = getattr(share, name)
            if value is not None and not 0 <= value <= 1:
                yield f"{at}.{name}: {value} is not a share in 0..1"
        if share.unilateral > 0 and share.left_of_unilateral is None:
            yield f"{at}.left_of_unilateral: missing, but {share.unilateral:g} of the codes are unilateral"


def _timing_problems(priors: Priors) -> Iterator[str]:
    key = "phase_durations_per_emotion_DFME"
    for emotion in priors.au_sets_per_emotion:
        if emotion not in priors.phase_durations_per_emotion_DFME:
            yield f"{key}.{emotion}: missing, but au_sets_per_emotion has {emotion}; give both or neither"
    if POOLED_CORPUS not in priors.phase_durations:
        yield f"phase_durations.{POOLED_CORPUS}: missing; it times AUs that are forced on a neutral clip"
    named = [(f"{key}.{e}", d) for e, d in priors.phase_durations_per_emotion_DFME.items()]
    named += [(f"phase_durations.{c}", d) for c, d in priors.phase_durations.items()]
    for at, durations in named:
        for phase in ("onset_to_apex", "apex_to_offset"):
            lognormal: LogNormal = getattr(durations, phase)
            if not 0.05 <= lognormal.sigma_log_ms <= 2:
                yield f"{at}.{phase}.sigma_log_ms: {lognormal.sigma_log_ms} is outside 0.05..2"
            if not 3.5 <= lognormal.mu_log_ms <= 6.5:
                yield (
                    f"{at}.{phase}.mu_log_ms: {lognormal.mu_log_ms} is outside 3.5..6.5 "
                    "(medians of 33 to 665 ms); it is the natural logarithm of milliseconds"
                )


def _letter_problems(priors: Priors) -> Iterator[str]:
    at, shares = "intensity_letters_SAMM", priors.intensity_letters_SAMM
    values = [shares.get(letter) for letter in LETTERS]
    if None in values:
        yield f"{at}: needs a share for each of A, B, C, D, E; has {', '.join(sorted(shares))}"
    given = [v for v in values if v is not None]
    if any(v < 0 for v in given) or not 0.9 <= sum(given) <= 1.1:
        yield f"{at}: shares {given} must be >= 0 and add up to 1 (0.9 to 1.1 for rounding)"
