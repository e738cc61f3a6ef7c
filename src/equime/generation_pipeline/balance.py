"""Target marginals over declared groups, reached by choosing identities."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from equime.errors import InputError
from equime.generation_pipeline.mechanisms import declared_groups
from equime.types import Face

EQUAL: Final = "equal"
"""Target of equal shares for every group that the faces declare."""

Shares = Mapping[str, float]
Target = dict[str, dict[str, float]]
Balance = Mapping[str, Shares | str]

_UNDECLARED: Final = {"gender": "u"}


def parse_balance(texts: Sequence[str]) -> dict[str, dict[str, float] | str]:
    """Targets from the command line: ``gender=f:0.5,m:0.5`` or ``gender=equal``, one text per attribute.

    Raises:
        InputError: with every text that cannot be read.
    """
    balance: dict[str, dict[str, float] | str] = {}
    problems = []
    for text in texts:
        attribute, _, right = (part.strip() for part in text.partition("="))
        if not attribute or not right or attribute in balance:
            problems.append(
                f"balance {text!r}: expected one attribute=group:share,group:share or attribute=equal each"
            )
            continue
        try:
            balance[attribute] = EQUAL if right == EQUAL else _parse_shares(right)
        except ValueError:
            problems.append(f"balance {text!r}: expected group:share pairs, for example gender=f:0.5,m:0.5")
    if problems:
        raise InputError("\n".join(problems))
    return balance


def _parse_shares(text: str) -> dict[str, float]:
    shares: dict[str, float] = {}
    for pair in text.split(","):
        group, _, share = (part.strip() for part in pair.rpartition(":"))
        if not group or group in shares:
            raise ValueError(pair)
        shares[group] = float(share)
    return shares


def eligible(faces: Sequence[Face], balance: Balance) -> tuple[list[Face], Target]:
    """The faces inside every target group, and the targets with "equal" resolved.

    Raises:
        InputError: where a target cannot be reached with these faces: with every problem.
    """
    declared = [declared_groups(face.declared) for face in faces]
    targets: Target = {}
    problems = []
    for attribute, wanted in balance.items():
        present = Counter(d[attribute] for d in declared if attribute in d)
        present.pop(_UNDECLARED.get(attribute, ""), None)
        found = _target_problems(attribute, wanted, present)
        problems += found
        if not found:
            shares = dict.fromkeys(sorted(present), 1 / len(present)) if isinstance(wanted, str) else wanted
            targets[attribute] = {group: share for group, share in shares.items() if share > 0}
    if problems:
        raise InputError("\n".join(problems))
    kept = [
        face
        for face, groups in zip(faces, declared, strict=True)
        if all(groups.get(attribute) in shares for attribute, shares in targets.items())
    ]
    if faces and not kept:
        raise InputError(
            f"balance: no face lies in a target group of every attribute ({', '.join(targets)}); "
            "give fewer attributes or more faces"
        )
    return kept, targets


def _target_problems(attribute: str, wanted: Shares | str, present: Counter[str]) -> list[str]:
    have = ", ".join(f"{group} ({n})" for group, n in sorted(present.items())) or "nothing"
    if not present:
        return [f"balance {attribute}: no face declares it; give it in the table of faces, or leave it out"]
    if isinstance(wanted, str):
        return [] if wanted == EQUAL else [f"balance {attribute}: {wanted!r} is not {EQUAL!r} or shares"]
    problems = []
    if missing := [g for g, share in wanted.items() if share > 0 and g not in present]:
        problems.append(f"balance {attribute}: no face is declared {', '.join(missing)}; declared: {have}")
    total = sum(wanted.values())
    if any(not 0 <= share <= 1 for share in wanted.values()) or not abs(total - 1) <= 0.001:
        problems.append(
            f"balance {attribute}: shares {dict(wanted)} must lie in 0..1 and add up to 1, not {total:g}"
        )
    return problems


def block_faces(faces: Sequence[Face], balance: Balance, seed: int) -> Iterator[Face]:
    """The identity of every block, without end, in an order that depends on the seed and the ids only.

    Without targets the identities take turns. With targets each block goes to the combination of groups that
    brings all marginals closest to their targets, and inside it to the identity whose turn it is.
    """
    kept, targets = eligible(faces, balance)
    kept.sort(key=lambda face: hashlib.sha256(f"{seed}\x1forder\x1f{face.face_id}".encode()).digest())
    cells: dict[tuple[str, ...], list[Face]] = {}
    for face in kept:
        groups = declared_groups(face.declared)
        cells.setdefault(tuple(groups[attribute] for attribute in targets), []).append(face)
    n_in_cell = dict.fromkeys(sorted(cells), 0)
    n_in_group = {attribute: dict.fromkeys(shares, 0) for attribute, shares in targets.items()}
    n_blocks = 0
    while True:
        n_blocks += 1
        cell = min(n_in_cell, key=lambda c: _distance(c, n_in_cell[c], n_in_group, targets, n_blocks, cells))
        yield cells[cell][n_in_cell[cell] % len(cells[cell])]
        n_in_cell[cell] += 1
        for attribute, group in zip(targets, cell, strict=True):
            n_in_group[attribute][group] += 1


def _distance(
    cell: tuple[str, ...],
    n_used: int,
    n_in_group: Mapping[str, Mapping[str, int]],
    targets: Target,
    n_blocks: int,
    cells: Mapping[tuple[str, ...], list[Face]],
) -> tuple[float, float]:
    """How far behind the cell's groups are (negative is behind), then how often its identities were used.

    Adding a block to a group changes the squared distance of its marginal from the target by
    ``2 (n - target n_blocks) + 1``, so the smallest sum over the attributes brings the marginals closest.
    """
    ahead = sum(
        n_in_group[attribute][group] - targets[attribute][group] * n_blocks
        for attribute, group in zip(targets, cell, strict=True)
    )
    return round(ahead, 9), n_used / len(cells[cell])
