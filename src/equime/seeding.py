"""Named random streams of one seed, and content ids.

Results must not depend on the number of workers or on their order, so nothing here is a global generator:
every draw belongs to a stream that is named by what it is for.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import numpy as np

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and shortest round-trip floats: the same value gives the same bytes."""
    return _ENCODER.encode(value)


def content_id(value: Any, n_hex: int = 16) -> str:
    """First ``n_hex`` hex digits of the SHA-256 of the value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:n_hex]


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The generator of the stream ``names`` under ``seed``.

    Two different name paths give independent streams (SHA-256 of the path is the `SeedSequence` entropy).
    """
    path = "\x1f".join([str(seed), *map(str, names)]).encode()
    words = np.frombuffer(hashlib.sha256(path).digest(), dtype=np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))


def uniforms(n: int, seed: int, *names: str | int) -> tuple[float, ...]:
    """The first ``n`` uniform draws in [0, 1) of the stream ``names`` under ``seed``, to 6 decimals.

    Counter-free (SHAKE-128 of the path), so a longer draw starts with the shorter one, and ten times as fast
    as setting up a generator: made for the many small, recorded draws of the causal model.
    """
    path = "\x1f".join([str(seed), *map(str, names)]).encode()
    words = np.frombuffer(hashlib.shake_128(path).digest(4 * n), dtype="<u4").astype(np.uint64)
    millionths = (words * np.uint64(1_000_000)) >> np.uint64(32)
    return tuple((millionths / 1e6).tolist())
