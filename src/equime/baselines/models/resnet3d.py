"""The 3D residual network of EquiME's baselines."""

from __future__ import annotations

from typing import Any

from equime.baselines.clip_network import LENGTH_SHORTCUT, MISTAKEN_SCALING, ClipRecogniser
from equime.baselines.inputs import Input
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import training_options


class ResNet3d(ClipRecogniser):
    """A convolution of 7^3, six residual blocks of 64, 128 and 256 maps, global pooling.

    Options:
        frames: "channels", as the script runs (Keras takes the last axis, time, for channels); "time", convolutions
            over time as well, of 8,254,211 parameters.
        width: number of maps in the first blocks; later ones have two and four times as many.
        size_px, n_frames, padding: of the view, see `clip_layers.GreyFront`.
        dropout: before the output layer.
    """

    about = About(
        key="resnet3d", title="ResNet3D (EquiME)",
        source="EquiME: baselines/train_mevlm.py (model 'resnet3d'), github.com/noobasuna/equime @a6695a7",
        input=Input("clip", 64, 96), n_parameters=10_339_651, requires=("torch",),
        differs=f"{LENGTH_SHORTCUT}; {MISTAKEN_SCALING}; a fixed number of epochs, no checkpoint selected on SAMM",
        options=training_options(
            epochs=100, lr=1e-4, batch_size=16, optimiser="adam", frames="channels", width=64, dropout=0.5, padding="zeros",
            size_px=64, n_frames=96, flip=False,
        ),
    )  # fmt: skip
    shape_options = ("frames", "width", "dropout", "padding", "size_px", "n_frames")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        from equime.baselines import clip_layers as layers  # noqa: PLC0415

        nn, residual = layers.nn, layers.Residual
        size, n_frames, frames = int(options["size_px"]), int(options["n_frames"]), str(options["frames"])
        maps = int(options["width"])
        grey = layers.GreyFront(n_frames, size, str(options["padding"]))
        body = nn.Sequential(
            *layers.conv(1 if frames == "time" else n_frames, maps, 7, 2), layers.batch_norm(maps), nn.ReLU(inplace=True),
            *layers.pool(3, 2),
            residual(maps, maps), residual(maps, maps),
            residual(maps, 2 * maps, 2), residual(2 * maps, 2 * maps),
            residual(2 * maps, 4 * maps, 2), residual(4 * maps, 4 * maps),
            nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Dropout(float(options["dropout"])),
        )  # fmt: skip
        front = nn.Sequential(grey, layers.AsVolume(frames))
        return layers.keras_init(layers.ClipNetwork(front, body, nn.Linear(4 * maps, n_outputs)))
