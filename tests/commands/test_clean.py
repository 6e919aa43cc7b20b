"""`replica clean`: says what would go and why, removes it only when told, and nothing that git holds."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
from conftest import ROOT, Project

from replica.commands import clean
from replica.common import parameters, processes
from replica.common.errors import UserError

LEFT = ("models/gone/seed-0/model.weights.h5", "timings/gone.json", "live/gone/metrics.json", "metrics/gone.json")
DECLARED = ("models/mnist_5k_mlp/settings.json", "timings/mnist_5k_mlp.json", "models/mnist_random_search/trial-0/x")
DRAWN = ("plots/rendered/a.png", "curves/b.png", "data/raw/flowers/x.png", "data/processed/flowers/x_train.npy")
MINE = ("notes.txt", "data/raw/mnist/train-images-idx3-ubyte", "metrics/convolution.json", "models/README")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository with what commands leave in it, and some of a person's own."""
    for name in ("params.yaml", "datasets.yaml", "dvc.yaml", ".gitignore"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for name in ("metrics/test/gone.json", "plots/variants/gone/history.csv", "metrics/mnist_5k_mlp.json"):
        put(tmp_path / name)
    project = Project(tmp_path)
    project.begin()
    project.commit("Begin")
    for name in (*LEFT, *DECLARED, *DRAWN, *MINE, "plots/variants/gone/history.png"):
        put(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x" * 600)


def files(folder: Path) -> set[str]:
    found = {str(file.relative_to(folder)) for file in folder.rglob("*") if not file.is_dir()}
    return {name for name in found if not name.startswith(".git/")}


def run(*names: str, yes: bool = False) -> None:
    clean.clean(parameters.declared(), list(names), yes)


def test_it_says_what_would_go_how_large_and_why_and_removes_nothing(place, capsys):
    before = files(place)
    run()
    said = capsys.readouterr().out
    assert files(place) == before
    rows = {line.split()[0]: line for line in said.splitlines()}
    assert "no variant gone is declared" in rows["models/gone"] and "600 B" in rows["models/gone"]
    assert "no dataset flowers is declared" in rows["data/raw/flowers"]
    assert "1 files in git stay" in rows["plots/variants/gone"]
    assert "`replica plots`" in rows["plots/rendered"]
    assert "Nothing was removed. `replica clean --yes` removes these: 9 files, 5.4 kB." in said


def test_with_the_flag_it_goes_and_what_is_declared_or_in_git_or_a_person_s_own_stays(place, capsys):
    held = Project(place).run("git", "ls-files").stdout.split()
    run(yes=True)
    assert files(place) == {*held, *DECLARED, *MINE}
    assert not (place / "models/gone").exists() and not (place / "curves").exists()
    assert Project(place).run("git", "status", "--short", "--untracked-files=no").stdout == ""
    capsys.readouterr()
    run()
    assert capsys.readouterr().out.startswith("Nothing to remove")


def test_a_named_variant_begins_anew_and_its_committed_scores_stay(place, capsys):
    run("mnist_5k_mlp", yes=True)
    said = capsys.readouterr().out
    assert "models/mnist_5k_mlp" in said and "makes it anew" in said
    assert not (place / "models/mnist_5k_mlp").exists() and not (place / "timings/mnist_5k_mlp.json").exists()
    assert (place / "metrics/mnist_5k_mlp.json").exists() and (place / DECLARED[2]).exists()


def test_a_link_goes_and_what_it_leads_to_stays(place, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    put(other / "precious")
    (place / "models/linked").symlink_to(other)
    (place / "models/gone/cache").symlink_to(other)
    run(yes=True)
    assert (other / "precious").exists()
    assert not (place / "models/linked").is_symlink() and not (place / "models/gone").exists()


@pytest.mark.parametrize(
    ("locked", "stays", "names"),
    [
        ("models/gone", LEFT[0], ()),
        ("models/mnist_5k_cnn", "live/mnist_5k_cnn/metrics.json", ("mnist_5k_cnn",)),  # which has saved nothing yet
        ("models/mnist_random_search/trial-0", DECLARED[2], ("mnist_random_search",)),
    ],
)
def test_what_a_training_is_writing_stays(place, monkeypatch, locked, stays, names):
    monkeypatch.setattr(processes.sole.__wrapped__, "__defaults__", (0.0,))
    (place / locked).mkdir(exist_ok=True)
    put(place / stays)
    handle = os.open(place / locked, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        with pytest.raises(UserError, match=rf"{locked}: .* is writing it"):
            run(*names, yes=True)
        assert (place / stays).exists()
    finally:
        os.close(handle)


@pytest.mark.parametrize("name", ["mnist_5k_mpl", "../place", "/etc", ".", ""])
def test_another_name_is_refused(place, name):
    before = files(place)
    with pytest.raises(UserError, match="no variant or search of that name"):
        run(name, yes=True)
    assert files(place) == before


def test_outside_a_project_s_root_nothing_is_looked_at(place, monkeypatch):
    declared = parameters.declared()
    monkeypatch.chdir(place / "models")
    with pytest.raises(UserError, match="run it from the project's root"):
        clean.clean(declared, [], True)
