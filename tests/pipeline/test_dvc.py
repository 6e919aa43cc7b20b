"""The pipeline as its users run it: real DVC commands in a real repository."""

import hashlib
import json
import os
import shutil
import time

import pytest
import yaml
from conftest import SMALL, stages_in


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
    before = {file: file.stat().st_mtime_ns for file in (untrained.folder / "models").rglob("*.h5")}
    ran = untrained.run("dvc", "exp", "run", "-S", override, check=False)
    assert ran.returncode != 0
    assert line in ran.stdout
    assert "Traceback" not in ran.stdout
    assert len(before) == len(SMALL)
    assert {file: file.stat().st_mtime_ns for file in (untrained.folder / "models").rglob("*.h5")} == before
