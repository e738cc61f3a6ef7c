"""SMIC: three cameras, folders as labels, no table needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from equime.corpora.smic import Smic
from equime.errors import MissingError

from . import miniatures as mini

HEADER = (None, "subject", "emotion", "material", "onset", "offset")


def test_folders_are_the_labels(tmp_path: Path) -> None:
    data = Smic().read(mini.smic(tmp_path))
    assert [(c.subject_id, c.name, c.emotion, c.label) for c in data.clips] == [
        ("s01", "s1_ne_01", "negative", "negative"),
        ("s01", "s1_po_03", "positive", "positive"),
        ("s12", "s12_sur_02", "surprise", "surprise"),
    ]
    first = data.clips[0]
    assert (first.onset, first.apex, first.offset, first.aus, first.fps) == (90823, None, 90829, None, 100.0)
    assert first.file == "SMIC_all_raw/HS/s01/micro/negative/s1_ne_01"
    assert data.info.findings == ()


@pytest.mark.parametrize("camera", ["VIS", "NIR"])
def test_the_slow_cameras(tmp_path: Path, camera: str) -> None:
    fast = Smic().read(mini.smic(tmp_path, "HS"))
    assert mini.codes(fast.info.findings) == {}
    mini.smic(tmp_path, camera)
    both = Smic().read(tmp_path)
    assert both.info.config["camera"] == "HS"
    assert mini.codes(both.info.findings) == {"other_version": 1}
    slow = Smic().read(tmp_path / "SMIC_all_raw" / camera)
    assert {clip.fps for clip in slow.clips} == {25.0}
    assert not {clip.clip_id for clip in slow.clips} & {clip.clip_id for clip in fast.clips}
    assert slow.clips[0].coded == {"camera": camera}


def test_a_table_gives_the_marks(tmp_path: Path) -> None:
    mini.smic(tmp_path)
    rows = [HEADER, (0, "s1", "negative", "s1_ne_01", 90824, 90828), (1, "s1", "surprise", "s1_sur_09", 1, 2)]
    mini.sheet(tmp_path / "smic.xlsx", rows)
    data = Smic().read(tmp_path)
    (clip,) = data.clips
    assert (clip.subject_id, clip.onset, clip.offset) == ("s01", 90824, 90828)
    assert mini.codes(data.info.findings) == {"no_folder": 1, "no_row": 2}
    assert clip.clip_id == Smic().read(mini.smic(tmp_path / "other")).clips[0].clip_id


def test_roundtrip_and_estimated_apexes(tmp_path: Path) -> None:
    rows = [(*HEADER, "apex"), (0, "s01", "negative", "s1_ne_01", 90824, 90828, 90826)]
    first = Smic().read_table(mini.sheet(tmp_path / "t.xlsx", rows))
    assert first.clips[0].apex == 90826
    Smic().export(first.clips, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "subject,emotion,material,onset,offset,apex", "s01,negative,s1_ne_01,90824,90828,90826",
    ]  # fmt: skip
    second = Smic().read_table(tmp_path / "out.csv")
    assert [(c.clip_id, c.onset, c.apex) for c in second.clips] == [
        (c.clip_id, c.onset, c.apex) for c in first.clips
    ]


def test_folders_that_contradict(tmp_path: Path) -> None:
    mini.frames(tmp_path / "HS/s02/micro/positive/s2_ne_01", [1, 2], "image{:06d}.jpg")
    mini.frames(tmp_path / "HS/s02/micro/angry/s2_an_01", [1, 2], "image{:06d}.jpg")
    (tmp_path / "HS/s02/micro/positive/s2_po_01").mkdir()
    data = Smic().read(tmp_path)
    assert mini.codes(data.info.findings) == {
        "class_contradicts_name": 1,
        "unknown_emotion": 1,
        "empty_folder": 1,
    }
    assert {clip.name: clip.label for clip in data.clips} == {"s2_ne_01": "positive", "s2_an_01": None}


@pytest.mark.parametrize("place", ["HS/s01", "HS/s01/micro"])
def test_a_wrong_level_is_refused(tmp_path: Path, place: str) -> None:
    root = mini.smic(tmp_path) / "SMIC_all_raw"
    with pytest.raises(MissingError, match=f"use {(root / 'HS').resolve()}|holds no"):
        Smic().read(root / place)
    with pytest.raises(MissingError, match="no such file"):
        Smic().read(root, table=tmp_path / "none.xlsx")


def test_is_table_and_recognises(tmp_path: Path) -> None:
    assert Smic().is_table([c for c in HEADER if c])
    assert not Smic().is_table(["subject", "material", "emotion", "onset", "offset", "AU", "dataset"])
    assert Smic().recognises(mini.smic(tmp_path))
    assert not Smic().recognises(mini.samm(tmp_path / "samm"))
