"""Results without training: the model of a variant, and its data, from a DVC remote, as dvc.lock records them.

DVC says where the remote is, how to reach it and what it holds; what it does not do is kept here. `dvc pull` believes
what an HTTP server sends, so each file is written beside, held to its MD5, and only then taken into DVC's cache; a
folder's listing comes first, and names nothing before its own MD5 holds.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dvc.config import NoRemoteError
from dvc.exceptions import DvcException
from dvc.fs import localfs
from dvc_data.hashfile.tree import Tree

from replica.commands import overview
from replica.commands.apply import put
from replica.commands.compare.revisions import opened
from replica.commands.pull.transfer import arriving
from replica.commands.repro.display import duration
from replica.commands.repro.estimates import Estimates
from replica.commands.verify.record import SCORED, Record
from replica.common import parameters, processes
from replica.common.errors import UserError
from replica.datasets.mirrors import LARGEST, BadFileError, host
from replica.schema import check

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

ENTRY = 4096  # bytes of a listing for each file, at most
MODELS = "models/"


def pull(names: list[str], remote: str | None = None) -> None:
    """Put variants' models into the working folder, and their data where the remote has them; a line for each.

    Without names, what can be pulled is listed.

    What the folder or DVC's cache has already is not fetched.

    Parameters
    ----------
    names
        Variants or searches.
    remote
        One that DVC's configuration names; the default one if None.

    Raises
    ------
    UserError
        With a line for each that could not be had. What has come whole until then is in DVC's cache; in the folder
        itself a model is as it was, or as dvc.lock records it.
    """
    declared = parameters.declared()
    if not names:
        show(declared)
        return
    for name in names:
        check.require("replica pull", name, entries(declared), "variant")
    record = recorded()
    try:
        with opened() as repo:
            check.each(dict.fromkeys(names), lambda name: variant(repo, record, name, remote))
    except DvcException as error:  # dvc.yaml, say, that DVC cannot read
        raise UserError(" ".join(str(error).split())) from error


def entries(declared: dict[str, Any]) -> list[str]:
    """The names of what is trained: variants, and searches."""
    return [*declared["variants"], *(declared.get("searches") or {})]


def recorded() -> Record:
    """dvc.lock as it lies; empty where there is none."""
    lock = Path("dvc.lock")
    try:
        return Record(lock.read_text() if lock.is_file() else "")
    except UnicodeDecodeError:
        raise UserError(f"{lock}: no text; `git restore {lock}` brings back the commit's") from None


def training(record: Record, name: str) -> str | None:
    """The recorded stage that made a variant's, or a search's, models."""
    return next((f"{stage}@{name}" for stage in SCORED if f"{stage}@{name}" in record.stages), None)


def variant(repo: Repo, record: Record, name: str, remote: str | None) -> None:
    """Bring one variant's models, then its data."""
    stage = training(record, name)
    if stage is None:
        raise UserError(f"{name}: dvc.lock records no training of it, so there is nothing to pull; {anew(name)}")
    ready: list[Output] = []
    try:
        for maker in reversed(record.plan([stage])):
            for out in repo.stage.load_one(name=maker).outs:
                if not out.use_cache or not out.hash_info:
                    continue
                if not out.workspace_status():
                    print(f"{out}: here already")
                elif not out.changed_cache() or had(repo, out, name, maker, remote):
                    ready.append(out)
    finally:
        with ExitStack() as stack:
            for out in ready:
                if str(out).startswith(MODELS):
                    stack.enter_context(processes.sole(Path(str(out))))
            put(repo, [str(out) for out in ready])
            for out in ready:
                print(f"{out}: {out.meta.size / 1e6:,.1f} MB, as dvc.lock records it")


def had(repo: Repo, out: Output, name: str, maker: str, remote: str | None) -> bool:
    """Fetch an output into DVC's cache; false, and a line that says so, where data are not to be had."""
    model = str(out).startswith(MODELS)
    try:
        fetch(repo, out, remote)
    except (NoRemoteError, FileNotFoundError) as error:
        if model:
            why = nowhere(repo) if isinstance(error, NoRemoteError) else error
            raise UserError(f"{name}: {why}; {anew(name)}") from None
        print(f"{out}: not on the remote; `replica repro {maker}` makes it, for training and `replica.load`")
        return False
    except BadFileError as error:
        raise UserError(f"{name}: {error}; what came whole is kept, and `replica pull {name}` goes on") from None
    except DvcException as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from None
    return True


def nowhere(repo: Repo) -> str:
    """Why there is no remote to ask."""
    if repo.config["remote"]:
        return f"no default remote; allowed: --remote {' or '.join(repo.config['remote'])}"
    return (
        "nothing is published yet (.dvc/config names no remote); where an address or a folder holds the models: "
        "`dvc remote add --default published ADDRESS`, and again"
    )


def anew(name: str) -> str:
    """How to train it instead, and how long that takes."""
    stage = training(recorded(), name) or f"train@{name}"
    taken = f"{takes(stage)} when last measured" if takes(stage) else "no record says how long that takes"
    return f"to train it: `replica repro {stage}` ({taken})"


def takes(stage: str) -> str:
    """How long a training took when it was last measured, of all seeds; empty where it never was."""
    known = Estimates(Path(), Path(".dvc/tmp/replica/estimates.json")).known()
    return duration(known[stage]) if stage in known else ""


def fetch(repo: Repo, out: Output, remote: str | None) -> None:
    """Fetch what DVC's cache lacks of an output.

    Raises
    ------
    FileNotFoundError
        Where the remote does not have it at all.
    BadFileError
        Where it has part of it, other bytes, or is too slow.
    DvcException
        Where DVC knows no such remote, or cannot reach its kind.
    """
    store, cache = repo.cloud.get_remote_odb(remote, "pull"), repo.cache.local
    place = host(store.path)
    with TemporaryDirectory(prefix="pull-", dir=repo.tmp_dir, ignore_cleanup_errors=True) as folder:

        def take(oids: Iterable[str], most: int) -> None:
            wanted = list(dict.fromkeys(oids))
            there = set(cache.oids_exist(wanted))  # of those that are damaged, DVC removes what it has not protected
            for oid in arriving(store, [oid for oid in wanted if oid not in there], Path(folder), most, str(out)):
                cache.add(str(Path(folder, oid)), localfs, oid, hardlink=True)

        value = out.hash_info.value
        try:
            take([value], ENTRY * ((out.meta.nfiles or 0) + 1) if out.hash_info.isdir else out.meta.size or LARGEST)
        except FileNotFoundError:
            raise FileNotFoundError(f"{out}, as dvc.lock records it, is not at {place}") from None
        if out.hash_info.isdir:
            try:
                take((each.value for _, _, each in Tree.load(cache, out.hash_info)), out.meta.size or LARGEST)
            except FileNotFoundError as error:
                raise BadFileError(f"{place}: {error}: no such file") from None


def megabytes(sizes: dict[str, int]) -> str:
    return f"{sum(sizes.values()) / 1e6:,.1f}"


def show(declared: dict[str, Any]) -> None:
    """Print what dvc.lock records of each variant: its size, its data's, what training takes, whether it is here."""
    record = recorded()
    lines = overview.grid("variant", ">models MB", "data", ">data MB", ">training", "here")
    stages = {name: stage for name in entries(declared) if (stage := training(record, name))}
    everything: dict[str, int] = {}
    for name, stage in stages.items():
        outs = [out for each in record.plan([stage]) for out in record.stages[each]["outs"]]
        sizes = {out["path"]: out.get("size", 0) for out in outs if out["path"].startswith((MODELS, "data/"))}
        models = {path: size for path, size in sizes.items() if path.startswith(MODELS)}
        data = {path: size for path, size in sizes.items() if path not in models}
        lines.add_row(
            name, megabytes(models), ", ".join({Path(path).name for path in data}), megabytes(data), takes(stage),
            "yes" if Path(MODELS, name).is_dir() else "no",
        )  # fmt: skip
        everything |= sizes
    overview.console().print(lines)
    models = {path: size for path, size in everything.items() if path.startswith(MODELS)}
    print(
        f"{len(stages)} of {len(entries(declared))} are recorded in dvc.lock: models of {megabytes(models)} MB,"
        f" {megabytes(everything)} MB with their data"
    )
