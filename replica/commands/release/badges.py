"""Badges as SVG files in git: each is drawn from a committed file, and needs no server to be read."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from replica.common import files
from replica.common.errors import UserError
from replica.report.environment import environment, percent

CHARACTER = 6.6  # pixels of Verdana's mean letter at 11 pixels; `textLength` makes the text exactly as wide
BEST = {"MNIST": "mnist_fast", "CIFAR-10": "cifar10_fast"}


def values(root: Path = Path()) -> dict[str, tuple[str, str]]:
    """Each badge's label and value, by its file's name.

    Raises
    ------
    UserError
        Where a file that it reads is missing or broken, or a variant has no score in it.
    """
    verdicts = told(root / "plots/claims.csv")
    file = root / "metrics/summary.json"
    scores = files.read_json(file, "dvc repro report")
    for name in BEST.values():
        if not isinstance(scores, dict) or name not in scores:
            raise UserError(f"{file}: no {name!r}; run `dvc repro` for it")
    held = sum(verdict.startswith("reproduced") for verdict in verdicts)
    found = {"claims": ("claims reproduced", f"{held} of {len(verdicts)}")}
    found |= {BEST[name]: (f"{name} on one CPU thread", percent(scores[BEST[name]])) for name in BEST}
    return found


def told(file: Path) -> list[str]:
    """The verdict of each claim; raises as `values` does."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run `dvc repro report`") from None
    except UnicodeDecodeError:
        raise UserError(f"{file}: not UTF-8; delete it and run `dvc repro report`") from None
    rows = csv.DictReader(io.StringIO(text))
    if "verdict" not in (rows.fieldnames or ()):
        raise UserError(f"{file}: no column 'verdict'; delete it and run `dvc repro report`")
    verdicts = []
    for row in rows:
        if not row["verdict"]:  # a marker of git's, of a conflict, is a row of one column
            raise UserError(f"{file}: line {rows.line_num}: no verdict; delete it and run `dvc repro report`")
        verdicts.append(row["verdict"])
    return verdicts


def write(root: Path = Path()) -> list[Path]:
    """Write badges/*.svg."""
    template = environment(Path(__file__).parent).get_template("badge.svg")
    folder = root / "badges"
    folder.mkdir(exist_ok=True)
    written = []
    for name, (label, value) in values(root).items():
        left, right = (round(12 + CHARACTER * len(text)) for text in (label, value))
        file = folder / f"{name}.svg"
        part = file.with_suffix(".part")
        part.write_text(template.render(label=label, value=value, left=left, right=right) + "\n")
        part.replace(file)
        written.append(file)
    return written
