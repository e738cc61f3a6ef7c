"""Networks on clips: published sizes, Keras' padding, what becomes of black frames, weights from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from equime import torch_env
from equime.baselines.models.micro_exp_stcnn import MicroExpStcnn
from equime.baselines.models.mobilenet_v2 import MobileNetV2
from equime.baselines.models.r2plus1d import R2Plus1d
from equime.baselines.models.resnet3d import ResNet3d
from equime.baselines.models.simple_3dcnn import Simple3dCnn
from equime.baselines.models.video_swin import VideoSwin
from equime.baselines.torch_fit import count_parameters
from equime.errors import InputError, MissingError
from equime.extras import installed
from equime.seeding import stream

torch = torch_env.torch()
TINY = {"epochs": 1, "size_px": 16, "n_frames": 6}


def layers() -> Any:
    from equime.baselines import clip_layers  # noqa: PLC0415

    return clip_layers


def needs_torchvision() -> None:
    """Without importing it, which torch_env alone may do."""
    if not installed("torchvision"):
        pytest.skip("torchvision is not installed")


def clips(n: int = 8, frames: int = 6, size: int = 16) -> Any:
    return stream(4, "clips").integers(1, 256, (n, frames, size, size), dtype=np.uint8)


def parameters(model: Any, **options: Any) -> int:
    """Counted on shapes alone, without memory for the weights."""
    with torch.device("meta"):
        return count_parameters(model.build(3, model.settings(options)))


def convolution(inputs: int, outputs: int, kernel: int) -> int:
    return inputs * outputs * kernel + outputs


def residual(inputs: int, outputs: int) -> int:
    """Two convolutions of 3^3 with batch norm, and a projection where the number of maps changes."""
    main = convolution(inputs, outputs, 27) + convolution(outputs, outputs, 27) + 4 * outputs
    return main + (convolution(inputs, outputs, 1) + 2 * outputs if inputs != outputs else 0)


def test_micro_exp_stcnn_has_the_authors_layers() -> None:
    """64 x 64 x 96, 32 filters of 3 x 3 x 15: 62 x 62 x 82; pooled by 3: 20 x 20 x 27; 128; 3."""
    features = 32 * 20 * 20 * 27
    expected = convolution(1, 32, 3 * 3 * 15) + features * 128 + 128 + 128 * 3 + 3
    assert MicroExpStcnn.about.n_parameters == expected == 44_241_667
    assert parameters(MicroExpStcnn()) == expected


def test_equime_script_takes_frames_for_channels() -> None:
    """Keras' channels-last order on (1, 64, 64, 96): pooled to 1 x 32 x 32."""
    original = convolution(96, 32, 27) + 32 * 32 * 32 * 128 + 128 + 128 * 3 + 3
    assert parameters(MicroExpStcnn(), variant="equime") == original == 4_277_795
    simple = convolution(96, 16, 27) + 16 * 32 * 32 * 64 + 64 + 64 * 3 + 3
    assert parameters(Simple3dCnn()) == simple == Simple3dCnn.about.n_parameters
    over_time = convolution(1, 16, 27) + 16 * 32 * 32 * 48 * 64 + 64 + 64 * 3 + 3
    assert parameters(Simple3dCnn(), frames="time", size_px=64) == over_time == 50_332_355


def test_resnet3d_has_the_scripts_blocks() -> None:
    pairs = [(64, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    blocks = sum(residual(a, b) for a, b in pairs) + 256 * 3 + 3
    for frames, channels in (("channels", 96), ("time", 1)):
        expected = convolution(channels, 64, 7**3) + 2 * 64 + blocks
        assert parameters(ResNet3d(), frames=frames) == expected
    assert parameters(ResNet3d()) == ResNet3d.about.n_parameters


def test_torchvisions_networks_have_the_published_size() -> None:
    """As torchvision states them for 1000 and 400 classes, less that output layer, with this one."""
    needs_torchvision()
    models = torch_env.load("torchvision.models")
    published = models.MobileNet_V2_Weights.IMAGENET1K_V1.meta["num_params"]
    expected = published - (1280 * 1000 + 1000) + 1280 * 128 + 128 + 128 * 3 + 3
    assert parameters(MobileNetV2()) == expected == MobileNetV2.about.n_parameters
    video = torch_env.load("torchvision.models.video")
    for model, weights, width in (
        (R2Plus1d(), video.R2Plus1D_18_Weights.KINETICS400_V1, 512),
        (VideoSwin(), video.Swin3D_T_Weights.KINETICS400_V1, 768),
    ):
        expected = weights.meta["num_params"] - (width * 400 + 400) + width * 3 + 3
        assert model.about.n_parameters == expected
        assert parameters(model) == expected


@pytest.mark.parametrize("model", [R2Plus1d, VideoSwin])
def test_torchvisions_networks_read_clips(model: Any) -> None:
    needs_torchvision()
    network = model().build(3, model().settings({"n_frames": 4, "size_px": 32})).eval()
    x = stream(0, "colour").integers(0, 256, (2, 6, 40, 40, 3), dtype=np.uint8)
    with torch.inference_mode():
        found = network(model().prepare(x))
    assert found.shape == (2, 3)
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "sides"), [(64, 7, 2, (2, 3)), (5, 3, 2, (1, 1)), (6, 3, 2, (0, 1)), (1, 7, 2, (3, 3))]
)  # fmt: skip
def test_same_padding_is_keras(n: int, kernel: int, stride: int, sides: tuple[int, int]) -> None:
    """By Keras' rule: as much as the last step needs, the odd one at the end."""
    padded = layers().SamePad(kernel, stride)(torch.ones((1, 1, n, n, n)))
    found = np.flatnonzero(padded.amax((0, 1, 2, 3)).numpy())
    assert len(found) == n
    assert (int(found[0]), padded.shape[-1] - 1 - int(found[-1])) == sides


@pytest.mark.parametrize(
    ("padding", "shown"), [("zeros", [1, 3, 5, 0, 0]), ("repeat_last", [1, 3, 5, 5, 5]), ("stretch", [1, 2, 3, 4, 5])]
)  # fmt: skip
def test_black_frames_at_the_end(padding: str, shown: list[int]) -> None:
    clip = torch.tensor([1, 3, 5, 0], dtype=torch.uint8).view(1, 4, 1, 1).expand(1, 4, 8, 8)
    found = layers().GreyFront(5, 8, padding, normalise=False)(clip)
    assert found[0, :, 0, 0].tolist() == shown


def test_clips_are_scaled_one_by_one_and_by_area() -> None:
    found = layers().GreyFront(6, 8, "zeros")(torch.from_numpy(clips()))
    assert found.shape == (8, 6, 8, 8)
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3), correction=0), 1, atol=1e-5)
    raw = layers().GreyFront(6, 8, "zeros", normalise=False)(torch.from_numpy(clips()))
    np.testing.assert_allclose(raw[0, 0, 0, 0], clips()[0, 0, :2, :2].mean(), rtol=1e-6)


def test_the_motion_view_finds_the_frame_that_differs_most() -> None:
    clip = np.full((1, 8, 8, 8), 100, np.uint8)
    clip[0, 3, 2, 2], clip[0, 4, 2, 2] = 130, 160
    clip[0, 6:] = 0
    grey = layers().GreyFront(8, 8, "zeros", normalise=False)
    picture = layers().MotionFront(grey, "motion", 8)(torch.from_numpy(clip))[0]
    shown = np.rint((picture.numpy() + 1) * 127.5)
    assert (shown[0] == 100).all()
    assert shown[1, 2, 2] == 160
    assert shown[2, 2, 2] == 255
    assert shown[2, 0, 0] == 128
    middle = layers().MotionFront(grey, "middle_frame", 8)(torch.from_numpy(clip))[0]
    np.testing.assert_allclose(
        (middle.numpy() + 1) * 127.5, np.broadcast_to(clip[0, 4], (3, 8, 8)), atol=1e-4
    )


def test_colour_clips_are_thinned_out_evenly() -> None:
    clip = np.arange(9, dtype=np.uint8)[None, :, None, None, None] * np.ones((1, 1, 8, 8, 3), np.uint8)
    found = layers().RgbFront(5, 4, (0, 0, 0), (1, 1, 1))(torch.from_numpy(clip))
    assert found.shape == (1, 3, 5, 4, 4)
    np.testing.assert_allclose(found[0, 0, :, 0, 0] * 255, [0, 2, 4, 6, 8], atol=1e-4)


def test_a_forward_pass_does_not_depend_on_how_many_clips_there_are() -> None:
    """More clips than go through at a time."""
    model = Simple3dCnn()
    network = model.build(3, model.settings(TINY)).eval()
    x = model.prepare(clips(20))
    with torch.inference_mode():
        whole, single = network(x), torch.cat([network(x[i : i + 1]) for i in range(20)])
    np.testing.assert_allclose(whole, single, atol=1e-5)


def test_a_network_learns_what_moves() -> None:
    """A bright bar that goes left or right; each single frame is the same for both."""
    x, y = np.full((24, 6, 16, 16), 40, np.uint8), np.arange(24) % 2
    for i, clip in enumerate(x):
        for t in range(6):
            clip[t, :, (i // 2 + (2 * (i % 2) - 1) * 2 * (t - 3)) % 16] = 220
    options = TINY | {"epochs": 25, "lr": 3e-3, "dropout": 0.0}
    (fitted,) = Simple3dCnn().fit(x, y, [np.arange(24)], n_outputs=2, options=options)
    assert (fitted.probabilities(x).argmax(axis=1) == y).all()


def test_mirror_images_turn_half_of_the_clips() -> None:
    x = torch.from_numpy(clips(40, 2, 8))
    before = x.clone()
    target = torch.zeros((40, 3))
    found, same = MicroExpStcnn().augment(x, target, stream(0, "flip"), {"flip": True})
    turned = (found == before.flip(-1)).flatten(1).all(1)
    kept = (found == before).flatten(1).all(1)
    assert bool((turned ^ kept).all())
    assert 10 < int(turned.sum()) < 30
    assert same is target


def test_training_is_the_authors() -> None:
    model = MicroExpStcnn()
    options = model.settings(TINY)
    optimiser, schedule = model.optimiser(model.build(3, options), options, 1)
    assert type(optimiser).__name__ == "SGD"
    assert schedule is None
    assert optimiser.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"padding": "loop"}, "option padding is 'loop'; it is one of zeros, repeat_last, stretch"),
        ({"size_px": 4}, "option size_px is 4; it is at least 8"),
        ({"frames": "both"}, "one of channels, time"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Simple3dCnn().fit(clips(), np.arange(8) % 3, [np.arange(8)], options=options)


def test_weights_from_a_file(tmp_path: Path) -> None:
    needs_torchvision()
    model, file = MobileNetV2(), tmp_path / "mobilenet.pth"
    stored = torch_env.load("torchvision.models").mobilenet_v2(weights=None).state_dict()
    torch.save(stored, file)
    network = model.build(3, model.settings({"weights": str(file), "frozen": 2}))
    backbone = network.body[0]
    assert torch.equal(backbone[5].conv[0][0].weight, stored["features.5.conv.0.0.weight"])
    assert [all(p.requires_grad for p in block.parameters()) for block in backbone[:3]] == [
        False,
        False,
        True,
    ]
    stored["features.0.0.weight"] = stored["features.0.0.weight"][:1]
    torch.save(stored, file)
    with pytest.raises(
        InputError, match=r"features.0.0.weight should have shape \(32, 3, 3, 3\), is \(1, 3, 3, 3\)"
    ):
        model.build(3, model.settings({"weights": str(file)}))
    torch.save([1], file)
    with pytest.raises(InputError, match="holds no state dict"):
        model.build(3, model.settings({"weights": str(file)}))
    with pytest.raises(MissingError, match="no such file"):
        model.build(3, model.settings({"weights": str(tmp_path / "none.pth")}))
