"""MicroExpSTCNN: one 3D convolution over the whole clip."""

from __future__ import annotations

from typing import Any

from equime.baselines.clip_network import LENGTH_SHORTCUT, MISTAKEN_SCALING, ClipRecogniser
from equime.baselines.inputs import Input
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import training_options


class MicroExpStcnn(ClipRecogniser):
    """MicroExpSTCNN as its authors published it, and as EquiME runs it.

    Options:
        variant: "reddy": 32 filters of 3 x 3 pixels x 15 frames, pooling by 3, stochastic gradient descent (the
            authors' code); "equime": 32 filters of 3^3, pooling by 2, "same" padding, frames as channels, so that the
            3D convolution moves over rows and columns only (EquiME's script, which runs under Keras' channels-last
            order; with optimiser=adam lr=0.0001 its training too).
        size_px, n_frames, padding: of the view, see `clip_layers.GreyFront`.
        dropout: before and after the hidden layer.
    """

    about = About(
        key="micro_exp_stcnn", title="MicroExpSTCNN",
        source="Reddy, Karri, Dubey, Mukherjee: Spontaneous Facial Micro-Expression Recognition using 3D "
        "Spatiotemporal CNNs, IJCNN 2019; EquiME: baselines/train_mevlm.py (model 'original')",
        input=Input("clip", 64, 96), n_parameters=44_241_667, requires=("torch",),
        differs=f"{LENGTH_SHORTCUT}; clips are scaled one by one, not by the mean and maximum of all data, test clips "
        f"included; {MISTAKEN_SCALING}; frames from the clip's start, not 73 to 168 of the video",
        options=training_options(
            epochs=100, lr=0.01, batch_size=16, optimiser="sgd", variant="reddy", dropout=0.5, padding="zeros",
            size_px=64, n_frames=96, flip=False,
        ),
    )  # fmt: skip
    shape_options = ("variant", "dropout", "padding", "size_px", "n_frames")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        from equime.baselines import clip_layers as layers  # noqa: PLC0415

        nn = layers.nn
        size, frames = int(options["size_px"]), int(options["n_frames"])
        reddy, dropout = options["variant"] == "reddy", float(options["dropout"])
        if reddy:
            depth = min(15, max(1, frames - 2))
            kernel = [nn.Conv3d(1, 32, (3, 3, depth)), nn.MaxPool3d(3, ceil_mode=frames - depth < 2)]
        else:
            kernel = [*layers.conv(frames, 32, 3), *layers.pool(2, 2)]
        front = nn.Sequential(
            layers.GreyFront(frames, size, str(options["padding"])),
            layers.AsVolume("time" if reddy else "channels"),
        )
        # The maximum of rectified values is the rectified maximum, and a ninth of the memory.
        body = nn.Sequential(*kernel, nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Flatten())
        width = layers.features_of(body, front, (frames, size, size))
        body.extend([nn.Linear(width, 128), nn.ReLU(inplace=True), nn.Dropout(dropout)])
        network = layers.ClipNetwork(front, body, nn.Linear(128, n_outputs))
        return layers.keras_init(network, dense_std=0.05 if reddy else None)
