"""R(2+1)D on colour clips, from torchvision."""

from __future__ import annotations

from typing import Any, Final

from equime.baselines.clip_network import ClipRecogniser, torchvision_network
from equime.baselines.inputs import Input
from equime.baselines.recogniser import About, Options
from equime.baselines.torch_fit import training_options

_MEAN: Final = (0.43216, 0.394666, 0.37645)
_STD: Final = (0.22803, 0.22145, 0.216989)


class R2Plus1d(ClipRecogniser):
    """R(2+1)D of 18 layers.

    Options:
        weights: local file with torchvision's r2plus1d_18 weights (Kinetics-400); "" starts at random.
        size_px, n_frames: of the clips.
    """

    about = About(
        key="r2plus1d", title="R(2+1)D-18",
        source="Tran et al., CVPR 2018 (torchvision r2plus1d_18); for micro-expressions: Varanka et al., arXiv "
        "2211.11425, 2023",
        input=Input("rgb_clip", 112, 16), n_parameters=31_301_664, requires=("torch", "torchvision"),
        differs="batches of 4 clips, which take 3 to 4 GB; 16 frames evenly spread from onset to offset; starts at random unless a file of weights is given; "
        "training as MEB trains all networks (200 epochs, Adam 1e-4, weight decay 1e-3)",
        options=training_options(
            epochs=200, lr=1e-4, batch_size=4, weight_decay=1e-3, optimiser="adam", weights="", size_px=112,
            n_frames=16, flip=False,
        ),
    )  # fmt: skip
    shape_options = ("size_px", "n_frames")

    def build(self, n_outputs: int, options: Options) -> Any:
        """See `TorchRecogniser.build`."""
        return torchvision_network("r2plus1d_18", "fc", n_outputs, options, (_MEAN, _STD))
