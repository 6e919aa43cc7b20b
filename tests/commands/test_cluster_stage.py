"""What one node makes of jobs that come to it in turn, in the same clone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dask
import pytest
from conftest import Project
from dvc.exceptions import DvcException
from dvc.repo import Repo
from rich.console import Console
from test_cluster import repository  # noqa: F401

from replica.commands.cluster import node
from replica.commands.cluster.dispatch import Dispatch
from replica.commands.cluster.job import DONE, FAILED, REFUSED, Job, Result
from replica.commands.cluster.parcel import Parcel
from replica.common import processes

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")

TRAIN = """
stages:
  train:
    foreach: [net]
    do:
      cmd: PYTHON join.py live/net/metrics.json params.yaml && sh train.sh
      params: [rate]
      outs: [models/net]
"""
SCRIPT = """
mkdir -p timings models/net
test $WHOLE = whole || cp params.yaml timings/net.json
cp params.yaml models/net/history.csv
"""
BESIDE = ["live/net/metrics.json", "timings/net.json", "models/net/history.csv"]


def dispatched(stage: str) -> Job:
    """The job of a stage of the current folder's project."""
    mutex = threading.Lock()
    with Repo() as repo, mutex:
        dispatch = Dispatch(repo, Parcel(repo, None, Console(quiet=True)), mutex)
        return dispatch.job(repo.stage.load_one(name=stage))


@pytest.fixture
def trained(
    repository: Callable[..., Project],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    """Train with a rate on a node of one clone; `whole`: as if the seeds were trained already."""
    project = repository(TRAIN, params_yaml="rate: 0\n", train_sh=SCRIPT)
    (project.folder / ".gitignore").write_text("/live\n/timings\n/models\n")
    project.commit("Ignore")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))

    def train(rate: float, beside: list[str] = BESIDE, whole: bool = False) -> Result:
        (project.folder / "params.yaml").write_text(f"rate: {rate}\n")
        monkeypatch.setenv("WHOLE", "whole" if whole else "not")
        job = replace(dispatched("train@net"), beside=beside)
        with dask.config.set({"temporary-directory": str(tmp_path / "node")}):
            result = Result(**node.run(f"{rate}", job.plain(), lambda _: None))
        assert result.status == DONE, result.words
        return result

    return train


def test_a_remembered_result_brings_its_own_files_and_not_those_of_the_job_before(
    trained: Callable[..., Result],
) -> None:
    first, second, third = (trained(rate) for rate in (0.1, 0.2, 0.1))
    assert [each.remembered for each in (first, second, third)] == [False, False, True]
    assert set(first.files) == set(BESIDE)
    assert "rate: 0.2" in second.files["timings/net.json"]
    assert third == replace(first, remembered=True, seconds=third.seconds, memory=third.memory)


def test_a_result_is_not_remembered_for_files_that_it_did_not_bring(trained: Callable[..., Result]) -> None:
    assert not trained(0.1, BESIDE[:2]).remembered
    asked = trained(0.1)
    assert (asked.remembered, "rate: 0.1" in asked.files["models/net/history.csv"]) == (False, True)


def test_what_a_job_does_not_write_beside_is_not_the_job_before_s(trained: Callable[..., Result]) -> None:
    trained(0.1)
    assert set(trained(0.2, whole=True).files) == {"live/net/metrics.json", "models/net/history.csv"}


@pytest.fixture
def job(repository: Callable[..., Project], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:  # noqa: F811
    """The job of a project's train@net with a rate."""
    pipeline = TRAIN.replace("outs: [models/net]", "outs: [models/net: {persist: true}]")
    project = repository(pipeline, params_yaml="rate: 0\n", train_sh=LONG)
    (project.folder / ".gitignore").write_text("/live\n/timings\n/models\n")
    project.commit("Ignore")
    monkeypatch.chdir(project.folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))

    def make(rate: float) -> Job:
        (project.folder / "params.yaml").write_text(f"rate: {rate}\n")
        return replace(dispatched("train@net"), beside=BESIDE)

    return make


LONG = """
mkdir -p models/net
cat params.yaml >> models/net/history.csv
sh -c "$REST"
"""


def carried_out(job: Job, disk: Path) -> Result:
    with dask.config.set({"temporary-directory": str(disk)}):
        return Result(**node.run("one", job.plain(), lambda _: None))


def test_a_training_that_was_cut_off_goes_on_though_there_was_a_model_before(
    job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "node"
    whole = carried_out(job(0.1), disk)
    before = {"models/net": whole.entry["outs"][0]["md5"]}
    again = replace(job(0.2), before=before)
    monkeypatch.setenv("REST", "exit 3")
    (slot,) = disk.glob("*/*/slot-0")
    with processes.sole(slot):
        assert carried_out(again, disk).status == FAILED
    monkeypatch.setenv("REST", "")
    ended = carried_out(again, disk)
    assert ended.files["models/net/history.csv"].split() == ["rate:", "0.1", "rate:", "0.2", "rate:", "0.2"]
    another = carried_out(replace(job(0.3), before=before), disk)  # not the one that has been begun
    assert another.files["models/net/history.csv"].split() == ["rate:", "0.1", "rate:", "0.3"]
    assert not list(disk.glob("*/*/slot-*/begun-*"))


@pytest.mark.parametrize(
    ("remote", "rest", "said"),
    [
        ("gs://nowhere/x", "", "gs"),  # a plugin that is not installed
        ("", "rm -rf REMOTE && touch REMOTE", "REMOTE"),  # and one that goes while the stage runs
    ],
)
def test_what_is_not_the_command_s_failure_another_node_may_do(
    job: Callable[..., Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remote: str, rest: str, said: str
) -> None:
    place = str(tmp_path / "remote")
    monkeypatch.setenv("REST", rest.replace("REMOTE", place))
    asked = job(0.1)
    result = carried_out(replace(asked, remote={"url": remote}) if remote else asked, tmp_path / "node")
    assert (result.status, said.replace("REMOTE", place) in result.words) == (REFUSED, True), result.words


def test_an_input_that_is_nowhere_is_told_with_its_maker(
    repository: Callable[..., Project],  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    two = "stages:\n  make: {cmd: PYTHON join.py a.txt, outs: [a.txt]}\n"
    project = repository(f"{two}  use: {{cmd: PYTHON join.py b.txt a.txt, deps: [a.txt], outs: [b.txt]}}\n")
    monkeypatch.chdir(project.folder)
    project.run("dvc", "repro", "make", DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    Path("a.txt").rename("elsewhere.txt")
    dispatched("use")  # from the cache
    Path(".dvc/cache").rename("elsewhere")
    dispatched("use")  # on the remote
    (tmp_path / "remote").rename(tmp_path / "elsewhere")
    with pytest.raises(DvcException, match=r"neither here nor on the remote lab: `replica repro make` makes"):
        dispatched("use")


def test_the_surface_is_drawn_with_the_kernels_of_its_variant(
    repository: Callable[..., Project],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = "{training: {kernels: portable}, variants: {spiral: {kernels: native}}}"
    pipeline = "stages: {surface: {cmd: PYTHON join.py s.txt, outs: [s.txt]}}"
    monkeypatch.chdir(repository(pipeline, params_yaml=params, datasets_yaml="{}").folder)
    job = dispatched("surface")
    assert (job.cpu is not None, job.remember) == (True, False)
