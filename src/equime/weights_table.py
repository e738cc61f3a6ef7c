"""The table of all weights that equime can use: name, purpose, source, licence, digest, size.

A new entry is an element of `WEIGHTS`. An entry may have several files and any folder. What could not be
confirmed from the publisher is said in the entry: a digest that nobody publishes is None, never made up.
"""

from __future__ import annotations

from typing import Final

from equime.types import Record


class WeightFile(Record, frozen=True):
    """One file, as its publisher gives it out.

    Attributes:
        file: its name.
        urls: the publisher's address, then others that are said to hold the same bytes.
        size_bytes: of the file; rounded where ``size_known`` is False.
        licence: of the file, as far as the publisher says.
        sha256: the digest, or its first digits where no more is known; None where this version records none.
        digest_source: who says so.
        notice: what a person should know of its terms before fetching it; "" where there is nothing.
        size_known: whether ``size_bytes`` is exact.
    """

    file: str
    urls: tuple[str, ...]
    size_bytes: int
    licence: str
    sha256: str | None = None
    digest_source: str = ""
    notice: str = ""
    size_known: bool = True


class Weights(Record, frozen=True):
    """What one method needs; named, listed and fetched together.

    Attributes:
        name: as in `WEIGHTS`.
        purpose: what the network does here.
        used_by: annotators and other parts of equime that need it.
        framework: what reads the files.
        folder: below `root`; a path that begins with ``/``, ``~`` or ``$`` is taken as it is and expanded.
        files: all of them are needed.
    """

    name: str
    purpose: str
    used_by: tuple[str, ...]
    framework: str
    folder: str
    files: tuple[WeightFile, ...]


_PIQ: Final = "https://github.com/photosynthesis-team/piq/releases/download"
_CLIP_SHA256: Final = "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"
_TORCHVISION_TERMS: Final = "torchvision says that its models may have terms of their own that come from the data they were trained on"

_DEEPFACE: Final = {
    "age_model_weights": ("VGG-Face, trained on for age (IMDB-WIKI)", 538_700_000),
    "gender_model_weights": ("VGG-Face, trained on for gender (IMDB-WIKI)", 537_100_000),
    "race_model_single_batch": ("VGG-Face, trained on for race (FairFace)", 537_100_000),
    "facial_expression_model_weights": ("a small network for expressions (FER-2013)", 6_000_000),
}
"""DeepFace's four networks: what they are, and their size as the number of parameters says."""

_DEEPFACE_TERMS: Final = (
    "DeepFace's MIT licence does not cover what it wraps: VGG-Face's weights are given out by Oxford's VGG under "
    "Creative Commons terms for non-commercial use, IMDB-WIKI is for academic research only, and the models estimate "
    "age, gender, race and emotion of people from pictures, which the law restricts in some places and uses; read "
    "these terms before you publish or sell anything made with them"
)


def _deepface(ending: str) -> tuple[WeightFile, ...]:
    """DeepFace's files in one format; the addresses are those in its source (0.0.103)."""
    return tuple(
        WeightFile(
            file=f"{name}.{ending}",
            urls=(
                f"https://github.com/serengil/deepface_models/releases/download/v1.0/{name}.{ending}",
                f"https://huggingface.co/serengil/deepface/resolve/main/{name}.{ending}",
            ),
            size_bytes=size_bytes,
            size_known=False,
            licence=f"MIT (DeepFace); {what}: further terms, see the notice",
            notice=_DEEPFACE_TERMS,
        )
        for name, (what, size_bytes) in _DEEPFACE.items()
    )


WEIGHTS: Final[dict[str, Weights]] = {
    entry.name: entry
    for entry in (
        Weights(
            name="brisque",
            purpose="support vector regression of BRISQUE (Mittal et al. 2012), from image statistics to a score",
            used_by=("brisque",),
            framework="torch.save, two tensors",
            folder="brisque",
            files=(
                WeightFile(
                    file="brisque_svm_weights.pt",
                    urls=(f"{_PIQ}/v0.4.0/brisque_svm_weights.pt",),
                    size_bytes=115_000,
                    size_known=False,
                    licence="PIQ: Apache-2.0; the model is that of the BRISQUE release, (c) 2011 The University of "
                    "Texas at Austin: free for any purpose with its notice and a citation",
                ),
            ),
        ),
        Weights(
            name="clip_iqa",
            purpose="CLIP with a ResNet-50, and the two prompts that CLIP-IQA compares (Wang et al. 2023)",
            used_by=("clip_iqa",),
            framework="TorchScript; torch.save",
            folder="clip_iqa",
            files=(
                WeightFile(
                    file="RN50.pt",
                    urls=(
                        f"https://openaipublic.azureedge.net/clip/models/{_CLIP_SHA256}/RN50.pt",
                        f"{_PIQ}/v0.7.1/RN50.pt",
                    ),
                    size_bytes=255_827_503,
                    licence="MIT (OpenAI)",
                    sha256=_CLIP_SHA256,
                    digest_source="OpenAI's address of the file",
                    notice="CLIP's model card calls surveillance and facial recognition out of scope, and deployment "
                    "without a study of the task; equime only rates image quality with it",
                ),
                WeightFile(
                    file="clipiqa_tokens.pt",
                    urls=(f"{_PIQ}/v0.7.1/clipiqa_tokens.pt",),
                    size_bytes=2_000,
                    size_known=False,
                    licence="Apache-2.0 (PIQ)",
                ),
            ),
        ),
        Weights(
            name="deepface_onnx",
            purpose="age, gender, race and emotion as DeepFace estimates them (Serengil & Ozpinar 2021), ONNX",
            used_by=("deepface",),
            framework="ONNX",
            folder="deepface/.deepface/weights",
            files=_deepface("onnx"),
        ),
        Weights(
            name="deepface_torch",
            purpose="age, gender, race and emotion as DeepFace estimates them (Serengil & Ozpinar 2021), torch",
            used_by=("deepface",),
            framework="torch.save",
            folder="deepface/.deepface/weights",
            files=_deepface("pth"),
        ),
        Weights(
            name="fairface",
            purpose="ResNet-34 of FairFace: race (7 classes), gender, age group (Karkkainen & Joo 2021)",
            used_by=("fairface",),
            framework="torch.save (torchvision resnet34)",
            folder="fairface",
            files=(
                WeightFile(
                    file="res34_fair_align_multi_7_20190809.pt",
                    # Its README links a folder of Google Drive, which holds this file.
                    urls=(
                        "https://drive.usercontent.google.com/download?id=113QMzQzkBDmYMs9LwzvD-jxEZdBQ5J4X"
                        "&export=download&confirm=t",
                    ),
                    size_bytes=85_300_000,
                    size_known=False,
                    licence="CC BY 4.0 (FairFace's data; its repository states no other terms for the models)",
                    notice="the address is the file's in the folder of Google Drive that FairFace's repository "
                    "(github.com/dchen236/FairFace) links to; Drive may ask for a visit with a browser. The model "
                    "estimates race, gender and age of people from pictures, which the law restricts in some "
                    "places and uses",
                ),
            ),
        ),
        Weights(
            name="lpips",
            purpose="VGG-16 and the learned weights of its layers for LPIPS (Zhang et al. 2018)",
            used_by=("lpips",),
            framework="torch.save",
            folder="lpips",
            files=(
                WeightFile(
                    file="lpips_weights.pt",
                    urls=(
                        "https://github.com/photosynthesis-team/photosynthesis.metrics/releases/download/v0.4.0/"
                        "lpips_weights.pt",
                        f"{_PIQ}/v0.4.0/lpips_weights.pt",
                    ),
                    size_bytes=8_000,
                    size_known=False,
                    licence="BSD-2-Clause (Zhang et al.), repackaged by PIQ (Apache-2.0)",
                ),
                WeightFile(
                    file="vgg16-397923af.pth",
                    urls=("https://download.pytorch.org/models/vgg16-397923af.pth",),
                    size_bytes=553_433_881,
                    licence="BSD-3-Clause (torchvision), trained on ImageNet",
                    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
                    digest_source="first 8 digits: torchvision's file name; the rest: public projects that pin it",
                    notice=f"{_TORCHVISION_TERMS}; ImageNet's are non-commercial research and education",
                ),
            ),
        ),
        Weights(
            name="r3d_18",
            purpose="3D ResNet-18 for actions (Tran et al. 2018, Kinetics-400): features of whole clips",
            used_by=("deep_motion",),
            framework="torch.save (torchvision.models.video)",
            folder="r3d_18",
            files=(
                WeightFile(
                    file="r3d_18-b3b3357e.pth",
                    urls=("https://download.pytorch.org/models/r3d_18-b3b3357e.pth",),
                    size_bytes=133_546_016,
                    licence="BSD-3-Clause (torchvision), trained on Kinetics-400",
                    sha256="b3b3357ead25631ec9c57362ff2128a92d0427e01e2cd184951a44380c3f2e9d",
                    digest_source="first 8 digits: torchvision's file name; the rest: public projects that pin it",
                    notice=f"{_TORCHVISION_TERMS}; Kinetics is annotations of YouTube videos",
                ),
            ),
        ),
    )
}
"""Everything in equime that needs weights, by name."""
