"""Layers of the networks that look at clips; importing this module loads torch.

The published networks are Keras models. What Keras does otherwise than torch is done here as Keras does it: padding
"same" with the odd pixel at the end, initialisation, batch norm's epsilon and momentum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from equime.torch_env import torch as _torch

torch: Any = _torch()
nn: Any = torch.nn

EVAL_CLIPS: Final = 8
"""Clips at a time when nothing is learned: activations of a 3D network take 40 MB per clip and layer."""

BN_EPS: Final = 1e-3
BN_MOMENTUM: Final = 0.01


class ClipNetwork(nn.Module):  # type: ignore[misc]
    """Front, body and output layer.

    Args:
        front: from a batch as it is stored to what the body takes.
        body: from there to features (B, D).
        fc: to logits.
    """

    def __init__(self, front: Any, body: Any, fc: Any) -> None:
        super().__init__()
        self.front, self.body, self.fc = front, body, fc

    def forward(self, x: Any) -> Any:
        """Logits (B, K)."""
        if self.training:
            return self.fc(self.body(self.front(x)))
        return torch.cat([self.fc(self.body(self.front(part))) for part in x.split(EVAL_CLIPS)])


class GreyFront(nn.Module):  # type: ignore[misc]
    """Grey clips uint8 (B, T, S, S) to float32 (B, n_frames, size, size).

    Args:
        n_frames: the first so many; shorter clips get black frames.
        size_px: scaled by area.
        padding: what becomes of black frames at a clip's end: "zeros" leaves them, "repeat_last" fills them with the
            last frame, "stretch" interpolates what is there to all frames.
        normalise: each clip to mean 0 and standard deviation 1; otherwise 0..255.
    """

    def __init__(self, n_frames: int, size_px: int, padding: str, *, normalise: bool = True) -> None:
        super().__init__()
        self.n_frames, self.size_px, self.padding, self.normalise = n_frames, size_px, padding, normalise

    def forward(self, x: Any) -> Any:
        """See the class."""
        x = x[:, : self.n_frames]
        if self.padding != "zeros":
            x = _filled(x, self.n_frames, stretch=self.padding == "stretch")
        elif x.shape[1] < self.n_frames:
            x = nn.functional.pad(x, (0, 0, 0, 0, 0, self.n_frames - x.shape[1]))
        x = _sized(x.float(), self.size_px)
        if self.normalise:
            x = x - x.mean((1, 2, 3), keepdim=True)
            x = x / (x.std((1, 2, 3), correction=0, keepdim=True) + 1e-8)
        return x


class MotionFront(nn.Module):  # type: ignore[misc]
    """Grey clips (B, T, S, S) as one picture of three channels (B, 3, out_px, out_px), -1..1.

    Args:
        grey: front that gives the frames, 0..255.
        view: "motion": the first frame, the one that differs most from it, and the difference, scaled per clip;
            "middle_frame": the frame in the middle of all, black ones included, three times.
        out_px: scaled bilinearly.
    """

    def __init__(self, grey: Any, view: str, out_px: int) -> None:
        super().__init__()
        self.grey, self.view, self.out_px = grey, view, out_px

    def forward(self, x: Any) -> Any:
        """See the class."""
        frames = self.grey(x)
        if self.view == "motion":
            lit = _last_lit(frames)
            away = (frames - frames[:, :1]).abs().mean((2, 3))
            # Black frames at the end differ most of all and show nothing.
            away = away.masked_fill(torch.arange(frames.shape[1], device=x.device) > lit[:, None], -1)
            apex = frames[torch.arange(len(frames), device=x.device), away.argmax(1)]
            change = apex - frames[:, 0]
            change = 127.5 + 127.5 * change / change.abs().amax((1, 2), keepdim=True).clamp(min=1)
            picture = torch.stack([frames[:, 0], apex, change], dim=1)
        else:
            middle = frames[:, frames.shape[1] // 2]
            picture = middle[:, None].expand(-1, 3, -1, -1)
        if picture.shape[-1] != self.out_px:
            size = (self.out_px, self.out_px)
            picture = nn.functional.interpolate(picture, size, mode="bilinear", align_corners=False)
        return picture / 127.5 - 1


class RgbFront(nn.Module):  # type: ignore[misc]
    """RGB clips uint8 (B, T, S, S, 3) to float32 (B, 3, T, size, size), less a mean, by a deviation.

    Args:
        n_frames: so many, evenly spread.
        size_px: scaled by area.
        mean, std: per channel, of 0..1.
    """

    def __init__(self, n_frames: int, size_px: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.n_frames, self.size_px, self.mean, self.std = n_frames, size_px, mean, std

    def forward(self, x: Any) -> Any:
        """See the class."""
        if x.shape[1] != self.n_frames:
            x = x[:, torch.linspace(0, x.shape[1] - 1, self.n_frames, device=x.device).round().long()]
        b, t = x.shape[:2]
        x = _sized(x.float().flatten(0, 1).movedim(-1, 1), self.size_px).unflatten(0, (b, t)) / 255
        mean = torch.tensor(self.mean, device=x.device).view(3, 1, 1)
        std = torch.tensor(self.std, device=x.device).view(3, 1, 1)
        return ((x - mean) / std).movedim(1, 2)


class AsVolume(nn.Module):  # type: ignore[misc]
    """Frames (B, T, S, S) for 3D convolution: "time": (B, 1, S, S, T); "channels": (B, T, 1, S, S)."""

    def __init__(self, frames: str) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, x: Any) -> Any:
        """See the class."""
        return x.movedim(1, -1).unsqueeze(1) if self.frames == "time" else x.unsqueeze(2)


class SamePad(nn.Module):  # type: ignore[misc]
    """Keras' padding "same" before a 3D convolution or pooling: what is odd goes to the end."""

    def __init__(self, kernel: int, stride: int, value: float = 0.0) -> None:
        super().__init__()
        self.kernel, self.stride, self.value = kernel, stride, value

    def forward(self, x: Any) -> Any:
        """See the class."""
        sides: list[int] = []
        for n in reversed(x.shape[2:]):
            total = max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0)
            sides += [total // 2, total - total // 2]
        return nn.functional.pad(x, sides, value=self.value) if any(sides) else x


class Residual(nn.Module):  # type: ignore[misc]
    """Two 3D convolutions of 3^3 with batch norm, and a shortcut (projected where shapes differ)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *conv(inputs, outputs, 3, stride), batch_norm(outputs), nn.ReLU(inplace=True),
            *conv(outputs, outputs, 3), batch_norm(outputs),
        )  # fmt: skip
        projected = stride != 1 or inputs != outputs
        shortcut = [*conv(inputs, outputs, 1, stride), batch_norm(outputs)] if projected else []
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Any) -> Any:
        """See the class."""
        return torch.relu(self.main(x) + self.shortcut(x))


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[Any]:
    """A 3D convolution as Keras' with padding "same"."""
    return [SamePad(kernel, stride), nn.Conv3d(inputs, outputs, kernel, stride)]


def pool(kernel: int, stride: int) -> list[Any]:
    """3D maximum pooling as Keras' with padding "same"."""
    return [SamePad(kernel, stride, float("-inf")), nn.MaxPool3d(kernel, stride)]


def batch_norm(channels: int) -> Any:
    """Batch norm as Keras'."""
    return nn.BatchNorm3d(channels, eps=BN_EPS, momentum=BN_MOMENTUM)


def keras_init(network: Any, dense_std: float | None = None) -> Any:
    """Initialise as Keras: Glorot's uniform and biases of 0; dense layers normal where ``dense_std`` is given."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv3d | nn.Conv2d):
            if dense_std is not None and isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=dense_std)
            else:
                nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def features_of(body: Any, front: Any, shape: Sequence[int]) -> int:
    """Number of features that a body gives for clips of this shape, without weights being used."""
    with torch.inference_mode():
        meta = torch.zeros((1, *shape), dtype=torch.uint8)
        return int(body.eval()(front(meta)).shape[1])


def _last_lit(frames: Any) -> Any:
    """(B,) position of the last frame that is not black; 0 where all are."""
    lit = frames.flatten(2).any(2)
    places = torch.arange(frames.shape[1], device=frames.device)
    return (lit * places).amax(1)


def _filled(frames: Any, n_frames: int, *, stretch: bool) -> Any:
    """Clips (B, T, S, S) without black frames at the end, float32 (B, n_frames, S, S)."""
    last = _last_lit(frames)[:, None].float()
    place = torch.arange(n_frames, device=frames.device).float()[None]
    place = place / max(n_frames - 1, 1) * last if stretch else torch.minimum(place, last)
    low = place.floor().long()
    high = torch.minimum(low + 1, last.long())
    share = (place - low)[..., None, None]
    rows = torch.arange(len(frames), device=frames.device)[:, None]
    return frames[rows, low] * (1 - share) + frames[rows, high] * share


def _sized(x: Any, size_px: int) -> Any:
    """Pictures (..., S, S) scaled by area."""
    return x if x.shape[-1] == size_px else nn.functional.adaptive_avg_pool2d(x, size_px)
