"""What all jobs of a run have alike: the project's files at this moment, and where nodes find them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dvc.exceptions import DvcException
from dvc_data.hashfile.build import build
from dvc_data.hashfile.transfer import transfer
from rich.console import Console

from replica.commands.cluster import objects, travel
from replica.commands.git import git
from replica.commands.sweep import workspace
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.repo import Repo

SECRET = ("password", "secret", "token", "key", "credential", "connection_string", "passphrase", "sas")


class Parcel:
    """What all jobs have alike: the project's files at this moment, on the remote."""

    def __init__(self, repo: Repo, remote: str | None, console: Console) -> None:
        root = Path(repo.root_dir)
        self.name = remote or repo.config["core"].get("remote")
        if not self.name:
            raise UserError(
                "no DVC remote, over which inputs and outputs go: `dvc remote add --default lab ADDRESS`, "
                "a place that this machine and the nodes reach"
            )
        if self.name not in repo.config["remote"]:
            raise UserError(f"--remote {self.name}: allowed: {', '.join(repo.config['remote']) or 'none is declared'}")
        options = {key: value for key, value in repo.config["remote"][self.name].items() if not _secret(key)}
        self.remote = {key: str(value) for key, value in options.items()}
        self.project = hashlib.sha256(git(root, "rev-list", "--max-parents=0", "HEAD").encode()).hexdigest()[:16]
        made = tuple(os.path.relpath(out.fs_path, root) for stage in repo.index.stages for out in stage.outs)
        names = [name for name in workspace.untracked(root) if Path(name).name != ".gitignore"]
        if left := [name for name in names if not name.startswith(made)]:  # what stages have made has its own way
            console.print(f"note: files that git does not track stay here: {', '.join(left[:5])}", highlight=False)
        self.commits = travel.commits(root)
        base, files = self.commits
        self.packs = {base: self._sent(repo, base)}
        if files != base:
            self.packs[files] = self._sent(repo, files, base)

    def _sent(self, repo: Repo, commit: str, without: str = "") -> str:
        place = Path(repo.tmp_dir, "replica", f"pack-{commit}")
        place.parent.mkdir(exist_ok=True)
        travel.pack(Path(repo.root_dir), commit, place, without)
        cache = repo.cache.local
        staging, _, obj = build(cache, str(place), repo.fs, "md5")
        transfer(staging, cache, {obj.hash_info}, shallow=False)
        place.unlink()
        try:
            objects.push(repo, self.name, [obj.hash_info])
        except DvcException:
            raise
        except Exception as error:  # each service's library has kinds of its own
            raise UserError(f"remote {self.name}: {' '.join(str(error).split()) or repr(error)}") from error
        return str(obj.hash_info.value)


def _secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET) and name != "keyfile"
