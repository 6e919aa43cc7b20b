"""What the driver spares DVC, because one process holds DVC's lock from the first stage to the last.

DVC answers the same with and without; without, its work grows with the square of the number of stages.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc import rwlock
from dvc.dependency import param
from dvc.dependency.db import AbstractDependency
from dvc.dependency.repo import RepoDependency
from dvc.fs import LocalFileSystem
from dvc.utils import strictyaml
from dvc.utils.serialize import _yaml

from replica.commands.repro.contexts import replaced

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


@contextmanager
def files_parsed_once() -> Iterator[None]:
    """Within the block, DVC parses a YAML text once, and looks a parameter up without walking through all others."""
    parse = _remembering(_yaml.parse_yaml)
    with (
        replaced(_yaml, "parse_yaml", parse),
        replaced(strictyaml, "parse_yaml", parse),
        replaced(param, "read_param_file", _looking_up(param.read_param_file)),
    ):
        yield


def _remembering(parse: Callable[..., Any]) -> Callable[..., Any]:
    parsed: dict[str, bytes] = {}

    def parse_yaml(text: str, path: str, typ: str = "safe") -> Any:
        if typ != "safe":
            return parse(text, path, typ=typ)
        if text not in parsed:
            parsed[text] = pickle.dumps(parse(text, path, typ=typ))
        return pickle.loads(parsed[text])  # a copy: DVC changes what it reads

    return parse_yaml


def _looking_up(read: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, tuple[tuple[int, int, int], Any]] = {}

    def read_param_file(
        fs: Any, path: str, key_paths: list[str] | None = None, flatten: bool = False, **options: Any
    ) -> Any:
        if not (isinstance(fs, LocalFileSystem) and key_paths and flatten) or options:
            return read(fs, path, key_paths, flatten, **options)
        info = Path(path).stat()
        version = (info.st_ino, info.st_size, info.st_mtime_ns)
        if path not in known or known[path][0] != version:
            known[path] = version, read(fs, path)
        try:
            # copies: one object in two places would become a YAML alias in dvc.lock
            return {key: deepcopy(_at(known[path][1], key)) for key in key_paths}
        except KeyError:  # missing, or a pattern
            return read(fs, path, key_paths, flatten)

    return read_param_file


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        if not isinstance(values, dict) or set(part) & set("*?[]"):
            raise KeyError(key)
        values = values[part]
    return values


@contextmanager
def files_locked_once(repo: Repo, stages: Iterable[Stage]) -> Iterator[None]:
    """Hold DVC's file locks of all stages for the whole block, instead of taking them a dozen times a stage.

    Another DVC process that is running one of these stages makes this fail at once.
    """

    def paths(items: Iterable[Any]) -> list[str]:
        return [item.fs_path for item in items if not isinstance(item, (RepoDependency, AbstractDependency))]

    def held(*_: Any) -> AbstractContextManager[None]:
        return nullcontext()

    stages = list(stages)
    read = paths(dep for stage in stages for dep in stage.deps)
    write = paths(out for stage in stages for out in stage.outs)
    hardlink = repo.config["core"].get("hardlink_lock", False)
    with (
        rwlock.rwlock(repo.tmp_dir, repo.fs, " ".join(sys.argv), read, write, hardlink),
        replaced(rwlock, "rwlock", held),
    ):
        yield
