"""What coders write for Action Units."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from equime.coded import AuCode
from equime.corpora.au_grammar import format_aus, parse_aus


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("L2+R12B", "L2+R12B"),
        ("T23", "23"),
        ("B23 + T24", "23+24"),
        ("AU4+AU7", "4+7"),
        ("AU 4 + au7", "4+7"),
        ("AD38", "38"),
        ("M57", "57"),
        ("4+L10", "4+L10"),
        ("r12", "R12"),
        ("1+2+25", "1+2+25"),
        ("12,6", "12+6"),
        ("12;6 & 7", "12+6+7"),
        ("R12A+R14A", "R12A+R14A"),
        ("4＋７", "4+7"),
        ("A14", "14"),
        ("12 (R)", "R12"),
        ("12R", "R12"),
        ("left 14", "L14"),
        ("04", "4"),
        ("1+2+", "1+2"),
        ("4+4", "4"),
        ("12d", "12D"),
        ("97", "97"),
    ],
)
def test_certain_codes(text: str, codes: str) -> None:
    reading = parse_aus(text)
    assert format_aus(reading.aus) == codes
    assert (reading.uncertain, reading.alternatives, reading.unread) == (False, (), ())


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("12B?", "12B"),
        ("?12", "12"),
        ("(15)", "15"),
        ("4+(15)", "4+15"),
        ("U12", "12"),
        ("ref(43)", "43"),
        ("4 + ?", "4"),
    ],
)
def test_uncertain_codes(text: str, codes: str) -> None:
    reading = parse_aus(text)
    assert (format_aus(reading.aus), reading.uncertain, reading.unread) == (codes, True, ())


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("4+7 or 4", ["4+7", "4"]),
        ("AU12B OR AU14", ["12B", "14"]),
        ("12/14", ["12", "14"]),
        ("4+12/14", ["4+12", "4+14"]),
        ("12/14 or 15", ["12", "14", "15"]),
    ],
)
def test_alternatives(text: str, options: list[str]) -> None:
    reading = parse_aus(text)
    assert [format_aus(option) for option in reading.alternatives] == options
    assert format_aus(reading.codes) == options[0]
    assert reading.uncertain


def test_continuing_aus_are_marked() -> None:
    reading = parse_aus("AU4+AU7(k)")
    assert reading.codes == (AuCode(au=4), AuCode(au=7))
    assert reading.continuing == (AuCode(au=7),)


@pytest.mark.parametrize("text", ["", " ", "-", "--", "/", "n/a", "NaN", "?"])
def test_not_coded(text: str) -> None:
    assert parse_aus(text).aus is None


@pytest.mark.parametrize("text", ["0", "none", "No AU"])
def test_coder_saw_none(text: str) -> None:
    assert parse_aus(text).aus == ()


@pytest.mark.parametrize(
    ("text", "codes", "unread"),
    [
        ("4+foo", "4", ("foo",)),
        ("4.7", "", ("4.7",)),
        ("127", "", ("127",)),
        ("2014-04-07", "", ("2014-04-07",)),
        ("12F", "", ("12F",)),
    ],
)
def test_what_is_no_code_is_returned(text: str, codes: str, unread: tuple[str, ...]) -> None:
    reading = parse_aus(text)
    assert format_aus(reading.aus) == codes
    assert reading.unread == unread


CODES = st.lists(
    st.builds(
        AuCode,
        au=st.integers(1, 99),
        side=st.sampled_from(("both", "left", "right")),
        letter=st.sampled_from(("", *"ABCDE")),
    ),
    max_size=6,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(codes=CODES)
def test_written_codes_are_read_back(codes: list[AuCode]) -> None:
    assert parse_aus(format_aus(codes)).aus == tuple(codes)
    assert parse_aus(format_aus(None)).aus is None


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("0123456789+,/?()LRTBAUMDk or\n"), max_size=40))
def test_no_text_raises(text: str) -> None:
    reading = parse_aus(text)
    assert all(1 <= code.au <= 99 for code in reading.codes)
    assert set(reading.continuing) <= set(reading.codes)


def test_many_slashes_stay_small() -> None:
    assert len(parse_aus("+".join(["1/2/4"] * 40)).alternatives) <= 64
