"""A comparison of two revisions: as a table on a terminal, as Markdown, as JSON."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from replica.commands import overview
from replica.commands.compare import paired
from replica.commands.compare.compare import NOT_RUN, SAME, Change, Comparison, Row, signed
from replica.commands.compare.revisions import Accuracy, Revision
from replica.common.files import as_json
from replica.report.environment import environment
from replica.report.verdicts import p_value

STYLES = {"better": "bold green", "worse": "bold red", "other data": "yellow", "new": "cyan", "gone": "cyan"}
NONE = "–"
WIDE = 120  # columns from which an interval fits beside its figure; else it goes below
HEADER = ("variant", "before", "after", "difference", "verdict")


def show(comparison: Comparison, everything: bool = False) -> None:
    """Print what differs, then what was changed; with `everything`, also the variants that are the same."""
    console = overview.console()
    rows = shown(comparison, everything)
    between = " " if console.width >= WIDE else "\n"
    scores = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in HEADER:
        scores.add_column(name, no_wrap=name != "variant", overflow="fold")
    reasons = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for name in ("variant", "changed"):
        reasons.add_column(name, overflow="fold")
    for row in rows:
        *cells, (word, p) = figures(row)
        verdict = Text(word if between == "\n" else f"{word:12}", STYLES.get(word, "")) + Text(between + p if p else "")
        scores.add_row(Text(row.variant), *(Text(between.join(filter(None, cell))) for cell in cells), verdict)
        if lines := why(row):
            reasons.add_row(Text(row.variant), Text("\n".join(lines)))
    console.print(Text(f"Test accuracy, {title(comparison)}\n"), soft_wrap=True)
    for table in (scores, reasons):
        if table.row_count:
            console.print(table, Text())
    for line in footer(comparison, everything):
        console.print(Text(line))


def markdown(comparison: Comparison, everything: bool = False) -> str:
    """The same for a pull request, as one table."""
    rows = [
        (row.variant, figures(row), [*(f"`{sentence(change)}`" for change in row.changes), *row.notes])
        for row in shown(comparison, everything)
    ]
    template = environment(Path(__file__).parent).get_template("table.md")
    return template.render(title=title(comparison, "`"), rows=rows, footer=footer(comparison, everything)).rstrip()


def dump(comparison: Comparison) -> str:
    """Every variant as JSON; docs/compare.md says what each key means."""
    content = {
        "before": revision(comparison.before),
        "after": revision(comparison.after),
        "confidence": paired.CONFIDENCE,
        "tested": comparison.tested,
        "variants": [entry(row) for row in comparison.rows],
    }
    return json.dumps(as_json(content), indent=2, ensure_ascii=False)


def entry(row: Row) -> dict[str, Any]:
    found = row.paired
    ends = (found.low, found.high) if found else (None, None)
    return {
        "variant": row.variant,
        "verdict": row.verdict,
        "before": ended(row.before),
        "after": ended(row.after),
        "difference": {"value": row.difference, "low": ends[0], "high": ends[1]},
        "p": found.p if found else None,
        "p_holm": row.p,
        "seeds": {str(seed): value for seed, value in row.seeds.items()},
        "parameters": [parameter(change) for change in row.changes],
        "notes": row.notes,
    }


def ended(accuracy: Accuracy | None) -> dict[str, float] | None:
    return dict(zip(("accuracy", "low", "high"), accuracy, strict=True)) if accuracy else None


def parameter(change: Change) -> dict[str, Any]:
    """A side that has no such parameter has no key: null is a value too."""
    sides = {"before": change.before, "after": change.after}
    return {"name": change.name, **{side: value for side, value in sides.items() if value is not ...}}


def revision(of: Revision) -> dict[str, str | None]:
    return {"revision": of.name, "commit": of.commit}


def shown(comparison: Comparison, everything: bool) -> list[Row]:
    return [row for row in comparison.rows if everything or not row.unchanged]


def figures(row: Row) -> list[tuple[str, str]]:
    """Before, after, difference and verdict, each with what belongs beside or below it."""
    found = row.paired
    difference = NONE if row.difference is None else signed(row.difference)
    ends = f"{signed(found.low)}…{signed(found.high)}" if found else ""
    return [
        share(row.before),
        share(row.after),
        (difference, ends),
        (row.verdict, "" if row.p is None else p_value(row.p)),
    ]


def share(accuracy: Accuracy | None) -> tuple[str, str]:
    return (f"{accuracy[0]:.4f}", f"{accuracy[1]:.4f}–{accuracy[2]:.4f}") if accuracy else (NONE, "")


def why(row: Row) -> list[str]:
    return [*map(sentence, row.changes), *row.notes]


def sentence(change: Change) -> str:
    before, after = (NONE if value is ... else overview.as_typed(value) for value in (change.before, change.after))
    return f"{change.name}: {before} -> {after}"


def title(comparison: Comparison, quote: str = "") -> str:
    sides = (comparison.before, comparison.after)
    return " → ".join(f"{quote}{side.name}{quote}" + (f" ({side.commit[:7]})" if side.commit else "") for side in sides)


def footer(comparison: Comparison, everything: bool) -> list[str]:
    """How p values came about, and what the table leaves out."""
    lines = []
    if comparison.tested:
        many = f", Holm's for {comparison.tested} variants" if comparison.tested > 1 else ""
        lines.append(f"p: McNemar's exact test on the test images{many}; intervals: 95%.")
    counts = Counter(row.verdict for row in comparison.rows if row.unchanged and not everything)
    says = {SAME: "same", NOT_RUN: "not run"}
    return lines + [f"{count} variant{'s' * (count > 1)}: {says[word]}" for word, count in counts.items()]
