"""From an image to a Face or a Rejection, on the photograph that ships with scikit-image."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from equime.errors import InputError, WorkError
from equime.face.alignment import (
    EYE_DISTANCE,
    EYES_HEIGHT,
    LEFT_EYE,
    RIGHT_EYE,
    align,
    aligned_crop,
    px_per_mm,
)
from equime.face.quality import LEFT_LIDS, RIGHT_LIDS, iris_contrast
from equime.generation_pipeline.faces import ALIGNER, ingest_image, load_face
from equime.generation_pipeline.gates import Gates, failures
from equime.generation_pipeline.sources import FaceSource
from equime.types import CROP_PX, Declared, Face, FaceQuality, Rejection

RELAXED = Gates(max_smile=1.0, max_mouth_open=1.0)
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def astronaut() -> Pixels:
    return np.asarray(skimage.data.astronaut(), np.uint8)


def stored(
    folder: Path, image: Pixels | Image.Image, name: str = "face.png", **options: object
) -> FaceSource:
    picture = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    picture.save(folder / name, **options)
    return source(folder / name)


def source(file: Path) -> FaceSource:
    return FaceSource(
        path=file.name,
        file=str(file),
        subject_id=file.stem,
        declared=Declared(gender="f"),
        licence="CC0",
        source="t",
    )


def accepted(item: FaceSource, gates: Gates = RELAXED) -> tuple[Face, NDArray[np.float32]]:
    out = ingest_image(item, gates)
    assert not isinstance(out, Rejection), out.message
    return out


def rejected(item: FaceSource, gates: Gates = RELAXED) -> Rejection:
    out = ingest_image(item, gates)
    assert isinstance(out, Rejection)
    return out


def test_the_astronaut_smiles(tmp_path: Path, astronaut: Pixels) -> None:
    item = stored(tmp_path, astronaut)
    out = rejected(item, Gates())
    assert out.reason == "smiling"
    assert "visibly smiling" in out.message
    assert out.quality is not None
    assert out.quality.smile > 2 * Gates().max_smile
    assert out.sha256 == hashlib.sha256(Path(item.file).read_bytes()).hexdigest()
    assert rejected(item, Gates(min_face_px=120)).reason == "too_small"


def test_face_of_the_astronaut(tmp_path: Path, astronaut: Pixels) -> None:
    item = stored(tmp_path, astronaut)
    face, points = accepted(item)
    assert points.shape == (478, 3)
    assert points.dtype == np.float32
    assert (face.path, face.subject_id, face.licence, face.aligner) == ("face.png", "face", "CC0", ALIGNER)
    assert face.landmarks == f"faces/{face.face_id}.npy"
    assert face.declared.gender == "f"
    assert face.image_size == (512, 512)
    assert 85 < face.quality.face_px < 110
    assert face.quality.humanness > 0.9
    assert face.quality.n_faces == 1
    assert max(abs(face.quality.yaw_deg), abs(face.quality.roll_deg)) < 10
    assert 1.6 < face.px_per_mm < 2.3
    assert msgspec.json.decode(msgspec.json.encode(face), type=Face) == face


def test_eyes_are_level_and_where_the_alignment_says(tmp_path: Path, astronaut: Pixels) -> None:
    _, points = accepted(stored(tmp_path, astronaut))
    right, left = points[list(RIGHT_EYE), :2].mean(0), points[list(LEFT_EYE), :2].mean(0)
    assert abs(right[1] - left[1]) < 3
    assert np.abs((right + left) / 2 - [CROP_PX / 2, EYES_HEIGHT * CROP_PX]).max() < 4
    assert abs(left[0] - right[0] - EYE_DISTANCE * CROP_PX) < 5
    assert left[0] > right[0]  # the subject's left is at the right of the picture


@pytest.mark.parametrize("angle", [-25.0, 15.0])
def test_a_tilted_head_is_turned_upright(tmp_path: Path, astronaut: Pixels, angle: float) -> None:
    """Positive roll is towards the subject's left shoulder: clockwise in the picture."""
    turn = cv2.getRotationMatrix2D((225, 120), -angle, 1.0)
    turned = cv2.warpAffine(astronaut, turn, (512, 512), borderMode=cv2.BORDER_REFLECT_101)
    upright, points = accepted(stored(tmp_path, astronaut))
    tilted, turned_points = accepted(stored(tmp_path, turned, "tilted.png"))
    assert tilted.quality.roll_deg - upright.quality.roll_deg == pytest.approx(angle, abs=2)
    assert np.abs(points - turned_points)[:, :2].mean() < 4
    assert rejected(
        source(tmp_path / "tilted.png"), Gates(max_smile=1, max_mouth_open=1, max_roll_deg=5)
    ).reason == ("not_frontal")


@pytest.mark.parametrize("variant", ["exif", "cmyk", "16 bit", "alpha", "grey", "palette", "jpeg", "dark"])
def test_variants_of_one_photograph_give_the_same_landmarks(
    tmp_path: Path, astronaut: Pixels, variant: str
) -> None:
    _, points = accepted(stored(tmp_path, astronaut))
    image, name, options = Image.fromarray(astronaut), "v.png", {}
    if variant == "exif":
        exif = Image.Exif()
        exif[0x0112] = 6
        image, options = image.transpose(Image.Transpose.ROTATE_90), {"exif": exif}
    elif variant in ("cmyk", "jpeg"):
        image, name = image.convert("CMYK" if variant == "cmyk" else "RGB"), "v.jpg"
    elif variant == "alpha":
        image.putalpha(255)
    elif variant == "palette":
        image = image.quantize(256)
    elif variant == "grey":
        image = image.convert("L")
    elif variant == "dark":
        image = image.point(lambda value: value // 2 + 20)
    if variant == "16 bit":
        cv2.imwrite(str(tmp_path / name), astronaut[:, :, ::-1].astype(np.uint16) * 257)
    else:
        image.save(tmp_path / name, **options)
    face, other = accepted(source(tmp_path / name))
    assert np.abs(points - other)[:, :2].mean() < (0.01 if variant in ("exif", "16 bit", "alpha") else 3)
    assert face.quality.humanness > 0.9


def test_size_of_the_photograph_hardly_matters(tmp_path: Path, astronaut: Pixels) -> None:
    """200 px, a face that fills the frame, a small face in a large picture, an 8K frame."""
    _, points = accepted(stored(tmp_path, astronaut))
    face_only = astronaut[55:185, 165:290]
    eight_k = np.zeros((4320, 7680, 3), np.uint8) + 90
    eight_k[2000:2512, 6000:6512] = astronaut
    big = cv2.resize(astronaut, (4320, 4320), interpolation=cv2.INTER_CUBIC)
    cases = {
        "200": (cv2.resize(astronaut[:300, 75:375], (200, 200), interpolation=cv2.INTER_AREA), 4.0),
        "fills": (face_only, 4.0),
        "small": (eight_k, 3.0),
        "8k": (np.asarray(big), 2.0),
    }
    for name, (image, within) in cases.items():
        item = stored(tmp_path, np.asarray(image, np.uint8), f"{name}.jpg", quality=95)
        face, other = accepted(item, msgspec.structs.replace(RELAXED, min_face_px=40.0, min_sharpness=5.0))
        assert np.abs(points - other)[:, :2].mean() < within, name
        assert face.image_size == image.shape[1::-1]


def test_blur_is_measured(tmp_path: Path, astronaut: Pixels) -> None:
    big = cv2.resize(astronaut, (1024, 1024), interpolation=cv2.INTER_CUBIC)
    values = [accepted(stored(tmp_path, big))[0].quality.sharpness]
    for sigma in (2, 4):
        soft = cv2.GaussianBlur(big, (0, 0), sigma)
        values.append(
            accepted(stored(tmp_path, soft), msgspec.structs.replace(RELAXED, min_sharpness=0))[
                0
            ].quality.sharpness
        )
    assert values[0] > values[1] > values[2]
    assert values[2] < Gates().min_sharpness
    assert rejected(stored(tmp_path, cv2.GaussianBlur(big, (0, 0), 4))).reason == "blurred"


def test_several_faces(tmp_path: Path, astronaut: Pixels) -> None:
    head = astronaut[0:300, 75:375]
    large = cv2.resize(head, (400, 400), interpolation=cv2.INTER_CUBIC)
    both = np.zeros((400, 700, 3), np.uint8) + 128
    both[:, 300:] = large
    both[50:350, :300] = head
    item = stored(tmp_path, both)
    out = rejected(item)
    assert out.reason == "several_faces"
    assert "2 faces" in out.message
    face, points = accepted(item, msgspec.structs.replace(RELAXED, several_faces="largest"))
    assert (face.quality.n_faces, face.face_index) == (2, 0)
    in_source = np.linalg.inv(np.vstack([np.reshape(face.to_crop, (2, 3)), [0, 0, 1]]))
    assert (in_source @ [*points[1, :2], 1])[0] > 300
    assert accepted(item, msgspec.structs.replace(RELAXED, several_min_ratio=0.9))[0].quality.n_faces == 1


def drawn_animal() -> Image.Image:
    image = Image.new("RGB", (512, 512), (150, 140, 130))
    draw = ImageDraw.Draw(image)
    draw.ellipse((120, 120, 390, 420), fill=(200, 170, 120))
    draw.polygon([(130, 220), (150, 60), (230, 150)], fill=(180, 150, 100))
    draw.polygon([(380, 220), (360, 60), (280, 150)], fill=(180, 150, 100))
    for x in (200, 310):
        draw.ellipse((x - 22, 220, x + 22, 264), fill=(20, 20, 20))
    draw.ellipse((230, 320, 280, 350), fill=(40, 30, 30))
    return image


def test_pictures_without_a_human_face(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    for image in (noise, np.full((200, 200, 3), 90, np.uint8), np.asarray(skimage.data.camera())[:200, 300:]):
        out = rejected(stored(tmp_path, image))
        assert out.reason == "no_face"
        assert out.sha256 is not None
    assert rejected(stored(tmp_path, drawn_animal())).reason in ("no_face", "not_human")


def test_a_face_with_painted_over_eyes_is_not_taken_for_human(tmp_path: Path, astronaut: Pixels) -> None:
    """Eyes of one material, as a statue has them."""
    big = cv2.resize(astronaut[0:300, 75:375], (1200, 1200), interpolation=cv2.INTER_CUBIC)
    face, points = accepted(stored(tmp_path, big))
    crop = aligned_crop(np.asarray(big, np.uint8), np.reshape(face.to_crop, (2, 3)), CROP_PX)
    contrast = iris_contrast(crop, points)
    assert contrast is not None
    assert contrast > 1
    for lids in (RIGHT_LIDS, LEFT_LIDS):
        cv2.fillPoly(crop, [np.rint(points[list(lids), :2]).astype(np.int32)], (205, 165, 145))
    out = rejected(stored(tmp_path, crop))
    assert out.reason == "not_human"
    assert out.quality is not None
    assert out.quality.humanness < 0.25


@pytest.mark.parametrize(
    ("name", "content"),
    [("text.jpg", b"hello"), ("empty.png", b""), ("short.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")],
)
def test_unreadable_files_are_rejections(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    out = rejected(source(tmp_path / name))
    assert (out.path, out.reason, out.subject_id) == (name, "unreadable", Path(name).stem)
    assert rejected(source(tmp_path / "gone.jpg")).reason == "unreadable"


def ingested(folder: Path, item: FaceSource) -> Face:
    face, points = accepted(item)
    (folder / "out" / "faces").mkdir(parents=True, exist_ok=True)
    np.save(folder / "out" / face.landmarks, points)
    return face


def test_load_face_makes_the_crop_again(tmp_path: Path, astronaut: Pixels) -> None:
    face = ingested(tmp_path, stored(tmp_path, astronaut))
    small, large = (load_face(face, tmp_path, tmp_path / "out", size) for size in (256, 512))
    again = load_face(face, tmp_path / "face.png", tmp_path / "out", 512)
    assert small.image.shape == (256, 256, 3)
    assert np.array_equal(large.image, again.image)
    assert small.px_per_mm == pytest.approx(large.px_per_mm / 2)
    assert np.abs((large.landmarks[:, :2] + 0.5) / 2 - 0.5 - small.landmarks[:, :2]).max() < 1e-3
    halved = cv2.resize(large.image, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.abs(halved.astype(int) - small.image).mean() < 2.5


def test_load_face_refuses_what_changed(tmp_path: Path, astronaut: Pixels) -> None:
    face = ingested(tmp_path, stored(tmp_path, astronaut))
    stored(tmp_path, 255 - astronaut)
    with pytest.raises(WorkError, match=r"face\.png: changed since"):
        load_face(face, tmp_path, tmp_path / "out", 512)
    (tmp_path / "face.png").unlink()
    with pytest.raises(WorkError, match=r"face\.png: the source image of subject face cannot be opened"):
        load_face(face, tmp_path, tmp_path / "out", 512)
    stored(tmp_path, astronaut)
    (tmp_path / "out" / face.landmarks).write_bytes(b"broken")
    with pytest.raises(WorkError, match="landmarks of subject face"):
        load_face(face, tmp_path, tmp_path / "out", 512)


SCRIPT = """
import sys
from pathlib import Path
import hashlib, msgspec
from equime.generation_pipeline.faces import ingest_image
from equime.generation_pipeline.gates import Gates
from equime.generation_pipeline.sources import find_faces
for item in reversed(find_faces(Path(sys.argv[1]))[0]):
    face, points = ingest_image(item, Gates(max_smile=1, max_mouth_open=1))
    print(face.subject_id, hashlib.sha256(msgspec.json.encode(face) + points.tobytes()).hexdigest())
"""


def test_same_answer_in_any_process_and_order_and_nothing_on_stderr(
    tmp_path: Path, astronaut: Pixels
) -> None:
    for i, shift in enumerate((0, 7, 30)):
        stored(tmp_path, np.roll(astronaut, shift, axis=1), f"{i}.png")
    runs = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", SCRIPT, str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    ]
    assert [run.stderr for run in runs] == ["", ""]
    here = []
    for i in (2, 1, 0, 1, 2):
        item = msgspec.structs.replace(source(tmp_path / f"{i}.png"), declared=Declared(), licence="unknown")
        face, points = accepted(msgspec.structs.replace(item, source="folder"))
        here.append(f"{i} {hashlib.sha256(msgspec.json.encode(face) + points.tobytes()).hexdigest()}")
    assert here[:2] == here[4:2:-1]
    assert [run.stdout.split("\n")[:3] for run in runs] == [here[:3]] * 2


QUALITY = FaceQuality(
    face_px=200, sharpness=100, yaw_deg=0, pitch_deg=0, roll_deg=0, eye_open=0.3, mouth_open=0, smile=0,
    humanness=1, n_faces=1,
)  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "value"),
    [
        ("not_human", {"humanness": 0.4}), ("too_small", {"face_px": 79.0}), ("blurred", {"sharpness": 20.0}),
        ("not_frontal", {"yaw_deg": -30.0}), ("not_frontal", {"pitch_deg": 21.0}),
        ("not_frontal", {"roll_deg": 31.0}),
        ("eyes_closed", {"eye_open": 0.1}), ("mouth_open", {"mouth_open": 0.2}), ("smiling", {"smile": 0.3}),
    ],
)  # fmt: skip
def test_every_gate(reason: str, value: dict[str, float]) -> None:
    ((found, message),) = failures(msgspec.structs.replace(QUALITY, **value), Gates())
    assert found == reason
    assert "needed" in message or "allowed" in message
    assert failures(QUALITY, Gates()) == []


def test_thresholds_that_mean_nothing_are_all_named() -> None:
    with pytest.raises(InputError, match=r"min_humanness = 2 .*min_face_px = -1 "):
        Gates(min_humanness=2, min_face_px=-1)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"several_faces": "both"}', type=Gates)


def synthetic(eye: float, iris: float) -> NDArray[np.float32]:
    """Landmarks with eyes ``eye`` px apart and irises of ``iris`` px; the rest is far below."""
    points = np.zeros((478, 3), np.float32)
    points[:468] = (0, 200, 0)
    for side, centre in ((-1, 468), (1, 473)):
        points[centre : centre + 5, 0] = side * eye / 2
        points[centre + 1, 0] += iris / 2
        points[centre + 3, 0] -= iris / 2
    return points


def test_scale_of_a_face() -> None:
    assert px_per_mm(synthetic(126, 23.4)) == pytest.approx(2.0, rel=1e-3)  # 63 mm and 11.7 mm
    child = px_per_mm(synthetic(104, 23.4))  # eyes 52 mm apart
    assert 1.8 < child <= 2.0
    for nonsense in (0.0, 80.0):
        assert 1.6 < px_per_mm(synthetic(126, nonsense)) < 2.4


def test_outside_of_the_photograph_no_second_face_shows(tmp_path: Path, astronaut: Pixels) -> None:
    """The border continues, reflected close to it, smooth further away."""
    close = astronaut[55:185, 165:290]
    face, points = accepted(stored(tmp_path, close), msgspec.structs.replace(RELAXED, min_sharpness=5))
    crop = aligned_crop(close, np.reshape(face.to_crop, (2, 3)), CROP_PX)
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY).astype(np.float32)
    detail = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    assert detail[:40].mean() < 0.3 * detail[200:300, 200:300].mean()
    assert np.array_equal(align(points[:, :2]).shape, (2, 3))
