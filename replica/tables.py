"""CSV files as the stages read and write them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from replica.errors import UserError

HistoryRow = tuple[int, float, str, str, int]  # epoch, value, metric, data, seed
HISTORY = ("epoch", "value", "metric", "data", "seed")


def write(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a CSV beside, then rename; floats have 6 significant digits, and what is not finite is left empty."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("w", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([cell(item) for item in row] for row in rows)
    part.replace(file)


def cell(item: Any) -> Any:
    if isinstance(item, float):
        return f"{item:.6g}" if math.isfinite(item) else ""
    return item


def history(folder: Path, seed: int) -> list[HistoryRow]:
    """The history of a run's folder, the seed added to each row.

    Raises
    ------
    UserError
        Where the run has none.
    """
    try:
        text = (folder / "history.csv").read_text()
    except FileNotFoundError:
        raise UserError(f"{folder}/history.csv: no such file; delete {folder} and run `dvc repro`") from None
    return [
        (int(row["epoch"]), float(row["value"]), row["metric"], row["data"], seed)
        for row in csv.DictReader(text.splitlines())
    ]
