"""Configuration files of the trainers that a fine-tuning export is for, with paths and shapes filled in.

Keys and values follow the trainers' own example files: ``configs/ltxv_2b_lora.yaml`` and ``ltxv_trainer/config.py`` of
Lightricks/LTX-Video-Trainer (unknown keys are refused there), ``packages/ltx-trainer/configs/i2v_lora.yaml`` and
``docs/configuration-reference.md`` of Lightricks/LTX-2, and ``examples/training/sft/ltx_video/crush_smol_lora`` of
huggingface/finetrainers. Rank, learning rate and steps are those examples'; nobody has tuned them for faces.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from equime.generation_pipeline.finetune_export_plan import TRAINER_FPS, Bucket, Layout, Request

TRAIN, VALIDATION = "train", "validation"
LTXV_CONFIG: Final = "ltxv_lora.yaml"
LTX2_CONFIG: Final = "ltx2_i2v_lora.yaml"
PRECOMPUTED: Final = {LTXV_CONFIG: ".precomputed", LTX2_CONFIG: ".precomputed-ltx2"}
"""Where each trainer's latents go; they are of different VAEs and text encoders and must not meet."""

FIRST_FRAME_P: Final = 0.5
"""How often training gives the first frame, as LTX-2's image-to-video example does; LTX-Video's default is 0.1."""
MAX_PRECOMPUTED: Final = 300
"""Items that finetrainers may compute once and keep; its own limit has been 300 and 1024."""
NEGATIVE: Final = "worst quality, inconsistent motion, blurry, jittery, distorted"

Example = tuple[str, str]
"""(prompt, path of the first frame relative to the export) of a validation video."""


def config_files(
    request: Request, bucket: Bucket, out: Path, examples: Sequence[Example], n_train: int
) -> dict[str, str]:
    """Name to text of every configuration file of a layout.

    Args:
        request: its layout and seed.
        bucket: the shape of all samples.
        out: absolute path that the export will have.
        examples: what validation generates; none switches it off.
        n_train: clips in training.
    """
    if request.layout == "ltx":
        return {
            LTXV_CONFIG: _ltxv(request, bucket, out, examples),
            LTX2_CONFIG: _ltx2(request, bucket, out, examples),
        }
    files = {
        "training.json": _json(_training(bucket, out)),
        "train.sh": _train_sh(request, out, n_train, bool(examples)),
    }
    if examples:
        files["validation.json"] = _json(_validation(bucket, out, examples))
    return files


def commands(layout: Layout, bucket: Bucket, out: Path) -> str:
    """The commands that train, as a block of Markdown."""
    if layout == "finetrainers":
        return f"In a checkout of huggingface/finetrainers:\n\n```bash\nbash {shlex.quote(str(out / 'train.sh'))}\n```\n"
    data, ltxv, ltx2 = (
        shlex.quote(str(out / name)) for name in ("train/dataset.json", LTXV_CONFIG, LTX2_CONFIG)
    )
    ltx2_data = shlex.quote(str(out / TRAIN / PRECOMPUTED[LTX2_CONFIG]))
    return f"""LTX-Video 0.9.x, in a checkout of Lightricks/LTX-Video-Trainer:

```bash
python scripts/preprocess_dataset.py {data} --resolution-buckets {bucket.name} \\
  --caption-column caption --video-column media_path --model-source LTXV_2B_0.9.6_DEV
python scripts/train.py {ltxv}
```

LTX-2, in `packages/ltx-trainer` of Lightricks/LTX-2; set both model paths, here and in the YAML file:

```bash
uv run python scripts/process_dataset.py {data} --resolution-buckets {bucket.name} \\
  --model-path MODEL.safetensors --text-encoder-path GEMMA --output-dir {ltx2_data}
uv run python scripts/train.py {ltx2}
```

The trigger word, if any, is in the captions already: leave `--id-token` and `--lora-trigger` out.
"""


def _ltxv(request: Request, bucket: Bucket, out: Path, examples: Sequence[Example]) -> str:
    value = {
        "model": {"model_source": "LTXV_2B_0.9.6_DEV", "training_mode": "lora", "load_checkpoint": None},
        "lora": _lora("to_k", "to_q", "to_v", "to_out.0"),
        "conditioning": {"mode": "none", "first_frame_conditioning_p": FIRST_FRAME_P},
        "optimization": _optimization(learning_rate=2e-4),
        "acceleration": {
            "mixed_precision_mode": "bf16",
            "quantization": None,
            "load_text_encoder_in_8bit": False,
            "compile_with_inductor": False,
            "compilation_mode": "reduce-overhead",
        },
        "data": _data(out, LTXV_CONFIG),
        "validation": {
            "prompts": [prompt for prompt, _ in examples],
            "negative_prompt": NEGATIVE,
            "images": [str(out / image) for _, image in examples] or None,
            "video_dims": [bucket.width, bucket.height, bucket.frames],
            "seed": request.seed,
            "inference_steps": 50,
            "interval": 250 if examples else None,
            "videos_per_prompt": 1,
            "guidance_scale": 3.5,
        },
        "checkpoints": {"interval": 250, "keep_last_n": -1},
        "flow_matching": {"timestep_sampling_mode": "shifted_logit_normal", "timestep_sampling_params": {}},
        "seed": request.seed,
        "output_dir": str(out / "outputs" / "ltxv_lora"),
    }
    return _yaml(
        value,
        "Lightricks/LTX-Video-Trainer. In versions before the section `conditioning` existed,",
        "first_frame_conditioning_p belongs to `optimization`.",
    )


def _ltx2(request: Request, bucket: Bucket, out: Path, examples: Sequence[Example]) -> str:
    attention = [f"attn{i}.{name}" for i in (1, 2) for name in ("to_k", "to_q", "to_v", "to_out.0")]
    first_frame = {"type": "first_frame", "probability": FIRST_FRAME_P}
    value = {
        "model": {
            "model_path": "MODEL.safetensors",
            "text_encoder_path": "GEMMA",
            "training_mode": "lora",
            "load_checkpoint": None,
        },
        "lora": _lora(*attention),
        "training_strategy": {
            "name": "flexible",
            "video": {"is_generated": True, "latents_dir": "latents", "conditions": [first_frame]},
        },
        "optimization": _optimization(learning_rate=1e-4),
        "acceleration": {
            "mixed_precision_mode": "bf16",
            "quantization": None,
            "load_text_encoder_in_8bit": False,
        },
        "data": _data(out, LTX2_CONFIG),
        "validation": {
            "samples": [
                {
                    "prompt": prompt,
                    "conditions": [{"type": "first_frame", "image_or_video": str(out / image)}],
                }
                for prompt, image in examples
            ],
            "negative_prompt": NEGATIVE,
            "video_dims": [bucket.width, bucket.height, bucket.frames],
            "frame_rate": bucket.fps,
            "seed": request.seed,
            "inference_steps": 30,
            "interval": 250 if examples else None,
            "generate_audio": False,
        },
        "checkpoints": {"interval": 250, "keep_last_n": -1, "precision": "bfloat16"},
        "flow_matching": {"timestep_sampling_mode": "shifted_logit_normal", "timestep_sampling_params": {}},
        "seed": request.seed,
        "output_dir": str(out / "outputs" / "ltx2_i2v_lora"),
    }
    return _yaml(
        value, "Lightricks/LTX-2, packages/ltx-trainer. Set model_path and text_encoder_path: both are local."
    )


def _lora(*modules: str) -> dict[str, Any]:
    return {"rank": 32, "alpha": 32, "dropout": 0.0, "target_modules": list(modules)}


def _optimization(learning_rate: float) -> dict[str, Any]:
    return {
        "learning_rate": learning_rate,
        "steps": 2000,
        "batch_size": 1,
        "gradient_accumulation_steps": 1,
        "max_grad_norm": 1.0,
        "optimizer_type": "adamw",
        "scheduler_type": "linear",
        "scheduler_params": {},
        "enable_gradient_checkpointing": True,
    }


def _data(out: Path, config: str) -> dict[str, Any]:
    return {"preprocessed_data_root": str(out / TRAIN / PRECOMPUTED[config]), "num_dataloader_workers": 2}


def _training(bucket: Bucket, out: Path) -> dict[str, Any]:
    """What finetrainers takes as ``--dataset_config``; no ``id_token``, the trigger word is in the captions."""
    return {
        "datasets": [
            {
                "data_root": str(out / TRAIN),
                "dataset_type": "video",
                "video_resolution_buckets": [[bucket.frames, bucket.height, bucket.width]],
                "reshape_mode": "bicubic",
                "remove_common_llm_caption_prefixes": False,
            }
        ]
    }


def _validation(bucket: Bucket, out: Path, examples: Sequence[Example]) -> dict[str, Any]:
    """What finetrainers takes as ``--validation_dataset_file``; at the rate that it trains with."""
    return {
        "data": [
            {
                "caption": prompt,
                "image_path": str(out / image),
                "video_path": None,
                "num_inference_steps": 50,
                "height": bucket.height,
                "width": bucket.width,
                "num_frames": bucket.frames,
                "frame_rate": int(TRAINER_FPS),
            }
            for prompt, image in examples
        ]
    }


def _train_sh(request: Request, out: Path, n_train: int, validates: bool) -> str:
    quoted = {name: shlex.quote(str(out / name)) for name in ("training.json", "validation.json", "outputs")}
    n_items = min(n_train, MAX_PRECOMPUTED)
    once = " --precomputation_once" if n_train <= MAX_PRECOMPUTED else ""
    validation = (
        f"  --validation_dataset_file {quoted['validation.json']} --validation_steps 500 \\\n"
        if validates
        else ""
    )
    return f"""#!/bin/bash
# A LoRA of LTX-Video with huggingface/finetrainers; run in its checkout: bash {shlex.quote(str(out / "train.sh"))}
set -e
export WANDB_MODE=offline
NUM_GPUS="${{NUM_GPUS:-1}}"
torchrun --standalone --nnodes=1 --nproc_per_node="$NUM_GPUS" --rdzv_backend c10d --rdzv_endpoint=localhost:0 train.py \\
  --parallel_backend ptd --pp_degree 1 --dp_degree "$NUM_GPUS" --dp_shards 1 --cp_degree 1 --tp_degree 1 \\
  --model_name ltx_video --pretrained_model_name_or_path Lightricks/LTX-Video \\
  --dataset_config {quoted["training.json"]} --dataset_shuffle_buffer_size 10 \\
  --enable_precomputation --precomputation_items "$(( ({n_items} + NUM_GPUS - 1) / NUM_GPUS ))"{once} \\
  --dataloader_num_workers 0 --flow_weighting_scheme logit_normal \\
  --training_type lora --seed {request.seed} --batch_size 1 --train_steps 2000 --rank 32 --lora_alpha 32 \\
  --target_modules "(transformer_blocks|single_transformer_blocks).*(to_q|to_k|to_v|to_out.0)" \\
  --gradient_accumulation_steps 1 --gradient_checkpointing --checkpointing_steps 500 --checkpointing_limit 2 \\
  --enable_slicing --enable_tiling \\
  --optimizer adamw --lr 5e-5 --lr_scheduler constant_with_warmup --lr_warmup_steps 200 --lr_num_cycles 1 \\
  --beta1 0.9 --beta2 0.99 --weight_decay 1e-4 --epsilon 1e-8 --max_grad_norm 1.0 \\
{validation}  --tracker_name equime-ltx-video --output_dir {quoted["outputs"]} --report_to wandb
"""


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _yaml(value: Any, *comments: str) -> str:
    """YAML text; strings as in JSON, which YAML's double-quoted strings hold (YAML 1.2, 7.3.1)."""
    return "".join(f"# {line}\n" for line in comments) + "\n".join(_yaml_lines(value, "")) + "\n"


def _yaml_lines(value: Any, indent: str) -> list[str]:
    lines = []
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    for key, item in items:
        head = f"{indent}-" if key is None else f"{indent}{key}:"
        if isinstance(item, dict | list) and item:
            nested = _yaml_lines(item, indent + "  ")
            lines += [head, *nested] if key is not None else [f"{head} {nested[0].lstrip()}", *nested[1:]]
        else:
            lines.append(f"{head} {_scalar(item)}")
    return lines


def _scalar(item: Any) -> str:
    """A scalar or an empty collection; YAML 1.1 takes 5e-05 for a string, so a float keeps its point."""
    if isinstance(item, float):
        return f"{item:f}".rstrip("0").ljust(3, "0") if item < 1e-3 else repr(item)
    return json.dumps(item, ensure_ascii=False)
