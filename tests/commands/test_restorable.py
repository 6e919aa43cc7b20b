"""`git restore .` after an experiment: the last commit's scores, also where git takes another file for the same."""

import os
import re

import pytest
from conftest import ROOT, Project

from replica.commands import restorable

HELD = '{\n  "accuracy": 0.913667\n}\n'
OTHER = '{\n  "accuracy": 0.901333\n}\n'
SCORE = "metrics/test/mnist_5k_mlp.json"


@pytest.fixture
def deceived(tmp_path):
    """A repository in the state that `dvc exp run` can leave: another score in a file that git takes for its own."""
    project = Project(tmp_path)
    for name in ("params.yaml", "datasets.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "replica").symlink_to(ROOT / "replica")
    score = tmp_path / SCORE
    score.parent.mkdir(parents=True)
    score.write_text(HELD)
    project.begin()
    project.run("git", "config", "core.trustctime", "false")  # no clock of ours sets the inode's own time
    project.commit("Begin")
    stat = score.stat()
    with score.open("r+") as file:  # the same inode, as a file system gives it again
        file.write(OTHER)
    os.utime(score, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    later = stat.st_mtime + 10
    os.utime(tmp_path / ".git/index", (later, later))
    return project


def test_git_sees_another_score_of_the_same_size_and_time(deceived):
    score = deceived.folder / SCORE
    assert deceived.run("git", "status", "--short").stdout == ""
    deceived.run("git", "restore", ".")
    assert score.read_text() == OTHER, "git is not deceived here: this test shows nothing"
    (deceived.folder / "params.yaml").open("a").write("# mine\n")
    deceived.run("git", "add", "params.yaml")
    os.utime(deceived.folder / ".git/index", (score.stat().st_mtime + 10,) * 2)

    deceived.run("python", "-m", "replica", "check", DVC_EXP_NAME="x")
    assert re.search(rf"^ M {SCORE}$", deceived.run("git", "status", "--short").stdout, re.MULTILINE)
    assert "M  params.yaml" in deceived.run("git", "status", "--short").stdout, "what is staged stays so"
    deceived.run("git", "restore", ".")
    assert score.read_text() == HELD


def test_a_refused_experiment_leaves_git_undeceived_as_well(deceived):
    params = deceived.folder / "params.yaml"
    params.write_text(params.read_text().replace("networks:\n", "networks: 3\nnot_networks:\n", 1))
    done = deceived.run("python", "-m", "replica", "check", check=False, DVC_EXP_NAME="x")
    assert done.returncode == 1
    deceived.run("git", "restore", ".")
    assert (deceived.folder / SCORE).read_text() == HELD
    assert deceived.run("git", "status", "--short").stdout == ""


def test_a_repository_around_the_project_s_keeps_its_index(tmp_path):
    outer = Project(tmp_path)
    score = tmp_path / "below" / SCORE
    score.parent.mkdir(parents=True)
    score.write_text(HELD)
    outer.begin()
    outer.commit("Begin")
    restorable.forget(tmp_path / "below")
    assert outer.run("git", "ls-files").stdout.split() == [f"below/{SCORE}"]
    assert outer.run("git", "status", "--short").stdout == ""
