"""One self-contained HTML page: words first, figures with a text for who cannot see them, tables, what it was made with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from recbole_esmr.files import finite
from recbole_esmr.writing import written_whole


@dataclass(frozen=True)
class Chart:
    """A figure of plotly.

    Attributes:
        data, layout: as plotly.js takes them; colours of paper, axes and text are the page's own.
        alt: the figure in words, for who does not see it.
        caption: what it shows.
        height: in pixels.
        number: its place among the page's figures.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    alt: str
    caption: str
    height: int = 380
    number: int = 0


@dataclass(frozen=True)
class Section:
    """A part of the page: sentences, figures, tables, and what is folded away (title and text)."""

    title: str
    text: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[pd.DataFrame] = ()
    details: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Page:
    """All that is on it; the headline says in words what was found."""

    title: str
    headline: Sequence[str]
    sections: Sequence[Section] = field(default_factory=tuple)


def save_page(path: str | Path, page: Page) -> Path:
    """Write the page; nothing in it is fetched from anywhere. Returns the path."""
    with written_whole(path) as temporary:
        temporary.write_text(html(page), encoding="utf-8")
    return Path(path)


def html(page: Page) -> str:
    """The page as text. All that comes from data is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    charts = [chart for section in page.sections for chart in section.charts]
    numbers = iter(range(len(charts)))
    sections = [
        {
            "title": section.title,
            "text": section.text,
            "charts": [replace(chart, number=next(numbers)) for chart in section.charts],
            "tables": [
                {"columns": list(map(str, table.columns)), "rows": [[_cell(cell) for cell in row] for row in table.to_numpy()]}
                for table in section.tables
                if len(table)
            ],
            "details": section.details,
        }
        for section in page.sections
    ]
    environment = Environment(
        loader=PackageLoader("recbole_esmr.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shown = json.dumps([{"data": finite(chart.data), "layout": chart.layout} for chart in charts], allow_nan=False)
    return environment.get_template("page.html").render(
        page={"title": page.title, "headline": page.headline, "sections": sections},
        charts=shown.replace("<", "\\u003c"),
        plotly=_plotly() if charts else "",
    )


def _cell(value: Any) -> tuple[str, str]:
    """What is bold in a cell, ``**so**``, and the rest."""
    bold = re.fullmatch(r"\*\*(.*?)\*\*(.*)", str(value))
    return (bold[1], bold[2]) if bold else ("", str(value))


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs()).replace("</script", "<\\/script")
