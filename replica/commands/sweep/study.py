"""A sweep's record: Optuna's study in a folder that outlives a kill, and what it draws for each trial.

A trial's draw comes from a sampler seeded with (seed, the trial's number), so that it does not depend on how often the
sweep was stopped; random and grid draws do not depend on the other trials either.
"""

from __future__ import annotations

import fcntl
import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, PartialFixedSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.storages.journal._file import BaseJournalFileLock
from optuna.trial import FrozenTrial, Trial, TrialState

from replica.commands.sweep.space import Space
from replica.commands.sweep.workspace import Snapshot
from replica.common.errors import UserError

SAMPLERS = ("tpe", "random", "grid")
TRIALS = 20


class Held(BaseJournalFileLock):
    """What Optuna locks at each writing: nothing, as the sweep holds a lock all the time, which a kill gives back."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


@dataclass
class Attempt:
    """A trial that runs: its number from 1, its experiment's name, all its overrides, and Optuna's handle."""

    number: int
    name: str
    values: dict[str, Any]
    trial: Trial


class Study:
    """The study of one sweep; a context manager, since only one process may have it open.

    Parameters
    ----------
    folder
        Of this sweep alone, named as it is.
    space, sampler, seed, prune
        What may not change once the sweep has begun; `sampler` is one of `SAMPLERS`.
    """

    def __init__(self, folder: Path, space: Space, sampler: str, seed: int, prune: bool) -> None:
        self.folder, self.name, self.space, self.sampler, self.seed = folder, folder.name, space, sampler, seed
        self.combinations = space.grid() if sampler == "grid" else []
        self.declared = {"variant": space.variant, "space": str(space), "sampler": sampler, "seed": seed}
        self.declared["prune"] = prune

    def __enter__(self) -> Study:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"sweep {self.name} is running already; take another --name") from None
        try:
            self._open()
        except BaseException:
            self.lock.close()
            raise
        return self

    def _open(self) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        log = self.folder / "study.log"
        if log.exists():  # Optuna reads past a line that a kill cut short, and joins its next one to it
            os.truncate(log, log.read_bytes().rfind(b"\n") + 1)
        backend = JournalFileBackend(str(log), Held())
        self.study = optuna.create_study(
            storage=JournalStorage(backend),
            study_name=self.name,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner() if self.declared["prune"] else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )
        self._same()
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)

    def __exit__(self, *_: object) -> None:
        self.lock.close()

    def _same(self) -> None:
        before = self.study.user_attrs
        for key, value in self.declared.items():
            if not self.study.get_trials(deepcopy=False):
                self.study.set_user_attr(key, value)
            elif before[key] != value:
                raise UserError(
                    f"sweep {self.name} was begun with {key} {before[key]}, now it is {value}; "
                    f"take another --name, or delete {self.folder} to begin anew"
                )

    @property
    def snapshot(self) -> Snapshot | None:
        """The files that its trials start from."""
        noted = self.study.user_attrs.get("snapshot")
        return Snapshot(*noted) if noted else None

    @snapshot.setter
    def snapshot(self, state: Snapshot) -> None:
        self.study.set_user_attr("snapshot", list(state))

    def count(self, asked: int | None) -> int:
        """How many trials there will be: as many as asked for, of a grid no more than it has."""
        if self.sampler == "grid":
            return min(asked or len(self.combinations), len(self.combinations))
        return asked or TRIALS

    def ended(self) -> dict[int, FrozenTrial]:
        """The trials that came to an end of their own, by number; those cut short are not among them."""
        return {
            trial.user_attrs["number"]: trial
            for trial in self.study.get_trials(deepcopy=False)
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or "log" in trial.user_attrs
        }

    def ranked(self) -> list[FrozenTrial]:
        """The completed trials, the highest value first; of equals, the first drawn."""
        complete = [trial for trial in self.ended().values() if trial.state == TrialState.COMPLETE]
        return sorted(complete, key=lambda trial: (-(trial.value or 0.0), trial.user_attrs["number"]))

    def ask(self, number: int, jobs: int) -> Attempt:
        """Draw the trial of a number."""
        self.study.sampler = self._sampler(number, jobs)
        trial = self.study.ask(self.space.distributions)
        attempt = Attempt(number, f"{self.name}-{number:03}", self.space.values(trial.params), trial)
        for key, value in (("number", number), ("name", attempt.name), ("values", json.dumps(attempt.values))):
            trial.set_user_attr(key, value)
        return attempt

    def _sampler(self, number: int, jobs: int) -> BaseSampler:
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        if self.sampler == "tpe":
            return TPESampler(seed=seed, constant_liar=jobs > 1)
        if self.sampler == "grid":
            return PartialFixedSampler(self.combinations[number - 1], RandomSampler(seed))
        return RandomSampler(seed)

    def hopeless(self, attempt: Attempt, epoch: int, value: float) -> bool:
        """Note an epoch's value of a running trial; whether it is below the median of the others' at that epoch."""
        if epoch not in self.study.get_trials(deepcopy=False)[attempt.trial.number].intermediate_values:
            attempt.trial.report(value, epoch)
        return attempt.trial.should_prune()

    def complete(self, attempt: Attempt, value: float, curve: dict[int, float], seconds: float) -> None:
        """Record a trial's value, and its value at each epoch, which later ones are held against."""
        known = self.study.get_trials(deepcopy=False)[attempt.trial.number].intermediate_values
        for epoch in sorted(curve.keys() - known.keys()):
            attempt.trial.report(curve[epoch], epoch)
        attempt.trial.set_user_attr("seconds", round(seconds, 1))
        self.study.tell(attempt.trial, value)

    def prune(self, attempt: Attempt) -> None:
        self.study.tell(attempt.trial, state=TrialState.PRUNED)

    def fail(self, attempt: Attempt, log: Path | None = None) -> None:
        """Record a trial that failed, with its log if it did so of its own, and so would again."""
        if log:
            attempt.trial.set_user_attr("log", str(log))
        self.study.tell(attempt.trial, state=TrialState.FAIL)
