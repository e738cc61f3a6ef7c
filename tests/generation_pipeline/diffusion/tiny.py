"""Tiny pipelines of other families with random weights, beside `equime.generation_pipeline.diffusion.tiny`."""

from __future__ import annotations

from pathlib import Path

from equime.generation_pipeline.diffusion.tiny import SIZE, modules, save, save_ltx, text_encoder, tokenizer

__all__ = ["SIZE", "save_cogvideox", "save_ltx", "save_wan"]


def save_cogvideox(folder: Path) -> Path:
    _, diffusers, transformers = modules()
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4, up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8,) * 4, latent_channels=4, layers_per_block=1, norm_num_groups=2,
        temporal_compression_ratio=4,
    )  # fmt: skip
    transformer = diffusers.CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4, time_embed_dim=2,
        text_embed_dim=16, num_layers=1, sample_width=8, sample_height=8, sample_frames=9,
        use_rotary_positional_embeddings=True,
    )  # fmt: skip
    pipeline = diffusers.CogVideoXImageToVideoPipeline(
        scheduler=diffusers.CogVideoXDDIMScheduler(), vae=vae, transformer=transformer,
        text_encoder=text_encoder(transformers), tokenizer=tokenizer(transformers),
    )  # fmt: skip
    return save(pipeline, folder)


def save_wan(folder: Path) -> Path:
    _, diffusers, transformers = modules()
    vae = diffusers.AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1] * 4, num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    transformer = diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=36, out_channels=16, text_dim=16, freq_dim=16,
        ffn_dim=16, num_layers=1, rope_max_seq_len=32,
    )  # fmt: skip
    pipeline = diffusers.WanImageToVideoPipeline(
        scheduler=diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
        vae=vae, transformer=transformer, text_encoder=text_encoder(transformers, "UMT5"),
        tokenizer=tokenizer(transformers),
    )  # fmt: skip
    return save(pipeline, folder)
