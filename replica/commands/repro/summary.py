"""How a run went: the last lines the user reads, and the timeline."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from replica.commands.repro.display import duration, tail


@dataclass
class Outcome:
    """How a stage ended.

    Attributes
    ----------
    state
        `unchanged`, `cached` (its outputs came from the run cache, or were only verified), `done`, `failed`,
        `interrupted`, or `skipped` (a stage it needs did not end well).
    began, seconds
        When its command began, in seconds from the run's start, and how long it took; 0 where none ran.
    memory
        MiB that its commands had at the most.
    words
        What went wrong, or which stage it lacks.
    """

    state: str = "cached"
    began: float = 0.0
    seconds: float = 0.0
    memory: float = 0.0
    words: str = ""


def counts(outcomes: Iterable[Outcome]) -> str:
    """Such as `3 done, 1 failed, 12 unchanged`."""
    return ", ".join(f"{n} {state}" for state, n in sorted(Counter(outcome.state for outcome in outcomes).items()))


def write_timeline(path: Path, outcomes: dict[str, Outcome]) -> None:
    """Write one row a command that ran: stage, state, start, seconds and MiB."""
    ran = [(outcome.began, name, outcome) for name, outcome in outcomes.items() if outcome.seconds]
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["stage", "state", "start", "seconds", "MiB"])
        for began, name, outcome in sorted(ran):
            writer.writerow([name, outcome.state, f"{began:.3f}", f"{outcome.seconds:.3f}", f"{outcome.memory:.0f}"])


def tell(console: Console, outcomes: dict[str, Outcome], wall: float, log: Callable[[str], Path]) -> None:
    """Print the sums, then each failed stage with the end of its log, then what was not run for its sake."""

    def say(text: str, style: str | None = None) -> None:
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    total = sum(outcome.seconds for outcome in outcomes.values())
    commands = f"; commands took {duration(total)}, {total / wall:.2f} at once" if total else ""
    say(f"{counts(outcomes.values()) or 'no stages'} in {duration(wall)}{commands}")
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.state == "failed"}
    for name, outcome in failed.items():
        say(f"\nfailed: {name}: {outcome.words}", "bold red")
        if outcome.seconds:
            for line in tail(log(name)):
                say(f"  {line}")
            say(f"  log: {os.path.relpath(log(name))}")
    for name, outcome in outcomes.items():
        if outcome.state == "skipped" and outcome.words in failed:
            say(f"not run: {name}, which needs {outcome.words}")
