"""DeepFace's labels end to end on random weights of its real architectures, against ``DeepFace.analyze`` itself.

Nothing of DeepFace is replaced but the drawing of initial weights that are overwritten anyway; both backends read the
files that `deepface_files` writes under the real names. All tests of this file run in one process, as the networks
take 0.6 to 1.6 GB.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from equime.annotation.choice import choose, requirement
from equime.annotation.measure import measure_clip
from equime.annotation.suites import ATTRIBUTES
from equime.attribute_extraction import deepface_labels as labels
from equime.attribute_extraction import deepface_models as models
from equime.attribute_extraction import sampled_faces
from equime.attribute_extraction.deepface_labels import DeepFaceLabels
from equime.attribute_extraction.face_framing import tight_box
from equime.attribute_extraction.label_frames import cut_faces
from equime.attribute_extraction.sampled_faces import FrameSample
from equime.clip_sources import ClipSource, find_clips
from equime.dataset import Dataset
from equime.errors import InputError, MissingError, WorkError
from equime.frames import open_frames
from equime.torch_env import quiet, torch
from equime.weights import PLACE
from tests.attribute_extraction.deepface_files import save_onnx, save_torch
from tests.evaluation_framework.clip_sessions import cut_off, link, measure, pictures

pytestmark = pytest.mark.xdist_group("deepface")

FOLDER = Path("deepface/.deepface/weights")
ENGINES = {"torch": "pytorch", "onnx": "onnx"}
TOLERANCE = 1e-4
ENDING = {"torch": "pth", "onnx": "onnx"}


@pytest.fixture(scope="module", params=["onnx", "torch"])
def backend(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def root(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of weights; do not change it. The networks are loaded once for it."""
    torch().set_num_threads(1)
    made = tmp_path_factory.mktemp(backend)
    if backend == "torch":
        save_torch(made / FOLDER)
    else:
        save_onnx(made / FOLDER, full=("age",))
    models.forget()
    yield made
    models.forget()


@pytest.fixture
def home(backend: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files where equime looks for them, no network, an empty home."""
    cut_off(monkeypatch, tmp_path)
    monkeypatch.setenv(PLACE, str(root))
    monkeypatch.setenv(models.CHOSEN, backend)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


@pytest.fixture
def own(home: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same files in a folder that a test may change."""
    for file in (root / FOLDER).iterdir():
        link(file, home / "own" / FOLDER / file.name)
    monkeypatch.setenv(PLACE, str(home / "own"))
    return home / "own" / FOLDER


@pytest.fixture(scope="module")
def clip(mesh_clips: Dataset) -> ClipSource:
    return find_clips(mesh_clips.root)[0][0]


def analyze(crops: NDArray[np.uint8], backend: str, root: Path) -> list[dict[str, Any]]:
    """DeepFace's own answer for each crop (RGB)."""
    deepface = models.module("DeepFace")
    utils, modeling = models.module("commons.backend_utils"), models.module("modules.modeling")
    layer = torch().nn.modules.conv._ConvNd
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(), quiet():
        warnings.simplefilter("ignore")
        patch.setenv("DEEPFACE_HOME", str(root / "deepface"))
        patch.setattr(utils, "_backend_engine", ENGINES[backend])
        patch.setattr(
            modeling, "cached_models", {task: {} for task in modeling.AVAILABLE_MODELS}, raising=False
        )
        patch.setattr(layer, "reset_parameters", lambda _: None)
        patch.setattr(torch().nn.Linear, "reset_parameters", lambda _: None)
        options = {"detector_backend": "skip", "enforce_detection": False, "silent": True}
        return [deepface.analyze(np.ascontiguousarray(c[..., ::-1]), **options)[0] for c in crops]


def test_the_numbers_are_deepfaces(
    home: Path, root: Path, clip: ClipSource, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip through the command's path gives what ``DeepFace.analyze`` gives for the same crop (one: it is slow)."""
    monkeypatch.setattr(sampled_faces, "FrameSample", lambda: FrameSample(1))
    downloader = models.module("commons.weight_utils")
    monkeypatch.setattr(downloader, "download_weights_if_necessary", None)  # is not even asked
    choice = choose(["deepface"], ATTRIBUTES)
    assert choice.missing == ()
    before = dict(os.environ), list(warnings.filters)
    measured = measure_clip(clip, choice.annotators)
    assert (dict(os.environ), list(warnings.filters)) == before, "DeepFace's traces are removed"
    assert not (home / ".deepface").exists()
    assert measured.problems == ()
    row = measured.rows["deepface"]
    assert models.networks(backend).shared, "the files have one trunk"

    with open_frames(clip) as stream:
        sample = FrameSample(1)
        for frame in stream.frames:
            sample.feed(frame)
    crops = cut_faces(sample.frames(), tight_box, 224).crops
    monkeypatch.undo()
    expected = analyze(crops, backend, root)
    assert row.values["n_label_frames"] == len(expected) == 1
    for attribute, name in ((labels.GENDER, "gender"), (labels.RACE, "race"), (labels.EMOTION, "emotion")):
        for label in attribute.classes:
            published = label.title() if name == "gender" else label
            wanted = np.mean([found[name][published] for found in expected]) / 100
            assert row.values[attribute.probability(label)] == pytest.approx(wanted, abs=TOLERANCE), label
        top = [found[f"dominant_{name}"].lower() for found in expected]
        given = row.values[attribute.label]
        assert given is None or given in top
    years = row.values["estimated_age_years"]
    spread = row.values["estimated_age_spread_years"]
    assert isinstance(years, float)
    assert isinstance(spread, float)
    # analyze() cuts ages to whole years.
    assert (
        np.mean([found["age"] for found in expected])
        <= years + TOLERANCE
        < np.mean([found["age"] for found in expected]) + 1
    )
    assert row.values["estimated_age_group"] in labels.AGE_GROUPS


def test_alone_or_in_a_batch(home: Path, backend: str) -> None:
    """A face's numbers do not depend on its neighbours, and random weights tell faces apart."""
    noise = np.random.default_rng(1).integers(0, 256, (224, 224, 3), np.uint8)
    crops = np.stack([noise, noise // 3, np.zeros_like(noise)])
    together = models.networks(backend).probabilities(crops)
    alone = models.networks(backend).probabilities(crops[1:2])
    for name, p in together.items():
        assert alone[name].shape == (1, models.N_CLASSES[name])
        np.testing.assert_allclose(p[1], alone[name][0], atol=TOLERANCE)
        assert np.abs(p[0] - p[1]).max() > 10 * TOLERANCE
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-5)


def test_no_face(home: Path) -> None:
    row = measure(DeepFaceLabels(), pictures(6, 96, 96))
    assert row.values["n_label_frames"] == 0
    assert {v for k, v in row.values.items() if k != "n_label_frames"} == {None}
    assert row.notes == (("no_face", "no face found in any of 5 sampled frames"),)


def test_without_weights(own: Path, backend: str) -> None:
    (own / f"race_model_single_batch.{ENDING[backend]}").unlink()
    lacks = (f"weights deepface_{backend} are not there", f"equime weights fetch deepface_{backend}")
    assert requirement(DeepFaceLabels()) == lacks
    with pytest.raises(
        MissingError, match=rf"run `equime weights fetch deepface_{backend}`, or put race_model"
    ):
        measure(DeepFaceLabels(), pictures(2, 64, 64))


def test_a_damaged_file(own: Path, backend: str) -> None:
    file = own / f"facial_expression_model_weights.{ENDING[backend]}"
    whole = file.read_bytes()
    file.unlink()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        WorkError, match=rf"facial_expression_model_weights\.{ENDING[backend]}: is no .*remove it"
    ):
        measure(DeepFaceLabels(), pictures(2, 64, 64))


# Which backend


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EQUIME_WEIGHTS", str(tmp_path))
    monkeypatch.delenv(models.CHOSEN, raising=False)
    return tmp_path


def fill(root: Path, ending: str) -> None:
    folder = root / "deepface/.deepface/weights"
    folder.mkdir(parents=True, exist_ok=True)
    for name in models.FILES.values():
        (folder / f"{name}.{ending}").write_bytes(b"x")


def test_backend_of_what_is_there(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert DeepFaceLabels().weights == ("deepface_onnx",), "nothing is there: the faster one is named"
    fill(bare, "pth")
    assert DeepFaceLabels().weights == ("deepface_torch",)
    assert DeepFaceLabels().packages == ("deepface", "torch")
    fill(bare, "onnx")
    assert models.backend() == "onnx"
    monkeypatch.setattr(models, "installed", lambda name: name == "torch")
    assert models.backend() == "torch"
    monkeypatch.setenv(models.CHOSEN, " ONNX ")
    assert models.backend() == "onnx", "asked for, whatever is there"
    monkeypatch.setenv(models.CHOSEN, "tensorflow")
    with pytest.raises(InputError, match="EQUIME_DEEPFACE_BACKEND is 'tensorflow'; use onnx or torch"):
        DeepFaceLabels()


def test_a_package_of_deepfaces_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        MissingError, match=r"deepface needs deepface\.nowhere, which is not installed; run `pip"
    ):
        models.module("nowhere")
