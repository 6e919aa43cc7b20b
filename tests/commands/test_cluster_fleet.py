"""Nodes as the driver sees them, and how they are begun: what is refused, lost or gone, without a pipeline."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, Worker, get_worker
from test_cluster import idle

from replica.commands.cluster import engines, fleet
from replica.commands.cluster.job import DONE, REFUSED, Job, Result
from replica.common.errors import UserError

JOB = Job("p", "one", "", "", {}, {}, {}, {}, {}, {})
LARGE, SMALL = {"memory": 4000.0}, {"memory": 1000.0}


def test_a_run_leaves_dask_s_own_settings_as_they_were(tmp_path: Path) -> None:
    run = "import dask; from pathlib import Path; from contextlib import suppress; from replica.common import errors\n"
    run += "from replica.commands.cluster import engines\n"
    run += "with suppress(errors.UserError), engines.started(None, 'none', None, [], False, Path('x'), print): pass\n"
    run += "dask.config.get('distributed.comm')"
    subprocess.run([sys.executable, "-c", run], cwd=tmp_path, check=True)


def declare(client: Client, *resources: dict[str, float]) -> None:
    """Let workers say that they have so much each."""

    async def own(dask_worker: Worker, has: dict[str, float]) -> None:
        await dask_worker.set_resources(**has)

    for address, has in zip(client.nthreads(), resources, strict=True):
        client.run(own, has=has, workers=[address])


def node(run_id: str, plain: dict[str, Any]) -> dict[str, Any]:
    large = get_worker().state.total_resources["memory"] > 1000
    return Result(REFUSED if large else DONE, "too large", host="large" if large else "small").plain()


def run(nodes: fleet.Fleet) -> tuple[threading.Thread, list[Result]]:
    """A job that needs much, on its way in a thread that no test waits for too long."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(nodes.run(JOB, LARGE)), daemon=True)
    thread.start()
    return thread, results


def test_what_the_largest_worker_refuses_a_smaller_one_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet.node, "run", node)
    with idle(2) as cluster, Client(cluster.scheduler_address) as client:
        declare(client, LARGE, SMALL)
        thread, results = run(fleet.Fleet(client, 1, hear=lambda *_: None, tell=print))
        thread.join(20)
        assert not thread.is_alive()
    assert [(each.status, each.host) for each in results] == [(DONE, "small")]


@pytest.mark.parametrize(("stopped", "status"), [(False, DONE), (True, REFUSED)])
def test_a_job_does_not_wait_for_a_worker_that_has_gone(
    monkeypatch: pytest.MonkeyPatch, stopped: bool, status: str
) -> None:
    monkeypatch.setattr(fleet.node, "run", node)
    monkeypatch.setattr(fleet, "LOOK", 60.0 if stopped else 0.0)
    with idle(1) as cluster, Client(cluster.scheduler_address) as client:
        declare(client, SMALL)
        told: list[str] = []
        nodes = fleet.Fleet(client, 1, hear=lambda *_: None, tell=told.append)
        caps = [LARGE]  # of a worker that was there as the job went out
        within = nodes._within
        monkeypatch.setattr(nodes, "_within", lambda *words: caps.pop() if caps else within(*words))
        thread, results = run(nodes)
        if stopped:
            nodes.stop(signal.SIGINT)
        thread.join(20)
        assert not thread.is_alive()
    assert [each.status for each in results] == [status]
    assert told == ([] if stopped else ["one goes out again: the workers that had what it needs are gone"])


def test_a_scheduler_that_ends_amid_the_wait_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "SLOW", 0.0)
    monkeypatch.setattr(engines, "CONNECT", "2s")
    monkeypatch.setitem(engines.PATIENT, "distributed.comm.timeouts.connect", "1s")
    with idle() as cluster:

        def end(_: str) -> None:
            cluster.close()

        started = engines.started(None, cluster.scheduler_address, None, [], False, tmp_path, end)
        with pytest.raises(UserError, match="the scheduler ended before a worker came"), started:
            pass


def test_a_host_from_which_no_worker_comes_is_told_as_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "SLOW", 1.0)
    ssh = tmp_path / "ssh"  # lets one in, says nothing for some seconds, and is gone
    ssh.write_text("#!/bin/sh\ncase $1 in -G) echo hostname 127.0.0.1;; *) sleep 3; echo cut off >&2;; esac\n")
    ssh.chmod(0o755)
    told: list[str] = []
    started = engines.started("ssh", None, 1, ["127.0.0.1", "localhost"], False, tmp_path / "logs", told.append)
    with (
        dask.config.set({"replica.ssh.command": str(ssh)}),
        pytest.raises(UserError, match=r"^--hosts 127\.0\.0\.1: cut off$"),
        started,
    ):
        pass
    assert told == ["--hosts 127.0.0.1,localhost: no worker yet; waiting for the first (Ctrl-C ends it)"]


def refused(folder: Path, cluster: str, settings: dict[str, Any]) -> str:
    hosts = ["127.0.0.1"] if cluster == "ssh" else []
    with (
        dask.config.set(settings),
        pytest.raises(UserError) as raised,
        engines.started(cluster, None, 1, hosts, False, folder, print),
    ):
        pass
    return str(raised.value)


@pytest.mark.parametrize(
    ("command", "said"),
    [("no-such-ssh -v", "no-such-ssh -v: No such file"), ("ssh '", '"ssh \'"; allowed: a command')],
)
def test_a_command_of_ssh_that_can_t_be_is_one_line(tmp_path: Path, command: str, said: str) -> None:
    line = refused(tmp_path, "ssh", {"replica.ssh.command": command})
    assert f"replica.ssh.command: {said}" in line and "\n" not in line


@pytest.mark.machines  # dask_jobqueue comes by `make cluster`, not by `make setup`
@pytest.mark.parametrize(
    ("job", "said"),
    [
        ({"cores": 1, "memory": "4 gigs"}, "memory: 4 gigs; allowed: a number, a size"),
        ({"cores": "two", "memory": "4GB"}, "cores: two, memory: 4GB; allowed: a number"),
    ],
)
def test_a_job_of_slurm_that_can_t_be_is_one_line(tmp_path: Path, job: dict[str, Any], said: str) -> None:
    line = refused(tmp_path, "slurm", {"jobqueue.slurm": job})
    assert said in line and "\n" not in line
