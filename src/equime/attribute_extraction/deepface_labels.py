"""Age, gender, race and emotion of a clip as DeepFace estimates them.

An estimated label is an estimate of how a model reads a picture, not of who a person is. Two genders and six races
are what these networks have outputs for, not what people are. Use the labels to see whether a set of clips is
lopsided as such a model sees it, never to sort people, and report them as estimated.

What is known of the errors, from DeepFace's author unless said otherwise:

* age: mean absolute error 4.65 years; gender: accuracy 97.44 % (both on IMDB-WIKI, DeepFace's README);
* race: about 68 % on FairFace, the one set that it was trained on; nobody publishes it by race (issues 172 and 789 of
  serengil/deepface ask for it);
* Black women labelled "Man" (issue 144); children, of whom IMDB-WIKI holds few: ages too high (issue 64);
* emotion: trained on posed and web faces (FER-2013); it sees whole faces in one frame and was never meant for
  micro-expressions. A clip's ``estimated_emotion`` is no measure of its intended emotion.

None of these figures says how the labels do on another set of clips, rendered ones above all. `N_FRAMES` frames are
labelled and averaged as in `equime.attribute_extraction.label_summary`; how the face is cut out stands in
`equime.attribute_extraction.face_framing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from equime.annotation.annotators import ClipContext, Metric, Row, Session, Value
from equime.attribute_extraction.deepface_models import (
    BACKENDS,
    Networks,
    Probabilities,
    backend,
    entry_name,
    networks,
)
from equime.attribute_extraction.face_framing import SIZE_PX, tight_box
from equime.attribute_extraction.label_frames import cut_faces
from equime.attribute_extraction.label_summary import (
    AGE_GROUPS,
    NO_GROUND,
    Labelled,
    age_group,
    age_metrics,
    count_metric,
    metrics,
    summarise,
    summarise_age,
)
from equime.attribute_extraction.sampled_faces import SampleSession
from equime.frames import Frame

SOURCE: Final = "DeepFace 0.0.103, Serengil & Ozpinar 2021"

GENDER: Final = Labelled("estimated_gender", ("woman", "man"), "gender", SOURCE)
RACE: Final = Labelled(
    "estimated_race",
    ("asian", "indian", "black", "white", "middle eastern", "latino hispanic"),
    "race",
    SOURCE,
)
EMOTION: Final = Labelled(
    "estimated_emotion",
    ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
    "emotion",
    SOURCE,
)
LABELLED: Final = {"gender": GENDER, "race": RACE, "emotion": EMOTION}
"""By the name of their network, with the classes in the order of DeepFace's outputs."""

AGE: Final = "estimated_age"
COUNT: Final = "n_label_frames"


class DeepFaceLabels:
    """Annotator ``deepface``.

    Torch or onnxruntime can run it, so what it lacks depends on what is there: the weights and the package named are
    those of `equime.attribute_extraction.deepface_models.backend`.
    """

    name = "deepface"
    version = "1"
    needs_motion = False
    metrics: tuple[Metric, ...] = (
        *metrics(GENDER),
        *metrics(RACE),
        *age_metrics(AGE, SOURCE),
        Metric(f"{AGE}_group", "", None, None, "none",
               f"Group of the estimated age: {', '.join(AGE_GROUPS)}. It is {NO_GROUND}.", SOURCE, type="text"),
        *metrics(EMOTION),
        count_metric(COUNT),
    )  # fmt: skip

    def __init__(self) -> None:
        self.backend = backend()
        self.weights: tuple[str, ...] = (entry_name(self.backend),)
        self.packages: tuple[str, ...] = ("deepface", BACKENDS[self.backend])

    def start(self, clip: ClipContext) -> Session:
        """Open a session; the networks are loaded once for a process."""
        nets = networks(self.backend)
        return SampleSession(lambda frames: labels_row(nets, frames))


def labels_row(nets: Networks, frames: Sequence[Frame]) -> Row:
    """Label the faces of the sampled frames, all in one batch."""
    found = cut_faces(frames, tight_box, SIZE_PX)
    n = len(found.crops)
    probabilities = nets.probabilities(found.crops) if n else none_found()
    return Row({**summary(probabilities), COUNT: n}, notes=found.notes)


def none_found() -> Probabilities:
    """The probabilities of no face."""
    empty = {name: np.zeros((0, len(attribute.classes))) for name, attribute in LABELLED.items()}
    return {**empty, "age": np.zeros((0, 101))}


def summary(probabilities: Probabilities) -> dict[str, Value]:
    """All columns but the count, from probabilities of N frames by network.

    The age of a frame is the expectation over the years 0 to 100, as DeepFace computes it
    (``find_apparent_age``); ``DeepFace.analyze`` cuts it to whole years, which is not done here.
    """
    years = probabilities["age"] @ np.arange(101)
    values = summarise_age(AGE, years)
    for name, attribute in LABELLED.items():
        values |= summarise(attribute, probabilities[name])
    return {**values, f"{AGE}_group": age_group(float(years.mean())) if len(years) else None}
