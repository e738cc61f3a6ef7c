"""Chromium for tests of pages: finds it, starts it, watches what it does.

Where there is no Chromium or no playwright a test that asks for `page_of` is skipped with the reason; with
EQUIME_REQUIRE_BROWSER=1 it fails instead.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 900}


def executable() -> str | None:
    """Path of Chromium: EQUIME_CHROMIUM, else what is on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return os.environ.get("EQUIME_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


def require() -> str:
    """The path of Chromium; skips the test, or fails it with EQUIME_REQUIRE_BROWSER=1, where it cannot run."""
    path = executable()
    reason = None
    if importlib.util.find_spec("playwright") is None:
        reason = "playwright is not installed: pip install playwright"
    elif path is None:
        reason = "no chromium on the PATH; install it or name it in EQUIME_CHROMIUM"
    if reason is not None and os.environ.get("EQUIME_REQUIRE_BROWSER") == "1":
        pytest.fail(f"EQUIME_REQUIRE_BROWSER=1, but {reason}")
    if reason is not None:
        pytest.skip(reason)
    assert path is not None
    return path


@dataclass
class Watched:
    """A page and what happened on it.

    Attributes:
        page: playwright's.
        messages: of the console, errors and warnings.
        errors: uncaught exceptions.
        requests: addresses asked for, other than the page's own and ``data:``.
    """

    page: Any
    messages: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def overflow_px(self) -> int:
        """How far the page can be scrolled sideways."""
        width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(width))


@contextlib.contextmanager
def launch() -> Iterator[Any]:
    """A started Chromium without a window."""
    path = require()
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def page_of(browser: Any, file: Path, *, size: dict[str, int], **options: Any) -> Iterator[Watched]:
    """A file opened as ``file://``, offline.

    Args:
        browser: from `launch`.
        file: an HTML file.
        size: of the window, CSS pixels.
        options: of ``browser.new_context`` (color_scheme, java_script_enabled).
    """
    context = browser.new_context(viewport=size, offline=True, **options)
    address = file.resolve().as_uri()
    try:
        watched = Watched(context.new_page())
        watched.page.on(
            "console", lambda m: watched.messages.append(m.text) if m.type in ("error", "warning") else None
        )
        watched.page.on("pageerror", lambda e: watched.errors.append(str(e)))
        watched.page.on("request", lambda r: _note(watched, r.url, address))
        watched.page.goto(address)
        yield watched
    finally:
        context.close()


def _note(watched: Watched, url: str, address: str) -> None:
    if url.split("#", maxsplit=1)[0] != address and not url.startswith("data:"):
        watched.requests.append(url)
