"""Interventions ``do(node = value)`` as JSON data: parsing and validation per node.

=================  ==========================================================================================
node               values
=================  ==========================================================================================
context            object of strings: ``{"gender": "f"}``
label_semantics    ``"au-defined"`` or ``"felt"``
emotion            one of `equime.action_units.EMOTIONS`
au_set             FACS codes, ``"L12B+6"`` or ``["L12B", 6]``; a side also forces that AU's laterality,
                   a letter its intensity; ``""`` is no AU
laterality         ``"left"``, ``"right"``, ``"both"`` for all AUs, or per AU ``{"12": "left"}``; ``[1, 0.5]``
                   are factors (left, right) of the peak
intensity          number in 0..5 (not 0) or letter A to E, for all AUs or per AU ``{"12": "C"}``
phases             any of ``onset_ms``, ``onset_to_apex_ms``, ``apex_to_offset_ms``
apex_shape         any of ``hold_ms``, ``rise``, ``decay``
asynchrony         delay in ms, for all AUs or per AU ``{"6": 20}``
blinks             list of `equime.types.Blink`
gaze               list of `equime.types.GazeShift`
head               list of `equime.types.HeadWave`
illumination       any of ``light_amplitude``, ``light_period_ms``, ``light_phase_rad``
sensor_noise       any of ``noise_sigma``, ``noise_seed``
=================  ==========================================================================================

Per-AU values apply to the AUs that the clip shows; ``"*"`` is every AU that is not named. ``null`` lifts an
intervention that the factual spec holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from equime.action_units import ACTION_UNITS, EMOTIONS, MAX_INTENSITY, get, parse_code
from equime.action_units import intensity as letter_intensity
from equime.errors import InputError
from equime.types import Blink, GazeShift, HeadWave, Record

EVERY_AU: Final = "*"

PerAu = dict[int | str, Any]
Forced = dict[str, Any]
"""Node to parsed value; per-AU nodes hold a `PerAu`, partial ones a dict of the given fields."""

_RANGES: Final[dict[str, dict[str, tuple[float, float]]]] = {
    "phases": {
        "onset_ms": (0.0, 60_000.0),
        "onset_to_apex_ms": (1.0, 30_000.0),
        "apex_to_offset_ms": (1.0, 30_000.0),
    },
    "apex_shape": {"hold_ms": (0.0, 30_000.0), "rise": (0.4, 4.0), "decay": (0.4, 4.0)},
    "illumination": {
        "light_amplitude": (0.0, 0.2),
        "light_period_ms": (100.0, 600_000.0),
        "light_phase_rad": (-7.0, 7.0),
    },
    "sensor_noise": {"noise_sigma": (0.0, 20.0), "noise_seed": (0, 2**53)},
}


def parse_do(do: Mapping[str, Any], nodes: tuple[str, ...]) -> tuple[dict[str, Any], Forced]:
    """Validate interventions.

    Args:
        do: node name to JSON value (or `msgspec.Raw`).
        nodes: names of the model's nodes.

    Returns:
        The interventions as plain JSON values, for the record, and parsed, for the mechanisms.

    Raises:
        InputError: with every problem, one per line.
    """
    plain: dict[str, Any] = {}
    forced: Forced = {}
    problems = []
    for node, raw in do.items():
        if node not in nodes:
            problems.append(f"do {node}: no such node; the nodes are {', '.join(nodes)}")
            continue
        try:
            value = msgspec.json.decode(raw) if isinstance(raw, msgspec.Raw) else raw
            parsed = _PARSERS[node](node, value)
            plain[node] = msgspec.json.decode(msgspec.json.encode(value))
        except (InputError, TypeError, msgspec.MsgspecError) as error:
            problems.append(f"do {node}: {error}")
            continue
        forced[node] = parsed
    if problems:
        raise InputError("\n".join(problems))
    _spread_codes(forced)
    return plain, forced


def _spread_codes(forced: Forced) -> None:
    """Sides and letters of AU codes force laterality and intensity, unless those are forced themselves."""
    if "au_set" not in forced:
        return
    aus, sides, peaks = forced["au_set"]
    forced["au_set"] = aus
    for node, coded in (("laterality", sides), ("intensity", peaks)):
        if coded:
            forced[node] = {**coded, **forced.get(node, {})}


def _groups(_: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise InputError(f'{value!r} is not an object of strings; for example {{"gender": "f"}}')
    return dict(sorted(value.items()))


def _one_of(allowed: tuple[str, ...]) -> Callable[[str, Any], str]:
    def parse(_: str, value: Any) -> str:
        if value not in allowed:
            raise InputError(f"{value!r} is not allowed; use one of {', '.join(allowed)}")
        return str(value)

    return parse


def _codes(
    _: str, value: Any
) -> tuple[tuple[int, ...], dict[int, tuple[float, float]], dict[int, tuple[float, float] | float]]:
    """AU numbers, forced sides and forced peaks of FACS codes."""
    items = [c for c in value.split("+") if c.strip()] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise InputError(f'{value!r} is no AU set; use codes such as "L12B+6" or ["L12B", 6]')
    given: dict[int, dict[str, float | None]] = {}
    for item in items:
        number, side, peak = parse_code(str(item))
        if side != "both" and not ACTION_UNITS[number].sided:
            raise InputError(f"{item!r}: FACS does not side AU {number}; write {number}")
        if side in given.setdefault(number, {}) or (given[number] and "both" in (side, *given[number])):
            raise InputError(f"{item!r}: AU {number} is given twice; give each AU, or each side of it, once")
        given[number][side] = peak
    sides = {}
    peaks: dict[int, tuple[float, float] | float] = {}
    for number, by_side in given.items():
        known = [p for p in by_side.values() if p is not None]
        if known:
            peaks[number] = max(known)
        if "both" not in by_side:
            sides[number] = _side_factors(number, by_side)
    return tuple(sorted(given)), sides, peaks


def _side_factors(number: int, by_side: dict[str, float | None]) -> tuple[float, float]:
    left, right = (by_side.get(s) if s in by_side else 0.0 for s in ("left", "right"))
    if len(by_side) == 2 and (left is None) != (right is None):
        raise InputError(f"AU {number}: give both sides an intensity letter, or neither")
    if len(by_side) == 2 and left is not None and right is not None:
        largest = max(left, right)
        return left / largest, right / largest
    return (0.0 if left == 0.0 else 1.0), (0.0 if right == 0.0 else 1.0)


def _per_au(parse: Callable[[Any], Any]) -> Callable[[str, Any], PerAu]:
    """Parser of a value for all AUs, or of an object from FACS number (or "*") to value."""

    def parse_all(_: str, value: Any) -> PerAu:
        if not isinstance(value, dict):
            return {EVERY_AU: parse(value)}
        parsed: PerAu = {}
        for key, item in value.items():
            if key != EVERY_AU and not str(key).isdigit():
                raise InputError(f'{key!r} is no FACS number; use for example "12", or "*" for every AU')
            parsed[key if key == EVERY_AU else get(int(key)).number] = parse(item)
        return parsed

    return parse_all


def _sided(node: str, value: Any) -> PerAu:
    """Sides per AU; "*" reaches sided AUs only, and naming an AU that FACS does not side is an error."""
    parsed = _per_au(_side)(node, value)
    central = [au for au, sides in parsed.items() if sides != (1.0, 1.0) and _is_central(au)]
    if central:
        raise InputError(f"FACS does not side AU {central[0]}; leave it out or say both")
    everywhere = parsed.pop(EVERY_AU, None)
    if everywhere is None:
        return parsed
    return {**{au: everywhere for au in ACTION_UNITS if not _is_central(au)}, **parsed}


def _is_central(au: int | str) -> bool:
    return isinstance(au, int) and not ACTION_UNITS[au].sided


def _side(value: Any) -> tuple[float, float]:
    named = {"left": (1.0, 0.0), "right": (0.0, 1.0), "both": (1.0, 1.0)}
    if isinstance(value, str) and value in named:
        return named[value]
    if isinstance(value, list | tuple) and len(value) == 2 and all(_is_number(v) for v in value):
        left, right = float(value[0]), float(value[1])
        if max(left, right) == 1 and min(left, right) >= 0:
            return left, right
    raise InputError(
        f"{value!r} is no side; use left, right, both or two factors in 0..1 of which one is 1, as [1, 0.5]"
    )


def _peak(value: Any) -> float:
    if isinstance(value, str):
        return letter_intensity(value.upper())
    if _is_number(value) and 0 < value <= MAX_INTENSITY:
        return float(value)
    raise InputError(f"{value!r} is no intensity; use a number above 0, up to 5, or a letter A to E")


def _delay(value: Any) -> float:
    if _is_number(value) and 0 <= value <= 500:
        return float(value)
    raise InputError(f"{value!r} is no delay; use milliseconds from 0 to 500")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fields(node: str, value: Any) -> dict[str, float]:
    """An object with some of the node's fields, each within its range."""
    ranges = _RANGES[node]
    if not isinstance(value, dict) or not value:
        raise InputError(f"{value!r} is not an object with any of {', '.join(ranges)}")
    parsed: dict[str, float] = {}
    for name, number in value.items():
        if name not in ranges:
            raise InputError(f"{name!r} is not one of {', '.join(ranges)}")
        low, high = ranges[name]
        if not _is_number(number) or not low <= number <= high:
            raise InputError(f"{name} {number!r} is outside {low:g} to {high:g}")
        parsed[name] = int(number) if isinstance(low, int) else float(number)
    return parsed


def _records(kind: type[Record], check: Callable[[Any], str | None]) -> Callable[[str, Any], tuple[Any, ...]]:
    """Parser of a list of records."""

    def parse(_: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise InputError(f"{value!r} is not a list of {kind.__name__}; an empty list is none")
        plain = [msgspec.to_builtins(item) for item in value]
        records: tuple[Any, ...] = msgspec.convert(plain, tuple[kind, ...], strict=False)  # type: ignore[valid-type]
        if problems := [p for p in map(check, records) if p]:
            raise InputError("; ".join(problems))
        return records

    return parse


def _check_blink(blink: Blink) -> str | None:
    if blink.start_ms >= 0 and 20 <= blink.duration_ms <= 5000 and 0 < blink.closure <= 1:
        return None
    return f"{blink}: needs start_ms >= 0, duration_ms in 20..5000, closure in 0..1 (not 0)"


def _check_gaze(shift: GazeShift) -> str | None:
    if shift.start_ms >= 0 and shift.duration_ms >= 5 and max(abs(shift.yaw_deg), abs(shift.pitch_deg)) <= 30:
        return None
    return f"{shift}: needs start_ms >= 0, duration_ms >= 5, yaw_deg and pitch_deg within -30..30"


def _check_head(wave: HeadWave) -> str | None:
    if abs(wave.amplitude) <= 20 and wave.period_ms >= 200 and math.isfinite(wave.phase_rad):
        return None
    return f"{wave}: needs amplitude within -20..20 (deg or mm), period_ms >= 200, a finite phase_rad"


_PARSERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "context": _groups,
    "label_semantics": _one_of(("au-defined", "felt")),
    "emotion": _one_of(EMOTIONS),
    "au_set": _codes,
    "laterality": _sided,
    "intensity": _per_au(_peak),
    "phases": _fields,
    "apex_shape": _fields,
    "asynchrony": _per_au(_delay),
    "blinks": _records(Blink, _check_blink),
    "gaze": _records(GazeShift, _check_gaze),
    "head": _records(HeadWave, _check_head),
    "illumination": _fields,
    "sensor_noise": _fields,
}


def override(natural: dict[int, Any], forced: PerAu) -> dict[int, Any]:
    """Per-AU values with the forced ones in place, for the AUs that the clip shows."""
    default = forced.get(EVERY_AU)
    return {au: forced.get(au, default if default is not None else value) for au, value in natural.items()}
