"""`replica repro --cluster` and `--scheduler`: from the words of the command line to a run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from replica.commands.cluster import engines
from replica.commands.cluster.driver import reproduce

if TYPE_CHECKING:
    from distributed import Client


def connect(
    cluster: str | None, scheduler: str | None, hosts: str | None, insecure: bool, jobs: int | None
) -> AbstractContextManager[Client]:
    """See `engines.started`, whose parameters these are."""
    names = [name for name in (hosts or "").split(",") if name]
    folder = Path(".dvc/tmp/replica/cluster")
    return engines.started(cluster, scheduler, jobs, names, insecure, folder, Console().print)


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
    """See `reproduce` and `engines.started`."""
    nodes = connect(cluster, scheduler, hosts, insecure, jobs)
    return reproduce(targets, nodes, jobs=jobs if scheduler else None, remote=remote, **options)
