"""`replica repro --cluster` and `--scheduler`: from the words of the command line to a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from replica.commands.cluster import engines
from replica.commands.cluster.driver import reproduce


def run(
    targets: list[str],
    cluster: str | None,
    scheduler: str | None,
    hosts: str | None,
    remote: str | None,
    insecure: bool,
    jobs: int | None,
    **options: Any,
) -> int:
    """See `reproduce` and `engines.started`, whose parameters these are."""
    console = Console()
    names = [name for name in (hosts or "").split(",") if name]
    folder = Path(".dvc/tmp/replica/cluster")
    connect = engines.started(cluster, scheduler, jobs, names, insecure, folder, console.print)
    return reproduce(targets, connect, jobs=jobs if scheduler else None, remote=remote, console=console, **options)
