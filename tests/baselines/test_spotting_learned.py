"""The learned spotter: what it sees, that it learns, whom it never sees, and its file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.baselines import spotting_learned as learned
from equime.baselines.spotting_learned import (
    CLASSES,
    LearnedSpotter,
    Recipe,
    cross_validated,
    frame_labels,
    load_spotter,
    mirrored,
    refuse_overlap,
    train,
    windows,
    windows_size,
)
from equime.baselines.spotting_scores import score
from equime.baselines.spotting_signal import FaceSignal
from equime.coded import CodedSet
from equime.errors import InputError, MissingError
from tests.baselines.face_signals import Bump, coded, signal

BROWS, MOUTH = ("brow_right", "brow_left"), ("mouth_right", "mouth_left")
QUICK = Recipe(hidden=16, epochs=12, members=1)
Videos = tuple[dict[str, FaceSignal], CodedSet]


def videos(n: int, seed: int) -> Videos:
    """Videos of n people: two micro- and two macro-expressions each, in brows or mouth."""
    rng = np.random.default_rng(seed)
    signals, rows = {}, []
    for i in range(n):
        bumps: list[Bump] = []
        for k, kind in enumerate(rng.permutation(["micro", "micro", "macro", "macro"])):
            start = 3000.0 + 4200 * k + float(rng.uniform(0, 800))
            length = float(rng.uniform(250, 480) if kind == "micro" else rng.uniform(800, 1400))
            bumps.append(
                (start, start + length, BROWS if rng.random() < 0.5 else MOUTH, float(rng.uniform(0.8, 2)))
            )
            rows.append((f"s{i}", f"v{i}", int(start * 0.03) + 1, int((start + length) * 0.03), kind))
        signals[f"v{i}"] = signal(bumps, seed=seed + i, blinks=[1500.0, 9000.0])
    return signals, coded(rows)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def seen() -> Videos:
    return videos(6, 1)


@pytest.fixture(scope="module")
def spotter(seen: Videos) -> LearnedSpotter:
    return train(*seen, recipe=QUICK)


def test_learns_what_a_micro_expression_is(spotter: LearnedSpotter) -> None:
    signals, data = videos(5, 100)
    scores = score({file: spotter.intervals(one) for file, one in signals.items()}, data)
    assert scores["micro"].f1 is not None
    assert scores["micro"].f1 > 0.7
    assert scores["macro"].f1 is not None
    assert scores["macro"].f1 > 0.8


def test_labels_that_mean_nothing_teach_nothing(seen: Videos) -> None:
    """The same training with the coding of other videos: the test above is no accident."""
    signals, data = seen
    files = sorted(signals)
    moved = {file: signals[files[(i + 1) % len(files)]] for i, file in enumerate(files)}
    fooled = train(moved, data, recipe=QUICK)
    others, truth = videos(5, 100)
    scores = score({file: fooled.intervals(one) for file, one in others.items()}, truth)
    assert (scores["micro"].f1 or 0.0) < 0.5


def test_probabilities_are_those_of_scikit_learn(seen: Videos) -> None:
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 8)).astype(np.float32)
    network = MLPClassifier((5,), max_iter=400, random_state=0, tol=1e-2).fit(x, rng.integers(3, size=60))
    (w0, w1), (b0, b1) = network.coefs_, network.intercepts_
    ours = learned._averaged([(w0, b0, w1, b1)], x)
    np.testing.assert_allclose(ours, network.predict_proba(x), atol=1e-5)


def test_rows_of_probabilities_sum_to_one(spotter: LearnedSpotter, seen: Videos) -> None:
    at, p = spotter.probabilities(next(iter(seen[0].values())))
    assert p.shape == (len(at), len(CLASSES))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, atol=1e-5)


def test_labels_lie_on_the_coded_frames() -> None:
    face = signal([], seconds=4.0)
    data = coded([("1", "v", 30, 38, "micro"), ("1", "v", 60, 89, "macro")])
    y = frame_labels(face, data.clips, face.time_ms)
    assert np.flatnonzero(y == CLASSES.index("micro")).tolist() == list(range(30, 39))
    assert np.flatnonzero(y == CLASSES.index("macro")).tolist() == list(range(60, 90))


def test_windows_are_read_by_time_whatever_the_frame_rate() -> None:
    bumps: list[Bump] = [(2000, 2450, BROWS, 1.0)]
    slow, fast = (windows(signal(bumps, fps=fps, seconds=6.0, noise_mm=0.0)) for fps in (30.0, 66.0))
    assert slow[1].shape[1] == fast[1].shape[1] == windows_size()
    n = min(len(slow[0]), len(fast[0])) - 25  # the ends of the two differ by a part of a frame
    regions = np.abs(slow[1][:n] - fast[1][:n])
    assert regions.mean() < 0.02
    assert np.abs(slow[1]).max() > 1.0


@given(st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_a_mirror_in_a_mirror_is_no_mirror(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(3, windows_size())).astype(np.float32)
    np.testing.assert_array_equal(mirrored(mirrored(x)), x)
    assert not np.array_equal(mirrored(x), x)


def test_a_mirror_swaps_the_sides() -> None:
    one, other = (
        windows(signal([(2000, 2450, (name,), 1.0)], seconds=5.0, noise_mm=0.0, seed=3))[1]
        for name in ("brow_right", "brow_left")
    )
    still = windows(signal([], seconds=5.0, noise_mm=0.0, seed=3))[1]
    np.testing.assert_allclose(mirrored(one - still), other - still, atol=1e-5)
    assert np.abs(mirrored(one - still) - (one - still)).max() > 0.5


def test_nobody_is_tested_by_a_network_that_saw_them(seen: Videos, monkeypatch: pytest.MonkeyPatch) -> None:
    signals, data = seen
    trained: list[set[str]] = []

    class Nothing:
        def intervals(self, face: FaceSignal) -> tuple[()]:
            file = next(name for name, one in signals.items() if one is face)
            assert file not in trained[-1]
            return ()

    def record(given: dict[str, FaceSignal], *_: object, **__: object) -> Nothing:
        trained.append(set(given))
        return Nothing()

    monkeypatch.setattr(learned, "train", record)
    assert set(cross_validated(signals, data)) == set(signals)
    assert len(trained) == 6
    trained.clear()
    cross_validated(signals, data, folds=3)
    assert sorted(len(one) for one in trained) == [4, 4, 4]
    with pytest.raises(InputError, match="1 subject"):
        cross_validated({"v0": signals["v0"]}, data)


def test_training_depends_on_seed_and_data_alone(seen: Videos, spotter: LearnedSpotter) -> None:
    again, other = train(*seen, recipe=QUICK), train(*seen, recipe=QUICK, seed=1)
    np.testing.assert_array_equal(again.layers[0][0], spotter.layers[0][0])
    assert not np.array_equal(other.layers[0][0], spotter.layers[0][0])


def test_a_file_gives_the_same_spotter_back(spotter: LearnedSpotter, seen: Videos, tmp_path: Path) -> None:
    path = tmp_path / "spotter.safetensors"
    spotter.save(path)
    loaded = load_spotter(path)
    assert loaded.about == spotter.about
    assert loaded.about.people == tuple(f"made/s{i}" for i in range(6))
    assert (loaded.about.n_micro, loaded.about.n_macro, loaded.about.synthetic) == (12, 12, True)
    face = seen[0]["v0"]
    assert loaded.intervals(face) == spotter.intervals(face)
    assert path.stat().st_size < 200_000


def test_bad_files_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import save_file  # noqa: PLC0415

    with pytest.raises(MissingError, match="train-spotter"):
        load_spotter(tmp_path / "none.safetensors")
    (tmp_path / "text").write_text("no weights here")
    with pytest.raises(InputError, match="not a spotter"):
        load_spotter(tmp_path / "text")
    save_file({"a": np.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="not a spotter"):
        load_spotter(tmp_path / "other.safetensors")


def test_people_that_were_trained_on_are_refused(spotter: LearnedSpotter, seen: Videos) -> None:
    with pytest.raises(InputError, match="made/s0"):
        refuse_overlap(spotter, seen[1])
    refuse_overlap(spotter, coded([("s77", "v", 3, 9, "micro")]))


def test_training_without_a_kind_of_expression_is_refused(seen: Videos) -> None:
    signals, data = seen
    with pytest.raises(InputError, match="macro"):
        train(signals, data.only([clip for clip in data.clips if clip.expression == "micro"]))
