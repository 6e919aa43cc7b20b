"""CSV and JSON files as the stages read and write them: written beside, then renamed."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replica.common.errors import UserError

HistoryRow = tuple[int, float, str, str, int]  # epoch, value, metric, data, seed
HISTORY = ("epoch", "value", "metric", "data", "seed")


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
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


def as_json(value: Any) -> Any:
    """The same as JSON has it: floats of 6 significant digits, null for what is not a number."""
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [as_json(item) for item in value]
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def read_json(file: Path, repair: str) -> Any:
    """A JSON file of an earlier stage's.

    Raises
    ------
    UserError
        Where it is missing or is not JSON; the message says which command makes it anew.
    """
    try:
        return json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run `{repair}`") from None
    except ValueError:
        raise UserError(f"{file}: not JSON; delete it and run `{repair}`") from None


def write_json(content: Mapping[str, Any], file: Path) -> None:
    """Write JSON beside, then rename: in the order as it stands, a list of numbers on one line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(indented(as_json(content)) + "\n")
    part.replace(file)


def indented(value: Any, start: str = "\n") -> str:
    """JSON with a key or an item a line, but a list of numbers on one; `start` begins a line where the value stands."""
    inner = start + "  "
    if isinstance(value, dict) and value:
        items = [f"{json.dumps(str(key))}: {indented(item, inner)}" for key, item in value.items()]
        return "{" + ",".join(inner + item for item in items) + start + "}"
    if isinstance(value, list) and any(isinstance(item, str | list | dict) for item in value):
        return "[" + ",".join(inner + indented(item, inner) for item in value) + start + "]"
    return json.dumps(value)
