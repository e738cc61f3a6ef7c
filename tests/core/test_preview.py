"""Contact sheets: the right frames of the right clips, spread over emotions and faces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

from equime import layout, preview
from equime.dataset import FORMAT_VERSION, Dataset, Info
from equime.errors import InputError, WorkError
from equime.generation_pipeline.metadata import clip_metadata, metadata_bytes
from equime.provenance import Provenance
from equime.records import write_records
from equime.seeding import canonical_json
from equime.types import Clip, ClipSpec, Face
from equime.video import EncoderSettings, write_clip
from tests.generation_pipeline.clip_specs import make_spec, neutral_spec
from tests.generation_pipeline.test_metadata import make_clip, make_face

SIZE = 64


def make_dataset(root: Path, specs: list[ClipSpec]) -> Dataset:
    """A data set whose frame i is a grey of level 16 + i: frames can be told from the picture."""
    faces: dict[str, Face] = {}
    clips: list[Clip] = []
    for spec in specs:
        face = make_face(face_id=spec.face_id, subject_id=spec.subject_id)
        faces[spec.face_id] = face
        file = f"{spec.emotion}/f_{spec.subject_id}_{spec.sequence:03d}.mp4"
        clip = msgspec.structs.replace(make_clip(spec), clip_id=f"c{len(clips)}", file=file)
        clips.append(clip)
        half = np.full((SIZE // 2, SIZE // 2), 128, np.uint8)
        frames = ((np.full((SIZE, SIZE), 16 + i, np.uint8), half, half) for i in range(spec.n_frames))
        settings = EncoderSettings(lossless=True, preset="ultrafast")
        write_clip(root / file, frames, fps=spec.fps, size=SIZE, settings=settings)
        metadata = root / layout.metadata_file(file)
        metadata.parent.mkdir(parents=True, exist_ok=True)
        metadata.write_bytes(metadata_bytes(clip_metadata(spec, clip, face)))
    info = Info(
        format_version=FORMAT_VERSION,
        preset=None,
        config={},
        provenance=(Provenance(versions={}, python="3", platform="test", commit=None),),
    )
    root.mkdir(parents=True, exist_ok=True)
    (root / layout.INFO).write_bytes(canonical_json(info))
    write_records(root / layout.FACES, faces.values())
    write_records(root / layout.SPECS, specs)
    write_records(root / "clips.jsonl", clips)
    return Dataset.open(root)


def specs_of(emotions: str, n_faces: int) -> list[ClipSpec]:
    """One clip per face and emotion, face after face."""
    specs = []
    for i in range(n_faces):
        for sequence, emotion in enumerate(emotions.split(), 1):
            make = neutral_spec if emotion == "neutral" else make_spec
            specs.append(
                make(emotion=emotion, face_id=f"face{i}", subject_id=f"s{i}", sequence=sequence, seed=i)
            )
    return specs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return make_dataset(tmp_path_factory.mktemp("preview") / "out", specs_of("happiness anger neutral", 3))


def test_sheet_is_a_picture(data: Dataset, tmp_path: Path) -> None:
    files = preview.contact_sheet(data.root, tmp_path / "sheet.png", n_clips=6)
    assert len(set(files)) == 6
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[1] > pixels.shape[0]
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_same_data_set_same_picture(data: Dataset, tmp_path: Path) -> None:
    for name in "ab":
        preview.contact_sheet(data, tmp_path / f"{name}.png", n_clips=2)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def panel_grey(picture: np.ndarray, i: int) -> int:
    """Grey in the middle of picture i of a sheet of one clip."""
    inch = preview._DPI
    x = preview._EDGE + i * (preview._IMAGE + preview._GAP) + preview._IMAGE / 2
    y = preview._TITLE + preview._HEAD + preview._IMAGE / 2
    return int(picture[round(y * inch), round(x * inch), 0])


@pytest.mark.parametrize("emotion", ["happiness", "neutral"])
def test_frames_shown_are_onset_and_apex(tmp_path: Path, emotion: str) -> None:
    dataset = make_dataset(tmp_path / "out", specs_of(emotion, 1))
    preview.contact_sheet(dataset, tmp_path / "a.png", n_clips=1)
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    view = dataset[0]
    timing = view.clip.timing
    # Neutral: first frame, and the most closed lids of the blink at 2000..2300 ms (closed after a third).
    first, second = (timing.onset_frame, timing.apex_frame) if timing else (0, 50)
    greys = [round(i * 255 / 219) for i in (first, second)]
    assert panel_grey(picture, 0) == pytest.approx(greys[0], abs=1)
    assert panel_grey(picture, 1) == pytest.approx(greys[1], abs=1)
    assert panel_grey(picture, 2) == pytest.approx(min(255, 128 + 4 * (greys[1] - greys[0])), abs=4)


def test_difference_is_signed_and_clipped() -> None:
    onset = np.array([[[100, 100, 100], [0, 250, 10]]], np.uint8)
    apex = np.array([[[110, 90, 100], [255, 0, 11]]], np.uint8)
    assert preview.difference(onset, apex).tolist() == [[[168, 88, 128], [255, 0, 132]]]


def test_spread_over_emotions_and_faces(data: Dataset) -> None:
    chosen = preview.choose(data, 3)
    assert [view.spec.emotion for view in chosen] == ["happiness", "anger", "neutral"]
    assert len({view.face.face_id for view in chosen}) == 3
    six = preview.choose(data, 6)
    assert set(Counter(view.spec.emotion for view in six).values()) == {2}
    assert len({view.face.face_id for view in six}) == 3
    assert len({(view.spec.emotion, view.face.face_id) for view in six}) == 6
    assert len(preview.choose(data, 100)) == 9


def test_one_face_with_many_clips_is_not_lost(tmp_path: Path) -> None:
    specs = [make_spec(sequence=i, seed=i) for i in range(1, 4)]
    assert len(preview.choose(make_dataset(tmp_path / "out", specs), 3)) == 3


def test_neutral_without_blinks(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "out", [neutral_spec(blinks=())])
    assert len(preview.contact_sheet(dataset, tmp_path / "a.png")) == 1


def test_no_clips(tmp_path: Path) -> None:
    make_dataset(tmp_path / "out", [])
    with pytest.raises(InputError, match="no finished clip"):
        preview.contact_sheet(tmp_path / "out", tmp_path / "a.png")
    with pytest.raises(InputError, match="no equime data set"):
        preview.contact_sheet(tmp_path / "nothing", tmp_path / "a.png")


@pytest.mark.parametrize("options", [{"n_clips": 0}, {"n_columns": 0}])
def test_bad_counts(data: Dataset, tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        preview.contact_sheet(data, tmp_path / "a.png", **options)  # type: ignore[arg-type]


def test_broken_clip_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    dataset = make_dataset(tmp_path / "out", specs_of("fear", 1))
    dataset[0].path.write_bytes(b"")
    with pytest.raises(WorkError, match=r"f_s0_001\.mp4: empty file"):
        preview.contact_sheet(dataset, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
