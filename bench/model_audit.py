"""How often the model audit raises a false alarm, and how small a difference it finds, on made recognisers.

    python bench/model_audit.py [--seeds 200] [--power-seeds 60]

A recogniser of five classes meets people with 5 clips each (every class once, as identity twins). Every person has
an accuracy of their own (Beta, mean 0.6, standard deviation 0.1); wrong answers go to any other class alike. Half of
the people are of group a, half of group b, in random order.

1. alike: no difference between the groups. Shares of seeds with p < 0.05, with any q < 0.05 in the file, and of
   intervals that cover the true difference of 0. 0.05 of 200 seeds has a standard error of 0.015.
   McNemar's exact test has one pair per expression, five here, and cannot get below 0.0625.
2. accuracy: mean accuracy in b lower by d. The smallest d of the grid that is found in 80 % of the seeds or more, by
   bisection of the grid.
3. flips: in b, a share f of the clips is given the class after the predicted one, right or wrong. The same.
"""

from __future__ import annotations

import argparse
import bisect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from equime.evaluation_framework.audit.counterfactual import counterfactual
from equime.evaluation_framework.audit.data import Attribute, AuditData
from equime.evaluation_framework.audit.gaps import gap_kinds, gaps
from equime.evaluation_framework.audit.group_audit import Effort, compare
from equime.evaluation_framework.audit.permutation import benjamini_hochberg
from equime.evaluation_framework.audit.predictions import Predictions
from equime.evaluation_framework.audit.scores import tally
from equime.provenance import Provenance
from equime.seeding import stream

LABELS = ("anger", "fear", "happiness", "sadness", "surprise")
SUBJECTS = (20, 40, 100, 400)
GRID = (0.02, 0.04, 0.06, 0.08, 0.10, 0.125, 0.15, 0.175, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.55)
ATTRIBUTE = Attribute("declared_group", "declared", "group (declared)", ("a", "b"), "made")
N_PERMUTATIONS, N_BOOT, ALPHA, POWER = 199, 200, 0.05, 0.8


@dataclass(frozen=True)
class Found:
    """What one audit says: p of the accuracy gap, the smallest q of all gaps, and of the twins."""

    accuracy_p: float
    smallest_q: float
    flip_p: float
    excess_p: float
    mcnemar_p: float
    covers: bool
    twins_cover: bool


def made(n: int, seed: int, lower: float, flipped: float) -> tuple[Predictions, AuditData]:
    """A data set and the predictions on it."""
    random = stream(seed, "bench model audit", n)
    k = len(LABELS)
    group = random.permutation(np.repeat(["a", "b"], n // 2)).astype(object)
    is_b = group == "b"
    mean = 0.6 - lower * is_b
    strength = 0.6 * 0.4 / 0.1**2 - 1
    skill = random.beta(mean * strength, (1 - mean) * strength)
    person, truth = np.repeat(np.arange(n), k), np.tile(np.arange(k), n)
    wrong = (truth + random.integers(1, k, n * k)) % k
    predicted = np.where(random.uniform(size=n * k) < skill[person], truth, wrong)
    predicted = np.where(
        is_b[person] & (random.uniform(size=n * k) < flipped), (predicted + 1) % k, predicted
    )
    clips = pd.DataFrame(
        {
            "clip_id": [f"c{i:06d}" for i in range(n * k)],
            "file": [f"{i:06d}.mp4" for i in range(n * k)],
            "subject_id": [f"s{i:04d}" for i in person],
            "emotion": [LABELS[i] for i in truth],
            "twin_group": [f"x{i}" for i in truth],
            "declared_group": group[person],
        }
    )
    nothing = Provenance(versions={}, python="", platform="", commit=None)
    data = AuditData("made", clips, (ATTRIBUTE,), (), (), (), nothing)
    return Predictions("made", np.arange(n * k), truth, predicted, None, LABELS, n * k, 0), data


def audited(n: int, seed: int, lower: float = 0.0, flipped: float = 0.0, *, twins: bool = True) -> Found:
    """The tests of one audit; those of `model_audit`, without the rates by group."""
    predictions, data = made(n, seed, lower, flipped)
    sums = tally(predictions, data.clips)
    group = data.clips.drop_duplicates("subject_id").sort_values("subject_id")["declared_group"].to_numpy()
    rows = {(g,): sums.columns[group == g] for g in ATTRIBUTE.groups}
    effort = Effort(N_BOOT, N_PERMUTATIONS, seed, 0.95)
    found = gaps(gap_kinds(sums), compare(rows, sums, (ATTRIBUTE.name,), effort), sums, 0.95)
    accuracy = next(gap for gap in found if gap.name == "accuracy")
    qs = [q for q in benjamini_hochberg([gap.p for gap in found])[0] if q is not None]
    covers = accuracy.gap.low is not None and accuracy.gap.low <= 0 <= (accuracy.gap.high or 0)
    if not twins:
        return Found(accuracy.p or 1, min(qs), 1, 1, 1, covers, True)
    flip = counterfactual(predictions, data, n_boot=N_BOOT, n_permutations=N_PERMUTATIONS, seed=seed).flips[0]
    low, high = flip.difference.low, flip.difference.high
    return Found(
        accuracy.p or 1, min(qs), flip.p or 1, flip.excess_p or 1, flip.mcnemar_p or 1, covers,
        low is not None and high is not None and low <= 0 <= high,
    )  # fmt: skip


def share(found: list[Found], what: Callable[[Found], bool]) -> float:
    return float(np.mean([what(f) for f in found]))


def alike(n_seeds: int) -> None:
    print("\n1. alike: share of seeds (about 0.05 is right; intervals: about 0.95)")
    print(f"{'n':>5}{'accuracy p':>12}{'any q':>8}{'twins p':>9}{'excess p':>10}{'McNemar':>9}"
          f"{'gap covers':>12}{'twins cover':>13}")  # fmt: skip
    for n in SUBJECTS:
        found = [audited(n, seed) for seed in range(n_seeds)]
        columns = (
            share(found, lambda f: f.accuracy_p <= ALPHA), share(found, lambda f: f.smallest_q <= ALPHA),
            share(found, lambda f: f.flip_p <= ALPHA), share(found, lambda f: f.excess_p <= ALPHA),
            share(found, lambda f: f.mcnemar_p <= ALPHA), share(found, lambda f: f.covers),
            share(found, lambda f: f.twins_cover),
        )  # fmt: skip
        print(
            f"{n:>5}"
            + "".join(f"{v:>{w}.3f}" for v, w in zip(columns, (12, 8, 9, 10, 9, 12, 13), strict=True))
        )


def smallest(
    n: int, n_seeds: int, option: str, tests: dict[str, Callable[[Found], bool]], *, twins: bool
) -> dict[str, float | None]:
    """Smallest planted difference of the grid that each test finds often enough."""
    """Smallest planted difference of the grid that each test finds often enough; None where none is."""
    of_value: dict[float, list[Found]] = {}

    def is_found(value: float, test: Callable[[Found], bool]) -> bool:
        if value not in of_value:
            of_value[value] = [audited(n, s, **{option: value}, twins=twins) for s in range(n_seeds)]
        return share(of_value[value], test) >= POWER

    place = {
        name: bisect.bisect_left(GRID, True, key=lambda v, t=t: is_found(v, t)) for name, t in tests.items()
    }
    return {name: GRID[i] if i < len(GRID) else None for name, i in place.items()}


def table(
    title: str, option: str, tests: dict[str, Callable[[Found], bool]], n_seeds: int, *, twins: bool
) -> None:
    print(f"\n{title}")
    print(f"{'n':>5}" + "".join(f"{name:>28}" for name in tests))
    for n in SUBJECTS:
        row = smallest(n, n_seeds, option, tests, twins=twins)
        print(f"{n:>5}" + "".join(f"{'none' if v is None else f'{v:.3g}':>28}" for v in row.values()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--power-seeds", type=int, default=60)
    options = parser.parse_args()
    n_seeds = options.power_seeds
    print(
        f"{options.seeds} seeds in 1, {n_seeds} in 2 and 3; {N_PERMUTATIONS} permutations, {N_BOOT} resamples"
    )
    alike(options.seeds)
    table(
        f"2. accuracy: smallest d found in {POWER:.0%} of the seeds", "lower",
        {"accuracy gap, p": lambda f: f.accuracy_p <= ALPHA, "any gap of the file, q": lambda f: f.smallest_q <= ALPHA},
        n_seeds, twins=False,
    )  # fmt: skip
    table(
        f"3. flips: smallest share f found in {POWER:.0%} of the seeds", "flipped",
        {"excess flips, p": lambda f: f.excess_p <= ALPHA, "share correct on twins, p": lambda f: f.flip_p <= ALPHA},
        n_seeds, twins=True,
    )  # fmt: skip


if __name__ == "__main__":
    main()
