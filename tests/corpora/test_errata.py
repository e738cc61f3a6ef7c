"""Errata: data, applied only where the error is really there."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from equime.coded import AuCode, CodedClip
from equime.corpora.casme2 import Casme2
from equime.corpora.errata import Errata, Erratum, Match, apply, errata_of
from equime.corpora.frame_check import Frames
from equime.registry import CORPORA

from . import miniatures as mini


def clip(name: str, onset: int | None = 10, offset: int | None = 20, **more: object) -> CodedClip:
    return CodedClip(
        clip_id=name, corpus="x", subject_id="01", name=name, fps=200.0, onset=onset, offset=offset, **more,  # type: ignore[arg-type]
    )  # fmt: skip


def erratum(wrong: int | str | None, match: Match, field: str = "offset", right: int = 91) -> Errata:
    return Errata((Erratum(match, field, wrong, right, "a reason", "a source"),))  # type: ignore[arg-type]


def test_a_wrong_value_is_corrected_and_said() -> None:
    errata = erratum(20, Match(subject_id="01", name="b"))
    (a, b), (finding,) = apply("x", [clip("a"), clip("b")], errata=errata)
    assert (a, b.offset) == (clip("a"), 91)
    assert b.notes == ("offset 20 corrected to 91 (a reason; a source)",)
    assert (finding.code, finding.clips, finding.dropped) == ("erratum", ("01/b",), False)


def test_a_corrected_table_is_left_alone() -> None:
    errata = erratum(20, Match(name="b"))
    clips = [clip("b", offset=22)]
    assert apply("x", clips, errata=errata) == (clips, [])
    assert apply("x", [clip("c")], errata=errata) == ([clip("c")], [])


@pytest.mark.parametrize(
    ("given", "corrected"),
    [(None, True), (9, True), (10 + 201, True), (20, False), (91, False), (10 + 200, False)],
)
def test_implausible_without_frames(given: int | None, corrected: bool) -> None:
    (out,), findings = apply("x", [clip("a", offset=given)], errata=erratum("implausible", Match(row=0)))
    assert (out.offset == 91 and bool(findings)) == corrected
    assert out.offset == (91 if corrected else given)


def test_implausible_apex() -> None:
    errata = erratum("implausible", Match(row=0), "apex", 15)
    assert apply("x", [clip("a", apex=30)], errata=errata)[0][0].apex == 15
    assert apply("x", [clip("a", apex=18)], errata=errata)[0][0].apex == 18


@pytest.mark.parametrize(
    ("numbers", "corrected"), [(range(10, 92), True), (range(10, 21), False), (range(10, 96), False)]
)
def test_the_frames_decide_where_they_are_there(numbers: range, corrected: bool) -> None:
    """Right is what the copy has frames of: offset 95 against 91."""
    errata = erratum("implausible", Match(row=0))
    (out,), _ = apply("x", [clip("a", offset=95)], lambda _: Frames(numbers=tuple(numbers)), errata)
    assert (out.offset == 91) == corrected


def test_rows_of_a_table_of_another_length_are_not_meant() -> None:
    errata = erratum("implausible", Match(row=1, n_rows=3))
    two = [clip("a"), clip("b", offset=None)]
    assert apply("x", two, errata=errata) == (two, [])
    assert apply("x", [*two, clip("c")], errata=errata)[0][1].offset == 91


def test_every_shipped_file_is_of_a_known_corpus_and_has_a_source() -> None:
    folder = Path(__file__).parents[2] / "src/equime/corpora/errata"
    keys = sorted(file.stem for file in folder.glob("*.json"))
    assert set(keys) <= set(CORPORA)
    assert {"casme", "casme2", "samm", "casme3", "4dme"} <= set(keys)
    for key in keys:
        errata = errata_of(key)
        assert errata.values or errata.swaps
        assert all(e.reason and e.source for e in (*errata.values, *errata.swaps))
    assert errata_of("smic") == Errata()


def test_casme2_in_full_length(tmp_path: Path) -> None:
    """255 invented rows, of which the 61st has an impossible offset, as the published table is said to have."""
    rows = [(i // 10 + 1, f"EP{i:03d}", None, 20, 50, 90, None, "4", "disgust") for i in range(255)]
    rows[60] = (*rows[60][:5], 19, *rows[60][6:])
    table = mini.sheet(tmp_path / "t.xlsx", [mini.CASME2_HEADER, *rows])
    data = Casme2().read_table(table)
    assert data.clips[60].offset == 91
    assert mini.codes(data.info.findings) == {"erratum": 1}
    assert [clip.offset for clip in data.clips].count(90) == 254


def fourdme_rows(first: str, second: str) -> list[CodedClip]:
    filler = [clip(f"c{i}") for i in range(144)]
    a = clip(
        "a",
        emotion=first,
        aus=(AuCode(au=1),),
        au_text="1",
        coded={"Positive": "1", "AU1": "1", "Total": "9", "Emotion": "Negative"},
    )
    b = clip(
        "b",
        emotion=second,
        aus=(AuCode(au=12),),
        au_text="12",
        coded={"Negative": "1", "AU12": "1", "Total": "8"},
    )
    return [*filler, a, b]


def test_swapped_rows_are_swapped_back_where_their_flags_say_so() -> None:
    out, (finding,) = apply("4dme", fourdme_rows("negative", "positive"))
    a, b = out[144:]
    assert (a.name, a.emotion, a.au_text, a.aus) == ("a", "positive", "12", (AuCode(au=12),))
    assert a.coded == {"Positive": "1", "AU12": "1", "Total": "9"}
    expected = {"Negative": "1", "AU1": "1", "Total": "8", "Emotion": "Negative"}
    assert (b.name, b.emotion, b.coded) == ("b", "negative", expected)
    assert (finding.code, finding.n) == ("erratum", 2)


@pytest.mark.parametrize(
    ("first", "second"), [("positive", "negative"), ("negative", "negative"), ("joy", "joy")]
)
def test_rows_whose_flags_fit_are_left_alone(first: str, second: str) -> None:
    rows = fourdme_rows(first, second)
    assert apply("4dme", rows) == (rows, [])


def test_errata_are_plain_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(errata_of("4dme")), type=Errata) == errata_of("4dme")
