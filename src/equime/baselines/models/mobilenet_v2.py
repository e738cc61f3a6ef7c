"""MobileNetV2 on one picture of a clip, made to see motion."""

from __future__ import annotations

from typing import Any

from equime.baselines.clip_network import LENGTH_SHORTCUT, ClipRecogniser, load_weights
from equime.baselines.inputs import Input
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import training_options
from equime.torch_env import load


class MobileNetV2(ClipRecogniser):
    """MobileNetV2 with a hidden layer of 128 and dropout.

    Options:
        view: "motion": first frame, the frame that differs most from it, and their difference as the three channels;
            "middle_frame": EquiME's, one frame three times, which shows no motion (and is black where a clip fills
            less than half of the 96 frames).
        out_px: side of the picture that the network sees.
        weights: local file with torchvision's mobilenet_v2 weights; "" starts at random.
        frozen: with weights, how many of the 19 blocks keep their weights (12 are the first 100 layers of Keras).
        size_px, n_frames, padding: of the frames, see `clip_layers.GreyFront`.
        dropout: before and after the hidden layer.
    """

    about = About(
        key="mobilenet_v2", title="MobileNetV2 (EquiME)",
        source="Sandler et al., CVPR 2018; EquiME: baselines/train_mevlm.py (model 'mobilenet')",
        input=Input("clip", 64, 96), n_parameters=2_388_227, requires=("torch", "torchvision"),
        differs="sees motion by default, the original a single frame (view=middle_frame); starts at random unless a "
        "file of ImageNet weights is given (the original: ImageNet, the first 100 layers frozen); pictures are scaled "
        f"to -1..1 as MobileNetV2 expects; with view=middle_frame: {LENGTH_SHORTCUT}",
        options=training_options(
            epochs=100, lr=1e-4, batch_size=16, optimiser="adam", view="motion", out_px=224, weights="", frozen=12,
            dropout=0.5, padding="zeros", size_px=64, n_frames=96, flip=False,
        ),
    )  # fmt: skip
    shape_options = ("view", "out_px", "dropout", "padding", "size_px", "n_frames")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        backbone = load("torchvision.models").mobilenet_v2(weights=None)
        from equime.baselines import clip_layers as layers  # noqa: PLC0415

        nn, dropout = layers.nn, float(options["dropout"])
        if options["weights"]:
            load_weights(backbone, str(options["weights"]), "classifier.")
            for block in backbone.features[: int(options["frozen"])]:
                block.requires_grad_(False)
        size, frames = int(options["size_px"]), int(options["n_frames"])
        grey = layers.GreyFront(frames, size, str(options["padding"]), normalise=False)
        front = layers.MotionFront(grey, str(options["view"]), int(options["out_px"]))
        body = nn.Sequential(
            backbone.features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
            nn.Linear(1280, 128), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip
        return layers.ClipNetwork(front, body, nn.Linear(128, n_outputs))
