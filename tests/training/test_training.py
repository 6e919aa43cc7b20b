"""Training: that it learns, that its bytes repeat, and that what is declared is what Keras gets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from replica.common.errors import UserError
from replica.datasets import checks
from replica.training import experiment, networks, runs
from replica.training import trainer as training
from replica.training.trainer import Trainer

training.prepare(0, "float32")  # when tests are collected: threads can't be set once another test has used TensorFlow

DENSE = {
    "layers": [
        "Flatten",
        {"Dense": {"units": 16, "activation": "relu"}},
        {"Dense": {"units": 3, "activation": "softmax"}},
    ],
    "optimizer": {"Adam": {"learning_rate": 0.01}},
    "batch_size": 32,
    "epochs": 3,
    "precision": "float32",
}  # fmt: skip


@pytest.fixture(scope="module")
def bright():
    """300 images of 6x6 bytes in three classes: a row of each is bright."""
    random = np.random.default_rng(0)
    y = random.integers(0, 3, 300).astype(np.uint8)
    x = random.integers(0, 120, (300, 6, 6, 1)).astype(np.uint8)
    x[np.arange(300), y * 2] += 100
    return x, y


def history(trainer, watched):
    return [row for rows in trainer.fit(watched) for row in rows]


def test_it_learns_and_scores_what_is_watched(bright):
    x, y = bright
    trainer = Trainer({**DENSE, "epochs": 12}, x[:200], y[:200], 3, seed=0)
    rows = history(trainer, {"validation": (x[200:], y[200:])})
    assert [row[0] for row in rows[:4]] == [1, 1, 1, 1]
    assert {(metric, data) for _, _, metric, data in rows} == {
        (metric, data) for metric in ("accuracy", "loss") for data in ("training", "validation")
    }
    last = {(metric, data): value for epoch, value, metric, data in rows if epoch == 12}
    probabilities = trainer.probabilities(x[200:])
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (100, 3)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert (probabilities.argmax(axis=1) == y[200:]).mean() == pytest.approx(last["accuracy", "validation"])
    assert last["accuracy", "validation"] > 0.9


def test_it_is_keras_s_fit_when_the_order_is_the_same(bright):
    x, y = bright
    trainer = Trainer({**DENSE, "epochs": 1}, x, y, 3, seed=5)
    order = np.random.default_rng([5, 1]).permutation(len(x))
    ours = history(trainer, {})
    training.prepare(5, "float32")
    model = networks.network(DENSE, x.shape[1:], images=True)
    model.compile(networks.optimizer(DENSE["optimizer"]), networks.loss(DENSE, model), metrics=["accuracy"])
    theirs = model.fit(x[order], y[order], batch_size=32, shuffle=False, verbose=0).history
    assert {metric: value for _, value, metric, _ in ours} == pytest.approx(
        {"accuracy": theirs["accuracy"][0], "loss": theirs["loss"][0]}, rel=1e-5
    )
    for mine, keras_s in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        assert np.allclose(mine, keras_s, atol=1e-6)


def test_logits_become_probabilities(bright):
    x, y = bright
    layers = [*DENSE["layers"][:-1], {"Dense": {"units": 3}}]
    trainer = Trainer({**DENSE, "layers": layers}, x, y, 3, seed=0)
    assert trainer.loss.from_logits
    history(trainer, {})
    assert np.allclose(trainer.probabilities(x).sum(axis=1), 1, atol=1e-5)


def test_every_option_a_variant_may_use_trains(bright):
    x, y = bright
    entry = {
        "layers": [
            {"RandomFlip": {"mode": "horizontal"}},
            {"RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1}},
            {"Conv2D": {"filters": 4, "kernel_size": 3, "kernel_regularizer": {"L2": {"l2": 0.001}}}},
            "BatchNormalization",
            {"Activation": {"activation": "relu"}},
            "GlobalAveragePooling2D",
            {"Dense": {"units": 3}},
        ],
        "optimizer": {
            "SGD": {
                "momentum": 0.9,
                "nesterov": True,
                "learning_rate": {
                    "CosineDecay": {
                        "initial_learning_rate": 0.0,
                        "warmup_target": 0.1,
                        "warmup_steps": 3,
                        "decay_steps": 9,
                    }
                },
            }
        },
        "loss": {"CategoricalCrossentropy": {"label_smoothing": 0.1}},
        "batch_size": 64,
        "epochs": 2,
        "precision": "mixed_bfloat16",
    }
    trainer = Trainer(entry, x, y, 3, seed=0)
    rows = history(trainer, {"test": (x, y)})
    assert all(np.isfinite(value) for _, value, _, _ in rows)
    assert trainer.model.layers[-1].compute_dtype == "float32"
    assert trainer.model.optimizer.nesterov


def test_a_single_output_counts_as_two_classes():
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 7)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.uint8)
    entry = {
        "layers": [{"Dense": {"units": 1, "activation": "tanh"}}],
        "optimizer": {"SGD": {"learning_rate": 0.5}},
        "loss": "MeanSquaredError",
        "loss_weights": 0.5,
        "batch_size": 10,
        "epochs": 250,
        "precision": "float32",
    }
    trainer = Trainer(entry, x, y, 2, seed=0)
    rows = history(trainer, {"test": (x, y)})
    epochs = sorted({row[0] for row in rows})
    assert len(epochs) == 125
    assert epochs[-1] == 250
    probabilities = trainer.probabilities(x)
    outputs = trainer.model.predict(x, verbose=0)[:, 0]
    loss = 0.5 * np.mean((outputs - (2.0 * y - 1)) ** 2)
    assert [value for epoch, value, metric, data in rows if (epoch, metric, data) == (250, "loss", "test")] == [
        pytest.approx(loss, rel=1e-3)
    ]
    assert (probabilities.argmax(axis=1) == y).mean() > 0.95


def test_auto_precision_follows_the_cpu(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda self: True)
    monkeypatch.setattr(
        Path, "read_text", lambda self: "model name\t: X\nflags\t\t: fpu avx512_bf16 sse\nbugs\t: none\n"
    )
    assert training.precision_of("auto") == "mixed_bfloat16"
    monkeypatch.setattr(Path, "read_text", lambda self: "flags\t\t: fpu avx512f sse\nother: avx512_bf16\n")
    assert training.precision_of("auto") == "float32"
    assert training.precision_of("mixed_bfloat16") == "mixed_bfloat16"


@pytest.fixture
def dataset(bright, tmp_path, monkeypatch):
    """The images as a preprocessed dataset, and the working folder beside it."""
    x, y = bright
    folder = tmp_path / "data/processed/bright"
    folder.mkdir(parents=True)
    arrays = {"x_train": x[:200], "y_train": y[:200], "x_test": x[200:], "y_test": y[200:]}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    hashes = {
        split: {"sha256": {kind: checks.digest(arrays[f"{kind}_{split}"]) for kind in "xy"}}
        for split in ("train", "test")
    }
    (folder / "statistics.json").write_text(json.dumps({"classes": ["a", "b", "c"], **hashes}))
    monkeypatch.chdir(tmp_path)
    return {**DENSE, "dataset": "bright", "validation": 0.2, "train_examples": None, "seeds": [0, 1]}


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_a_run_holds_all_that_scores_need(dataset, tmp_path):
    assert set(experiment.train("bright", dataset, Path("models/bright"))) == {0, 1}
    run = tmp_path / "models/bright/seed-0"
    assert {file.name for file in run.iterdir()} == {
        "architecture.json", "fingerprint", "history.csv", "model.json", "model.weights.h5", "test.npy", "train.npy",
        "validation.npy",
    }  # fmt: skip
    assert [len(np.load(run / f"{name}.npy")) for name in ("train", "validation", "test")] == [160, 40, 100]
    described = json.loads((run / "model.json").read_text())
    assert described["params_total"] == (36 + 1) * 16 + (16 + 1) * 3
    assert described["precision"] == "float32"
    model = runs.load(run)
    x = np.load("data/processed/bright/x_test.npy")
    assert np.allclose(model.predict(x, verbose=0), np.load(run / "test.npy"), atol=1e-6)


def test_a_run_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"architecture.json: no such file; run `dvc repro train@bright`"):
        runs.load(tmp_path / "bright/seed-0")


def test_what_holds_is_kept_and_what_changed_is_trained(dataset, tmp_path):
    folder = Path("models/bright")
    experiment.train("bright", dataset, folder)
    before = contents(folder)
    assert experiment.train("bright", dataset, folder) == {}
    assert set(experiment.train("bright", {**dataset, "seeds": [0, 1, 2]}, folder)) == {2}
    assert set(experiment.train("bright", {**dataset, "seeds": [2]}, folder)) == set()
    assert [run.name for run in folder.iterdir()] == ["seed-2"]
    assert set(experiment.train("bright", {**dataset, "epochs": 4}, folder)) == {0, 1}
    assert set(experiment.train("bright", dataset, folder)) == {0, 1}
    assert contents(folder) == before


def test_a_part_written_run_is_not_taken_for_a_whole_one(dataset, monkeypatch):
    folder = Path("models/bright")
    monkeypatch.setattr(Trainer, "probabilities", lambda self, x: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        experiment.train("bright", dataset, folder)
    assert not (folder / "seed-0").exists()
    monkeypatch.undo()


def test_fresh_processes_on_one_core_and_on_two_give_the_same_bytes(dataset, tmp_path):
    program = (
        "import json, os, sys; from pathlib import Path; from replica.training import experiment\n"
        "os.sched_setaffinity(0, set(json.loads(sys.argv[3])))\n"
        "experiment.train('bright', json.loads(sys.argv[1]), Path(sys.argv[2]))"
    )
    cores = sorted(os.sched_getaffinity(0))
    for name, use in (("one", cores[:1]), ("all", cores)):
        subprocess.run(
            [sys.executable, "-c", program, json.dumps({**dataset, "seeds": [3]}), name, json.dumps(use)],
            env={"PYTHONPATH": str(ROOT), "PATH": ""}, check=True, capture_output=True,
        )  # fmt: skip
    assert contents(tmp_path / "one") == contents(tmp_path / "all")


def test_a_fingerprint_changes_with_all_that_decides_bytes(dataset):
    images = {"train": np.zeros(3), "test": np.zeros(2)}
    base = runs.fingerprint(dataset, images, {"train": "a"})
    assert runs.fingerprint(dict(dataset), dict(images), {"train": "a"}) == base
    assert runs.fingerprint({**dataset, "batch_size": 33}, images, {"train": "a"}) != base
    assert runs.fingerprint(dataset, {**images, "train": np.zeros(4)}, {"train": "a"}) != base
    assert runs.fingerprint(dataset, images, {"train": "b"}) != base
    assert runs.fingerprint({**dataset, "precision": "mixed_bfloat16"}, images, {"train": "a"}) != base
