"""What every registered corpus must do, shown on its own miniature copy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from equime.coded import CodedSet, read_set, write_set
from equime.corpora.corpus import Corpus
from equime.corpora.detect import detect, detect_table
from equime.errors import EquimeError, InputError, MissingError
from equime.registry import CORPORA, lookup
from tests.corpora import miniatures, more_miniatures

MINIATURES: dict[str, Callable[[Path], Path]] = {
    "casme": miniatures.casme,
    "casme2": miniatures.casme2,
    "samm": miniatures.samm,
    "samm_long": miniatures.samm_long,
    "smic": miniatures.smic,
    "mmew": more_miniatures.mmew,
    "casme_squared": more_miniatures.casme_squared,
    "casme3": more_miniatures.casme3,
    "4dme": more_miniatures.fourdme,
    "dfme": more_miniatures.dfme,
    "miex": more_miniatures.miex,
    "flow_folders": more_miniatures.flow_folders,
}
NO_TABLE = {"flow_folders"}
ENDING = {"miex": "txt"}
KEYS = pytest.mark.parametrize("key", CORPORA)
WITH_TABLE = pytest.mark.parametrize("key", [key for key in CORPORA if key not in NO_TABLE])


def corpus(key: str) -> Corpus:
    found: Corpus = lookup("corpus", key)()
    return found


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {key: make(tmp_path_factory.mktemp(key) / "copy") for key, make in MINIATURES.items()}


@pytest.fixture(scope="module")
def read(copies: dict[str, Path]) -> dict[str, CodedSet]:
    return {key: corpus(key).read(copies[key]) for key in CORPORA}


def test_every_corpus_has_a_miniature() -> None:
    assert MINIATURES.keys() == CORPORA.keys()


@KEYS
def test_about_is_complete(key: str) -> None:
    about = corpus(key).about
    assert about.key == key
    assert all(len(text) > 3 for text in (about.title, about.source, about.layout))
    assert "research" in about.licence
    assert about.fps > 0
    assert about.tables or key in NO_TABLE


@KEYS
def test_it_alone_recognises_its_copy(key: str, copies: dict[str, Path], tmp_path: Path) -> None:
    assert detect(copies[key]) == [key]
    assert not corpus(key).recognises(tmp_path)
    assert not corpus(key).recognises(tmp_path / "nowhere")


@KEYS
def test_clips_have_frames_ids_and_one_root(key: str, read: dict[str, CodedSet], tmp_path: Path) -> None:
    data = read[key]
    assert data.clips
    assert len({clip.clip_id for clip in data.clips}) == len(data.clips)
    assert all(clip.file and data.path_of(clip).exists() and clip.fps > 0 for clip in data.clips)
    assert data.info.corpus == key
    assert data.info.licence == corpus(key).about.licence
    assert not data.info.synthetic
    write_set(data, tmp_path / "set")
    assert read_set(tmp_path / "set").clips == data.clips


@WITH_TABLE
@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_export_reads_back(key: str, ending: str, read: dict[str, CodedSet], tmp_path: Path) -> None:
    one, file = corpus(key), tmp_path / f"table.{ENDING.get(key, ending)}"
    one.export(read[key].clips, file)
    assert detect_table(file) == [key]
    same = ("subject_id", "name", "onset", "apex", "offset", "emotion", "label", "aus", "expression")
    marks = {"onset", "apex", "offset"} if key == "miex" else set()  # They are the folder's, not the list's.
    kept = [name for name in same if name not in marks]
    again = one.read_table(file)
    assert [[getattr(c, n) for n in kept] for c in again.clips] == [
        [getattr(c, n) for n in kept] for c in read[key].clips
    ]
    assert {clip.kind for clip in again.clips} == {"none"}


@WITH_TABLE
def test_clips_of_another_corpus_can_be_written(key: str, read: dict[str, CodedSet], tmp_path: Path) -> None:
    clips = [clip for clip in read["casme2"].clips if clip.label]
    file = tmp_path / f"table.{ENDING.get(key, 'csv')}"
    corpus(key).export(clips, file)
    assert len(corpus(key).read_table(file).clips) == len(clips)


@KEYS
def test_nothing_there_is_an_error_that_names_the_path(key: str, tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises((InputError, MissingError), match=str(path)):
            corpus(key).read(path)


@KEYS
def test_a_table_that_is_none_is_an_error_that_names_it(
    key: str, copies: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "table.xlsx"
    file.write_bytes(b"PK no table")
    for table in (file, tmp_path / "missing.xlsx"):
        for attempt in (
            lambda t: corpus(key).read_table(t),
            lambda t: corpus(key).read(copies[key], table=t),
        ):
            with pytest.raises(EquimeError, match=table.name):
                attempt(table)


@KEYS
def test_too_high_and_too_low_are_told(key: str, copies: dict[str, Path]) -> None:
    root = copies[key]
    with pytest.raises((InputError, MissingError), match=str(root)):
        corpus(key).read(root.parent)
