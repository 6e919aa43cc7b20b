"""Where the commands run, and how they are told to stop."""

from __future__ import annotations

import signal
import time
import uuid
import warnings
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from replica.commands.repro import command

if TYPE_CHECKING:
    from distributed import Client, Future

LOOPBACK = "127.0.0.1:0"  # dask's default is a page on every interface
GRACE = 10.0  # seconds between asking commands to end and killing them


class Workers:
    """A dask cluster of workers of one thread, started when the first command comes.

    Parameters
    ----------
    jobs
        How many workers the local cluster has.
    folder
        Where the local cluster puts its files.
    """

    def __init__(self, jobs: int, folder: Path) -> None:
        self.jobs, self.folder = jobs, folder
        self.most = jobs
        self.run = uuid.uuid4().hex
        self.sent: dict[str, int] = {}

    @cached_property
    def client(self) -> Client:
        from distributed import Client, LocalCluster

        warnings.filterwarnings("ignore", "Couldn't detect a suitable IP address")  # none is needed
        cluster = LocalCluster(
            n_workers=self.jobs,
            threads_per_worker=1,
            processes=False,  # a worker does no more than wait for its command, which is a process
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            memory_limit=0,
            local_directory=str(self.folder),
        )
        return Client(cluster)

    def execute(self, name: str, commands: list[str | list[str]], cwd: str, env: dict, log: Path) -> command.Ended:
        """Run one stage's commands on a worker and wait for their end."""
        return self.submit(self.run, name, commands, cwd, env, log).result()

    def submit(self, run: str, name: str, commands: list[str | list[str]], cwd: str, env: dict, log: Path) -> Future:
        """Run commands on a worker, as part of what `stop` stops under the name `run`; the result is an `Ended`."""
        return self.client.submit(command.execute, run, commands, cwd, env, str(log), key=f"{name}-{run}-{self.run}")

    def stop(self, number: int, run: str | None = None) -> None:
        """Send a signal to the commands of a run, or of all stages, once."""
        run = run or self.run
        if number != self.sent.get(run) and "client" in self.__dict__:
            self.client.run(command.stop, run, number)
            self.sent[run] = number

    def close(self) -> None:
        if "client" in self.__dict__:
            self.client.close()
            if self.client.cluster:
                self.client.cluster.close()


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
        """The signal for the commands: ask first; kill those that take too long, or all when asked twice."""
        late = len(self.signals) > 1 or time.monotonic() - self.since > GRACE
        return int(signal.SIGKILL if late else signal.SIGINT)

    @property
    def status(self) -> int:
        """The exit status that says which signal it was."""
        return 128 + self.signals[0]
