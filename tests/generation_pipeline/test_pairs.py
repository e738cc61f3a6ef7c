"""Training pairs: what the recipe says is drawn, what is drawn is rendered, and a broken run continues."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from equime.coded import read_set
from equime.errors import InputError, MissingError
from equime.face import anatomy as a
from equime.generation_pipeline import pair_degrade
from equime.generation_pipeline.pair_faces import VariedMesh, crop_size, textured
from equime.generation_pipeline.pair_plan import PairPlan, label_of, plan_pair
from equime.generation_pipeline.pair_recipe import SECTIONS, SHIPPED, Recipe, load_recipe
from equime.generation_pipeline.pair_sections import Muscles, Texture
from equime.generation_pipeline.pairs import PairsReport, make_pairs
from equime.generation_pipeline.renderers import FaceInput
from equime.generation_pipeline.renderers.mesh import PreparedMesh
from equime.generation_pipeline.trajectory import trajectory
from equime.seeding import stream
from tests.generation_pipeline.clip_specs import make_spec

N = 8
SMALL = ["resolution.face_px=[60, 80]", "pairs_per_variant=2"]
STILL = [f"{name}.on=false" for name in SECTIONS]


@pytest.fixture(scope="module")
def megc() -> Recipe:
    return load_recipe("megc")


@pytest.fixture(scope="module")
def plans(megc: Recipe) -> list[PairPlan]:
    return [plan_pair(megc, 5, i) for i in range(1500)]


def tree(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and ".equime" not in p.parts)
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def make(faces: Path, out: Path, n: int = N, seed: int = 3, workers: int = 0, **more: str) -> PairsReport:
    recipe = load_recipe("megc", SMALL)
    return make_pairs(faces, out, n=n, recipe=recipe, seed=seed, workers=workers, **more)


@pytest.fixture(scope="module")
def made(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`N` small pairs of three drawn faces."""
    out = tmp_path_factory.mktemp("pairs") / "out"
    make(faces, out)
    return out


# -- recipe ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_are_valid_and_name_their_sources(name: str) -> None:
    recipe = load_recipe(name)
    assert set(recipe.classes) == {"negative", "positive", "surprise"}
    assert all(group.source for mix in recipe.classes.values() for group in mix.groups)


def test_megc_weighs_groups_by_the_clips_of_the_composite(megc: Recipe) -> None:
    # See et al. 2019: 250 negative, 109 positive, 83 surprise (SMIC 70/51/43, CASME II 88/32/25, SAMM 92/26/15). The
    # coding tables name 63 + 27 negatives of CASME II, two more than the composite holds.
    totals = {name: sum(g.weight for g in mix.groups) for name, mix in megc.classes.items()}
    assert totals == {"negative": 252, "positive": 109, "surprise": 83}


def test_a_file_extends_a_recipe_and_names_only_what_differs(tmp_path: Path, megc: Recipe) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'extends = "megc"\nname = "mine"\n[head]\nshift_mm = 0.5\n[classes.surprise]\nshare = 2\n'
    )
    mine = load_recipe(str(file), ["blink.on=false"])
    assert (mine.name, mine.head.shift_mm, mine.blink.on) == ("mine", 0.5, False)
    assert mine.head.turn_deg == megc.head.turn_deg
    assert mine.classes["surprise"].groups == megc.classes["surprise"].groups
    labels = Counter(label_of(mine, i) for i in range(400))
    assert labels == pytest.approx({"negative": 100, "positive": 100, "surprise": 200}, abs=2)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (["head.shift=1"], "shift"),
        (["head.tail_df=2"], "tail_df"),
        (["intensity.fraction=[0.5, 1.5]"], "beyond 1"),
        (["blink.p=1.2"], "blink.p"),
        (["resolution.face_px=[20, 50]"], "60..400"),
        (["sensor.sigma=[3, 1]"], "sensor.sigma"),
        (["coder_noise.aus=[99]"], "coder_noise"),
        (["classes.negative.groups=[]"], "classes.negative"),
        (['classes.positive.groups=[{emotion="joy", aus={99=0.5}}]'], "joy"),
        (["head"], "section.key=value"),
        (["name.x=1"], "name"),
    ],
)
def test_a_recipe_that_means_nothing_is_refused_by_name(changes: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        load_recipe("megc", changes)


def test_a_recipe_file_that_is_missing_damaged_or_circular(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="megc, mild, plain, or the path"):
        load_recipe(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("name = ")
    with pytest.raises(InputError, match="not TOML"):
        load_recipe(str(tmp_path / "bad.toml"))
    (tmp_path / "loop.toml").write_text('extends = "loop.toml"')
    with pytest.raises(InputError, match="extends itself"):
        load_recipe(str(tmp_path / "loop.toml"))


# -- plan ------------------------------------------------------------------------------------------------


def test_classes_are_balanced_and_emotions_follow_the_clips(plans: list[PairPlan]) -> None:
    labels = Counter(plan.label for plan in plans)
    assert max(labels.values()) - min(labels.values()) <= 3
    negative = Counter(plan.emotion for plan in plans if plan.label == "negative")
    share = (112 + 9) / 252
    assert negative["disgust"] / labels["negative"] == pytest.approx(share, abs=0.07)


def test_au_frequencies_are_those_of_the_coding_tables(plans: list[PairPlan]) -> None:
    casme = [plan for plan in plans if plan.source.startswith("CASME II, 63")]
    # An empty draw is repeated: each P(AU) is divided by P(any AU).
    any_au = 1 - (1 - 0.94) * (1 - 0.48) * (1 - 0.27) * (1 - 0.21)
    for au, p in ((4, 0.94), (7, 0.48), (10, 0.27), (9, 0.21)):
        found = np.mean([au in {peak.au for peak in plan.peaks} for plan in casme])
        assert found == pytest.approx(p / any_au, abs=0.1)


def test_sides_intensities_and_blinks_are_drawn_as_the_recipe_says(plans: list[PairPlan]) -> None:
    smiles = [p for plan in plans for p in plan.peaks if p.au == 12]
    one_sided = np.mean([min(p.left, p.right) == 0 for p in smiles])
    assert one_sided == pytest.approx(0.414, abs=0.08)  # priors.json, AU 12
    chins = [p for plan in plans for p in plan.peaks if p.au == 17]
    assert all(p.left == p.right for p in chins)
    strengths = [max(p.left, p.right) for plan in plans for p in plan.peaks]
    assert min(strengths) >= 0.08 * 0.5
    assert max(strengths) <= 0.55 * 1.4
    assert np.mean([max(plan.lids) > 0 for plan in plans]) == pytest.approx(0.2, abs=0.03)
    shifts = np.array([plan.head[1] - plan.head[0] for plan in plans])[:, 3:5]
    assert np.std(shifts) == pytest.approx(0.45, rel=0.25)
    assert np.mean(np.abs(shifts) > 3 * 0.45) > 0.0027 * 1.5  # heavier tails than a normal's


def test_switching_a_section_off_leaves_all_other_draws_alone(megc: Recipe) -> None:
    calm = load_recipe("megc", ["head.on=false", "blink.on=false", "coder_noise.on=false"])
    for i in range(40):
        with_all, without = plan_pair(megc, 1, i), plan_pair(calm, 1, i)
        assert with_all.peaks == without.peaks
        assert (with_all.onset, with_all.apex) == (without.onset, without.apex)
        np.testing.assert_array_equal(with_all.gaze_deg, without.gaze_deg)
        np.testing.assert_array_equal(without.head[0], without.head[1])
        assert without.lids == (0.0, 0.0)
        assert without.uncoded == ()


def test_the_track_shows_shares_of_the_peak_and_codes_what_the_apex_shows(plans: list[PairPlan]) -> None:
    plan = next(p for p in plans if len(p.peaks) > 1 and not p.uncoded and p.lids == (0.0, 0.0))
    track = plan.track()
    for peak, code in zip(plan.peaks, plan.codes(), strict=True):
        shown = track.curve[:, track.aus.index(peak.au)]
        np.testing.assert_allclose(shown[1], 5 * plan.apex * np.array([peak.left, peak.right]), rtol=1e-5)
        np.testing.assert_allclose(shown[0], 5 * plan.onset * np.array([peak.left, peak.right]), rtol=1e-5)
        step = round(float(shown[1].max()))
        assert code.letter == ("ABCDE"[step - 1] if step else "")


# -- rendering -------------------------------------------------------------------------------------------


def test_luma_at_is_the_frame_before_light_and_noise(small_face_input: FaceInput) -> None:
    prepared = PreparedMesh(small_face_input)
    spec = make_spec(
        camera=msgspec.structs.replace(make_spec().camera, noise_sigma=0.0, light_amplitude=0.0),
        size_px=128,
        duration_ms=1500.0,
    )
    frames = [frame.y.copy() for frame in prepared.frames(spec)]
    luma = prepared.luma_at(trajectory(spec), (24, 0))
    assert np.abs(luma[0] - frames[24]).max() <= 0.5 + 1 / 16
    np.testing.assert_array_equal(luma[1], frames[0])
    assert np.abs(luma[0] - luma[1]).max() > 10


def test_a_variant_scales_and_turns_the_model_and_leaves_lids_closed(small_face_input: FaceInput) -> None:
    plain = PreparedMesh(small_face_input)
    off = VariedMesh(small_face_input, Muscles(on=False), 1, ("v",))
    np.testing.assert_array_equal(off.field(12, a.LEFT), plain.field(12, a.LEFT))
    varied = VariedMesh(small_face_input, Muscles(), 1, ("v",))
    np.testing.assert_array_equal(varied.field(45, a.LEFT), plain.field(45, a.LEFT))
    assert not np.array_equal(varied.field(12, a.LEFT), plain.field(12, a.LEFT))
    stiff = Muscles(scale=(1.2, 1.2), turn_deg=0.0, warp_mm=0.0)
    scaled = VariedMesh(small_face_input, stiff, 1, ("v",))
    np.testing.assert_allclose(scaled.field(4, a.RIGHT), 1.2 * plain.field(4, a.RIGHT), atol=1e-9)
    again = VariedMesh(small_face_input, Muscles(), 1, ("v",))
    again.field(4, a.LEFT)  # the order in which AUs are asked for changes nothing
    np.testing.assert_array_equal(again.field(12, a.LEFT), varied.field(12, a.LEFT))


def test_muscles_turn_the_same_way_on_both_sides_as_in_a_mirror(small_face_input: FaceInput) -> None:
    turned = VariedMesh(small_face_input, Muscles(scale=(1, 1), turn_deg=10.0, warp_mm=0.0), 4, ("v",))
    plain = PreparedMesh(small_face_input)
    turns = []
    for side in (a.RIGHT, a.LEFT):
        before, after = (mesh.field(12, side).sum(axis=0) for mesh in (plain, turned))
        turns.append(np.arctan2(*after[::-1]) - np.arctan2(*before[::-1]))
    rng = stream(4, "v", "muscle", 12)
    rng.uniform(1, 1)
    shared, right, left = np.clip(rng.standard_normal(3), -2, 2) * 10 * np.array([1, 0.5, 0.5])
    # Counter-clockwise on the subject's left, which is the picture's right; pixels have y down, hence the sign.
    np.testing.assert_allclose(np.rad2deg(turns), [shared + right, -(shared + left)], atol=1e-6)


def test_texture_moves_with_the_skin_because_it_is_in_the_picture(small_face_input: FaceInput) -> None:
    painted = textured(small_face_input, Texture(amount=(0.04, 0.04), spots=0), "v", seed=2)
    ratio = painted.image.astype(float) / np.maximum(small_face_input.image, 1)
    bright = small_face_input.image[..., 0] > 60
    assert ratio[bright].std() == pytest.approx(0.04, rel=0.35)
    assert textured(small_face_input, Texture(on=False), "v", seed=2) is small_face_input


def test_the_face_is_as_wide_as_the_recipe_draws(small_face_input: FaceInput) -> None:
    points = small_face_input.landmarks * 4  # at 512 px
    recipe = load_recipe("megc", ["resolution.face_px=[150, 150]"])
    side = crop_size(points, recipe, "v", seed=1)
    assert side % 2 == 0
    assert np.ptp(points[:468, 0]) / 512 * side == pytest.approx(150, abs=1)


def test_a_camera_that_is_off_only_stretches_the_range() -> None:
    luma = np.linspace(16, 235, 2 * 40 * 30, dtype=np.float32).reshape(2, 40, 30)
    grey = pair_degrade.photograph(luma, load_recipe("megc", STILL), lambda name: stream(1, name))
    np.testing.assert_allclose(grey, (luma - 16) / 219 * 255, atol=0.51)


def test_noise_differs_between_the_frames_and_has_the_drawn_strength() -> None:
    changes = [*STILL, "sensor.on=true", "sensor.sigma=[2, 2]", "sensor.smooth_p=0"]
    luma = np.full((2, 200, 200), 16 + 219 * 0.5, np.float32)
    grey = pair_degrade.photograph(luma, load_recipe("megc", changes), lambda name: stream(1, name)).astype(
        float
    )
    assert grey.std(axis=(1, 2)) == pytest.approx([2.02, 2.02], rel=0.05)
    assert (grey[1] - grey[0]).std() == pytest.approx(2.02 * 2**0.5, rel=0.05)


def one_au(faces: Path, out: Path, au: int) -> NDArray[np.float32]:
    """Median flow (left mouth corner, right mouth corner, forehead) of a pair that shows one AU and nothing else."""
    group = f'classes.positive.groups=[{{emotion="happiness", aus={{{au}=1.0}}}}]'
    changes = [group, "classes.negative.share=0", "classes.surprise.share=0", *STILL]
    make_pairs(faces, out, n=1, recipe=load_recipe("megc", changes), workers=0)
    onset, apex = (cv2.imread(str(out / f"pairs/pair_000000/{i}.jpg"), cv2.IMREAD_GRAYSCALE) for i in (1, 2))
    assert onset is not None
    assert apex is not None
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = np.asarray(dis.calc(onset, apex, None))
    height, width = onset.shape
    # The crop is the face's outline with a margin of .3 of its width: the mouth is at about .72 of the height.
    row = slice(int(0.66 * height), int(0.76 * height))
    left, right = slice(int(0.56 * width), int(0.64 * width)), slice(int(0.36 * width), int(0.44 * width))
    top = slice(int(0.2 * height), int(0.3 * height)), slice(int(0.4 * width), int(0.6 * width))
    return np.array([np.median(flow[at], axis=(0, 1)) for at in ((row, left), (row, right), top)])


def test_a_smile_moves_the_mouth_corners_up_and_apart_and_the_forehead_not(
    faces: Path, tmp_path: Path
) -> None:
    left, right, forehead = one_au(faces, tmp_path / "out", 12)
    assert left[1] < -0.5
    assert right[1] < -0.5
    assert left[0] > right[0] + 0.5
    assert np.abs(forehead).max() < 0.2


# -- runs ------------------------------------------------------------------------------------------------


def test_the_set_is_complete_synthetic_and_says_what_each_pair_shows(made: Path) -> None:
    data = read_set(made)
    assert data.info.synthetic
    assert data.info.findings == ()
    assert len(data.clips) == N
    assert len({clip.clip_id for clip in data.clips}) == N
    assert {clip.subject_id for clip in data.clips} == {"drawn_101", "drawn_102", "drawn_103"}
    for clip in data.clips:
        assert (clip.corpus, clip.kind, clip.onset, clip.apex) == ("equime_pairs", "frames", 1, 2)
        assert clip.label is not None
        assert clip.aus
        shapes = {
            cv2.imread(str(data.path_of(clip) / f"{i}.jpg"), cv2.IMREAD_UNCHANGED).shape for i in (1, 2)
        }
        assert len(shapes) == 1
        assert len(shapes.pop()) == 2  # grey


def test_workers_change_nothing(faces: Path, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "faces", tmp_path / "out/faces")  # looking at faces has its own test
    make(faces, tmp_path / "out", workers=2)
    assert tree(tmp_path / "out") == tree(made)


def test_a_broken_run_continues_and_a_larger_one_begins_with_the_smaller(
    faces: Path, made: Path, tmp_path: Path
) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    before = tree(out)
    shutil.rmtree(out / "pairs/pair_000002")
    (out / "pairs/pair_000005/2.jpg").write_bytes(b"")  # as a power cut may leave it
    (out / ".equime/pairs/pair_000003.1").mkdir(parents=True)
    (out / "coded.json").unlink()
    report = make(faces, out)
    assert (report.n_made, report.n_before) == (2, N - 2)
    assert tree(out) == before
    assert not (out / ".equime/pairs/pair_000003.1").exists()
    report = make(faces, out, n=N + 2)
    assert (report.n_made, report.n_before) == (2, N)
    now = tree(out)
    assert {k: v for k, v in now.items() if k in before and k.startswith("pairs")} == {
        k: v for k, v in before.items() if k.startswith("pairs")
    }


def test_other_settings_in_the_same_folder_are_refused(faces: Path, made: Path, tmp_path: Path) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    with pytest.raises(InputError, match="seed"):
        make(faces, out, seed=4)
    with pytest.raises(InputError, match="recipe"):
        make_pairs(faces, out, n=N, recipe=load_recipe("plain", SMALL), seed=3, workers=0)


def test_one_bad_face_costs_its_pairs_only(faces: Path, made: Path, tmp_path: Path) -> None:
    out = shutil.copytree(made, tmp_path / "out")
    shutil.rmtree(out / "pairs")
    face = next(iter((out / "faces/given/faces").glob("*.npy")))
    face.write_bytes(b"damaged")
    report = make(faces, out)
    lost = report.data.info.findings
    assert sum(finding.n for finding in lost) in (2, 3)
    assert all(finding.code == "pair_failed" and finding.dropped for finding in lost)
    assert len(report.data.clips) == N - sum(finding.n for finding in lost)
    assert len({clip.subject_id for clip in report.data.clips}) == 2


@pytest.mark.parametrize("text", ["drawn:0", "drawn:5-5", "drawn:x", "drawn"])
def test_drawn_faces_that_are_none_are_refused(text: str, tmp_path: Path, megc: Recipe) -> None:
    with pytest.raises(InputError, match="drawn:60"):
        make_pairs(text, tmp_path / "out", n=1, recipe=megc, workers=0)


def test_no_pairs_are_refused(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="n = 0"):
        make(faces, tmp_path / "out", n=0)
