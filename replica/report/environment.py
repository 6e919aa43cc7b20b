"""Jinja's environment, and how templates write figures. HTML is escaped, an unknown name is an error."""

from __future__ import annotations

import math
from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def environment(*folders: Path) -> jinja2.Environment:
    """The templates of replica/report/templates, and of other folders before them."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=jinja2.select_autoescape(["html", "svg"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"percent": percent, "signed": signed, "figure": figure, "count": "{:,}".format}
    made.filters |= {"cell": cell, "short": short}
    return made


def cell(text: str) -> str:
    """Text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def short(value: float | None, unit: str) -> str:
    """A number in few digits; nothing for none."""
    return "" if value is None else f"{value:.2%}" if unit == "%" else f"{value:.4g}"


def percent(share: float | None, digits: int = 2) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f}%".replace("-", "−")


def figure(value: float | None, unit: str = "") -> str:
    """A figure of a claim in its unit: `%`, `s`, or none; a dash for none and for what a diverged training left."""
    if value is None or not math.isfinite(value):
        return "–"
    if unit == "%":
        return percent(value)
    text = f"{value:.1f} s" if unit == "s" else f"{value:.0f}" if value == int(value) else f"{value:.4f}"
    return text.replace("-", "−")


def signed(value: float | None, unit: str = "") -> str:
    """A difference, with its sign; of percentages in points."""
    if value is None or not math.isfinite(value):
        return ""
    text = figure(abs(value), unit).replace("%", "")
    sign = "" if not text.strip("0. s") else "+" if value > 0 else "−"
    return sign + text
