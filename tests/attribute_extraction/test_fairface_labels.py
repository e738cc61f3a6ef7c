"""FairFace on random weights of the real architecture under the real name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equime.annotation.choice import requirement
from equime.annotation.measure import measure_clip
from equime.attribute_extraction import fairface_labels as ff
from equime.attribute_extraction.face_framing import dlib_chip
from equime.attribute_extraction.label_frames import cut_faces
from equime.attribute_extraction.sampled_faces import FrameSample
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.errors import MissingError, WorkError
from equime.frames import open_frames
from equime.torch_env import load, quiet, torch
from tests.evaluation_framework.clip_sessions import cut_off, link, measure, pictures

pytestmark = pytest.mark.xdist_group("deepface")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch().set_num_threads(1)
    torch().manual_seed(2)
    made = tmp_path_factory.mktemp("fairface") / ff.FILE
    with quiet():
        network = load("torchvision.models").resnet34(num_classes=18)
    torch().nn.init.normal_(network.fc.weight, std=0.3)
    torch().save(network.state_dict(), made)
    return made


@pytest.fixture
def home(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cut_off(monkeypatch, tmp_path)
    link(file, tmp_path / "weights" / "fairface" / ff.FILE)
    ff.model.cache_clear()
    return tmp_path


@pytest.fixture(scope="module")
def clip(mesh_clips: Dataset) -> ClipSource:
    return find_clips(mesh_clips.root)[0][0]


def test_as_fairfaces_script(home: Path, clip: ClipSource) -> None:
    """A clip through the real path, against ``predict.py``: transforms of torchvision, softmax by slices."""
    measured = measure_clip(clip, [ff.FairFaceLabels()])
    assert measured.problems == ()
    row = measured.rows["fairface"]
    assert row.notes == ()
    assert row.values[ff.COUNT] == 5

    with open_frames(clip) as stream:
        sample = FrameSample()
        for frame in stream.frames:
            sample.feed(frame)
    chips = cut_faces(sample.frames(), dlib_chip, 224).crops
    with quiet():
        transforms = load("torchvision.transforms")
        network = load("torchvision.models").resnet34()
        network.fc = torch().nn.Linear(512, 18)
        network.load_state_dict(torch().load(home / "weights" / "fairface" / ff.FILE, weights_only=True))
        prepare = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
        )
        with torch().no_grad():
            given = [network.eval()(prepare(chip)[None])[0] for chip in chips]
    race = np.mean([g[:7].softmax(0).numpy() for g in given], axis=0)
    gender = np.mean([g[7:9].softmax(0).numpy() for g in given], axis=0)
    age = np.mean([g[9:].softmax(0).numpy() for g in given], axis=0)
    for name, p in zip(
        ("white", "black", "latino_hispanic", "east_asian", "southeast_asian"), race, strict=False
    ):
        assert row.values[f"estimated_race_fairface_p_{name}"] == pytest.approx(p, abs=1e-5)
    assert row.values["estimated_gender_fairface_p_man"] == pytest.approx(gender[0], abs=1e-5)
    assert row.values["estimated_age_fairface_p_70_up"] == pytest.approx(age[8], abs=1e-5)
    assert np.ptp(race) > 0.05, "random weights that prefer something"


def test_no_face(home: Path) -> None:
    row = measure(ff.FairFaceLabels(), pictures(6, 96, 96))
    assert row.values[ff.COUNT] == 0
    assert {v for k, v in row.values.items() if k != ff.COUNT} == {None}
    assert row.notes[0][0] == "no_face"


def test_expected_age() -> None:
    given = np.full((1, 18), -50.0)
    given[0, [0, 7]] = 0
    given[0, [9 + 2, 9 + 8]] = 1.0  # half 10-19, half 70+
    values = ff.summary(given)
    assert values["estimated_age_fairface_years"] == pytest.approx((15 + 75) / 2)
    assert values["estimated_age_fairface_group"] is None, "0.5 is below the threshold"
    assert values["estimated_race_fairface"] == "white"
    assert values["estimated_gender_fairface"] == "man"


def test_without_weights(home: Path) -> None:
    (home / "weights" / "fairface" / ff.FILE).unlink()
    assert requirement(ff.FairFaceLabels()) == (
        "weights fairface are not there",
        "equime weights fetch fairface",
    )
    with pytest.raises(MissingError, match="run `equime weights fetch fairface`"):
        measure(ff.FairFaceLabels(), pictures(2, 64, 64))


def test_another_file(home: Path) -> None:
    file = home / "weights" / "fairface" / ff.FILE
    file.unlink()
    torch().save({"fc.weight": torch().ones(18, 512)}, file)
    with pytest.raises(WorkError, match=r"20190809\.pt: is no ResNet-34 of FairFace; remove it and run"):
        measure(ff.FairFaceLabels(), pictures(2, 64, 64))
    file.write_bytes(b"not weights")
    with pytest.raises(WorkError, match=r"20190809\.pt: cannot be read"):
        measure(ff.FairFaceLabels(), pictures(2, 64, 64))
