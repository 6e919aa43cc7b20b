"""A cluster that we haven't got: how long 1,000 or 100,000 trials take on 10 to 1,000 workers, and what is in the way.

    python -m benchmarks.cluster                 the table, simulated from what benchmarks/cluster.yaml has measured
    python -m benchmarks.cluster --real 200      so many tiny stages by `replica repro --cluster local`, then simulated
    python -m benchmarks.cluster --measure       measures anew, by 60 tiny stages, and writes benchmarks/cluster.yaml

A trial asks the driver (which has one lock, so it serves one at a time), the scheduler (one thread), a worker, which
starts a process and puts the inputs in place, the remote (one pipe), trains, the remote again, and the driver. Each of
these serves in the order of arrival. The model is a heap of events: a simulation library would be longer than it.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

MEASURED = Path(__file__).with_suffix(".yaml")
PIPELINE = """stages:
  make:
    foreach: ${variants}
    do:
      cmd: mkdir -p out && echo ${item.units} > out/${key}.txt
      params: ["variants.${key}"]
      outs: ["out/${key}.txt"]
"""


@dataclass(frozen=True)
class Costs:
    """Seconds of each part of a trial, and bytes.

    `send` and `take` are the driver's, before and after; `task` is the scheduler's, `start` and `place` a worker's. A
    trial pulls and pushes so many megabytes over a pipe of `rate` megabytes a second, which all workers share, in
    `request` seconds at least.
    """

    send: float = 0.0
    take: float = 0.0
    task: float = 0.0
    start: float = 0.0
    place: float = 0.0
    request: float = 0.0
    pull: float = 0.0
    push: float = 0.0
    rate: float = float("inf")


@dataclass(frozen=True)
class Outcome:
    """Seconds until the last trial is recorded, and each part's share of them in which it was at work."""

    makespan: float
    bound: float
    busy: dict[str, float]


class Server:
    """Serves one at a time, in the order of arrival."""

    def __init__(self) -> None:
        self.free, self.worked = 0.0, 0.0

    def serve(self, now: float, seconds: float) -> float:
        """When it is done with who comes now."""
        self.free = max(self.free, now) + seconds
        self.worked += seconds
        return self.free


def simulate(work: Sequence[float], workers: int, costs: Costs) -> Outcome:
    """Run trials of so many seconds of work each on so many workers.

    The driver has as many trials on the way as there are workers, as `replica repro` does.
    """
    driver, scheduler, remote = Server(), Server(), Server()
    order = itertools.count()
    events: list[tuple[float, int, str, float]] = []
    waiting = iter(work)

    def happens(when: float, what: str, seconds: float) -> None:
        heapq.heappush(events, (when, next(order), what, seconds))

    for seconds in itertools.islice(waiting, workers):
        happens(0.0, "send", seconds)
    last = 0.0
    while events:
        now, _, what, seconds = heapq.heappop(events)
        if what == "send":
            happens(driver.serve(now, costs.send), "schedule", seconds)
        elif what == "schedule":
            happens(scheduler.serve(now, costs.task) + costs.start + costs.place + costs.request, "pull", seconds)
        elif what == "pull":
            happens(remote.serve(now, costs.pull / costs.rate) + seconds + costs.request, "push", seconds)
        elif what == "push":
            happens(remote.serve(now, costs.push / costs.rate), "report", seconds)
        elif what == "report":
            happens(scheduler.serve(now, costs.task), "take", seconds)
        else:
            last = driver.serve(now, costs.take)
            if (following := next(waiting, None)) is not None:
                happens(last, "send", following)
    total = sum(work)
    bound = max(total / workers, max(work, default=0.0))
    share = {
        "driver": driver.worked,
        "scheduler": scheduler.worked,
        "remote": remote.worked,
        "workers": total / workers,
    }
    return Outcome(last, bound, {name: worked / last if last else 0.0 for name, worked in share.items()})


def real(stages: int, jobs: int) -> tuple[float, list[dict[str, float]]]:
    """Seconds of so many tiny stages by `replica repro --cluster local`, and each one's parts."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "project")
        root.mkdir()
        entries = "".join(f"  v{number}: {{units: {number}}}\n" for number in range(stages))
        (root / "params.yaml").write_text(f"variants:\n{entries}")
        (root / "dvc.yaml").write_text(PIPELINE)
        (root / ".gitignore").write_text("/out\n")
        for words in (
            ["git", "init", "-q"],
            ["git", "config", "user.email", "bench@example.org"],
            ["git", "config", "user.name", "Bench"],
            [sys.executable, "-m", "dvc", "init", "-q"],
            [sys.executable, "-m", "dvc", "remote", "add", "-q", "--default", "lab", f"{place}/remote"],
            ["git", "add", "-A"],
            ["git", "commit", "-qm", "Begin"],
        ):
            subprocess.run(words, cwd=root, check=True)
        code = "import sys; from replica.commands.cluster.command import run\n"
        code += f"if __name__ == '__main__': sys.exit(run([], 'local', None, None, None, False, {jobs}, force=False))\n"
        script = Path(place, "driver.py")
        script.write_text(code)
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment = {
            **os.environ,
            "PATH": path,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "DASK_TEMPORARY_DIRECTORY": f"{place}/disk",
        }
        subprocess.run([sys.executable, str(script)], cwd=root, check=True, env=environment, stdout=subprocess.DEVNULL)
        parts = [each["seconds"] for each in json.loads((root / ".dvc/tmp/replica/cluster.json").read_text())]
        began = min(each["at"] for each in parts)
        ended = max(each["at"] + each["all"] + each["take"] for each in parts)
        return ended - began, parts


def task() -> float:
    """Seconds of dask's scheduler for one task, of 2,000 that do nothing."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        began = time.perf_counter()
        client.gather(client.map(lambda number: number, range(2000), pure=False))
        return (time.perf_counter() - began) / 2000


def costs_of(seconds: float, parts: list[dict[str, float]], jobs: int) -> Costs:
    """The medians of what a real run measured; `start` is what is left of a stage's time.

    What is left of the run's is the driver's: asking DVC, recording, writing dvc.lock.
    """
    middle = {
        name: statistics.median(each.get(name, 0.0) for each in parts)
        for name in ("take", "prepare", "pull", "run", "push", "all")
    }
    known = sum(middle[name] for name in ("prepare", "pull", "run", "push"))
    return Costs(
        send=(seconds * jobs - sum(each["all"] + each["take"] for each in parts)) / len(parts),
        take=middle["take"],
        task=task(),
        start=middle["all"] - known,
        place=middle["prepare"] + middle["run"],
        request=(middle["pull"] + middle["push"]) / 2,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--measure", action="store_true")
    options.add_argument("--real", type=int, default=0, metavar="STAGES")
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--seconds", type=float, default=60.0, help="of a trial's work, in the mean")
    chosen = options.parse_args()
    if chosen.measure:
        found = costs_of(*real(60, chosen.jobs), chosen.jobs)
        kept = {name: round(value, 5) for name, value in vars(found).items() if value not in (0.0, float("inf"))}
        MEASURED.write_text(yaml.safe_dump(kept, sort_keys=False))
    costs = Costs(**yaml.safe_load(MEASURED.read_text()))
    if chosen.real:
        seconds, _ = real(chosen.real, chosen.jobs)
        outcome = simulate([0.0] * chosen.real, chosen.jobs, costs)
        print(f"{chosen.real} stages, {chosen.jobs} workers: {seconds:.0f} s, simulated {outcome.makespan:.0f} s")
        return
    # A dataset lies on a node after its first trial; a trial leaves a model. The pipe: a gigabit.
    costs = replace(costs, pull=0.1, push=3.0, rate=110.0)
    random = np.random.default_rng(0)
    print("| trials | workers | lower bound | makespan | of it | driver | scheduler | remote | workers |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for trials in (1_000, 100_000):
        work = random.lognormal(np.log(chosen.seconds) - 0.125, 0.5, trials).tolist()
        for workers in (10, 100, 1_000):
            outcome = simulate(work, workers, costs)
            shares = " | ".join(f"{outcome.busy[name]:.0%}" for name in ("driver", "scheduler", "remote", "workers"))
            bound, makespan = outcome.bound / 60, outcome.makespan / 60
            times = f"{bound:,.1f} min | {makespan:,.1f} min | {bound / makespan:.0%}"
            print(f"| {trials:,} | {workers:,} | {times} | {shares} |")


if __name__ == "__main__":
    main()
