"""The reference pages of corpora, and of recognisers and experiments, read from what is registered and shipped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from equime import registry
from equime.baselines import experiment_config
from equime.baselines.crops import CROPS
from equime.baselines.feature_findings import MEANINGS

Table = Callable[[Sequence[str], Iterable[Sequence[object]]], str]


def corpora_page(table: Table) -> str:
    """Every corpus: layout, tables, source, licence."""
    abouts = [registry.lookup("corpus", key)().about for key in registry.CORPORA]
    return "\n\n".join(
        [
            "# Corpora",
            "What `equime corpus read` reads; how is in [corpora](../corpora.md). equime brings none of them.",
            table(
                ("key", "corpus", "frames per second", "coding tables", "frames of a clip"),
                (
                    (f"`{a.key}`", a.title, f"{a.fps:g}", _code(a.tables) or "none", f"`{a.layout}`")
                    for a in abouts
                ),
            ).rstrip("\n"),
            "## Sources and licences",
            table(
                ("key", "source", "licence, as we know it"),
                ((f"`{a.key}`", a.source, a.licence) for a in abouts),
            ).rstrip("\n"),
        ]
    )


def recognisers_page(table: Table) -> str:
    """Every experiment, every model with its options, crops, and findings of the features."""
    abouts = [registry.lookup("model", key)().about for key in registry.MODELS]
    models = (
        (
            f"`{a.key}`", a.title, a.source, a.input.key, f"{a.n_parameters:,}" if a.n_parameters else "",
            ", ".join(a.requires), "yes" if a.deterministic else "", a.differs,
        )
        for a in abouts
    )  # fmt: skip
    head = ("name", "model", "source", "looks at", "parameters", "needs", "seed changes nothing", "departs from the source in")  # fmt: skip
    return "\n\n".join(
        [
            "# Recognisers",
            "What `equime benchmark` trains and tests; how is in [recognisers](../recognisers.md). Inputs: kind, "
            "pixels and, after the x, frames.",
            "## Experiments",
            table(("name", "title", "data", "models", "what it is"), _experiments()).rstrip("\n"),
            "## Models",
            table(head, models).rstrip("\n"),
            "## Options of the models",
            "With their defaults. In an experiment they stand under `[models.NAME]`.",
            table(("name", "options"), ((f"`{a.key}`", _options(a.options)) for a in abouts)).rstrip("\n"),
            "## Crops",
            table(("crop", "what it is"), ((f"`{name}`", text) for name, text in CROPS.items())).rstrip("\n"),
            "## Findings of the features",
            table(("code", "meaning"), ((f"`{code}`", text) for code, text in MEANINGS.items())).rstrip("\n"),
        ]
    )


def _experiments() -> Iterator[tuple[str, ...]]:
    for name in experiment_config.shipped():
        config = experiment_config.load(name)
        roles = "; ".join(f"`{role}`: {what}" for role, what in config.roles.items())
        yield f"`{name}`", config.title, roles, _code(config.models), config.description


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _options(options: Mapping[str, object]) -> str:
    return _code(f"{name} = {value}" for name, value in options.items())
