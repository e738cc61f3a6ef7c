"""A tiny LTX-Video with random weights, of diffusers' own classes, saved as a hub's model is.

It makes noise, not faces. It is for trying out the commands, the options and a cluster's set-up without a GPU and without
28 GB of weights, and equime's tests load it through the same code as the real model::

    python -m equime.generation_pipeline.diffusion.tiny FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from equime import torch_env

SIZE: Final = 64
"""A size in pixels that it is quick at."""


def modules() -> tuple[Any, Any, Any]:
    """Torch with a fixed seed, diffusers, transformers."""
    torch, diffusers = torch_env.torch(), torch_env.load("diffusers")
    torch.manual_seed(0)
    return torch, diffusers, torch_env.load("transformers")


def tokenizer(transformers: Any) -> Any:
    """Letters and the space as tokens."""
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("\u2581", -2.0)]
    return transformers.T5TokenizerFast(
        vocab=vocab + [(chr(i), -3.0) for i in range(97, 123)], extra_ids=0, model_max_length=512
    )


def text_encoder(transformers: Any, kind: str = "T5") -> Any:
    """One layer of a text encoder, "T5" or "UMT5"."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, feed_forward_proj="gated-gelu",
        pad_token_id=0, decoder_start_token_id=0,
    )  # fmt: skip
    return getattr(transformers, f"{kind}EncoderModel")(config)


def save(pipeline: Any, folder: Path) -> Path:
    """Write a pipeline in diffusers' layout; returns the folder."""
    logging = torch_env.load("transformers").utils.logging
    logging.disable_progress_bar()
    pipeline.save_pretrained(folder)
    logging.enable_progress_bar()
    return folder


def save_ltx(folder: Path) -> Path:
    """Write it, with LTX-Video's compression (8 in time, 32 in space) and a decoder that takes a timestep (0.9.1 and later)."""
    _, diffusers, transformers = modules()
    yes, no = True, False
    vae = diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4,
        layers_per_block=(1,) * 5, decoder_layers_per_block=(1,) * 5, spatio_temporal_scaling=(yes, yes, yes, no),
        decoder_spatio_temporal_scaling=(yes, yes, yes, no), decoder_inject_noise=(no,) * 5,
        upsample_residual=(no,) * 4, upsample_factor=(1,) * 4, timestep_conditioning=True,
    )  # fmt: skip
    transformer = diffusers.LTXVideoTransformer3DModel(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        num_layers=1, caption_channels=16,
    )  # fmt: skip
    pipeline = diffusers.LTXImageToVideoPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae, transformer=transformer,
        text_encoder=text_encoder(transformers), tokenizer=tokenizer(transformers),
    )  # fmt: skip
    return save(pipeline, folder)


if __name__ == "__main__":
    print(save_ltx(Path(sys.argv[1])))
