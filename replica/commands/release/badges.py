"""Badges as SVG files in git: each is drawn from a committed file, and needs no server to be read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from replica.common.errors import UserError
from replica.report.environment import environment, percent

CHARACTER = 6.6  # pixels of Verdana's mean letter at 11 pixels; `textLength` makes the text exactly as wide
BEST = {"MNIST": "mnist_fast", "CIFAR-10": "cifar10_fast"}


def values(root: Path = Path()) -> dict[str, tuple[str, str]]:
    """Each badge's label and value, by its file's name.

    Raises
    ------
    UserError
        Where a file that it reads is missing, or a variant has no score in it.
    """
    try:
        with (root / "plots/claims.csv").open(newline="") as rows:
            verdicts = [row["verdict"] for row in csv.DictReader(rows)]
        scores = json.loads((root / "metrics/summary.json").read_text())
        best = {dataset: scores[name] for dataset, name in BEST.items()}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; run `dvc repro report`") from None
    except KeyError as error:
        raise UserError(f"metrics/summary.json: no {error}; run `dvc repro` for it") from None
    held = sum(verdict.startswith("reproduced") for verdict in verdicts)
    found = {"claims": ("claims reproduced", f"{held} of {len(verdicts)}")}
    found |= {BEST[name]: (f"{name} on one CPU thread", percent(score)) for name, score in best.items()}
    return found


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
