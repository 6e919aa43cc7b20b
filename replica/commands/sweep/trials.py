"""A sweep's trials: drawn, run side by side on the workers of `replica repro`, and kept in the study."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from rich.console import Console

from replica.commands.overview import as_typed
from replica.commands.repro.display import Display, duration, tail
from replica.commands.repro.needs import Needs
from replica.commands.repro.workers import Stop, Workers
from replica.commands.sweep.overrides import overridden
from replica.commands.sweep.study import Attempt, Study
from replica.commands.sweep.trial import AGAIN, Request
from replica.commands.sweep.workspace import Snapshot
from replica.common import files, parameters

if TYPE_CHECKING:
    from distributed import Future

    from replica.commands.repro.command import Ended


WAITING = 250.0  # MiB of a trial that only waits for a node


class Lines(Display):
    """As for stages, but in a log without the trials' own lines."""

    def _echo(self, name: str, lines: list[str]) -> None:
        pass


@dataclass
class RunningTrial:
    """A trial that runs: where, its log, the seeds it trains with, and what will say how it ended."""

    attempt: Attempt
    title: str
    folder: Path
    log: Path
    seeds: list[int]
    future: Future[Ended]
    began: float = field(default_factory=time.monotonic)
    hopeless: bool = False


class Trials:
    """Runs what is left of a sweep of so many trials.

    Parameters
    ----------
    root, cache
        The repository, and DVC's cache.
    declared
        params.yaml as the trials start from it.
    nodes
        `Request`'s words about a cluster; none: trials train here.
    """

    def __init__(
        self,
        root: Path,
        cache: str,
        declared: dict[str, Any],
        study: Study,
        state: Snapshot,
        trials: int,
        jobs: int,
        console: Console,
        nodes: dict[str, str],
    ) -> None:
        self.root, self.cache, self.declared, self.study, self.state = root, cache, declared, study, state
        self.trials, self.jobs, self.console, self.nodes = trials, jobs, console, nodes
        self.folder, self.variant = study.folder, study.space.variant
        needs = Needs(root, root / ".dvc/tmp/replica/memory.json").of(f"train@{self.variant}")
        self.needs = needs | {"memory": WAITING} if nodes else needs
        done = study.ended()
        self.left = [number for number in range(1, trials + 1) if number not in done]
        self.seconds = [seconds for trial in done.values() if (seconds := trial.user_attrs.get("seconds"))]
        self.active: list[RunningTrial] = []
        self.stop = Stop()
        self.display = Lines(console, self.summary)

    def run(self) -> int:
        """Run the trials that are left; return 0, or 128 and the number of the signal that stopped it."""
        (self.folder / "logs").mkdir(exist_ok=True)
        self._sweep_up()
        self.workers = Workers(self.jobs, self.folder / "dask")
        with self.stop, self.display:
            try:
                while self.active or (self.left and not self.stop):
                    self._step()
            finally:
                for running in self.active:
                    self.workers.stop(signal.SIGKILL, running.attempt.name)
                self.workers.close()
                self._sweep_up()
        return self.stop.status if self.stop else 0

    def _step(self) -> None:
        while self.left and len(self.active) < self.jobs and not self.stop:
            self.active.append(self._start(self.left.pop(0)))
        for running in list(self.active):
            if self.stop:
                self.workers.stop(self.stop.number, running.attempt.name)
            if running.future.done():
                self.active.remove(running)
                self._end(running)
            elif not running.hopeless and self._hopeless(running):
                running.hopeless = True
                self.workers.stop(signal.SIGKILL, running.attempt.name)
        self.display.refresh()
        time.sleep(0.1)

    def _start(self, number: int) -> RunningTrial:
        attempt = self.study.ask(number, self.jobs)
        variant = parameters.variant(overridden(self.declared, self.variant, attempt.values), self.variant)
        folder = Path(tempfile.mkdtemp(prefix=f"{attempt.name}-", dir=self.folder))
        request = Request(
            root=str(self.root),
            folder=str(folder / "clone"),
            base=self.state.base,
            tree=self.state.tree,
            name=attempt.name,
            variant=self.variant,
            dataset=variant["dataset"],
            cache=self.cache,
            parent=os.getpid(),
            values=attempt.values,
            **self.nodes,
        )
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}
        log = self.folder / "logs" / f"{attempt.name}.log"
        log.unlink(missing_ok=True)
        name, command = attempt.name, request.command()
        future = self.workers.submit(self.needs, name, name, [command], str(self.root), environment, log)
        space = self.study.space
        drawn = " ".join(f"{space.short(key)}={as_typed(attempt.values[key])}" for key in space.domains)
        running = RunningTrial(attempt, f"{attempt.name}  {drawn}", folder, log, variant["seeds"], future)
        self.display.started(running.title, log, mean(self.seconds) if self.seconds else 0.0)
        return running

    def _hopeless(self, running: RunningTrial) -> bool:
        """Whether a running trial is to be pruned, by its first seed's validation accuracy so far."""
        if not self.study.declared["prune"] or self.stop:
            return False
        try:
            live = json.loads((running.folder / "clone/live" / self.variant / "metrics.json").read_text())
        except (OSError, ValueError):  # not there yet, or half-written
            return False
        seeds = [name for name in live if name.startswith("seed-")]
        if seeds != [f"seed-{running.seeds[0]}"]:
            return False
        with suppress(KeyError):
            return self.study.hopeless(running.attempt, live["step"], live[seeds[0]]["validation"]["accuracy"])
        return False

    def _end(self, running: RunningTrial) -> None:
        """Record how a trial ended, and remove its clone."""
        ended, attempt = running.future.result(), running.attempt
        seconds = time.monotonic() - running.began
        words, style = "", "bold red"
        last, log = (tail(running.log, 1) or ["no output"])[0], os.path.relpath(running.log)
        if not ended.status:
            curves = self._curves(running)
            value = mean(curve[max(curve)] for curve in curves)
            if math.isfinite(value):
                self.study.complete(attempt, value, curves[0], seconds)
                self.seconds.append(seconds)
                words, style = f"validation accuracy {value:.4f} in {duration(seconds)}", "green"
        elif self.stop:
            self.study.fail(attempt)
            words = "stopped"
        elif running.hopeless:
            self.study.prune(attempt)
            words, style = f"pruned after {duration(seconds)}", "yellow"
        elif ended.status < 0 or ended.status > 128:  # as out of memory: it need not happen again
            self.study.fail(attempt)
            words = f"{last if ended.status == AGAIN else 'killed'}; the same command runs it again  ({log})"
        if not words:
            self.study.fail(attempt, running.log)
            words = f"failed: {last}  ({log})"
        self.display.ended(running.title, words, style)
        shutil.rmtree(running.folder, ignore_errors=True)

    def _curves(self, running: RunningTrial) -> list[dict[int, float]]:
        """Each seed's validation accuracy at each epoch."""
        curves = []
        for seed in running.seeds:
            rows = files.history(running.folder / "clone/models" / self.variant / f"seed-{seed}", seed)
            curves.append(
                {epoch: value for epoch, value, metric, data, _ in rows if (metric, data) == ("accuracy", "validation")}
            )
        return curves

    def _sweep_up(self) -> None:
        """Remove the clones of trials that were cut short."""
        for folder in self.folder.glob(f"{self.study.name}-*/"):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(self.folder / "dask", ignore_errors=True)

    def summary(self) -> str:
        """How far the sweep is, in a line."""
        left = len(self.left) + len(self.active)
        words = [f"{self.trials - left} of {self.trials} trials done"]
        if ranked := self.study.ranked():
            words.append(f"best so far {ranked[0].value:.4f} ({ranked[0].user_attrs['name']})")
        if self.stop:
            words.append("stopping; Ctrl-C again kills what runs")
        elif left and self.seconds:
            passed = sum(min(mean(self.seconds), time.monotonic() - running.began) for running in self.active)
            words.append(f"about {duration(max(1.0, (left * mean(self.seconds) - passed) / self.jobs))} left")
        return ", ".join(words)
