"""`replica repro` checks once what each stage of `dvc repro` checks for itself, while that stands as it did."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Project

from replica.commands.repro import reproduce
from replica.commands.repro.checked import COMMAND, FILES, Checked
from replica.common.errors import UserError

# The stage's own check refuses these parameters, which have no variants, and so shows that it ran.
PIPELINE = f"""
stages:
  first:
    cmd: [{COMMAND}, "cp params.yaml first.txt MEANWHILE"]
    params: [rate]
    outs: [first.txt]
  second:
    cmd: [{COMMAND}, "cp first.txt second.txt"]
    deps: [first.txt]
    outs: [second.txt]
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path)
    made.begin()
    made.run("dvc", "init", "-q")
    (tmp_path / "params.yaml").write_text("rate: 1\n")
    (tmp_path / "datasets.yaml").write_text("datasets: {}\n")
    (tmp_path / "dvc.yaml").write_text(PIPELINE.replace(" MEANWHILE", ""))
    monkeypatch.chdir(tmp_path)
    for name, value in made.environment().items():
        monkeypatch.setenv(name, value)
    return made


def done() -> list[str]:
    return [name for name in ("first", "second") if Path(f"{name}.txt").exists()]


def test_a_stage_s_own_check_is_left_out_where_the_run_has_checked(project: Project) -> None:
    assert reproduce([], jobs=1) == 1 and done() == []
    asked = []
    assert reproduce([], jobs=1, check=lambda: asked.append(True)) == 0
    assert asked == [True] and done() == ["first", "second"]
    assert f"- {COMMAND}\n" in Path("dvc.lock").read_text()  # as `dvc repro` records it
    assert "up to date" in project.run("dvc", "status").stdout


def test_what_changes_amid_the_run_is_checked_by_the_stages_that_follow(project: Project) -> None:
    Path("dvc.yaml").write_text(PIPELINE.replace("MEANWHILE", "&& echo 'rate: 1 # changed' > params.yaml"))
    assert reproduce([], jobs=1, check=lambda: None) == 1
    assert done() == ["first"]


def test_what_is_refused_is_refused_before_anything_runs(project: Project) -> None:
    def refuse() -> None:
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        reproduce([], jobs=1, check=refuse)
    assert done() == []


def test_only_a_first_command_that_is_the_check_is_left_out(project: Project) -> None:
    checked = Checked(lambda: None)
    for commands in ([COMMAND], ["true", COMMAND], [f"{COMMAND} && true", "true"]):
        assert checked.left(commands) == commands
    assert checked.left([COMMAND, "true"]) == ["true"]
    FILES[0].unlink()
    assert checked.left([COMMAND, "true"]) == [COMMAND, "true"]
