"""Estimates in the metadata JSON: written after extraction, kept apart from what is declared, part of validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from equime import layout
from equime.dataset import Dataset
from equime.errors import WorkError
from equime.generation_pipeline.pseudolabels import read_pseudolabels
from equime.generation_pipeline.views import refresh_metadata
from tests import runs


def write(out: Path, name: str = "deepface", suffix: str = "", **values: Any) -> None:
    rows = [
        {
            "clip_id": view.clip.clip_id,
            "annotator_version": "1",
            f"estimated_gender{suffix}": "woman",
            f"estimated_gender{suffix}_p_woman": 0.875,
            f"estimated_gender{suffix}_p_man": 0.125,
            f"estimated_age{suffix}_years": 31.26,
            f"estimated_race{suffix}": None,
            **values,
        }
        for view in Dataset.open(out)
    ]
    (out / "tables").mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(out / "tables" / f"{name}.parquet")


def metadata(out: Path) -> list[dict[str, Any]]:
    files = [out / layout.metadata_file(view.clip.file) for view in Dataset.open(out)]
    return [json.loads(file.read_text()) for file in files]


def test_without_a_table_nothing_is_said(made: Path) -> None:
    assert read_pseudolabels(made) == {}
    assert refresh_metadata(Dataset.open(made)) == 0
    assert metadata(made)[0]["pseudolabels"]["gender"] is None


def test_estimates_are_written_once_and_hold_in_validation(made: Path) -> None:
    write(made)
    assert ("wrong_metadata" in {code for _, code in runs.problems(made)}) is True
    assert refresh_metadata(Dataset.open(made)) == runs.N_CLIPS
    assert refresh_metadata(Dataset.open(made)) == 0
    assert runs.problems(made) == []
    found = metadata(made)[0]
    labels = found["pseudolabels"]
    assert (labels["gender"], labels["age"], labels["race"]) == ("woman", 31.3, None)
    assert labels["probabilities"] == {"gender": {"man": 0.125, "woman": 0.875}, "race": {}}
    assert labels["estimator"] == "deepface 1"
    assert "model" in labels["note"]
    assert found["declared"]["gender"] != "woman"


def test_deepface_comes_before_fairface(made: Path) -> None:
    write(made, "fairface", "_fairface")
    assert {v["estimator"] for v in read_pseudolabels(made).values()} == {"fairface 1"}
    write(made)
    assert {v["estimator"] for v in read_pseudolabels(made).values()} == {"deepface 1"}


def test_an_unreadable_table_is_named(made: Path) -> None:
    (made / "tables").mkdir(exist_ok=True)
    (made / "tables" / "deepface.parquet").write_bytes(b"no table")
    with pytest.raises(WorkError, match=r"deepface\.parquet: unreadable"):
        read_pseudolabels(made)
