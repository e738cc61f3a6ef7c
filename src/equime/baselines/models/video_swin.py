"""Video Swin Transformer on colour clips, from torchvision."""

from __future__ import annotations

from typing import Any, Final

from equime.baselines.clip_network import ClipRecogniser, torchvision_network
from equime.baselines.inputs import Input
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import training_options

_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)


class VideoSwin(ClipRecogniser):
    """Video Swin, tiny.

    Options:
        weights: local file with torchvision's swin3d_t weights (Kinetics-400); "" starts at random.
        size_px, n_frames: of the clips.
    """

    about = About(
        key="video_swin", title="Video Swin-T",
        source="Liu et al., CVPR 2022 (torchvision swin3d_t)",
        input=Input("rgb_clip", 112, 16), n_parameters=27_852_777, requires=("torch", "torchvision"),
        differs="batches of 4 clips, which take 3 GB; 112 px and 16 frames instead of 224 px and 32; starts at random unless a file of weights is given; "
        "nobody has published a training on micro-expressions that could be followed, so the options are the paper's "
        "optimiser (AdamW, weight decay 0.05) at 1e-4 over 100 epochs without its schedule",
        options=training_options(
            epochs=100, lr=1e-4, batch_size=4, weight_decay=0.05, optimiser="adamw", weights="", size_px=112,
            n_frames=16, flip=False,
        ),
    )  # fmt: skip
    shape_options = ("size_px", "n_frames")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        return torchvision_network("swin3d_t", "head", n_outputs, options, (_MEAN, _STD))
