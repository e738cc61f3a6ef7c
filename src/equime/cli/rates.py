"""How acceptance rates of the adherence gate are printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equime.generation_pipeline.adherence_rates import Rate


def print_rates(rates: Sequence[Rate], title: str) -> None:
    """A line per group; nothing where nothing was judged."""
    if not rates:
        return
    print(f"{title}, with 95 % intervals over clips (those of one person are not independent)")
    for rate in rates:
        why = ", ".join(f"{reason} {n}" for reason, n in Counter(rate.reasons).most_common())
        name = rate.by if rate.by == "all" else f"{rate.by} {rate.group}"
        print(
            f"  {name:<24} {rate.n_accepted:>6} of {rate.n:<6} {rate.share:6.1%}  [{rate.low:.1%}, {rate.high:.1%}]"
            f"  {rate.n_people} people  {why}".rstrip()
        )
