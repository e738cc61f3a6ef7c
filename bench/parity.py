"""How small a difference between two groups of people the parity audit finds, and how often it is wrong.

    python bench/parity.py [OUT] [--outcome peak_motion_mm] [--subject-sd 0.1] [--clip-sd 0.2] [--share 0.5]

A made outcome has mean 1, a normal part per person (``--subject-sd``), a normal part per clip (``--clip-sd``) and, in
one group, a shift. Both spreads are what is left when the command has been taken out, relative to the mean. With OUT
(a data set that `equime evaluate` has measured) the spreads of all its outcomes are printed, and those of
``--outcome`` are used. Everything goes through `equime.evaluation_framework.audit.parity.parity`.

* false alarms: share of outcomes without a shift that have p < 0.05, with its exact interval (Clopper & Pearson);
* found: relative gap that has p < 0.05 in 80 of 100 outcomes, from ``--replicates`` outcomes at each of six sizes;
* said: what the audit itself gives as ``detectable``, median over the outcomes without a shift;
* covered: share of 95 % intervals of the named pair that hold its true difference (groups named in advance).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from equime.evaluation_framework.audit.data import Attribute, AuditData, Outcome
from equime.evaluation_framework.audit.parity import parity
from equime.evaluation_framework.audit.parity_command import (
    command_of_spec,
    command_of_twins,
    in_twins,
    numbers,
)
from equime.evaluation_framework.audit.records import Parity
from equime.provenance import Provenance

PEOPLE = (10, 20, 40, 100, 400)
CLIPS = (5, 25)
SIZES = (0.0, 0.7, 0.85, 1.0, 1.15, 1.35)
"""Of the shift, over the size at which a z-test of people's means has 80 % power."""


def audit_data(clips: pd.DataFrame, groups: tuple[str, ...], outcomes: list[str]) -> AuditData:
    return AuditData(
        path="made", clips=clips, attributes=(Attribute("tone", "measured", "tone", groups, "made"),), intended=(),
        measured=tuple(Outcome(name, name, "number", "1", "measured") for name in outcomes), findings=(),
        provenance=Provenance(versions={}, python="3", platform="any", commit=None),
    )  # fmt: skip


def simulate(
    n: int, clips: int, share: float, sd: tuple[float, float], replicates: int, seed: int
) -> tuple[list[list[Parity]], list[float]]:
    """Audits of the made outcomes, one list per size of the shift, and the sizes."""
    random = np.random.default_rng([seed, n, clips])
    first = max(5, round(share * n))
    dark = np.arange(n) < first
    error = np.sqrt((sd[0] ** 2 + sd[1] ** 2 / clips) * (1 / first + 1 / (n - first)))
    shifts = [2.8 * float(error) * size for size in SIZES]
    columns = {}
    for r in range(replicates):
        person = random.normal(0, sd[0], n)
        noise = 1 + np.repeat(person, clips) + random.normal(0, sd[1], n * clips)
        for i, shift in enumerate(shifts):
            columns[f"y{r}_{i}"] = noise + shift * np.repeat(dark, clips)
    table = pd.DataFrame(columns)
    table["subject_id"] = np.repeat([f"s{i:04d}" for i in range(n)], clips)
    table["clip_id"] = [f"c{i:06d}" for i in range(n * clips)]
    table["tone"] = np.repeat(np.where(dark, "dark", "light"), clips)
    found = {
        row.outcome: row
        for row in parity(audit_data(table, ("light", "dark"), list(columns)), n_permutations=500, n_boot=400)
    }
    return [[found[f"y{r}_{i}"] for r in range(replicates)] for i in range(len(shifts))], shifts


def line(n: int, clips: int, share: float, sd: tuple[float, float], replicates: int, seed: int) -> str:
    audits, shifts = simulate(n, clips, share, sd, replicates, seed)
    powers = [sum(row.p is not None and row.p < 0.05 for row in rows) / replicates for rows in audits]
    alarms = binomtest(round(powers[0] * replicates), replicates).proportion_ci()
    found = np.interp(0.8, np.maximum.accumulate(powers[1:]), shifts[1:]) if powers[-1] >= 0.8 else np.nan
    said = np.median([row.detectable if row.detectable is not None else np.nan for row in audits[0]])
    covered = np.mean([holds(row, shifts[3]) for row in audits[3]])
    return (
        f"{n:6d} {clips:5d}   {powers[0]:6.1%} ({alarms.low:.1%} to {alarms.high:.1%})   {found:7.1%} {said:7.1%} "
        f"{covered:8.1%}"
    )


def holds(row: Parity, shift: float) -> bool:
    """Whether the interval of dark less light holds the shift."""
    low, high = row.gap.low, row.gap.high
    assert low is not None
    assert high is not None
    return low <= shift <= high if row.highest == "dark" else low <= -shift <= high


def spreads(out: Path) -> dict[str, tuple[float, float]]:
    """Spread between people and between clips of one person of every outcome, over its mean, command taken out."""
    from equime.evaluation_framework.audit.load import load  # noqa: PLC0415

    data = load(out)
    found = {}
    for outcome in data.measured:
        values = numbers(data.clips[outcome.name])
        there = ~np.isnan(values)
        clips = data.clips[there].reset_index(drop=True)
        twins = in_twins(clips)
        command = command_of_twins(clips) if twins.all() else command_of_spec(clips, data)
        left = command.without(values[there][:, None])[:, 0] / np.sqrt(np.maximum(1 - command.leverage, 1e-9))
        between, within = components(left, clips["subject_id"].to_numpy().astype(str))
        mean = values[there].mean()
        if mean > 0:
            found[outcome.name] = (between / mean, within / mean)
            print(
                f"{outcome.name:24s} mean {mean:9.3f} {outcome.unit:4s} people {between / mean:6.1%} clips "
                f"{within / mean:6.1%}   ({there.sum()} clips, {clips['subject_id'].nunique()} people, held: "
                f"{command.text})"
            )
    return found


def components(values: np.ndarray, subjects: np.ndarray) -> tuple[float, float]:
    """Standard deviation between people and between clips of one person (analysis of variance, Searle 1971)."""
    _, index, n = np.unique(subjects, return_inverse=True, return_counts=True)
    means = np.bincount(index, values) / n
    within = ((values - means[index]) ** 2).sum() / max(1, values.size - n.size)
    between = (n * (means - values.mean()) ** 2).sum() / max(1, n.size - 1)
    size = (values.size - (n**2).sum() / values.size) / max(1, n.size - 1)
    return float(np.sqrt(max(0.0, (between - within) / size))), float(np.sqrt(within))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", nargs="?", type=Path)
    parser.add_argument("--outcome", default="peak_motion_mm")
    parser.add_argument("--subject-sd", type=float, default=0.1)
    parser.add_argument("--clip-sd", type=float, default=0.2)
    parser.add_argument("--share", type=float, default=0.5, help="of people in the shifted group")
    parser.add_argument("--replicates", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    sd = (asked.subject_sd, asked.clip_sd)
    if asked.out is not None:
        sd = spreads(asked.out)[asked.outcome]
        print()
    started = time.perf_counter()
    print(
        f"spread between people {sd[0]:.1%} of the mean, between clips of one person {sd[1]:.1%}; {asked.share:.0%} of "
        f"the people in the shifted group; {asked.replicates} outcomes to a figure"
    )
    print("people clips   false alarms (interval)        found    said  covered")
    for n in PEOPLE:
        for clips in CLIPS:
            print(line(n, clips, asked.share, sd, asked.replicates, asked.seed), flush=True)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
