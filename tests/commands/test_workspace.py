"""Where a sweep's trials run: snapshots, clones and experiments of a real git repository."""

from __future__ import annotations

import io
import shutil

import pytest
import yaml
from conftest import Project
from dvc.repo import Repo
from rich.console import Console

from replica.commands.git import git
from replica.commands.sweep import workspace
from replica.commands.sweep.space import parse
from replica.commands.sweep.study import Study
from replica.commands.sweep.sweep import begin
from replica.common.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")


@pytest.fixture
def root(tmp_path):
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    project.begin()
    for name, text in (("a", "1\n"), ("gone", "1\n"), (".gitignore", "dvc.lock\nmodels\n")):
        (project.folder / name).write_text(text)
    project.commit("Begin")
    return project.folder


def status(root):
    return git(root, "status", "--porcelain", "--untracked-files=all")


def test_a_snapshot_holds_changes_and_the_lock_file_and_leaves_the_index_alone(root):
    clean = workspace.snapshot(root)
    assert clean == (git(root, "rev-parse", "HEAD"), git(root, "rev-parse", "HEAD^{tree}"))
    (root / "a").write_text("2\n")
    (root / "gone").unlink()
    (root / "new").write_text("mine\n")
    before = status(root)
    changed = workspace.snapshot(root)
    assert changed.base == clean.base
    assert status(root) == before
    assert git(root, "ls-tree", "--name-only", changed.tree).split() == [".gitignore", "a"]
    assert git(root, "show", f"{changed.tree}:a") == "2"
    with_lock = workspace.snapshot(root, ("new", "absent"))
    assert git(root, "ls-tree", "--name-only", with_lock.tree).split() == [".gitignore", "a", "new"]
    assert status(root) == before


def test_files_of_one_s_own_stay_behind_and_are_named(root):
    assert workspace.untracked(root) == []
    for name in ("dvc.lock", "models", "new"):
        (root / name).write_text("mine\n")
    (root / ".gitignore").write_text("models\n")
    assert workspace.untracked(root) == ["new"]


def test_a_clone_has_the_snapshot_s_files_and_an_experiment_comes_back(root, tmp_path):
    (root / "a").write_text("2\n")
    (root / "gone").unlink()
    state, before = workspace.snapshot(root), status(root)
    folder = tmp_path / "clone"
    workspace.clone(root, folder, state)
    assert sorted(path.name for path in folder.iterdir()) == [".git", ".gitignore", "a"]
    assert (folder / "a").read_text() == "2\n"
    assert git(folder, "rev-parse", "HEAD") == state.base
    (folder / "a").write_text("3\n")
    (folder / "models").write_text("ignored, and asked for\n")
    (folder / "other").write_text("left out\n")
    ref = "refs/exps/aa/bb/s-001"
    workspace.publish(root, folder, ref, "replica sweep: s-001", ["models"])
    assert git(root, "ls-tree", "--name-only", ref).split() == [".gitignore", "a", "models"]
    assert git(root, "show", f"{ref}:a") == "3"
    assert git(root, "log", "-1", "--format=%P %s %an %ae", ref) == (
        f"{state.base} replica sweep: s-001 Test test@example.org"
    )
    assert status(root) == before
    assert not (root / ".git/FETCH_HEAD").exists()


def test_an_experiment_without_a_change_is_one_too_and_replaces_the_one_of_its_name(root, tmp_path):
    state = workspace.snapshot(root)
    ref = f"refs/exps/{state.base[:2]}/{state.base[2:]}/s-001"
    for number, text in enumerate(("1\n", "5\n")):
        folder = tmp_path / str(number)
        workspace.clone(root, folder, state)
        (folder / "a").write_text(text)
        workspace.publish(root, folder, ref, "again", [])
        assert git(root, "show", f"{ref}:a") + "\n" == text
    for name in ("s-wide-001", "s-12", "s-1000", "other-s-001"):
        git(root, "update-ref", ref.replace("s-001", name), state.base)
    assert workspace.experiments(root, state.base, "s") == ["s-001", "s-1000"]
    assert workspace.experiments(root, state.base, "wide") == []


def test_where_git_knows_no_one_the_commit_is_ours(root, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    assert workspace.identity(root) == ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for key in ("name", "email"):
        git(root, "config", "--unset", f"user.{key}")
    assert workspace.identity(root) == ["-c", "user.name=replica", "-c", "user.email=replica@localhost"]


def test_all_trials_start_from_the_files_as_they_were_at_the_beginning(root, tmp_path):
    def begun():
        console = Console(file=io.StringIO(), width=60)
        with Study(tmp_path / "s", parse(["epochs=1,2"], "mnist_5k_mlp"), "grid", 0, prune=False) as study:
            return begin(root, study, console), console.file.getvalue()

    for number in range(7):
        (root / f"new_{number}").write_text("mine\n")
    first, said = begun()
    assert first == workspace.snapshot(root)
    assert " ".join(said.split()) == (
        "note: files that git does not track stay behind: new_0, new_1, new_2, new_3, new_4"
    )
    assert begun() == (first, "going on with s\n")
    (root / "a").write_text("2\n")
    assert begun() == (first, "going on with s, its trials on the files as they were when it was begun\n")
    git(root, "commit", "-qam", "Change")
    short = first.base[:7]
    assert begun() == (
        first,
        "going on with s, its trials on the files as they were when it was begun, "
        f"at commit {short}: dvc exp show --rev {short}\n",
    )


def test_a_trial_s_inputs_are_what_the_cache_has_of_what_is_recorded(root, monkeypatch):
    monkeypatch.chdir(root)
    made = {"foreach": ["d"], "do": {"cmd": "mkdir arrays && echo 1 > arrays/x", "outs": ["arrays"]}}
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"preprocess": made}}))
    (root / ".gitignore").unlink()
    words = r"^arrays: not in DVC's cache; make it first: dvc repro preprocess@d$"
    with Repo.init(str(root)) as repo:
        with pytest.raises(UserError, match=words):
            workspace.arrays(repo, "d")
        repo.reproduce()
        assert [str(out) for out in workspace.arrays(repo, "d")] == ["arrays"]
        shutil.rmtree(root / ".dvc/cache/files")
        with pytest.raises(UserError, match=words):
            workspace.arrays(repo, "d")


def test_a_name_that_has_experiments_already_is_refused_with_the_way_out(root, tmp_path):
    state = workspace.snapshot(root)
    for number in (1, 2):
        git(root, "update-ref", f"refs/exps/{state.base[:2]}/{state.base[2:]}/s-00{number}", state.base)
    space = parse(["epochs=1,2"], "mnist_5k_mlp")
    with Study(tmp_path / "s", space, "grid", 0, prune=False) as study:
        with pytest.raises(UserError) as refused:
            begin(root, study, Console(file=io.StringIO()))
        assert study.snapshot is None
    assert str(refused.value) == (
        "--name s: there are experiments of that name already (s-001, …); take another, "
        "or remove them: dvc exp remove s-001 s-002"
    )


def test_nothing_of_the_user_s_own_git_keeps_an_experiment_from_being_kept(root, tmp_path, monkeypatch):
    for name, text in (
        ("hooks/prepare-commit-msg", "#!/bin/sh\nexit 1\n"),
        ("hooks/post-checkout", "#!/bin/sh\nexit 2\n"),
        ("ignore", "*.png\n"),
        ("config", f"[core]\nhooksPath = {tmp_path}/hooks\nexcludesFile = {tmp_path}/ignore\n[user]\nname =\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    git(root, "config", "--unset", "user.name")
    (root / "plots").mkdir()
    (root / "plots/new.png").touch()
    state = workspace.snapshot(root, ("plots",))
    assert "plots/new.png" in git(root, "ls-tree", "-r", "--name-only", state.tree).split()
    workspace.clone(root, tmp_path / "clone", state)
    workspace.publish(root, tmp_path / "clone", "refs/exps/x", "x", [])
    assert git(root, "log", "-1", "--format=%an", "refs/exps/x") == "replica"


def test_a_shallow_clone_s_changes_reach_a_trial(root, tmp_path):
    (root / "a").write_text("2\n")
    git(root, "commit", "--all", "--message", "Two")
    git(tmp_path, "clone", "--depth", "1", f"file://{root}", "shallow")
    (tmp_path / "shallow/a").write_text("3\n")
    state = workspace.snapshot(tmp_path / "shallow")
    workspace.clone(tmp_path / "shallow", tmp_path / "clone", state)
    assert (tmp_path / "clone/a").read_text() == "3\n"
    workspace.publish(tmp_path / "shallow", tmp_path / "clone", "refs/exps/x", "x", [])
    assert git(tmp_path / "shallow", "show", "refs/exps/x:a") == "3"
