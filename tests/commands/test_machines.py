"""Nodes that are machines: hosts with addresses and disks of their own, and what can befall them; and a real Slurm.

`make machines` runs them: they want root, `ip`, and Slurm's programs. `ROUNDS=20` repeats each fault so often and
prints a table.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hosts
import pytest
from conftest import ROOT, Project
from test_repro import JOIN

from replica.commands.cluster import engines, security

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


def made(folder: Path) -> Project:
    """A committed project, its remote beside it."""
    folder.mkdir()
    project = Project(folder)
    project.begin()
    project.run("dvc", "init", "-q")
    (folder / "join.py").write_text(JOIN)
    (folder / "dvc.yaml").write_text(PIPELINE.replace("PYTHON", sys.executable))
    (folder / "params.yaml").write_text("rate: 1\nvariants: {}\n")
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

    def work(self, host: hosts.Host, folder: Path | None = None, **environment: str) -> None:
        words = ("worker", self.address, "--threads", "1", "--memory", "2000", "--folder", str(folder or host.folder))
        host.start(sys.executable, "-m", "replica", *words, **{**self.environment, **environment})

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
