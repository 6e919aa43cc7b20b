"""What a verification found, as text, Markdown or JSON."""

from __future__ import annotations

import json
from typing import Any

from replica.commands.verify.run import SAME, Found
from replica.common.files import as_json
from replica.report.environment import cell, signed
from replica.report.verdicts import p_value

FORMATS = ("text", "json", "markdown")
HEADER = ("variant", "recorded", "here", "difference", "95% interval", "tolerance", "p")


def say(found: Found, form: str) -> str:
    """The whole report in one of `FORMATS`."""
    return {"text": text, "json": dump, "markdown": markdown}[form](found)


def headline(found: Found) -> str:
    """The outcome in one line."""
    what = f"{', '.join(found.targets) or 'all'} at {found.commit[:7]}"
    if found.outcome == SAME:
        return f"The same bytes as committed: {what}."
    many = f"{len(found.differing)} of {len(found.stages)} stages of {what}"
    return f"{found.outcome.capitalize()}: {many}; first {first(found)}."


def first(found: Found) -> str:
    """The first stage and file that differ, and from which epoch and tensor on."""
    each = found.differing[0]
    words = [each.stage, each.weights or each.files[0]]
    if each.epoch:
        words.append(f"from epoch {each.epoch} on")
    if each.tensor:
        words.append(f"tensor {each.tensor}")
    return ", ".join(words)


def text(found: Found) -> str:
    lines = [headline(found)]
    if found.scores:
        cells = [HEADER, *rows(found)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(HEADER))]
        lines += ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)]
    lines += ["", *reasons(found)] if found.differing else []
    return "\n".join(lines)


def markdown(found: Found) -> str:
    lines = [f"**Warning**: {found.warning}", ""] if found.warning else []
    lines.append(f"**{found.outcome.capitalize()}**: {headline(found).partition(': ')[2]}")
    if found.scores:
        table = [HEADER, ("---",) * len(HEADER), *rows(found)]
        lines += ["", *("| " + " | ".join(map(cell, row)) + " |" for row in table)]
    lines += ["", *(f"- {line}" for line in reasons(found))] if found.differing else []
    return "\n".join(lines)


def rows(found: Found) -> list[tuple[str, ...]]:
    return [
        (
            each.name,
            f"{each.recorded:.4f}",
            f"{each.ours:.4f}",
            signed(each.difference),
            "–" if each.low is None else f"{each.low:+.4f} – {each.high:+.4f}".replace("-", "−"),
            f"±{each.tolerance:.4f}",
            "–" if each.p is None else p_value(each.p),
        )
        for each in found.scores
    ]


def reasons(found: Found) -> list[str]:
    """Other figures, then what may have made the difference."""
    lines = [f"other figures: {file}" for file in found.others]
    lines += found.apart
    if not found.witnesses:
        lines.append("no witness of the recorded bytes in witnesses/: what sets this machine apart is not known")
    elif not found.apart:
        lines.append(f"nothing that is recorded sets this machine apart from the {found.witnesses} in witnesses/")
    return lines


def dump(found: Found) -> str:
    """docs/verify.md says what each key means."""
    start: Any = found.differing[0] if found.differing else None
    content = {
        "outcome": found.outcome,
        "status": found.status,
        "warning": found.warning or None,
        "commit": found.commit,
        "targets": found.targets,
        "stages": len(found.stages),
        "first": start and {
            "stage": start.stage, "file": start.weights or start.files[0], "epoch": start.epoch, "tensor": start.tensor,
        },
        "differing": {each.stage: each.files for each in found.differing},
        "scores": {
            each.name: {
                "recorded": each.recorded, "here": each.ours, "difference": each.difference, "low": each.low,
                "high": each.high, "tolerance": each.tolerance, "p": each.p, "same": each.same,
            }
            for each in found.scores
        },
        "others": found.others,
        "apart": found.apart,
        "witnesses": found.witnesses,
        "digests": found.digests,
    }  # fmt: skip
    return json.dumps(as_json(content), indent=2, ensure_ascii=False)
