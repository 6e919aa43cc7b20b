"""One job, as a process of its own on a node: `python -m replica.commands.cluster.stage FOLDER`.

In the folder's clone it puts the inputs in place, lets DVC run the one stage, and leaves its outputs on the remote.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc.exceptions import ReproductionError

from replica.commands.cluster import objects, travel
from replica.commands.cluster.job import ANSWER, DONE, REFUSED, REQUEST, Job, Result, begun
from replica.commands.sweep.trial import status
from replica.common import processes
from replica.common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dvc.repo import Repo
    from dvc.stage import Stage

NAME = "cluster"  # of the remote, in a clone's configuration


def key(entry: dict[str, Any], job: Job) -> str:
    """Under what a result is remembered: all that it is made of, where it is put, and what is brought back beside."""
    outs = [out["path"] for out in entry.get("outs", [])]
    asked = {**entry, "outs": outs, "versions": job.versions, "beside": job.beside}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


class Memory:
    """Results on the remote, by `key`: what DVC's run cache is, for outputs that persist, which that refuses."""

    def __init__(self, repo: Repo) -> None:
        self.odb = repo.cloud.get_remote_odb(NAME, "push")

    def _path(self, name: str) -> str:
        return self.odb.fs.join(self.odb.path, "results", name[:2], name)

    def get(self, name: str) -> dict[str, Any] | None:
        try:
            with self.odb.fs.open(self._path(name), "r") as file:
                return json.load(file)
        except (FileNotFoundError, ValueError):
            return None

    def put(self, name: str, found: dict[str, Any]) -> None:
        path = self._path(name)
        self.odb.fs.makedirs(self.odb.fs.parent(path), exist_ok=True)
        part = f"{path}.{os.getpid()}.part"
        with self.odb.fs.open(part, "w") as file:
            json.dump(found, file)
        self.odb.fs.move(part, path)


def prepared(place: Path, job: Job) -> Path:
    """Bring the folder's clone to the job's commit, with DVC's configuration for this machine."""
    from configobj import ConfigObj

    clone, cache = place / "clone", place.parent / "cache"
    wanted = travel.Commits(job.base, job.files)
    for commit, value in job.packs.items():
        if not travel.known(clone, commit):
            pack = place / "pack"
            fetched(place, job, value, pack)
            travel.unpack(clone, pack, job.base)
            pack.unlink()
    travel.check_out(clone, wanted)
    (clone / "dvc.lock").unlink(missing_ok=True)  # what is recorded is the driver's business
    # This process alone is in the clone, so what stands in DVC's own list of locks is a killed one's.
    (clone / ".dvc/tmp/rwlock").unlink(missing_ok=True)
    configure(ConfigObj(str(clone / ".dvc/config.local")), cache, job)
    return clone


def configure(local: Any, cache: Path, job: Job) -> None:
    """Where this machine's cache is, and how the job's remote is reached."""
    local["core"] = {"autostage": "true", "analytics": "false"}
    local["cache"] = {"dir": str(cache), "type": "hardlink,symlink,copy"}
    local[f'remote "{NAME}"'] = {**job.remote, "verify": "true"}
    local.write()


def fetched(place: Path, job: Job, value: str, pack: Path) -> None:
    """A pack of the job's, from the remote: an empty DVC project is enough to reach it."""
    from configobj import ConfigObj
    from dvc.repo import Repo

    empty = place / "empty"
    (empty / ".dvc").mkdir(parents=True, exist_ok=True)
    (empty / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    configure(ConfigObj(str(empty / ".dvc/config.local")), place.parent / "cache", job)
    with Repo(str(empty)) as repo:
        objects.pull(repo, NAME, [objects.hashed(value)])
        objects.place(repo, str(pack), objects.hashed(value))


def carried_out(job: Job, mark: Path, seconds: dict[str, float]) -> Result:
    """Run the stage in the current folder's clone; `mark` is its file of `begun`.

    Raises
    ------
    UserError
        Where this machine has other files than the driver's.
    """
    from dvc.repo import Repo
    from dvc.stage.serialize import to_single_stage_lockfile

    with Repo() as repo:
        stage: Stage = repo.stage.load_one(name=job.stage)
        with timed(seconds, "pull"):
            objects.pull(repo, NAME, map(objects.hashed, job.inputs.values()))
            for path, value in job.inputs.items():
                objects.place(repo, path, objects.hashed(value))
        stage.save_deps(allow_missing=True)
        found = {dep.def_path: dep.hash_info.value for dep in stage.deps if dep.exists and dep.hash_info}
        if apart := sorted(path for path, value in job.expected.items() if found.get(path) != value):
            raise UserError(f"{', '.join(apart)}: other files than the driver's; does git track all of them?")
        entry = json.loads(json.dumps(to_single_stage_lockfile(stage)))
        memory, name = Memory(repo), key(entry, job)
        before = memory.get(name) if job.remember else None
        if before is not None and recalled(repo, before["entry"]):
            mark.unlink(missing_ok=True)
            return Result(DONE, **before, remembered=True)
        if not (mark.exists() and mark.read_text() == name):  # else what lies there is further than what was before
            mark.unlink(missing_ok=True)
            with timed(seconds, "pull"):
                for path, value in job.before.items():
                    with suppress(objects.TransferError):
                        objects.pull(repo, NAME, [objects.hashed(value)])
                        objects.place(repo, path, objects.hashed(value))
            mark.write_text(name)
        for path in job.beside:
            if not any(Path(path).is_relative_to(out.def_path) for out in stage.outs):
                Path(path).unlink(missing_ok=True)  # an earlier job's, of other parameters
        with timed(seconds, "run"):
            done = repo.reproduce(job.stage, single_item=True, force=True)
        entry = json.loads(json.dumps(to_single_stage_lockfile(done[0])))
        with timed(seconds, "push"):
            made = [objects.kept(out) if not out.use_cache else out.hash_info for out in done[0].outs]
            objects.push(repo, NAME, made)
            found = {"entry": entry, "files": beside(job)}
            if job.remember:
                memory.put(name, found)
        mark.unlink(missing_ok=True)
        return Result(DONE, **found)


def recalled(repo: Repo, entry: dict[str, Any]) -> bool:
    """Whether the remote still has a remembered result's outputs; they are brought here."""
    try:
        objects.pull(repo, NAME, [objects.hashed(out["md5"]) for out in entry["outs"]])
    except objects.TransferError:
        return False
    return True


def beside(job: Job) -> dict[str, str]:
    return {name: Path(name).read_text() for name in job.beside if Path(name).is_file()}


@contextmanager
def timed(seconds: dict[str, float], part: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds[part] = round(seconds.get(part, 0.0) + time.monotonic() - began, 3)


def main() -> None:
    """Exit status 0, and `result.json`, where it was done or refused; else its command's, by `status`, and a line."""
    place = Path(sys.argv[1])
    job = Job(**json.loads((place / REQUEST).read_text()))
    if processes.PARENT in os.environ:
        threading.Thread(target=processes.end_with, args=(int(os.environ[processes.PARENT]),), daemon=True).start()
    logging.getLogger("dvc").setLevel(logging.WARNING)  # what the command itself says is enough
    seconds: dict[str, float] = {}
    try:
        try:
            with processes.sole(place / "clone"):  # a killed worker's process takes a moment to end
                with timed(seconds, "prepare"):
                    clone = prepared(place, job)
                os.chdir(clone)
                os.environ["PYTHONPATH"] = str(clone)
                result = carried_out(job, begun(place, job.stage), seconds)
        except ReproductionError:
            raise
        except Exception as error:  # the command's failure is its own; a remote, a disk, a plugin are this machine's
            result = Result(REFUSED, " ".join(str(error).split()) or repr(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except ReproductionError as error:
        reason = error.__cause__ or error
        print(f"error: {' '.join(str(reason).split()) or repr(reason)}", file=sys.stderr)
        sys.exit(status(error))
    part = place / f"{ANSWER}.part"
    part.write_text(json.dumps(result.plain() | {"seconds": seconds}))
    part.replace(place / ANSWER)


if __name__ == "__main__":
    main()
