"""Read any still image into 8-bit sRGB pixels, or say why not.

Pillow reads first, OpenCV what Pillow does not know (Radiance HDR, Sun raster, ...). On the way EXIF rotation
is applied, an embedded colour profile is converted to sRGB, transparency is laid on neutral grey, grey
images become RGB, 12- and 16-bit values are scaled to 8 bits. An animation is refused: which of its frames is
meant is the user's decision.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

MAX_PIXELS: Final = 2**26
"""Largest image that is decoded, in pixels: 8192 x 8192 (an 8K frame has 33 million), about 200 MB as RGB."""

BACKDROP: Final = (128, 128, 128)
"""What shows through transparent pixels."""

_ANIMATIONS: Final = frozenset({"GIF", "WEBP", "PNG", "AVIF"})
# Formats that hold several images for other reasons (pages of a TIFF, the depth map of a phone's MPO) give
# their first one.

IMAGE_SUFFIXES: Final = frozenset(
    f".{name}"
    for name in (
        *("avif", "bmp", "dib", "gif", "hdr", "heic", "heif", "jfif", "jp2", "jpe", "jpeg", "jpg", "pbm"),
        *("pgm", "png", "pnm", "ppm", "ras", "sr", "tga", "tif", "tiff", "webp"),
    )
)
"""File names that a folder of faces is searched for (lower case)."""


class UnreadableImageError(Exception):
    """A file that gives no picture; the message says what is wrong and what to do."""


@dataclass(frozen=True)
class SourceImage:
    """A decoded source image.

    Attributes:
        rgb: uint8 (H, W, 3), upright.
        sha256: digest of the file's bytes.
    """

    rgb: NDArray[np.uint8]
    sha256: str


def read_bytes(file: Path) -> tuple[bytes, str]:
    """Content and SHA-256 of a file.

    Raises:
        UnreadableImageError: the file is missing, not permitted or empty.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"cannot be opened: {error.strerror or error}") from error
    if not data:
        raise UnreadableImageError("the file is empty (0 bytes); copy it again")
    return data, hashlib.sha256(data).hexdigest()


def read_image(file: Path) -> SourceImage:
    """Decode an image file.

    Raises:
        UnreadableImageError: not an image, damaged, animated or larger than `MAX_PIXELS`.
    """
    data, sha256 = read_bytes(file)
    return SourceImage(decode(data), sha256)


def decode(data: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of an image file to upright uint8 (H, W, 3) sRGB.

    Raises:
        UnreadableImageError: as `read_image`.
    """
    # Pillow warns about odd metadata that changes no pixel; what matters is raised.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data)) as image:
                return _from_pillow(image)
        except Image.DecompressionBombError as error:
            raise UnreadableImageError(f"too large ({error}); {_shrink_hint()}") from error
        except UnidentifiedImageError:
            return _from_opencv(data)
        except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
            raise UnreadableImageError(f"damaged or incomplete image: {error}; get the file again") from error


def _shrink_hint() -> str:
    return f"at most {MAX_PIXELS:,} pixels are read; scale it down or cut the face out"


def _from_pillow(image: Image.Image) -> NDArray[np.uint8]:
    n_frames = getattr(image, "n_frames", 1)
    if n_frames > 1 and image.format in _ANIMATIONS:
        raise UnreadableImageError(
            f"animated {image.format} with {n_frames} frames; save the frame you mean as a PNG"
        )
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise UnreadableImageError(f"too large ({width} x {height} pixels); {_shrink_hint()}")
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode[0] in "IF":
        return _grey_to_rgb(to_8_bit(np.asarray(image)))
    return np.asarray(_to_srgb(_flatten(image)))


def _flatten(image: Image.Image) -> Image.Image:
    """Lay transparency, stored in whatever way, on `BACKDROP`."""
    if not image.has_transparency_data:
        return image
    rgba = image.convert("RGBA")
    backdrop = Image.new("RGBA", rgba.size, (*BACKDROP, 255))
    flat = Image.alpha_composite(backdrop, rgba).convert("RGB")
    # Only a profile for RGB still fits the converted pixels.
    if image.mode in ("RGBA", "P") and "icc_profile" in image.info:
        flat.info["icc_profile"] = image.info["icc_profile"]
    return flat


def _to_srgb(image: Image.Image) -> Image.Image:
    """RGB in sRGB; a profile that Pillow cannot use (broken, or for other channels) is left unapplied."""
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "CMYK"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(source):
                converted = ImageCms.profileToProfile(
                    image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
                )
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass
    return image if image.mode == "RGB" else image.convert("RGB")


def to_8_bit(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale grey or colour values of any depth to 0..255.

    Integers are taken to fill the smallest of 8, 12 and 16 bits that holds them (a 12-bit camera stores its
    values in 16), fractions the range 0..1 where they stay within it.

    Raises:
        UnreadableImageError: values beyond 16 bits or not finite: their range is anybody's guess.
    """
    if values.dtype == np.uint8:
        return values.astype(np.uint8)
    wide = values.astype(np.float32)
    peak = float(wide.max(initial=0.0))
    whole = np.issubdtype(values.dtype, np.integer)
    ranges = (255.0, 4095.0, 65535.0) if whole else (1.0, 255.0, 65535.0)
    full = next((r for r in ranges if peak <= r), None)
    if full is None or not np.isfinite(wide).all():
        raise UnreadableImageError(
            f"values up to {peak:g} fit neither 8, 12 nor 16 bits; save it as 8-bit PNG"
        )
    scaled: NDArray[np.float32] = np.rint(np.clip(wide, 0, full) * (255.0 / full))
    return scaled.astype(np.uint8)


def _grey_to_rgb(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(grey[:, :, None], 3, axis=2)


def _from_opencv(data: bytes) -> NDArray[np.uint8]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise UnreadableImageError(f"damaged image: {error.err}; get the file again") from error
    if pixels is None:
        raise UnreadableImageError(
            "not an image that Pillow or OpenCV can read, whatever its name says; convert it to PNG or JPEG"
        )
    if pixels.shape[0] * pixels.shape[1] > MAX_PIXELS:
        raise UnreadableImageError(
            f"too large ({pixels.shape[1]} x {pixels.shape[0]} pixels); {_shrink_hint()}"
        )
    return np.ascontiguousarray(to_8_bit(pixels)[:, :, ::-1])
