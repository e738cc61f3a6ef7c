"""What models look at, and the samples they learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from equime.coded import THREE, CodedClip
from equime.errors import InputError

Kind = Literal["flow", "clip", "frame", "rgb_clip", "dynamic", "frame_pair"]

AUS: Final = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17)
"""The 12 AUs of cross-dataset AU detection (CD6ME, Varanka et al. 2023)."""


@dataclass(frozen=True)
class Input:
    """What a model looks at; the features module makes it from a coded clip.

    Attributes:
        kind: "flow": float32 (S, S, 3), u, v and optical strain from onset to apex, each min-max scaled per sample to
            0..1 (the flow folders of STSTNet and HTNet are exactly this at S = 28, as 8-bit RGB);
            "clip": uint8 (T, S, S) grey frames, the first T, zero-padded at the end (EquiME's baselines);
            "frame": uint8 (S, S) one grey frame, at the apex (or the middle); "frame_pair": uint8 (2, S, S) grey, onset
            and apex; "rgb_clip": uint8 (T, S, S, 3), T frames evenly spread from onset to offset;
            "dynamic": float32 (S, S, 3) dynamic image (Bilen et al. 2016) of onset to offset, 0..1.
        size_px: S.
        n_frames: T; 0 where the kind has none.
    """

    kind: Kind
    size_px: int = 28
    n_frames: int = 0

    @property
    def key(self) -> str:
        """Name in caches and in `Samples.inputs`: "flow28", "clip64x96", ..."""
        return f"{self.kind}{self.size_px}" + (f"x{self.n_frames}" if self.n_frames else "")


FLOW28: Final = Input("flow", 28)


@dataclass(frozen=True)
class Samples:
    """N coded clips with what models look at.

    Attributes:
        clips: their records, N.
        inputs: `Input.key` to an array whose first axis is N; large ones are memory-mapped from the cache.
        synthetic: (N,) whether each was generated.
    """

    clips: tuple[CodedClip, ...]
    inputs: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    synthetic: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def people(self) -> NDArray[np.str_]:
        """(N,) subject of each, unique over corpora."""
        return np.array([clip.person for clip in self.clips], dtype=np.str_)

    @property
    def corpora(self) -> NDArray[np.str_]:
        """(N,) corpus of each."""
        return np.array([clip.corpus for clip in self.clips], dtype=np.str_)

    def labels(self, classes: Sequence[str] = THREE) -> NDArray[np.int64]:
        """(N,) position of each clip's class in ``classes``; -1 where it has none of them.

        With `THREE` the class is `CodedClip.label`, else the emotion.
        """
        places = {name: i for i, name in enumerate(classes)}
        named = (clip.label if tuple(classes) == THREE else clip.emotion for clip in self.clips)
        return np.array([places.get(name or "", -1) for name in named], dtype=np.int64)

    def aus(self, numbers: Sequence[int] = AUS) -> NDArray[np.int8]:
        """(N, len(numbers)): 1 present on either side, 0 absent, -1 in clips without AU coding."""
        table = np.full((len(self.clips), len(numbers)), -1, np.int8)
        for row, clip in zip(table, self.clips, strict=True):
            if clip.aus is not None:
                present = {code.au for code in clip.aus}
                row[:] = [au in present for au in numbers]
        return table

    def input(self, wanted: Input) -> NDArray[np.generic]:
        """The array of one input.

        Raises:
            InputError: these samples do not have it (flow folders hold flow at 28 px and nothing else).
        """
        try:
            return self.inputs[wanted.key]
        except KeyError:
            has = ", ".join(self.inputs) or "none"
            raise InputError(
                f"these samples have no input {wanted.key} (they have: {has}); use a model that looks at one of "
                "those, or data with frames"
            ) from None

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Samples:
        """The samples at these positions, or where a mask is true."""
        at = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        return replace(
            self,
            clips=tuple(self.clips[i] for i in at),
            inputs={key: array[at] for key, array in self.inputs.items()},
            synthetic=self.synthetic[at],
        )
