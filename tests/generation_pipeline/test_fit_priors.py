from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.coded import AuCode, CodedClip
from equime.errors import InputError
from equime.generation_pipeline.causal_model import CausalModel
from equime.generation_pipeline.fit_priors import FittedPriors, fit_priors
from equime.generation_pipeline.priors import POOLED_CORPUS, default_priors, load_priors
from tests.generation_pipeline.specimens import make_face


def clip(
    emotion: str | None, aus: str = "", *, name: str = "x", corpus: str = "mine", phases: tuple[int, int] = (30, 30),
    **more: object,
) -> CodedClip:  # fmt: skip
    """A clip of ``aus`` such as "L12 6B", at 200 fps."""
    sides = {"L": "left", "R": "right"}
    codes = tuple(
        AuCode(
            au=int(code.strip("LRABCDE")), side=sides.get(code[0], "both"), letter=code[-1] if code[-1].isalpha() else ""
        )
        for code in aus.split()
    )  # fmt: skip
    onset = 100
    fields = {"onset": onset, "apex": onset + phases[0], "offset": onset + sum(phases), "aus": codes, **more}
    return CodedClip(
        clip_id=name, corpus=corpus, subject_id="1", name=name, fps=200.0, emotion=emotion, **fields
    )  # type: ignore[arg-type]


def codes_of(fitted: FittedPriors) -> dict[str, int]:
    return {finding.code: finding.n for finding in fitted.findings}


@pytest.fixture(scope="module")
def small() -> FittedPriors:
    """Nothing has enough clips for anything but AU sets."""
    return fit_priors(
        [
            *[clip("happiness", "6 12")] * 2,
            clip("happy", "L12"),
            clip("happiness", "12 38 45"),
            clip("happiness", "1 2", name="secret", corpus="other"),
            clip("fear", "20"),
            clip("disgust"),
            clip("others", "4"),
            clip("repression", "17"),
            clip(None, "4"),
            clip("happiness", "12", expression="macro"),
        ],
        "two invented tables",
    )


def test_sets_by_hand(small: FittedPriors) -> None:
    assert small.data["au_sets_per_emotion"] == {
        "happiness": {
            "n_clips": 5,
            "n_by_corpus": {"mine": 4, "other": 1},
            "sets": [{"aus": [6, 12], "count": 2}, {"aus": [12], "count": 2}],
            "n_in_sets_seen_once": 1,
        }
    }


def test_everything_left_out_is_counted(small: FittedPriors) -> None:
    assert codes_of(small) == {
        "macro_expressions": 1,
        "other_emotion": 3,
        "other_aus": 2,
        "no_aus": 1,
        "too_few_clips": 1,
        "few_codes": 2,
        "pooled_durations": 1,
        "out_of_range": 10,
        "shipped_letters": 0,
    }


def test_no_row_can_be_read_off(small: FittedPriors) -> None:
    sets = small.data["au_sets_per_emotion"]
    assert all(entry["count"] > 1 for part in sets.values() for entry in part["sets"])
    assert "secret" not in str(small.data)


def test_what_is_short_is_replaced(small: FittedPriors) -> None:
    pooled = small.data["phase_durations"]["pooled"]
    assert small.data["phase_durations_per_emotion"] == {"happiness": pooled}
    assert pooled["onset_to_apex"] == {"n": 10, "mu_log_ms": 5.011, "sigma_log_ms": 0.2, "median_ms": 150.0}
    assert small.priors.phase_durations[POOLED_CORPUS].apex_to_offset.median_ms == 150.0
    assert small.priors.intensity_letters_SAMM == default_priors().intensity_letters_SAMM


def test_laterality_and_letters_by_hand() -> None:
    clips = [
        *[clip("happiness", "L12A", name="l")] * 3,
        *[clip("happiness", "R12B")] * 1,
        *[clip("happiness", "12")] * 4,
        *[clip("happiness", "L12C R12D")] * 8,
        *[clip("happiness", "17E")] * 12,
    ]
    fitted = fit_priors(clips, "invented")
    assert fitted.data["unilateral_share_per_au"] == {
        "12": {"n": 16, "unilateral": 0.25, "left_of_unilateral": 0.75},
        "17": {"n": 12, "unilateral": 0.0, "left_of_unilateral": None},
    }
    letters = fitted.data["intensity_letters"]
    assert letters == {"A": 0.094, "B": 0.031, "C": 0.25, "D": 0.25, "E": 0.375, "n": 32}


@settings(max_examples=6, deadline=None)
@given(
    st.integers(0, 1000),
    st.tuples(st.floats(4.8, 5.4), st.floats(0.25, 0.5)),
    st.tuples(st.floats(4.8, 5.4), st.floats(0.25, 0.5)),
)
def test_known_distributions_are_recovered(
    seed: int, rise: tuple[float, float], fall: tuple[float, float]
) -> None:
    random = np.random.default_rng(seed)
    n, sets, p = 800, ["1 2", "L12", "4 7 9"], [0.6, 0.3, 0.1]
    drawn = random.choice(3, n, p=p)
    frames = np.stack([np.exp(random.normal(*phase, n)) for phase in (rise, fall)]) / 5
    clips = [
        clip("surprise" if i % 2 else "anger", sets[k], phases=(round(a), round(b)))
        for i, (k, a, b) in enumerate(zip(drawn, *frames, strict=True))
    ]
    fitted = fit_priors(clips, "drawn").priors
    for emotion in ("surprise", "anger"):
        durations = fitted.phase_durations_per_emotion_DFME[emotion]
        for got, (mu, sigma) in ((durations.onset_to_apex, rise), (durations.apex_to_offset, fall)):
            assert abs(got.mu_log_ms - mu) < 5 * sigma / math.sqrt(n / 2) + 0.01
            assert abs(got.sigma_log_ms - sigma) < 5 * sigma / math.sqrt(n) + 0.01
        part = fitted.au_sets_per_emotion[emotion]
        shares = {entry.aus: entry.count / part.n_clips for entry in part.sets}
        assert [
            abs(shares[aus] - q) < 0.12 for aus, q in zip([(1, 2), (12,), (4, 7, 9)], p, strict=True)
        ] == [True] * 3
    assert fitted.unilateral_share_per_au["12"].unilateral == 1.0


def test_the_model_draws_from_the_written_file(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    clips = [
        clip(emotion, aus, phases=(int(random.integers(20, 50)), int(random.integers(20, 50))))
        for emotion, aus in [("fear", "20"), ("contempt", "R14")] * 40
    ]
    fit_priors(clips, "invented").write(tmp_path / "priors.json")
    model = CausalModel(load_priors(tmp_path / "priors.json"), p_felt=1.0)
    specs = [model.sample(make_face(i), 1) for i in range(60)]
    seen = {(spec.emotion, tuple(peak.au for peak in spec.aus)) for spec in specs}
    assert seen == {("fear", (20,)), ("contempt", (14,)), ("neutral", ())}
    assert {peak.left for spec in specs if spec.emotion == "contempt" for peak in spec.aus} == {0.0}
    forced = model.sample(make_face(1), 1, do={"emotion": "neutral", "au_set": [12]})
    assert forced.phases is not None


def test_a_corpus_of_its_own_durations() -> None:
    slow = [clip("fear", "20", corpus="slow", phases=(50, 40))] * 20
    quick = [clip("fear", "20", corpus="quick", phases=(20, 40))] * 19
    durations = fit_priors(slow + quick, "two").data["phase_durations"]
    assert set(durations) == {"pooled", "slow"}
    assert durations["slow"]["onset_to_apex"]["median_ms"] == 250.0


def test_frames_that_are_not_coded_or_coincide() -> None:
    clips = [*[clip("fear", "20")] * 2, clip("fear", "20", apex=None), clip("fear", "20", phases=(0, 9))]
    fitted = fit_priors(clips, "gaps")
    assert codes_of(fitted)["no_duration"] == 2
    assert fitted.data["phase_durations"]["pooled"]["apex_to_offset"]["n"] == 3


@pytest.mark.parametrize(
    ("clips", "says"),
    [
        ([], "no priors from 0 clips"),
        ([clip("others", "4")] * 3, "no AU set is shared"),
        ([clip("fear", "4"), clip("fear", "7")], "no AU set is shared"),
        ([clip("fear", "4", apex=None)] * 3, "from onset to apex and apex to offset; give coding tables"),
    ],
)
def test_too_little(clips: list[CodedClip], says: str) -> None:
    with pytest.raises(InputError, match=says):
        fit_priors(clips, "nothing")


def test_shipped_names_and_neutral_names_mean_the_same(small: FittedPriors, tmp_path: Path) -> None:
    small.write(tmp_path / "neutral.json")
    read = load_priors(tmp_path / "neutral.json")
    assert read == small.priors
    assert read.phase_durations["pooled"] == read.phase_durations["DFME"]
