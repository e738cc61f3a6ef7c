"""Support vector machines on flow: scikit-learn's decisions, folds kept apart, and arrays that say it all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.svm import SVC

from equime.baselines import sklearn_fit
from equime.baselines.models.svm import FlowMachine, LinearSvm, RbfSvm, flow_blocks, mirrored
from equime.baselines.recogniser import Fitted
from equime.errors import InputError
from equime.seeding import stream

N = 60
MODELS = [LinearSvm, RbfSvm]


def flow(n: int = N, *, noise: float = 1.0, classes: int = 3) -> tuple[Any, Any]:
    """Min-max scaled flow at 8 px whose classes differ in a pattern, under noise."""
    random = stream(5, "flow")
    y = np.arange(n) % classes
    x = random.random((classes, 8, 8, 3))[y] + noise * random.random((n, 8, 8, 3))
    x -= x.min(axis=(1, 2), keepdims=True)
    return (x / x.max(axis=(1, 2), keepdims=True)).astype(np.float32), y


def machine(fitted: Fitted) -> FlowMachine:
    assert isinstance(fitted, FlowMachine)
    return fitted


def scaled(x: Any, rows: Any) -> Any:
    """By hand: each channel by the spread of the training rows about their mean, a third of the whole each."""
    parts = []
    for block in flow_blocks(x, "minmax"):
        centred = block.astype(float) - block[rows].mean(axis=0)
        parts.append(centred / np.sqrt(3 * np.square(centred[rows]).sum(axis=1).mean()))
    return np.concatenate(parts, axis=1)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("shared", [True, False])
def test_scores_are_scikit_learns_decisions(
    model: Any, shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By products that folds share, and by features where there are too many rows for a matrix."""
    if not shared:
        monkeypatch.setattr(sklearn_fit, "SHARED_ROWS", 0)
        monkeypatch.setattr(sklearn_fit, "MATRIX_ROWS", 0)
    x, y = flow()
    folds = [np.arange(0, 40), np.arange(20, 60)]
    found = model().fit(x, y, folds, options={"c": 2.0})
    for rows, fitted in zip(folds, found, strict=True):
        features = scaled(x, rows)
        for k in range(3):
            kernel = "linear" if model is LinearSvm else "rbf"
            reference = SVC(kernel=kernel, gamma=1.0, C=2.0, class_weight="balanced", tol=1e-6)
            reference.fit(features[rows], y[rows] == k)
            expected = reference.decision_function(features)
            np.testing.assert_allclose(machine(fitted).scores(x)[:, k], expected, atol=2e-3)


def test_pairs_of_classes_add_up() -> None:
    x, y = flow()
    rows = np.arange(N)
    (fitted,) = RbfSvm().fit(x, y, [rows], options={"multiclass": "ovo"})
    features = scaled(x, rows)
    expected = np.zeros((N, 3))
    for a, b in [(0, 1), (0, 2), (1, 2)]:
        pair = (y == a) | (y == b)
        reference = SVC(gamma=1.0, class_weight="balanced", tol=1e-6).fit(features[pair], y[pair] == a)
        score = reference.decision_function(features)
        expected[:, a] += score
        expected[:, b] -= score
    np.testing.assert_allclose(machine(fitted).scores(x), expected, atol=4e-3)


def test_gamma_of_one_is_about_scikit_learns_scale() -> None:
    x, _ = flow()
    features = scaled(x, np.arange(N))
    assert 1 / (features.shape[1] * features.var()) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("model", MODELS)
def test_a_fold_knows_its_own_rows_only(model: Any) -> None:
    """Scaling and temperature included."""
    x, y = flow()
    rows = np.arange(30)
    other = x.copy()
    other[30:] = 100 * other[30:] + 7
    first, second = (model().fit(data, y, [rows, np.arange(N)])[0] for data in (x, other))
    np.testing.assert_allclose(first.probabilities(x), second.probabilities(x), atol=1e-5)


def test_probabilities_do_not_change_the_order() -> None:
    x, y = flow(noise=3.0)
    (fitted,) = RbfSvm().fit(x, y, [np.arange(40)])
    p = fitted.probabilities(x)
    assert (p.argmax(axis=1) == machine(fitted).scores(x).argmax(axis=1)).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_a_machine_without_a_clue_is_not_sure() -> None:
    """Separable by chance: on its training rows such a machine is always right; taken out, they speak for nothing."""
    random = stream(1, "noise")
    x, y = random.random((N, 8, 8, 3)).astype(np.float32), np.arange(N) % 3
    rows, rest = np.arange(30), np.arange(30, N)
    (fitted,) = LinearSvm().fit(x, y, [rows], options={"c": 100.0})
    p = fitted.probabilities(x)
    assert (p[rows].argmax(axis=1) == y[rows]).all()
    assert log_loss(y[rest], p[rest]) < 1.02 * np.log(3)


def test_action_units_are_told_apart_where_they_are_coded() -> None:
    x, y = flow(classes=2, noise=0.5)
    aus = np.stack([y, 1 - y, np.zeros(N), np.ones(N)], axis=1).astype(np.int8)
    aus[::5] = -1
    hidden = aus.copy()
    hidden[::5] = 1 - np.maximum(hidden[::5], 0)
    (fitted,) = RbfSvm().fit(x, aus, [np.arange(N)], head="aus", n_outputs=4)
    p = fitted.probabilities(x)
    assert ((p[:, 0] > 0.5) == (y == 1)).all()
    assert ((p[:, 1] > 0.5) == (y == 0)).all()
    assert (p[:, 2] == 0).all(), "an AU that no training clip shows is never predicted"
    assert (p[:, 3] == 1).all()


def test_uncoded_rows_take_no_part() -> None:
    x, y = flow(classes=2)
    aus = y[:, None].astype(np.int8)
    aus[40:] = -1
    (masked,) = LinearSvm().fit(x, aus, [np.arange(40)], head="aus", n_outputs=1)
    (whole,) = LinearSvm().fit(x, aus, [np.arange(N)], head="aus", n_outputs=1)
    # The rows' spread still scales the channels, which is a matter of the flow and not of its labels.
    agree = (masked.probabilities(x) > 0.5) == (whole.probabilities(x) > 0.5)
    assert agree.mean() > 0.95


def test_the_mirror_image_of_a_face_moves_the_other_way() -> None:
    x, _ = flow()
    turned = mirrored(x)
    np.testing.assert_allclose(turned[:, :, 0, 0], 1 - x[:, :, -1, 0])
    np.testing.assert_allclose(turned[:, :, 0, 1:], x[:, :, -1, 1:])
    np.testing.assert_allclose(mirrored(turned), x, atol=1e-6)


def test_with_mirror_images_both_sides_are_one() -> None:
    x, y = flow()
    (fitted,) = RbfSvm().fit(x, y, [np.arange(N)], options={"flip": True})
    np.testing.assert_allclose(fitted.probabilities(x), fitted.probabilities(mirrored(x)), atol=5e-3)
    (fitted,) = RbfSvm().fit(x, y, [np.arange(N)])
    assert np.abs(fitted.probabilities(x) - fitted.probabilities(mirrored(x))).max() > 0.1


def test_robust_scaling_forgets_where_zero_was() -> None:
    x, _ = flow()
    moved = 0.25 + 0.5 * x
    for a, b in zip(flow_blocks(x, "robust"), flow_blocks(moved, "robust"), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)
        np.testing.assert_allclose(np.median(a, axis=1), 0, atol=1e-6)
        np.testing.assert_allclose(np.quantile(np.abs(a), 0.9, axis=1), 1, atol=1e-5)
    still = flow_blocks(np.full((1, 8, 8, 3), 0.5), "robust")
    assert (np.concatenate(still) == 0).all()


@pytest.mark.parametrize("model", MODELS)
def test_going_on_from_another_machine(model: Any) -> None:
    """Few target rows and a machine that has seen many: the two together do better than the few alone."""
    x, y = flow(240, noise=4.0)
    few, test = np.array([0, 1, 2, 3, 4, 5]), np.arange(120, 240)
    (many,) = model().fit(x, y, [np.arange(6, 120)])
    (alone,) = model().fit(x, y, [few])
    (together,) = model().fit(x, y, [few], start=[many])

    def right(fitted: Any) -> float:
        return float((fitted.probabilities(x[test]).argmax(axis=1) == y[test]).mean())

    assert right(alone) < right(many)
    assert right(together) > right(alone) + 0.1
    again = model().restore(together.tensors(), head="emotion", n_outputs=3)
    np.testing.assert_allclose(again.probabilities(x), together.probabilities(x), atol=1e-6)


def test_what_it_goes_on_from_must_fit() -> None:
    x, y = flow()
    start = LinearSvm().fit(x, y, [np.arange(N)], options={"normalisation": "robust"})
    with pytest.raises(InputError, match="same option normalisation"):
        LinearSvm().fit(x, y, [np.arange(N)], start=start)
    with pytest.raises(InputError, match="1 recognisers to start from for 2 folds"):
        LinearSvm().fit(x, y, [np.arange(N)] * 2, start=start, options={"normalisation": "robust"})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"kernel": "rbf"}, "no option 'kernel'.*balanced, c,"),
        ({"c": "1"}, "option c is '1'; it takes a number"),
        ({"flip": 1}, "option flip is 1; it takes true or false"),
        ({"c": 0}, "option c: 0.0 is not a number above 0"),
        ({"multiclass": "all"}, "'all' is neither 'ovr' nor 'ovo'"),
        ({"normalisation": "z"}, "'z' is none of minmax, robust"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], named: str) -> None:
    x, y = flow()
    with pytest.raises(InputError, match=named):
        LinearSvm().fit(x, y, [np.arange(N)], options=options)


def test_folds_that_nothing_can_be_learned_from() -> None:
    x, y = flow()
    rows = np.arange(N)
    with pytest.raises(InputError, match="fold 1 has no training rows"):
        LinearSvm().fit(x, y, [rows, rows[:0]])
    with pytest.raises(InputError, match="fold 1: class 2 has no sample among its 40"):
        LinearSvm().fit(x, y, [rows, rows[y != 2]])
    with pytest.raises(InputError, match="class -1 is outside 0 to 2"):
        LinearSvm().fit(x, np.where(y == 2, -1, y), [rows])
    aus = np.stack([y % 2, np.full(N, -1)], axis=1)
    with pytest.raises(InputError, match="fold 0: none of its 60 training rows is coded for AU column 1"):
        LinearSvm().fit(x, aus, [rows], head="aus", n_outputs=2)
    with pytest.raises(InputError, match="labels of shape"):
        LinearSvm().fit(x, aus, [rows], head="aus", n_outputs=3)
    with pytest.raises(InputError, match="cannot go on from a machine with an RBF kernel"):
        try_large_start()


def try_large_start() -> None:
    x, y = flow()
    start = RbfSvm().fit(x, y, [np.arange(N)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn_fit, "MATRIX_ROWS", 10)
        RbfSvm().fit(x, y, [np.arange(N)], start=start)
