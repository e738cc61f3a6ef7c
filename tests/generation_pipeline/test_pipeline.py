"""The pipeline as a Python call: what it makes, what it refuses, and that order and workers do not matter."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import equime
from equime.dataset import Dataset
from equime.errors import InputError
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.pipeline import run_generate
from equime.generation_pipeline.settings import load_gates, make_settings
from equime.video import EncoderSettings, probe, read_frames, read_planes
from tests import runs

SMALL: dict[str, Any] = {
    "clips": runs.N_CLIPS,
    "seed": 7,
    "renderer": runs.RENDERER,
    "size_px": 64,
    "duration_s": 1,
    "emotions": ["happiness", "fear"],
}


class Recorder:
    """Keeps what a run tells."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int, int]] = []
        self.n_advanced: Counter[str] = Counter()

    def start(self, stage: str, n_total: int, n_done: int) -> None:
        self.stages.append((stage, n_total, n_done))

    def advance(self, n: int = 1) -> None:
        self.n_advanced[self.stages[-1][0]] += n

    def note(self, text: str) -> None:
        raise AssertionError(text)


def test_the_call_and_the_command_make_the_same_bytes(out: Path, faces: Path, reference: Path) -> None:
    """In this process without workers; the reference was made by the command with one."""
    data = equime.generate(faces, out, workers=0, **SMALL)
    assert isinstance(data, Dataset)
    assert len(data) == runs.N_CLIPS
    assert runs.digests(out) == runs.digests(reference)


def test_two_workers_make_the_same_bytes_as_one(out: Path, faces: Path, reference: Path) -> None:
    equime.generate(faces, out, workers=2, **SMALL)
    assert runs.digests(out) == runs.digests(reference)


def test_the_layout_is_the_documented_one(reference: Path) -> None:
    view = Dataset.open(reference)[0]
    gender = view.face.declared.gender
    assert gender in "fm"
    assert (
        view.clip.file == f"{view.spec.emotion}/{gender}_{view.spec.subject_id}_{view.spec.sequence:03d}.mp4"
    )
    metadata = reference / view.spec.emotion / "metadata" / f"{Path(view.clip.file).stem}_metadata.json"
    assert json.loads(metadata.read_text()) == view.metadata()
    lines = [json.loads(line) for line in (reference / "metadata.jsonl").read_text().splitlines()]
    assert [line["file_name"] for line in lines] == [v.clip.file for v in Dataset.open(reference)]
    assert (reference / "tables" / "au_curves.parquet").is_file()
    landmarks = np.load(reference / view.face.landmarks)
    assert landmarks.shape == (478, 3)
    assert probe(view.path).n_frames == 24


def test_progress_counts_every_part(out: Path, faces: Path) -> None:
    seen = Recorder()
    equime.generate(faces, out, workers=0, progress=seen, **SMALL)
    assert ("clips", runs.N_CLIPS, 0) in seen.stages
    assert seen.n_advanced["clips"] == seen.n_advanced["views"] == runs.N_CLIPS


def test_limit_then_the_rest_then_nothing(out: Path, faces: Path, reference: Path) -> None:
    settings = make_settings(faces, **SMALL)
    counts = [run_generate(settings, out, workers=0, limit=n) for n in (5, None, None)]
    assert [(r.n_rendered, r.n_clips, r.n_pending) for r in counts] == [(5, 5, 7), (7, 12, 0), (0, 12, 0)]
    assert runs.digests(out) == runs.digests(reference)


def test_more_clips_extend_the_plan(out: Path, faces: Path) -> None:
    equime.generate(faces, out, workers=0, **SMALL)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*/*.mp4")}
    specs = (out / "specs.jsonl").read_bytes()
    equime.generate(faces, out, workers=0, **{**SMALL, "clips": 16})
    assert (out / "specs.jsonl").read_bytes().startswith(specs)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(Dataset.open(out)) == 16
    assert runs.problems(out) == []


def test_without_a_number_each_face_shows_each_emotion_once(
    planned: Path, faces: Path, tmp_path: Path
) -> None:
    data = equime.generate(faces, tmp_path / "out", workers=0, **{**SMALL, "clips": None})
    cells = Counter((view.spec.subject_id, view.spec.emotion) for view in data)
    assert len(cells) == 6
    assert set(cells.values()) == {1}
    again = run_generate(make_settings(faces, **{**SMALL, "clips": None}), tmp_path / "out", workers=0)
    assert (again.n_rendered, again.n_clips) == (0, 6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 8}, r"seed \(--seed\) is 7 there, 8 now"),
        ({"emotions": ["fear", "anger"]}, r'emotions \(--emotions\) is \["happiness","fear"\] there'),
        ({"fps": 25}, r"fps \(--fps\) is 24\.0 there, 25\.0 now"),
        ({"size_px": 66}, r"size_px \(--size\) is 64 there, 66 now"),
        ({"duration_s": 2}, r"duration_ms \(--duration\)"),
        ({"clips": 4}, r"n_clips \(--clips\) is 12 there, 4 now; it can only grow"),
        ({"p_felt": 0.5}, r"p_felt \(--p-felt\) is 0\.0 there, 0\.5 now"),
        ({"encoder": EncoderSettings(crf=20)}, r"encoder \(--crf, --x264-preset\)"),
        (
            {"renderer": "mesh"},
            r'renderer \(--renderer\) is "tests\.renderers:StaticRenderer" there, "mesh" now',
        ),
        ({"gates": Gates(max_smile=0.5)}, r"gates \(--gates\)"),
        ({"licence": "CC0"}, r'licence \(--licence\) is null there, "CC0" now'),
        ({"balance": {"gender": "equal"}}, r'balance \(--balance\) is \{\} there, \{"gender":"equal"\} now'),
    ],
)
def test_other_settings_on_the_same_out_are_refused(
    change: dict[str, Any], message: str, planned: Path, faces: Path
) -> None:
    before = runs.digests(planned)
    with pytest.raises(InputError, match=message) as caught:
        equime.generate(faces, planned, workers=0, **{**SMALL, **change})
    assert "another OUT" in str(caught.value)
    assert runs.digests(planned) == before


def test_all_differing_settings_are_named_at_once(planned: Path, faces: Path) -> None:
    with pytest.raises(InputError, match=r"seed .*; .*fps|fps .*; .*seed"):
        equime.generate(faces, planned, workers=0, **{**SMALL, "seed": 1, "fps": 30})


def test_other_faces_on_the_same_out_are_refused(out: Path, faces: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(faces.parent, tmp_path / "moved")
    equime.generate(folder / faces.name, out, workers=0, limit=1, **SMALL)  # moved, otherwise the same
    rows = (folder / faces.name).read_text().splitlines()
    (folder / faces.name).write_text("\n".join(rows[:-1]) + "\n")
    with pytest.raises(InputError, match=r"not the faces .* 1 missing \(drawn_\d+\.png\)"):
        equime.generate(folder / faces.name, out, workers=0, **SMALL)


def test_no_usable_face_is_explained_and_can_be_put_right(faces: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "faces", tmp_path / "out"
    folder.mkdir()
    image = next(iter(sorted(faces.parent.glob("*.png"))))
    shutil.copy(image, folder)
    strict = Gates(min_face_px=10_000)
    with pytest.raises(InputError, match=r"no usable face in 1 image\(s\): .*too_small.*rejected\.jsonl"):
        equime.generate(folder, out, workers=0, gates=strict, **SMALL)
    assert runs.status(out)["n_rejected"] == 1
    data = equime.generate(folder, out, workers=0, limit=1, **SMALL)  # with the default gates
    assert len(data) == 1
    assert data.rejected == []


def test_the_same_image_twice_is_one_face(faces: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    image = next(iter(sorted(faces.parent.glob("*.png"))))
    shutil.copy(image, folder / "a.png")
    shutil.copy(image, folder / "b.png")
    data = equime.generate(folder, tmp_path / "out", workers=0, limit=1, **SMALL)
    assert [face.path for face in data.faces.values()] == ["a.png"]
    assert [(item.path, item.reason) for item in data.rejected] == [("b.png", "duplicate_image")]


def test_subjects_that_would_share_a_file_name(faces: Path, tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    folder.mkdir()
    for name, image in zip(("7", "007"), sorted(faces.parent.glob("*.png")), strict=False):
        shutil.copy(image, folder / f"{name}.png")
    with pytest.raises(InputError, match="give the same file name u_000007; rename one"):
        equime.generate(folder, tmp_path / "out", workers=0, **SMALL)


def test_out_that_is_something_else(faces: Path, tmp_path: Path) -> None:
    holiday = tmp_path / "holiday"
    holiday.mkdir()
    (holiday / "beach.txt").write_text("sun")
    with pytest.raises(InputError, match=r"holds beach\.txt and is no equime data set"):
        equime.generate(faces, holiday, **SMALL)
    assert [path.name for path in holiday.iterdir()] == ["beach.txt"]
    with pytest.raises(InputError, match="is a file"):
        equime.generate(faces, holiday / "beach.txt", **SMALL)
    with pytest.raises(InputError, match="lies inside the faces"):
        equime.generate(faces.parent, faces.parent / "out", **SMALL)
    assert not (faces.parent / "out").exists()


def test_an_empty_folder_leaves_no_out(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image; put photographs there"):
        equime.generate(tmp_path / "empty", tmp_path / "out", **SMALL)
    assert not (tmp_path / "out").exists()


def test_lossless_master_and_png_hold_the_rendered_frames(out: Path, faces: Path, tmp_path: Path) -> None:
    out = tmp_path / "with-masters"
    data = equime.generate(faces, out, workers=0, limit=1, lossless_master=True, png=True, **SMALL)
    view = data[0]
    stem = Path(view.clip.file).stem
    master = out / view.spec.emotion / "master" / f"{stem}.mp4"
    frames = sorted((out / view.spec.emotion / "png" / stem).iterdir())
    assert len(frames) == probe(master).n_frames == 24
    first = next(iter(read_frames(master)))
    np.testing.assert_array_equal(np.asarray(Image.open(frames[0])), first)
    levels = [int(y[4, 4]) for y, _, _ in read_planes(master)]
    level = view.spec.camera.noise_seed % 100
    assert levels == [16 + (level + i) % 200 for i in range(24)]
    assert runs.problems(out) == []


def test_gates_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "gates.toml"
    path.write_text('max_smile = 0.4\nseveral_faces = "largest"\n')
    assert load_gates(path) == Gates(max_smile=0.4, several_faces="largest")
    for text, message in (
        ("max_smiles = 1", "max_smiles"),
        ("max_smile = ", "TOML"),
        ("max_smile = 'x'", "max_smile"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            load_gates(path)
    with pytest.raises(InputError, match=r"none\.toml"):
        load_gates(tmp_path / "none.toml")


def test_presets_are_the_published_sizes(tmp_path: Path) -> None:
    settings = make_settings(tmp_path, preset="me-vlm")
    assert (settings.n_clips, settings.size_px, settings.fps, settings.duration_ms) == (
        100_000,
        512,
        24.0,
        6000.0,
    )
    assert make_settings(tmp_path, preset="equime", clips=50).n_clips == 50
    with pytest.raises(InputError, match="known are equime, me-vlm"):
        make_settings(tmp_path, preset="huge")
