from __future__ import annotations

from pathlib import Path

import pytest

from equime.generation_pipeline.diffusion.options import make_options
from equime.generation_pipeline.diffusion.throughput import attempt_cost, n_tokens, operations

pytestmark = pytest.mark.xdist_group("diffusion")


def test_tokens_are_those_of_the_autoencoder() -> None:
    assert n_tokens("LTXImageToVideoPipeline", 145, 512) == 19 * 16 * 16
    assert n_tokens("WanImageToVideoPipeline", 81, 512) == 21 * 32 * 32


def test_operations_by_hand() -> None:
    """One step without guidance: 2 x 1.92e9 per token, and 28 layers of 4 N^2 x 2048."""
    options = make_options({"steps": 1, "guidance": 1.0})
    assert operations(options, 145, 512) == pytest.approx(2 * 1.92e9 * 4864 + 28 * 4 * 4864**2 * 2048)
    double = operations(make_options({"steps": 3, "guidance": 3.0}), 145, 512)
    assert double == pytest.approx(6 * operations(options, 145, 512))


def test_the_published_speed_is_within_what_the_estimate_allows() -> None:
    """5 s at 24 fps and 768 x 512 in 2 s on an H100 (arXiv 2501.00103): as many tokens as 627 px square; 8 to 40 steps."""
    few = attempt_cost(make_options({"steps": 8, "guidance": 1.0}), 121, 627).seconds
    many = attempt_cost(make_options({"steps": 40, "guidance": 3.0}), 121, 627).seconds
    assert few < 2 < many


def test_a_local_model_is_counted(tiny_ltx: Path) -> None:
    cost = attempt_cost(make_options({"model": str(tiny_ltx)}), 145, 512)
    assert cost.seconds < attempt_cost(make_options({}), 145, 512).seconds
    assert cost.basis.startswith("GPU time: arithmetic of tiny-ltx (")
    assert "nothing measured" in cost.basis
