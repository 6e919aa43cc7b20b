"""What to run, what waits for what, and what to run first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from difflib import get_close_matches
from heapq import heappop, heappush
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvc.dependency.param import ParamsDependency
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc_data.hashfile.tree import Tree
from networkx import ancestors

from replica.commands.repro.contexts import quiet
from replica.commands.repro.shortcuts import files_locked_once, files_parsed_once
from replica.commands.repro.workers import Stop
from replica.common import processes
from replica.common.errors import UserError

if TYPE_CHECKING:
    from dvc.stage import Stage


class Plan:
    """The stages that `dvc repro TARGETS` would look at, in its order, and the graph between them.

    A frozen stage does not need what it depends on, but reads it when it is verified: of the two, the later in DVC's
    order waits for the other, whatever becomes of that.

    Attributes
    ----------
    steps
        The stages.
    upstream
        Of each, the stages it needs, in the plan or not.
    followers
        Of each, the planned stages that wait for its end.
    missing
        Of each, how many planned stages it still waits for.
    """

    def __init__(self, repo: Repo, targets: list[str]) -> None:
        graph = repo.index.graph
        self.active = get_active_graph(graph)
        self.steps: list[Stage] = plan_repro(self.active, _collect(repo, targets))
        self.upstream: dict[Stage, list[Stage]] = {stage: list(self.active.successors(stage)) for stage in self.steps}
        self.followers: dict[Stage, list[Stage]] = {stage: [] for stage in self.steps}
        self.missing = dict.fromkeys(self.steps, 0)
        place = {stage: place for place, stage in enumerate(self.steps)}
        for stage in self.steps:
            for other in graph.successors(stage):
                if other in place:
                    first, second = sorted((stage, other), key=place.__getitem__)
                    self.followers[first].append(second)
                    self.missing[second] += 1

    def release(self, stage: Stage) -> list[Stage]:
        """Note that a stage has ended; return the stages that wait for nothing any more."""
        for other in self.followers[stage]:
            self.missing[other] -= 1
        return [other for other in self.followers[stage] if not self.missing[other]]

    def descendants(self, stage: Stage) -> list[Stage]:
        """The planned stages that need `stage`, at first hand or further down."""
        found = ancestors(self.active, stage)  # its edges go from a stage to what it needs
        return [other for other in self.steps if other in found]

    def paths(self, seconds: dict[str, float]) -> dict[Stage, float]:
        """Of each stage, the seconds from its start to the end of the longest chain that waits for it."""
        paths: dict[Stage, float] = {}
        for stage in reversed(self.steps):
            after = max((paths[other] for other in self.followers[stage]), default=0.0)
            paths[stage] = seconds.get(stage.addressing, 0.0) + after
        return paths

    def duration(self, seconds: dict[str, float], jobs: int) -> float:
        """Seconds that the stages named will take at best: all of them shared out, or the longest chain."""
        return max(sum(seconds.values()) / jobs, max(self.paths(seconds).values(), default=0.0))


class Longest:
    """A queue of stages that gives the one with the longest path first, and among equals the first planned."""

    def __init__(self, plan: Plan, paths: dict[Stage, float]) -> None:
        self.key = {stage: (-paths[stage], place) for place, stage in enumerate(plan.steps)}
        self.heap: list[tuple[tuple[float, int], Stage]] = []

    def __len__(self) -> int:
        return len(self.heap)

    def add(self, stages: Iterable[Stage]) -> None:
        for stage in stages:
            heappush(self.heap, (self.key[stage], stage))

    def pop(self) -> Stage:
        return heappop(self.heap)[1]


def _collect(repo: Repo, targets: list[str]) -> list[Stage]:
    try:
        return collect_stages(repo, targets or ["dvc.yaml"])
    except DvcException as error:
        names = {stage.addressing for stage in repo.index.stages}
        names |= {name.split("@")[0] for name in names}
        unknown = [target for target in targets if target not in names]
        near = [name for target in unknown for name in get_close_matches(target, names, n=1)]
        raise DvcException(f"{error}" + (f"; did you mean {' and '.join(near)}?" if near else "")) from error


@contextmanager
def planned(targets: list[str]) -> Iterator[tuple[Repo, Plan, Stop, Path]]:
    """Within the block this process has DVC's lock; gives the repository, the plan, the user's stop, a folder for logs.

    Raises
    ------
    UserError
        Where there is no project, no such target, or another DVC process holds the lock.
    """
    with ExitStack() as stack:
        try:
            repo = stack.enter_context(Repo())
            stack.enter_context(lock_repo(repo))
            processes.end_orphans(Path(repo.root_dir))
            stack.enter_context(repo.scm_context())
            stack.enter_context(files_parsed_once())
            stack.enter_context(quiet())
            plan = Plan(repo, targets)
            stop = stack.enter_context(Stop())
            stack.enter_context(files_locked_once(repo, plan.steps))
        except DvcException as error:
            words = " ".join(str(error).split())
            if words.startswith("Unable to acquire lock"):
                words += f" Here {processes.holder(Path(repo.tmp_dir, 'lock'))} has it."
            raise UserError(words) from error
        folder = Path(repo.tmp_dir) / "replica"
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        yield repo, plan, stop, folder


def inputs(stage: Stage) -> dict[str, Any]:
    """What a stage depends on, as it is now: hashes by file, but for bytecode, and parameters by file and key."""
    found: dict[str, Any] = {}
    for dep in stage.deps:
        with suppress(DvcException, OSError):  # what is not there, DVC tells by itself
            if isinstance(dep, ParamsDependency):
                found |= {f"{dep}:{key}": value for key, value in dep.get_hash().value.items()}
                continue
            odb = dep.cache if dep.use_cache else dep.local_cache
            options = {"ignore": dep.dvcignore, "dry_run": True, "no_progress_bar": True}
            _, _, made = dep._build(odb, dep.fs_path, dep.fs, dep.hash_name, **options)
            if isinstance(made, Tree):
                files = {"/".join((str(dep), *key)): each.value for key, _, each in made if "__pycache__" not in key}
                found |= files
            else:
                found[str(dep)] = made.hash_info.value
    return found
