"""Series of numbered images, and what paths say of a clip."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.frame_folders import Labels, labels, series_in, spelled


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 3000), min_size=2, max_size=60, unique=True),
    st.sampled_from(["img", "reg_img", "006_", "", "s1-", "frame 2 "]),
    st.integers(1, 7),
)
def test_ordered_by_number_whatever_the_padding(numbers: list[int], prefix: str, width: int) -> None:
    names = [f"{prefix}{n:0{width}d}.jpg" for n in numbers]
    random.Random(0).shuffle(names)
    (series,) = series_in([*names, "Thumbs.db", "._img1.jpg", "cover.jpg", "map7.png"])
    assert series.numbers == tuple(sorted(numbers))
    assert [int(name.removeprefix(prefix).removesuffix(".jpg")) for name in series.names] == sorted(numbers)
    assert series.prefix == prefix
    absent = {n for a, b in series.missing() for n in range(a, b + 1)}
    assert absent == set(range(min(numbers), max(numbers) + 1)) - set(numbers)


def test_series_differ_by_prefix_and_ending() -> None:
    names = ["img1.jpg", "img2.JPG", "img3.jpg", "reg_img1.jpg", "reg_img2.jpg", "img1.png", "img2.txt", "7"]
    assert [(s.pattern, len(s.names)) for s in series_in(names)] == [("img#.jpg", 3), ("reg_img#.jpg", 2)]
    assert series_in(["1.jpg", "01.jpg"])[0].numbers == (1, 1)
    assert series_in(["img1.jpg", "other2.jpg"]) == []


def test_runs_are_spelled() -> None:
    assert spelled([(47, 47), (50, 53)]) == "47, 50 to 53"
    assert spelled([(i, i) for i in range(0, 14, 2)]) == "0, 2, 4, 6, 8 and 2 more runs"


@pytest.mark.parametrize(
    ("path", "image", "subject", "fps"),
    [
        ("/d/CASME2_RAW_selected/sub01/EP02_01f", "img46.jpg", "sub01", 200),
        ("/d/Cropped/sub26/EP18_50", "reg_img46.jpg", "sub26", 200),
        ("/d/SAMM/006/006_1_2", "006_05562.jpg", "006", 200),
        ("/d/SMIC_all_raw/HS/s01/micro/negative/s1_ne_01", "image090823.jpg", "s01", 100),
        ("/d/SMIC_all_cropped/HS/s03/micro/surprise/s3_sur_02", "reg_image1.bmp", "s03", 100),
        ("/d/SMIC_all_raw/VIS/s11/micro/positive/s11_po_01", "image1.jpg", "s11", 25),
        ("/d/SMIC_all_raw/NIR/s11/micro/positive/s11_po_01", "image1.jpg", "s11", 25),
        ("/d/MMEW/Micro_Expression/others/S07-06-001", "12.jpg", "S07", 90),
        ("/d/Micro_Expression/happiness/clip9", "1.jpg", None, 90),
        ("/d/part_A/spNO.1/a/color", "175.jpg", "spNO.1", 30),
    ],
)
def test_layouts_of_the_corpora(path: str, image: str, subject: str | None, fps: float) -> None:
    found = labels((), path.rpartition("/")[2], path, image)
    assert (found.subject_id, found.fps) == (subject, fps)


@pytest.mark.parametrize(
    ("path", "image"),
    [
        ("/d/sub01/EP02_01f", "frame46.jpg"),  # CASME II calls its frames img
        ("/d/sub01/clip3", "img46.jpg"),
        ("/d/006/007_1_2", "007_05562.jpg"),  # another subject than the folder's
        ("/d/s01/micro/negative/s1_ne_01", "image1.jpg"),  # which of SMIC's three cameras?
        ("/d/happiness/clip9", "1.jpg"),
        ("/d/spNO.1/a", "175.jpg"),
        ("/d/sub0003/sub0003_01", "1.jpg"),  # DFME was recorded at 200, 300 and 500
        ("/d/HS/x", "image1.jpg"),
    ],
)
def test_nothing_is_guessed_of_the_rate(path: str, image: str) -> None:
    assert labels((), path.rpartition("/")[2], path, image).fps is None


@pytest.mark.parametrize(
    ("folders", "name", "subject", "emotion"),
    [
        (("happiness",), "f_000123_001", "000123", "happiness"),
        (("fear",), "u_ana-b_c_0012", "ana-b_c", "fear"),
        (("set", "Sub07", "Disgust"), "clip", "Sub07", "disgust"),
        (("rawpic", "s15"), "15_0401girlcrashing", "s15", None),
        ((), "sub0003_01", "sub0003", None),
        ((), "s1_ne_01", "s1", None),
        ((), "006_1_2", "006", None),
        (("anger", "others"), "x", None, "others"),
        (("unhappiness", "session1", "subject"), "m_12", None, None),
        (("2024", "s", "sub"), "123_456_789", None, None),
        ((), "x_000123_001", None, None),
    ],
)
def test_subject_and_emotion(
    folders: tuple[str, ...], name: str, subject: str | None, emotion: str | None
) -> None:
    assert labels(folders, name) == Labels(subject, emotion, None)
