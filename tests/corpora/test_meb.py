from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from equime.coded import AuCode, CodedClip
from equime.corpora.meb import META, is_meb, read_meb, write_meb
from equime.errors import InputError
from tests.corpora.miniatures import codes


def clip(corpus: str, subject: str, name: str, **more: object) -> CodedClip:
    return CodedClip(
        clip_id=name, corpus=corpus, subject_id=subject, name=name, fps=200.0, kind="none", **more
    )  # type: ignore[arg-type]


CLIPS = [
    clip("casme2", "01", "EP90_01", onset=10, apex=14, offset=22, emotion="disgust", label="negative",
         aus=(AuCode(au=4), AuCode(au=10, side="left"))),
    clip("samm", "006", "006_9_1", onset=5, offset=9, emotion="others", aus=()),
    clip("4dme", "091", "091_1", onset=1, apex=2, offset=3, emotion="positive", label="positive",
         aus=(AuCode(au=12, letter="B"),)),
    clip("smic", "s01", "s1_ne_01", onset=1, offset=9, emotion="negative", label="negative"),
]  # fmt: skip


def table(path: Path) -> list[dict[str, object]]:
    header, *rows = load_workbook(path).active.iter_rows(values_only=True)
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_columns_by_hand(tmp_path: Path) -> None:
    write_meb(CLIPS, tmp_path / "meb.xlsx")
    rows = table(tmp_path / "meb.xlsx")
    assert list(rows[0]) == [*META, *(f"AU{au}" for au in range(1, 65))]
    assert {key: rows[0][key] for key in META} == {
        "subject": "01", "material": "EP90_01", "onset": 10, "apex": 14, "offset": 22, "AU": "4+L10",
        "emotion": "disgust", "dataset": "casme2", "n_frames": 13, "apexf": 4,
    }  # fmt: skip
    assert [au for au in range(1, 65) if rows[0][f"AU{au}"]] == [4, 10]
    assert rows[1]["AU1"] == 0
    assert rows[1]["AU"] == "0"
    assert rows[2]["dataset"] == "fourd"
    assert (rows[3]["AU"], rows[3]["AU1"], rows[3]["apexf"]) == (None, None, None)


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_what_is_written_is_read(tmp_path: Path, ending: str) -> None:
    write_meb(CLIPS, tmp_path / f"meb.{ending}")
    again = read_meb(tmp_path / f"meb.{ending}")
    same = ("corpus", "subject_id", "name", "onset", "apex", "offset", "emotion", "label", "aus", "coded")
    assert [[getattr(c, name) for name in same] for c in again.clips] == [
        [getattr(c, name) for name in same] for c in CLIPS
    ]
    assert [c.fps for c in again.clips] == [200, 200, 60, 100]


MARK = st.none() | st.integers(0, 99999)
CODE = st.builds(
    AuCode,
    au=st.integers(1, 64),
    side=st.sampled_from(["both", "left", "right"]),
    letter=st.sampled_from(["", *"ABCDE"]),
)


@settings(max_examples=15, deadline=None)
@given(MARK, MARK, MARK, st.none() | st.lists(CODE, max_size=4, unique=True))
def test_any_coding_survives(
    tmp_path_factory: pytest.TempPathFactory, onset: int | None, apex: int | None, offset: int | None, codes: list[AuCode] | None
) -> None:  # fmt: skip
    one = clip(
        "samm",
        "006",
        "006_1_2",
        onset=onset,
        apex=apex,
        offset=offset,
        aus=None if codes is None else tuple(codes),
    )
    path = tmp_path_factory.mktemp("meb") / "meb.csv"
    write_meb([one], path)
    (again,) = read_meb(path).clips
    assert (again.onset, again.apex, again.offset, again.aus) == (onset, apex, offset, one.aus)


def test_one_hot_alone_and_numbers_as_subjects(tmp_path: Path) -> None:
    (tmp_path / "meb.csv").write_text(
        "subject,material,onset,apex,offset,AU,emotion,dataset,n_frames,apexf,AU1,AU12\n"
        "1,EP1,1,2,3,,happiness,casme2,3,1,0,1\n2,x,1,2,3,,happiness,mystery,3,1,0.0,0.0\n"
    )
    data = read_meb(tmp_path / "meb.csv")
    assert [(c.person, c.aus) for c in data.clips] == [
        ("casme2/01", (AuCode(au=12),)),
        ("mystery/2", ()),
    ]
    assert codes(data.info.findings) == {"unknown_dataset": 1}


def test_other_tables() -> None:
    assert is_meb([*META, "AU1"])
    assert not is_meb(META)
    with pytest.raises(InputError, match="change the ending"):
        write_meb(CLIPS, Path("meb.txt"))
