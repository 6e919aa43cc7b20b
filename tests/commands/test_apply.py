"""`replica apply` in a real DVC repository with one of two models, as a clone has some after the quick start."""

import contextlib
import shutil

import pytest
import yaml
from conftest import Project

from replica.commands import apply
from replica.common.errors import UserError

PIPELINE = """
stages:
  train:
    foreach: ${variants}
    do:
      cmd: mkdir -p models/${key} && echo ${item.units} | tee models/${key}/weights > metrics/${key}.json
      params: ["variants.${key}"]
      outs:
      - models/${key}: {persist: true}
      - metrics/${key}.json: {cache: false}
"""


def state(folder):
    """Every file but git's and DVC's own, with its content."""
    files = [file for file in folder.rglob("*") if file.is_file() and not {".git", ".dvc"} & set(file.parts)]
    return {str(file.relative_to(folder)): file.read_text() for file in files}


def cached(folder, md5):
    return folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


def ref(project, name):
    """Where git keeps an experiment."""
    return project.run("git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two variants recorded, the second's model in no cache here; experiments `narrow` and `wide` of the first."""
    project = Project(tmp_path_factory.mktemp("clone"))
    folder = project.folder
    (folder / "params.yaml").write_text(yaml.safe_dump({"variants": {"a": {"units": 2}, "b": {"units": 1}}}))
    (folder / "metrics").mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "notes").write_text("theirs\n")
    (folder / ".gitignore").write_text("/models/\n")
    project.begin()
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    project.run("dvc", "repro", "-q")
    shutil.rmtree(folder / "models/b")
    for out in yaml.safe_load((folder / "dvc.lock").read_text())["stages"]["train@b"]["outs"]:
        cached(folder, out["md5"]).unlink(missing_ok=True)
    project.commit("Begin")
    for name, units in (("narrow", 16), ("wide", 64)):
        project.run("dvc", "exp", "run", "-q", "--name", name, "-S", f"variants.a.units={units}", "train@a")
        project.run("git", "restore", ".")
    with contextlib.chdir(folder):
        yield project


@pytest.fixture
def project(made):
    """The same, as the last commit has it, model and all."""
    made.run("git", "restore", ".")
    apply.checkout()
    return made


def test_of_one_name_the_commit_that_is_asked_for(project):
    base = project.run("git", "rev-parse", "HEAD").stdout.strip()
    old = project.run("git", "commit-tree", "-m", "Old", "HEAD^{tree}").stdout.strip()
    other = f"refs/exps/{old[:2]}/{old[2:]}/narrow"
    project.run("git", "update-ref", other, ref(project, "wide"))
    try:
        with apply.opened() as repo:
            assert apply.found(repo, "narrow")[1] == base
            assert apply.found(repo, "narrow", base)[1] == base
            assert apply.found(repo, "narrow", old) == (project.run("git", "rev-parse", other).stdout.strip(), old)
    finally:
        project.run("git", "update-ref", "-d", other)


def test_a_commit_without_a_record_has_no_outputs(project):
    assert {"models/a", "models/b"} <= apply.outputs(project.folder, "HEAD").keys()
    empty = project.run("git", "commit-tree", "-m", "Before", "4b825dc642cb6eb9a060e54bf8d69288fbee4904").stdout.strip()
    assert apply.outputs(project.folder, empty) == {}


def test_dvc_itself_fails_where_a_model_was_never_trained(project):
    done = project.run("dvc", "exp", "apply", "narrow", check=False)
    assert (done.returncode, "models/b" in done.stdout) == (255, True), "mended in DVC? then `replica apply` may go"


def test_an_experiment_is_put_into_the_folder_and_the_commit_back(project, capsys):
    before = state(project.folder)
    apply.apply("narrow")
    after = state(project.folder)
    assert (after["models/a/weights"], after["metrics/a.json"]) == ("16\n", "16\n")
    assert yaml.safe_load(after["params.yaml"])["variants"] == {"a": {"units": 16}, "b": {"units": 1}}
    assert capsys.readouterr().out.splitlines() == [
        "narrow: 3 files, models/a now in the working folder",
        "not in DVC's cache here, and left as they were: models/b",
    ]
    assert project.repro("train@a") == [], "DVC takes it for up to date"

    apply.apply("wide")  # what lies here is an experiment's, so nothing is lost
    assert state(project.folder)["models/a/weights"] == "64\n"
    apply.apply("HEAD")
    assert state(project.folder) == before
    assert project.run("git", "status", "--short").stdout == ""


def test_what_the_experiment_did_not_change_stays(project):
    (project.folder / "notes").write_text("mine\n")
    apply.apply("narrow")
    assert state(project.folder)["notes"] == "mine\n"


def test_files_that_an_experiment_adds_go_with_it(project):
    def git(*words):
        return project.run("git", *words).stdout.strip()

    before = state(project.folder)
    git("read-tree", ref(project, "wide"))
    for added in ("plots/a.csv", "live/a/metrics.json"):
        git("update-index", "--add", "--cacheinfo", "100644", git("hash-object", "-w", "notes"), added)
    commit = git("commit-tree", "-m", "added", "-p", "HEAD", git("write-tree"))
    git("update-ref", ref(project, "wide").replace("wide", "added"), commit)
    git("read-tree", "HEAD")
    apply.apply("added")
    assert state(project.folder)["plots/a.csv"] == "theirs\n"
    (project.folder / "plots/a.csv").write_text("mine\n")
    with pytest.raises(UserError, match=r"^plots/a.csv: changed, and in no commit"):
        apply.apply("HEAD")
    (project.folder / "plots/a.csv").write_text("theirs\n")
    (project.folder / "live/a/metrics.json").write_text("another training's\n")
    apply.apply("HEAD")
    assert state(project.folder) == before


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("params.yaml", r"^params.yaml: changed, and in no commit and no experiment; commit or `git stash` first"),
        ("models/a/.seed-0.npz", r"^models/a: holds files that DVC's cache does not; move it away first$"),
    ],
)
def test_nothing_of_ones_own_is_lost(project, file, told):
    apply.apply("wide")
    own = project.folder / file
    own.write_text((own.read_text() if own.exists() else "") + "# mine\n")
    before = state(project.folder)
    try:
        with pytest.raises(UserError, match=told):
            apply.apply("narrow")
        assert state(project.folder) == before
    finally:
        own.unlink()


def test_below_the_root_nothing_is_said_to_have_been_applied(project):
    before = state(project.folder)
    with contextlib.chdir("metrics"), pytest.raises(UserError, match=r"^replica apply: run it from the project's root"):
        apply.apply("narrow")
    assert state(project.folder) == before


def test_a_name_that_is_none_and_a_commit_that_moved_on(project):
    with pytest.raises(UserError, match=r"^narow: no experiment of that name; did you mean narrow\? "):
        apply.apply("narow")
    (project.folder / "metrics/a.json").write_text("by hand\n")
    project.run("git", "commit", "-qam", "On")
    try:
        with pytest.raises(
            UserError, match=r"^narrow: starts from commit \w{7}, and HEAD has another metrics/a.json; "
        ):
            apply.apply("narrow")
    finally:
        project.run("git", "reset", "-q", "--hard", "HEAD~1")


def test_a_pipeline_that_dvc_cannot_read_is_one_line_and_nothing_is_changed(project):
    (project.folder / "dvc.yaml").write_text("stages: [\n")
    before = state(project.folder)
    try:
        with pytest.raises(UserError, match=r"dvc.yaml") as error:
            apply.apply("narrow")
        assert "\n" not in str(error.value)
        assert state(project.folder) == before
    finally:
        project.run("git", "restore", "dvc.yaml")


def test_an_experiment_whose_model_is_elsewhere_says_so(project, capsys):
    sha = project.run("git", "rev-parse", ref(project, "wide")).stdout.strip()
    outs = yaml.safe_load(project.run("git", "show", f"{sha}:dvc.lock").stdout)["stages"]["train@a"]["outs"]
    kept = cached(project.folder, next(out["md5"] for out in outs if out["path"] == "models/a"))
    content = kept.read_bytes()
    kept.unlink()
    try:
        apply.apply(sha[:9])
        assert "not in DVC's cache here: models/a; `replica repro` makes" in capsys.readouterr().out
        assert state(project.folder)["models/a/weights"] == "2\n"
    finally:
        kept.write_bytes(content)
        kept.chmod(0o444)
