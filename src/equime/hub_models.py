"""Image-to-video models that `--renderer ltx` can use: whole folders on a hub, named, with size and licence.

They are not in `equime.weights_table`, whose files equime fetches and compares one by one: the hub's own tool fetches these
folders, and the digests that the hub keeps are what it checks against. What equime checks is said by
`equime.generation_pipeline.diffusion.model_folder`. None of these models was at hand when this table was written: sizes follow
from the numbers of parameters, and licences are what the publishers' pages name.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any, Final

from equime.errors import MissingError
from equime.extras import install_hint, installed
from equime.types import Record

LTXV_TERMS: Final = (
    "Lightricks' open weights licence for LTX-Video (from 0.9.5 on; it differs by version, and sets terms for companies by "
    "their revenue): read the licence file beside the weights"
)
"""https://huggingface.co/Lightricks/LTX-Video; no digest of its text is recorded here."""


class HubModel(Record, frozen=True):
    """A model as its publisher gives it out, in diffusers' layout.

    Attributes:
        name: what the publisher calls it.
        hub_id: on huggingface.co.
        pipeline: diffusers class for it.
        size_gb: of the download, about, as the number of parameters says.
        licence: of the weights.
        notice: what a person should know before fetching it.
        options: renderer options that suit it.
    """

    name: str
    hub_id: str
    pipeline: str
    size_gb: float
    licence: str
    notice: str = ""
    options: tuple[str, ...] = ()


_DISTILLED: Final = ("steps=8", "guidance=1")

HUB_MODELS: Final[dict[str, HubModel]] = {
    model.hub_id: model
    for model in (
        HubModel(
            name="LTX-Video 2B", hub_id="Lightricks/LTX-Video", pipeline="LTXImageToVideoPipeline", size_gb=28,
            licence=LTXV_TERMS,
            notice="the repository also holds single-file checkpoints, which are not needed: fetch with --include as shown",
        ),
        HubModel(
            name="LTX-Video 2B 0.9.5", hub_id="Lightricks/LTX-Video-0.9.5", pipeline="LTXConditionPipeline", size_gb=28,
            licence=LTXV_TERMS,
        ),
        HubModel(
            name="LTX-Video 13B 0.9.7 dev", hub_id="Lightricks/LTX-Video-0.9.7-dev", pipeline="LTXConditionPipeline",
            size_gb=48, licence=LTXV_TERMS,
        ),
        HubModel(
            name="LTX-Video 13B 0.9.7 distilled", hub_id="Lightricks/LTX-Video-0.9.7-distilled",
            pipeline="LTXConditionPipeline", size_gb=48, licence=LTXV_TERMS, options=_DISTILLED,
        ),
        HubModel(
            name="Wan 2.1 14B image to video, 480p", hub_id="Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
            pipeline="WanImageToVideoPipeline", size_gb=90, licence="Apache-2.0", options=("guidance=5",),
        ),
    )
}  # fmt: skip
"""By hub id."""

FOLDERS: Final = (
    "model_index.json",
    "scheduler/*",
    "text_encoder/*",
    "tokenizer/*",
    "transformer/*",
    "vae/*",
)
"""What of a repository is diffusers' layout."""


def fetch_command(model: HubModel) -> str:
    """What to type to have a model on this machine."""
    wanted = " ".join(f'--include "{pattern}"' for pattern in FOLDERS)
    return f"hf download {model.hub_id} {wanted}"


def cache_folder(hub_id: str) -> Path:
    """Where huggingface_hub keeps a model on this machine (``HF_HUB_CACHE``, ``HF_HOME``, else ``~/.cache``)."""
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    cache = os.environ.get("HF_HUB_CACHE") or os.path.join(home, "hub")
    return Path(cache).expanduser() / f"models--{hub_id.replace('/', '--')}"


def newest_snapshot(hub_id: str) -> Path | None:
    """The folder in diffusers' layout that was fetched last, whole or not; None where there is none."""
    found = list((cache_folder(hub_id) / "snapshots").glob("*/model_index.json"))
    return max(found, key=lambda path: path.stat().st_mtime).parent if found else None


def revision_folder(hub_id: str, revision: str) -> Path | None:
    """The folder of a branch, tag or commit on this machine, whole or not; None where there is none."""
    cache = cache_folder(hub_id)
    ref = cache / "refs" / revision
    commit = ref.read_text("utf-8").strip() if ref.is_file() else revision
    folder = cache / "snapshots" / commit
    return folder if (folder / "model_index.json").exists() else None


def fetch(model: HubModel) -> Path:
    """Download a model to the hub's cache; what is there already is not fetched again.

    Raises:
        MissingError: no huggingface_hub, or no connection.
    """
    if not installed("huggingface_hub"):
        raise MissingError(
            f"{model.hub_id}: huggingface_hub is not installed; run `{install_hint(['diffusers'])}`"
        )
    hub: Any = importlib.import_module("huggingface_hub")
    try:
        return Path(hub.snapshot_download(model.hub_id, allow_patterns=list(FOLDERS)))
    except Exception as error:  # huggingface_hub, httpx and the operating system each raise their own
        reason = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
        raise MissingError(
            f"{model.hub_id} could not be fetched ({reason}); check the connection and type the same again, it continues; "
            f"or type `{fetch_command(model)}` on a machine that is connected and copy the folder"
        ) from error
