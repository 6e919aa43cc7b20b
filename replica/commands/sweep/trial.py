"""One trial, as a process of its own: `python -m replica.commands.sweep.trial REQUEST`.

In a clone of the repository it sets the overrides, lets DVC run train@VARIANT and nothing else, and leaves an
experiment that `dvc exp show` lists. It ends when the sweep does.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replica.commands import room
from replica.commands.git import git
from replica.commands.sweep import workspace
from replica.commands.sweep.overrides import assign
from replica.common import processes
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

AGAIN = 255  # exit status of a trial that has not failed of its own, and so is to run again


class AgainError(Exception):
    """What has kept a trial from its end is not its own: a full disk, a scheduler that has gone."""


@dataclass
class Request:
    """What a trial is told: whose clone, where, under which name, with which overrides; on a cluster, whose nodes."""

    root: str
    folder: str
    base: str
    tree: str
    name: str
    variant: str
    dataset: str
    cache: str
    parent: int
    values: dict[str, Any]
    scheduler: str = ""
    certificate: str = ""
    remote: str = ""

    def command(self) -> list[str]:
        return [sys.executable, "-m", "replica.commands.sweep.trial", json.dumps(asdict(self))]


def run(request: Request) -> None:
    """Train with the overrides, and publish the experiment.

    Raises
    ------
    AgainError
        Where the cache is full, or what the nodes need is not there.
    UserError
        Where the training failed on a node.
    DvcException
        Where it failed here.
    """
    from dvc import output
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.experiments.refs import ExpRefInfo
    from dvc.utils.serialize import modify_yaml

    from replica.commands.repro.contexts import replaced
    from replica.commands.repro.driver import transferred

    root, folder = Path(request.root), Path(request.folder)
    ask_for_room(root)
    workspace.clone(root, folder, workspace.Snapshot(request.base, request.tree))
    os.chdir(folder)
    configure(root, request.cache)
    with modify_yaml("params.yaml") as declared:
        for key, value in request.values.items():
            assign(declared, key, value)
    # now: once DVC has written git's index, git takes a file of the same size and second for unchanged
    git(folder, "add", "params.yaml")
    target = f"train@{request.variant}"
    with Repo() as repo:
        if not request.scheduler:
            for out in workspace.arrays(repo, request.dataset):
                out.checkout()
        stage = repo.stage.load_one(name=target)
        empty(repo, stage)
        added = [os.path.relpath(out.fs_path) for out in stage.outs if not out.use_cache]
        if request.scheduler:
            from replica.commands.cluster.trial import train

            train(repo, stage, request.scheduler, request.certificate, request.remote or None)
        else:
            try:
                with replaced(output, "otransfer", transferred):
                    repo.reproduce(target, single_item=True)
            except DvcException:
                ask_for_room(root)
                raise
    live = Path("live", request.variant)
    (live / "dvc.yaml").write_text("metrics:\n- metrics.json\n")  # what training reached: the experiment's column
    added += [str(live / "dvc.yaml"), str(live / "metrics.json")]
    ref = str(ExpRefInfo(request.base, request.name))
    workspace.publish(root, folder, ref, f"replica sweep: {request.name}", added)


def ask_for_room(root: Path) -> None:
    """See `room.ask`; that it is lacking is no trial's own failure."""
    try:
        room.ask(root)
    except UserError as error:
        raise AgainError(str(error)) from error


def configure(root: Path, cache: str) -> None:
    """Give the current folder's clone the root's own settings, its cache, and its remotes where they are."""
    from configobj import ConfigObj
    from dvc.config import Config
    from dvc.config_schema import RelPath

    local = ConfigObj(str(root / ".dvc/config.local"))
    # links, as the inputs may be large
    local.setdefault("cache", {}).update({"dir": cache, "type": "hardlink,symlink,copy"})
    local.setdefault("core", {})["autostage"] = "true"  # or the log ends with DVC's advice about it
    for name, options in Config(str(root / ".dvc"))["remote"].items():
        # what is written relative to .dvc/ would be another place seen from the clone's
        paths = {key: str(value) for key, value in options.items() if isinstance(value, RelPath)}
        local.setdefault(f'remote "{name}"', {}).update(paths)
    local.filename = ".dvc/config.local"
    local.write()


def empty(repo: Repo, stage: Stage) -> None:
    """Leave nothing in the scores of what comes after `stage`: they are of the model before it."""
    import networkx

    for later in networkx.ancestors(repo.index.graph, stage):
        for out in later.outs:
            if not out.use_cache and Path(out.fs_path).suffix == ".json" and Path(out.fs_path).exists():
                Path(out.fs_path).write_text("{}\n")


def status(error: Exception) -> int:
    """As a shell has it: 128 and a signal's number where that ended the stage's command, else 1, or `AGAIN`."""
    if isinstance(error, AgainError):
        return AGAIN
    said = re.search(r"exited with (-?\d+)$", str(error.__cause__))  # DVC keeps it in its words alone
    number = int(said[1]) if said else 1
    return 128 - number if number < 0 else number if number > 128 else 1


def main() -> None:
    request = Request(**json.loads(sys.argv[1]))
    threading.Thread(target=processes.end_with, args=(request.parent,), daemon=True).start()
    try:
        run(request)
    except Exception as error:
        print(f"error: {' '.join(str(error).split()) or repr(error)}", file=sys.stderr)
        sys.exit(status(error))


if __name__ == "__main__":
    main()
