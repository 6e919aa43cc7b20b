"""A real Slurm on this machine: munged, slurmctld and slurmd on loopback, from a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ReturnToService=2
MpiDefault=none
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SchedulerParameters=sched_interval=1,bf_interval=1
MinJobAge=900
KillWait=2
OverTimeLimit=0
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={one} CPUs=2 RealMemory=8000
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={two} CPUs=2 RealMemory=8000
PartitionName=all Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


def free() -> int:
    with socket.socket() as link:
        link.bind(("127.0.0.1", 0))
        return int(link.getsockname()[1])


def reason() -> str:
    """Why there can be none here; empty where there can."""
    if lacking := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"no {' '.join(lacking)}: apt-get install slurmctld slurmd slurm-client munge"
    return "" if os.getuid() == 0 else "slurmd wants root"


class Slurm:
    """What tests ask of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False
        )
        assert not done.returncode, f"{command}: {done.stderr}"
        return done.stdout

    def states(self) -> dict[str, str]:
        lines = self.run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split()[:2] for line in lines)

    def jobs(self) -> dict[str, str]:
        """The number of each job that is not over, and its state."""
        lines = self.run("squeue", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split()[:2] for line in lines)


@contextmanager
def running(folder: Path) -> Iterator[Slurm]:
    """Start Slurm, wait until its nodes are idle; stop it at the end."""
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    (folder / "slurm.conf").write_text(
        CONFIGURATION.format(host=host, folder=folder, controller=free(), one=free(), two=free())
    )
    slurm = Slurm(folder)
    names = {name: str(folder / f"munge.{name}") for name in ("socket", "pid", "log", "seed")}
    munge = ["munged", "--force", "--foreground", f"--key-file={key}", f"--socket={names['socket']}"]
    munge += [f"--pid-file={names['pid']}", f"--log-file={names['log']}", f"--seed-file={names['seed']}"]
    commands = [munge, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "one"], ["slurmd", "-D", "-N", "two"]]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, command in enumerate(commands):
            (folder / "spool-one").mkdir(exist_ok=True)
            (folder / "spool-two").mkdir(exist_ok=True)
            with (folder / f"out-{number}").open("wb") as out:
                environment = {**os.environ, **slurm.environment}
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            if command is munge:
                wait(lambda: Path(names["socket"]).exists())
        wait(lambda: set(slurm.states().values()) == {"idle"}, 60)
        yield slurm
    finally:
        with suppress(AssertionError, FileNotFoundError):
            slurm.run("scancel", "--user=root")
        for process in reversed(started):
            process.terminate()
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


def wait(until: object, seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while True:
        with suppress(AssertionError):
            if until():  # type: ignore[operator]
                return
        assert time.monotonic() < end, "too late"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if why := reason():
        pytest.skip(why)
    with running(tmp_path_factory.mktemp("slurm")) as made:
        yield made
