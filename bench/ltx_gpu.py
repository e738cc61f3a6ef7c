"""Clips per hour of LTX-Video's full 2B architecture on a GPU, with random weights (throughput does not depend on values).

    python bench/ltx_gpu.py [--out table.md] [--steps 8,40] [--batch 1,2,4,8] [--size 512] [--frames 145] [--minutes 10]
    python bench/ltx_gpu.py --tiny            # the script itself, on a CPU, with a model of a few thousand weights

Runs unattended: a setting that does not fit or is out of time is a row that says so. Weights are made in bfloat16 on the GPU,
so nothing is downloaded. Text embeddings are random and made once, as in a real run, where each prompt is embedded once.

Each row: latents batched, clips per hour of denoising and decoding together (median of 3 after one that warms up), peak
memory, and the share of an H100's dense bfloat16 peak that the denoising reaches by `throughput.operations`. Beside it stands
what Lightricks publishes: 5 s at 24 fps and 768x512 in 2 s on an H100 (HaCohen et al. 2024, arXiv 2501.00103, abstract),
without saying how many steps; and the estimate that `equime plan` prints.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

from equime import torch_env
from equime.generation_pipeline.diffusion.options import make_options
from equime.generation_pipeline.diffusion.throughput import PEAK, attempt_cost, operations

COLUMNS = (
    "setting",
    "steps",
    "batch",
    "clips per hour",
    "s per clip",
    "denoising s",
    "decoding s",
    "peak GB",
    "of H100 peak",
)


def full_pipeline(device: str) -> Any:
    """LTX-Video 0.9's transformer and autoencoder (diffusers' defaults are theirs), no text encoder."""
    torch, diffusers = torch_env.torch(), torch_env.load("diffusers")
    torch_env.load("transformers")
    torch.manual_seed(0)
    with torch.device(device):
        torch.set_default_dtype(torch.bfloat16)
        transformer, vae = diffusers.LTXVideoTransformer3DModel(), diffusers.AutoencoderKLLTXVideo()
        torch.set_default_dtype(torch.float32)
    return diffusers.LTXImageToVideoPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(), vae=vae, transformer=transformer, text_encoder=None,
        tokenizer=None,
    )  # fmt: skip


def tiny_pipeline() -> Any:
    """A few thousand weights, for the script itself."""
    import tempfile  # noqa: PLC0415

    from equime.generation_pipeline.diffusion import tiny  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        tiny.save_ltx(Path(folder) / "tiny")
        diffusers = torch_env.load("diffusers")
        pipeline = diffusers.LTXImageToVideoPipeline.from_pretrained(
            Path(folder) / "tiny", torch_dtype=torch_env.torch().float32
        )
    pipeline.text_encoder = pipeline.tokenizer = None
    return pipeline


class Bench:
    """One pipeline on one device."""

    def __init__(self, pipeline: Any, device: str, options: argparse.Namespace) -> None:
        self.torch, self.device, self.options = torch_env.torch(), device, options
        self.pipeline = pipeline.to(device)
        self.pipeline.set_progress_bar_config(disable=True)
        self.width = pipeline.transformer.config.caption_channels
        self.dtype = next(pipeline.transformer.parameters()).dtype

    def change(self, setting: str) -> None:
        """Put another setting in force; there is no way back."""
        if setting == "compiled":
            self.pipeline.transformer.compile()
        else:
            self.pipeline.to("cpu")
            self.pipeline.enable_model_cpu_offload(device=self.device)

    def sync(self) -> float:
        if self.device == "cuda":
            self.torch.cuda.synchronize()
        return time.perf_counter()

    def once(self, batch: int, steps: int) -> tuple[float, float]:
        """Seconds of denoising and of decoding for one pass."""
        from PIL import Image  # noqa: PLC0415

        torch, o = self.torch, self.options
        embeds = torch.randn(batch, 256, self.width, device=self.device, dtype=self.dtype)
        mask = torch.ones(batch, 256, device=self.device, dtype=torch.bool)
        started = self.sync()
        with torch.no_grad(), torch_env.quiet():
            latents = self.pipeline(
                image=[Image.new("RGB", (o.size, o.size), (90, 120, 150))] * batch, height=o.size, width=o.size,
                num_frames=o.frames, frame_rate=24, num_inference_steps=steps, guidance_scale=3.0, prompt_embeds=embeds,
                prompt_attention_mask=mask, negative_prompt_embeds=embeds, negative_prompt_attention_mask=mask,
                output_type="latent",
            ).frames  # fmt: skip
        denoised = self.sync()
        pipe, side = self.pipeline, o.size // self.pipeline.vae_spatial_compression_ratio
        n = (o.frames - 1) // pipe.vae_temporal_compression_ratio + 1
        with torch.no_grad(), torch_env.quiet():
            for i in range(batch):  # clip by clip, as the renderer does
                grid = pipe._unpack_latents(latents[i : i + 1], n, side, side)
                timestep = None
                if pipe.vae.config.timestep_conditioning:
                    timestep = torch.tensor([0.05], device=self.device, dtype=self.dtype)
                pipe.vae.decode(grid.to(self.dtype), timestep, return_dict=False)
        return denoised - started, self.sync() - denoised

    def row(self, setting: str, batch: int, steps: int) -> tuple[str, ...]:
        if self.device == "cuda":
            self.torch.cuda.reset_peak_memory_stats()
        try:
            self.once(batch, steps)
            runs = [self.once(batch, steps) for _ in range(3)]
        except self.torch.OutOfMemoryError:
            self.torch.cuda.empty_cache()
            return (setting, str(steps), str(batch), "out of memory", *[""] * 5)
        denoising, decoding = (statistics.median(part) / batch for part in zip(*runs, strict=True))
        peak = self.torch.cuda.max_memory_allocated() / 1e9 if self.device == "cuda" else 0.0
        asked = make_options({"steps": steps})
        share = operations(asked, self.options.frames, self.options.size) / denoising / PEAK
        return (
            setting, str(steps), str(batch), f"{3600 / (denoising + decoding):.0f}", f"{denoising + decoding:.2f}",
            f"{denoising:.2f}", f"{decoding:.2f}", f"{peak:.1f}", f"{share:.0%}" if self.device == "cuda" else "",
        )  # fmt: skip


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=numbers, default=[8, 40])
    parser.add_argument("--batch", type=numbers, default=[1, 2, 4, 8])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--frames", type=int, default=145)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    torch = torch_env.torch()
    if options.tiny:
        options.size, options.frames = 64, 17
    elif not torch.cuda.is_available():
        print(
            "no GPU was at hand: torch finds none, so nothing was measured; --tiny tries the script on a CPU"
        )
        return 3
    device = "cpu" if options.tiny else "cuda"
    bench = Bench(tiny_pipeline() if options.tiny else full_pipeline(device), device, options)
    end, rows = time.monotonic() + 60 * options.minutes, []
    settings = [("plain", b, s) for s in options.steps for b in options.batch]
    if not options.no_compile and not options.tiny:
        settings += [("compiled", b, options.steps[0]) for b in options.batch[:2]]
    if not options.tiny:
        settings.append(("offload=model", options.batch[0], options.steps[0]))
    changed = {"plain"}
    for setting, batch, steps in settings:
        if time.monotonic() > end:
            rows.append((setting, str(steps), str(batch), "out of time", *[""] * 5))
            continue
        if setting not in changed:
            bench.change(setting)
            changed.add(setting)
        rows.append(bench.row(setting, batch, steps))
        print(" | ".join(rows[-1]), flush=True)
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, tiny model"
    table = [
        f"{name}, torch {torch.__version__}, {options.size} px, {options.frames} frames, random weights",
        "",
    ]
    table += [" | ".join(COLUMNS), " | ".join("---" for _ in COLUMNS), *(" | ".join(row) for row in rows), ""]
    for steps in options.steps:
        table.append(
            f"`equime plan` estimates {attempt_cost(make_options({'steps': steps}), options.frames, options.size).seconds:.1f} s a clip at {steps} steps."
        )
    text = "\n".join(table) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
