"""The records of `replica verify --record`: which CPUs came to which bytes, as a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replica.common.errors import UserError
from replica.report.environment import cell

FOLDER = "witnesses"
SAME = "the same bytes"
ORDER = ("emulated", "name", "family", "model")
COLUMNS = ("CPU", "", "AVX2", "AVX-512", "C library", "TensorFlow", "verified", "outcome")


def named(cpu: dict[str, Any]) -> str:
    """A CPU's name, and what tells its generation where a virtual machine says no more than "AMD EPYC"."""
    return f"{cpu['name']}, family {cpu['family']}, model {cpu['model']}"


def read(root: Path) -> list[dict[str, Any]]:
    """The records as they lie in the workspace, by file name; raises what `parsed` does."""
    return [parsed(file.read_text(), str(file)) for file in sorted(Path(root, FOLDER).glob("*.json"))]


def parsed(text: str, file: str) -> dict[str, Any]:
    """One record.

    Raises
    ------
    UserError
        Where the text is none.
    """
    try:
        found = json.loads(text)
        assert {"machine", "commit", "targets", "digests", "outcome"} <= found.keys()
    except (ValueError, AssertionError, AttributeError):
        raise UserError(f"{file}: not a record of `replica verify --record`; delete it") from None
    return found


def scored(witness: dict[str, Any], root: Path) -> bool:
    """Whether metrics/details holds the scores that it saw, to the byte: what the report can tell by its inputs."""
    return all(
        (root / path).exists() and hashlib.md5((root / path).read_bytes(), usedforsecurity=False).hexdigest() == md5
        for outs in witness["digests"].values()
        for path, md5 in outs.items()
        if path.startswith("metrics/details/")
    )


def rows(seen: list[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> list[list[str]]:
    """A row of `COLUMNS` for each record: real CPUs first, then emulated ones.

    Parameters
    ----------
    holds
        Whether what a record saw is what is recorded today.
    """
    found = []
    for witness in sorted(seen, key=lambda each: [each["machine"]["cpu"][key] for key in ORDER]):
        machine, cpu = witness["machine"], witness["machine"]["cpu"]
        flags, libraries = set(cpu["flags"]), machine["libraries"]
        stale = witness["outcome"] == SAME and not holds(witness)
        found.append([
            named(cpu),
            "emulated" if cpu["emulated"] else "real",
            *("yes" if wanted <= flags else "no" for wanted in ({"avx2", "fma"}, {"avx512f"})),
            machine["libc"],
            libraries.get("tensorflow-cpu") or libraries.get("tensorflow", "–"),
            f"{', '.join(witness['targets']) or 'all'} at `{witness['commit'][:7]}`",
            witness["outcome"] + (", of an older dvc.lock" if stale else ""),
        ])  # fmt: skip
    return found


def matrix(table: list[list[str]]) -> str:
    """Such rows as a Markdown table."""
    lines = [f"| {' | '.join(COLUMNS)} |".replace("|  |", "| |"), "| --- " * len(COLUMNS) + "|"]
    return "\n".join(lines + ["| " + " | ".join(map(cell, row)) + " |" for row in table])
