"""The pipeline as its users run it: real DVC commands in a real repository."""

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest
from conftest import SMALL, small, stages_in

ALL = {f"{stage}@{dataset}" for stage in ("download", "preprocess") for dataset in ("mnist_5k", "photos10")}
ALL |= {f"{stage}@{variant}" for stage in ("train", "evaluate") for variant in SMALL} | {"report"}


@pytest.fixture
def clean(project):
    """The project, put back afterwards as it was."""
    yield project
    project.run("git", "checkout", "-q", "--", ".")
    project.run("dvc", "checkout", "-q")


def test_nothing_changed_nothing_runs(project):
    began = time.perf_counter()
    assert project.repro() == []
    assert time.perf_counter() - began < 10


def test_one_variant_s_epochs_re_run_it_and_what_summarises_it(clean):
    parameters = clean.parameters()
    parameters["variants"]["photos10_linear"]["epochs"] = 2
    clean.write(parameters)
    assert set(clean.repro()) == {"train@photos10_linear", "evaluate@photos10_linear", "report"}


def test_one_more_seed_trains_one_more_model(clean):
    parameters = clean.parameters()
    parameters["variants"]["photos10_linear"]["seeds"] = [0, 7]
    clean.write(parameters)
    weights = clean.folder / "models/photos10_linear/seed-0/model.weights.h5"
    before = (hashlib.md5(weights.read_bytes()).hexdigest(), weights.stat().st_mtime_ns)
    output = clean.run("dvc", "repro", "evaluate@photos10_linear").stdout
    assert "photos10_linear, seed 7" in output
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


def test_an_experiment_its_metrics_and_its_diffs(clean):
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


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("variants.photos10_linear.epochs=-1", "error: variants.photos10_linear.epochs: got -1"),
        ("variants.photos10_linear.optimizer=Adamm", "error: variants.photos10_linear.optimizer: got 'Adamm'"),
        ("variants.photos10_linear.layers.1.Dense.units=12", "the last one gives (12,)"),
    ],
)
def test_a_wrong_override_is_refused_before_training(clean, override, line):
    models = {file: file.stat().st_mtime_ns for file in files(clean.folder / "models")}
    ran = clean.run("dvc", "exp", "run", "-S", override, check=False)
    assert ran.returncode != 0
    assert line in ran.stdout
    assert "Traceback" not in ran.stdout
    assert {file: file.stat().st_mtime_ns for file in files(clean.folder / "models")} == models
