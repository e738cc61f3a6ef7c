"""The audit as one self-contained HTML page, the same as Markdown, and all of it as JSON."""

from __future__ import annotations

from pathlib import Path

from equime.evaluation_framework.audit.records import Audit

FILES = ("audit.html", "audit.md", "audit.json")

SCHEMA = "equime-audit/1"
"""Version of what audit.json holds: the record `Audit`, and this as ``schema``."""


def write_audit(audit: Audit, folder: Path) -> list[Path]:
    """Write `FILES` into a folder; the same audit gives the same bytes.

    Each file appears under its name only when complete. Nothing but the record is read.

    Returns:
        The files, HTML first.

    Raises:
        WorkError: full disk or no write permission.
    """
    from equime.evaluation_framework.audit.report.contents import contents  # noqa: PLC0415
    from equime.evaluation_framework.audit.report.html import write_html  # noqa: PLC0415
    from equime.evaluation_framework.audit.report.markdown import write_markdown  # noqa: PLC0415
    from equime.records import write_atomic  # noqa: PLC0415

    page = contents(audit)
    texts = (write_html(page).encode(), write_markdown(page).encode(), write_json(audit))
    paths = [Path(folder) / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        write_atomic(path, text)
    return paths


def write_json(audit: Audit) -> bytes:
    """UTF-8 JSON with sorted keys and a line feed at the end; NaN is null."""
    from equime.evaluation_framework.report.machine import plain  # noqa: PLC0415
    from equime.seeding import canonical_json  # noqa: PLC0415

    return canonical_json({"schema": SCHEMA} | plain(audit)) + b"\n"
