"""The records of `replica verify --record`: which CPUs came to which bytes, as a table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, ConfigDict, Field

from replica.common.arguments import Arguments
from replica.common.errors import UserError
from replica.report.environment import cell

FOLDER = "witnesses"
Outcome = Literal["the same bytes", "other bytes, the same results", "other results"]
SAME, ALIKE, OTHER = get_args(Outcome)
ORDER = ("emulated", "name", "family", "model")
COLUMNS = ("CPU", "", "AVX2", "AVX-512", "C library", "TensorFlow", "verified", "outcome")


def shown(text: str) -> str:
    """Refuse what a terminal would obey or hide."""
    if not text.isprintable():
        raise ValueError("not printable")
    return text


def below(path: str) -> str:
    """Refuse a path that leads out of the clone."""
    if ".." in PurePosixPath(path).parts:
        raise ValueError("leads out")
    return path


Word = Annotated[str, Field(max_length=300), AfterValidator(shown)]
Inside = Annotated[Word, AfterValidator(below)]
Number = Annotated[int, Field(ge=0, lt=2**31)]


class Part(Arguments):
    """Part of a record, which anyone may have written; a later version may say more."""

    model_config = ConfigDict(extra="ignore")


class Cpu(Part):
    name: Word
    family: Number
    model: Number
    flags: list[Word]
    emulated: bool


class Machine(Part):
    cpu: Cpu
    libc: Word
    os: Word
    python: Word
    libraries: dict[Word, Word]


class Witness(Part):
    machine: Machine
    commit: Annotated[str, Field(pattern="^[0-9a-f]{40,64}$")]
    targets: list[Word]
    outcome: Outcome
    digests: dict[Word, dict[Inside, Word]]


def named(cpu: dict[str, Any]) -> str:
    """A CPU's name, and what tells its generation where a virtual machine says no more than "AMD EPYC"."""
    return f"{cpu['name']}, family {cpu['family']}, model {cpu['model']}"


def read(root: Path) -> list[dict[str, Any]]:
    """The records as they lie in the workspace, by file name; raises what `parsed` does."""
    return [parsed(file.read_bytes(), str(file)) for file in sorted(Path(root, FOLDER).glob("*.json"))]


def parsed(text: str | bytes, file: str) -> dict[str, Any]:
    """One record.

    Raises
    ------
    UserError
        Where the text is none, or holds what no machine says.
    """
    try:
        found: dict[str, Any] = json.loads(text)
        Witness.model_validate(found)
    except (ValueError, RecursionError):
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
