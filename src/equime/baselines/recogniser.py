"""The interface of a recogniser: fit many folds, give probabilities.

A fold is a set of training rows. All folds of a protocol are handed over at once, because small networks train
together many times faster than one after the other; a recogniser never sees the rows of the test set, so it cannot
select on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from equime.baselines.inputs import Input

F32 = NDArray[np.float32]
Head = Literal["emotion", "aus"]
Options = Mapping[str, float | int | str | bool]


@dataclass(frozen=True)
class About:
    """What is known of a model.

    Attributes:
        key: name in the registry and in commands ("ststnet").
        title: as published ("STSTNet").
        source: paper: authors, year, venue.
        input: what it looks at.
        n_parameters: as published, or counted from the published code, for ``n_classes`` outputs; None for models
            without a fixed number (SVM).
        n_classes: number of outputs that ``n_parameters`` counts.
        requires: packages beyond the default install ("torch", "torchvision", "timm").
        differs: where this implementation departs from the publication, in words; "" where it does not.
        deterministic: whether the seed changes nothing; such a model is trained once.
        options: every option with its default (epochs, learning rate, ...); the defaults are the publication's.
    """

    key: str
    title: str
    source: str
    input: Input
    n_parameters: int | None = None
    n_classes: int = 3
    requires: tuple[str, ...] = ()
    differs: str = ""
    deterministic: bool = False
    options: Options = ()  # type: ignore[assignment]


class Fitted(Protocol):
    """A trained recogniser."""

    def probabilities(self, x: NDArray[np.generic]) -> F32:
        """(N, K) per class (rows sum to 1) for head "emotion"; per AU, independent, for head "aus"."""
        ...

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        """Everything that `Recogniser.restore` needs: weights, scaling, support vectors."""
        ...


class Recogniser(Protocol):
    """A model that can be trained. Registered under its name; called without arguments.

    Attributes:
        about: what it is.
    """

    about: About

    def fit(
        self,
        x: NDArray[np.generic],
        y: NDArray[np.integer],
        folds: Sequence[NDArray[np.intp]],
        *,
        head: Head = "emotion",
        n_outputs: int = 3,
        seed: int = 0,
        options: Options | None = None,
        start: Sequence[Fitted] | None = None,
    ) -> list[Fitted]:
        """Train one recogniser per fold.

        Args:
            x: (N, ...) of `About.input`; may be memory-mapped and is then read in batches.
            y: head "emotion": (N,) class 0..n_outputs-1; head "aus": (N, n_outputs) of 0, 1, and -1 where unknown
                (left out of the loss).
            folds: training rows of each fold.
            head: what is predicted.
            n_outputs: number of classes or AUs.
            seed: of initialisation, order and dropout. A fold's result depends on the seed, on its rows and on its
                position only.
            options: instead of `About.options`; unknown names are refused.
            start: a fitted recogniser per fold to go on from (pretraining); None starts anew.

        Raises:
            InputError: an empty fold, a class without a sample in a fold, unknown options.
            MissingError: a package that `About.requires` names is not installed.
        """
        ...

    def restore(self, tensors: Mapping[str, NDArray[np.generic]], *, head: Head, n_outputs: int) -> Fitted:
        """The trained recogniser of `Fitted.tensors`."""
        ...


def history_of(fitted: Fitted) -> tuple[float, ...]:
    """Mean training loss of every epoch; () of a model that has none, as machines that are solved."""
    return tuple(getattr(fitted, "history", ()))
