"""Reports of an evaluation: one self-contained HTML page, the same as Markdown, and all of it as JSON."""

from __future__ import annotations

from pathlib import Path

from equime.evaluation_framework.evaluation import Evaluation

FILES = ("report.html", "report.md", "report.json")


def write_report(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `FILES` into a folder; the same evaluation gives the same bytes.

    Each file appears under its name only when complete. Frames of the clips that are shown are read from
    ``evaluation.root``; a clip that cannot be read is shown without pictures, with the reason.

    Returns:
        The files, HTML first.

    Raises:
        WorkError: full disk or no write permission.
    """
    from equime.evaluation_framework.report.contents import collect  # noqa: PLC0415
    from equime.evaluation_framework.report.html import write_html  # noqa: PLC0415
    from equime.evaluation_framework.report.machine import write_json  # noqa: PLC0415
    from equime.evaluation_framework.report.markdown import write_markdown  # noqa: PLC0415
    from equime.records import write_atomic  # noqa: PLC0415

    report = collect(evaluation)
    texts = (write_html(report).encode(), write_markdown(report).encode(), write_json(report))
    paths = [Path(folder) / name for name in FILES]
    for path, text in zip(paths, texts, strict=True):
        write_atomic(path, text)
    return paths
