"""The small 3D CNN of EquiME's baselines."""

from __future__ import annotations

from typing import Any

from equime.baselines.clip_network import LENGTH_SHORTCUT, MISTAKEN_SCALING, ClipRecogniser
from equime.baselines.inputs import Input
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import training_options


class Simple3dCnn(ClipRecogniser):
    """16 filters of 3^3, pooling, 64 hidden units.

    Options:
        frames: "channels", as the script runs (Keras takes the last axis, time, for channels, so that the convolution
            moves over rows and columns); "time", a convolution over time as well, of 50,332,355 parameters.
        size_px, n_frames, padding: of the view, see `clip_layers.GreyFront`.
        dropout: before and after the hidden layer.
    """

    about = About(
        key="simple_3dcnn", title="Simple 3D CNN (EquiME)",
        source="EquiME: baselines/train_mevlm.py (model 'simple3dcnn'), github.com/noobasuna/equime @a6695a7",
        input=Input("clip", 64, 96), n_parameters=1_090_323, requires=("torch",),
        differs=f"{LENGTH_SHORTCUT}; {MISTAKEN_SCALING}; a fixed number of epochs, no checkpoint selected on SAMM",
        options=training_options(
            epochs=100, lr=1e-4, batch_size=16, optimiser="adam", frames="channels", dropout=0.3, padding="zeros",
            size_px=64, n_frames=96, flip=False,
        ),
    )  # fmt: skip
    shape_options = ("frames", "dropout", "padding", "size_px", "n_frames")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        from equime.baselines import clip_layers as layers  # noqa: PLC0415

        nn = layers.nn
        size, n_frames, frames = int(options["size_px"]), int(options["n_frames"]), str(options["frames"])
        dropout = float(options["dropout"])
        grey = layers.GreyFront(n_frames, size, str(options["padding"]))
        front = nn.Sequential(grey, layers.AsVolume(frames))
        body = nn.Sequential(
            *layers.conv(1 if frames == "time" else n_frames, 16, 3), *layers.pool(2, 2), nn.ReLU(inplace=True),
            nn.Dropout(dropout), nn.Flatten(),
        )  # fmt: skip
        width = layers.features_of(body, front, (n_frames, size, size))
        body.extend([nn.Linear(width, 64), nn.ReLU(inplace=True), nn.Dropout(dropout)])
        return layers.keras_init(layers.ClipNetwork(front, body, nn.Linear(64, n_outputs)))
