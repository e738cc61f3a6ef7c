"""The page as text: nothing can run or load in it, nothing vanishes, pictures are what they say."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from equime.dataset import Dataset
from equime.evaluation_framework.evaluation import Evaluation
from equime.evaluation_framework.report import facts, ground_truth, plots, svg
from equime.evaluation_framework.report.contents import collect
from equime.evaluation_framework.report.html import write_html
from equime.evaluation_framework.report.markup import Markup, escape, tag
from equime.evaluation_framework.report.strips import GAIN, N_FRAMES, SIDE_PX, strip
from equime.seeding import stream
from equime.video import read_frame
from tests.evaluation_framework import report_cases as cases

VOID = {"meta", "link", "img", "br", "wbr", "hr"}


class Reader(HTMLParser):
    """Elements with attributes, the text of each kind of element, and whether all are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack:
            self.texts.setdefault(self.stack[-1], []).append(data)

    def all_text(self) -> str:
        return " ".join("".join(texts) for texts in self.texts.values())

    def all_of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for kind, attributes in self.elements if kind == name]


@pytest.fixture(scope="module")
def page() -> str:
    return write_html(collect(cases.drawn()))


@pytest.fixture(scope="module")
def reader(page: str) -> Reader:
    return Reader(page)


def test_well_formed_and_titled(reader: Reader) -> None:
    assert reader.texts["title"][0] == "Evaluation of nowhere"
    assert [len(reader.all_of(name)) for name in ("h1", "main", "header", "nav")] == [1, 1, 1, 1]
    links = [a["href"] for a in reader.all_of("a")]
    ids = {a["id"] for _, a in reader.elements if "id" in a}
    assert all(href is not None and href.startswith("#") and href[1:] in ids for href in links)
    assert len(links) == 11


def test_a_file_name_stays_text(page: str, reader: Reader) -> None:
    """Only the page's own script is one, and the evil name is there to be read."""
    assert len(reader.all_of("script")) == 1
    assert cases.EVIL in reader.all_text()
    assert "<script>alert" not in page


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    class Texts(HTMLParser):
        found = ""
        n = 0

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.n += 1
            assert dict(attrs).keys() == {"title"}

        def handle_data(self, data: str) -> None:
            self.found += data

    parser = Texts(convert_charrefs=True)
    parser.feed(tag("p", text, title=text))
    parser.close()
    assert parser.n == 1
    assert len(parser.found) == len(text)
    assert escape(Markup("<b>")) == "<b>"


def test_nothing_is_asked_of_the_network(page: str, reader: Reader) -> None:
    for name, attributes in reader.elements:
        for key in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(key)
            assert value is None or value.startswith(("#", "data:")), (name, value)
        assert not any(key.startswith("on") for key in attributes), name
        assert "style" not in attributes, name
    assert "@import" not in page
    assert "url(" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_policy_allows_this_style_and_script_only(reader: Reader) -> None:
    policy = next(a["content"] for a in reader.all_of("meta") if a.get("http-equiv"))
    assert policy is not None
    assert "default-src 'none'" in policy
    for kind in ("style", "script"):
        text = "".join(reader.texts[kind])
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_tables_have_heads_with_scope(reader: Reader) -> None:
    assert len(reader.all_of("table")) >= 4
    assert all(a.get("scope") in ("col", "row", "rowgroup") for a in reader.all_of("th"))


def test_every_plot_says_in_words_what_it_shows(reader: Reader) -> None:
    svgs = reader.all_of("svg")
    assert len(svgs) > 10
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 20 for a in svgs)


def test_headings_never_skip_a_level(reader: Reader) -> None:
    levels = [int(name[1]) for name, _ in reader.elements if re.fullmatch("h[1-6]", name)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_sections_without_data_say_so() -> None:
    words = Reader(write_html(collect(cases.without_values()))).all_text()
    for sentence in (
        "Nothing was measured.",
        "No metric varies",
        "none is shown",
        "Action Units were not measured",
        "Onset, apex and offset were not measured.",
        "No reference set was given",
        "None of the five published metrics was measured.",
    ):
        assert sentence in words


def test_reference_set(page: str) -> None:
    """Every distance with its interval, and none where there is none; the pairs; the warnings."""
    found = cases.drawn(comparison=cases.comparison(), reference_path="corpus <b>")
    reader = Reader(write_html(collect(found)))
    words = reader.all_text()
    for sentence in (
        "fewer than 50",
        "0.22",
        "0.620 (0.570 to 0.670)",
        "too few clips",
        "2 pairs of clips",
        "corpus <b>",
    ):
        assert sentence in words
    assert len(reader.all_of("script")) == 1
    assert page.count("<table") + 5 == write_html(collect(found)).count("<table")


def test_published_means_and_why_they_cannot_be_compared(page: str) -> None:
    reader = Reader(page)
    notes = reader.texts["sup"]
    assert len(notes) > 3
    assert "the published PSNR is of wrapped uint8 differences" in reader.all_text()
    assert "40.9" in reader.all_text()  # EquiME's, as it was published


def test_plots_are_xml_and_within_their_frame() -> None:
    found = cases.drawn()
    timing = ground_truth.timing(found)
    assert timing is not None
    drawn = [plots.strip_and_box(d) for d in facts.distributions(found)]
    drawn += [plot for _, plot in plots.identity_scatters(timing)]
    for plot in (plots.errors(timing), plots.durations(timing)):
        assert plot is not None
        drawn.append(plot)
    for plot in drawn:
        root = ET.fromstring(plot)
        width, height = (float(v) for v in root.attrib["viewBox"].split()[2:])
        places = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in root.iter("circle")]
        for path in root.iter("path"):
            places += [
                (float(x), float(y)) for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)h0", path.attrib["d"])
            ]
        assert len(places) >= 39
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
        assert len(plot) < 40_000


def test_dots_of_the_identity_scatter_lie_where_they_should() -> None:
    """A clip measured exactly lies on the identity line; one measured late lies above it."""
    found = cases.drawn(3)
    clips = found.clips.copy()
    for phase in ground_truth.PHASES:
        clips[f"intended_{phase}_ms"] = [1000.0, 2000.0, 3000.0]
        clips[f"measured_{phase}_ms"] = [1000.0, 2400.0, 3000.0]
    timing = ground_truth.timing(replace(found, clips=clips))
    assert timing is not None
    root = ET.fromstring(plots.identity_scatters(timing)[0][1])
    line = next(e for e in root.iter("line") if e.attrib["class"] == "identity")
    x1, y1, x2, y2 = (float(line.attrib[k]) for k in ("x1", "y1", "x2", "y2"))
    above = []
    for circle in root.iter("circle"):
        x, y = float(circle.attrib["cx"]), float(circle.attrib["cy"])
        above.append(y1 + (x - x1) / (x2 - x1) * (y2 - y1) - y)
    assert above == pytest.approx([0, above[1], 0], abs=0.05)
    assert above[1] > 10


@settings(max_examples=50, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_few_round_and_inside(low: float, span: float) -> None:
    found = svg.ticks((low, low + span))
    assert 2 <= len(found) <= 7
    slack = span * 1e-6 + abs(low) * 1e-9
    assert low - slack <= found[0] <= found[-1] <= low + span + slack


def row(found: Evaluation, file: str) -> dict[str, object]:
    clips = found.clips
    return {k: v for k, v in clips[clips["file"] == file].iloc[0].to_dict().items() if v is not None}


def test_strip_of_a_video(mesh_clips: Dataset) -> None:
    found = cases.of_dataset(mesh_clips)
    view = next(v for v in mesh_clips if v.spec.emotion == "surprise")
    shown = strip(mesh_clips.root, row(found, view.clip.file))
    assert (shown.problem, shown.basis) == ("", "true times")
    assert len(shown.pictures) == N_FRAMES + 1
    numbers = [p.frame for p in shown.pictures[:-1]]
    assert numbers == sorted(set(numbers))
    captions = " ".join(p.caption for p in shown.pictures)
    assert all(phase in captions for phase in ground_truth.PHASES)
    assert view.clip.timing is not None
    apex = next(p for p in shown.pictures if "apex" in p.caption)
    assert apex.frame == pytest.approx(view.clip.timing.apex_ms * view.clip.fps / 1000, abs=0.5)
    image = Image.open(io.BytesIO(apex.jpeg))
    assert (image.size, image.format) == ((SIDE_PX, SIDE_PX), "JPEG")
    true = Image.fromarray(read_frame(view.path, apex.frame)).resize(image.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(image, float) - np.asarray(true, float)).mean() < 4


def test_difference_of_a_frozen_clip_is_grey(tmp_path: Path) -> None:
    """The last picture shows that nothing happens; with one patch changed it shows the patch."""
    folder = tmp_path / "still"
    folder.mkdir()
    picture = stream(0, "still").integers(60, 190, (64, 96, 3)).astype(np.uint8)
    for i in range(9):
        cv2.imwrite(str(folder / f"img{i:03d}.png"), picture)
    clip = {"clip_id": "c", "file": "still", "n_frames": 9, "fps": 100.0}
    shown = strip(tmp_path, clip)
    assert (shown.problem, shown.basis) == ("", "evenly through the clip")
    last = shown.pictures[-1]
    grey = np.asarray(Image.open(io.BytesIO(last.jpeg)), float)
    assert np.abs(grey - 128).max() <= 2
    assert (last.width, last.height) == (96, 64)
    unknown_rate = strip(tmp_path, {k: v for k, v in clip.items() if k != "fps"})
    assert [p.frame for p in unknown_rate.pictures] == [p.frame for p in shown.pictures]
    assert all(p.time_ms is None for p in unknown_rate.pictures)
    assert "fewer frames" in strip(tmp_path, clip | {"n_frames": 30}).problem
    brighter = picture.copy()
    brighter[16:32, 16:32] = np.clip(brighter[16:32, 16:32].astype(int) + 10, 0, 255)
    cv2.imwrite(str(folder / f"img{shown.pictures[3].frame:03d}.png"), brighter)
    moved = np.asarray(Image.open(io.BytesIO(strip(tmp_path, clip).pictures[-1].jpeg)), float)
    assert moved[20:28, 20:28].mean() == pytest.approx(128 + GAIN * 10, abs=4)
    assert moved[40:, 50:].mean() == pytest.approx(128, abs=2)


def test_a_short_clip_gives_a_short_strip(mesh_clips: Dataset) -> None:
    view = next(iter(mesh_clips))
    clip = {"clip_id": "c", "file": view.clip.file, "n_frames": 2, "fps": view.clip.fps}
    assert [p.frame for p in strip(mesh_clips.root, clip).pictures] == [0, 1, None]


def test_measured_times_serve_where_the_true_ones_are_not_known(mesh_clips: Dataset) -> None:
    view = next(iter(mesh_clips))
    measured = {
        f"measured_{p}_ms": t for p, t in zip(ground_truth.PHASES, (400.0, 600.0, 800.0), strict=True)
    }
    shown = strip(mesh_clips.root, {"clip_id": "c", "file": view.clip.file} | measured)
    assert shown.basis == "measured times"
    assert len(shown.pictures) == N_FRAMES + 1


def test_an_unreadable_clip_is_shown_without_pictures(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    shown = strip(tmp_path, {"clip_id": "c", "file": "a.mp4"})
    assert shown.pictures == ()
    assert "empty file" in shown.problem
