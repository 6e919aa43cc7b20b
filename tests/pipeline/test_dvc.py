"""The pipeline as its users run it: real DVC commands in a real repository."""

import hashlib
import json
import os
import re
import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SMALL, Project, small, stages_in
from dvc.exceptions import InvalidArgumentError
from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from server import Mirror

ALL = {f"{stage}@{dataset}" for stage in ("download", "preprocess") for dataset in ("mnist_5k", "photos10")}
ALL |= {f"{stage}@{variant}" for stage in ("train", "evaluate") for variant in SMALL} | {"report"}


@pytest.fixture
def untrained(project):
    """The project for what trains nothing; its files that git holds are put back."""
    yield project
    project.run("git", "checkout", "-q", "--", ".")


@pytest.fixture
def clean(untrained):
    """The project, put back afterwards as it was."""
    yield untrained
    untrained.run("git", "checkout", "-q", "--", ".")
    untrained.run("dvc", "checkout", "-q")


def test_nothing_changed_nothing_runs(project):
    began = time.perf_counter()
    assert project.repro() == []
    assert time.perf_counter() - began < 10


def test_the_run_cache_hands_no_cpu_s_models_to_another(project):
    """DVC keeps no stage there that has a persistent output, as models are, or one that git keeps, as figures are."""
    assert (project.folder / ".dvc/cache/files").is_dir()
    assert not list((project.folder / ".dvc/cache/runs").rglob("*"))
    stages = yaml.safe_load((project.folder / "dvc.lock").read_text())["stages"]
    assert all(f"models/{name}" in [dep["path"] for dep in stages[f"evaluate@{name}"]["deps"]] for name in SMALL)


def test_a_name_that_is_a_path_removes_nothing_under_bare_dvc(clean, tmp_path):
    """DVC removes the outputs of a stage before its first command, which is the check of names, has run."""
    victims = [tmp_path / "victim.json", clean.folder / "data" / "folder" / "file"]
    for victim in victims:
        victim.parent.mkdir(exist_ok=True)
        victim.write_text("{}")
    way = os.path.relpath(tmp_path, clean.folder / "metrics")
    parameters, datasets = clean.parameters(), yaml.safe_load((clean.folder / "datasets.yaml").read_text())
    evil = {
        "evaluate": (f"{way}/victim", parameters["variants"], "photos10_linear"),
        "preprocess": ("../folder", datasets["datasets"], "photos10"),
    }
    for name, entries, like in evil.values():
        entries[name] = entries[like]
    clean.write(parameters)
    (clean.folder / "datasets.yaml").write_text(yaml.safe_dump(datasets))
    for stage, (name, _, _) in evil.items():
        for need in ("models", "data/raw"):
            (clean.folder / need / name).resolve().mkdir(parents=True, exist_ok=True)
        said = clean.run("dvc", "repro", "--single-item", "--force", f"{stage}@{name}", check=False).stdout
        assert "is no name" in said
    assert all(victim.read_text() == "{}" for victim in victims)


def test_one_more_seed_trains_one_more_model(clean):
    parameters = clean.parameters()
    parameters["variants"]["photos10_linear"]["seeds"] = 2
    clean.write(parameters)
    weights = clean.folder / "models/photos10_linear/seed-0/model.weights.h5"
    before = (hashlib.md5(weights.read_bytes()).hexdigest(), weights.stat().st_mtime_ns)
    output = clean.run("dvc", "repro", "evaluate@photos10_linear").stdout
    assert "photos10_linear, seed 1" in output
    assert "photos10_linear, seed 0" not in output
    assert (hashlib.md5(weights.read_bytes()).hexdigest(), weights.stat().st_mtime_ns) == before
    assert json.loads((clean.folder / "metrics/photos10_linear.json").read_text())["seeds"] == 2


def test_two_clones_give_the_same_bytes(project, tmp_path):
    other = small(tmp_path / "other")
    assert set(stages_in(other.run("dvc", "repro", OMP_NUM_THREADS="1").stdout)) == ALL
    assert (other.folder / "dvc.lock").read_bytes() == (project.folder / "dvc.lock").read_bytes()
    outputs = [file for top in ("data", "models", "metrics", "plots", "report") for file in files(other.folder / top)]
    assert any(file.suffix == ".png" for file in outputs)
    assert any(file.suffix == ".h5" for file in outputs)
    for file in outputs:
        same = project.folder / file.relative_to(other.folder)
        assert same.read_bytes() == file.read_bytes(), file


def files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


ASKED = """
import numpy as np, replica
from PIL import Image
from replica.commands.predict.predict import predict
from replica.commands.pull.pull import pull
pull(["mnist_5k_mlp"])
digits = replica.load("mnist_5k_mlp")
x, y = digits.data["test"]
assert round(float(np.mean(digits.probabilities(x).argmax(axis=1) == y)), 6) == digits.scores["test"]["accuracy"]
Image.fromarray(x[0, ..., 0]).save("digit.png")
assert predict("mnist_5k_mlp", ["digit.png"])[0]["class"] in digits.classes
"""


def test_a_model_pulled_over_http_answers_and_counts_as_trained(project, tmp_path):
    shelf = tmp_path / "shelf"
    project.run("dvc", "remote", "add", "--local", "shelf", str(shelf))
    project.run("dvc", "push", "--remote", "shelf", "train", "download", "preprocess")
    project.run("dvc", "remote", "remove", "--local", "shelf")
    files = {file.relative_to(shelf).as_posix(): file.read_bytes() for file in shelf.rglob("*") if file.is_file()}
    project.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Project(tmp_path / "clone")
    with closing(Mirror(files)) as mirror:
        (clone.folder / ".dvc/config.local").write_text(f"['remote \"published\"']\nurl = {mirror.url}\n")
        clone.run("dvc", "remote", "default", "--local", "published")
        clone.run("python", "-W", "error::UserWarning", "-c", ASKED)
    assert clone.repro("evaluate@mnist_5k_mlp") == []
    assert clone.run("git", "status", "--short").stdout == "?? digit.png\n"


def test_an_experiment_its_metrics_its_diffs_and_the_way_back_from_a_refused_one(clean):
    clean.run("git", "config", "core.checkStat", "minimal")  # size and second alone, as a file system may leave it
    ran = clean.run("dvc", "exp", "run", "-S", "variants.photos10_linear.epochs=3")
    assert set(stages_in(ran.stdout)) == {"train@photos10_linear", "evaluate@photos10_linear", "report"}
    assert "epochs: 3" in clean.run("git", "diff", "-U0", "params.yaml").stdout
    diff = clean.run("dvc", "metrics", "diff").stdout
    assert [line.split()[:2] for line in diff.splitlines()[1:]] == [["metrics/test/photos10_linear.json", "accuracy"]]
    assert "mnist_5k_mlp" not in diff
    assert "variants.photos10_linear.epochs" in clean.run("dvc", "params", "diff").stdout
    shown = clean.run("dvc", "metrics", "show").stdout
    assert "metrics/test/photos10_linear.json" in shown
    clean.run("dvc", "plots", "diff", "-o", "page", "HEAD")
    page = (clean.folder / "page/index.html").read_text()
    assert "photos10_linear" in page
    shutil.rmtree(clean.folder / "page")

    wrong = clean.run("dvc", "exp", "run", "-S", "+variants.photos10_linear.optimizer=Adamm", check=False)
    assert wrong.returncode != 0
    clean.run("git", "restore", ".")
    clean.run("git", "config", "--unset", "core.checkStat")
    tracked = clean.run("git", "ls-files", "-s", "metrics", "plots", "report", "dvc.lock", "params.yaml").stdout
    held = {line.split("\t")[1]: line.split()[1] for line in tracked.splitlines()}
    there = clean.run("git", "hash-object", *held).stdout.split()
    assert dict(zip(held, there, strict=True)) == held
    assert "metrics/test/photos10_linear.json" in held


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("variants.photos10_linear.epochs=-1", "error: variants.photos10_linear.epochs: got -1"),
        (
            "variants.photos10_linear.learning_rate=-1",
            "error: variants.photos10_linear.learning_rate: got -1; allowed: a ",
        ),
        ("+variants.photos10_linear.optimizer=Adamm", "error: variants.photos10_linear.optimizer: got 'Adamm'"),
        (
            "networks.softmax.layers.0=Flaten",
            "error: networks.softmax.layers.0: got 'Flaten', no layer of that name; did",
        ),
        ("networks.softmax.layers.1.Dense.units=12", "1 gives (12,); photos10 needs (10,)"),
    ],
)
def test_a_wrong_override_is_refused_before_training(untrained, override, line):
    models = {file: file.stat().st_mtime_ns for file in files(untrained.folder / "models")}
    ran = untrained.run("dvc", "exp", "run", "-S", override, check=False)
    assert ran.returncode != 0
    assert line in ran.stdout
    assert "Traceback" not in ran.stdout
    assert {file: file.stat().st_mtime_ns for file in files(untrained.folder / "models")} == models


SETTINGS = (
    "data.validation=0.3",
    "epochs=3",
    "batch_size=64",
    "seeds=2",
    "learning_rate=0.01",
    "dropout=0.1",
    "l1=0.1",
)
STRIDED = {"cifar10_strided_5k", "cifar10_l1_0", "photos10_strided"}
OTHERS = {"cifar10_maxpool_5k", "mnist_5k_mlp", "photos10_linear"}


@pytest.fixture(scope="module")
def as_trained(tmp_path_factory):
    """This repository's params.yaml with six of its variants, and the stage `train`, as if all had been trained."""
    made = Project(tmp_path_factory.mktemp("trained"))
    shutil.copy(ROOT / "params.yaml", made.folder)
    with modify_yaml(made.folder / "params.yaml") as declared:
        for name in declared["variants"].keys() - STRIDED - OTHERS:
            del declared["variants"][name]
    variants = made.parameters()["variants"]
    train = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]
    (made.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": train}}))
    datasets = {f"data/processed/{entry['data']['dataset']}" for entry in variants.values()}
    for name in ("stages", "replica/common", "replica/training", *datasets, *(f"models/{name}" for name in variants)):
        (made.folder / name).mkdir(parents=True)
    (made.folder / "stages/train.py").touch()
    made.begin()
    made.run("dvc", "init", "-q")
    made.run("dvc", "commit", "-q", "-f")
    made.commit("As trained")
    return made


@pytest.fixture
def overridden(as_trained, monkeypatch):
    """What `-S` would train, and what became of params.yaml: by `dvc params diff`, and the lines that git shows."""
    monkeypatch.chdir(as_trained.folder)

    def ask(override):
        apply_overrides("params.yaml", [override])
        with Repo() as repo:
            stages, told = set(repo.status()), repo.params.diff()["diff"]["params.yaml"]
        lines = as_trained.run("git", "diff", "-U0", "params.yaml").stdout.splitlines()
        return stages, told, [line for line in lines if re.match(r"[+-](?![+-])", line)]

    yield ask
    as_trained.run("git", "checkout", "-q", "--", ".")


@pytest.mark.parametrize(
    ("override", "changed"),
    [
        ("networks.strided.layers.0.Conv2D.filters=32", {"layers.0.Conv2D.filters": {"old": 16, "new": 32}}),
        ("networks.strided.Conv2D.activation=tanh", {"Conv2D.activation": {"old": "relu", "new": "tanh"}}),
        ("~networks.strided.layers.4", {"layers.4.Dropout.rate": {"old": "$dropout", "new": None}}),
    ],
)
def test_a_network_s_override_starts_its_variants_and_no_others(overridden, override, changed):
    stages, told, lines = overridden(override)
    assert stages == {f"train@{name}" for name in STRIDED}
    leaves = {key: {side: each[side] for side in ("old", "new")} for key, each in told.items()}
    assert leaves == {f"networks.strided.{key}": each for key, each in changed.items()}
    assert len(lines) <= 2


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_variant_s_knob_needs_no_plus_and_changes_a_line(overridden, setting):
    key, _, value = setting.partition("=")
    stages, told, lines = overridden(f"variants.cifar10_strided_5k.{setting}")
    assert stages == {"train@cifar10_strided_5k"}
    assert list(told) == [f"variants.cifar10_strided_5k.{key}"]
    assert str(told[f"variants.cifar10_strided_5k.{key}"]["new"]) == value
    assert len(lines) == 2


def test_another_network_is_one_setting(overridden):
    stages, told, _ = overridden("variants.photos10_strided.network=maxpool")
    assert stages == {"train@photos10_strided"}
    assert list(told) == ["variants.photos10_strided.network"]


def test_what_a_variant_says_beside_its_network_takes_a_plus(overridden):
    override = "variants.mnist_5k_mlp.optimizer.SGD.momentum=0.9"
    with pytest.raises(InvalidArgumentError):
        overridden(override)
    stages, told, lines = overridden(f"+{override}")
    assert stages == {"train@mnist_5k_mlp"}
    assert list(told) == ["variants.mnist_5k_mlp.optimizer.SGD.momentum"]
    assert {line[0] for line in lines} == {"+"}
