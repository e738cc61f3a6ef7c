"""The page in Chromium: offline, silent, on a phone, on paper, in the dark, sorted, without scripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from equime.dataset import Dataset
from equime.evaluation_framework.report import write_report
from tests import browser
from tests.evaluation_framework import report_cases as cases


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.launch() as started:
        yield started


@pytest.fixture(scope="module")
def pages(mesh_clips: Dataset, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of drawn values, of clips with pictures, and of nothing."""
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "drawn": cases.drawn(),
        "pictures": cases.of_dataset(mesh_clips),
        "nothing": cases.without_values(),
    }
    return {name: write_report(found, folder / name)[0] for name, found in made.items()}


def test_without_a_browser_tests_are_skipped_or_fail_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("EQUIME_CHROMIUM", raising=False)
    monkeypatch.delenv("EQUIME_REQUIRE_BROWSER", raising=False)
    with pytest.raises(pytest.skip.Exception, match="chromium"):
        browser.require()
    monkeypatch.setenv("EQUIME_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="chromium"):
        browser.require()


@pytest.mark.parametrize("name", ["drawn", "pictures", "nothing"])
@pytest.mark.parametrize("size", [browser.PHONE, browser.DESKTOP], ids=["phone", "desktop"])
def test_silent_offline_and_never_wider_than_the_window(
    chromium: Any, pages: dict[str, Path], name: str, size: dict[str, int]
) -> None:
    with browser.page_of(chromium, pages[name], size=size) as opened:
        opened.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert opened.overflow_px() == 0
        broken = opened.page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
        assert broken == 0
        assert (opened.messages, opened.errors, opened.requests) == ([], [], [])


def test_the_watch_sees_requests_and_errors(chromium: Any, tmp_path: Path) -> None:
    """The test above would pass with a watch that sees nothing."""
    bad = tmp_path / "bad.html"
    wide = "<div style='width:3000px'>x</div>"
    bad.write_text(
        f"<img src='https://example.org/a.png'>{wide}<script>console.error('x'); nothing()</script>"
    )
    with browser.page_of(chromium, bad, size=browser.PHONE) as opened:
        assert opened.requests == ["https://example.org/a.png"]
        assert "x" in opened.messages
        assert len(opened.errors) == 1
        assert opened.overflow_px() > 2000


def test_pictures_are_there(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["pictures"], size=browser.DESKTOP) as opened:
        assert opened.page.locator(".strip img").count() >= 8
        alts = opened.page.evaluate("[...document.images].map(i => i.alt)")
        assert all(alts)


def column(page: Any, index: int) -> list[str]:
    cells = page.locator(f"table.sortable tbody tr > :nth-child({index + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_clips_can_be_sorted_by_any_column(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["drawn"], size=browser.DESKTOP) as opened:
        heads = opened.page.locator("table.sortable thead th")
        names = [text.replace("\n", " ").strip() for text in heads.all_inner_texts()]
        apex = next(i for i, name in enumerate(names) if "apex error" in name)
        before = column(opened.page, 0)
        button = heads.nth(apex).locator("button")
        button.click()
        values = column(opened.page, apex)
        assert values[-1] == "–"  # The frozen clip has no apex; no value comes last.
        assert [float(v) for v in values[:-1]] == sorted(float(v) for v in values[:-1])
        assert heads.nth(apex).get_attribute("aria-sort") == "ascending"
        button.focus()
        opened.page.keyboard.press("Enter")
        values = column(opened.page, apex)
        assert values[-1] == "–"
        assert [float(v) for v in values[:-1]] == sorted((float(v) for v in values[:-1]), reverse=True)
        heads.nth(0).locator("button").click()
        assert sorted(column(opened.page, 0)) == sorted(before)
        assert opened.page.locator("[aria-sort]").count() == 1


def test_readable_without_scripts(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["drawn"], size=browser.PHONE, java_script_enabled=False) as opened:
        assert opened.page.locator("table.sortable tbody tr").count() == 40
        assert opened.page.locator("button").count() == 0
        assert opened.page.locator("h2").count() == 11


def test_a_file_name_does_not_run(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["drawn"], size=browser.DESKTOP) as opened:
        dialogs: list[str] = []
        opened.page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
        opened.page.reload()
        assert dialogs == []
        assert cases.EVIL in opened.page.locator("#all-clips").inner_text()


@pytest.mark.parametrize("name", ["drawn", "pictures"])
def test_prints(chromium: Any, pages: dict[str, Path], name: str) -> None:
    """A PDF of several pages; on A4 no table is cut off at the right, and no picture is taller than a page."""
    with browser.page_of(chromium, pages[name], size={"width": 688, "height": 1000}) as opened:
        pdf = opened.page.pdf(format="A4")
        n_pages = len(re.findall(rb"/Type\s*/Page\b", pdf))
        assert pdf.startswith(b"%PDF")
        assert 3 <= n_pages <= 20
        opened.page.emulate_media(media="print")
        assert opened.overflow_px() == 0
        wide = "[...document.querySelectorAll('table')].map(t => t.getBoundingClientRect().right)"
        assert max(opened.page.evaluate(wide)) <= 688
        breaks = "[...document.querySelectorAll('figure, .clip')].map(e => getComputedStyle(e).breakInside)"
        assert set(opened.page.evaluate(breaks)) == {"avoid"}


CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; })
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const backdrop = (e) => {
    const stack = [];
    for (let n = e; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length) { stack.push(c); if (c[3] === undefined || c[3] === 1) break; }
    }
    return stack.reverse().reduce((under, c) => {
      const a = c[3] === undefined ? 1 : c[3];
      return [0, 1, 2].map((i) => c[i] * a + under[i] * (1 - a));
    }, [255, 255, 255]);
  };
  const worst = [];
  for (const e of document.querySelectorAll('body *')) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()) || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(e.namespaceURI.endsWith('svg') ? style.fill : style.color)), light(backdrop(e))];
    worst.push([(Math.max(a, b) + .05) / (Math.min(a, b) + .05), e.tagName + '.' + e.getAttribute('class')]);
  }
  return worst.sort((x, y) => x[0] - y[0])[0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_in_light_and_dark(chromium: Any, pages: dict[str, Path], scheme: str) -> None:
    """WCAG 2.1 AA asks for 4.5 to 1."""
    with browser.page_of(chromium, pages["drawn"], size=browser.DESKTOP, color_scheme=scheme) as opened:
        ratio, where = opened.page.evaluate(CONTRAST)
        assert ratio >= 4.5, where
        paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_tables_can_be_scrolled_by_keyboard(chromium: Any, pages: dict[str, Path]) -> None:
    with browser.page_of(chromium, pages["drawn"], size=browser.PHONE) as opened:
        wide = opened.page.locator("#summary .scroll")
        assert wide.evaluate("e => e.scrollWidth > e.clientWidth")
        wide.focus()
        opened.page.keyboard.press("ArrowRight")
        for _ in range(50):  # The page's policy forbids what playwright's wait_for_function needs.
            if wide.evaluate("e => e.scrollLeft"):
                break
            opened.page.wait_for_timeout(50)
        assert wide.evaluate("e => e.scrollLeft") > 0
        assert wide.get_attribute("aria-label")
