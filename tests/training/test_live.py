"""DVCLive's files: the same bytes whenever each seed was trained, there from the start, and without side effects."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from replica.training import experiment, timings
from replica.training.live import Live

FOLDER, MODELS = Path("live/tiny"), Path("models/tiny")


@pytest.fixture
def variant(tmp_path, monkeypatch):
    """A variant of two classes and two epochs, its data preprocessed, in a git repository that has no commit yet."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").touch()
    folder = tmp_path / "data/processed/tiny"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split in ("train", "test"):
        np.save(folder / f"x_{split}.npy", random.integers(0, 256, (40, 4, 4, 1), np.uint8))
        np.save(folder / f"y_{split}.npy", np.arange(40, dtype=np.uint8) % 2)
    hashes = {split: {"sha256": {"x": "", "y": ""}} for split in ("train", "test")}
    (folder / "statistics.json").write_text(json.dumps({"classes": ["even", "odd"], **hashes}))
    return {
        "layers": [{"Flatten": {}}, {"Dense": {"units": 2, "activation": "softmax"}}],
        "optimizer": {"SGD": {}},
        "batch_size": 8,
        "epochs": 2,
        "kernels": "portable",
        "dataset": "tiny",
        "validation": 0.25,
    }


def train(variant, seeds):
    with Live(FOLDER, MODELS) as live:
        return experiment.train("tiny", {**variant, "seeds": seeds}, MODELS, live.log)


def written():
    return {str(file.relative_to(FOLDER)): file.read_bytes() for file in FOLDER.rglob("*") if file.is_file()}


def test_the_files_hold_every_run_s_newest_values_and_curves(variant):
    train(variant, [0, 3])
    with (MODELS / "seed-3/history.csv").open() as file:
        history = list(csv.DictReader(file))
    metrics = json.loads((FOLDER / "metrics.json").read_text())
    assert set(metrics) == {"step", "seed-0", "seed-3"}
    assert metrics["step"] == 2
    for row in history[-4:]:
        assert metrics["seed-3"][row["data"]][row["metric"]] == float(row["value"])
    curve = (FOLDER / "plots/metrics/seed-3/validation/loss.tsv").read_text().splitlines()
    assert curve[0] == "step\tloss"
    asked = [row for row in history if (row["data"], row["metric"]) == ("validation", "loss")]
    assert [line.split("\t") for line in curve[1:]] == [[row["epoch"], str(float(row["value"]))] for row in asked]


def test_kept_seeds_and_trained_ones_give_the_same_bytes(variant):
    assert set(train(variant, [0, 1, 2])) == {0, 1, 2}
    together = written()
    shutil.rmtree(MODELS / "seed-1")
    assert set(train(variant, [0, 1, 2])) == {1}
    assert written() == together
    assert train(variant, [0, 1, 2]) == {}
    assert written() == together
    train(variant, [2])
    assert not [name for name in written() if "seed-0" in name or "seed-1" in name]


def test_values_and_curves_are_dvc_s_while_training_only(variant):
    with Live(FOLDER, MODELS) as live:
        live.log(MODELS / "seed-0", [(1, 0.5, "loss", "training"), (1, 0.25, "loss", "test")])
        told = yaml.safe_load((FOLDER / "dvc.yaml").read_text())
        assert told["metrics"] == ["metrics.json"]
        declared = told["plots"]
        assert declared == [
            {
                "tiny: loss so far": {
                    "x": "step",
                    "y": {f"plots/metrics/seed-0/{data}/loss.tsv": "loss" for data in ("training", "test")},
                }
            }
        ]
    assert set(written()) == {"metrics.json", *declared[0]["tiny: loss so far"]["y"]}
    assert not (Path(".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED")).exists()


def test_an_interrupted_run_leaves_its_curves_undeclared(variant):
    with pytest.raises(KeyboardInterrupt), Live(FOLDER, MODELS) as live:
        live.log(MODELS / "seed-0", [(1, float("nan"), "loss", "training")])
        raise KeyboardInterrupt
    assert json.loads((FOLDER / "metrics.json").read_text()) == {"seed-0": {"training": {"loss": "nan"}}, "step": 1}
    assert not (FOLDER / "dvc.yaml").exists()


def test_searches_name_the_trial(variant):
    with Live(FOLDER, MODELS) as live:
        live.log(MODELS / "trial-3/seed-0", [(1, 0.5, "accuracy", "validation")])
    assert json.loads((FOLDER / "metrics.json").read_text())["trial-3"] == {"seed-0": {"validation": {"accuracy": 0.5}}}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_a_folder_that_cannot_be_written_costs_a_warning_and_nothing_of_the_training(variant, when, capsys):
    undisturbed = train(variant, [0]) and (MODELS / "seed-0/model.weights.h5").read_bytes()
    shutil.rmtree(MODELS)
    shutil.rmtree("live")
    if when == "before":
        Path("live").touch()
        assert set(train(variant, [0])) == {0}
    else:
        with Live(FOLDER, MODELS) as live:
            (FOLDER / "plots").touch()
            experiment.train("tiny", {**variant, "seeds": [0]}, MODELS, live.log)
    assert capsys.readouterr().err.count("warning: live/tiny: ") == 1
    assert (MODELS / "seed-0/model.weights.h5").read_bytes() == undisturbed


def test_seconds_that_cannot_be_kept_cost_a_warning(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("timings").touch()
    timings.record(Path("timings/tiny.json"), {0: 1.0}, [0])
    assert "warning: timings/tiny.json: " in capsys.readouterr().err
    Path("timings").unlink()
    timings.record(Path("timings/tiny.json"), {0: 1.0}, [0])
    Path("timings/tiny.json").write_text("{")  # as a full disk leaves it
    timings.record(Path("timings/tiny.json"), {0: 2.0}, [0])
    assert json.loads(Path("timings/tiny.json").read_text())["train_seconds"] == 2.0
