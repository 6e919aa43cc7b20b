"""`python -m stages.evaluate` on made-up runs of a small dataset, as DVC runs it."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from replica.common.errors import UserError
from replica.evaluation import scores
from stages import evaluate as stage

CLASSES = ["cat", "dog", "owl"]
N_TRAIN, N_TEST = 100, 60
MODEL = {"kernels": "portable", "precision": "float32", "params_total": 1234, "layers": []}
# What training leaves beside the runs of a variant
SETTINGS = {
    "fraction": {"dataset": "pets", "validation": 0.2, "seeds": [0, 4], "train_examples": 50},
    "watched": {"dataset": "pets", "validation": "test", "seeds": [0]},
}


def evaluate(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.evaluate", name]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def probabilities(y: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    p = generator.dirichlet(np.ones(3), len(y))
    p[np.arange(len(y)), y] += 1
    return (p / 2).astype(np.float32)


def run(folder: Path, labels: dict[str, np.ndarray], watched: str, seed: int) -> None:
    """Write what training one seed leaves behind."""
    folder.mkdir(parents=True)
    for data, y in labels.items():
        np.save(folder / f"{data}.npy", probabilities(y, np.random.default_rng(seed)))
    (folder / "model.json").write_text(json.dumps(MODEL))
    rows = [
        f"{epoch},{value},{metric},{data}"
        for epoch in (1, 2, 3)
        for data in ("training", watched)
        for metric, value in (("accuracy", epoch / 4), ("loss", "nan" if epoch == 3 else 1 / epoch))
    ]
    (folder / "history.csv").write_text("\n".join(["epoch,value,metric,data", *rows]) + "\n")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    return prepare(tmp_path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained and evaluated; not to be changed."""
    made = prepare(tmp_path_factory.mktemp("project"))
    for name in SETTINGS:
        done = evaluate(made, name)
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    return made


def prepare(folder: Path) -> Path:
    generator = np.random.default_rng(0)
    data = folder / "data" / "processed" / "pets"
    data.mkdir(parents=True)
    y = {"train": generator.integers(0, 3, N_TRAIN, np.uint8), "test": generator.integers(0, 3, N_TEST, np.uint8)}
    for part, labels in y.items():
        np.save(data / f"y_{part}.npy", labels)
        np.save(data / f"x_{part}.npy", generator.integers(0, 256, (len(labels), 8, 8, 3), np.uint8))
    hashes = {"sha256": {"x": "", "y": ""}}
    statistics = {"classes": CLASSES, "shape": [8, 8, 3], "train": hashes, "test": hashes}
    (data / "statistics.json").write_text(json.dumps(statistics))
    models = folder / "models"
    for seed in (0, 4):
        labels = {"train": y["train"][:40], "validation": y["train"][40:50], "test": y["test"]}
        run(models / "fraction" / f"seed-{seed}", labels, "validation", seed)
    run(models / "watched" / "seed-0", y, "test", 0)
    for name, settings in SETTINGS.items():
        (models / name / "settings.json").write_text(json.dumps(settings))
    return folder


def written(folder: Path, name: str = "") -> dict[str, bytes]:
    files = [file for part in ("metrics", "plots") for file in sorted((folder / part).rglob("*"))]
    files = [file for file in files if file.is_file() and name in str(file.relative_to(folder))]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_it_writes_scores_tables_and_figures_the_same_to_the_byte(project, trained, monkeypatch):
    first = written(project, "fraction")
    assert sorted(first) == [
        "metrics/details/fraction.json",
        "metrics/fraction.json",
        "metrics/test/fraction.json",
        *(
            f"plots/variants/fraction/{name}"
            for name in ("confusion.csv", "confusion.png", "history.csv", "history.png", "mistakes.png", "report.csv")
        ),
    ]
    monkeypatch.chdir(trained)
    stage.main("fraction")
    assert written(trained) == first
    stage.main("fraction")
    assert written(trained) == first
    assert not any(b"NaN" in content or str(trained).encode() in content for content in first.values())


def test_the_report_holds_the_network_and_the_dummy_on_training_and_test_images(project):
    rows = list(csv.DictReader((project / "plots/variants/fraction/report.csv").read_text().splitlines()))
    assert {(row["classifier"], row["data"]) for row in rows} == {
        (classifier, data)
        for classifier in ("network, seed 0", "most frequent dummy", "stratified dummy")
        for data in ("train", "test")
    }
    images = {"train": 40, "test": len(np.load(project / "data/processed/pets/y_test.npy"))}
    for data, count in images.items():
        support = [
            int(row["support"]) for row in rows if row["data"] == data and row["classifier"] == "stratified dummy"
        ]
        assert sum(support) == count


def test_scores_are_of_the_images_they_claim_to_be_of(project):
    metrics = json.loads((project / "metrics" / "fraction.json").read_text())
    y = np.load(project / "data/processed/pets/y_train.npy")
    for data, labels in (("train", y[:40]), ("validation", y[40:50])):
        files = [project / f"models/fraction/seed-{seed}/{data}.npy" for seed in (0, 4)]
        accuracy = np.mean([(np.load(file).argmax(1) == labels).mean() for file in files])
        assert metrics[data]["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert (metrics["params_total"], metrics["seeds"]) == (1234, 2)
    test = metrics["test"]
    assert list(test) == [
        "accuracy",
        "loss",
        "macro_f1",
        "accuracy_low",
        "accuracy_high",
        "accuracy_std",
        "gain",
    ]
    assert (test["accuracy_low"], test["accuracy_high"]) == pytest.approx(
        scores.wilson(test["accuracy"], N_TEST), abs=1e-6
    )
    y_test = np.load(project / "data/processed/pets/y_test.npy")
    most_frequent = np.bincount(y[:40]).argmax()
    assert metrics["dummy"]["accuracy"] == pytest.approx((y_test == most_frequent).mean(), abs=1e-6)
    assert test["gain"] == pytest.approx(test["accuracy"] - metrics["dummy"]["accuracy"], abs=2e-6)


def test_details_hold_raw_scores_classes_confusion_and_both_dummies(project):
    details = json.loads((project / "metrics/details/fraction.json").read_text())
    assert list(details["seeds"]) == ["0", "4"]
    assert details["images"] == {"train": 40, "validation": 10, "test": 60}
    raw = [run["test"]["accuracy"] for run in details["seeds"].values()]
    assert details["std"]["test"]["accuracy"] == pytest.approx(np.std(raw, ddof=1), abs=1e-5)
    reports = [details["first_seed"], *(details["dummy"][name] for name in ("most_frequent", "stratified"))]
    for report in reports:
        for data, n in (("train", 40), ("test", 60)):
            assert list(report[data]["classes"]) == CLASSES
            matrix = np.array(report[data]["confusion"])
            assert matrix.shape == (3, 3) and matrix.sum() == n
            assert np.trace(matrix) / n == pytest.approx(report[data]["accuracy"], abs=1e-6)
    assert sum(details["mcnemar"][key] for key in ("both", "network_only", "dummy_only", "neither")) == 60


def test_the_tables_that_dvc_plots_draws(project):
    plots = project / "plots/variants/fraction"
    with (plots / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {"epoch": "1", "value": "0.25", "metric": "accuracy", "data": "training", "seed": "0"}
    assert len(rows) == 2 * 3 * 2 * 2 and {row["seed"] for row in rows} == {"0", "4"}
    assert [row["value"] for row in rows if row["epoch"] == "3" and row["metric"] == "loss"] == [""] * 4
    with (plots / "confusion.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert list(cells[0]) == ["data", "actual", "predicted", "count"]
    matrix = json.loads((project / "metrics/details/fraction.json").read_text())["first_seed"]["test"]["confusion"]
    assert [int(cell["count"]) for cell in cells if cell["data"] == "test"] == np.ravel(matrix).tolist()
    assert [cell["actual"] for cell in cells[:9:3]] == CLASSES


def test_the_templates_fit_the_tables(project):
    tables = {
        "history": ("epoch", "value", "metric", "data", "seed"),
        "counts": ("data", "actual", "predicted", "count"),
    }
    for name, columns in tables.items():
        text = (ROOT / ".dvc" / "plots" / f"{name}.json").read_text()
        fields = set(re.findall(r'"field": "(\w+)"', text)) - set(re.findall(r'"as": "(\w+)"', text)) - {"rev"}
        assert fields <= set(columns) and json.loads(text)["data"]["values"] == "<DVC_METRIC_DATA>"


def test_where_the_test_set_was_watched_there_is_no_validation(project):
    metrics = json.loads((project / "metrics/watched.json").read_text())
    assert "validation" not in metrics and "accuracy_std" not in metrics["test"] and metrics["seeds"] == 1
    assert json.loads((project / "metrics/details/watched.json").read_text())["images"] == {"train": 100, "test": 60}


@pytest.mark.parametrize(
    ("name", "repair"),
    [
        ("seed-0/test.npy", "delete models/fraction/seed-0 and run `dvc repro`"),
        ("seed-0/model.json", "run `rm -r models/fraction/seed-0 && dvc repro train@fraction`"),
        ("seed-4/history.csv", "delete models/fraction/seed-4 and run `dvc repro`"),
        ("settings.json", "run `dvc repro train@fraction`"),
    ],
)
def test_a_missing_file_is_named_and_nothing_is_written(trained, monkeypatch, name, repair):
    file = Path("models/fraction", name)
    (trained / file).unlink()
    monkeypatch.chdir(trained)
    with pytest.raises(UserError) as refused:
        stage.main("fraction")
    assert str(refused.value) == f"{file}: no such file; {repair}"
    assert written(trained) == {}


def test_kernels_and_precision_of_the_training_are_told(project):
    details = json.loads((project / "metrics/details/fraction.json").read_text())
    assert (details["kernels"], details["precision"]) == ("portable", "float32")


def test_probabilities_of_other_images_are_refused_in_one_line(trained):
    file = trained / "models/watched/seed-0/train.npy"
    np.save(file, np.load(file)[:-1])
    done = evaluate(trained, "watched")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == (
        "error: models/watched/seed-0/train.npy: float32 [99, 3], where float32 [100, 3] was expected; "
        "delete models/watched/seed-0 and run `dvc repro`\n"
    )


def test_neither_tensorflow_nor_pyplot_is_imported():
    code = "import sys, stages.evaluate; print({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
