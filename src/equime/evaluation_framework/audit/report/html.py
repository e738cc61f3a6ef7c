"""Blocks as HTML, in the frame that all reports share."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any, Final

from equime.evaluation_framework.audit.report.blocks import (
    Bar,
    Block,
    Bullets,
    Cell,
    Column,
    Figure,
    Figures,
    Fold,
    Heading,
    Page,
    Source,
    Swatch,
    Swatches,
    Table,
    Text,
)
from equime.evaluation_framework.report.markup import Markup, join, tag
from equime.evaluation_framework.report.page import page, prose, shade

_COLOUR: Final = re.compile(r"#[0-9a-fA-F]{6}")
_BAR_PX: Final = 120.0


def write_html(shown: Page) -> str:
    """The page as text."""
    style = (files(__package__) / "audit.css").read_text("utf-8")
    facts = [join(tag("dt", name), tag("dd", value)) for name, value in shown.facts]
    opening = tag("header", tag("h1", shown.title), tag("dl", facts, class_="measured"))
    sections = [(s.key, s.title, _blocks(s.blocks)) for s in shown.sections]
    return page(shown.title, opening, sections, more_style=style)


def _blocks(blocks: tuple[Block, ...]) -> Markup:
    return join([_block(block) for block in blocks])


def _block(block: Block) -> Markup:
    return _WRITERS[type(block)](block)


def _heading(block: Heading) -> Markup:
    return tag(f"h{block.level}", block.text)


def _text(block: Text) -> Markup:
    return tag("p", prose(block.text), class_="soft" if block.soft else None)


def _figures(block: Figures) -> Markup:
    title = tag("h3", block.title) if block.title else None
    return join(title, tag("div", [_figure(figure) for figure in block.figures], class_="grid-3"))


def _swatches(block: Swatches) -> Markup:
    return tag("ul", [_swatch(s) for s in block.swatches], class_="swatches", aria_label=block.label)


def _fold(block: Fold) -> Markup:
    return tag("details", tag("summary", block.title), _blocks(block.blocks), class_="more")


def _source(block: Source) -> Markup:
    return tag("pre", block.text, role="region", aria_label=block.label, tabindex="0")


def _bullets(block: Bullets) -> Markup:
    leads = block.leads or ("",) * len(block.items)
    items = [
        tag("li", join(tag("strong", lead), " ") if lead else None, prose(text))
        for lead, text in zip(leads, block.items, strict=True)
    ]
    return tag("ul", items, class_="prose")


def _table(block: Table) -> Markup:
    """A table that scrolls sideways within the page where it is too wide."""
    head = [_head(column) for column in block.columns]
    body = tag("tbody", [_row(block, cells) for cells in block.rows])
    class_ = {"sortable": "sortable pinned", "heat": "heat", "plain": "pinned"}[block.kind]
    content = tag("table", tag("caption", block.label), tag("thead", tag("tr", head)), body, class_=class_)
    return tag("div", content, class_="scroll", role="region", aria_label=block.label, tabindex="0")


def _head(column: Column) -> Markup:
    return tag("th", column.name, scope="col", class_="num" if column.numeric else None)


def _row(block: Table, cells: tuple[Cell, ...]) -> Markup:
    first, *rest = cells
    pairs = zip(block.columns[1:], rest, strict=True)
    return tag("tr", tag("th", _content(first), scope="row"), [_cell(block, c, cell) for c, cell in pairs])


def _cell(block: Table, column: Column, cell: Cell) -> Markup:
    kinds = ["num"] if column.numeric and block.kind != "heat" else []
    if cell.shade is not None:
        kinds.append(shade(cell.shade, 1.0))
    kinds.append(cell.mark)
    sorts = None
    if block.kind == "sortable" and column.numeric:
        sorts = "" if cell.value is None else repr(cell.value)
    return tag("td", _content(cell), class_=" ".join(filter(None, kinds)) or None, data_value=sorts)


def _content(cell: Cell) -> Markup:
    if cell.bar is not None:
        return _bar(cell.bar)
    return tag("code", cell.text) if cell.code else prose(cell.text)


def _bar(bar: Bar) -> Markup:
    """The numbers stand beside it, so it is hidden from readers of the text."""
    x = _BAR_PX
    parts = [tag("rect", x=0.0, y=3.0, width=x * bar.share, height=10.0, class_="share")]
    if bar.low is not None and bar.high is not None:
        parts.append(tag("line", x1=x * bar.low, x2=x * bar.high, y1=8.0, y2=8.0, class_="reach"))
    if bar.target is not None:
        parts.append(tag("line", x1=x * bar.target, x2=x * bar.target, y1=0.0, y2=16.0, class_="target"))
    return tag(
        "svg", parts, viewBox=f"0 0 {x:g} 16", width=f"{x:g}", height="16", class_="bar", aria_hidden="true"
    )


def _figure(figure: Figure) -> Markup:
    caption = tag("figcaption", tag("strong", figure.title), figure.note and f", {figure.note}")
    return tag("figure", caption, figure.plot, class_="wide" if figure.wide else None)


def _swatch(swatch: Swatch) -> Markup:
    fill = swatch.srgb if _COLOUR.fullmatch(swatch.srgb) else "none"
    patch = tag("rect", x=0.0, y=0.0, width=40.0, height=40.0, fill=fill, class_="skin")
    picture = tag(
        "svg", tag("title", swatch.title), patch, viewBox="0 0 40 40", width="40", height="40", role="img",
        aria_label=swatch.title,
    )  # fmt: skip
    return tag("li", picture, [tag("span", line) for line in swatch.lines])


_WRITERS: Final[dict[type, Callable[[Any], Markup]]] = {
    Heading: _heading,
    Text: _text,
    Bullets: _bullets,
    Table: _table,
    Figure: _figure,
    Figures: _figures,
    Swatches: _swatches,
    Fold: _fold,
    Source: _source,
}
