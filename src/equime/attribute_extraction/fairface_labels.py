"""Race, gender and age group of a clip as FairFace's network estimates them: a second labeller beside DeepFace.

An estimated label is an estimate of how a model reads a picture, not of who a person is. The seven races, two genders
and nine age groups are those that annotators of FairFace could choose from when they looked at a photograph.

The network is a ResNet-34 with 18 outputs, of which the first 7 are race, the next 2 gender and the last 9 age group,
each part through its own softmax (``predict.py`` of github.com/dchen236/FairFace). What is known of its errors, from
Karkkainen & Joo, WACV 2021: the labels it learned are the agreement of at least two of three annotators, and it was
made to err alike over races rather than seldom. Neighbouring age groups, and Latino Hispanic, Middle Eastern and
White, are mixed up most. DeepFace's race network learned from the same photographs, so that both agreeing is weaker
evidence than it looks.

Faces are cut as dlib's ``get_face_chip`` would, see `equime.attribute_extraction.face_framing`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from equime import weights
from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.attribute_extraction.face_framing import SIZE_PX, dlib_chip
from equime.attribute_extraction.label_frames import cut_faces
from equime.attribute_extraction.label_summary import (
    AGE_GROUPS,
    Labelled,
    age_metrics,
    count_metric,
    metrics,
    summarise,
    summarise_age,
)
from equime.attribute_extraction.sampled_faces import SampleSession
from equime.errors import WorkError
from equime.frames import Frame
from equime.torch_env import load, load_tensors, quiet, torch

SOURCE: Final = "FairFace, Karkkainen & Joo, WACV 2021"
FILE: Final = "res34_fair_align_multi_7_20190809.pt"

RACE: Final = Labelled(
    "estimated_race_fairface",
    ("white", "black", "latino hispanic", "east asian", "southeast asian", "indian", "middle eastern"),
    "race",
    SOURCE,
)
GENDER: Final = Labelled("estimated_gender_fairface", ("man", "woman"), "gender", SOURCE)
AGE: Final = Labelled(
    "estimated_age_fairface", AGE_GROUPS, "age group", SOURCE, "estimated_age_fairface_group"
)
OUTPUTS: Final = (RACE, GENDER, AGE)
"""In the order of the network's 18 outputs."""

MIDDLES_YEARS: Final = (1.5, 6.5, 15.0, 25.0, 35.0, 45.0, 55.0, 65.0, 75.0)
"""Of the age groups; the last, which is open, as if it were ten years long."""

COUNT: Final = "n_label_frames_fairface"

MEAN: Final = (0.485, 0.456, 0.406)
STD: Final = (0.229, 0.224, 0.225)
"""Of RGB in 0..1 (ImageNet), as FairFace normalises."""


class FairFaceLabels:
    """Annotator ``fairface``."""

    name = "fairface"
    version = "1"
    weights: tuple[str, ...] = ("fairface",)
    packages: tuple[str, ...] = ("torch", "torchvision")
    needs_motion = False
    metrics: tuple[Metric, ...] = (
        *metrics(GENDER),
        *metrics(RACE),
        *age_metrics(AGE.prefix, f"{SOURCE}; expectation over the middles of its age groups"),
        *metrics(AGE),
        count_metric(COUNT),
    )

    def start(self, clip: ClipContext) -> Session:
        """Open a session; the network is loaded once for a process."""
        network = model(weights.require("fairface", FILE))
        return SampleSession(lambda frames: labels_row(network, frames))


def labels_row(network: Any, frames: Sequence[Frame]) -> Row:
    """Label the faces of the sampled frames, all in one batch."""
    found = cut_faces(frames, dlib_chip, SIZE_PX)
    n = len(found.crops)
    given = outputs(network, found.crops) if n else np.zeros((0, 18))
    return Row({**summary(given), COUNT: n}, notes=found.notes)


def outputs(network: Any, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The network's outputs before the softmax, (N, 18).

    Args:
        network: from `model`.
        crops: uint8 (N, 224, 224, 3) RGB.
    """
    rgb = (crops / np.float32(255) - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    with quiet(), torch().inference_mode():
        given = network(torch().from_numpy(np.ascontiguousarray(rgb)).permute(0, 3, 1, 2))
    return np.asarray(given.numpy(), np.float64)


def summary(given: NDArray[np.float64]) -> dict[str, Value]:
    """All columns but the count, from the outputs (N, 18) of N frames."""
    values: dict[str, Value] = {}
    first = 0
    for attribute in OUTPUTS:
        p = _softmax(given[:, first : first + len(attribute.classes)])
        first += len(attribute.classes)
        values |= summarise(attribute, p)
        if attribute is AGE:
            values |= summarise_age(AGE.prefix, p @ np.array(MIDDLES_YEARS))
    return values


def _softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


@functools.lru_cache(maxsize=1)
def model(file: Path) -> Any:
    """FairFace's network from its file, on the CPU.

    Raises:
        MissingError: torch or torchvision is not installed.
        WorkError: the file is damaged or holds something else.
    """
    state = load_tensors(file)
    with quiet(), torch().device("meta"):
        network = load("torchvision.models").resnet34(num_classes=sum(len(a.classes) for a in OUTPUTS))
    try:
        network.load_state_dict(state, assign=True)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise WorkError(
            f"{file}: is no ResNet-34 of FairFace; remove it and run `equime weights fetch fairface`"
        ) from error
    return network.eval().to(memory_format=torch().channels_last)
