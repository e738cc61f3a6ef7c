"""The audit's page in Chromium: silent, on a phone, on paper, in the dark, sorted, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from equime.evaluation_framework.audit.report import write_audit
from tests import browser
from tests.evaluation_framework.audit import audit_cases as cases
from tests.evaluation_framework.test_report_browser import CONTRAST


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.launch() as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("audits")
    made = {"full": cases.full(planted=True), "bare": cases.bare(), "hostile": cases.hostile()}
    return {name: write_audit(audit, folder / name)[0] for name, audit in made.items()}


@pytest.mark.parametrize("name", ["full", "bare", "hostile"])
@pytest.mark.parametrize("size", [browser.PHONE, browser.DESKTOP], ids=["phone", "desktop"])
def test_silent_and_never_wider_than_the_window(
    chromium: Any, pages: dict[str, Path], name: str, size: dict[str, int]
) -> None:
    with browser.page_of(chromium, pages[name], size=size) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert opened.overflow_px() == 0
        assert (opened.messages, opened.errors, opened.requests) == ([], [], [])


def test_tables_sort_by_number_with_empty_cells_last(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["full"], size=browser.DESKTOP) as opened:
        table = opened.page.locator("#associations table.sortable").first
        heads = table.locator("thead th")
        names = [text.replace("\n", " ").strip() for text in heads.all_inner_texts()]
        bits = next(i for i, name in enumerate(names) if name.startswith("Information"))
        heads.nth(bits).locator("button").click()
        column = table.locator(f"tbody tr > :nth-child({bits + 1})").all_inner_texts()
        assert column[0] == "0.02"
        assert column[-1] == "–"
        assert heads.nth(bits).get_attribute("aria-sort") == "ascending"


def test_readable_without_scripts(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["full"], size=browser.PHONE, java_script_enabled=False) as opened:
        assert opened.page.locator("button").count() == 0
        assert opened.page.locator("h2").count() == 11


def _rgb(srgb: str | None) -> str:
    assert srgb is not None
    return f"rgb({', '.join(str(int(srgb[i : i + 2], 16)) for i in (1, 3, 5))})"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_in_light_and_dark(chromium: Any, pages: dict[str, Path], scheme: str) -> None:
    """WCAG 2.1 AA asks for 4.5 to 1; folded parts too."""
    with browser.page_of(chromium, pages["full"], size=browser.DESKTOP, color_scheme=scheme) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        ratio, where = opened.page.evaluate(CONTRAST)
        assert ratio >= 4.5, where
        fills = opened.page.evaluate(
            "[...document.querySelectorAll('.skin')].map(e => getComputedStyle(e).fill)"
        )
        assert fills[0] == _rgb(
            cases.full(planted=True).skin[0].srgb
        )  # a photograph's colour in either scheme


def test_prints(chromium: Any, pages: dict[str, Path]) -> None:
    """On A4 no table is cut off at the right."""
    with browser.page_of(chromium, pages["full"], size={"width": 688, "height": 1000}) as opened:
        pdf = opened.page.pdf(format="A4")
        assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 30
        opened.page.emulate_media(media="print")
        assert opened.overflow_px() == 0
        wide = "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
        assert max(opened.page.evaluate(wide)) <= 688


def test_wide_tables_scroll_by_keyboard_and_have_names(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["full"], size=browser.PHONE) as opened:
        regions = opened.page.locator(".scroll")
        assert regions.count() > 20
        assert all(regions.nth(i).get_attribute("aria-label") for i in range(regions.count()))
        wide = opened.page.locator("#associations .scroll").first
        assert wide.evaluate("e => e.scrollWidth > e.clientWidth")
        assert wide.get_attribute("tabindex") == "0"
