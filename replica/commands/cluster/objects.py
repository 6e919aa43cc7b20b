"""Files and folders on their way between machines: each in DVC's cache and on its remote, by its MD5.

What dvc.yaml keeps out of the cache (metrics, plots) travels so too: dvc.lock has its MD5 as it has all others'.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dvc.exceptions import DvcException
from dvc_data.hashfile import load
from dvc_data.hashfile.checkout import checkout
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import transfer
from dvc_data.hashfile.tree import Tree

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo
    from dvc_data.hashfile.db import HashFileDB


class TransferError(DvcException):
    """What did not come or go."""


def hashed(value: str) -> HashInfo:
    """The MD5 of a file, or of a folder's listing, which ends in `.dir`."""
    return HashInfo("md5", value)


def kept(item: Output) -> HashInfo:
    """Copy what lies at an output's (or a dependency's) place into DVC's cache; return its MD5."""
    cache = item.repo.cache.local
    staging, _, obj = item._build(cache, item.fs_path, item.fs, "md5", ignore=item.dvcignore, no_progress_bar=True)
    transfer(staging, cache, {obj.hash_info}, shallow=False)
    return obj.hash_info


def push(repo: Repo, remote: str, objects: Iterable[HashInfo]) -> None:
    """Copy objects of the cache, with all that folders hold, to the remote.

    Raises
    ------
    TransferError
        Where one did not arrive.
    """
    odb = repo.cloud.get_remote_odb(remote, "push")
    if failed := transfer(repo.cache.local, odb, list(objects), shallow=False).failed:
        raise TransferError(f"{len(failed)} files did not reach the remote {remote}")


def pull(repo: Repo, remote: str, objects: Iterable[HashInfo]) -> None:
    """Copy objects of the remote, with all that folders hold, to the cache, each held to its MD5.

    Raises
    ------
    TransferError
        Where one is not there, or has other bytes.
    """
    odb, wanted = repo.cloud.get_remote_odb(remote, "pull"), list(objects)
    _fetch(repo.cache.local, odb, [str(each.value) for each in wanted])
    for folder in (each for each in wanted if each.isdir):
        try:
            listing = Tree.load(repo.cache.local, folder)
        except (FileNotFoundError, ValueError) as error:
            raise TransferError(f"{folder.value}: damaged on the remote") from error
        _fetch(repo.cache.local, odb, [each.value for _, _, each in listing])
    if lacking := [each.value for each in wanted if not whole(repo, each)]:
        raise TransferError(f"{', '.join(map(str, lacking))}: damaged on the remote")


def there(repo: Repo, remote: str, obj: HashInfo) -> bool:
    """Whether the remote has an object; what a folder holds was sent before its listing."""
    return repo.cloud.get_remote_odb(remote, "pull").exists(str(obj.value))


def _fetch(cache: HashFileDB, odb: HashFileDB, oids: list[str]) -> None:
    """Copy what the cache lacks; what has another MD5 than its name is dropped again."""
    there = set(cache.oids_exist(oids))
    lacking = [oid for oid in dict.fromkeys(oids) if oid not in there]
    failed: list[str] = []
    paths = [odb.oid_to_path(oid) for oid in lacking]
    cache.add(paths, odb.fs, lacking, verify=True, on_error=lambda path, error: failed.append(f"{path}: {error}"))
    if failed:
        raise TransferError(f"not to be had from the remote: {failed[0]}")


def whole(repo: Repo, obj: HashInfo) -> bool:
    """Whether the cache has an object, with all that it holds."""
    cache = repo.cache.local
    try:
        held = [each.value for _, _, each in Tree.load(cache, obj)] if obj.isdir else []
    except (FileNotFoundError, ValueError):
        return False
    return set(cache.oids_exist([obj.value, *held])) >= {obj.value, *held}


def place(repo: Repo, path: str, obj: HashInfo) -> None:
    """Put an object of the cache at a path of the workspace, in place of what is there."""
    cache = repo.cache.local
    checkout(path, repo.fs, load(cache, obj), cache, force=True, quiet=True, state=repo.state)
