from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from equime.coded import CodedClip, CodedSet, read_set, write_set
from equime.corpora import flow_folders
from equime.corpora.flow_folders import FlowFolders, corpus_of_subject, write_flow_folders
from equime.errors import InputError, MissingError
from tests.corpora.more_miniatures import FLOW, flow_picture
from tests.corpora.more_miniatures import flow_folders as flow_folders_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The public tree, three subjects."""
    return flow_folders_of(tmp_path / "three_norm_u_v_os")


def found(data: CodedSet) -> dict[str, tuple[int, bool]]:
    return {finding.code: (finding.n, finding.dropped) for finding in data.info.findings}


def test_public_layout(root: Path) -> None:
    data = FlowFolders().read(root)
    assert found(data) == {}
    assert [(c.corpus, c.subject_id, c.name, c.label, c.fps) for c in data.clips] == [
        ("samm", "006", "006_1_2", "negative", 200),
        ("samm", "006", "006_5_10", "negative", 200),
        ("samm", "006", "006_3_5", "surprise", 200),
        ("smic", "s01", "s1_ne_01", "negative", 100),
        ("smic", "s01", "s1_po_01", "positive", 100),
        ("smic", "s01", "s1_sur_01", "surprise", 100),
        ("casme2", "01", "EP09f", "negative", 200),
        ("casme2", "01", "EP19_05f", "negative", 200),
        ("casme2", "01", "EP02_01f", "positive", 200),
    ]
    assert all(clip.kind == "flow" and data.path_of(clip).is_file() for clip in data.clips)
    assert len({clip.clip_id for clip in data.clips}) == 9


def test_written_set_finds_its_pictures(root: Path, tmp_path: Path) -> None:
    data = FlowFolders().read(root)
    write_set(data, tmp_path / "set")
    again = read_set(tmp_path / "set")
    assert again.clips == data.clips
    assert all(again.path_of(clip).is_file() for clip in again.clips)


def test_only_u_test(root: Path) -> None:
    for subject in FLOW:
        shutil.rmtree(root / subject / "u_train")
    data = FlowFolders().read(root)
    assert (len(data.clips), found(data)) == (9, {})


def test_u_train_is_compared_with_the_other_subjects(root: Path) -> None:
    flow_picture(root / "006" / "u_train" / "0" / "006_006_1_2 .png")
    flow_picture(root / "006" / "u_train" / "0" / "who_is_this.png")
    (root / "s01" / "u_train" / "1" / "sub01_EP02_01f .png").rename(
        root / "s01" / "u_train" / "2" / "sub01_EP02_01f .png"
    )
    data = FlowFolders().read(root)
    assert found(data) == {
        "own_sample_in_train": (1, False),
        "surplus_in_train": (2, False),
        "lacking_in_train": (1, False),
    }
    lacking = next(f for f in data.info.findings if f.code == "lacking_in_train")
    assert lacking.clips == ("s01/u_train/1/sub01_EP02_01f .png",)


def test_one_subject_without_u_train(root: Path) -> None:
    shutil.rmtree(root / "s01" / "u_train")
    assert found(FlowFolders().read(root)) == {"no_train": (1, False)}


def test_faults_inside_u_test(root: Path) -> None:
    test = root / "006" / "u_test"
    flow_picture(test / "1" / "006_006_1_2 .png")
    flow_picture(test / "3" / "006_006_9_9 .png")
    flow_picture(test / "3" / "006_006_9_8 .png")
    (test / "0" / "Thumbs.db").write_bytes(b"")
    (test / "0" / "notes.txt").write_text("x")
    (root / "s99" / "u_test").mkdir(parents=True)
    for folder in root.iterdir():
        if (folder / "u_train").is_dir() and folder.name != "006":
            flow_picture(folder / "u_train" / "1" / "006_006_1_2 .png")
    data = FlowFolders().read(root)
    names = [clip.name for clip in data.clips]
    assert len(names) == 8
    assert "006_1_2" not in names
    assert found(data) == {
        "two_classes": (1, True),
        "unknown_class": (2, True),
        "not_a_picture": (1, True),
        "empty_subject": (1, True),
        "no_train": (1, False),
    }


def test_other_forms_are_kept_and_named(root: Path) -> None:
    flow_picture(root / "006" / "u_test" / "0" / "006_006_1_2 .png", size=32)
    flow_picture(root / "s01" / "u_test" / "0" / "s01_s01_ne_01 .png", mode="L")
    (root / "sub01" / "u_test" / "1" / "sub01_EP02_01f .png").write_bytes(b"torn")
    data = FlowFolders().read(root)
    assert len(data.clips) == 9
    assert found(data) == {"other_size": (1, False), "one_channel": (1, False)}
    assert "1 of 32x32" in data.info.findings[0].message


def test_other_endings(tmp_path: Path) -> None:
    for subject, ending in (("a", "jpg"), ("b", "bmp")):
        flow_picture(tmp_path / subject / "u_test" / "2" / f"{subject}_x.{ending}")
    data = FlowFolders().read(tmp_path)
    assert [(c.corpus, c.person, c.name, c.label) for c in data.clips] == [
        ("flow", "flow/a", "x", "surprise"),
        ("flow", "flow/b", "x", "surprise"),
    ]


@pytest.mark.parametrize(
    ("below", "says"),
    [
        ("..", "too high.*give .*three_norm_u_v_os$"),
        ("sub01", "too low.*give .*three_norm_u_v_os$"),
        ("sub01/u_test", "too low.*give .*three_norm_u_v_os$"),
        ("sub01/u_train/0", "too low.*give .*three_norm_u_v_os$"),
    ],
)
def test_wrong_level_is_refused_with_the_right_path(root: Path, below: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        FlowFolders().read((root / below).resolve())


def test_no_such_folder_nothing_there_no_flow_picture(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such folder"):
        FlowFolders().read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found nothing"):
        FlowFolders().read(tmp_path)
    (tmp_path / "sub01" / "u_test" / "0").mkdir(parents=True)
    with pytest.raises(MissingError, match="no picture in any u_test/0"):
        FlowFolders().read(tmp_path)


@pytest.mark.parametrize(
    ("subject", "clips", "corpus"),
    [
        ("sub01", [], "casme2"),
        ("sub01", ["sub01_EP06_02_01", "EP01_2"], "casme2"),
        ("sub01", ["sub01_EP06_02_01", "smile"], "flow"),
        ("sub0003", ["sub0003_01"], "flow"),
        ("006", ["006_1_2"], "samm"),
        ("006", ["portrait"], "flow"),
        ("s1", ["s1_ne_01"], "smic"),
        ("s15", ["15_0401girlcrashing"], "flow"),
        ("spNO.12", ["spNO.12_a_175"], "casme3"),
        ("anna", ["anna_1"], "flow"),
    ],
)
def test_corpus_of_subject(subject: str, clips: list[str], corpus: str) -> None:
    assert corpus_of_subject(subject, clips) == corpus


def clip_of(subject: str, name: str, label: str | None, corpus: str = "mine", onset: int = 0) -> CodedClip:
    return CodedClip(
        clip_id=f"{subject}{name}{onset}", corpus=corpus, subject_id=subject, name=name, fps=200.0, label=label,
        onset=onset,
    )  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "007"]), st.sampled_from(["negative", "positive", "surprise"])),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str]]
) -> None:
    out = tmp_path_factory.mktemp("tree") / "out"
    clips = [clip_of(subject, f"clip {i}", label) for i, (subject, label) in enumerate(drawn)]
    arrays = np.random.default_rng(len(drawn)).integers(0, 256, (len(clips), 28, 28, 3), np.uint8)
    write_flow_folders(out, clips, arrays)
    data = FlowFolders().read(out)
    assert [f.code for f in data.info.findings] == []
    assert not data.info.synthetic
    assert {(c.subject_id, c.name, c.label) for c in data.clips} == {
        (c.subject_id, c.name, c.label) for c in clips
    }
    pixels = {c.name: np.asarray(Image.open(data.path_of(c))) for c in data.clips}
    assert all(np.array_equal(pixels[c.name], array) for c, array in zip(clips, arrays, strict=True))
    n_train = sum(1 for _ in out.glob("*/u_train/*/*"))
    assert n_train == len(clips) * (len({c.subject_id for c in clips}) - 1)


def test_written_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "no links here")

    monkeypatch.setattr(flow_folders.Path, "hardlink_to", refuse)
    clips = [clip_of("a", "x", "negative"), clip_of("b", "y", "surprise")]
    write_flow_folders(tmp_path / "out", clips, np.full((2, 28, 28, 3), 7, np.uint8), synthetic=True)
    assert np.asarray(Image.open(tmp_path / "out/b/u_train/0/a_x.png")).max() == 7
    data = FlowFolders().read(tmp_path / "out")
    assert data.info.synthetic
    assert data.info.findings == ()


def test_one_name_twice_and_one_subject_name_in_two_corpora(tmp_path: Path) -> None:
    clips = [
        clip_of("s1", "x", "negative", onset=3),
        clip_of("s1", "x", "negative", onset=9),
        clip_of("s1", "x", "positive", corpus="other"),
    ]
    write_flow_folders(tmp_path / "out", clips, np.zeros((3, 28, 28, 3), np.uint8))
    files = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.glob("out/*/u_test/*/*"))
    assert files == [
        "mine_s1/u_test/0/mine_s1_x_3.png",
        "mine_s1/u_test/0/mine_s1_x_9.png",
        "other_s1/u_test/1/other_s1_x.png",
    ]


def test_what_cannot_be_written(tmp_path: Path) -> None:
    one = np.zeros((1, 28, 28, 3), np.uint8)
    clip = clip_of("a", "x", "negative")
    with pytest.raises(InputError, match=r"uint8 of shape \(1, H, W, 3\); it is float64"):
        write_flow_folders(tmp_path / "out", [clip], one.astype(float))
    with pytest.raises(InputError, match="1 of 1 clips have no class"):
        write_flow_folders(tmp_path / "out", [clip_of("a", "x", None)], one)
    with pytest.raises(InputError, match="same subject, name and onset"):
        write_flow_folders(tmp_path / "out", [clip, clip], np.concatenate([one, one]))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="holds something"):
        write_flow_folders(tmp_path / "full", [clip], one)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["full"]
