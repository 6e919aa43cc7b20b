"""What one node makes of jobs that come to it in turn, in the same clone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import dask
import pytest
from conftest import Project
from dvc.repo import Repo
from rich.console import Console
from test_cluster import repository  # noqa: F401

from replica.commands.cluster import node
from replica.commands.cluster.dispatch import Dispatch
from replica.commands.cluster.job import DONE, Result
from replica.commands.cluster.parcel import Parcel

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
        mutex = threading.Lock()
        with Repo() as repo, mutex:
            dispatch = Dispatch(repo, Parcel(repo, None, Console(quiet=True)), mutex)
            job = replace(dispatch.job(repo.stage.load_one(name="train@net")), beside=beside)
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
