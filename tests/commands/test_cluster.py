"""`replica repro --cluster`: nodes with clones of their own, in real git and DVC repositories with small stages."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import psutil
import pytest
import yaml
from conftest import ROOT, Project
from distributed import Client, LocalCluster, Security, Worker
from dvc.repo import Repo
from rich.console import Console
from test_repro import JOIN, PARAMS, PIPELINE

from replica.commands.cluster import engines, fleet, security
from replica.commands.cluster.driver import reproduce
from replica.commands.cluster.job import REFUSED, Job, versions
from replica.commands.cluster.kubernetes import waits_for
from replica.common.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Two workers, each a process of its own, with a disk of their own."""
    disk = tmp_path_factory.mktemp("disk")
    with (
        dask.config.set({"temporary-directory": str(disk)}),
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
            local_directory=str(disk),
        ) as cluster,
        Client(cluster) as client,
    ):
        client.run(own_disk)
        yield client


def own_disk(dask_worker: Worker) -> None:
    place = Path(dask.config.get("temporary-directory"), str(dask_worker.name))
    place.mkdir()
    dask.config.set({"temporary-directory": str(place)})


@contextmanager
def given(client: Client) -> Iterator[Client]:
    yield client


Repro = Callable[..., tuple[int, str]]


@pytest.fixture
def repro(client: Client, monkeypatch: pytest.MonkeyPatch) -> Repro:
    def run(root: Path, *targets: str, **options: object) -> tuple[int, str]:
        monkeypatch.chdir(root)
        monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(root.parent / f"site-{root.name}"))
        text = io.StringIO()
        status = reproduce(list(targets), given(client), console=Console(file=text, width=200), **options)  # type: ignore[arg-type]
        return status, text.getvalue()

    return run


@pytest.fixture
def repository(tmp_path: Path) -> Callable[..., Project]:
    """A committed project with a folder for a remote."""

    def make(pipeline: str, name: str = "project", **files: str) -> Project:
        root = tmp_path / name
        root.mkdir()
        project = Project(root)
        project.begin()
        with Repo.init(str(root)) as repo, repo.config.edit() as config:  # a process each would take a second
            config["remote"]["lab"] = {"url": str(tmp_path / "remote")}
            config["core"]["remote"] = "lab"
        (root / "join.py").write_text(JOIN)
        (root / "dvc.yaml").write_text(pipeline.replace("PYTHON", sys.executable))
        for file, text in files.items():
            (root / file.replace("_", ".")).write_text(text)
        project.commit("Begin")
        return project

    return make


def test_ends_with_what_a_local_run_ends_with(repository: Callable[..., Project], repro: Repro) -> None:
    project = repository(PIPELINE, params_yaml=PARAMS)
    shutil.copytree(project.folder, project.folder.with_name("local"))
    local = Project(project.folder.with_name("local"))
    local.run("dvc", "repro", DVC_SITE_CACHE_DIR=str(project.folder.with_name("site")))
    status, text = repro(project.folder)
    assert status == 0, text
    assert (project.folder / "dvc.lock").read_text() == (local.folder / "dvc.lock").read_text()
    for name in ("left.json", "left.csv"):  # metrics and plots
        assert (project.folder / name).read_bytes() == (local.folder / name).read_bytes()
    assert not (project.folder / "report.txt").exists()  # what DVC caches stays on the remote,
    project.run("dvc", "pull")  # where it is to be had
    assert (project.folder / "report.txt").read_bytes() == (local.folder / "report.txt").read_bytes()
    assert project.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
    status, text = repro(project.folder)
    assert (status, "7 unchanged" in text) == (0, True), text


ONE = """
stages:
  one:
    cmd: {cmd}
    deps: [join.py]
    params: [rate]
    outs: [one.txt]
    metrics: [score.json: {{cache: false}}]
"""
JOINED = "PYTHON join.py one.txt && PYTHON join.py score.json"


def test_a_result_that_is_on_the_remote_is_not_computed_again(repository: Callable[..., Project], repro: Repro) -> None:
    project = repository(ONE.format(cmd=f"echo ran && {JOINED}"), params_yaml="rate: 1")
    status, text = repro(project.folder)
    assert status == 0, text
    assert "one | ran" in text  # what the node's command says is heard here
    recorded = (project.folder / "dvc.lock").read_text()
    project.run("git", "clean", "-qfdx", "-e", ".dvc")  # as if this machine had died before it recorded anything
    status, text = repro(project.folder)
    assert status == 0, text
    assert "taken from" in text and "one | ran" not in text
    assert (project.folder / "dvc.lock").read_text() == recorded
    assert (project.folder / "score.json").exists()


def forget() -> None:
    """What a node has kept of earlier jobs, its caches among it."""
    for place in Path(dask.config.get("temporary-directory")).glob("replica-*"):
        shutil.rmtree(place)


FOLDER = """
stages:
  make: {cmd: PYTHON join.py made/a.txt && PYTHON join.py made/b.txt, deps: [join.py], outs: [made]}
  two:
    cmd: PYTHON join.py a.json && PYTHON join.py b.json
    deps: [join.py]
    metrics: [a.json: {cache: false}, b.json: {cache: false}]
  use:
    cmd: PYTHON join.py used.json made/a.txt b.json
    deps: [join.py, made, b.json]
    metrics: [used.json: {cache: false}]
"""


def test_what_is_damaged_on_the_remote_is_refused(
    repository: Callable[..., Project], repro: Repro, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    monkeypatch.setattr("replica.commands.cluster.fleet.PATIENCE", 0.0)
    project = repository(FOLDER)
    assert repro(project.folder, "make", "two")[0] == 0
    shutil.rmtree(project.folder / ".dvc/cache")
    client.run(forget)
    (listing,) = (tmp_path / "remote/files").rglob("*.dir")
    (oid,) = [each["md5"] for each in json.loads(listing.read_text()) if each["relpath"] == "a.txt"]
    stored = tmp_path / "remote/files/md5" / oid[:2] / oid[2:]
    stored.chmod(0o644)
    stored.write_text("other\n")
    status, text = repro(project.folder, "use")
    assert (status, "damaged on the remote" in text) == (1, True), text
    stored.unlink()
    status, text = repro(project.folder, "use")
    assert (status, "not to be had from the remote" in text) == (1, True), text
    stored.write_text("made/a.txt\n")
    status, text = repro(project.folder, "use")
    assert (status, (project.folder / "used.json").exists()) == (0, True), text


def test_changes_that_are_not_committed_travel(repository: Callable[..., Project], repro: Repro) -> None:
    project = repository(ONE.format(cmd=f"cat params.yaml && git log --format=%h%P && {JOINED}"), params_yaml="rate: 1")
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    (project.folder / "params.yaml").write_text("rate: 2.5\n")
    status, text = repro(project.folder)
    assert status == 0, text
    assert "one | rate: 2.5" in text
    assert head in text  # the changes are a commit upon the project's own
    assert "rate: 2.5" in (project.folder / "dvc.lock").read_text()
    assert project.run("git", "rev-parse", "HEAD").stdout.strip() == head
    (project.folder / "join.py").write_text(JOIN + "print('newer')\n")
    assert "one | newer" in repro(project.folder)[1]


def test_what_changed_meanwhile_is_not_recorded(repository: Callable[..., Project], repro: Repro) -> None:
    project = repository(ONE.format(cmd=f"{JOINED} && sleep 0.1 && sh hook.sh"), params_yaml="rate: 1")
    (project.folder / "hook.sh").write_text(f"echo 'rate: 7' > {project.folder}/params.yaml\n")
    project.commit("Hook")
    status, text = repro(project.folder)
    assert (status, "params changed while it ran: nothing is recorded" in text) == (1, True), text
    assert not (project.folder / "dvc.lock").exists()


def test_a_command_that_fails_is_told_with_its_log(repository: Callable[..., Project], repro: Repro) -> None:
    project = repository(ONE.format(cmd="echo no such thing && exit 3"), params_yaml="rate: 1")
    status, text = repro(project.folder)
    assert status == 1
    assert "failed: one" in text and "  no such thing" in text
    assert not (project.folder / "dvc.lock").exists()


def test_refuses_before_anything_runs(
    repository: Callable[..., Project], repro: Repro, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = repository(ONE.format(cmd=JOINED), params_yaml="rate: 1")
    (project.folder / ".gitignore").write_text("/extra\n")
    (project.folder / "extra").mkdir()
    pipeline = (project.folder / "dvc.yaml").read_text()
    (project.folder / "dvc.yaml").write_text(pipeline.replace("[join.py]", "[join.py, extra]"))
    (project.folder / "extra/file").write_text("git does not track it")
    monkeypatch.setattr("replica.commands.cluster.fleet.PATIENCE", 0.0)
    status, text = repro(project.folder)
    assert status == 1
    assert "no worker takes it" in text and "extra" in text
    (project.folder / "dvc.yaml").write_text(pipeline)
    monkeypatch.setattr("replica.commands.cluster.dispatch.versions", lambda: {**versions(), "numpy": "0.1"})
    status, text = repro(project.folder)
    assert status == 1
    assert "other libraries than the driver's: numpy" in text and "not 0.1" in text
    project.run("dvc", "remote", "remove", "lab")
    with pytest.raises(UserError, match="no DVC remote"):
        repro(project.folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    "ended",
    ["kill -9 $REPLICA_PARENT; sleep 60", "(sleep 1; kill -9 $REPLICA_PARENT) & kill -15 $PPID; exit 1"],
    ids=["at once", "after its command, as where a walltime ends"],
)
def test_a_worker_that_dies_amid_a_stage_is_replaced(
    repository: Callable[..., Project], repro: Repro, client: Client, tmp_path: Path, ended: str
) -> None:
    mark = tmp_path / "mark"
    kill = f"if [ ! -e {mark} ]; then touch {mark}; {ended}; fi"
    project = repository(ONE.format(cmd=json.dumps(f"{kill} && {JOINED}")), params_yaml="rate: 1")
    status, text = repro(project.folder)
    assert status == 0, text
    assert mark.exists()
    assert "one begins again, its worker having ended amid it (1 so far)" in text
    assert (project.folder / "score.json").exists()


def test_a_job_that_outlives_no_worker_is_said_to_want_more_time(client: Client) -> None:
    told: list[str] = []
    nodes = fleet.Fleet(client, 1, hear=lambda *_: None, tell=told.append)
    end = time.monotonic() + 30
    while (
        len(told) < fleet.MANY and time.monotonic() < end
    ):  # what comes before the scheduler knows who listens is lost
        client.log_event(nodes.id, {"stage": "long", "begun": "long-0"})
        time.sleep(0.2)
    again = "long begins again, its worker having ended amid it"
    assert told[:3] == [
        f"{again} (1 so far)",
        f"{again} (2 so far)",
        f"{again} (3 so far; has a job too little time for it?)",
    ]


def test_ctrl_c_ends_what_runs_on_nodes(repository: Callable[..., Project], tmp_path: Path) -> None:
    project = repository(ONE.format(cmd=f"sleep 61 && {JOINED}"), params_yaml="{rate: 1, variants: {}}")
    (project.folder / "datasets.yaml").write_text("datasets: {}\n")
    start = "import replica.__main__ as main; main.check_all = lambda _: None; main.main()"  # it has no variants
    process = subprocess.Popen(
        [sys.executable, "-c", start, "repro", "--cluster", "local", "--jobs", "1"],
        cwd=project.folder,
        env={**project.environment(), "PYTHONPATH": str(ROOT), "DASK_TEMPORARY_DIRECTORY": str(tmp_path / "disk")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def sleeping() -> list[str]:
        return [each.name() for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"] == ["sleep", "61"]]

    end = time.monotonic() + 60
    while not sleeping():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    text, _ = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in text, "one | interrupted" in text) == (130, False, True), text
    assert not sleeping()


@contextmanager
def idle(workers: int = 0) -> Iterator[LocalCluster]:
    """A scheduler in this process."""
    options = {"dashboard_address": "127.0.0.1:0", "worker_dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}
    with LocalCluster(n_workers=workers, processes=False, protocol="tcp://", **options) as cluster:
        yield cluster


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_the_first_worker(repository: Callable[..., Project], number: int) -> None:
    files = {"params_yaml": "{rate: 1, variants: {}}", "datasets_yaml": "datasets: {}\n"}
    project = repository(ONE.format(cmd=JOINED), **files)
    start = "from replica.commands.cluster import engines; engines.SLOW = 0; "
    start += "import replica.__main__ as main; main.check_all = lambda _: None; main.main()"  # it has no variants
    with (
        idle() as cluster,
        subprocess.Popen(
            [sys.executable, "-uc", start, "repro", "--scheduler", cluster.scheduler_address],
            cwd=project.folder,
            env={**project.environment(), "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout
            assert "no worker yet" in process.stdout.readline()
            process.send_signal(number)
            text, _ = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, text) == (128 + number, "stopped; nothing had begun\n")


def test_a_stop_while_the_scheduler_is_away_is_a_stop() -> None:
    job = Job("p", "one", "", "", {}, {}, {}, {}, {}, {})
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        idle() as cluster,
        Client(cluster.scheduler_address) as client,
    ):
        nodes = fleet.Fleet(client, 1, hear=lambda *_: None, tell=print)
        cluster.close()
        nodes.stop(signal.SIGINT)
        assert nodes.sent == 0  # so that it is sent once there is one again
        assert nodes.run(job, {}).status == REFUSED


def test_a_run_s_own_error_is_not_told_as_the_scheduler_s(tmp_path: Path) -> None:
    with idle(1) as cluster, pytest.raises(OSError, match=r"^own$"):  # noqa: SIM117
        with engines.started(None, cluster.scheduler_address, None, [], False, tmp_path, print):
            raise OSError("own")


def test_a_remote_out_of_reach_is_one_line(repository: Callable[..., Project], repro: Repro) -> None:
    project = repository(ONE.format(cmd=JOINED), params_yaml="rate: 1")
    project.run("dvc", "remote", "modify", "lab", "url", "ssh://nobody.invalid/x")
    with pytest.raises(UserError, match=r"^remote lab: [^\n]+$"):
        repro(project.folder)


def test_a_certificate_is_its_owners_alone_and_lets_in(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    files = security.make(folder, engines.PATIENT)
    assert {path.stat().st_mode & 0o777 for path in files if path.suffix == ".pem"} == {0o600}
    assert folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(UserError, match="there already"):
        security.make(folder, engines.PATIENT)
    (tmp_path / "distributed.yaml").write_text("mine")
    with pytest.raises(UserError, match=r"distributed\.yaml: there already"):
        security.make(tmp_path, engines.PATIENT)
    assert [(tmp_path / name).exists() for name in ("key.pem", "distributed.yaml")] == [False, True]
    declared = yaml.safe_load((folder / "distributed.yaml").read_text())
    with dask.config.set(dask.config.merge(dask.config.global_config, declared)):
        assert dask.config.get("distributed.comm.timeouts.tcp") == "120s"
        known = Security()
        with LocalCluster(
            n_workers=0, protocol="tls", security=known, dashboard_address="127.0.0.1:0", host="127.0.0.1"
        ) as cluster:
            with Client(cluster.scheduler_address, security=security.of(cluster.scheduler_address)) as client:
                assert client.nthreads() == {}
            stranger = Security.temporary()
            with pytest.raises(OSError), Client(cluster.scheduler_address, security=stranger, timeout="2s"):
                pass


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://192.0.2.7:8786", "without TLS, whoever reaches it runs code"),
        ("tls://192.0.2.7:8786", "no certificate in dask's configuration"),
        ("192.0.2.7", "an address is tls://HOST:PORT"),
        ("tcp://127.0.0.1", "an address is tls://HOST:PORT"),
        ("tcp://127.0.0.1:99999", "an address is tls://HOST:PORT"),
        ("tls://[::1", "an address is tls://HOST:PORT"),
    ],
)
def test_refuses_a_scheduler_that_anyone_may_use(address: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        security.of(address)
    assert security.of("tcp://127.0.0.1:8786") is security.of("tcp://192.0.2.7:8786", insecure=True) is None


def test_a_certificate_goes_through_a_pipe() -> None:
    made = Security.temporary()
    again = security.read(security.written(made))
    assert again.get_tls_config_for_role("worker") == made.get_tls_config_for_role("worker")
    with pytest.raises(UserError, match="not a certificate"):
        security.read("nonsense")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    monkeypatch.setattr(engines, "CONNECT", "0.5s")
    started = engines.started("slurm", None, 1, [], False, tmp_path, print)
    with pytest.raises(UserError, match="dask_jobqueue is not installed: `make cluster`"), started:
        pass
    for words, said in (
        ({"cluster": "slrum"}, "did you mean slurm"),
        ({"cluster": "local", "scheduler": "tcp://127.0.0.1:1"}, "one of the two"),
        ({"cluster": "ssh"}, "--hosts"),
        ({"scheduler": "tcp://127.0.0.1:9"}, "--scheduler tcp://127.0.0.1:9"),
        ({"cluster": "local", "jobs": 0}, "--jobs: 0, but at least 1"),
        ({"scheduler": "tcp://127.0.0.1:9", "jobs": -1}, "--jobs: -1, but at least 1"),
    ):
        options: dict[str, Any] = {"cluster": None, "scheduler": None, "jobs": 1, **words}
        with (
            pytest.raises(UserError, match=re.escape(said)),
            engines.started(**options, hosts=[], insecure=False, folder=tmp_path, tell=print),
        ):
            pass


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, "Pending"),
        ({"phase": "Running", "containerStatuses": [{"ready": True, "state": {"running": {}}}]}, "Running"),
        (
            {
                "containerStatuses": [
                    {"ready": False, "state": {"waiting": {"reason": "ErrImagePull", "message": "a\n b"}}}
                ]
            },
            "ErrImagePull: a b",
        ),
        ({"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled"}}}]}, "OOMKilled"),
        (
            {
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
                ]
            },
            "Unschedulable: 0/1 nodes",
        ),
    ],
)
def test_what_a_pod_waits_for(status: dict, said: str) -> None:
    assert waits_for({"status": status}) == said
