"""Tables to audit, made by hand: who is in them, what was intended and what was measured, null by construction.

data = make_data(n_subjects=40, clips_per_subject=5, seed=0)
data = make_data(groups={"declared_gender": ["m"] * 30 + ["f"] * 10})      # one value per subject
data = make_data(brisque=lambda clips: 20 + 5 * (clips.declared_gender == "f"))   # or one value per clip
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from equime.evaluation_framework.audit.data import UNKNOWN, Attribute, AuditData, Outcome
from equime.provenance import Provenance

EMOTIONS: Final = ("happiness", "sadness", "surprise", "fear", "anger")
RACES: Final = ("asian", "black", "white")
ITA_GROUPS: Final = ("brown", "tan", "light")
ITA_LIMITS: Final = (10.0, 28.0)
"""Degrees between the groups."""

ATTRIBUTES: Final = (
    Attribute("declared_gender", "declared", "gender (declared)", ("f", "m"), "faces.jsonl"),
    Attribute(
        "measured_ita_group", "measured", "skin tone (measured)", ITA_GROUPS, "tables/skin_tone.parquet",
        number="measured_ita_deg", unit="deg",
    ),
    Attribute(
        "estimated_race", "estimated", "race (estimated)", RACES, "tables/deepface.parquet",
        soft=tuple(f"estimated_race_{race}" for race in RACES),
    ),
)  # fmt: skip

INTENDED: Final = (
    Outcome("emotion", "emotion", "groups"),
    Outcome("intensity_max", "largest intensity", "number", "0 to 5"),
    Outcome("onset_to_apex_ms", "onset to apex", "number", "ms"),
    Outcome("laterality", "laterality", "groups"),
    Outcome("n_blinks", "blinks", "number", "per clip"),
    Outcome("head_motion_deg", "head motion", "number", "deg"),
    Outcome("au12", "AU 12", "flag"),
)
MEASURED: Final = (
    Outcome("peak_motion_mm", "largest motion", "number", "mm", "measured"),
    Outcome("apex_error_ms", "apex error", "number", "ms", "measured", "lower"),
    Outcome("brisque", "BRISQUE", "number", "", "measured", "lower"),
)

Column = Sequence[Any] | np.ndarray | Callable[[pd.DataFrame], Any]


def make_data(
    n_subjects: int = 40,
    clips_per_subject: int = 5,
    seed: int = 0,
    groups: Mapping[str, Sequence[Any]] | None = None,
    *,
    twins: bool = False,
    attributes: tuple[Attribute, ...] = ATTRIBUTES,
    **columns: Column,
) -> AuditData:
    """A data set in which nothing goes with who the person is, as the causal model makes one.

    Emotions take turns within every subject; intensity, timing, laterality, blinks and head motion are drawn per
    subject and round of emotions; what was measured has a part per subject.

    Args:
        n_subjects: people "s000", "s001", ...
        clips_per_subject: clips of each; 5 show every emotion once.
        seed: of everything that is drawn.
        groups: column of an attribute (also ``number`` or ``soft`` columns) to one value per subject.
        twins: whether every expression is shown by all people alike (``twin_group`` names it); else each has its
            own and ``twin_group`` is None.
        attributes: of the result; `ATTRIBUTES` without change where their groups are.
        columns: column to one value per clip, or to a function of the table so far. New columns are taken too.
    """
    random = np.random.default_rng(seed)
    people = _people(n_subjects, random)
    for name, values in (groups or {}).items():
        people[name] = list(values)
    subject = np.repeat(np.arange(n_subjects), clips_per_subject)
    take = np.tile(np.arange(clips_per_subject), n_subjects)
    clips = people.iloc[subject].reset_index(drop=True)
    clips.insert(0, "clip_id", [f"c{i:06d}" for i in range(len(clips))])
    clips.insert(1, "file", [f"{clip}.mp4" for clip in clips["clip_id"]])
    clips = pd.concat([clips, _shown(subject, take, twins, random)], axis=1)
    for name, column in columns.items():
        clips[name] = column(clips) if callable(column) else column
    return AuditData(
        path="made",
        clips=clips,
        attributes=tuple(_with_groups(a, clips) for a in attributes),
        intended=INTENDED,
        measured=MEASURED,
        findings=(),
        provenance=Provenance(versions={}, python="3", platform="test", commit=None),
        renderers=("mesh 1",),
    )


def _people(n: int, random: np.random.Generator) -> pd.DataFrame:
    """One row per subject: name and attributes."""
    ita = random.uniform(-10, 50, n)
    soft = random.dirichlet(np.full(len(RACES), 0.5), n)
    columns: dict[str, Any] = {
        "subject_id": [f"s{i:03d}" for i in range(n)],
        "declared_gender": random.choice(["f", "m"], n),
        "measured_ita_deg": ita,
        "measured_ita_group": np.array(ITA_GROUPS)[np.digitize(ita, ITA_LIMITS)],
        "estimated_race": np.array(RACES)[soft.argmax(1)],
    }
    columns |= {f"estimated_race_{race}": soft[:, i] for i, race in enumerate(RACES)}
    return pd.DataFrame(columns).astype(
        {"declared_gender": object, "measured_ita_group": object, "estimated_race": object}
    )


def _shown(subject: np.ndarray, take: np.ndarray, twins: bool, random: np.random.Generator) -> pd.DataFrame:
    """One row per clip: what was intended, and what was measured of it."""
    n = len(subject)
    draw = (
        take // len(EMOTIONS)
        if twins
        else np.unique(subject * 10_000 + take // len(EMOTIONS), return_inverse=True)[1]
    )
    n_draws = draw.max() + 1
    emotion = np.array(EMOTIONS, dtype=object)[take % len(EMOTIONS)]
    intensity = random.uniform(1, 4, n_draws)[draw]
    person = random.normal(size=subject.max() + 1)[subject]
    return pd.DataFrame(
        {
            "emotion": emotion,
            "intensity_max": intensity,
            "onset_to_apex_ms": random.lognormal(5.1, 0.3, n_draws)[draw],
            "laterality": random.choice(np.array(["both", "left", "right"], dtype=object), n_draws)[draw],
            "n_blinks": random.poisson(1.5, n_draws)[draw],
            "head_motion_deg": random.gamma(2.0, 1.0, n_draws)[draw],
            "au12": emotion == "happiness",
            "peak_motion_mm": 0.6 * intensity * np.exp(0.1 * person + random.normal(0, 0.1, n)),
            "apex_error_ms": random.gamma(2.0, 10.0, n),
            "brisque": 20 + 3 * person + random.normal(0, 2, n),
            "twin_group": [f"x{i:03d}" for i in take] if twins else [None] * n,
        }
    )


def _with_groups(attribute: Attribute, clips: pd.DataFrame) -> Attribute:
    """The attribute with the groups that occur: its own order first, then new ones by name."""
    there = set(clips[attribute.name]) - {UNKNOWN}
    own = [group for group in attribute.groups if group in there]
    return dataclasses.replace(attribute, groups=(*own, *sorted(there - set(own))))
