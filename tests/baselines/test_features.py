"""Features from frame folders, videos and flow images; what goes wrong is found and ends nothing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.baselines import feature_cache, feature_clips, features
from equime.baselines.crops import crop_of, find_landmarks
from equime.baselines.dynamic_image import dynamic_image
from equime.baselines.features import FeatureOptions, build, flow_image
from equime.baselines.inputs import FLOW28, Input
from equime.coded import CodedClip, CodedInfo, CodedSet, Finding
from equime.drawn_face import draw_face
from equime.errors import InputError
from tests.baselines.test_flow import bump, moved, texture

pytestmark = pytest.mark.xdist_group("features")

DIS = FeatureOptions(method="dis", crop="none")
SIZE = 48
ALL = (
    FLOW28,
    Input("clip", 16, 12),
    Input("frame", 20),
    Input("frame_pair", 20),
    Input("rgb_clip", 16, 4),
    Input("dynamic", 16),
)
N, FIRST, APEX = 8, 40, 44


def frames(seed: int, n: int = N, apex: int = APEX - FIRST) -> list[NDArray[np.uint8]]:
    """Colour frames in which a patch of skin moves until the apex and comes back."""
    image, patch = texture(SIZE, SIZE, seed), bump((SIZE, SIZE), (20 + seed, 25), 6)
    tint = np.array([0.6, 0.8, 1.0])
    shares = [i / apex if i <= apex else (n - i) / (n - apex) for i in range(n)]
    grey = [
        moved(image, (1.5 * s * patch).astype(np.float32), (-s * patch).astype(np.float32)) for s in shares
    ]
    return [np.asarray(g[..., None] * tint, np.uint8) for g in grey]


def write(folder: Path, images: Sequence[NDArray[Any]], first: int = FIRST, name: str = "img{}.png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        assert cv2.imwrite(str(folder / name.format(first + i)), image)


def clip(name: str, **fields: Any) -> CodedClip:
    coded = {"onset": FIRST, "apex": APEX, "offset": FIRST + N - 1, "file": name, **fields}
    return CodedClip(clip_id=name, corpus="test", subject_id=name[:2], name=name, fps=200.0, **coded)


def coded_set(root: Path, clips: Sequence[CodedClip], synthetic: bool = False) -> CodedSet:
    info = CodedInfo(format_version=1, corpus="test", root=str(root), synthetic=synthetic)
    return CodedSet(info, root, tuple(clips))


def codes(findings: Sequence[Finding]) -> dict[str, tuple[int, bool]]:
    return {finding.code: (finding.n, finding.dropped) for finding in findings}


@pytest.fixture
def corpus(tmp_path: Path) -> CodedSet:
    """Three clips as folders of frames."""
    root = tmp_path / "corpus"
    for seed in range(3):
        write(root / f"s{seed}", frames(seed))
    return coded_set(root, [clip(f"s{seed}") for seed in range(3)])


def same(a, b) -> None:
    assert a.clips == b.clips
    assert list(a.inputs) == list(b.inputs)
    for key in a.inputs:
        np.testing.assert_array_equal(a.inputs[key], b.inputs[key])


def test_every_input_from_folders(corpus: CodedSet) -> None:
    samples, findings = build(corpus, ALL, options=DIS)
    assert findings == ()
    assert samples.clips == corpus.clips
    assert not samples.synthetic.any()
    shown = [frames(seed) for seed in range(3)]
    grey = [[cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images] for images in shown]

    def small(image, size):
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)

    for i in range(3):
        expected = flow_image(grey[i][0], grey[i][4], method="dis")
        np.testing.assert_array_equal(samples.input(FLOW28)[i], expected)
        np.testing.assert_array_equal(samples.input(ALL[1])[i][:N], [small(g, 16) for g in grey[i]])
        assert not samples.input(ALL[1])[i][N:].any()
        np.testing.assert_array_equal(samples.input(ALL[2])[i], small(grey[i][4], 20))
        np.testing.assert_array_equal(samples.input(ALL[3])[i], [small(grey[i][k], 20) for k in (0, 4)])
        rgb = np.stack([small(image, 16)[..., ::-1] for image in shown[i]])
        np.testing.assert_array_equal(samples.input(ALL[4])[i], rgb[[0, 2, 5, 7]])
        np.testing.assert_array_equal(samples.input(ALL[5])[i], dynamic_image(rgb))


def test_tvl1_is_the_default() -> None:
    assert FeatureOptions().method == "tvl1"


def test_order_does_not_depend_on_workers_or_cache(corpus: CodedSet, tmp_path: Path) -> None:
    alone, _ = build(corpus, ALL, options=DIS)
    several, findings = build(corpus, ALL, options=DIS, workers=2, cache=tmp_path / "cache")
    same(alone, several)
    assert findings == ()


def write_video(file: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    import av  # noqa: PLC0415

    with av.open(str(file), "w") as container:
        stream = container.add_stream("ffv1", rate=50)
        stream.width, stream.height, stream.pix_fmt = images[0].shape[1], images[0].shape[0], "bgr0"
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
        container.mux(stream.encode())


def test_videos_give_what_folders_give(tmp_path: Path) -> None:
    """By index from 0; frames before the onset wait for its crop."""
    images = frames(1)
    write(tmp_path / "folder", images, first=0)
    write_video(tmp_path / "v.mkv", images)
    coded = {"onset": 2, "apex": 4, "offset": 6}
    pair = [clip("folder", **coded), clip("video", file="v.mkv", kind="video", **coded)]
    samples, findings = build(coded_set(tmp_path, pair), ALL, options=DIS)
    assert findings == ()
    for array in samples.inputs.values():
        np.testing.assert_array_equal(array[0], array[1])


def test_flow_images_are_read_as_they_are(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (28, 28, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), rgb[..., ::-1])
    cv2.imwrite(
        str(tmp_path / "b.png"), cv2.resize(rgb[..., ::-1], (56, 56), interpolation=cv2.INTER_NEAREST)
    )
    (tmp_path / "c.png").write_bytes(b"no image")
    names = ["a", "b", "c", "d"]
    data = coded_set(tmp_path, [clip(n, file=f"{n}.png", kind="flow", onset=None) for n in names])
    samples, findings = build(data, [FLOW28])
    np.testing.assert_allclose(samples.input(FLOW28)[0], rgb / 255, atol=1e-7)
    np.testing.assert_allclose(samples.input(FLOW28)[1], rgb / 255, atol=1e-6)
    assert codes(findings) == {
        "corrupt_frame": (1, True), "missing_file": (1, True), "flow_resized": (1, False)
    }  # fmt: skip
    with pytest.raises(InputError, match="flow images, which give no input frame20"):
        build(data, [FLOW28, Input("frame", 20)])


def test_channels_the_other_way_round_are_noticed(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for i in range(20):
        uvs = random.integers(60, 200, (28, 28, 3), np.uint8)
        uvs[..., 2] //= 5
        cv2.imwrite(str(tmp_path / f"{i}.png"), uvs[..., ::-1])
        cv2.imwrite(str(tmp_path / f"w{i}.png"), uvs)
    right, wrong = (
        coded_set(tmp_path, [clip(f"{mark}{i}", file=f"{mark}{i}.png", kind="flow") for i in range(20)])
        for mark in ("", "w")
    )
    assert build(right, [FLOW28])[1] == ()
    assert codes(build(wrong, [FLOW28])[1]) == {"flow_channels": (20, False)}


@pytest.mark.parametrize("depth", ["grey", "alpha", "grey16", "colour12", "float"])
def test_odd_images(tmp_path: Path, depth: str) -> None:
    images = frames(2)
    grey = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in images]
    made = {
        "grey": grey,
        "alpha": [np.dstack([image, np.full((SIZE, SIZE), 9, np.uint8)]) for image in images],
        "grey16": [g.astype(np.uint16) * 257 for g in grey],
        "colour12": [image.astype(np.uint16) * 16 for image in images],
        "float": [g.astype(np.float32) / 255 for g in grey],
    }[depth]
    name = "img{}.tif" if depth == "float" else "img{}.png"
    write(tmp_path / "odd", made, name=name)
    write(tmp_path / "plain", images if depth in ("alpha", "colour12") else grey)
    data = coded_set(tmp_path, [clip("odd"), clip("plain")])
    pair = (
        build(data, [Input("frame_pair", SIZE)], options=DIS)[0].input(Input("frame_pair", SIZE)).astype(int)
    )
    assert np.abs(pair[0] - pair[1]).max() <= 1


def test_one_white_for_all_frames(tmp_path: Path) -> None:
    """The second frame alone would fit 8 bits; in this clip of 12 bits it is dark."""
    bright, dark = np.full((20, 20), 4080, np.uint16), np.full((20, 20), 240, np.uint16)
    write(tmp_path / "s0", [bright, dark])
    pair = Input("frame_pair", 20)
    coded = clip("s0", onset=FIRST + 1, apex=FIRST + 1)
    assert (build(coded_set(tmp_path, [coded]), [pair], options=DIS)[0].input(pair) == 15).all()


def break_clips(root: Path) -> list[CodedClip]:
    """One clip for everything that can be wrong; each is called after its finding."""
    images = frames(0)
    for name in ("corrupt_frame", "mixed_sizes", "gap_in_frames", "ends_early", "apex_outside", "missing_frame",
                 "apex_spotted", "no_onset", "offset_before_onset", "no_movement", "good"):  # fmt: skip
        write(root / name, images)
    file = root / "corrupt_frame" / f"img{APEX}.png"
    file.write_bytes(file.read_bytes()[:60])
    cv2.imwrite(str(root / "mixed_sizes" / f"img{APEX}.png"), images[0][:-2])
    (root / "gap_in_frames" / "img42.png").unlink()
    write(root / "too_small", [image[:12] for image in images])
    (root / "no_video.mp4").write_bytes(b"")
    (root / "empty").mkdir()
    return [
        clip("good"), clip("corrupt_frame"), clip("mixed_sizes"), clip("gap_in_frames"),
        clip("ends_early", offset=60), clip("apex_outside", apex=48), clip("missing_frame", onset=39),
        clip("apex_spotted", apex=None), clip("no_onset", onset=None), clip("offset_before_onset", offset=3),
        clip("no_movement", apex=FIRST), clip("too_small"), clip("missing_file", file="nowhere"),
        clip("empty"), clip("corrupt_video", file="no_video.mp4", kind="video"), clip("no_frames", kind="none", file=""),
    ]  # fmt: skip


def test_whatever_is_wrong_is_found(tmp_path: Path) -> None:
    data = coded_set(tmp_path, break_clips(tmp_path))
    samples, findings = build(data, [FLOW28, Input("dynamic", 16)], options=DIS)
    dropped = ("corrupt_frame", "mixed_sizes", "missing_frame", "too_small", "corrupt_video", "no_frames")
    kept = ("gap_in_frames", "ends_early", "apex_outside", "apex_spotted", "no_onset", "offset_before_onset")
    expected = {
        **dict.fromkeys(dropped, (1, True)),
        **dict.fromkeys(kept, (1, False)),
        "missing_file": (2, True),
    }
    assert codes(findings) == {**expected, "no_movement": (1, False)}
    assert [c.name for c in samples.clips] == ["good", *kept, "no_movement"]
    for finding in findings:
        assert finding.code in finding.clips or finding.clips == ("missing_file", "empty")
        assert str(finding.n) in finding.message
    by_name = dict(zip([c.name for c in samples.clips], samples.input(FLOW28), strict=True))
    assert not by_name["no_movement"].any()
    # The movement is largest at the coded apex, so that spotting it comes out the same.
    for name in ("apex_outside", "apex_spotted", "no_onset"):
        np.testing.assert_array_equal(by_name[name], by_name["good"])
    off_by_one = next(f for f in findings if f.code == "missing_frame")
    assert "frame 39 is not there" in off_by_one.message
    assert "40 to 47" in off_by_one.message
    assert "is one counted from 0 and the other from 1?" in off_by_one.message


def test_a_bad_frame_costs_only_what_needs_it(tmp_path: Path) -> None:
    write(tmp_path / "s0", frames(0))
    write(tmp_path / "s1", frames(1))
    (tmp_path / "s1" / "img42.png").write_bytes(b"")
    data = coded_set(tmp_path, [clip("s0"), clip("s1")])
    assert [c.name for c in build(data, [FLOW28], options=DIS)[0].clips] == ["s0", "s1"]
    samples, findings = build(data, [FLOW28, Input("dynamic", 16)], options=DIS, cache=tmp_path / "cache")
    assert [c.name for c in samples.clips] == ["s0"]
    assert codes(findings) == {"corrupt_frame": (1, True)}
    # In the cache the flow of both is whole.
    again, findings = build(data, [FLOW28], options=DIS, cache=tmp_path / "cache")
    assert len(again) == 2
    assert findings == ()


def test_no_sample_at_all_says_why(tmp_path: Path) -> None:
    data = coded_set(tmp_path, [clip("nowhere")])
    with pytest.raises(
        InputError, match=r"none of the 1 clips gives a sample: 1 clip: nothing where the set says"
    ):
        build(data, [FLOW28])
    with pytest.raises(InputError, match="set is empty"):
        build(coded_set(tmp_path, []), [FLOW28])
    with pytest.raises(InputError, match="lbp_top"):
        build(data, [Input("lbp_top")])
    with pytest.raises(InputError, match="number of frames"):
        build(data, [Input("clip", 16)])


def test_apex_options(corpus: CodedSet) -> None:
    moved_apex = corpus.only([clip("s0", apex=FIRST + 1)])
    pair = Input("frame_pair", SIZE)
    shown = [cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in frames(0)]
    for way, index in (("coded", 1), ("spotted", 4), ("middle", 4)):
        options = FeatureOptions(method="dis", crop="none", apex=way)  # type: ignore[arg-type]
        found = build(moved_apex, [pair], options=options)[0].input(pair)[0]
        np.testing.assert_array_equal(found[1], shown[index])


def test_clips_of_one_long_video_keep_to_their_own_frames(tmp_path: Path) -> None:
    write(tmp_path / "long", frames(0))
    wanted = Input("clip", SIZE, 4)
    first = clip("a", file="long", offset=42, apex=41)
    second = clip("b", file="long", onset=44, apex=45, offset=46)
    grey = np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) for image in frames(0)])
    both = build(coded_set(tmp_path, [first, second]), [wanted], options=DIS)[0].input(wanted)
    np.testing.assert_array_equal(both[:, :3], [grey[0:3], grey[4:7]])
    assert not both[:, 3].any()
    alone = build(coded_set(tmp_path, [second]), [wanted], options=DIS)[0].input(wanted)
    np.testing.assert_array_equal(alone[0], grey[:4])


def test_sets_follow_each_other(corpus: CodedSet) -> None:
    other = coded_set(corpus.root, corpus.clips[:1], synthetic=True)
    samples, _ = build([corpus, other], [FLOW28], options=DIS)
    assert samples.synthetic.tolist() == [False, False, False, True]
    np.testing.assert_array_equal(samples.input(FLOW28)[3], samples.input(FLOW28)[0])


@pytest.fixture(scope="module")
def portrait() -> NDArray[np.uint8]:
    return np.ascontiguousarray(draw_face(7, size_px=160)[..., ::-1])


def test_the_face_is_cut_out_once_for_all_frames(portrait, tmp_path: Path) -> None:
    """The head moves by 4 px: the crop stays where the onset had the face; head motion goes on request."""
    later = np.roll(portrait, 4, axis=1)
    write(tmp_path / "s0", [portrait, later])
    write(tmp_path / "s1", [np.full_like(portrait, 90)] * 2)
    coded = {"apex": FIRST + 1, "offset": FIRST + 1}
    data = coded_set(tmp_path, [clip("s0", **coded), clip("s1", **coded)])
    pair = Input("frame_pair", 64)
    samples, findings = build(data, [FLOW28, pair], options=FeatureOptions(method="dis"))
    assert codes(findings) == {"no_face": (1, True)}
    landmarks = find_landmarks(portrait)
    assert landmarks is not None
    crop = crop_of(landmarks, "eyes")
    cut = [cv2.cvtColor(crop.cut(image), cv2.COLOR_BGR2GRAY) for image in (portrait, later)]
    np.testing.assert_array_equal(samples.input(FLOW28)[0], flow_image(*cut, method="dis"))
    expected = [cv2.resize(c, (64, 64), interpolation=cv2.INTER_AREA) for c in cut]
    if min(cut[0].shape) >= 64:
        np.testing.assert_array_equal(samples.input(pair)[0], expected)


def test_head_motion_without_a_face_is_kept_and_said(corpus: CodedSet) -> None:
    plain, _ = build(corpus, [FLOW28], options=DIS)
    options = FeatureOptions(method="dis", crop="none", head_motion="remove")
    samples, findings = build(corpus, [FLOW28], options=options)
    assert codes(findings) == {"head_motion_kept": (3, False)}
    same(plain, samples)


def test_cache_goes_by_content(corpus: CodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, wanted = tmp_path / "cache", [FLOW28, Input("frame", 20)]
    first, _ = build(corpus, wanted, options=DIS, cache=cache)
    made: list[str] = []
    original = feature_clips.make
    monkeypatch.setattr(feature_clips, "make", lambda job, w: made.append(job.clip.name) or original(job, w))
    # Another place, other times of change, the same bytes.
    copied = coded_set(shutil.copytree(corpus.root, tmp_path / "copy"), corpus.clips)
    same(build(copied, wanted, options=DIS, cache=cache)[0], first)
    same(build(corpus, [FLOW28], options=DIS, cache=cache)[0], build(corpus, [FLOW28], options=DIS)[0])
    assert made == ["s0", "s1", "s2"]
    made.clear()
    # The method changes the flow, and not the frames.
    other = FeatureOptions(method="dis", crop="none", max_px=32)
    build(corpus, [Input("frame", 20)], options=other, cache=cache)
    assert made == []
    assert (build(corpus, [FLOW28], options=other, cache=cache)[0].input(FLOW28) != first.input(FLOW28)).any()
    made.clear()
    # A frame that is not used changes nothing, one that is used does.
    cv2.imwrite(str(corpus.root / "s1" / "img41.png"), frames(2)[1])
    build(corpus, [FLOW28], options=DIS, cache=cache)
    assert made == []
    cv2.imwrite(str(corpus.root / "s1" / f"img{APEX}.png"), frames(2)[4])
    build(corpus, [FLOW28], options=DIS, cache=cache)
    assert made == ["s0", "s1", "s2"]


def test_findings_are_cached_too(tmp_path: Path) -> None:
    data = coded_set(tmp_path, break_clips(tmp_path))
    first = build(data, [FLOW28, Input("dynamic", 16)], options=DIS, cache=tmp_path / "cache")
    again = build(data, [FLOW28, Input("dynamic", 16)], options=DIS, cache=tmp_path / "cache")
    same(first[0], again[0])
    assert first[1] == again[1] == build(data, [FLOW28, Input("dynamic", 16)], options=DIS)[1]


class KilledError(Exception):
    """Stands for the end of the process."""


def test_a_run_that_was_stopped_goes_on(
    corpus: CodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, seen = tmp_path / "cache", []
    monkeypatch.setattr(feature_cache, "FLUSH_ROWS", 1)
    original = features._work

    def stops(jobs, inputs, rows, workers):
        for done, value in enumerate(original(jobs, inputs, rows, workers)):
            if done == 2:
                raise KilledError
            seen.append(value[0])
            yield value

    monkeypatch.setattr(features, "_work", stops)
    with pytest.raises(KilledError):
        build(corpus, [FLOW28], options=DIS, cache=cache)
    assert seen == [0, 1]
    assert list(cache.glob("*.partial.npy"))
    monkeypatch.setattr(features, "_work", original)
    made: list[str] = []
    make = feature_clips.make
    monkeypatch.setattr(feature_clips, "make", lambda job, w: made.append(job.clip.name) or make(job, w))
    samples, _ = build(corpus, [FLOW28], options=DIS, cache=cache)
    assert made == ["s2"]
    same(samples, build(corpus, [FLOW28], options=DIS)[0])
    assert not list(cache.glob("*partial*"))


def test_several_at_once_make_it_once(
    corpus: CodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock is the file's, so threads stand for processes."""
    made: list[str] = []
    make = feature_clips.make
    monkeypatch.setattr(feature_clips, "make", lambda job, w: made.append(job.clip.name) or make(job, w))
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(build, corpus, ALL, options=DIS, cache=tmp_path / "cache") for _ in range(3)]
        results = [call.result(60) for call in calls]
    assert sorted(made) == ["s0", "s1", "s2"]
    for samples, _ in results[1:]:
        same(samples, results[0][0])


def test_large_arrays_stay_on_the_disk(
    corpus: CodedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "IN_MEMORY_BYTES", 100)
    samples, _ = build(corpus, ALL, options=DIS, cache=tmp_path / "cache")
    assert all(isinstance(array, np.memmap) for array in samples.inputs.values())
    same(samples, build(corpus, ALL, options=DIS)[0])


def test_options_are_checked() -> None:
    assert FeatureOptions.of({"method": "dis", "max_px": 128}).max_px == 128
    assert FeatureOptions.of(FeatureOptions().table()) == FeatureOptions()
    for values in (
        {"method": "raft"},
        {"max_px": -1},
        {"max_px": 8},
        {"crop": "whole"},
        {"speed": 3},
        {"max_px": True},
    ):
        with pytest.raises(InputError, match="features: "):
            FeatureOptions.of(values)


def test_a_set_of_face_crops_is_not_cropped_again(tmp_path: Path) -> None:
    """No face is in these pictures, so that looking for one would drop the clip."""
    random = np.random.default_rng(3)
    folder = tmp_path / "pair"
    folder.mkdir()
    base = cv2.GaussianBlur(random.uniform(0, 255, (48, 40)).astype(np.float32), (0, 0), 2)
    for i in (1, 2):
        cv2.imwrite(str(folder / f"{i}.png"), np.roll(base, i, 1).astype(np.uint8))
    clip = CodedClip(
        clip_id="a",
        corpus="made",
        subject_id="1",
        name="pair",
        fps=1.0,
        file="pair",
        onset=1,
        apex=2,
        offset=2,
    )
    for cropped in (True, False):
        info = CodedInfo(format_version=1, corpus="made", root=str(tmp_path), cropped=cropped)
        data = CodedSet(info, tmp_path, (clip,))
        if cropped:
            samples, _ = build(data, [FLOW28], options=FeatureOptions(crop="face", method="dis"))
            assert len(samples) == 1
        else:
            with pytest.raises(InputError, match="face"):
                build(data, [FLOW28], options=FeatureOptions(crop="face", method="dis"))
