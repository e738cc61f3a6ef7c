"""The audit's report: what it says, in which words, and that nothing a stranger named can leave its place."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from equime.evaluation_framework.audit.intervals import Interval
from equime.evaluation_framework.audit.records import Audit
from equime.evaluation_framework.audit.report import FILES, SCHEMA, plots, write_audit, write_json
from equime.evaluation_framework.audit.report import words as w
from equime.evaluation_framework.audit.report.blocks import Block, Fold, Page, Table
from equime.evaluation_framework.audit.report.contents import SECTIONS, contents
from equime.evaluation_framework.audit.report.html import write_html
from equime.evaluation_framework.audit.report.markdown import write_markdown
from tests.evaluation_framework.audit import audit_cases as cases
from tests.evaluation_framework.test_report_html import Reader

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "src" / "equime" / "evaluation_framework" / "audit" / "report"
GUIDE = ROOT / "docs" / "language-guide.md"

FORBIDDEN = (
    r"\bunbiased\b", r"\bdebiased\b", r"\bbias-free\b", r"\bfair\b", r"\bunfair\b", r"\bfairly\b", r"\bobjective(ly)?\b",
    r"\bno difference\b(?![^.]*\bwas found)", r"\bsignificant(ly)?\b", r"\bminorit", r"\bproves?\b", r"\bworks for everyone\b",
)  # fmt: skip


def forbidden(text: str) -> list[str]:
    flat = " ".join(text.split()).lower()
    return [match.group() for pattern in FORBIDDEN for match in re.finditer(pattern, flat)]


def markdown(audit: Audit) -> str:
    return write_markdown(contents(audit))


def html(audit: Audit) -> str:
    return write_html(contents(audit))


def text_of(audit: Audit) -> str:
    """What a reader of the page reads, spaces made plain."""
    words = Reader(html(audit)).all_text()
    return " ".join(words.split())


def tables(blocks: Sequence[Block]) -> Iterator[Table]:
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Fold):
            yield from tables(block.blocks)


def tables_of(page: Page, section: str) -> list[Table]:
    return [t for s in page.sections if s.key == section for t in tables(s.blocks)]


@pytest.fixture(scope="module")
def planted() -> Audit:
    return cases.full(planted=True)


@pytest.fixture(scope="module")
def page(planted: Audit) -> str:
    return html(planted)


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return Reader(page)


# Files


def test_three_files_and_the_same_bytes_again(tmp_path: Path, planted: Audit) -> None:
    paths = write_audit(planted, tmp_path / "new" / "a")
    assert [p.name for p in paths] == list(FILES)
    assert {p.name for p in (tmp_path / "new" / "a").iterdir()} == set(FILES)
    again = write_audit(cases.full(planted=True), tmp_path / "b")
    assert [p.read_bytes() for p in paths] == [p.read_bytes() for p in again]


@pytest.mark.parametrize("case", ["full", "bare", "empty"])
def test_json_is_the_record(case: str) -> None:
    audit: Audit = getattr(cases, case)()
    written = write_json(audit)
    assert written.endswith(b"}\n")
    read = json.loads(written)
    assert list(read) == sorted(read)
    assert read.pop("schema") == SCHEMA == "equime-audit/1"
    assert msgspec.convert(read, Audit) == audit


def test_json_has_no_nan() -> None:
    odd = Interval(value=float("nan"), low=None, high=None, n=1, n_subjects=1)
    audit = cases.full()
    written = write_json(replace(audit, parity=(replace(audit.parity[0], gap=odd),)))
    assert json.loads(written)["parity"][0]["gap"]["value"] is None


# What it says


def test_what_was_not_found_is_said_with_what_would_have_been() -> None:
    said = text_of(cases.full())
    assert (
        "No association between gender (declared) and emotion was found; an effect of V = 0.12 or larger would have "
        "been found in 8 of 10 cases (42 people, 240 clips)."
    ) in said
    assert (
        "No gap in apex error by gender (declared) was found; a gap of 0.960 ms or larger would have been"
        in said
    )


def test_what_was_found_is_said_with_effect_interval_q_and_n(planted: Audit) -> None:
    said = text_of(planted)
    assert (
        "Gender (declared) goes with emotion: Cramér's V = 0.41 (0.36 to 0.46), q = 0.010, 42 people, 240 clips."
    ) in said
    assert "No association between gender (declared) and emotion" not in said
    test = next(t for t in planted.associations if w.found(t))
    first, second = (g.shares["happiness"] for g in test.groups)
    assert f"“happiness” makes up {100 * first:.0f} % of the clips of people declared as “f”" in said
    assert f"and {100 * second:.0f} % of the clips of people declared as “m” (21 people, 120 clips)" in said
    assert "Largest displacement differs by skin tone (measured, ITA): a gap of" in said
    assert "for people whose pictures were measured as “dark”" in said
    assert "predictions.csv: accuracy differs by gender (declared): 0.20 (0.10 to 0.30), q = 0.011" in said
    assert (
        "predictions.csv: between people whose pictures were measured as “very light” and people whose pictures were "
        "measured as “light” (skin tone (measured, ITA)) the prediction changes more often than identity alone makes it: "
        "by 0.11 (0.06 to 0.16) of the pairs, q = 0.003 (310 pairs, 30 people)."
    ) in said
    assert "more often than identity alone" not in text_of(cases.full())


def test_where_no_effect_can_be_named_the_reason_is() -> None:
    """Where everybody has the same emotions, labels can be exchanged without any effect: there is nothing to detect."""
    audit = cases.full()
    first = replace(audit.associations[0], detectable=None)
    same = tuple(replace(g, shares=first.groups[0].shares) for g in first.groups)
    said = [text_of(replace(audit, associations=(t,))) for t in (first, replace(first, groups=same))]
    start = "No association between gender (declared) and emotion was found; "
    assert start + "how large an effect would have been found is not known (" in said[0]
    assert start + "all groups have exactly the same shares (42 people, 240 clips)." in said[1]


def test_errors_of_estimators_are_listed_once(planted: Audit) -> None:
    doubled = replace(planted, label_noise=planted.label_noise * 3)
    section = markdown(doubled).partition("## What errors")[2].partition("\n## ")[0]
    assert section.count("32 % of the labels wrong") == 1
    assert section.count("| 2 | 42 | 252 |") == 3


def test_what_many_tests_give_by_chance_is_said() -> None:
    audit = cases.full()
    tests = tuple(replace(t, p=0.01 if i < 2 else t.p) for i, t in enumerate(audit.associations))
    said = text_of(replace(audit, associations=tests))
    assert (
        "20 tests in all: q is below 0.05 in 0, p but not q in 2. Chance alone gives p below 0.05 in about 1.0."
        in said
    )


@pytest.mark.parametrize(
    ("audit", "sentence"),
    [
        (cases.bare(), "No association could be tested."),
        (cases.bare(), "Skin tone was not measured"),
        (cases.bare(), "No movement was measured"),
        (cases.bare(), "No figure rests on estimated labels"),
        (cases.bare(), "No attribute has two labellers"),
        (cases.bare(), "No predictions file was given"),
        (cases.bare(), "No attribute was estimated."),
        (cases.bare(), "No quality gate was applied."),
        (cases.bare(), "of which no record says how they were made"),
        (cases.empty(), "No attribute of anybody is known"),
        (cases.empty(), "demo_set holds no clip"),
        (cases.empty(), "0 people, 0 clips were audited."),
    ],
)  # fmt: skip
def test_what_is_not_there_is_said(audit: Audit, sentence: str) -> None:
    assert sentence in text_of(audit)


@pytest.mark.parametrize("audit", [cases.full(), cases.bare(), cases.empty()], ids=["full", "bare", "empty"])
def test_the_same_sections_in_the_same_order_in_both(audit: Audit) -> None:
    titles = [title for _, title, _ in SECTIONS]
    assert re.findall(r"^## (.+)$", markdown(audit), re.MULTILINE) == titles
    assert list(Reader(html(audit)).texts["h2"]) == titles


def test_small_groups_and_unknown_people_are_counted_and_named(planted: Audit) -> None:
    said = text_of(planted)
    assert (
        "Race (estimated by DeepFace): counted but not compared, with fewer than 5 people: indian (n = 3)."
        in said
    )
    assert "Gender (declared) is not known of 2 people." in said
    assert "nobody is in: latino hispanic and middle eastern" in said


def test_findings_are_grouped_and_counted_with_those_of_recognisers(planted: Audit) -> None:
    (table,) = list(tables_of(contents(planted), "limits"))
    rows = {cells[0].text: [c.text for c in cells[1:]] for cells in table.rows}
    assert rows["no_face"][:2] == ["2", "2"]
    assert rows["unknown_clip"][0] == "6"
    assert rows["unknown_clip"][2].startswith("predictions.csv: ")
    assert "s011_m_003.mp4" in text_of(planted)  # the second message is not dropped


def test_empty_and_small_intersections_are_marked(planted: Audit) -> None:
    crossed = planted.intersections[0]
    heat = next(t for t in tables_of(contents(planted), "who") if t.kind == "heat")
    cells = [cell for row in heat.rows for cell in row[1:]]
    assert sum(c.mark == "empty" and c.text == "0" for c in cells) == crossed.n_empty > 0
    assert sum(c.text.endswith("*") for c in cells) == crossed.n_small > 0
    assert [c.text for c in cells if c.mark != "empty" and not c.text.endswith("*")] == [
        f"{c.n_subjects} ({c.n_clips})" for c in crossed.cells if c.n_subjects >= 5
    ]


def test_tests_are_ordered_by_q_then_by_the_largest_effect(planted: Audit) -> None:
    page = contents(planted)
    for section, label in (("associations", "association"), ("parity", "gap")):
        table = next(t for t in tables_of(page, section) if label in t.label and "tested" in t.label)
        names = [c.name for c in table.columns]
        size = names.index("Effect" if section == "associations" else "Of the mean")
        keys = [(row[names.index("q")].value, -(row[size].value or 0)) for row in table.rows]
        assert keys == sorted(keys)
        assert keys[0][0] < 0.05


def test_what_was_skipped_is_listed_with_its_reason(planted: Audit) -> None:
    page = contents(planted)
    for section, reason in (("associations", "constant"), ("parity", "too few subjects")):
        table = next(t for t in tables_of(page, section) if "could not be made" in t.label)
        assert [row[2].text for row in table.rows] == [reason]


def test_every_table_of_figures_has_people_and_clips(planted: Audit) -> None:
    """Or says them in its label: heat tables have no room for columns."""
    free = ("Versions", "What limits this audit", "Confidence and share correct", "Pairs of twins")
    checked = 0
    for section in contents(planted).sections:
        for table in tables(section.blocks):
            names = {c.name for c in table.columns}
            if table.label.startswith(free) or (
                table.kind == "heat" and re.search(r"\d+ people", table.label)
            ):
                continue
            assert {"People"} <= names or section.key == "skin", table.label
            assert {"Clips"} <= names or section.key == "skin", table.label
            checked += 1
    assert checked > 12


def test_label_noise_and_agreement(planted: Audit) -> None:
    said = text_of(planted)
    assert "0.41 to 0.55" in said
    assert "32 % of the labels wrong (Serengil & Ozpinar 2021)" in said
    assert "42 people by gender (declared) (rows) and gender (estimated by DeepFace) (columns)" in said


# Words


@pytest.mark.parametrize("audit", [cases.full(), cases.full(planted=True), cases.bare(), cases.empty()])
def test_no_forbidden_words_on_the_page(audit: Audit) -> None:
    assert forbidden(text_of(audit)) == []
    assert forbidden(markdown(audit)) == []


def test_no_forbidden_words_in_the_source() -> None:
    constants = [
        node.value
        for file in sorted(PACKAGE.glob("*.py"))
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert len(constants) > 300
    assert forbidden(" . ".join(constants)) == []


def test_the_search_for_forbidden_words_finds_them() -> None:
    for bad in (
        "The set is unbiased.",
        "a fair model",
        "There is no difference between f and m.",
        "an objective label",
    ):
        assert forbidden(bad), bad
    good = "FairFace and fairlearn; no difference between f and m was found; one of 0.1 would have been."
    assert forbidden(good) == []


def test_the_guide_forbids_what_the_report_may_not_say_and_its_advice_keeps_to_it() -> None:
    guide = GUIDE.read_text("utf-8")
    section = guide.partition("## Do and do not")[2].partition("## Sources")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]
    assert len(rows) >= 8
    assert all(len(row) == 2 for row in rows)
    assert forbidden(" . ".join(row[1] for row in rows)) == []
    bad = " ".join(row[0] for row in rows)
    for word in ("unbiased", "debiased", "fair", "no difference", "objective", "significant", "minorities"):
        assert word in bad
    assert len(guide.split()) < 1200  # two pages


def test_an_estimated_attribute_is_always_called_estimated() -> None:
    """A title that does not say so is given it wherever it stands."""
    audit = cases.full(planted=True)
    told = json.loads(
        write_json(audit)
        .decode()
        .replace("(estimated by DeepFace)", "(XQ)")
        .replace("gender (XQ)", "sexguess")
    )
    told.pop("schema")
    said = text_of(msgspec.convert(told, Audit))
    places = [said[m.end() : m.end() + 12] for m in re.finditer("(?i)sexguess", said)]
    assert len(places) > 15
    assert set(places) == {" (estimated)"}


def test_people_of_a_group_are_called_what_they_are() -> None:
    assert w.group("estimated_gender_deepface", "Woman") == "people whom the model labels as “Woman”"
    assert w.group("declared_gender", "f") == "people declared as “f”"
    assert w.group("measured_ita_group", "dark") == "people whose pictures were measured as “dark”"
    assert w.group("other", "x") == "people of group “x”"


def test_numbers_in_words() -> None:
    assert [w.p_value(p) for p in (None, 0.0, 0.0004, 0.0123, 1.0)] == [
        "–",
        "< 0.001",
        "< 0.001",
        "0.012",
        "1.000",
    ]
    assert w.p_is("q", 0.0004).replace("\N{NO-BREAK SPACE}", " ") == "q < 0.001"
    assert w.p_is("q", 0.02).replace("\N{NO-BREAK SPACE}", " ") == "q = 0.020"
    percents = [w.percent(v).replace("\N{NO-BREAK SPACE}", " ") for v in (0.0, 0.004, 0.0995, 0.5, 1.0)]
    assert percents == ["0 %", "0.4 %", "10 %", "50 %", "100 %"]
    assert (
        w.estimate(Interval(value=0.0395, low=0.00489, high=0.0421, n=1, n_subjects=1))
        == "0.0395 (0.0049 to 0.0421)"
    )
    assert w.estimate(Interval(value=None, low=None, high=None, n=0, n_subjects=0)) == "–"
    assert (w.people(1), w.counted(2, 1)) == ("1 person", "2 people, 1 clip")


# Data statement


def test_the_statement_keeps_three_kinds_apart_and_can_be_copied(planted: Audit, reader: Reader) -> None:
    source = "".join(reader.texts["pre"])
    assert source.startswith("## Data statement\n\n### Curation\n")
    kinds = [
        source.index(start)
        for start in ("Declared by the source", "Estimated by a model", "Measured in the picture")
    ]
    assert kinds == sorted(kinds)
    assert source.index("Gender (estimated by DeepFace): Man") > kinds[1]
    assert source.index("Skin tone (measured, ITA)") > kinds[2]
    for heading in ("Known limits", "Uses", "How to cite", "What the labels are, and what they are not"):
        assert f"### {heading}\n" in source
    assert "CC-BY-4.0 (200 clips)" in source
    assert "predictions.csv" not in source  # it is about the data, not about a recogniser
    body = markdown(planted).partition("## Data statement\n")[2]
    for line in source.splitlines()[2:]:
        assert line in body, line


# Plots


def test_histogram_counts_everybody_in_the_right_group() -> None:
    """An edge belongs to the darker group: very light is above 55."""
    person = cases.skin(1, cases.stream(0, "x"))[0]
    angles = (80.0, 55.1, 55.0, 41.0, 28.0, 10.0, -30.0, -70.0)
    plot = plots.ita_histogram([replace(person, ita_deg=a) for a in angles])
    assert plot is not None
    label = ET.fromstring(plot).attrib["aria-label"]
    assert label.endswith("8 faces: very light 2; light 1; intermediate 1; tan 1; brown 1; dark 2")
    bars = [e for e in ET.fromstring(plot).iter("rect") if e.attrib["class"] == "share"]
    widths = [float(b.attrib["width"]) for b in bars]
    one = min(widths)
    assert sum(round(width / one) for width in widths) == len(angles)
    assert plots.ita_histogram([replace(person, ita_deg=None)]) is None


@given(st.lists(st.floats(-90, 90), min_size=1, max_size=30))
def test_bars_stay_within_the_histogram(angles: list[float]) -> None:
    person = cases.skin(1, cases.stream(0, "x"))[0]
    plot = plots.ita_histogram([replace(person, ita_deg=a) for a in angles])
    assert plot is not None
    root = ET.fromstring(plot)
    height = float(root.attrib["viewBox"].split()[3])
    bars = [e for e in root.iter("rect") if e.attrib["class"] == "share"]
    assert bars
    assert all(0 <= float(b.attrib["y"]) < height - 24 for b in bars)


def test_dots_of_a_calibrated_recogniser_lie_on_the_line() -> None:
    root = ET.fromstring(plots.reliability([(0.1, 0.1, 4), (0.5, 0.9, 16), (0.9, 0.9, 4)]))
    line = next(e for e in root.iter("line") if e.attrib["class"] == "identity")
    x1, y1, x2, y2 = (float(line.attrib[k]) for k in ("x1", "y1", "x2", "y2"))
    above = [
        y1 + (float(c.attrib["cx"]) - x1) / (x2 - x1) * (y2 - y1) - float(c.attrib["cy"])
        for c in root.iter("circle")
    ]
    assert above == pytest.approx([0, above[1], 0], abs=0.05)
    assert above[1] > 50
    radii = [float(c.attrib["r"]) for c in root.iter("circle")]
    assert radii[1] > radii[0] == radii[2]


def test_parity_plot_names_every_group_with_its_n(planted: Audit) -> None:
    shown = next(t for t in planted.parity if t.attribute == "measured_ita_group")
    plot = plots.parity(shown)
    assert plot is not None
    names = [e.text for e in ET.fromstring(plot).iter("text") if e.attrib["class"] == "name"]
    assert names == [f"{r.group} (n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}7)" for r in shown.rows]
    none = Interval(value=None, low=None, high=None, n=0, n_subjects=0)
    assert plots.parity(replace(shown, rows=tuple(replace(r, estimate=none) for r in shown.rows))) is None


# The page


@pytest.mark.parametrize("case", ["full", "bare", "empty", "hostile"])
def test_page_is_well_formed_and_asks_for_nothing(case: str) -> None:
    page = html(getattr(cases, case)())
    reader = Reader(page)
    assert [len(reader.all_of(name)) for name in ("h1", "main", "header", "nav", "script")] == [1, 1, 1, 1, 1]
    ids = {a["id"] for _, a in reader.elements if "id" in a}
    assert all((a["href"] or "")[1:] in ids for a in reader.all_of("a"))
    for name, attributes in reader.elements:
        assert not any(key.startswith("on") or key == "style" for key in attributes), name
        for key in ("src", "href"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:")), (name, value)
    assert "url(" not in page
    assert "@import" not in page
    levels = [int(name[1]) for name, _ in reader.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_the_policy_allows_this_style_and_script_only(reader: Reader) -> None:
    policy = next(a["content"] for a in reader.all_of("meta") if a.get("http-equiv")) or ""
    assert "default-src 'none'" in policy
    for kind in ("style", "script"):
        text = "".join(reader.texts[kind])
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_tables_have_captions_and_scopes_and_plots_have_words(reader: Reader) -> None:
    assert len(reader.all_of("caption")) == len(reader.all_of("table")) > 20
    assert all(a.get("scope") in ("col", "row") for a in reader.all_of("th"))
    spoken = [a for a in reader.all_of("svg") if a.get("aria-hidden") != "true"]
    assert len(spoken) > 40
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 15 for a in spoken)


def test_one_swatch_per_person_with_ita_and_monk(planted: Audit, reader: Reader) -> None:
    skins = [a for a in reader.all_of("rect") if a.get("class") == "skin"]
    measured = [s for s in planted.skin if s.ita_deg is not None]
    assert [a["fill"] for a in skins] == [s.srgb for s in measured]
    monks = [t for t in reader.texts["span"] if t.startswith("Monk")]
    assert len(monks) == len(measured) == 42
    many = replace(planted, skin=planted.skin[:-1] * 12)
    assert html(many).count('class="skin"') == 240


def test_hostile_names_stay_names() -> None:
    audit = cases.hostile()
    page = html(audit)
    reader = Reader(page)
    assert "<script>alert" not in page
    assert cases.EVIL in reader.all_text()
    assert [a["fill"] for a in reader.all_of("rect") if a.get("class") == "skin"] == ["none"]
    written = markdown(audit)
    outside_code = re.sub(r"(?<!\\)`[^`\n]*`", "", written)
    assert "<script>" not in outside_code
    assert "\n# c" not in written
    assert re.search(r"(?<!\\)\]\(", outside_code) is None
    assert re.search(r"(?<!\\)@me", outside_code) is None
    json.loads(write_json(audit))


@pytest.mark.parametrize("case", ["full", "hostile"])
def test_markdown_tables_are_whole(case: str) -> None:
    lines = markdown(getattr(cases, case)()).splitlines()
    n_tables = 0
    for i, line in enumerate(lines):
        if not re.fullmatch(r"\|( -{3}:? \|)+", line):
            continue
        n_tables += 1
        width = len(re.findall(r"(?<!\\)\|", line))
        end = lines.index("", i) if "" in lines[i:] else len(lines)
        assert all(len(re.findall(r"(?<!\\)\|", row)) == width for row in lines[i - 1 : end]), lines[i - 1]
    assert n_tables > 15


def test_commands_in_messages_are_code(planted: Audit, reader: Reader) -> None:
    assert "equime weights fetch deepface_age" in reader.texts["code"]
    assert "run `equime weights fetch deepface_age`." in markdown(planted)
