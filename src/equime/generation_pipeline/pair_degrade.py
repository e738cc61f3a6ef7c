"""From a rendered pair to what a camera would have stored: light, lens, sensor, codec.

Order as in a camera: the scene's light, the lens, the tone curve, noise, eight bits, compression. What differs
between the two frames (light, noise, focus) is what a recogniser must learn to overlook.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from equime.errors import WorkError
from equime.generation_pipeline.pair_recipe import Recipe
from equime.generation_pipeline.renderers.mesh import noise_bank

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
Streams = Callable[[str], np.random.Generator]


def photograph(luma: F32, recipe: Recipe, streams: Streams) -> U8:
    """Two frames as stored.

    Args:
        luma: float32 (2, H, W), BT.709 limited range (16..235).
        recipe: how they vary.
        streams: section's name to its generator.

    Returns:
        uint8 (2, H, W) grey.
    """
    pair = np.clip((luma - np.float32(16)) / np.float32(219), 0, 1)
    if recipe.light.on:
        pair = _light(pair, recipe, streams("light"))
    if recipe.blur.on:
        pair = _blur(pair, recipe, streams("blur"))
    pair *= np.float32(255)
    if recipe.sensor.on:
        pair = _noise(pair, recipe, streams("sensor"))
    grey: U8 = np.clip(np.rint(pair), 0, 255).astype(np.uint8)
    rng = streams("compression")
    if recipe.compression.on and rng.random() < recipe.compression.p:
        low, high = recipe.compression.quality
        quality = int(rng.integers(low, high + 1))
        grey = np.stack([decode(encode(frame, quality)) for frame in grey])
    return grey


def encode(grey: U8, quality: int) -> bytes:
    """JPEG of a grey picture."""
    done, data = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise WorkError(f"a picture of {grey.shape[1]} x {grey.shape[0]} px cannot be written as JPEG")
    return data.tobytes()


def decode(data: bytes) -> U8:
    """Grey picture of a JPEG."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE), np.uint8)


def _light(pair: F32, recipe: Recipe, rng: np.random.Generator) -> F32:
    light = recipe.light
    _, height, width = pair.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    static, change = rng.standard_normal((2, 2)).astype(np.float32)
    static, change = static * np.float32(light.static_gradient_sd), change * np.float32(light.gradient_sd)
    gain = np.float32(1 + light.gain_sd * rng.standard_normal())
    exposed = np.sqrt(rng.uniform(*light.exposure) / max(_middle(pair[0]), 0.02))
    pair = pair * (np.float32(exposed) * np.clip(1 + static[0] * x + static[1] * y, 0.3, 1.7))
    pair[1] *= gain * (1 + change[0] * x + change[1] * y)
    gamma, contrast = np.float32(rng.uniform(*light.gamma)), np.float32(rng.uniform(*light.contrast))
    toned = np.stack([np.asarray(cv2.pow(np.maximum(frame, 0), float(gamma)), np.float32) for frame in pair])
    middle = toned[0].mean()
    out: F32 = middle + contrast * (toned - middle)
    return out


def _middle(frame: F32) -> float:
    """Mean of the middle of a picture that is cut around the face."""
    height, width = frame.shape
    return float(frame[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3].mean())


def _blur(pair: F32, recipe: Recipe, rng: np.random.Generator) -> F32:
    sigma = rng.uniform(*recipe.blur.sigma_px)
    sigmas = sigma + recipe.blur.differs_px * np.array([0.0, rng.standard_normal()])
    return np.stack(
        [
            frame if s < 0.15 else np.asarray(cv2.GaussianBlur(frame, (0, 0), float(s)), np.float32)
            for frame, s in zip(pair, sigmas, strict=True)
        ]
    )


def _noise(pair: F32, recipe: Recipe, rng: np.random.Generator) -> F32:
    sigma = np.float32(rng.uniform(*recipe.sensor.sigma))
    smooth = rng.random() < recipe.sensor.smooth_p
    radius = float(rng.uniform(0.4, 1.0))
    bank = noise_bank()
    starts = rng.integers(0, len(bank) - pair[0].size, 2)
    noise = np.stack([bank[at : at + pair[0].size].reshape(pair[0].shape) for at in starts]).astype(
        np.float32
    )
    noise /= np.float32(32)
    if smooth:
        for frame in noise:
            cv2.GaussianBlur(frame, (0, 0), radius, dst=frame)
        noise /= noise.std()
    # Photon noise grows with the light, read noise does not; half of the variance each at mid grey.
    strength = np.sqrt(np.float32(0.5) + np.maximum(pair, 0) / np.float32(255))
    out: F32 = pair + sigma * strength * noise
    return out
