"""Action Units as coders write them in the tables of the corpora.

What is read: codes joined by ``+``, ``,``, ``;``, ``&`` or spaces; before the number ``L`` / ``R`` (the subject's
left and right), ``T`` / ``B`` (upper and lower lip), ``A`` (asymmetric), ``U`` (unilateral, side not said), ``AU``,
``AD`` (action descriptor) and ``M`` (head movement); after it the intensity A to E, a side, ``?`` (uncertain) or
``(k)`` (4DME: the AU was there before and goes on). ``4+7 or 4`` gives two readings of the whole cell, ``12/14`` of
one code. Brackets, ``(15)``, mean uncertain. T, B and A are not kept in the codes, the cell's text keeps them.

**No AU is not the same as not coded.** ``0``, ``none``, ``no AU`` say that the coder saw none; an empty cell, ``-``,
``--``, ``/``, ``n/a``, ``nan`` and ``?`` say that nobody coded (`AuReading.aus` is then None).

Source: Ekman, Friesen & Hager, *FACS: The Manual* (2002), for the codes; the tables of CASME, CASME II, SAMM, MMEW,
CAS(ME)^3, 4DME and DFME for the spellings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from equime.action_units import Side
from equime.coded import AuCode

NOT_CODED: Final = frozenset({"", "-", "--", "---", "/", "\\", "?", "n/a", "na", "nan", "null"})
NO_AU: Final = frozenset({"0", "none", "no au", "noau", "no", "no aus"})

Codes = tuple[AuCode, ...]


@dataclass(frozen=True)
class AuReading:
    """What a cell says.

    Attributes:
        codes: the AUs, in the order of the cell, each once; of the first reading where there are alternatives.
        uncertain: a ``?``, brackets, or alternatives.
        alternatives: every reading of the cell; () where there is one only.
        continuing: those of ``codes`` that were there before the expression, ``(k)``.
        unread: pieces that are no code.
        coded: whether the cell says anything about AUs.
    """

    codes: Codes = ()
    uncertain: bool = False
    alternatives: tuple[Codes, ...] = ()
    continuing: Codes = ()
    unread: tuple[str, ...] = ()
    coded: bool = True

    @property
    def aus(self) -> Codes | None:
        """For `CodedClip.aus`: None where the cell says nothing, or nothing that can be read."""
        return self.codes if self.coded and (self.codes or not self.unread) else None


_PIECE: Final = re.compile(
    r"(?:ref)?[(\[]*"
    r"(?P<before>(?:AU|AD|[LRTBAUM])*)"
    r"0?(?P<number>[1-9]\d?)"
    r"(?P<letter>[A-E])?(?P<after>[LR])?"
    r"(?:\((?P<mark>[KLR])\))?"
    r"[)\]]*",
    re.IGNORECASE,
)
_SIDES: Final[dict[str, Side]] = {"L": "left", "R": "right"}


def parse_aus(text: str) -> AuReading:
    """Read a cell; never raises.

    Args:
        text: the cell, as `equime.corpora.tables.as_text` gives it.
    """
    plain = " ".join(unicodedata.normalize("NFKC", text).split())
    if plain.casefold() in NOT_CODED:
        return AuReading(coded=False)
    if plain.casefold() in NO_AU:
        return AuReading()
    readings = [_whole(part) for part in re.split(r"\bor\b", plain, flags=re.IGNORECASE)]
    readings = [r for r in readings if r.codes or r.unread] or readings[:1]
    options = [codes for r in readings for codes in (r.alternatives or (r.codes,))]
    first = readings[0]
    return AuReading(
        codes=first.codes,
        uncertain=len(options) > 1 or any(r.uncertain for r in readings),
        alternatives=tuple(options) if len(options) > 1 else (),
        continuing=first.continuing,
        unread=tuple(piece for r in readings for piece in r.unread),
    )


def _whole(text: str) -> AuReading:
    """One reading of a cell, without "or"."""
    text = re.sub(r"\bleft\b", "L", re.sub(r"\bright\b", "R", text, flags=re.IGNORECASE), flags=re.IGNORECASE)
    text = re.sub(r"\b(AU|AD|[LRTBM])\s+(?=\d)", r"\1", text, flags=re.IGNORECASE)
    text = re.sub(r"(?<=\d)\s+(?=\([KLR]\)|\?)", "", text, flags=re.IGNORECASE)
    slots: list[Codes] = []
    continuing: list[AuCode] = []
    unread: list[str] = []
    uncertain = False
    for piece in re.split(r"[+,;&、\s]+", text):
        options: list[AuCode] = []
        for option in piece.split("/"):
            bare = option.replace("?", "")
            uncertain |= bare != option
            match = _PIECE.fullmatch(bare)
            if match:
                options.append(_code(match))
                uncertain |= bool(re.match(r"(?:ref)?[(\[]", bare)) or "U" in _prefixes(match)
                if (match["mark"] or "").upper() == "K":
                    continuing.append(options[-1])
            elif bare.strip("()[]"):
                unread.append(option)
        if options:
            slots.append(tuple(options))
    codes = [_once(choice) for choice in product(*slots)] if _few(slots) else [_once(s[0] for s in slots)]
    return AuReading(
        codes=codes[0],
        uncertain=uncertain or len(codes) > 1,
        alternatives=tuple(codes) if len(codes) > 1 else (),
        continuing=_once(continuing),
        unread=tuple(unread),
    )


def _few(slots: Sequence[Codes]) -> bool:
    """Whether all combinations of alternatives can be listed (a cell of slashes must not fill the memory)."""
    n = 1
    for slot in slots:
        n *= len(slot)
        if n > 64:
            return False
    return True


def _prefixes(match: re.Match[str]) -> list[str]:
    return [p.upper() for p in re.findall(r"AU|AD|[LRTBAUM]", match["before"], re.IGNORECASE)]


def _code(match: re.Match[str]) -> AuCode:
    mark = (match["mark"] or "").upper()
    sides = {*_prefixes(match), (match["after"] or "").upper(), mark} & {"L", "R"}
    side = _SIDES[sides.pop()] if len(sides) == 1 else "both"
    return AuCode(au=int(match["number"]), side=side, letter=(match["letter"] or "").upper())


def _once(codes: Iterable[AuCode]) -> Codes:
    return tuple(dict.fromkeys(codes))


def format_aus(codes: Sequence[AuCode] | None) -> str:
    """The codes as a cell: ``L2+R12B``; ``0`` for none, "" for not coded. `parse_aus` reads it back."""
    if codes is None:
        return ""
    return "+".join(f"{ {'left': 'L', 'right': 'R'}.get(c.side, '') }{c.au}{c.letter}" for c in codes) or "0"
