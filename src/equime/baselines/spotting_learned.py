"""The learned spotter: a small network over sliding windows of the regional signals, trained on other people.

For every instant (30 a second) the network sees how far every region moves over its level (the regional spotter's own
measure), the lids and the speed of the head, up to 1.2 s before and after, and says how probable it is that the instant
lies inside a micro-expression, inside a macro-expression, or in neither. Intervals are peaks of that score: runs of
instants at which an expression has `RELEASE` or more, whose peak passes ``threshold``. A run counts where its length
and the network agree on its kind: a micro-expression is no longer than half a second, a macro-expression is. Labelling every window by the expression
that it lies in, and reading intervals off the score's peaks, is what SOFTNet (Liong et al. 2021) does with images; here
the windows are of regional movement, so a few minutes of video are enough to train on.

The training data are mirrored. Frame rates do not matter: windows are read by time. Where the subjects trained on and
those spotted in are the same the score means nothing, so `cross_validated` keeps them apart and `train` writes down
whom it saw.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from equime.baselines.spotting import (
    MICRO_MS,
    MOUTH,
    NEAR_EYES,
    Interval,
    Movements,
    make_interval,
    without_overlap,
)
from equime.baselines.spotting_scores import truth_of
from equime.baselines.spotting_signal import SKIN, FaceSignal, running_median
from equime.coded import CodedClip, CodedSet
from equime.errors import InputError, MissingError
from equime.motion.blinks import runs
from equime.motion.track import REGIONS
from equime.records import write_atomic
from equime.types import Record

F32 = NDArray[np.float32]

_AFTER_MS: Final = (67.0, 133.0, 200.0, 267.0, 333.0, 400.0, 500.0, 600.0, 750.0, 900.0, 1200.0)
TIMES_MS: Final = (*(-ms for ms in reversed(_AFTER_MS)), 0.0, *_AFTER_MS)
"""Instants of a window: close where a micro-expression begins and ends, wide enough for half a macro-expression."""

ANCHOR_MS: Final = 1000.0 / 30.0
CLASSES: Final = ("none", "micro", "macro")
N_CHANNELS: Final = len(SKIN) + 5

RELEASE: Final = 0.4
MERGE_MS: Final = 100.0
"""Probability down to which a run lasts, and the gap that two runs are joined over."""

HEAD_SOFT: Final = 10.0
"""Head speed v enters as asinh(v / 10), mm or degrees per second."""

FORMAT: Final = "equime-spotter/1"

_NAMES: Final = ("w0", "b0", "w1", "b1")

_REGIONS: Final = [REGIONS[i] for i in SKIN]
_MIRROR: Final = [
    *(
        _REGIONS.index(name.replace("_right", "_?").replace("_left", "_right").replace("_?", "_left"))
        for name in _REGIONS
    ),
    *(len(SKIN) + i for i in (0, 1, 3, 2, 4)),
]
"""Channel that a mirror puts in the place of each."""


class About(Record, frozen=True):
    """What a trained spotter knows of itself.

    Attributes:
        format: `FORMAT`.
        corpora: that it was trained on.
        people: that it has seen, `CodedClip.person`.
        synthetic: whether all videos were generated.
        n_videos, n_micro, n_macro: trained on.
        seed: of initialisation and order.
    """

    format: str
    corpora: tuple[str, ...]
    people: tuple[str, ...]
    synthetic: bool
    n_videos: int
    n_micro: int
    n_macro: int
    seed: int


class Recipe(Record, frozen=True):
    """How to train. The defaults were set by cross-validation on the train set of ``bench/spotting.py``.

    Attributes:
        hidden: units of the hidden layer.
        epochs: fixed; nothing is selected on any subject.
        members: networks that are averaged.
        alpha: L2 penalty.
        batch: windows per step.
        learning_rate: of Adam.
    """

    hidden: int = 48
    epochs: int = 15
    members: int = 3
    alpha: float = 0.1
    batch: int = 256
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class LearnedSpotter:
    """A trained spotter.

    Attributes:
        layers: per member (weights (D, H), bias (H,), weights (H, 3), bias (3,)), float32.
        about: what it was trained on.
        threshold: smallest peak of the score.
        shortest_ms, longest_ms: shorter and longer runs are no expressions.
    """

    layers: tuple[tuple[F32, F32, F32, F32], ...]
    about: About
    threshold: float = 0.5
    shortest_ms: float = 100.0
    longest_ms: float = 4000.0
    name: str = field(default="learned", init=False)

    def probabilities(self, signal: FaceSignal) -> tuple[NDArray[np.float64], F32]:
        """Instants in ms (A,), and the probability of every class there (A, 3); rows sum to 1."""
        at, x = windows(signal)
        return at, _averaged(self.layers, x)

    def intervals(self, signal: FaceSignal) -> tuple[Interval, ...]:
        """Expressions in one video, in order of time."""
        if len(signal.time_ms) < 8 or not signal.seen.any():
            return ()
        at, p = self.probabilities(signal)
        p = _smooth(p)
        shown = 1.0 - p[:, 0]
        out: list[Interval] = []
        for first, last in _runs(shown >= RELEASE):
            peak = first + int(np.argmax(shown[first : last + 1]))
            micro, macro = (float(v) for v in p[first : last + 1, 1:].mean(axis=0))
            times = (float(at[first] - ANCHOR_MS / 2), float(at[peak]), float(at[last] + ANCHOR_MS / 2))
            if shown[peak] >= self.threshold and self.shortest_ms <= times[2] - times[0] <= self.longest_ms:
                found = make_interval(signal, times, float(shown[peak]), MICRO_MS)
                if found and (found.expression == "micro") == (micro > macro):
                    out.append(found)
        return without_overlap(out)

    def save(self, path: Path) -> None:
        """Write a safetensors file; appears when complete."""
        from safetensors.numpy import save  # noqa: PLC0415

        tensors = {
            f"member{i}.{name}": np.ascontiguousarray(value)
            for i, layers in enumerate(self.layers)
            for name, value in zip(_NAMES, layers, strict=True)
        }
        metadata = {"about": msgspec.json.encode(self.about).decode(), "threshold": repr(self.threshold)}
        write_atomic(path, save(tensors, metadata=metadata))


def load_spotter(path: str | Path) -> LearnedSpotter:
    """A spotter that `LearnedSpotter.save` wrote.

    Raises:
        MissingError: no such file.
        InputError: another kind of file, or of another version.
    """
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    path = Path(path)
    if not path.is_file():
        raise MissingError(f"{path}: no such model; train one with `equime train-spotter SET OUT`")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            about = msgspec.json.decode(metadata["about"], type=About)
            members = sorted({key.split(".")[0] for key in file.keys()})  # noqa: SIM118 (not a mapping)
            layers = tuple(tuple(file.get_tensor(f"{m}.{name}") for name in _NAMES) for m in members)
    except (SafetensorError, KeyError, msgspec.DecodeError) as error:
        raise InputError(
            f"{path}: not a spotter of equime ({error}); train one with `equime train-spotter`"
        ) from None
    n_inputs = windows_size()
    if about.format != FORMAT or not layers or any(member[0].shape[0] != n_inputs for member in layers):
        raise InputError(f"{path}: made by another version ({about.format}, not {FORMAT}); train it again")
    return LearnedSpotter(layers, about, threshold=float(metadata["threshold"]))


def windows_size() -> int:
    """Numbers in a window."""
    return len(TIMES_MS) * N_CHANNELS


def windows(signal: FaceSignal) -> tuple[NDArray[np.float64], F32]:
    """What the network looks at.

    Returns:
        Instants in ms (A,), and float32 (A, D): the channels at `TIMES_MS` around each.
    """
    channels = _channels(signal)
    at = np.arange(0.0, signal.time_ms[-1] + 1e-6, ANCHOR_MS)
    when = (at[:, None] + np.array(TIMES_MS)[None, :]).ravel()
    read = np.stack([np.interp(when, signal.time_ms, channel) for channel in channels.T], axis=1)
    return at, read.reshape(len(at), -1).astype(np.float32)


def _channels(signal: FaceSignal) -> F32:
    """(T, `N_CHANNELS`): regions, the largest of upper face and mouth, lids right and left, head."""
    ratio = np.log1p(Movements(signal).ratio)
    upper, mouth = (ratio[:, rows].max(axis=1, keepdims=True) for rows in (NEAR_EYES, MOUTH))
    lids = signal.aperture - running_median(signal.aperture, signal.step_ms)
    speed = np.gradient(signal.head[:, [0, 1, 2, 4, 5]], signal.step_ms / 1000.0, axis=0)
    head = np.arcsinh(np.linalg.norm(speed, axis=1, keepdims=True) / HEAD_SOFT)
    out = np.concatenate([ratio, upper, mouth, 2.0 * lids, head], axis=1)
    return np.where(signal.seen[:, None], out, 0.0).astype(np.float32)


def mirrored(x: F32) -> F32:
    """The windows (N, D) of the same faces in a mirror."""
    return x.reshape(len(x), len(TIMES_MS), N_CHANNELS)[..., _MIRROR].reshape(x.shape)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of True, joined over gaps of `MERGE_MS`."""
    joined: list[tuple[int, int]] = []
    for first, last in runs(mask):
        if joined and (first - joined[-1][1]) * ANCHOR_MS <= MERGE_MS:
            joined[-1] = (joined[-1][0], last)
        else:
            joined.append((first, last))
    return joined


def frame_labels(
    signal: FaceSignal, clips: Sequence[CodedClip], at: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Class of every instant: place in `CLASSES` of the coded expression that it lies in."""
    number = np.interp(at, signal.time_ms, signal.number)
    out = np.zeros(len(at), np.int64)
    for clip in clips:
        if clip.onset is not None and clip.offset is not None:
            out[(number >= clip.onset - 0.5) & (number <= clip.offset + 0.5)] = CLASSES.index(clip.expression)
    return out


def train(
    signals: Mapping[str, FaceSignal], data: CodedSet, *, seed: int = 0, recipe: Recipe | None = None
) -> LearnedSpotter:
    """Train on coded videos.

    Args:
        signals: file to what was measured; files of the set that are missing here are left out.
        data: coded clips, several to a file.
        seed: of initialisation and order.
        recipe: how.

    Raises:
        InputError: no video, or no coded expression of one of the kinds.
    """
    recipe = recipe or Recipe()
    truth, people, _ = truth_of(data)
    files = sorted(file for file in truth if file in signals)
    parts = [windows(signals[file]) for file in files]
    y = [frame_labels(signals[file], truth[file], at) for file, (at, _) in zip(files, parts, strict=True)]
    missing = [name for i, name in enumerate(CLASSES) if not any((one == i).any() for one in y)]
    if missing:
        raise InputError(
            f"{len(files)} video(s) to train on show no instant of: {', '.join(missing)}; "
            "train on videos that hold micro- and macro-expressions"
        )
    x = np.concatenate([part for _, part in parts])
    x, target = np.concatenate([x, mirrored(x)]), np.concatenate([*y, *y])
    clips = [clip for file in files for clip in truth[file]]
    about = About(
        format=FORMAT, corpora=tuple(sorted({clip.corpus for clip in clips})),
        people=tuple(sorted({people[file] for file in files})), synthetic=data.info.synthetic, n_videos=len(files),
        n_micro=sum(clip.expression == "micro" for clip in clips),
        n_macro=sum(clip.expression == "macro" for clip in clips), seed=seed,
    )  # fmt: skip
    return LearnedSpotter(tuple(_fit(x, target, recipe, seed, i) for i in range(recipe.members)), about)


def _fit(x: F32, y: NDArray[np.int64], recipe: Recipe, seed: int, member: int) -> tuple[F32, F32, F32, F32]:
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415

    from equime.seeding import stream  # noqa: PLC0415

    network: Any = MLPClassifier(
        (recipe.hidden,), alpha=recipe.alpha, batch_size=min(recipe.batch, len(x)),
        learning_rate_init=recipe.learning_rate, max_iter=recipe.epochs, n_iter_no_change=recipe.epochs + 1,
        random_state=int(stream(seed, "learned spotter", member).integers(2**31)),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # The number of epochs is fixed on purpose.
        network.fit(x, y)
    (w0, w1), (b0, b1) = network.coefs_, network.intercepts_
    w0, b0, w1, b1 = (np.asarray(v, np.float32) for v in (w0, b0, w1, b1))
    return w0, b0, w1, b1


def _averaged(layers: Sequence[tuple[F32, F32, F32, F32]], x: F32) -> F32:
    """Mean probability (N, 3) of the members."""
    total = np.zeros((len(x), len(CLASSES)), np.float32)
    for w0, b0, w1, b1 in layers:
        z = np.maximum(x @ w0 + b0, 0.0) @ w1 + b1
        z = np.exp(z - z.max(axis=1, keepdims=True))
        total += z / z.sum(axis=1, keepdims=True)
    return total / np.float32(len(layers))


def _smooth(p: F32) -> F32:
    """Mean over three instants (a tenth of a second)."""
    padded = np.pad(p, ((1, 1), (0, 0)), mode="edge")
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3.0, np.float32)


def cross_validated(
    signals: Mapping[str, FaceSignal],
    data: CodedSet,
    *,
    folds: int | None = None,
    seed: int = 0,
    recipe: Recipe | None = None,
) -> dict[str, tuple[Interval, ...]]:
    """Intervals of every video, spotted by a network that never saw its subject.

    Args:
        signals: file to what was measured.
        data: coded clips.
        folds: groups of subjects; None leaves one subject out at a time.
        seed: of training.
        recipe: how to train.

    Raises:
        InputError: fewer than 2 subjects or folds, or a fold whose training videos lack a kind of expression.
    """
    truth, people, _ = truth_of(data)
    subjects = sorted({people[file] for file in truth if file in signals})
    n = len(subjects) if folds is None else folds
    if len(subjects) < 2 or not 2 <= n <= len(subjects):
        raise InputError(
            f"{len(subjects)} subject(s) in {n} fold(s): needs 2 or more of both, at most one per subject"
        )
    out: dict[str, tuple[Interval, ...]] = {}
    for i in range(n):
        left_out = set(subjects[i::n])
        spotter = train(
            {file: signal for file, signal in signals.items() if people.get(file) not in left_out},
            data, seed=seed, recipe=recipe,
        )  # fmt: skip
        out |= {
            file: spotter.intervals(signal)
            for file, signal in signals.items()
            if people.get(file) in left_out
        }
    return out


def refuse_overlap(spotter: LearnedSpotter, data: CodedSet) -> None:
    """Refuse to score a spotter on people it was trained on.

    Raises:
        InputError: naming them.
    """
    shared = sorted({clip.person for clip in data.clips} & set(spotter.about.people))
    if shared:
        raise InputError(
            f"the spotter was trained on {len(shared)} of these subjects ({', '.join(shared[:5])}): its score there "
            "means nothing; test on other subjects, or use --loso"
        )
