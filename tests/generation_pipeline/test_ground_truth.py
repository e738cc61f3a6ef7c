"""Ground truth on disk and its bounds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from equime.errors import InputError
from equime.generation_pipeline.ground_truth import GroundTruth, export, read_flo, write_flo
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.types import ClipSpec


def test_flo_round_trip(tmp_path: Path, rng: np.random.Generator) -> None:
    field = rng.standard_normal((5, 7, 2)).astype(np.float32)
    write_flo(tmp_path / "a.flo", field)
    np.testing.assert_array_equal(read_flo(tmp_path / "a.flo"), field)
    assert (tmp_path / "a.flo").read_bytes()[:4] == b"PIEH"


def test_flo_cut_short_is_refused(tmp_path: Path) -> None:
    write_flo(tmp_path / "a.flo", np.zeros((4, 4, 2), np.float32))
    data = (tmp_path / "a.flo").read_bytes()
    (tmp_path / "a.flo").write_bytes(data[:-3])
    with pytest.raises(InputError, match="cut short"):
        read_flo(tmp_path / "a.flo")
    (tmp_path / "b.flo").write_bytes(b"no flow")
    with pytest.raises(InputError, match="Middlebury"):
        read_flo(tmp_path / "b.flo")


def test_export_holds_everything(
    prepared_small: PreparedMesh, make_spec: Callable[..., ClipSpec], tmp_path: Path
) -> None:
    truth = GroundTruth(prepared_small, make_spec(aus={12: (3, 0)}, size_px=128))
    archive, flow = export(truth, tmp_path / "gt")
    with np.load(archive) as data:
        assert data["curve"].shape == (40, 1, 2)
        assert data["landmarks"].shape == (40, 478, 2)
        assert data["timing"].tolist() == [11, 20, 29]
    assert flow.name == "motion_0011_0020.flo"
    assert read_flo(flow).shape == (128, 128, 2)
    assert not list((tmp_path / "gt").glob(".*"))


def test_frame_outside_the_clip(prepared_small: PreparedMesh, make_spec: Callable[..., ClipSpec]) -> None:
    truth = GroundTruth(prepared_small, make_spec(size_px=128))
    with pytest.raises(InputError, match="frame 40 is outside the clip's 0 to 39"):
        truth.motion_field(0, 40)
