"""Nodes that are machines: hosts with addresses and disks of their own, and what can befall them; and a real Slurm.

`make machines` runs them: they want root, `ip`, and Slurm's programs. `ROUNDS=20` repeats each fault so often and
prints a table.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import hosts
import pytest
import remotes
import slurm as slurm_machine
import yaml
from conftest import ROOT, Project
from test_repro import JOIN

from replica.commands.cluster import engines, security
from replica.commands.verify import emulator

pytestmark = pytest.mark.machines
ROUNDS = int(os.environ.get("ROUNDS", "1"))
PORT = 8786
PIPELINE = """
stages:
  make:
    foreach: [a, b, c, d]
    do:
      cmd: PYTHON join.py out/${item}.txt && sleep 4
      deps: [join.py]
      params: [rate]
      outs: ["out/${item}.txt": {persist: true}]
  score:
    cmd: PYTHON join.py score.json out/a.txt out/b.txt out/c.txt out/d.txt
    deps: [join.py, out/a.txt, out/b.txt, out/c.txt, out/d.txt]
    metrics: [score.json: {cache: false}]
"""


def made(folder: Path, pipeline: str = PIPELINE, kernels: str = "portable") -> Project:
    """A committed project, its remote beside it."""
    folder.mkdir()
    project = Project(folder)
    project.begin()
    project.run("dvc", "init", "-q")
    (folder / "join.py").write_text(JOIN)
    (folder / "dvc.yaml").write_text(pipeline.replace("PYTHON", sys.executable))
    variants = "".join(f"\n  {name}: {{}}" for name in "abcd")
    (folder / "params.yaml").write_text(f"rate: 1\ntraining: {{kernels: {kernels}}}\nvariants:{variants}\n")
    (folder / "datasets.yaml").write_text("datasets: {}\n")
    project.run("dvc", "remote", "add", "--default", "lab", str(folder.with_name(f"{folder.name}-remote")))
    project.commit("Begin")
    return project


def driver(project: Project, *words: str, **environment: str) -> subprocess.Popen[str]:
    """`replica repro` with this checkout's code, in the project."""
    return subprocess.Popen(
        [sys.executable, "-c", START, "repro", *words],
        cwd=project.folder,
        env={**project.environment(), "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


START = "import replica.__main__ as main; main.check_all = lambda _: None; main.main()"  # it has no variants


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a local run of the same project leaves."""
    project = made(tmp_path_factory.mktemp("local") / "project")
    project.repro()
    return {name: (project.folder / name).read_text() for name in ("dvc.lock", "score.json")}


class Lab:
    """A scheduler and three workers, each a host, with TLS between."""

    def __init__(self, machines: list[hosts.Host], certificates: Path) -> None:
        self.scheduler, *self.workers = machines
        self.environment = {"DASK_CONFIG": str(certificates), "PYTHONPATH": str(ROOT)}
        self.address = f"tls://{self.scheduler.address}:{PORT}"

    def schedule(self) -> None:
        words = ("--host", self.scheduler.address, "--port", str(PORT), "--no-dashboard")
        self.scheduler.start(sys.executable, "-m", "distributed.cli.dask_scheduler", *words, **self.environment)

    def work(
        self, host: hosts.Host, folder: Path | None = None, python: str = sys.executable, **environment: str
    ) -> None:
        words = ("worker", self.address, "--threads", "1", "--memory", "2000", "--folder", str(folder or host.folder))
        host.start(python, "-m", "replica", *words, **{**self.environment, **environment})

    def busy(self, stage: str = "make") -> hosts.Host:
        """A host whose command for a stage runs."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for host in self.workers:
                pids = subprocess.run(["ip", "netns", "pids", host.name], capture_output=True, text=True, check=False)
                for pid in pids.stdout.split():
                    try:
                        if b"sleep\0004" in Path(f"/proc/{pid}/cmdline").read_bytes():
                            return host
                    except OSError:
                        continue
            time.sleep(0.05)
        raise AssertionError(f"no {stage} runs")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    if why := hosts.reason():
        pytest.skip(why)
    certificates = tmp_path / "certificates"
    security.make(certificates, engines.PATIENT)
    with hosts.hosts(4, tmp_path) as machines:
        yield Lab(machines, certificates)


def killed(lab: Lab) -> None:
    host = lab.busy()
    host.kill()
    lab.work(host)


def cut(lab: Lab) -> None:
    host = lab.busy()
    host.cut()
    time.sleep(30)
    host.mend()


def restarted(lab: Lab) -> None:
    lab.busy()
    lab.scheduler.kill()
    time.sleep(1)
    lab.schedule()


def nothing(lab: Lab) -> None:
    pass


def full(lab: Lab) -> None:
    host = lab.workers[0]
    lab.work(host, host.disk("1m"))


def other(lab: Lab) -> None:
    """A worker that finds another NumPy than the driver's."""
    host = lab.workers[0]
    record = host.folder / "site/numpy-0.1.dist-info/METADATA"
    record.parent.mkdir(parents=True)
    record.write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    lab.work(host, PYTHONPATH=os.pathsep.join((str(ROOT), str(record.parent.parent))))


FAULTS: dict[str, tuple[Callable[[Lab], None], Callable[[Lab], None], str]] = {
    "none": (nothing, nothing, ""),
    "a worker killed amid a stage": (nothing, killed, ""),
    "its link cut for 30 s": (nothing, cut, ""),
    "the scheduler restarted": (nothing, restarted, ""),
    "a worker's disk full": (full, nothing, "No space left|is full"),
    "a worker with another NumPy": (other, nothing, "numpy 0.1, not"),
}


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_ends_with_the_right_outputs(
    fault: str, lab: Lab, tmp_path: Path, reference: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    before, amid, said = FAULTS[fault]
    seconds, again = [], 0
    lab.schedule()
    before(lab)
    for host in lab.workers[bool(before is not nothing) :]:
        lab.work(host)
    for number in range(ROUNDS):
        project = made(tmp_path / f"project-{number}")
        began = time.monotonic()
        process = driver(project, "--scheduler", lab.address, DASK_CONFIG=lab.environment["DASK_CONFIG"])
        try:
            amid(lab)
            text, _ = process.communicate(timeout=300)
        finally:
            process.kill()
        assert process.returncode == 0, text
        for name, content in reference.items():
            assert (project.folder / name).read_text() == content, text
        assert sorted(re.findall(r"^(\S+) \| (?:done|taken)", text, re.MULTILINE)) == STAGES  # each once
        assert re.search(said, text), text
        again += len(re.findall("goes out again", text))
        seconds.append(time.monotonic() - began)
    with capsys.disabled():
        middle = sorted(seconds)[len(seconds) // 2]
        print(f"\n| {fault} | {ROUNDS} | the same bytes | {middle:.0f} s | {again} |")


STAGES = ["make@a", "make@b", "make@c", "make@d", "score"]


@pytest.mark.timeout(7200)
def test_native_kernels_stay_with_their_kind_of_cpu(
    lab: Lab, tmp_path: Path, reference: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """One worker runs on an emulated Haswell: it refuses what has native kernels, and takes the rest."""
    if not shutil.which(emulator.QEMU):
        pytest.skip(f"no {emulator.QEMU}: apt-get install qemu-user")
    python = emulator.environment("Haswell", tmp_path / "haswell")
    lab.schedule()
    here, emulated, *_ = lab.workers
    lab.work(emulated, python=str(python))
    lab.work(here)
    seconds = []
    for number, kernels in enumerate(("portable", *("native",) * ROUNDS)):
        project = made(tmp_path / f"project-{number}", PIPELINE.replace("make:", "train:"), kernels)
        began = time.monotonic()
        process = driver(project, "--scheduler", lab.address, DASK_CONFIG=lab.environment["DASK_CONFIG"])
        text, _ = process.communicate(timeout=400)
        seconds.append(time.monotonic() - began)
        assert process.returncode == 0, text
        assert (project.folder / "score.json").read_text() == reference["score.json"]
        done = re.findall(r"^(\S+) \| (?:done|taken)", text, re.MULTILINE)
        assert sorted(done) == ["score", "train@a", "train@b", "train@c", "train@d"]  # each once
        refused = re.findall(r"^train@(.) refused by \S+: train@\1 has native kernels", text, re.MULTILINE)
        assert bool(refused) == (kernels == "native"), text
    with capsys.disabled():
        middle = sorted(seconds[1:])[ROUNDS // 2]
        print(f"\n| native kernels, and a worker of another CPU | {ROUNDS} | the same bytes | {middle:.0f} s | 0 |")


REMOTES = {"s3": remotes.s3, "ssh": remotes.ssh}


@pytest.mark.parametrize("kind", REMOTES)
def test_inputs_and_outputs_go_over_a_server(kind: str, tmp_path: Path, reference: dict[str, str]) -> None:
    if kind == "ssh" and (why := remotes.no_sshd()):
        pytest.skip(why)
    project = made(tmp_path / "project")
    server = tmp_path / "server"
    server.mkdir()
    with REMOTES[kind](server) as remote:
        project.run("dvc", "remote", "modify", "lab", "url", remote.url)
        for key, value in remote.options.items():
            project.run("dvc", "remote", "modify", "lab", key, value)
        if kind == "s3":  # what a user keeps for this machine alone does not travel
            project.run("dvc", "remote", "modify", "--local", "lab", "secret_access_key", remotes.SECRET)
            project.run("dvc", "remote", "modify", "--local", "lab", "access_key_id", "tester")
        disk = tmp_path / "disk"
        away = {"DASK_TEMPORARY_DIRECTORY": str(disk), **remote.environment}
        process = driver(project, "--cluster", "local", "--jobs", "2", **away)
        text, _ = process.communicate(timeout=200)
        assert process.returncode == 0, text
        for name, content in reference.items():
            assert (project.folder / name).read_text() == content, text
        project.run("dvc", "pull", **remote.environment)
        assert (project.folder / "out/a.txt").exists()
    written = [path for place in (project.folder, disk) for path in place.rglob("*") if path.is_file()]
    having = [path for path in written if remotes.SECRET.encode() in path.read_bytes()]
    assert having == ([project.folder / ".dvc/config.local"] if kind == "s3" else [])
    assert remotes.SECRET not in text


def test_hosts_over_ssh(tmp_path: Path, reference: dict[str, str]) -> None:
    if why := remotes.no_sshd():
        pytest.skip(why)
    project = made(tmp_path / "project")
    server = tmp_path / "server"
    server.mkdir()
    with remotes.sshd(server) as (port, key):
        (server / "client").write_text(
            f"Host one two\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {key}\n"
            f"  StrictHostKeyChecking no\n  UserKnownHostsFile {server}/known\n"
        )
        ours = {
            "DASK_REPLICA__SSH__COMMAND": f"ssh -F {server}/client -o BatchMode=yes",
            "DASK_REPLICA__SSH__PYTHON": f"env PYTHONPATH={ROOT} TMPDIR={server} {sys.executable}",
        }
        process = driver(project, "--cluster", "ssh", "--hosts", "one,two", "--jobs", "1", **ours)
        deadline = time.monotonic() + 60
        while not (workers := commands("replica\0worker\0tls://")) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert workers and not any("BEGIN" in worker for worker in workers)  # no key on a command line
        text, _ = process.communicate(timeout=200)
        assert process.returncode == 0, text
        for name, content in reference.items():
            assert (project.folder / name).read_text() == content, text
        slurm_machine.wait(lambda: not commands("replica\0worker\0tls://"))  # they end with the driver
        process = driver(project, "--cluster", "ssh", "--hosts", "nobody.invalid", **ours)
        text, _ = process.communicate(timeout=60)
        assert (process.returncode, text.count("\n"), "--hosts nobody.invalid" in text) == (1, 1, True), text


def commands(part: str) -> list[str]:
    """The command lines that hold a text."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (folder / "cmdline").read_text()
            found += [line] if part in line else []
    return found


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[slurm_machine.Slurm]:
    if why := slurm_machine.reason():
        pytest.skip(why)
    with slurm_machine.running(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def on_slurm(slurm: slurm_machine.Slurm, project: Project, jobs: int, **settings: str) -> subprocess.Popen[str]:
    """The driver with jobs of one core; `settings` are dask-jobqueue's."""
    declared = {"CORES": "1", "MEMORY": "1GB", "LOG_DIRECTORY": str(project.folder.parent / "logs"), **settings}
    named = {f"DASK_JOBQUEUE__SLURM__{key}": value for key, value in declared.items()}
    scratch = {"DASK_TEMPORARY_DIRECTORY": str(project.folder.parent / "disk")}
    return driver(project, "--cluster", "slurm", "--jobs", str(jobs), **named, **slurm.environment, **scratch)


def ends_well(process: subprocess.Popen[str], project: Project, reference: dict[str, str]) -> str:
    text, _ = process.communicate(timeout=380)
    assert process.returncode == 0, text
    for name, content in reference.items():
        assert (project.folder / name).read_text() == content, text
    return text


def test_slurm_runs_the_stages(slurm: slurm_machine.Slurm, tmp_path: Path, reference: dict[str, str]) -> None:
    project = made(tmp_path / "project")
    process = on_slurm(slurm, project, 2)
    slurm_machine.wait(lambda: len(slurm.jobs()) == 2, 60)
    ends_well(process, project, reference)
    slurm_machine.wait(lambda: not slurm.jobs(), 60)  # and gives its jobs back
    process = on_slurm(slurm, project, 2, MEMORY="")
    text, _ = process.communicate(timeout=60)
    assert (process.returncode, "--cluster slurm: memory of a job" in text) == (1, True), text


def test_slurm_that_is_slow_to_start(slurm: slurm_machine.Slurm, tmp_path: Path, reference: dict[str, str]) -> None:
    project = made(tmp_path / "project")
    slurm.run("scontrol", "update", "partitionname=all", "state=DOWN")
    process = on_slurm(slurm, project, 2)
    slurm_machine.wait(lambda: slurm.jobs(), 60)
    time.sleep(engines.SLOW + 3)
    slurm.run("scontrol", "update", "partitionname=all", "state=UP")
    assert "slurm: no worker yet" in ends_well(process, project, reference)


def test_slurm_drains_a_node(slurm: slurm_machine.Slurm, tmp_path: Path, reference: dict[str, str]) -> None:
    project = made(tmp_path / "project")
    slurm.run("scontrol", "update", "nodename=one", "state=DRAIN", "reason=test")
    try:
        process = on_slurm(slurm, project, 2)
        slurm_machine.wait(lambda: list(slurm.jobs().values()).count("RUNNING") == 2, 60)
        where = slurm.run("squeue", "--noheader", "--format=%N").split()
        assert set(where) == {"two"}
        ends_well(process, project, reference)
    finally:
        slurm.run("scontrol", "update", "nodename=one", "state=RESUME")


def test_slurm_cancels_a_job_amid_a_stage(
    slurm: slurm_machine.Slurm, tmp_path: Path, reference: dict[str, str]
) -> None:
    """SIGTERM, then SIGKILL; another job takes its place."""
    project = made(tmp_path / "project")
    process = on_slurm(slurm, project, 1)
    slurm_machine.wait(lambda: commands("sleep\0004"), 60)
    (first,) = slurm.jobs()
    slurm.run("scancel", first)
    slurm_machine.wait(lambda: any(number != first for number in slurm.jobs()), 60)
    ends_well(process, project, reference)


@pytest.mark.timeout(900)
def test_slurm_s_walltime_ends_jobs_amid_stages(
    slurm: slurm_machine.Slurm, tmp_path: Path, reference: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Four stages of 25 s by one job after the other, each of one minute, the least that Slurm knows."""
    longer = ("sleep 4", "sleep 25")
    project = made(tmp_path / "project", PIPELINE.replace(*longer))
    began = time.monotonic()
    process = on_slurm(slurm, project, 1, WALLTIME="00:01:00")
    seen = set[str]()
    while process.poll() is None and time.monotonic() - began < 800:
        seen |= slurm.jobs().keys()
        time.sleep(0.5)
    said = ends_well(process, project, {name: text.replace(*longer) for name, text in reference.items()})
    assert re.search(r"^make@. begins again, its worker having ended amid it", said, re.MULTILINE), said
    ended = [slurm.run("scontrol", "show", "job", number) for number in sorted(seen, key=int)]
    limited = sum("JobState=TIMEOUT" in each for each in ended)
    with capsys.disabled():
        print(f"\nwalltime: {time.monotonic() - began:.0f} s, {len(seen)} jobs, {limited} ended by Slurm at their time")
    assert limited >= 1


TEN = (
    "mnist_sgd", "mnist_relu", "mnist_linear", "mnist_mlp", "mnist_l2_1e-3", "mnist_conv_sgd",
    "cifar10_strided_5k", "cifar10_maxpool_5k", "cifar10_l1_1e-3", "cifar10_deep_5k",
)  # fmt: skip


TARGETS = ("sample", *(f"evaluate@{name}" for name in TEN))


def whole(folder: Path) -> Project:
    """The project itself, with nothing run: for the sample's report, and ten official variants of two epochs."""
    project = Project(folder)
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    declared = project.parameters()
    for name in TEN:
        declared["variants"][name] |= {"epochs": 2, "seeds": 1}
    project.write(declared)
    for stale in ("dvc.lock", "metrics", "plots"):
        project.run("git", "rm", "-rqf", "--ignore-unmatch", stale)
    project.run("dvc", "remote", "add", "--default", "lab", f"{folder}-remote")
    project.run("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "-qam", "Begin")
    return project


def left(project: Project) -> str:
    """All that a run leaves that git holds."""
    # of several targets DVC itself takes now the one first, now the other
    lock = json.dumps(yaml.safe_load((project.folder / "dvc.lock").read_text()), sort_keys=True)
    names = [path for name in ("metrics", "plots", "report") for path in sorted((project.folder / name).rglob("*"))]
    return lock + "".join(f"{path.name} {sha256(path.read_bytes()).hexdigest()}" for path in names if path.is_file())


def line(way: str, seconds: float, project: Project) -> str:
    """A row of docs/cluster.md's table."""
    measured = project.folder / ".dvc/tmp/replica/cluster.json"
    parts = [each["seconds"] for each in json.loads(measured.read_text())] if measured.exists() else []
    over = sorted(each["all"] - each.get("run", 0) + each["send"] + each["take"] for each in parts)
    middle = f"{over[len(over) // 2]:.1f} s" if over else "–"
    return f"| {way} | {seconds:.0f} s | {len(parts) or '–'} | {middle} |"


@pytest.mark.timeout(3600)
def test_the_project_itself(
    lab: Lab, slurm: slurm_machine.Slurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By local jobs, by three hosts, by Slurm."""
    lines, ends = [], []
    for way in ("local jobs", "three hosts", "Slurm"):
        project = whole(tmp_path / way.replace(" ", "-"))
        scratch = {"DASK_TEMPORARY_DIRECTORY": f"{project.folder}-disk"}
        own = {"PYTHONPATH": str(project.folder)}
        began = time.monotonic()
        if way == "local jobs":
            process = driver(project, *TARGETS, "--jobs", "2", **own)
        elif way == "three hosts":
            lab.schedule()
            for host in lab.workers:
                lab.work(host)
            process = driver(
                project, *TARGETS, "--scheduler", lab.address, **own, DASK_CONFIG=lab.environment["DASK_CONFIG"]
            )
        else:
            settings = {
                "CORES": "1",
                "MEMORY": "2GB",
                "LOG_DIRECTORY": f"{project.folder}-logs",
                "WALLTIME": "01:00:00",
            }
            named = {f"DASK_JOBQUEUE__SLURM__{key}": value for key, value in settings.items()}
            words = ("--cluster", "slurm", "--jobs", "2")
            process = driver(project, *TARGETS, *words, **own, **named, **slurm.environment, **scratch)
        text, _ = process.communicate(timeout=3000)
        assert process.returncode == 0, text[-3000:]
        lines.append(line(way, time.monotonic() - began, project))
        for host in lab.workers if way == "three hosts" else ():
            host.kill()
        ends.append(left(project))
    with capsys.disabled():
        print("\n" + "\n".join(lines), "\nthe same bytes:", len(set(ends)) == 1)
    assert len(set(ends)) == 1
