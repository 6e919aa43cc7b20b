"""The nodes as the driver sees them: a job goes out, and comes back once, whatever becomes of workers and links."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from dvc.exceptions import DvcException

from replica.commands.cluster import node
from replica.commands.cluster.job import REFUSED, Job, Result
from replica.commands.repro import command

if TYPE_CHECKING:
    from distributed import Client, Future

PATIENCE = 60.0  # seconds in which a worker that may take a job must have come, or the scheduler come back
MOST = 1000  # jobs at once
LOOK = 10.0  # seconds between two looks at whether a worker has what a job waits for
MANY = 3  # workers that ended amid one job: a walltime, more likely than not


class LostError(Exception):
    """The scheduler, or every worker that might have run a job, has gone: it goes out again."""


class Fleet:
    """Nodes under a dask scheduler.

    Parameters
    ----------
    client
        Of the scheduler.
    jobs
        How many jobs at once at most; None: as many as the workers have threads.
    hear
        Called with a stage's name and pieces of its log.
    tell
        Called with a line for the user.
    """

    def __init__(
        self, client: Client, jobs: int | None, hear: Callable[[str, str], None], tell: Callable[[str], None]
    ) -> None:
        self.client, self.asked, self.hear, self.tell = client, jobs, hear, tell
        self.id = uuid.uuid4().hex
        self.numbers = itertools.count()
        self.sent, self.told = 0, set[str]()
        self.most = jobs or MOST
        self.stopping = threading.Event()
        self._jobs, self._seen = 1, 0.0
        self._offered: dict[str, dict[str, float]] = {}
        self._looked = 0.0
        self._begun: dict[str, int] = {}
        client.subscribe_topic(self.id, lambda event: self._heard(event[1]))

    @property
    def jobs(self) -> int:
        """How many jobs may run at once now; looked up every second."""
        if time.monotonic() - self._seen > 1:
            self._seen = time.monotonic()
            self._jobs = max(1, min(self.most, sum(self.workers().values())))
        return self._jobs

    def _heard(self, event: dict[str, Any]) -> None:
        """What a node says of a job: that it begins, or a piece of its log."""
        if (key := event.get("begun")) is None:
            self.hear(event["stage"], event["text"])
            return
        self._begun[key] = times = self._begun.get(key, 0) + 1
        if times > 1:
            short = "; has a job too little time for it?" if times > MANY else ""
            self.tell(f"{event['stage']} begins again, its worker having ended amid it ({times - 1} so far{short})")

    def workers(self) -> dict[str, int]:
        """Each worker's address and threads; none while the scheduler is away."""
        try:
            return self.client.nthreads()
        except (OSError, TimeoutError, AttributeError):  # the last of a client that is closed
            return {}

    def run(self, job: Job, needs: dict[str, float]) -> Result:
        """Let one worker that has what it needs carry a job out; another where one refuses it or is lost.

        Raises
        ------
        DvcException
            Where no worker takes it, or too many died of it.
        """
        refused: dict[str, str] = {}
        while True:
            allowed = self._allowed(refused)
            key = f"{job.stage}-{next(self.numbers)}-{self.id}"
            resources = self._within(needs, allowed)
            options: dict[str, Any] = {"key": key, "workers": allowed, "resources": resources, "pure": False}
            try:
                future = self.client.submit(node.run, self.id, job.plain(), **options)
                address, plain = self._outcome(future, allowed, resources)
            except LostError as lost:
                if self.stopping.is_set():
                    return Result(REFUSED, str(lost))
                self.tell(f"{job.stage} goes out again: {lost}")
                continue
            result = Result(**plain)
            if result.status != REFUSED or self.stopping.is_set():
                return result
            refused[address] = f"{result.host or address}: {result.words}"
            if refused[address] not in self.told:
                self.told.add(refused[address])
                self.tell(f"{job.stage} refused by {refused[address]}")

    def _offers(self, allowed: list[str] | None, age: float = 0.0) -> list[dict[str, float]]:
        """What the workers that may take a job have, as it was so many seconds ago at most."""
        if time.monotonic() - self._looked > age:
            try:
                workers = self.client.scheduler_info(n_workers=-1).get("workers", {})
            except (OSError, TimeoutError):
                workers = {}
            self._offered = {address: worker.get("resources", {}) for address, worker in workers.items()}
            self._looked = time.monotonic()
        return [has for address, has in self._offered.items() if allowed is None or address in allowed]

    def _within(self, needs: dict[str, float], allowed: list[str] | None) -> dict[str, float] | None:
        """A stage's needs, but no more than the largest worker has; none where workers don't say what they have."""
        offers = self._offers(allowed)
        if not offers or not all(set(needs) <= set(has) for has in offers):
            return None
        return {key: min(value, max(has[key] for has in offers)) for key, value in needs.items()}

    def _waits(self, resources: dict[str, float] | None, allowed: list[str] | None) -> bool:
        """Whether workers are there, but none with what a job asks for: the one that had it has gone."""
        if not resources:
            return False
        for age in (LOOK, 0.0):  # seldom, for all jobs at once; but none is cancelled by what was seen long ago
            offers = self._offers(allowed, age)
            if not offers or any(all(has.get(key, 0) >= resources[key] for key in resources) for has in offers):
                return False
        return True

    def _runs(self, key: Any) -> bool:
        try:
            return any(key in keys for keys in self.client.processing().values())
        except (OSError, TimeoutError):
            return True

    def _allowed(self, refused: dict[str, str]) -> list[str] | None:
        """The workers that have not refused; None: any."""
        if not refused:
            return None
        until = time.monotonic() + PATIENCE
        while not (allowed := [each for each in self.workers() if each not in refused]):
            if time.monotonic() > until or self.stopping.is_set():
                raise DvcException(f"no worker takes it: {'; '.join(dict.fromkeys(refused.values()))}")
            time.sleep(0.5)
        return allowed

    def _outcome(
        self, future: Future, allowed: list[str] | None, resources: dict[str, float] | None
    ) -> tuple[str, dict[str, Any]]:
        """Where a task ran, and what it gave."""
        from distributed import CancelledError, KilledWorker, wait
        from distributed.comm import CommClosedError

        while True:
            try:
                wait(future, timeout=1)
                return self._where(future), future.result()
            except TimeoutError:
                if self.stopping.is_set() and not self.workers():
                    raise LostError("no worker is left to hear of the stop") from None
                if allowed and not set(allowed) & set(self.workers()):
                    future.cancel()
                    raise LostError("its workers are gone") from None
                if self.stopping.is_set() and not self._runs(future.key) and not future.done():
                    future.cancel()
                    raise LostError("no worker had taken it yet") from None
                if self._waits(resources, allowed):
                    future.cancel()
                    raise LostError("the workers that had what it needs are gone") from None
            except KilledWorker as error:
                raise DvcException(
                    "the workers that ran it died, one after the other: of too little memory, or too short a walltime?"
                ) from error
            except (CancelledError, CommClosedError, OSError) as error:
                self._come_back(error)
                raise LostError("the scheduler was away") from error

    def _where(self, future: Future) -> str:
        who = self.client.who_has([future]).get(future.key, ())
        return next(iter(who), "")

    def _come_back(self, error: BaseException) -> None:
        """Wait until there is a scheduler again, or the user stops."""
        until = time.monotonic() + PATIENCE
        while not self.stopping.is_set() and not self.workers():
            if time.monotonic() > until:
                raise DvcException(f"the scheduler is gone: {' '.join(str(error).split())}") from error
            time.sleep(0.5)

    def stop(self, number: int) -> None:
        """Send a signal to all jobs' processes, once; while the scheduler is away it reaches none."""
        self.stopping.set()
        if number != self.sent:
            with suppress(OSError, TimeoutError):
                self.client.run(command.stop, self.id, number)
                self.sent = number

    def close(self) -> None:
        """Nothing to close: the client is its maker's."""
