"""Names to code, looked up when asked for.

A new renderer, annotator or exporter is its module, one line here and its own test. A name that holds a colon
is taken as ``module:attribute`` itself, so that code outside of equime can be used without a change here.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

from equime.errors import InputError, MissingError

_RENDERERS: Final = "equime.generation_pipeline.renderers"

RENDERERS: Final[dict[str, str]] = {
    "mesh": f"{_RENDERERS}.mesh:MeshRenderer",
    "ltx": f"{_RENDERERS}.ltx:LtxRenderer",
    "ltx-keyframe": f"{_RENDERERS}.ltx_keyframe:LtxKeyframe",
    "mesh-over-ltx": f"{_RENDERERS}.mesh_over_ltx:MeshOverLtx",
}
"""Renderers by name; each is called without arguments, or with its options where it has some."""

CHECKS: Final[dict[str, str]] = {
    "metadata": "equime.generation_pipeline.checks:check_metadata",
    "captions": "equime.generation_pipeline.checks:check_captions",
    "views": "equime.generation_pipeline.checks:check_views",
}
"""What `equime validate` asks of a Dataset beyond its records; each takes the Dataset and yields Problems."""

_EVALUATION: Final = "equime.evaluation_framework"

ANNOTATORS: Final[dict[str, str]] = {
    "video_file": f"{_EVALUATION}.video_file:VideoFile",
    "smoothness": f"{_EVALUATION}.smoothness:Smoothness",
    "total_variation": f"{_EVALUATION}.total_variation:TotalVariation",
    "brisque": f"{_EVALUATION}.brisque:Brisque",
    "clip_iqa": f"{_EVALUATION}.clip_iqa:ClipIqa",
    "fidelity": f"{_EVALUATION}.fidelity:Fidelity",
    "full_reference": f"{_EVALUATION}.piq_metrics:FullReference",
    "lpips": f"{_EVALUATION}.lpips:Lpips",
    "sequence": f"{_EVALUATION}.sequence:SequenceQuality",
    "timing": f"{_EVALUATION}.timing:Timing",
    "au_fidelity": f"{_EVALUATION}.au_fidelity:AuFidelity",
    "identity": f"{_EVALUATION}.identity:Identity",
    "motion_features": f"{_EVALUATION}.motion_features:MotionFeatures",
    "deep_motion": f"{_EVALUATION}.deep_features:DeepMotion",
}
"""What `equime evaluate` measures, in the order of its report; each class is called without arguments."""

_ATTRIBUTES: Final = "equime.attribute_extraction"

ATTRIBUTES: Final[dict[str, str]] = {
    "skin_tone": f"{_ATTRIBUTES}.skin_tone:SkinTone",
    "face_geometry": f"{_ATTRIBUTES}.face_geometry:FaceGeometry",
    "au_intensity": f"{_ATTRIBUTES}.au_intensity:AuIntensity",
    "deepface": f"{_ATTRIBUTES}.deepface_labels:DeepFaceLabels",
    "fairface": f"{_ATTRIBUTES}.fairface_labels:FairFaceLabels",
}
"""What `equime attributes` extracts, called in the same way."""

_CORPORA: Final = "equime.corpora"

CORPORA: Final[dict[str, str]] = {
    "casme": f"{_CORPORA}.casme:Casme",
    "casme2": f"{_CORPORA}.casme2:Casme2",
    "samm": f"{_CORPORA}.samm:Samm",
    "samm_long": f"{_CORPORA}.samm_long:SammLong",
    "smic": f"{_CORPORA}.smic:Smic",
    "mmew": f"{_CORPORA}.mmew:Mmew",
    "casme_squared": f"{_CORPORA}.casme_squared:CasmeSquared",
    "casme3": f"{_CORPORA}.casme3:Casme3",
    "4dme": f"{_CORPORA}.fourdme:FourDme",
    "dfme": f"{_CORPORA}.dfme:Dfme",
    "miex": f"{_CORPORA}.miex:MieX",
    "flow_folders": f"{_CORPORA}.flow_folders:FlowFolders",
}
"""Corpora that `equime corpus` reads, by key; each is called without arguments."""

_MODELS: Final = "equime.baselines.models"

MODELS: Final[dict[str, str]] = {
    "svm_linear": f"{_MODELS}.svm:LinearSvm",
    "svm_rbf": f"{_MODELS}.svm:RbfSvm",
    "lbp_top": f"{_MODELS}.lbp_top:LbpTop",
    "ststnet": f"{_MODELS}.ststnet:StstNet",
    "off_apexnet": f"{_MODELS}.off_apexnet:OffApexNet",
    "sssnet": f"{_MODELS}.sssnet:SssNet",
    "dual_inception": f"{_MODELS}.dual_inception:DualInception",
    "rcn": f"{_MODELS}.rcn:Rcn",
    "htnet": f"{_MODELS}.htnet:HtNet",
    "micro_exp_stcnn": f"{_MODELS}.micro_exp_stcnn:MicroExpStcnn",
    "resnet3d": f"{_MODELS}.resnet3d:ResNet3d",
    "mobilenet_v2": f"{_MODELS}.mobilenet_v2:MobileNetV2",
    "simple_3dcnn": f"{_MODELS}.simple_3dcnn:Simple3dCnn",
    "r2plus1d": f"{_MODELS}.r2plus1d:R2Plus1d",
    "video_swin": f"{_MODELS}.video_swin:VideoSwin",
    "flow_cnn": f"{_MODELS}.flow_cnn:FlowCnn",
}
"""Recognisers that `equime benchmark` trains, by key; each is called without arguments."""

_TABLES: Final = {
    "renderer": RENDERERS,
    "check": CHECKS,
    "annotator": ANNOTATORS | ATTRIBUTES,
    "corpus": CORPORA,
    "model": MODELS,
}


def lookup(kind: str, name: str) -> Any:
    """The attribute that ``name`` stands for in the table of this kind.

    Args:
        kind: "renderer", "check", "annotator", "corpus" or "model".
        name: a registered name, or ``module:attribute``.

    Raises:
        InputError: unknown name; the message lists the known ones.
        MissingError: a module that the entry needs is not installed.
    """
    table = _TABLES[kind]
    target = table.get(name, name if ":" in name else None)
    if target is None:
        raise InputError(
            f"unknown {kind} {name!r}; known are {', '.join(sorted(table))}, or give module:attribute"
        )
    return load(target, f"{kind} {name!r}")


def load(target: str, label: str | None = None) -> Any:
    """Import ``module:attribute``. Raises as `lookup`."""
    module_name, _, attribute = target.partition(":")
    label = label or target
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.split(".")[0] == error.name.split(".")[0]:
            raise InputError(f"{label}: no module {error.name!r}; check the name and PYTHONPATH") from error
        raise MissingError(
            f"{label} needs {error.name!r}; install it with `pip install {error.name}`"
        ) from error
    try:
        return getattr(module, attribute)
    except AttributeError as error:
        raise InputError(f"{label}: module {module_name!r} has no {attribute!r}") from error
