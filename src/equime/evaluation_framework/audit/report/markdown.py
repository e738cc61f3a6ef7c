"""Blocks as GitHub Markdown: the same words and tables, without pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from equime.evaluation_framework.audit.report.blocks import (
    Block,
    Bullets,
    Cell,
    Fold,
    Heading,
    Page,
    Table,
    Text,
)
from equime.evaluation_framework.report.markdown_text import code, grid, text


def write_markdown(shown: Page) -> str:
    """The page as text."""
    facts = grid(("What", "Value"), [(text(name), text(value)) for name, value in shown.facts])
    parts = [f"# {text(shown.title)}", facts]
    for section in shown.sections:
        parts += [f"## {text(section.title)}", *lines(section.blocks)]
    return "\n\n".join(parts) + "\n"


def lines(blocks: Iterable[Block]) -> Iterator[str]:
    """Paragraphs of the blocks; plots, swatches and sources give none."""
    for block in blocks:
        match block:
            case Heading():
                yield f"{'#' * block.level} {text(block.text)}"
            case Text():
                yield _prose(block.text)
            case Bullets() if block.items:
                yield _bullets(block)
            case Table():
                yield from _table(block)
            case Fold():
                folded = list(lines(block.blocks))
                yield from (f"**{text(block.title)}**", *folded) if folded else ()
            case _:
                continue


def _bullets(block: Bullets) -> str:
    leads = block.leads or ("",) * len(block.items)
    pairs = zip(leads, block.items, strict=True)
    return "\n".join(f"* {f'**{text(lead)}** ' if lead else ''}{_prose(item)}" for lead, item in pairs)


def _table(block: Table) -> Iterator[str]:
    kept = [i for i, column in enumerate(block.columns) if not column.bar]
    yield f"*{text(block.label)}*"
    yield grid(
        [text(block.columns[i].name) for i in kept],
        [[_cell(cells[i]) for i in kept] for cells in block.rows],
        [n for n, i in enumerate(kept) if block.columns[i].numeric],
    )


def _cell(cell: Cell) -> str:
    return code(cell.text) if cell.code else _prose(cell.text)


def _prose(words: str) -> str:
    """Text in which what stands between backticks is code, as in messages that name a command."""
    parts = words.split("`")
    if len(parts) % 2 == 0:
        return text(words)
    # `text` strips spaces, which belong around the code.
    return "".join(code(part) if i % 2 else _spaced(part) for i, part in enumerate(parts))


def _spaced(part: str) -> str:
    found = text(part)
    return f"{' ' * part[:1].isspace()}{found}{' ' * (part[-1:].isspace() and bool(found))}"
