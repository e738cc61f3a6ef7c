"""Shipped recognisers are what their cards say, and prediction says what it saw."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.baselines.inputs import FLOW28
from equime.baselines.predict import (
    NO_MOVEMENT,
    TOO_LONG,
    check_moments,
    choose_recognisers,
    moments_of,
    predict_clip,
    predict_paths,
)
from equime.baselines.predict_table import write_predictions
from equime.baselines.recogniser import About, Fitted, Head, Options
from equime.baselines.shipped import (
    CARD,
    WEIGHTS,
    Card,
    Shipped,
    list_shipped,
    load_shipped,
    packed,
    save_shipped,
    unpacked,
)
from equime.clip_sources import find_clips
from equime.dataset import Dataset
from equime.errors import InputError, MissingError, WorkError
from equime.generation_pipeline.pair_recipe import load_recipe
from equime.generation_pipeline.pairs import make_pairs
from equime.motion.spotting import Movement
from equime.motion.track import MotionTrack

FAKE = "tests.baselines.test_predict:FakeModel"


class FakeModel:
    """Scores are fixed weights on the mean of each channel; nothing is learnt."""

    about = About(key="fake", title="Fake", source="", input=FLOW28, options={})

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
        raise NotImplementedError

    def restore(self, tensors: Mapping[str, NDArray[np.generic]], *, head: Head, n_outputs: int) -> Fitted:
        return FakeFitted(np.asarray(tensors["weights"], np.float32), head)


class FakeFitted:
    def __init__(self, weights: NDArray[np.float32], head: Head) -> None:
        self.weights, self.head = weights, head

    def probabilities(self, x: NDArray[np.generic]) -> NDArray[np.float32]:
        scores = np.asarray(x, np.float32).mean(axis=(1, 2)) @ self.weights
        if self.head == "aus":
            return np.asarray(1 / (1 + np.exp(-scores)), np.float32)
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True), np.float32)

    def tensors(self) -> dict[str, NDArray[np.generic]]:
        return {"weights": self.weights}


class NeedsMuch(FakeModel):
    about = About(key="needs", title="", source="", input=FLOW28, requires=("no_such_package",), options={})


def card(name: str = "fake_emotion", **changes: object) -> Card:
    fields: dict[str, object] = {
        "name": name, "model": FAKE, "head": "emotion", "outputs": ("negative", "positive", "surprise"),
        "input_kind": "flow", "input_px": 28, "training": "nothing at all", "command": "equime benchmark x.toml",
        "seed": 1, "n_parameters": 9, "figures": {"UF1 on nothing": 0.25}, "features": {"method": "dis"},
    }  # fmt: skip
    return msgspec.convert({**fields, **changes}, Card)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fake recognisers: classes, and AUs 4 (always) and 12 (never)."""
    folder = tmp_path_factory.mktemp("weights")
    save_shipped(folder, FakeFitted(np.diag([3.0, 2.0, 1.0]).astype(np.float32), "emotion"), card())
    aus = FakeFitted(np.array([[9.0, -9.0]] * 3, np.float32), "aus")
    save_shipped(folder, aus, card("fake_aus", head="aus", outputs=("4", "12"), thresholds={"4": 0.6}))
    return folder


@pytest.fixture(scope="module")
def recognisers(weights: Path) -> list[Shipped]:
    return choose_recognisers(folder=weights)


# -- shipped ---------------------------------------------------------------------------------------------


def test_a_saved_recogniser_comes_back_with_its_card(weights: Path) -> None:
    assert [c.name for c in list_shipped(weights)] == ["fake_aus", "fake_emotion"]
    shipped = load_shipped("fake_emotion", weights)
    assert shipped.card.figures == {"UF1 on nothing": 0.25}
    x = np.random.default_rng(0).random((4, 28, 28, 3), dtype=np.float32)
    expected = FakeFitted(np.diag([3.0, 2.0, 1.0]).astype(np.float32), "emotion").probabilities(x)
    np.testing.assert_array_equal(shipped.fitted.probabilities(x), expected)
    assert load_shipped(weights / "fake_emotion").card == shipped.card
    text = (weights / "fake_emotion/card.md").read_text()
    for part in ("synthetic clips only", "equime benchmark x.toml", "0.250", shipped.card.sha256):
        assert part in text


def test_weights_that_are_not_the_cards_are_refused(weights: Path, tmp_path: Path) -> None:
    saved = save_shipped(tmp_path, FakeFitted(np.eye(3, dtype=np.float32), "emotion"), card())
    file = tmp_path / saved.name / WEIGHTS
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(WorkError, match="sha256"):
        load_shipped(saved.name, tmp_path)
    file.unlink()
    with pytest.raises(WorkError, match="cannot be read"):
        load_shipped(saved.name, tmp_path)
    (tmp_path / saved.name / CARD).write_text("{")
    with pytest.raises(WorkError, match="damaged"):
        list_shipped(tmp_path)


def test_unknown_names_newer_formats_and_missing_packages(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="known: fake_aus, fake_emotion"):
        load_shipped("nobody", weights)
    save_shipped(tmp_path, FakeFitted(np.eye(3, dtype=np.float32), "emotion"), card(format_version=99))
    with pytest.raises(WorkError, match="newer"):
        load_shipped("fake_emotion", tmp_path)
    with pytest.raises(InputError, match="lower-case"):
        save_shipped(tmp_path, FakeFitted(np.eye(3, dtype=np.float32), "emotion"), card("../Fake"))


def test_the_first_usable_recogniser_of_each_head_is_taken(tmp_path: Path) -> None:
    fitted = FakeFitted(np.eye(3, dtype=np.float32), "emotion")
    save_shipped(tmp_path, fitted, card("a_second", rank=1))
    save_shipped(tmp_path, fitted, card("b_first"))
    heavy = card("heavy", model="tests.baselines.test_predict:NeedsMuch", rank=-1)
    save_shipped(tmp_path, fitted, heavy)
    assert [s.card.name for s in choose_recognisers(folder=tmp_path)] == ["b_first"]
    with pytest.raises(MissingError, match="no_such_package"):
        choose_recognisers(["heavy"], tmp_path)
    with pytest.raises(InputError, match="one per head"):
        choose_recognisers(["a_second", "b_first"], tmp_path)
    with pytest.raises(MissingError, match="--model"):
        choose_recognisers(folder=tmp_path / "empty")


def test_compact_storage_keeps_numbers_as_far_as_it_says() -> None:
    rng = np.random.default_rng(1)
    tensors = {
        "pictures": rng.random((80, 100)),
        "signed": rng.standard_normal((70, 90)).astype(np.float32) * 1e-3,
        "huge": np.full(5000, 1e9),
        "few": rng.random(10),
        "numbers": np.arange(9000),
    }
    full, half, byte = (unpacked(packed(tensors, kind)) for kind in ("full", "half", "byte"))
    for name, array in tensors.items():
        np.testing.assert_array_equal(full[name], array)
    np.testing.assert_allclose(half["pictures"], tensors["pictures"], atol=2**-12)
    np.testing.assert_allclose(byte["pictures"], tensors["pictures"], atol=0.5 / 255 + 1e-6)
    np.testing.assert_array_equal(byte["signed"], half["signed"])
    for name in ("huge", "few", "numbers"):
        np.testing.assert_array_equal(byte[name], tensors[name])
    assert packed(tensors, "byte")["pictures"].dtype == np.uint8


# -- prediction ------------------------------------------------------------------------------------------


def test_a_rendered_clip_is_spotted_and_recognised(mesh_clips: Dataset, recognisers: list[Shipped]) -> None:
    clips = {c.emotion: c for c in find_clips(mesh_clips.root)[0] if c.subject_id == "drawn_101"}
    found = predict_clip(clips["happiness"], recognisers)
    assert found.problem is None
    assert clips["happiness"].clip is not None
    timing = clips["happiness"].clip.timing
    assert timing is not None
    moments = found.moments
    assert moments is not None
    assert moments.spotted
    assert abs(moments.onset - timing.onset_frame) <= 2
    assert abs(moments.apex - timing.apex_frame) <= 1
    assert moments.offset is not None
    assert abs(moments.offset - timing.offset_frame) <= 3
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert found.label == max(found.probabilities, key=lambda name: found.probabilities[name])
    assert found.present == ("4",)
    assert found.recognisers == ("fake_aus", "fake_emotion")


def test_a_neutral_clip_gets_no_label(mesh_clips: Dataset, recognisers: list[Shipped]) -> None:
    neutral = next(c for c in find_clips(mesh_clips.root)[0] if c.emotion == "neutral")
    found = predict_clip(neutral, recognisers)
    assert (found.label, found.moments, found.problem) == (None, None, None)
    assert found.notes == (NO_MOVEMENT,)


@pytest.fixture(scope="module")
def pair(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of two frames, 1.jpg and 2.jpg."""
    out = tmp_path_factory.mktemp("pair") / "out"
    make_pairs(faces, out, n=1, recipe=load_recipe("megc", ["resolution.face_px=[120, 120]"]), workers=0)
    return out / "pairs/pair_000000"


def test_given_frames_are_taken_as_they_are_named(
    pair: Path, recognisers: list[Shipped], tmp_path: Path
) -> None:
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, name in ((46, "1.jpg"), (47, "1.jpg"), (48, "2.jpg")):
        (folder / f"img{number}.jpg").write_bytes((pair / name).read_bytes())
    (found,) = predict_paths([folder], recognisers, fps=200, onset=46, apex=48)
    assert found.problem is None
    assert found.moments is not None
    assert (found.moments.onset, found.moments.apex, found.moments.apex_ms) == (46, 48, 10.0)
    assert not found.moments.spotted
    assert found.label is not None
    (missing,) = predict_paths([folder], recognisers, fps=200, onset=46, apex=60)
    assert missing.problem is not None
    assert missing.problem[0] == "missing_frame"


def test_bad_clips_are_problems_and_the_rest_goes_on(
    mesh_clips: Dataset, recognisers: list[Shipped], tmp_path: Path
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    for number in range(6):
        (tmp_path / "grey").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"grey/{number}.png"), np.full((120, 120), 90, np.uint8))
    found = {p.file: p.problem for p in predict_paths([tmp_path], recognisers, fps=100)}
    assert {file: problem and problem[0] for file, problem in found.items()} == {
        "a.mp4": "not_a_video",
        "grey": "no_face",
    }


@pytest.mark.parametrize(("onset", "apex"), [(3, None), (None, 3), (5, 5), (-1, 2)])
def test_frames_that_are_no_pair_are_refused(onset: int | None, apex: int | None) -> None:
    with pytest.raises(InputError, match="--onset"):
        check_moments(onset, apex)


def test_frames_can_be_given_for_one_clip_only(mesh_clips: Dataset, recognisers: list[Shipped]) -> None:
    with pytest.raises(InputError, match="8 clips"):
        list(predict_paths([mesh_clips.root], recognisers, onset=1, apex=2))


def track(n: int = 50) -> MotionTrack:
    zero = np.zeros((n, 13, 2), np.float32)
    return MotionTrack(
        time_ms=np.arange(n) * 40.0, fps=25.0, landmarks=np.zeros((478, 2), np.float32), px_per_mm=1.0,
        displacement_mm=zero, magnitude_mm=zero[..., 0], strain=zero[..., 0], head=np.zeros((n, 4), np.float32),
        aperture=np.ones((n, 2), np.float32), change=np.zeros(n, np.float32), peak_frame=0,
        peak_flow_mm=np.zeros((2, 2, 2), np.float32), crop=np.zeros((2, 3)),
        reference_bgr=np.zeros((2, 2, 3), np.uint8), peak_bgr=np.zeros((2, 2, 3), np.uint8),
    )  # fmt: skip


def test_moments_count_as_frame_timing_does() -> None:
    # Frames at 0, 40, 80, ... ms: the first after 410 is 11, the one next to 605 is 15, the last before 880 is 21.
    moments, notes = moments_of(track(), Movement(410.0, 605.0, 880.0, 1.0, 5.0, False))
    assert (moments.onset, moments.apex, moments.offset, notes) == (11, 15, 21, ())


def test_what_is_odd_about_a_movement_is_said() -> None:
    _, notes = moments_of(track(), Movement(100.0, 900.0, 1900.0, 1.0, 5.0, False))
    assert any(TOO_LONG in note for note in notes)
    moments, notes = moments_of(track(), Movement(None, 10.0, None, None, 5.0, True))
    assert (moments.onset, moments.apex, moments.offset) == (0, 1, None)
    assert len(notes) == 3


def test_predictions_become_a_table_and_lines(
    mesh_clips: Dataset, recognisers: list[Shipped], tmp_path: Path
) -> None:
    source = next(c for c in find_clips(mesh_clips.root)[0] if c.emotion == "surprise")
    found = [predict_clip(source, recognisers, onset=2, apex=9)]
    write_predictions(found, tmp_path / "p.csv")
    (row,) = csv.DictReader((tmp_path / "p.csv").read_text().splitlines())
    assert row["clip_id"] == source.clip_id
    assert row["prediction"] == found[0].label
    assert float(row["p_negative"]) == pytest.approx(found[0].probabilities["negative"], abs=1e-4)
    assert row["aus"] == "4"
    write_predictions(found, tmp_path / "p.jsonl")
    (line,) = (tmp_path / "p.jsonl").read_text().splitlines()
    assert json.loads(line)["moments"]["apex"] == 9
    with pytest.raises(InputError, match="csv or"):
        write_predictions(found, tmp_path / "p.xlsx")
