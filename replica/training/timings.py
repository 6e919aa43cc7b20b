"""Seconds, kept apart from all that must be byte-equal: `timings/VARIANT.json`, outside DVC's outputs and git."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path

from replica.common import files


def record(file: Path, seconds: dict[int, float], seeds: list[int]) -> None:
    """Add a variant's seconds of training by seed to its file, and drop seeds that are no longer asked for.

    `train_seconds` is their mean. The CPU's kind is kept as well, without which seconds say little. A file that cannot
    be read or written is a warning: the runs themselves lose nothing.
    """
    try:
        _record(file, seconds, seeds)
    except OSError as error:
        print(f"warning: {file}: {error.strerror}; the seconds of this training are not kept", file=sys.stderr)


def _record(file: Path, seconds: dict[int, float], seeds: list[int]) -> None:
    try:
        known = json.loads(file.read_text())["seeds"] if file.exists() else {}
    except (ValueError, KeyError):  # a full disk's
        known = {}
    known = {str(seed): seconds.get(seed, known.get(str(seed))) for seed in seeds}
    measured = {seed: round(value, 3) for seed, value in known.items() if value is not None}
    if not measured:
        return
    content = {
        "train_seconds": round(sum(measured.values()) / len(measured), 3),
        "seeds": measured,
        "cpu": cpu(),
    }
    file.parent.mkdir(exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content, indent=2) + "\n")
    part.replace(file)


def cpu() -> str:
    """The processor's name, and how many of its cores there are."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    name = text.partition("model name")[2].partition("\n")[0].strip("\t :") or platform.processor()
    return f"{name or platform.machine()}, {os.cpu_count()} cores"


def publish(names: list[str], folder: Path, file: Path) -> int:
    """Write the seconds of the named variants as the record that the page shows, and return how many there are.

    The record is committed on purpose, as a measurement; results do not depend on it.
    """
    rows = []
    for name in names:
        source = folder / f"{name}.json"
        if source.exists():
            content = json.loads(source.read_text())
            rows.append([name, content["train_seconds"], len(content["seeds"]), content["cpu"]])
    files.write_csv(file, ("variant", "train_seconds", "seeds", "cpu"), rows)
    return len(rows)
