"""A sweep's trials one by one: what becomes of one where a disk, a node or the scheduler fails, not its training."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import pytest
from conftest import Project
from distributed import LocalCluster
from dvc.repo import Repo
from test_sweep import VARIANT, project_copy, quick  # noqa: F401
from test_trials import running, trials

from replica.commands.repro.workers import LOOPBACK
from replica.commands.sweep import workspace
from replica.commands.sweep.trial import AGAIN, Request
from replica.common import processes
from tests.studies import study

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")

# 2 epochs diverge, 9 are killed.
TRAIN = """
import os, sys
from pathlib import Path
from replica.common import parameters

name = sys.argv[1]
epochs = parameters.variant(parameters.read(), name)["epochs"]
if epochs == 2:
    sys.exit("diverged")
if epochs == 9:
    os.kill(os.getpid(), 9)
for path, text in ((f"models/{name}/seed-0/history.csv", "m" * 2**21), (f"live/{name}/metrics.json", "{}")):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
"""
# Without the wait for a worker that another program may still start.
START = "from replica.commands.cluster import fleet; from replica.commands.sweep import trial; "
START += "fleet.PATIENCE = 1; trial.main()"
# A terminal closes as the training begins.
HANG = (
    "import os; from replica.commands.cluster import fleet; from replica.commands.cluster.job import REFUSED, Result; "
)
HANG += "fleet.Fleet.run = lambda self, *_: (os.kill(os.getpid(), 1), self.stopping.wait(20), "
HANG += "Result(REFUSED, 'stopped', host='node'))[-1]; "
REFERENCE = "refs/exps/*/*/s-001"


@pytest.fixture
def project(project_copy: Project) -> Project:  # noqa: F811
    (project_copy.folder / "stages/train.py").write_text(TRAIN)
    project_copy.commit("Train")
    return project_copy


Trial = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def trial(project: Project, tmp_path: Path) -> Trial:
    """Run a trial of so many epochs."""

    def run(epochs: int, start: str = START, **words: str) -> subprocess.CompletedProcess[str]:
        root = project.folder
        state = workspace.snapshot(root)
        with Repo(str(root)) as repo:
            cache = repo.cache.local_cache_dir
        values = {f"variants.{VARIANT}.epochs": epochs}
        own = {"root": str(root), "folder": str(tmp_path / f"trial-{epochs}/clone"), "cache": cache, **words}
        request = Request(
            **own,
            base=state.base,
            tree=state.tree,
            name="s-001",
            variant=VARIANT,
            dataset="mnist_5k",
            parent=os.getpid(),
            values=values,
        )
        command = (sys.executable, "-c", start, request.command()[-1])
        settings = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s", "DVC_SITE_CACHE_DIR": str(tmp_path / "site")}
        settings[processes.PARENT] = str(os.getpid())
        done = project.run(*command, check=False, **settings)
        assert "Traceback" not in done.stdout
        return done

    return run


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler with one worker, in this process."""
    options = {"dashboard_address": LOOPBACK, "worker_dashboard_address": LOOPBACK, "host": "127.0.0.1"}
    with (
        dask.config.set({"temporary-directory": str(tmp_path / "disk")}),
        LocalCluster(n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", **options) as cluster,
    ):
        yield cluster.scheduler_address


@pytest.mark.slow
def test_a_remote_beside_the_project_is_the_same_place_for_a_trial(
    project: Project, trial: Trial, scheduler: str, tmp_path: Path
) -> None:
    project.run("dvc", "remote", "add", "--default", "lab", "../storage")
    project.commit("Remote")
    done = trial(1, scheduler=scheduler)
    assert done.returncode == 0, done.stdout
    model = f"models/{VARIANT}"
    project.run("git", "checkout", "-q", "-f", project.run("git", "for-each-ref", REFERENCE).stdout.split()[0])
    project.run("dvc", "pull", model)
    assert (project.folder / model / "seed-0/history.csv").stat().st_size == 2**21
    assert not (tmp_path / "trial-1/storage").exists()


@pytest.mark.slow
def test_what_is_not_the_training_s_failure_runs_again(
    project: Project, trial: Trial, scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("dvc", "remote", "add", "--default", "lab", str(tmp_path / "remote"))
    project.commit("Remote")
    failed = trial(2, scheduler=scheduler)
    assert (failed.returncode, "diverged" in failed.stdout) == (1, True), failed.stdout
    killed = trial(9, scheduler=scheduler)
    assert (killed.returncode, "exited with" in killed.stdout) == (AGAIN, True), killed.stdout
    monkeypatch.setattr("replica.commands.cluster.node.unfit", lambda job: "other libraries than the driver's")
    refused = trial(3, scheduler=scheduler)
    assert (refused.returncode, "no worker takes it" in refused.stdout) == (AGAIN, True), refused.stdout
    lost = trial(4, scheduler="tcp://127.0.0.1:9")
    assert (lost.returncode, "127.0.0.1:9" in lost.stdout) == (AGAIN, True), lost.stdout
    hung = trial(5, HANG + START, scheduler=scheduler)
    assert (hung.returncode, "error: node: stopped" in hung.stdout) == (AGAIN, True), hung.stdout
    assert not project.run("git", "for-each-ref", REFERENCE).stdout


def test_a_trial_whose_model_a_full_cache_can_t_take_is_no_experiment(
    project: Project, trial: Trial, tmp_path: Path
) -> None:
    cache = project.folder / ".dvc/cache"
    before = cache.with_name("before")
    cache.rename(before)
    cache.mkdir()
    size = sum(path.stat().st_size for path in before.rglob("*")) // 2**20 + 2
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "none", cache]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a small disk")
    try:
        subprocess.run(["cp", "-a", f"{before}/.", cache], check=True)
        asked = trial(1)
        assert (asked.returncode, "MB are free; allowed" in asked.stdout) == (AGAIN, True), asked.stdout
        assert "Running stage" not in asked.stdout
        had = "from replica.commands import room; ask = room.ask; room.ask = lambda _: setattr(room, 'ask', ask); "
        full = trial(3, had + START)  # there was room as it began
        assert (full.returncode, "stages.train" in full.stdout) == (AGAIN, True), full.stdout
        assert "MB are free; allowed" in full.stdout.splitlines()[-1]
    finally:
        subprocess.run(["umount", "--lazy", cache], check=True)
    assert not project.run("git", "for-each-ref", REFERENCE).stdout


def test_a_trial_that_runs_again_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with study(tmp_path) as opened:
        made = trials(opened, tmp_path, 1)
        made._end(running(opened, tmp_path, 1, status=AGAIN))
        assert not opened.ended()
    assert "trial 1 | no such layer; the same command runs it again  (1.log)" in made.console.file.getvalue()  # type: ignore[attr-defined]
