"""How features are made from coded clips."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, Self

from equime.baselines.inputs import Input
from equime.coded import CodedClip
from equime.errors import InputError

ApexFrom = Literal["coded", "spotted", "middle"]

VERSION: Final = 1
"""Raised whenever the same clip and options give other numbers: what is cached is then made again."""

_ALLOWED: Final = {
    "method": ("tvl1", "dis"),
    "crop": ("eyes", "face", "tight", "aligned", "none"),
    "head_motion": ("keep", "remove"),
    "apex": ("coded", "spotted", "middle"),
    "strain": ("full", "resized"),
    "clip_frames": ("file", "coded"),
}


@dataclass(frozen=True)
class FeatureOptions:
    """Settings of the features; the defaults are those of the published flow folders, as far as they are known.

    Attributes:
        method: of the flow: "tvl1", or "dis", which is about 3 times faster (see `equime.baselines.flow`).
        crop: one of `equime.baselines.crops.CROPS`; "none" for corpora that come cropped. Sets that say so themselves
            (`CodedInfo.cropped`: training pairs) are never cropped again.
        head_motion: "remove" takes a similarity fitted to the steady parts of the face off the flow.
        apex: "coded" (where none is coded, or it lies outside of onset and offset: spotted), "spotted" always,
            "middle" between onset and offset.
        max_px: longer side of the crop on which flow is computed; larger ones are averaged down. 0: no limit.
        strain: "full" from the flow at full size, then resized, as published; "resized" from the resized flow.
        clip_frames: which frames kind "clip" starts with: "file": the first of the folder or video (EquiME's
            baselines); "coded": the onset, and it ends at the offset. Of a folder or video that holds several
            clips it is always "coded".
    """

    method: Literal["tvl1", "dis"] = "tvl1"
    crop: Literal["eyes", "face", "tight", "aligned", "none"] = "eyes"
    head_motion: Literal["keep", "remove"] = "keep"
    apex: ApexFrom = "coded"
    max_px: int = 256
    strain: Literal["full", "resized"] = "full"
    clip_frames: Literal["file", "coded"] = "file"

    def __post_init__(self) -> None:
        for name, allowed in _ALLOWED.items():
            value = getattr(self, name)
            if value not in allowed:
                raise InputError(f"features: {name} {value!r} is not known; use {', '.join(allowed)}")
        if isinstance(self.max_px, bool) or not isinstance(self.max_px, int) or self.max_px < 0:
            raise InputError(
                f"features: max_px {self.max_px!r} is not a number of pixels; use 0 for no limit"
            )
        if 0 < self.max_px < 32:
            raise InputError(
                f"features: max_px {self.max_px} leaves too little to follow; use 32 or more, or 0"
            )

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From a table of options (an experiment's file).

        Raises:
            InputError: an unknown name or value.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InputError(f"features: unknown option {unknown[0]!r}; known are {', '.join(known)}")
        return cls(**values)

    def table(self) -> dict[str, str | int]:
        """Names and values, for records."""
        return asdict(self)


@dataclass(frozen=True)
class ClipJob:
    """One clip to make inputs of. Picklable.

    Attributes:
        clip: its record.
        path: of its frames.
        options: how.
        shared: whether other clips of the set lie in the same folder or video.
    """

    clip: CodedClip
    path: str
    options: FeatureOptions
    shared: bool = False


def shape_of(wanted: Input) -> tuple[tuple[int, ...], str]:
    """Shape of one clip's array, and its dtype.

    Raises:
        InputError: a kind that is not made from clips here.
    """
    s, t = wanted.size_px, wanted.n_frames
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "flow": ((s, s, 3), "float32"),
        "clip": ((t, s, s), "uint8"),
        "frame": ((s, s), "uint8"),
        "frame_pair": ((2, s, s), "uint8"),
        "rgb_clip": ((t, s, s, 3), "uint8"),
        "dynamic": ((s, s, 3), "float32"),
    }
    if wanted.kind not in shapes:
        raise InputError(f"input {wanted.key}: no features of kind {wanted.kind!r}; use {', '.join(shapes)}")
    if s < 1 or (wanted.kind in ("clip", "rgb_clip") and t < 1):
        raise InputError(f"input {wanted.key}: size and number of frames must be 1 or more")
    return shapes[wanted.kind]
