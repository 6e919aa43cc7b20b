"""`replica repro -S`: an experiment that DVC knows as its own, and parameters as they were where there is none."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest
from conftest import Project

from replica.commands import experiment
from replica.common.errors import UserError

PIPELINE = f"""
stages:
  double:
    cmd: {sys.executable} double.py
    deps: [double.py]
    params: [rate]
    metrics: [metrics/score.json: {{cache: false}}]
"""
DOUBLE = """
import json, pathlib, ruamel.yaml
rate = ruamel.yaml.YAML(typ="safe").load(pathlib.Path("params.yaml"))["rate"]
assert rate != 13
pathlib.Path("metrics").mkdir(exist_ok=True)
pathlib.Path("metrics/score.json").write_text(json.dumps({"score": 2 * rate}) + "\\n")
pathlib.Path("metrics", f"of_{rate}.json").write_text("{}\\n")
"""
PARAMS = "rate: 3  # mine\nother: {deep: 1}\n"


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("begun")
    made = Project(folder)
    made.begin()
    made.run("dvc", "init", "-q")
    made.run("dvc", "config", "core.autostage", "false")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "double.py").write_text(DOUBLE)
    (folder / "params.yaml").write_text(PARAMS)
    made.run("dvc", "repro")
    made.commit("Begin")
    return folder


@pytest.fixture
def project(begun, tmp_path, monkeypatch):
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    made = Project(tmp_path)
    made.run("git", "status")  # the copies' times go into git's index
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_EXP_NAME", "")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "")
    return made


def tried(*overrides, name=None, check=lambda: None):
    return experiment.run(list(overrides), [], name, check, jobs=1)


def test_dvc_knows_the_experiment_and_brings_it_back(project, capsys):
    (project.folder / "double.py").write_text(DOUBLE + "# not committed yet\n")
    staged = project.run("git", "ls-files", "--stage").stdout
    assert tried("rate=5", "+other.more=a", name="five") == 0
    assert "experiment five" in capsys.readouterr().out
    assert project.run("git", "ls-files", "--stage").stdout == staged, "what the user has staged is left alone"
    assert json.loads((project.folder / "metrics/score.json").read_text()) == {"score": 10}

    shown = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    (found,) = [each for rev in shown for each in rev["experiments"] or [] if each["name"] == "five"]
    (rev,) = found["revs"]
    assert rev["data"]["metrics"]["metrics/score.json"]["data"] == {"score": 10}
    assert rev["data"]["params"]["params.yaml"]["data"]["rate"] == 5

    project.run("git", "stash", "--include-untracked", "-q")
    project.run("dvc", "exp", "apply", "five")
    assert re.search("rate: 5.*\n.*more: a", (project.folder / "params.yaml").read_text(), re.DOTALL)
    assert (project.folder / "double.py").read_text().endswith("yet\n"), "changed code is part of it, as in dvc exp run"
    assert (project.folder / "metrics/of_5.json").exists(), "and so are new files of metrics"
    assert "up to date" in project.run("dvc", "repro").stdout


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("rat=5", "params.yaml: no 'rat'; did you mean rate? +KEY=VALUE adds one"),
        ("other.deap=5", "other: no 'deap'; did you mean deep? "),
        ("rate.more=5", "rate: has nothing below it"),
        ("rate=5,6", "several values are a sweep"),
        ("rate", "allowed: KEY=VALUE"),
        ("more.yaml:rate=5", "more.yaml: no such file"),
    ],
)
def test_a_wrong_override_is_one_line_and_changes_nothing(project, override, message):
    with pytest.raises(UserError) as refused:
        tried("other.deep=2", override)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (project.folder / "params.yaml").read_text() == PARAMS
    assert project.run("git", "status", "--short").stdout == ""


def test_a_name_that_is_taken_or_none_is_refused(project):
    assert tried("rate=4", name="four") == 0
    for name in ("four", "a b"):
        with pytest.raises(UserError, match=f"--name: .*{name}"):
            tried("rate=5", name=name)


def test_parameters_are_put_back_where_there_is_no_experiment(project, capsys):
    assert tried("rate=13", name="bad") == 1
    assert "no experiment; params.yaml: as before" in capsys.readouterr().out

    def refused():
        assert "rate: 5" in (project.folder / "params.yaml").read_text()
        raise UserError("rate: no")

    with pytest.raises(UserError, match="rate: no"):
        tried("rate=5", check=refused)
    assert (project.folder / "params.yaml").read_text() == PARAMS
    assert project.run("git", "for-each-ref", "refs/exps/").stdout == ""
    shutil.rmtree(project.folder / ".git")
    with pytest.raises(UserError, match="not a git repository"):
        tried("rate=5")
