"""A sweep from its first check to its last line: what `replica sweep` calls."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from dask.system import CPU_COUNT
from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich.console import Console
from rich.table import Table

from replica.commands import overview, restorable
from replica.commands.git import git
from replica.commands.sweep import overrides, workspace
from replica.commands.sweep.space import parse
from replica.commands.sweep.study import SAMPLERS, Study
from replica.commands.sweep.trials import Trials
from replica.commands.verify.record import Record
from replica.common import parameters, reader
from replica.common.errors import UserError
from replica.schema import check

if TYPE_CHECKING:
    from distributed import Client
    from optuna.trial import FrozenTrial

TOP = 5


def sweep(
    variant: str,
    settings: list[str],
    trials: int | None = None,
    sampler: str = "tpe",
    prune: bool = False,
    jobs: int | None = None,
    seed: int = 0,
    name: str | None = None,
    apply: bool = False,
    console: Console | None = None,
    connect: AbstractContextManager[Client] | None = None,
    remote: str | None = None,
) -> int:
    """Run a sweep, or go on with the one of that name.

    Parameters
    ----------
    variant
        An entry of params.yaml's `variants`.
    settings
        `KEY=VALUE` for all trials, or `KEY=DOMAIN` to draw from; see `replica.commands.sweep.space`.
    trials
        How many in all, those of earlier runs included; if None 20, or a grid's combinations.
    sampler
        One of `replica.commands.sweep.study.SAMPLERS`.
    prune
        Stop a trial whose validation accuracy stays below the median of the others' at the same epoch.
    jobs
        Trials at once; as many as cores if None.
    seed
        Of the draws, 0 or above.
    name
        What the experiments' names begin with; VARIANT-SAMPLER if None.
    apply
        At the end, put the best trial into the workspace and score it on the test set.
    console
        Where to print; standard output if None.
    connect
        Gives a dask client, on whose nodes trials train; None: they train here.
    remote
        With `connect`, the DVC remote that nodes reach; the default one if None.

    Returns
    -------
    int
        Exit status: 0; 1 where no trial completed; 128 and the signal's number where the user stopped it.

    Raises
    ------
    UserError
        Where the space, a parameter or the data is not as it must be, or the name is another sweep's.
    """
    console = console or Console()
    check.require("--sampler", sampler, SAMPLERS, "sampler")
    name = name or f"{variant}-{sampler}"
    if not re.fullmatch(r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*", name) or name.endswith(".lock"):
        raise UserError(f"--name {name!r}: allowed: letters, digits and _, with single - or . between")
    for option, number, least in (("--trials", trials, 1), ("--jobs", jobs, 1), ("--seed", seed, 0)):
        if number is not None and number < least:
            raise UserError(f"{option} {number}: at least {least}")
    declared = parameters.declared()
    check.require("variants", variant, declared["variants"], "variant")
    space = parse(settings, variant)
    datasets = overrides.check_sweep(declared, space)
    root = Path.cwd()
    try:
        with Repo() as repo:
            for dataset in sorted(datasets) if connect is None else ():
                workspace.arrays(repo, dataset)
            cache, folder = repo.cache.local_cache_dir, Path(repo.tmp_dir or ".dvc/tmp", "sweeps", name)
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from error
    with Study(folder, space, sampler, seed, prune) as study:
        state = begin(root, study, console)
        declared = yaml.load(git(root, "show", f"{state.tree}:params.yaml"), reader.Loader)
        with nodes(connect, folder, remote) as (told, threads):
            count = study.count(trials)
            each = jobs or threads or CPU_COUNT
            status = Trials(root, cache, declared, study, state, count, each, console, told).run()
        ranked = study.ranked()
        tell(console, study, state)
    if status:
        console.print("stopped; nothing is lost but what ran: the same command goes on from here", highlight=False)
        return status
    if not ranked:
        return 1
    best = ranked[0].user_attrs["name"]
    if not apply:
        words = f"next: the same command with --apply keeps {best} and scores it on the test set, once"
        console.print(words, highlight=False, soft_wrap=True)
        return 0
    return keep(best, variant, state, folder / "kept", remote if connect else None)


@contextmanager
def nodes(
    connect: AbstractContextManager[Client] | None, folder: Path, remote: str | None
) -> Iterator[tuple[dict[str, str], int]]:
    """What each trial is told of a cluster, and how many threads that has; nothing, and 0, where there is none."""
    if connect is None:
        yield {}, 0
        return
    from replica.commands.cluster import security

    with connect as client:
        told = {"scheduler": client.scheduler.address, "remote": remote or ""}
        if told["scheduler"].startswith("tls://"):
            file = folder / "certificate"
            file.unlink(missing_ok=True)
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
                opened.write(security.written(client.security))
            told["certificate"] = str(file)
        yield told, sum(client.nthreads().values())


def begin(root: Path, study: Study, console: Console) -> workspace.Snapshot:
    """The state that all trials start from: now, or when the sweep was begun."""
    before, now = study.snapshot, workspace.snapshot(root)
    if before is None:
        if taken := workspace.experiments(root, now.base, study.name):
            raise UserError(
                f"--name {study.name}: there are experiments of that name already ({taken[0]}, …); take another, "
                f"or remove them: dvc exp remove {' '.join(taken)}"
            )
        if left := workspace.untracked(root):
            console.print(f"note: files that git does not track stay behind: {', '.join(left[:TOP])}", highlight=False)
        study.snapshot = now
        return now
    words = f"going on with {study.name}"
    if now != before:
        words += ", its trials on the files as they were when it was begun"
    if now.base != before.base:
        words += f", at commit {before.base[:7]}: dvc exp show --rev {before.base[:7]}"
    console.print(words, highlight=False, soft_wrap=True)
    return before


def tell(console: Console, study: Study, state: workspace.Snapshot) -> None:
    """Print the best trials, and where the failed ones' logs are."""
    ended, ranked = study.ended(), study.ranked()
    for trial in ended.values():
        if log := trial.user_attrs.get("log"):
            console.print(
                f"failed: {trial.user_attrs['name']}, its log: {os.path.relpath(log)}", highlight=False, soft_wrap=True
            )
    if not ranked:
        return
    table = Table(title=f"{study.name}: the best of {len(ranked)} by validation accuracy", title_justify="left")
    table.add_column("experiment", no_wrap=True)
    table.add_column("validation", justify="right")
    for key in study.space.domains:
        table.add_column(study.space.short(key), justify="right")
    for trial in ranked[:TOP]:
        values = values_of(trial)
        drawn = [overview.as_typed(values[key]) for key in study.space.domains]
        table.add_row(trial.user_attrs["name"], f"{trial.value:.4f}", *drawn)
    console.print(table)


def values_of(trial: FrozenTrial) -> dict[str, Any]:
    """A trial's overrides."""
    return json.loads(trial.user_attrs["values"])


def keep(name: str, variant: str, state: workspace.Snapshot, before: Path, remote: str | None = None) -> int:
    """Put an experiment into the workspace and score its model on the test set; return the exit status.

    Parameters
    ----------
    state
        What the sweep started from: no loss, and so is what the last `keep` left, whose tree is noted in `before`.
    remote
        Of a sweep on nodes, where its models are; the default one if None.
    """
    from replica.commands.apply import apply
    from replica.commands.repro import reproduce

    root, held = Path.cwd(), [state.tree]
    with suppress(FileNotFoundError, UserError):  # git drops a tree of two weeks ago that no commit has
        held.append(git(root, "rev-parse", "--verify", f"{before.read_text()}^{{tree}}"))
    fetch(f"refs/exps/{state.base[:2]}/{state.base[2:]}/{name}", variant, remote)
    apply(name, state.base, held)
    Path("live", variant, "dvc.yaml").unlink(missing_ok=True)  # the trial's column; from here on the score is
    status = reproduce([f"evaluate@{variant}"], 1)
    if not status:
        before.write_text(workspace.snapshot(root, restorable.WRITTEN).tree)
        overview.results(parameters.declared(), [variant])
    return status


def fetch(rev: str, variant: str, remote: str | None) -> None:
    """Have a trial's model in DVC's cache, as it is unless a node has trained it; or training would begin again here.

    Raises
    ------
    UserError
        Where it is nowhere to be had.
    """
    from replica.commands.cluster import objects

    record = Record(git(Path.cwd(), "show", f"{rev}:dvc.lock"))
    try:
        with Repo() as repo:
            for md5 in record.outs(f"train@{variant}").values():
                if not objects.whole(repo, objects.hashed(md5)):
                    objects.pull(repo, remote or "", [objects.hashed(md5)])
    except DvcException as error:
        words = " ".join(str(error).split())
        raise UserError(f"models/{variant}: {rev.rpartition('/')[2]}'s is not in DVC's cache here: {words}") from None
