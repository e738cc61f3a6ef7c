"""Evaluations as `run.evaluate` would give them, with drawn numbers: the report's tests need no measuring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from msgspec.structs import replace as replace_fields

from equime.action_units import EMOTIONS
from equime.annotation.annotators import Metric
from equime.annotation.measure import ClipProblem
from equime.annotation.measurement import NotRun
from equime.dataset import Dataset
from equime.evaluation_framework.comparison import EmotionComparison, MetricDifference, SetComparison
from equime.evaluation_framework.evaluation import Evaluation
from equime.evaluation_framework.near_duplicates import DuplicatePair, NearDuplicates
from equime.evaluation_framework.set_distance import Distance, Neighbours
from equime.evaluation_framework.statistics import Difference, Estimate
from equime.provenance import Provenance
from equime.seeding import stream

AUS = (1, 2, 4, 5, 6, 7, 12, 15, 20, 24, 25, 26)

EVIL = "<script>alert(1)</script>&\"'`|*.mp4"
"""A file name that would be markup, a table cell or code if it were not escaped."""


def metric(
    name: str, unit: str = "1", direction: Any = "higher", type_: Any = "real", low: float | None = 0.0
) -> Metric:
    return Metric(name, unit, low, None, direction, f"What {name} means.", "A paper (2020).", type_)


_METRICS = {
    "video_file": (metric("n_frames", "1", "none", "whole"), metric("fps", "1/s", "none"), metric("duration_ms", "ms", "none")),
    "smoothness": (
        metric("psnr_consecutive_db", "dB"), metric("psnr_wrapped_consecutive_db", "dB"),
        metric("ssim_consecutive"), metric("n_identical_pairs", "1", "lower", "whole"),
    ),
    "total_variation": (metric("tv", "1", "none"),),
    "fidelity": (metric("psnr_source_db", "dB"), metric("ssim_source"), metric("fidelity_reference", "", "none", "text")),
    "sequence": (
        metric("motion_energy", "1", "none"), metric("flicker", "1", "lower"), metric("jerk", "1", "lower"),
        metric("frozen_share", "1", "lower"), metric("is_frozen", "", "none", "flag"), metric("n_dropped_frames", "1", "lower", "whole"),
    ),
    "timing": (
        metric("measured_onset_ms", "ms", "none"), metric("measured_apex_ms", "ms", "none"),
        metric("measured_offset_ms", "ms", "none"), metric("onset_error_ms", "ms", "none", "real", None),
        metric("apex_error_ms", "ms", "none", "real", None), metric("offset_error_ms", "ms", "none", "real", None),
        metric("movement_found", "", "none", "flag"), metric("is_micro_duration", "", "none", "flag"),
        metric("peak_motion_mm", "mm", "none"),
    ),
    "au_fidelity": (
        metric("flow_cosine"), metric("flow_ratio", "1", "none"), metric("au_passes", "", "none", "flag"),
        *(metric(f"{kind}_au{au:02d}", "1", "none") for kind in ("commanded", "measured") for au in AUS),
    ),
    "motion_features": tuple(metric(f"mf_{i:03d}", "1", "none") for i in range(120)),
}  # fmt: skip


def evaluation(root: Path, rows: list[dict[str, Any]], **changes: Any) -> Evaluation:
    """An evaluation of clips given by id, file, subject and emotion, and true times where they are known."""
    clips = pd.DataFrame([row | _values(i, row) for i, row in enumerate(rows)]).astype(object)
    clips = clips.where(clips.notna(), None)
    fields = {
        "path": str(root),
        "kind": "dataset",
        "clips": clips,
        "metrics": {m.name: m for group in _METRICS.values() for m in group},
        "annotators": {name: tuple(m.name for m in group) for name, group in _METRICS.items()},
        "problems": (),
        "notes": (),
        "not_run": (
            NotRun("brisque", ("brisque",), "weights brisque are not there", "equime weights fetch brisque"),
            NotRun(
                "clip_iqa", ("clip_iqa",), "weights clip_iqa are not there", "equime weights fetch clip_iqa"
            ),
        ),
        "root": root,
        "provenance": Provenance(
            versions={"equime": "0.1.0", "numpy": "2.4"}, python="3.11", platform="Linux", commit=None
        ),
    }
    return Evaluation(**fields | changes)


def drawn(n: int = 40, root: Path = Path("nowhere"), **changes: Any) -> Evaluation:
    """Clips without files: 8 subjects, five emotions, a frozen clip, one without a subject, problems, notes."""
    generator = stream(0, "report", "clips")
    rows = []
    for i in range(n):
        onset = float(generator.uniform(500, 5000))
        apex, offset = onset + float(generator.uniform(80, 240)), onset + float(generator.uniform(260, 520))
        rows.append(
            {
                "clip_id": f"c{i:04d}",
                "file": f"{EMOTIONS[i % 5]}/u_s{i % 8}_{i:03d}.mp4",
                "subject_id": None if i == 7 else f"s{i % 8}",
                "emotion": EMOTIONS[i % 5],
                "intended_onset_ms": onset,
                "intended_apex_ms": apex,
                "intended_offset_ms": offset,
            }
        )
    if n > 3:
        rows[3]["file"] = EVIL
        problems = (
            ClipProblem("c0003", EVIL, "timing", "no_face", f"{EVIL}: no face found; look at the clip"),
            ClipProblem("", "torn.mp4", "", "unreadable", "torn.mp4: truncated, 3 of 144 frames; delete it"),
        )
        notes = (
            ("c0005", "fidelity", "fallback_reference", "the photograph is not there; frame 0 was taken"),
        )
        changes = {"problems": problems, "notes": notes} | changes
    return evaluation(root, rows, **changes)


def of_dataset(data: Dataset, **changes: Any) -> Evaluation:
    """An evaluation of real clips, with drawn values: the strips hold real frames."""
    rows = []
    for view in data:
        phases = view.spec.phases
        times = (phases.onset_ms, phases.apex_ms, phases.offset_ms) if phases else (None, None, None)
        rows.append(
            {
                "clip_id": view.clip.clip_id,
                "file": view.clip.file,
                "subject_id": view.spec.subject_id,
                "emotion": view.spec.emotion,
                "intended_onset_ms": times[0],
                "intended_apex_ms": times[1],
                "intended_offset_ms": times[2],
                "n_frames": view.clip.n_frames,
                "fps": view.clip.fps,
            }
        )
    return evaluation(data.root, rows, **changes)


def _values(i: int, row: dict[str, Any]) -> dict[str, Any]:
    """Plausible measurements; clip 11 is frozen."""
    g = stream(0, "report", "values", i)
    frozen = i == 11
    psnr = 80.0 if frozen else float(g.normal(42, 1.5))
    onset = row.get("intended_onset_ms")
    found = onset is not None and not frozen
    errors = g.normal(0, 25, 3)
    names = ("onset", "apex", "offset")
    measured = {
        f"measured_{p}_ms": float(row[f"intended_{p}_ms"] + e) if found else None
        for p, e in zip(names, errors, strict=True)
    }
    error = {f"{p}_error_ms": float(e) if found else None for p, e in zip(names, errors, strict=True)}
    commanded = {au: float(g.uniform(1, 3)) if (i + k) % 5 == 0 else 0.0 for k, au in enumerate(AUS)}
    return {
        "n_frames": row.get("n_frames", 144), "fps": row.get("fps", 24.0), "duration_ms": 6000.0,
        "psnr_consecutive_db": psnr, "psnr_wrapped_consecutive_db": psnr - 1, "ssim_consecutive": min(1.0, 0.9 + psnr / 1000),
        "n_identical_pairs": 143 if frozen else 0, "tv": float(g.normal(14, 2)),
        "psnr_source_db": float(g.normal(36, 2)), "ssim_source": float(g.beta(60, 3)),
        "fidelity_reference": "photograph" if i % 5 else "frame 0",
        "motion_energy": 0.0 if frozen else float(g.gamma(4, 0.2)), "flicker": float(g.gamma(3, 0.01)),
        "jerk": float(g.gamma(5, 3)), "frozen_share": 1.0 if frozen else 0.0, "is_frozen": frozen, "n_dropped_frames": 0,
        **measured, **error, "movement_found": not frozen, "is_micro_duration": bool(g.random() < 0.9) if found else None,
        "peak_motion_mm": 0.0 if frozen else float(g.gamma(6, 0.2)),
        "flow_cosine": None if frozen else float(g.beta(20, 2)), "flow_ratio": float(g.normal(0.9, 0.15)),
        "au_passes": bool(g.random() < 0.85) and not frozen,
        **{f"commanded_au{au:02d}": value for au, value in commanded.items()},
        **{f"measured_au{au:02d}": value * 0.85 + float(g.normal(0.05, 0.12)) for au, value in commanded.items()},
        **dict(zip([f"mf_{k:03d}" for k in range(120)], g.normal(size=120).tolist(), strict=True)),
    }  # fmt: skip


def estimate(mean: float, reach: float = 0.05) -> Estimate:
    return Estimate(mean=mean, low=mean - reach, high=mean + reach, n=40, n_subjects=8, method="bootstrap")


def comparison() -> SetComparison:
    """What a comparison of two sets gives, with drawn numbers: a set that differs in motion, and few pairs."""
    kernel = Distance(
        value=0.41, low=0.22, high=0.6, null_median=0.01, null_high=0.12, p_value=0.005, n_measured=40,
        n_reference=60, n_subjects_measured=8, n_subjects_reference=12, n_features=168,
    )  # fmt: skip
    frechet = replace_fields(kernel, value=91.5, low=None, high=None, p_value=None, shrinkage=0.2)
    near = Neighbours(
        precision=estimate(0.81), recall=estimate(0.62), density=estimate(1.1), coverage=estimate(0.7), k=5
    )
    metrics = tuple(
        MetricDifference(
            metric=name, measured=estimate(a), reference=estimate(b),
            difference=Difference(
                difference=a - b, low=a - b - 0.3, high=a - b + 0.3, n=(40, 60), n_subjects=(8, 12), n_shared=0
            ),
            effect=(a - b) / 2,
        )
        for name, a, b in (("tv", 14.0, 16.1), ("ssim_consecutive", 0.95, 0.93), ("flicker", 0.03, 0.03))
    )  # fmt: skip
    pair = DuplicatePair(clip_a=EVIL, clip_b="c0002", subject_a="s1", subject_b=None, distance_bits=3)
    return SetComparison(
        n_measured=40, n_reference=60, n_subjects_measured=8, n_subjects_reference=12, n_features_measured=40,
        n_features_reference=60, distances={"frechet_motion": frechet, "kernel_motion": kernel},
        neighbours={"motion": near}, metrics=metrics,
        emotions={
            "fear": EmotionComparison(n_measured=8, n_reference=4, kernel_motion=None, neighbours_motion=None),
            "anger": EmotionComparison(n_measured=12, n_reference=15, kernel_motion=kernel, neighbours_motion=near),
        },
        duplicates_measured=None,
        duplicates_between=NearDuplicates(
            n_a=40, n_b=60, max_bits=6, n_clip_pairs=2, n_clips_a=2, n_clips_b=1, n_same_subject=0, pairs=(pair,),
            cut_off=False,
        ),
        warnings=("40 measured clips have motion features, fewer than 50: distances are rough",),
    )  # fmt: skip


def without_values() -> Evaluation:
    """Nothing measured at all: one clip that could not be read, of unknown subject and emotion."""
    row = {"clip_id": "c", "file": "a.mp4", "subject_id": None, "emotion": None}
    problem = ClipProblem("c", "a.mp4", "", "unreadable", "a.mp4: empty file; delete it")
    return evaluation(
        Path("nowhere"), [row], kind="videos", clips=pd.DataFrame([row], dtype=object), metrics={}, annotators={},
        problems=(problem,),
    )  # fmt: skip


def large(n: int) -> Evaluation:
    """Many clips, for the bounds of what is written out."""
    found = drawn(20)
    rows = pd.concat([found.clips] * (n // 20), ignore_index=True)
    ids = np.char.add("c", np.arange(len(rows)).astype(str))
    rows["clip_id"], rows["file"] = ids, np.char.add(ids, ".mp4")
    rows["subject_id"] = np.char.add("s", (np.arange(len(rows)) % 25).astype(str))
    return replace(found, clips=rows.astype(object))
