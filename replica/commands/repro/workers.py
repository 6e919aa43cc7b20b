"""Where the commands run, and how they are told to stop."""

from __future__ import annotations

import signal
import threading
import time
import uuid
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replica.commands.repro import command

if TYPE_CHECKING:
    from distributed import Client, Future

LOOPBACK = "127.0.0.1:0"  # dask's default is a page on every interface
# By default dask looks 200 times a second at what its threads do. They wait: the commands are processes.
QUIET = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}
GRACE = 10.0  # seconds between asking commands to end and killing them


class Workers:
    """A dask cluster of this machine, started when the first command comes: one worker with a thread for each command.

    It runs commands side by side as long as the memory that they need is there; one that needs more than there is at
    all runs alone.

    Parameters
    ----------
    jobs
        How many commands at once.
    folder
        Where the cluster puts its files.
    memory
        MiB for all commands; the machine's, or the container's, if None.
    """

    def __init__(self, jobs: int, folder: Path, memory: float | None = None) -> None:
        self.jobs, self.folder, self._memory = jobs, folder, memory
        self.most = jobs
        self.run = uuid.uuid4().hex
        self.sent: dict[str, int] = {}
        self._client: Client | None = None
        self._first = threading.Lock()

    @cached_property
    def memory(self) -> float:
        if self._memory is not None:
            return self._memory
        from distributed.system import MEMORY_LIMIT

        return MEMORY_LIMIT / 2**20

    @property
    def client(self) -> Client:
        with self._first:  # several threads ask for it at once
            self._client = self._client or self._started()
        return self._client

    def _started(self) -> Client:
        import dask
        from distributed import Client, LocalCluster

        # A driver that Ctrl-Z has held for longer than this would take its own worker for lost, and wait for ever.
        dask.config.set({"distributed.scheduler.worker-ttl": None, **QUIET})
        warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address")  # none is needed
        cluster = LocalCluster(
            n_workers=1,
            threads_per_worker=self.jobs,
            resources={"threads": self.jobs, "memory": self.memory},
            processes=False,  # a worker does no more than wait for its commands, which are processes
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            memory_limit=0,
            local_directory=str(self.folder),
        )
        return Client(cluster)

    def execute(self, needs: dict[str, float], name: str, *commands: Any) -> command.Ended:
        """Run one stage's commands on a worker and wait for their end; see `submit`."""
        return self.submit(needs, self.run, name, *commands).result()

    def submit(
        self,
        needs: dict[str, float],
        run: str,
        name: str,
        commands: list[str | list[str]],
        cwd: str,
        env: dict[str, str],
        log: Path,
    ) -> Future:
        """Run commands when there is what they need (`Needs.of`), as part of what `stop` stops under the name `run`.

        The future's result is an `Ended`.
        """
        resources = {**needs, "memory": min(needs["memory"], self.memory)}
        key = f"{name}-{run}-{self.run}"
        return self.client.submit(command.execute, run, commands, cwd, env, str(log), key=key, resources=resources)

    def stop(self, number: int, run: str | None = None) -> None:
        """Send a signal to the commands of a run, or of all stages, once."""
        run = run or self.run
        if number != self.sent.get(run) and self._client:
            self._client.run(command.stop, run, number)
            self.sent[run] = number

    def close(self) -> None:
        if self._client:
            self._client.close()
            if self._client.cluster:
                self._client.cluster.close()


class Stop:
    """Whether the user has asked to stop; a context manager for the main thread.

    Within it a signal is noted and raises nothing, so that none can cut DVC's writing in two.
    """

    def __init__(self) -> None:
        self.signals: list[int] = []
        self.since = 0.0

    def __bool__(self) -> bool:
        return bool(self.signals)

    def __enter__(self) -> Stop:
        self.before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        for number, handler in self.before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, self.note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def note(self, number: int, _: object = None) -> None:
        self.since = self.since or time.monotonic()
        self.signals.append(number)

    @property
    def number(self) -> int:
        """The signal for the commands: ask first, by the user's own; kill those that take too long, or all at a second.

        What a shell has started in the background ignores SIGINT, and so do its commands: they hear SIGTERM alone.
        """
        late = len(self.signals) > 1 or time.monotonic() - self.since > GRACE
        return int(signal.SIGKILL if late else self.signals[0])

    @property
    def status(self) -> int:
        """The exit status that says which signal it was."""
        return 128 + self.signals[0]
