"""Where the nodes come from: this machine, hosts over SSH, Slurm, Kubernetes, or a dask scheduler that runs already.

Each gives a dask client. What is dask's own (cores and walltime of a Slurm job, certificates of a scheduler by hand)
stands in dask's configuration files. Between machines all goes over TLS: with certificates made for the run, or, for a
scheduler by hand, those of `replica certificates`.
"""

from __future__ import annotations

import importlib
import logging
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask

from replica.commands.cluster import security
from replica.commands.repro.workers import LOOPBACK, QUIET
from replica.common.errors import UserError
from replica.schema import check

if TYPE_CHECKING:
    from distributed import Client

CLUSTERS = ("local", "ssh", "slurm", "kubernetes")
# A link that is cut for half a minute loses nothing: by default dask gives a connection up after 30 s.
PATIENT = {
    "distributed.comm.timeouts.tcp": "120s",
    "distributed.comm.timeouts.connect": "60s",
    "distributed.scheduler.worker-ttl": "5 minutes",
    **QUIET,
}
CONNECT = "20s"  # to a scheduler that should be there
SLOW = 10.0  # seconds without a worker, after which one line says what is waited for


@contextmanager
def started(
    cluster: str | None,
    scheduler: str | None,
    jobs: int | None,
    hosts: Sequence[str],
    insecure: bool,
    folder: Path,
    tell: Callable[[str], None],
) -> Iterator[Client]:
    """Within the block a client of the cluster asked for; at its end what was started here is ended.

    Parameters
    ----------
    cluster
        One of `CLUSTERS`, or None where there is a `scheduler`.
    scheduler
        The address of one, such as `tls://host:8786`.
    jobs
        How many workers to start: processes, jobs of Slurm, pods; of SSH, one a host with so many threads each.
    hosts
        For SSH.
    insecure
        Whether a scheduler on another machine may be reached without TLS.
    folder
        For what the cluster itself writes.
    tell
        Called with a line for the user.

    Raises
    ------
    UserError
        Where a package is missing, an option, or the cluster can't be reached.
    """
    if (cluster is None) == (scheduler is None):
        raise UserError("--cluster and --scheduler: one of the two")
    if cluster is not None:
        check.require("--cluster", cluster, CLUSTERS, "cluster")
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs: {jobs}, but at least 1 must run")
    if (cluster == "ssh") != bool(hosts):
        raise UserError("--hosts: names, with commas between; goes with --cluster ssh, and that with it")
    folder.mkdir(parents=True, exist_ok=True)
    needed("distributed")  # before ours: else its own settings would go with them at the block's end
    with dask.config.set(PATIENT):
        begin: dict[str | None, Any] = {
            None: lambda: _running(str(scheduler), insecure),
            "local": lambda: _local(jobs or 1, folder),
            "ssh": lambda: _ssh(hosts, jobs or 1, folder, tell),
            "slurm": lambda: _slurm(jobs or 1, folder),
            "kubernetes": lambda: _kubernetes(jobs or 1, tell),
        }
        with begin[cluster]() as client:
            _await(client, cluster or str(scheduler), tell)
            yield client


def _await(client: Client, name: str, tell: Callable[[str], None], look: Callable[[], None] = lambda: None) -> None:
    """Wait for the first worker; `look` raises where none can come."""
    began, told = time.monotonic(), False
    try:
        while not client.nthreads():
            look()
            if time.monotonic() - began > SLOW and not told:
                told = True
                tell(f"{name}: no worker yet; waiting for the first (Ctrl-C ends it)")
            time.sleep(0.2)
    except OSError as error:
        raise UserError(f"{name}: the scheduler ended before a worker came: start it again") from error


def resources(threads: int, memory: float) -> dict[str, float]:
    """What a worker declares, for stages that say what they need: threads, and MiB."""
    return {"threads": threads, "memory": int(memory / 2**20)}


def needed(package: str) -> Any:
    """A package of the extra `cluster`."""
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"{package} is not installed: `make cluster`, or `pip install replica[cluster]`") from error


@contextmanager
def _running(address: str, insecure: bool) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, security=security.of(address, insecure), timeout=CONNECT)
    except (OSError, TimeoutError, ValueError, TypeError) as error:
        raise UserError(f"--scheduler {address}: {' '.join(str(error).split())}") from error
    with client:
        yield client


@contextmanager
def _local(jobs: int, folder: Path) -> Iterator[Client]:
    from distributed import Client, LocalCluster
    from distributed.system import MEMORY_LIMIT

    certificate = security.temporary()  # a machine may have other users
    with (
        LocalCluster(
            n_workers=1,
            threads_per_worker=jobs,
            processes=False,  # each job is one anyway
            protocol="tls",  # not dask's inproc: a sweep's trials are processes, and clients
            host="127.0.0.1",
            security=certificate,
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            memory_limit=0,
            local_directory=str(folder),
            resources=resources(jobs, MEMORY_LIMIT),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, security=certificate) as client,
    ):
        yield client


@contextmanager
def _ssh(hosts: Sequence[str], jobs: int, folder: Path, tell: Callable[[str], None]) -> Iterator[Client]:
    """A scheduler here, and on each host `replica worker`, by the user's own `ssh`.

    dask's SSHCluster would put the certificate's key on the hosts' command lines, for everyone there to read; here it
    goes through the connection.
    """
    from distributed import Client, LocalCluster

    certificate = security.temporary()
    command = _words("replica.ssh.command", "ssh -o BatchMode=yes")
    python = _words("replica.ssh.python", sys.executable)
    started: list[subprocess.Popen[bytes]] = []
    with (
        LocalCluster(
            n_workers=0,
            protocol="tls",
            host=towards(command, hosts[0]),
            security=certificate,
            dashboard_address=LOOPBACK,
            local_directory=str(folder),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, security=certificate) as client,
    ):
        words = [*python, "-m", "replica", "worker", cluster.scheduler_address, "--threads", str(jobs), "--key", "-"]
        try:
            for host in hosts:
                process = subprocess.Popen(
                    [*command, host, shlex.join(words)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=(folder / f"ssh-{host.rpartition('@')[2]}.log").open("wb"),
                    start_new_session=True,
                )
                started.append(process)
                with suppress(BrokenPipeError):
                    assert process.stdin
                    process.stdin.write(security.written(certificate).encode())
                    process.stdin.flush()  # and stays open: the worker ends when it closes
            _await(client, f"--hosts {','.join(hosts)}", tell, lambda: _watch(hosts, started, folder))
            yield client
        finally:
            for process in started:
                assert process.stdin
                with suppress(OSError):
                    process.stdin.close()
            for process in started:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()


def _words(setting: str, usual: str) -> list[str]:
    """A command of dask's configuration."""
    said = dask.config.get(setting, usual)
    try:
        return shlex.split(said)
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{setting}: {said!r}; allowed: a command, such as {usual}") from error


def _watch(hosts: Sequence[str], started: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """See that not every host has failed."""
    if all(process.poll() is not None for process in started):
        host = hosts[0]
        said = (folder / f"ssh-{host.rpartition('@')[2]}.log").read_text(errors="replace").strip().splitlines()
        raise UserError(f"--hosts {host}: {said[-1] if said else 'ssh ended'}")


def towards(command: Sequence[str], host: str) -> str:
    """This machine's address, as a host sees it that `ssh` knows, by whatever name."""
    try:
        asked = subprocess.run([*command, "-G", host], capture_output=True, text=True, check=False)
    except OSError as error:
        said = f"{shlex.join(command)}: {error.strerror}"
        raise UserError(f"replica.ssh.command: {said}; allowed: a program as OpenSSH's ssh") from error
    names = [line.split(" ", 1)[1] for line in asked.stdout.splitlines() if line.startswith("hostname ")]
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.connect((names[0] if names else host, 22))  # a datagram's connection sends nothing
            return str(link.getsockname()[0])
    except OSError as error:
        raise UserError(f"--hosts {host}: {error.strerror or error}") from error


@contextmanager
def _slurm(jobs: int, folder: Path) -> Iterator[Client]:
    from distributed import Client

    jobqueue = needed("dask_jobqueue")
    declared = dask.config.get("jobqueue.slurm")
    if lacking := [key for key in ("cores", "memory") if not declared.get(key)]:
        raise UserError(
            f"--cluster slurm: {' and '.join(lacking)} of a job: in ~/.config/dask/jobqueue.yaml, "
            "under jobqueue: slurm: (docs/cluster.md has an example)"
        )
    try:
        given = resources(int(declared["cores"]), dask.utils.parse_bytes(declared["memory"]))
    except (ValueError, TypeError) as error:
        said = f"cores: {declared['cores']}, memory: {declared['memory']}"
        raise UserError(f"--cluster slurm: in jobqueue.yaml, {said}; allowed: a number, a size as 4GB") from error
    amounts = ",".join(f"{key}={value}" for key, value in given.items())
    extra = ["--resources", shlex.quote(amounts), "--dashboard-address", LOOPBACK]
    patient = [f"export {variable(name)}={value!r}" for name, value in PATIENT.items()]
    with ExitStack() as ending:
        try:
            cluster = jobqueue.SLURMCluster(
                processes=1,
                protocol="tls://",
                security=security.temporary(),
                shared_temp_directory=str(folder.resolve()),
                scheduler_options={"dashboard_address": LOOPBACK},
                worker_extra_args=[*(declared.get("worker-extra-args") or []), *extra],
                job_script_prologue=[*(declared.get("job-script-prologue") or []), *patient],
            )
            client = ending.enter_context(Client(ending.enter_context(cluster)))
            cluster.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # which replaces a job whose walltime has ended
        except (OSError, RuntimeError, ValueError) as error:
            raise UserError(f"--cluster slurm: {' '.join(str(error).split())}") from error
        yield client


def variable(name: str) -> str:
    """The environment's name of one of dask's settings."""
    return f"DASK_{name.upper().replace('.', '__').replace('-', '_')}"


def _kubernetes(jobs: int, tell: Callable[[str], None]) -> AbstractContextManager[Client]:
    needed("dask_kubernetes.operator")
    from replica.commands.cluster.kubernetes import pods

    return pods(jobs, PATIENT, tell)
