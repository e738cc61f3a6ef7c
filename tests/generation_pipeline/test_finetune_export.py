"""Fine-tuning exports, read back the way that the trainers read them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image

from equime import layout, quality_gate
from equime.dataset import Dataset
from equime.errors import InputError, WorkError
from equime.generation_pipeline import finetune_export_files
from equime.generation_pipeline.captions import contradictions, write_captions
from equime.generation_pipeline.finetune_export import Manifest, export_finetune
from equime.generation_pipeline.finetune_export_files import Row
from equime.generation_pipeline.finetune_export_plan import (
    LeftOut,
    Request,
)
from equime.records import read, write_records
from equime.types import Clip
from equime.video import probe, read_frames, read_planes
from tests.generation_pipeline.clip_specs import make_spec
from tests.generation_pipeline.test_finetune_export_plan import as_seen

FRAMES = 41
"""Of the 48 that the clips have."""
EVERYBODY = 0.5
"""Of two people, one on each side."""


def read_ltx(dataset_file: Path, bucket: str) -> list[tuple[str, list[np.ndarray]]]:
    """(caption, frames) of each sample.

    As ``scripts/process_videos.py`` of Lightricks/LTX-Video-Trainer and ``packages/ltx-trainer/scripts/process_videos.py``
    of Lightricks/LTX-2 do it: ``parse_resolution_buckets`` (WxHxF), ``MediaDataset._load_video_paths_from_json``,
    ``_filter_valid_videos`` and ``_preprocess_video``: the first frames that the nearest bucket holds.
    """
    width, height, n_frames = map(int, bucket.split("x"))
    assert width % 32 == height % 32 == 0
    assert n_frames % 8 == 1
    data = json.loads(dataset_file.read_text("utf-8"))
    assert isinstance(data, list)
    samples = []
    for entry in data:
        path = dataset_file.parent / Path(entry["media_path"].strip())
        assert path.is_file()
        assert path.relative_to(dataset_file.parent)
        frames = list(read_frames(path))
        assert len(frames) >= n_frames, "the trainer would skip this video"
        samples.append((entry["caption"], frames[:n_frames]))
    return samples


def read_finetrainers(config_file: Path) -> list[tuple[str, list[np.ndarray]]]:
    """(caption, frames) of each sample.

    As ``finetrainers/data/dataset.py`` of huggingface/finetrainers does it: ``_initialize_local_dataset`` (which kind of
    folder it is), ``VideoFileCaptionFileListDataset.__init__`` (the two lists), and ``resize_to_nearest_bucket_video``
    with ``find_nearest_video_resolution`` of ``finetrainers/functional/video.py``: frames picked evenly.
    """
    (dataset,) = json.loads(config_file.read_text("utf-8"))["datasets"]
    root = Path(dataset["data_root"])
    assert dataset["dataset_type"] == "video"
    assert not [
        name for name in ("metadata.json", "metadata.jsonl", "metadata.csv") if (root / name).exists()
    ]
    assert not [path for path in root.rglob("*") if path.suffix in (".tar", ".parquet")]
    assert not [path for path in root.glob("*.txt") if path.with_suffix(".mp4").exists()]
    captions, videos = (
        (root / name).read_text("utf-8").splitlines() for name in ("prompts.txt", "videos.txt")
    )
    assert len(captions) == len(videos)
    samples = []
    for caption, name in zip(captions, videos, strict=True):
        frames = list(read_frames(root / name))
        possible = [b for b in dataset["video_resolution_buckets"] if b[0] <= len(frames)]
        n_frames = max(possible)[0]
        picked = (
            np.linspace(0, len(frames) - 1, n_frames).astype(int)
            if len(frames) > n_frames
            else range(len(frames))
        )
        samples.append((caption, [frames[i] for i in picked]))
    return samples


def rows_of(out: Path) -> list[Row]:
    return read(out / "clips.jsonl", Row)


def manifest_of(out: Path) -> Manifest:
    return msgspec.json.decode((out / "manifest.json").read_bytes(), type=Manifest)


@pytest.fixture(scope="module")
def exports(mesh_clips: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One export of each layout. Do not change them."""
    folder = tmp_path_factory.mktemp("my exports")
    for name in ("ltx", "finetrainers"):
        export_finetune(
            mesh_clips, folder / name, Request(layout=name, trigger="MICROEX", validation=EVERYBODY)
        )
    return {name: folder / name for name in ("ltx", "finetrainers")}


@pytest.fixture
def copied(mesh_clips: Dataset, tmp_path: Path) -> Path:
    return shutil.copytree(mesh_clips.root, tmp_path / "data")


def change_clips(root: Path, **changes: Any) -> None:
    (path,) = layout.clips_paths(root)
    write_records(path, [msgspec.structs.replace(clip, **changes) for clip in read(path, Clip)])


@pytest.mark.parametrize("name", ["ltx", "finetrainers"])
def test_a_trainer_sees_the_clips_at_their_own_speed(
    name: str, exports: dict[str, Path], mesh_clips: Dataset
) -> None:
    out = exports[name]
    rows = [row for row in rows_of(out) if row.split == "train"]
    bucket = manifest_of(out).bucket
    assert bucket.name == f"256x256x{FRAMES}"
    samples = (
        read_ltx(out / "train/dataset.json", bucket.name)
        if name == "ltx"
        else read_finetrainers(out / "training.json")
    )
    assert len(samples) == len(rows) == 4
    for row, (caption, frames) in zip(rows, samples, strict=True):
        view = mesh_clips[row.clip_id]
        assert caption == row.caption
        assert row.caption_rewritten or caption == f"MICROEX {view.clip.captions.plain}"
        assert contradictions(caption, as_seen(view.spec, FRAMES)) == []
        np.testing.assert_array_equal(np.stack(frames), view.frames()[:FRAMES])
        assert probe(out / "train" / row.video).fps == view.clip.fps
        with Image.open(out / "train" / row.first_frame) as image:
            np.testing.assert_array_equal(np.asarray(image), frames[0])


def test_only_finetrainers_needs_videos_cut_and_they_are_cut_without_loss(
    exports: dict[str, Path], mesh_clips: Dataset
) -> None:
    assert manifest_of(exports["ltx"]).made == {"link": 8}
    assert manifest_of(exports["finetrainers"]).made == {"cut": 8}
    row = rows_of(exports["finetrainers"])[0]
    cut = exports["finetrainers"] / row.split / row.video
    assert probe(cut).n_frames == FRAMES == row.n_frames
    for got, expected in zip(read_planes(cut), read_planes(mesh_clips[row.clip_id].path), strict=False):
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_array_equal(one, other)
    linked = rows_of(exports["ltx"])[0]
    assert os.path.samefile(exports["ltx"] / linked.split / linked.video, mesh_clips[linked.clip_id].path)


@pytest.mark.parametrize("name", ["ltx", "finetrainers"])
def test_nobody_is_on_both_sides_and_every_file_has_its_digest(name: str, exports: dict[str, Path]) -> None:
    out = exports[name]
    manifest, rows = manifest_of(out), rows_of(out)
    train, validation = (
        {row.subject_id for row in rows if row.split == split} for split in ("train", "validation")
    )
    assert len(train) == len(validation) == 1
    assert train != validation
    assert manifest.people == {"train": tuple(train), "validation": tuple(validation)}
    there = {
        p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file() and p.name != "manifest.json"
    }
    assert {n: hashlib.sha256(p.read_bytes()).hexdigest() for n, p in there.items()} == manifest.sha256
    assert {row.licence for row in rows} == {"CC0-1.0, drawn by equime"}
    assert "| CC0-1.0, drawn by equime | 2 |" in (out / "README.md").read_text("utf-8")


def test_finetrainers_validates_from_the_first_frames_of_other_people(exports: dict[str, Path]) -> None:
    """``ValidationDataset`` of ``finetrainers/data/dataset.py``: field ``data``, ``caption`` and ``image_path``."""
    out = exports["finetrainers"]
    data = json.loads((out / "validation.json").read_text("utf-8"))["data"]
    expected = {
        str(out / "validation" / r.first_frame): r.caption for r in rows_of(out) if r.split == "validation"
    }
    assert {entry["image_path"]: entry["caption"] for entry in data} == expected
    assert all(Path(entry["image_path"]).is_file() for entry in data)
    assert {(e["width"], e["height"], e["num_frames"]) for e in data} == {(256, 256, FRAMES)}


def test_the_script_hands_finetrainers_its_options(exports: dict[str, Path], tmp_path: Path) -> None:
    out = exports["finetrainers"]
    fake = tmp_path / "torchrun"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "NUM_GPUS": "2"}
    run = subprocess.run(
        ["bash", str(out / "train.sh")], env=environment, capture_output=True, text=True, check=True
    )
    words = run.stdout.splitlines()
    options = {word: words[i + 1] for i, word in enumerate(words[:-1]) if word.startswith("--")}
    assert " " in str(out)
    assert options["--dataset_config"] == str(out / "training.json")
    assert options["--validation_dataset_file"] == str(out / "validation.json")
    assert options["--precomputation_items"] == options["--dp_degree"] == "2"
    assert "(to_q|to_k|to_v|to_out.0)" in options["--target_modules"]


LTXV_KEYS = {
    "model": {"model_source", "training_mode", "load_checkpoint"},
    "lora": {"rank", "alpha", "dropout", "target_modules"},
    "conditioning": {"mode", "first_frame_conditioning_p", "reference_latents_dir"},
    "optimization": {
        "learning_rate", "steps", "batch_size", "gradient_accumulation_steps", "max_grad_norm", "optimizer_type",
        "scheduler_type", "scheduler_params", "enable_gradient_checkpointing",
    },
    "acceleration": {
        "mixed_precision_mode", "quantization", "load_text_encoder_in_8bit", "compile_with_inductor", "compilation_mode",
    },
    "data": {"preprocessed_data_root", "num_dataloader_workers"},
    "validation": {
        "prompts", "negative_prompt", "images", "reference_videos", "video_dims", "seed", "inference_steps", "interval",
        "videos_per_prompt", "guidance_scale", "skip_initial_validation",
    },
    "checkpoints": {"interval", "keep_last_n"},
    "flow_matching": {"timestep_sampling_mode", "timestep_sampling_params"},
}  # fmt: skip
"""``ltxv_trainer/config.py`` of Lightricks/LTX-Video-Trainer; ``ConfigBaseModel`` forbids any other."""


def test_ltx_configurations_hold_what_their_trainers_accept(exports: dict[str, Path]) -> None:
    """``LtxvTrainerConfig``; ``ValidationConfig.validate_num_images``: as many images as prompts. LTX-2:
    ``docs/configuration-reference.md``, samples with a ``first_frame`` condition.
    """
    out = exports["ltx"]
    ltxv, ltx2 = (
        yaml.safe_load((out / n).read_text("utf-8")) for n in ("ltxv_lora.yaml", "ltx2_i2v_lora.yaml")
    )
    assert set(ltxv) == {*LTXV_KEYS, "seed", "output_dir"}
    for section, keys in LTXV_KEYS.items():
        assert set(ltxv[section]) <= keys
    assert ltxv["optimization"]["learning_rate"] == pytest.approx(2e-4)
    assert Path(ltxv["data"]["preprocessed_data_root"]).parent == out / "train"
    expected = {
        str(out / "validation" / r.first_frame): r.caption for r in rows_of(out) if r.split == "validation"
    }
    validation = ltxv["validation"]
    assert dict(zip(validation["images"], validation["prompts"], strict=True)) == expected
    samples = ltx2["validation"]["samples"]
    assert {s["conditions"][0]["image_or_video"]: s["prompt"] for s in samples} == expected
    assert {s["conditions"][0]["type"] for s in samples} == {"first_frame"}
    assert ltxv["validation"]["video_dims"] == ltx2["validation"]["video_dims"] == [256, 256, FRAMES]
    assert ltx2["data"]["preprocessed_data_root"] != ltxv["data"]["preprocessed_data_root"]
    assert ltx2["training_strategy"]["video"]["conditions"] == [{"type": "first_frame", "probability": 0.5}]


def test_the_same_command_again_does_nothing_and_another_is_refused(
    exports: dict[str, Path], mesh_clips: Dataset
) -> None:
    out = exports["ltx"]
    request = manifest_of(out).request
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = export_finetune(mesh_clips, out, request)
    assert again.already
    assert again.manifest == manifest_of(out)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(InputError, match="holds another export"):
        export_finetune(mesh_clips, out, msgspec.structs.replace(request, seed=1))


def test_a_moved_or_incomplete_export_is_not_taken_for_one(mesh_clips: Dataset, tmp_path: Path) -> None:
    request = Request(layout="ltx", validation=0)
    export_finetune(mesh_clips, tmp_path / "one", request)
    assert not (tmp_path / "one/validation").exists()
    (tmp_path / "one").rename(tmp_path / "two")
    with pytest.raises(InputError, match=r"was written as .*one"):
        export_finetune(mesh_clips, tmp_path / "two", request)
    (tmp_path / "two").rename(tmp_path / "one")
    (tmp_path / "one/ltxv_lora.yaml").unlink()
    with pytest.raises(InputError, match=r"1 files are gone \(ltxv_lora.yaml\)"):
        export_finetune(mesh_clips, tmp_path / "one", request)


def test_an_occupied_folder_is_refused_and_an_empty_one_taken(mesh_clips: Dataset, tmp_path: Path) -> None:
    request = Request(layout="ltx", captions="trigger", trigger="MICROEX", validation=0, copy=True)
    (tmp_path / "note.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "note.txt", mesh_clips.root):
        with pytest.raises(InputError, match="holds something else"):
            export_finetune(mesh_clips, out, request)
    with pytest.raises(InputError, match="is a file"):
        export_finetune(mesh_clips, tmp_path / "note.txt" / "out", request)
    (tmp_path / "out").mkdir()
    manifest = export_finetune(mesh_clips, tmp_path / "out", request).manifest
    assert manifest.made == {"copy": 8}
    assert {row.caption for row in rows_of(tmp_path / "out")} == {"MICROEX"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["note.txt", "out"]


def test_missing_and_changed_clips_stop_the_export(copied: Path, tmp_path: Path) -> None:
    data = Dataset.open(copied)
    first, second = (view.path for view in list(data)[:2])
    kept = first.read_bytes()
    first.unlink()
    with pytest.raises(WorkError, match=f"1 of 8 clips have no file .*{first.name}"):
        export_finetune(copied, tmp_path / "out", Request(layout="ltx"))
    first.write_bytes(kept)
    second.write_bytes(kept)
    with pytest.raises(WorkError, match="not the recorded file"):
        export_finetune(copied, tmp_path / "out", Request(layout="ltx"))
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("changes", "request_changes", "text"),
    [
        (
            {"captions": write_captions(make_spec(), n_paraphrases=0)},
            {"captions": "paraphrase"},
            "no caption 'paraphrase'",
        ),
        ({"n_frames": 8}, {}, "8 frames; LTX needs at least 9"),
        ({"width": 24, "height": 24}, {}, "at least 32"),
        ({}, {"frames": 49}, "has 48; use at most 41"),
        ({}, {"frames": 9}, "no clip shows its whole movement"),
    ],
)
def test_clips_that_no_trainer_can_use_are_refused(
    changes: dict[str, Any], request_changes: dict[str, Any], text: str, copied: Path, tmp_path: Path
) -> None:
    change_clips(copied, **changes)
    if request_changes.get("frames") == 9:
        (path,) = layout.clips_paths(copied)
        write_records(path, [clip for clip in read(path, Clip) if clip.timing])
    with pytest.raises(InputError, match=text):
        export_finetune(copied, tmp_path / "out", Request(layout="ltx", **request_changes))
    assert not (tmp_path / "out").exists()


def test_clips_of_two_rates_are_refused(copied: Path, tmp_path: Path) -> None:
    (path,) = layout.clips_paths(copied)
    first, *rest = read(path, Clip)
    write_records(path, [msgspec.structs.replace(first, fps=100.0), *rest])
    with pytest.raises(InputError, match=r"several shapes .*7 of 256x256 at 24 fps, 1 of 256x256 at 100 fps"):
        export_finetune(copied, tmp_path / "out", Request(layout="ltx"))


def test_a_movement_that_the_frames_cut_off_is_left_out_and_named(copied: Path, tmp_path: Path) -> None:
    (path,) = layout.clips_paths(copied)
    clips = read(path, Clip)
    moving = next(clip for clip in clips if clip.timing)
    assert moving.timing is not None
    late = msgspec.structs.replace(moving, timing=msgspec.structs.replace(moving.timing, offset_frame=FRAMES))
    write_records(path, [late if clip is moving else clip for clip in clips])
    manifest = export_finetune(copied, tmp_path / "out", Request(layout="ltx")).manifest
    reason = f"its movement is not over by frame {FRAMES}"
    assert manifest.left_out == (LeftOut(clip_id=late.clip_id, file=late.file, reason=reason),)
    assert late.clip_id not in {row.clip_id for row in rows_of(tmp_path / "out")}
    assert f"* {late.file}" in (tmp_path / "out/README.md").read_text("utf-8")


def test_clips_that_failed_the_quality_gate_stay_out_unless_asked_for(copied: Path, tmp_path: Path) -> None:
    ids = [view.clip.clip_id for view in Dataset.open(copied)]
    table = pa.table({"clip_id": ids, "passes": [False, *[True] * 7]})
    (copied / "tables").mkdir(exist_ok=True)
    pq.write_table(table, copied / quality_gate.PATH)
    export_finetune(copied, tmp_path / "passed", Request(layout="ltx"))
    export_finetune(copied, tmp_path / "all", Request(layout="ltx", include_failed=True))
    assert {row.clip_id for row in rows_of(tmp_path / "passed")} == set(ids[1:])
    assert {row.clip_id for row in rows_of(tmp_path / "all")} == set(ids)


def test_a_full_disk_leaves_nothing_behind(
    mesh_clips: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(finetune_export_files.os, "link", link)
    monkeypatch.setattr(finetune_export_files.shutil, "copyfile", full)
    with pytest.raises(WorkError, match="free some space"):
        export_finetune(mesh_clips, tmp_path / "out", Request(layout="ltx"))
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_else_puts_there_meanwhile_stays(
    mesh_clips: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(source: Path, path: Path) -> None:
        (tmp_path / "out").mkdir(exist_ok=True)
        (tmp_path / "out/other.txt").write_text("theirs")
        shutil.copyfile(source, path)

    monkeypatch.setattr(finetune_export_files.os, "link", link)
    with pytest.raises(WorkError, match="was put there while"):
        export_finetune(mesh_clips, tmp_path / "out", Request(layout="ltx"))
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/other.txt"]
