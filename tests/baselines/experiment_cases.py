"""Coded clips with invented signals, as flow pictures on the disk, and recognisers that cost nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equime.baselines.inputs import FLOW28
from equime.baselines.recogniser import About, Fitted, Head, Options
from equime.coded import FORMAT_VERSION, THREE, AuCode, CodedClip, CodedInfo, CodedSet, coded_id
from equime.errors import InputError

HERE = "tests.baselines.experiment_cases"


def clip(
    subject: str, name: str, label: str | None, corpus: str = "made", aus: tuple[int, ...] | None = None
) -> CodedClip:
    codes = None if aus is None else tuple(AuCode(au=au) for au in aus)
    return CodedClip(
        clip_id=coded_id(corpus, subject, name), corpus=corpus, subject_id=subject, name=name, fps=200.0,
        file=f"{corpus}_{subject}_{name}.png", kind="flow", emotion=label, label=label, aus=codes,
    )  # fmt: skip


def made_set(
    root: Path, n_subjects: int, per_subject: int, *, corpus: str = "made", signal: float = 1.0, seed: int = 0,
    synthetic: bool = False, first: int = 0,
) -> CodedSet:  # fmt: skip
    """Clips whose class shows as a brighter third of the picture: ``signal`` 1 plainly, 0 not at all."""
    random = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    clips = []
    for s in range(first, first + n_subjects):
        for i in range(per_subject):
            k = (s + i) % 3
            one = clip(f"p{s:02d}", f"c{i}", THREE[k], corpus, aus=((1, 2), (12,), (4,))[k])
            pixels = random.uniform(60, 160, (28, 28, 3))
            pixels[9 * k : 9 * k + 9] += 60 * signal
            Image.fromarray(pixels.astype(np.uint8)).save(root / one.file)
            clips.append(one)
    info = CodedInfo(
        format_version=FORMAT_VERSION, corpus=corpus, root=str(root), licence="invented", synthetic=synthetic
    )
    return CodedSet(info, root, tuple(clips))


@dataclass
class Centres:
    """Fitted: the mean of each class, or AU by AU of present and absent."""

    means: NDArray[np.float64]
    head: Head
    history: tuple[float, ...] = ()

    def probabilities(self, x: NDArray[np.generic]) -> NDArray[np.float32]:
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        distance = ((flat[:, None] - self.means.reshape(-1, flat.shape[1])) ** 2).sum(-1)
        near = np.exp(-(distance - distance.min(1, keepdims=True)))
        if self.head == "aus":
            pairs = near.reshape(len(x), -1, 2)
            return np.asarray(pairs[..., 1] / pairs.sum(-1), np.float32)
        return np.asarray(near / near.sum(1, keepdims=True), np.float32)

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        return {"means": self.means}


class NearestCentre:
    """Nearest class mean; ``blur`` mixes the means, so that one value of it is better than another."""

    about = About(
        key="nearest", title="Nearest centre", source="invented", input=FLOW28, options={"blur": 0.0, "noise": 0.0}
    )  # fmt: skip

    def fit(
        self, x: NDArray[np.generic], y: NDArray[np.integer], folds: Sequence[NDArray[np.intp]], *,
        head: Head = "emotion", n_outputs: int = 3, seed: int = 0, options: Options | None = None,
        start: Sequence[Fitted] | None = None,
    ) -> list[Fitted]:  # fmt: skip
        settings: Mapping[str, Any] = {**self.about.options, **(options or {})}
        flat = np.asarray(x, np.float64).reshape(len(x), -1)
        fitted: list[Fitted] = []
        for i, rows in enumerate(folds):
            if head == "aus":
                groups = [rows[y[rows, a] == v] for a in range(n_outputs) for v in (0, 1)]
            else:
                groups = [rows[y[rows] == k] for k in range(n_outputs)]
            if not all(len(group) for group in groups):
                raise InputError(f"fold {i}: a class without a sample")
            means = np.stack([flat[group].mean(0) for group in groups])
            means = (1 - settings["blur"]) * means + settings["blur"] * means[::-1]
            means += settings["noise"] * np.random.default_rng([seed, i]).normal(size=means.shape)
            if start is not None:
                means = (means + start[i].tensors()["means"]) / 2
            fitted.append(Centres(means, head, history=(2.0, 1.0)))
        return fitted

    def restore(self, tensors: Mapping[str, NDArray[np.generic]], *, head: Head, n_outputs: int) -> Fitted:
        return Centres(np.asarray(tensors["means"], np.float64), head)


class Broken(NearestCentre):
    """Fails as code does."""

    def fit(self, *args: Any, **kwargs: Any) -> list[Fitted]:
        raise ZeroDivisionError("no luck")


class Peeker(NearestCentre):
    """Takes the rows that its fold lacks for the test set, and trains on them too. Says what it was given."""

    seen: ClassVar[list[tuple[int, list[int]]]] = []

    def fit(
        self, x: NDArray[np.generic], y: NDArray[np.integer], folds: Sequence[NDArray[np.intp]], **kwargs: Any
    ) -> list[Fitted]:
        everything = np.arange(len(x))
        Peeker.seen.append((len(x), [len(np.setdiff1d(everything, rows)) for rows in folds]))
        return super().fit(x, y, [everything for _ in folds], **kwargs)


class Slow(NearestCentre):
    """Says in a file that a training began; after the first two it waits to be killed."""

    def fit(self, *args: Any, **kwargs: Any) -> list[Fitted]:
        log = Path(os.environ["EQUIME_TEST_LOG"])
        with log.open("a") as file:
            file.write(f"{kwargs['seed']}\n")
        if os.environ.get("EQUIME_TEST_WAIT") and len(log.read_text().split()) > 2:
            time.sleep(60)
        return super().fit(*args, **kwargs)
