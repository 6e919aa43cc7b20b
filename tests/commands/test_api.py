"""The project in Python: a trained variant in two lines, variants and claims as tables, from any folder of a clone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import trained
from conftest import ROOT

import replica
from replica.common import parameters
from replica.common.errors import UserError


@pytest.fixture(scope="module")
def clone(copied_from):
    """A folder with trained variants and the claims, and one inside it, the working folder of this module."""
    folder = copied_from(trained.make)
    inside = folder / "notebooks/mine"
    inside.mkdir(parents=True)
    with contextlib.chdir(inside):
        yield folder


def python(lines: str, folder) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", lines]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_two_lines_give_model_data_history_and_scores_and_print_nothing(clone):
    lines = "import replica\ndigits = replica.load('digits')\n"
    done = python(lines, clone / "notebooks/mine")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_importing_the_package_pins_kernels_and_loads_nothing_else():
    heavy = "{'numpy', 'pandas', 'keras', 'tensorflow', 'replica.commands'} & sys.modules.keys()"
    done = python(f"import replica, sys, os; print({heavy} or os.environ['NPY_DISABLE_CPU_FEATURES'])", ROOT)
    assert done.stdout.startswith("X86_V4"), done.stdout + done.stderr


def test_the_model_evaluates_to_what_its_run_stored(clone):
    digits = replica.load("digits")
    x, y = digits.data["test"]
    stored = np.load(clone / "models/digits/seed-0/test.npy")
    loss, accuracy = digits.model.evaluate(x, y, verbose=0)
    assert accuracy == pytest.approx(np.mean(stored.argmax(axis=1) == y), abs=1e-6)
    assert loss == pytest.approx(-np.log(stored[np.arange(len(y)), y]).mean(), rel=1e-4)
    np.testing.assert_allclose(digits.probabilities(x[:50]), stored[:50], atol=2e-5)
    assert [len(digits.data[part][0]) for part in ("train", "validation", "test")] == [3200, 800, 1000]
    wide = digits.history.query("metric == 'accuracy'").pivot(index="epoch", columns="data", values="value")
    assert list(wide.index) == [1, 2, 3]
    assert set(wide.columns) == {"training", "validation"}
    assert digits.scores == {}


def test_a_network_of_one_output_evaluates_to_its_history_s_end(clone):
    points = replica.load("points")
    loss, accuracy = points.model.evaluate(*points.data["test"], verbose=0)
    last = points.history.query("data == 'test' and epoch == 3").set_index("metric").value
    assert (loss, accuracy) == (pytest.approx(last["loss"], rel=1e-4), pytest.approx(last["accuracy"], abs=1e-6))


def test_a_model_that_is_not_what_is_declared_says_so(clone):
    declared = parameters.read(clone / "params.yaml")
    declared["variants"]["digits"]["epochs"] = 4
    kept = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(json.dumps(declared))
    try:
        with pytest.warns(UserWarning, match="digits: epochs in params.yaml changed after this model was trained"):
            replica.load("digits")
    finally:
        (clone / "params.yaml").write_text(kept)


def test_scores_of_another_model_are_told(clone):
    digits = replica.load("digits")
    y = digits.data["test"][1]
    true = float(np.mean(np.load(clone / "models/digits/seed-0/test.npy").argmax(axis=1) == y))
    file = clone / "metrics/digits.json"
    file.parent.mkdir()
    try:
        file.write_text(json.dumps({"test": {"accuracy": true}}))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert replica.load("digits").scores["test"]["accuracy"] == true
        file.write_text(json.dumps({"test": {"accuracy": true + 0.001}}))
        with pytest.warns(UserWarning, match=r"metrics/digits\.json has a test accuracy of"):
            replica.load("digits")
    finally:
        shutil.rmtree(file.parent)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digitz",), "did you mean digits"),
        (("untrained",), "untrained: not trained yet; `dvc repro train@untrained`"),
        (("digits", 7), "digits: no run of seed 7; there are 0"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(arguments, message, clone):
    with pytest.raises(UserError, match=message) as caught:
        replica.load(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lost", "line"),
    [
        ("models/digits/seed-0/test.npy", "delete {0}/models/digits/seed-0 and run `dvc repro train@digits`"),
        ("models/digits/seed-0/model.weights.h5", "delete {0}/models/digits/seed-0 and run `dvc repro train@digits`"),
        ("models/digits/seed-0/architecture.json", "delete {0}/models/digits/seed-0 and run `dvc repro train@digits`"),
        ("models/digits/seed-0/history.csv", "delete {0}/models/digits/seed-0 and run `dvc repro`"),
        ("models/digits/settings.json", "run `dvc repro train@digits`"),
        ("data/processed/mnist_5k/x_test.npy", "run `dvc repro preprocess@mnist_5k`"),
    ],
)
def test_a_file_that_is_lost_is_told_with_what_makes_it(clone, tmp_path, lost, line):
    scores = clone / "metrics/digits.json"
    scores.parent.mkdir()
    scores.write_text(json.dumps({"test": {"accuracy": 0.5}}))
    (clone / lost).rename(tmp_path / "kept")
    try:
        with pytest.raises(UserError) as caught:
            replica.load("digits")
    finally:
        (tmp_path / "kept").rename(clone / lost)
        shutil.rmtree(scores.parent)
    assert str(caught.value) == f"{clone / lost}: no such file; {line.format(clone)}"


def test_outside_a_clone_it_says_where_to_go(tmp_path):
    with contextlib.chdir(tmp_path):
        for call in (lambda: replica.load("digits"), replica.variants, replica.claims):
            with pytest.raises(UserError, match="not inside a clone"):
                call()


def test_numpy_imported_first_is_a_warning_at_most(clone):
    done = python("import numpy\nimport replica\nprint(replica.load('digits').name)", clone)
    assert done.stdout == "digits\n", done.stderr


def test_variants_are_a_table_with_the_committed_scores():
    with contextlib.chdir(ROOT / "docs"):
        table = replica.variants()
    declared = parameters.read(ROOT / "params.yaml")["variants"]
    assert list(table.index) == list(declared)
    row = table.loc["mnist_5k_cnn"]
    assert (row.parameters, row.images, row.seeds, row.network) == (258090, 4000, 1, "cnn")
    assert row.accuracy == json.loads((ROOT / "metrics/mnist_5k_cnn.json").read_text())["test"]["accuracy"]


def test_claims_are_judged_as_the_report_has_them():
    """Columns, claims and places as committed; and where a verdict is, the figures are numbers."""
    with contextlib.chdir(ROOT / "docs"):
        table = replica.claims()
    committed = pd.read_csv(ROOT / "plots/claims.csv", index_col="id", dtype={"line": str})
    assert list(table.columns) == list(committed.columns)
    assert list(table.index) == list(committed.index)
    assert list(table.verdict) == list(committed.verdict)
    np.testing.assert_allclose(table.ours, committed.ours, rtol=1e-5)


def test_a_name_it_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError, match="it has claims, load, variants"):
        replica.lod  # noqa: B018
    assert {"load", "variants", "claims"} <= set(dir(replica))
