"""DVC's own queue: a grid of four experiments, two at a time, from a clone without data."""

import json
import time

import pytest
from conftest import Project

GRID = {"epochs": (1, 2), "batch_size": (64, 128)}
SECONDS = 240


@pytest.fixture
def clone(project, tmp_path):
    project.run("git", "clone", "-q", str(project.folder), str(tmp_path / "clone"))
    made = Project(tmp_path / "clone")
    for key in ("email", "name"):
        made.run("git", "config", f"user.{key}", "test@example.org")
    yield made
    made.run("dvc", "queue", "stop", "--kill", check=False)


def finished(project):
    """The experiments that are there, by name."""
    listed = project.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    return {name.split("/")[-1] for name in listed if len(name.split("/")) == 5}


@pytest.mark.slow
def test_a_grid_of_four_all_finish(clone):
    head = clone.run("git", "rev-parse", "HEAD").stdout
    overrides = [
        word
        for key, values in GRID.items()
        for word in ("-S", f"variants.photos10_linear.{key}={','.join(map(str, values))}")
    ]
    queued = clone.run("dvc", "exp", "run", "--queue", *overrides, "evaluate@photos10_linear").stdout
    assert queued.count("Queued experiment") == 4
    # Its workers live on with what they inherit: a pipe would be read until the last of them ends, which may be never.
    start = "dvc queue start -j 2 > /dev/null 2>&1"
    clone.run("sh", "-c", start, PYTHONPATH="")  # each experiment has its own copy of the code
    began = time.monotonic()
    while len(finished(clone)) < 4:
        assert time.monotonic() - began < SECONDS, clone.run("dvc", "queue", "status").stdout
        time.sleep(0.5)

    baseline = json.loads(clone.run("dvc", "exp", "show", "--json").stdout)[1]
    found = {}
    for experiment in baseline["experiments"]:
        (revision,) = experiment["revs"]
        variant = revision["data"]["params"]["params.yaml"]["data"]["variants"]["photos10_linear"]
        accuracy = revision["data"]["metrics"]["metrics/test/photos10_linear.json"]["data"]["accuracy"]
        scores = json.loads(clone.run("git", "show", f"{revision['rev']}:metrics/photos10_linear.json").stdout)
        assert accuracy == scores["test"]["accuracy"]
        found[variant["epochs"], variant["batch_size"]] = scores["train"]["loss"]
    assert set(found) == {(epochs, size) for epochs in GRID["epochs"] for size in GRID["batch_size"]}
    assert len(set(found.values())) == 4

    assert clone.run("git", "status", "--short").stdout == ""
    assert clone.run("git", "rev-parse", "HEAD").stdout == head
    assert not (clone.folder / "models").exists()
