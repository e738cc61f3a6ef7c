"""What is found at a path: data sets, videos, frame folders, and what is wrong with them."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import pytest

from equime.clip_sources import ClipSource, SourceProblem, find_clips
from equime.dataset import Dataset
from equime.errors import InputError


def touch(root: Path, *names: str) -> Path:
    """Files of a few bytes: nothing is opened when clips are listed."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def frames(root: Path, folder: str, pattern: str, numbers: range) -> Path:
    return touch(root, *(f"{folder}/{pattern.format(n)}" for n in numbers))


def listed(path: Path, fps: float | None = None) -> tuple[dict[str, ClipSource], dict[str, SourceProblem]]:
    found, problems = find_clips(path, fps=fps)
    assert [c.file for c in found] == sorted(c.file for c in found)
    assert all(p.message.startswith(f"{p.file}: ") for p in problems)
    return {c.file: c for c in found}, {p.file: p for p in problems}


def test_a_data_set_gives_its_clips_only(reference: Path) -> None:
    data = Dataset.open(reference)
    found, problems = listed(reference)
    assert problems == {}
    assert set(found) == {view.clip.file for view in data}
    for view in data:
        clip = found[view.clip.file]
        assert (clip.clip_id, clip.clip, clip.spec, clip.face) == (
            view.clip.clip_id, view.clip, view.spec, view.face
        )  # fmt: skip
        assert (clip.subject_id, clip.emotion) == (view.spec.subject_id, view.spec.emotion)
        assert clip.input_digest == view.clip.sha256[:16]
        assert clip.path == view.path
        assert pickle.loads(pickle.dumps(clip)) == clip


def test_a_folder_of_a_data_set(reference: Path) -> None:
    """Its clips are plain videos then, with what their names say."""
    emotion = next(iter(Dataset.open(reference))).spec.emotion
    found, problems = listed(reference / emotion)
    assert problems == {}
    assert {c.emotion for c in found.values()} == {emotion}
    subjects = {v.spec.subject_id for v in Dataset.open(reference) if v.spec.emotion == emotion}
    assert {c.subject_id for c in found.values()} == subjects


def test_a_data_set_that_lies_inside_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "run1/dataset.json", "run1/fear/m_1_001.mp4")
    found, problems = listed(tmp_path)
    assert (set(found), problems["run1"].code) == ({"a.mp4"}, "data_set_inside")


def test_videos_of_any_kind_and_case(tmp_path: Path) -> None:
    names = ["a.mp4", "b/c.AVI", "b/d/e.Mov", "f.mkv", "g.webm", "h.M4V", "i.mpg", "j.WMV", "Ünï 字.mp4"]
    touch(
        tmp_path, *names, "notes.txt", "k.mp3", "mp4", "l.mp4.txt", "._a.mp4", ".b.mp4.partial-7", ".x/y.mp4"
    )
    found, problems = listed(tmp_path)
    assert set(found) == set(names)
    assert problems == {}
    assert all(c.kind == "video" and c.fps is None and c.subject_id is None for c in found.values())
    assert (
        len({c.clip_id for c in found.values()})
        == len({c.input_digest for c in found.values()})
        == len(names)
    )


def test_a_single_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "sad/fear/f_7_001.mp4", "sad/fear/odd.bin")
    (clip,), _ = find_clips(tmp_path / "sad" / "fear" / "f_7_001.mp4")
    assert (clip.file, clip.subject_id, clip.emotion) == ("f_7_001.mp4", "7", "fear")
    assert clip.path == tmp_path / "sad" / "fear" / "f_7_001.mp4"
    assert find_clips(tmp_path / "sad" / "fear" / "odd.bin")[0][0].kind == "video"
    monkeypatch.chdir(tmp_path / "sad" / "fear")
    (relative,), _ = find_clips(Path("f_7_001.mp4"))
    assert (relative.clip_id, relative.emotion, relative.path.is_file()) == (clip.clip_id, "fear", True)


def test_trees_of_the_corpora(tmp_path: Path) -> None:
    frames(tmp_path, "CASME2/sub01/EP02_01f", "img{}.jpg", range(46, 60))
    frames(tmp_path, "CASME2/sub02/EP09_01", "reg_img{}.jpg", range(1, 12))
    frames(tmp_path, "SAMM/006/006_1_2", "006_{:05d}.jpg", range(5562, 5570))
    frames(tmp_path, "SMIC/HS/s01/micro/negative/s1_ne_01", "image{:06d}.jpg", range(90823, 90830))
    frames(tmp_path, "MMEW/Micro_Expression/disgust/S01-12-001", "{}.jpg", range(1, 12))
    frames(tmp_path, "CAS3/spNO.1/a/color", "{}.jpg", range(170, 180))
    frames(tmp_path, "CAS3/spNO.1/a/depth", "{}.png", range(170, 180))
    touch(tmp_path, "CASME2/sub01/EP02_01f/Thumbs.db", "CASME2/sub01/EP02_01f/._img46.jpg", "SAMM/face.jpg")
    found, problems = listed(tmp_path)
    assert problems == {}
    assert {f: (c.kind, c.subject_id, c.emotion, c.fps) for f, c in found.items()} == {
        "CASME2/sub01/EP02_01f": ("frames", "sub01", None, 200),
        "CASME2/sub02/EP09_01": ("frames", "sub02", None, 200),
        "SAMM/006/006_1_2": ("frames", "006", None, 200),
        "SMIC/HS/s01/micro/negative/s1_ne_01": ("frames", "s01", "negative", 100),
        "MMEW/Micro_Expression/disgust/S01-12-001": ("frames", "S01", "disgust", 90),
        "CAS3/spNO.1/a/color": ("frames", "spNO.1", None, 30),
    }


def test_the_rate_that_is_given_wins(tmp_path: Path) -> None:
    frames(tmp_path, "sub01/EP02_01f", "img{}.jpg", range(1, 5))
    assert listed(tmp_path, fps=100)[0]["sub01/EP02_01f"].fps == 100
    for fps in (0.0, -5.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="is not a frame rate"):
            find_clips(tmp_path, fps=fps)


def test_a_frame_folder_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below its parent, and what its whole path says."""
    folder = "HS/s01/micro/positive/s1_po_01"
    frames(tmp_path, folder, "image{}.jpg", range(1, 5))
    (clip,), _ = find_clips(tmp_path / folder)
    assert (clip.file, clip.subject_id, clip.emotion, clip.fps) == ("s1_po_01", "s01", "positive", 100)
    assert clip.path == tmp_path / folder
    monkeypatch.chdir(tmp_path / folder)
    (here,), _ = find_clips(Path())
    assert (here.file, here.clip_id, here.input_digest) == (clip.file, clip.clip_id, clip.input_digest)
    assert here.path.samefile(clip.path)


def test_unknown_rate(tmp_path: Path) -> None:
    frames(tmp_path, "x/clip1", "{}.png", range(1, 5))
    touch(tmp_path, "a.mp4")
    found, problems = listed(tmp_path)
    assert (set(found), set(problems)) == ({"a.mp4"}, {"x/clip1"})
    assert problems["x/clip1"].code == "fps_unknown"
    assert "--fps" in problems["x/clip1"].message
    assert listed(tmp_path, fps=60)[0]["x/clip1"].fps == 60


def test_gaps_are_named_and_not_measured(tmp_path: Path) -> None:
    touch(tmp_path, *(f"sub01/EP01_01/img{n}.jpg" for n in (8, 9, 11, 12, 16)))
    found, problems = listed(tmp_path)
    assert found == {}
    assert problems["sub01/EP01_01"].code == "gap_in_frames"
    assert "4 of the frames 8 to 16 are not there: 10, 13 to 15;" in problems["sub01/EP01_01"].message


def test_other_wrong_folders(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "two/a1.jpg",
        "two/a2.jpg",
        "two/b1.jpg",
        "two/b2.jpg",
        "same/1.png",
        "same/01.png",
        "ok.avi",
    )
    found, problems = listed(tmp_path, fps=25)
    assert set(found) == {"ok.avi"}
    assert {file: p.code for file, p in problems.items()} == {
        "two": "several_series",
        "same": "duplicate_frames",
    }
    assert "a#.jpg (2), b#.jpg (2)" in problems["two"].message


def test_copies_that_equime_makes_are_no_clips(tmp_path: Path) -> None:
    touch(tmp_path, "joy/f_1_001.mp4", "joy/master/f_1_001.mp4", "reports/s1.png", "reports/s2.png")
    frames(tmp_path, "joy/png/f_1_001", "frame_{:06d}.png", range(4))
    frames(tmp_path, "joy/metadata", "{}.png", range(4))
    assert set(listed(tmp_path, fps=24)[0]) == {"joy/f_1_001.mp4"}


def test_folders_of_the_same_names_elsewhere_are_clips(tmp_path: Path) -> None:
    frames(tmp_path, "png/clip", "{}.png", range(4))
    frames(tmp_path, "depth", "{}.png", range(4))
    touch(tmp_path, "master/a.mp4", "faces/b.mp4")
    assert set(listed(tmp_path, fps=24)[0]) == {"png/clip", "depth", "master/a.mp4", "faces/b.mp4"}


def test_the_place_itself_may_name_the_emotion(tmp_path: Path) -> None:
    """But "s3" is rather a disk than a subject."""
    touch(tmp_path, "surprise/a.mp4", "s3/b.mp4", "sub03/c.mp4")
    assert listed(tmp_path / "surprise")[0]["a.mp4"].emotion == "surprise"
    assert listed(tmp_path / "s3")[0]["b.mp4"].subject_id is None
    assert listed(tmp_path / "sub03")[0]["c.mp4"].subject_id == "sub03"
    assert listed(tmp_path)[0]["s3/b.mp4"].subject_id == "s3"


def test_digests_follow_what_is_there(tmp_path: Path) -> None:
    frames(tmp_path, "clip", "{}.png", range(4))
    touch(tmp_path, "a.mp4", "clip/cover.png")

    def digests() -> dict[str, str]:
        return {file: c.input_digest for file, c in listed(tmp_path, fps=24)[0].items()}

    before = digests()
    assert digests() == before
    (tmp_path / "clip" / "cover.png").write_bytes(b"a stray image is no part of the clip")
    assert digests() == before
    os.utime(tmp_path / "clip" / "2.png", ns=(1, 1))
    os.utime(tmp_path / "a.mp4", ns=(1, 1))
    after = digests()
    assert all(after[file] != before[file] for file in before)
    assert all(len(digest) == 16 for digest in after.values())


@pytest.mark.parametrize("kind", ["empty", "texts", "strays"])
def test_nothing_there(tmp_path: Path, kind: str) -> None:
    names = {"empty": [], "texts": ["a.txt", "b/c.csv"], "strays": ["a.jpg", "b/c1.png", "b/d.png"]}[kind]
    touch(tmp_path, *names)
    with pytest.raises(InputError, match=r"dataset\.json.*\.avi.*img1\.jpg, img2\.jpg") as caught:
        find_clips(tmp_path)
    assert ("3 images there belong to no series" in str(caught.value)) == (kind == "strays")


def test_places_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file or folder"):
        find_clips(tmp_path / "none")
    touch(tmp_path, "a.jpg")
    with pytest.raises(InputError, match="is one image"):
        find_clips(tmp_path / "a.jpg")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links(tmp_path: Path) -> None:
    """Loops end, what is there twice is listed by its real place, and links that lead nowhere are told."""
    place = tmp_path / "place"
    touch(place, "z/a.mp4", "z/deep/b.mp4")
    frames(tmp_path, "elsewhere", "{}.png", range(3))
    (place / "z" / "up").symlink_to(place)
    (place / "self").symlink_to(place / "self")
    (place / "again").symlink_to(place / "z")
    (place / "linked").symlink_to(tmp_path / "elsewhere")
    (place / "gone.mp4").symlink_to(tmp_path / "none.mp4")
    os.mkfifo(place / "pipe.mp4")
    for n in range(3):
        (place / "annexed").mkdir(exist_ok=True)
        (place / "annexed" / f"{n}.png").symlink_to(tmp_path / f"none{n}.png")
    found, problems = listed(place, fps=24)
    assert set(found) == {"z/a.mp4", "z/deep/b.mp4", "linked"}
    assert {file: p.code for file, p in problems.items()} == {
        "gone.mp4": "broken_link",
        "annexed": "broken_link",
    }


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_names_that_no_table_can_hold(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xff.mp4")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    found, problems = listed(tmp_path)
    assert (set(found), [p.code for p in problems.values()]) == ({"a.mp4"}, ["bad_name"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b/c.mp4")
    (tmp_path / "b").chmod(0)
    try:
        assert listed(tmp_path)[1]["b"].code == "unreadable_folder"
    finally:
        (tmp_path / "b").chmod(0o700)


def test_many_clips_are_listed_fast(tmp_path: Path) -> None:
    """4,000 here; time must not grow with the square of the number."""

    def seconds(n: int, folder: Path) -> float:
        folder.mkdir()
        for i in range(n):
            (folder / f"m_{i:06d}_001.mp4").touch()
        start = time.process_time()
        assert len(find_clips(folder)[0]) == n
        return time.process_time() - start

    small, large = seconds(400, tmp_path / "small"), seconds(4000, tmp_path / "large")
    assert large < 40 * small + 0.5
