"""Any image becomes the same upright 8-bit RGB picture, or is refused with a reason."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from equime.face.images import BACKDROP, UnreadableImageError, decode, read_image, to_8_bit


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """Smooth colours, so that lossy formats hardly change them; not square, not symmetric."""
    y, x = np.mgrid[0:48, 0:64].astype(np.float64)
    return np.stack([40 + 3 * x, 30 + 4 * y, 220 - 1.5 * x - 1.5 * y], axis=2).clip(0, 255).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def difference(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    assert a.shape == b.shape
    assert a.dtype == b.dtype == np.uint8
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "TGA", "WEBP", "JPEG", "AVIF", "JPEG2000"])
def test_formats(picture: NDArray[np.uint8], kind: str) -> None:
    assert difference(decode(encoded(Image.fromarray(picture), kind)), picture) < 3


def test_formats_that_only_opencv_knows(picture: NDArray[np.uint8]) -> None:
    data = cv2.imencode(".hdr", picture[:, :, ::-1].astype(np.float32) / 255)[1].tobytes()
    with pytest.raises(OSError, match="cannot identify"):
        Image.open(io.BytesIO(data))
    assert difference(decode(data), picture) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(picture: NDArray[np.uint8], orientation: int) -> None:
    undo = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1), 6: np.rot90, 7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](picture)))
    assert difference(decode(encoded(stored, "PNG", exif=exif)), picture) == 0


def test_modes(picture: NDArray[np.uint8]) -> None:
    image = Image.fromarray(picture)
    grey = np.asarray(image.convert("L"))
    assert difference(decode(encoded(image.convert("L"), "PNG")), np.repeat(grey[:, :, None], 3, 2)) == 0
    assert difference(decode(encoded(image.convert("CMYK"), "TIFF")), picture) < 2
    assert difference(decode(encoded(image.convert("CMYK"), "JPEG", quality=95)), picture) < 4
    assert difference(decode(encoded(image.quantize(256), "PNG")), picture) < 6
    assert difference(decode(encoded(image.convert("YCbCr"), "TIFF")), picture) < 2
    assert set(np.unique(decode(encoded(image.convert("1"), "PNG")))) == {0, 255}


def test_transparency_shows_neutral_grey(picture: NDArray[np.uint8]) -> None:
    alpha = np.zeros(picture.shape[:2], np.uint8)
    alpha[:, 32:] = 255
    out = decode(encoded(Image.fromarray(np.dstack([picture, alpha])), "PNG"))
    assert (out[:, :32] == BACKDROP).all()
    assert difference(out[:, 32:], picture[:, 32:]) == 0
    grey = Image.fromarray(picture).convert("LA")
    grey.putalpha(Image.fromarray(alpha))
    assert (decode(encoded(grey, "PNG"))[:, :32] == BACKDROP).all()


def test_16_bit(picture: NDArray[np.uint8]) -> None:
    grey = picture[:, :, 0]
    as_rgb = np.repeat(grey[:, :, None], 3, 2)
    deep = cv2.imencode(".png", grey.astype(np.uint16) * 257)[1].tobytes()
    assert difference(decode(deep), as_rgb) == 0
    camera = grey.astype(np.uint16) * 16
    twelve = cv2.imencode(".tiff", camera)[1].tobytes()
    assert difference(decode(twelve), as_rgb) <= 1
    colour = cv2.imencode(".png", picture[:, :, ::-1].astype(np.uint16) * 257)[1].tobytes()
    assert difference(decode(colour), picture) <= 1


@given(st.sampled_from([255, 4095, 65535]), st.integers(0, 255))
def test_scaling_is_monotonous_and_reaches_both_ends(full: int, level: int) -> None:
    values = np.array([[0, full * level // 255, full]], np.uint16)
    low, middle, high = to_8_bit(values)[0]
    assert (low, high) == (0, 255)
    assert abs(int(middle) - level) <= 1


def test_values_of_unknown_range_are_refused() -> None:
    for values in (
        np.array([[1e9]], np.float32),
        np.array([[np.inf]], np.float32),
        np.array([[70000]], np.int32),
    ):
        with pytest.raises(UnreadableImageError, match="8, 12 nor 16 bits"):
            to_8_bit(values)


def test_colour_profiles(picture: NDArray[np.uint8]) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # The same space with the primaries of red and blue, and its name, exchanged.
    turned = srgb.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")
    turned = turned.replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be")).replace(b"sRGB", b"test")
    image = Image.fromarray(picture)
    assert difference(decode(encoded(image, "PNG", icc_profile=srgb)), picture) == 0
    assert difference(decode(encoded(image, "PNG", icc_profile=turned)), picture[:, :, ::-1]) < 2
    assert difference(decode(encoded(image, "PNG", icc_profile=b"no profile at all")), picture) == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animations_are_refused(picture: NDArray[np.uint8], kind: str) -> None:
    frames = [Image.fromarray(np.roll(picture, i, axis=1)) for i in (0, 5, 9)]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImageError, match=f"animated {kind} with 3 frames"):
        decode(data)
    still = encoded(frames[0], kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert decode(still).shape == picture.shape


def test_first_page_of_a_tiff(picture: NDArray[np.uint8]) -> None:
    pages = [Image.fromarray(picture), Image.fromarray(255 - picture)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert difference(decode(data), picture) == 0


@pytest.mark.parametrize("size", [(30_000, 4_000), (30_000, 15_000)])
def test_panoramas_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    data = encoded(Image.new("1", size), "PNG")
    with pytest.raises(UnreadableImageError, match=r"too large.*67,108,864 pixels"):
        decode(data)


def test_bad_files(tmp_path: Path, picture: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), "JPEG")
    cases = {
        "truncated.jpg": (whole[: len(whole) // 2], "damaged or incomplete"),
        "empty.png": (b"", "0 bytes"),
        "text.jpg": (b"this is a text file\n" * 9, "not an image"),
        "half.png": (encoded(Image.fromarray(noise), "PNG")[:9000], "damaged or incomplete"),
    }
    for name, (data, part) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UnreadableImageError, match=part):
            read_image(tmp_path / name)
    with pytest.raises(UnreadableImageError, match="cannot be opened"):
        read_image(tmp_path / "gone.jpg")
