"""Saved runs: what is in them, that their bytes repeat, and which are kept."""

import ast
import inspect
import json
import linecache
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from bright import DENSE, preprocessed
from conftest import ROOT

from replica.common import arrays, files, kernels, parameters
from replica.common.errors import UserError
from replica.training import experiment, networks, runs, trainer
from replica.training.trainer import Trainer


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """The images as a preprocessed dataset, and the working folder beside it."""
    preprocessed(tmp_path)
    monkeypatch.chdir(tmp_path)
    return {**DENSE, "dataset": "bright", "validation": 0.2, "seeds": [0, 1]}


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
    assert (described["kernels"], described["precision"]) == ("portable", "float32")
    assert json.loads((run.parent / "settings.json").read_text()) == dataset
    model = runs.load(run)
    x = np.load("data/processed/bright/x_test.npy")
    assert np.allclose(model.predict(x, verbose=0), np.load(run / "test.npy"), atol=1e-6)


def test_what_a_run_tells_in_words_is_laid_out_and_rounded_in_one_way(dataset, tmp_path):
    experiment.train("bright", {**dataset, "seeds": [0]}, Path("models/bright"))
    run = tmp_path / "models/bright/seed-0"
    for file in (run / "architecture.json", run / "model.json", run.parent / "settings.json"):
        assert file.read_text() == json.dumps(json.loads(file.read_text()), indent=2) + "\n"
    header, *lines = (run / "history.csv").read_text().splitlines()
    assert header == "epoch,value,metric,data"
    assert len(lines) == 3 * 4
    for epoch, value, *_ in (line.split(",") for line in lines):
        assert epoch in "123" and f"{float(value):.6g}" == value
    assert len((run / "fingerprint").read_text()) == 65


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
    assert {file.name for file in folder.iterdir()} == {"seed-2", "settings.json"}
    assert json.loads((folder / "settings.json").read_text())["seeds"] == [2]
    assert set(experiment.train("bright", {**dataset, "epochs": 4}, folder)) == {0, 1}
    assert set(experiment.train("bright", dataset, folder)) == {0, 1}
    assert contents(folder) == before


def test_early_stopping_ends_a_seed_and_its_rule_is_in_the_fingerprint(dataset, monkeypatch):
    folder, asked = Path("models/bright"), {"monitor": "val_accuracy", "patience": 1, "min_delta": 1.0}
    entry = {**dataset, "epochs": 6, "early_stopping": asked}
    assert set(experiment.train("bright", entry, folder)) == {0, 1}
    for seed in (0, 1):
        assert {row[0] for row in files.history(folder / f"seed-{seed}", seed)} == {1, 2}  # nothing gains 1.0
    assert experiment.train("bright", entry, folder) == {}
    monkeypatch.setattr(
        runs, "syntax", lambda *modules, real=runs.syntax: real(*modules) + "changed" * (len(modules) == 1)
    )
    assert experiment.train("bright", dataset, Path("models/plain")) != {}
    assert set(experiment.train("bright", entry, folder)) == {0, 1}


def test_a_loss_that_is_no_number_ends_the_training_unless_the_variant_says_that_it_may(dataset):
    folder = Path("models/bright")
    entry = {**dataset, "seeds": [0], "optimizer": {"SGD": {"learning_rate": 1e30}}}
    with pytest.raises(UserError, match=r"bright, seed 0: the training loss is \S+ after epoch 1: it has diverged"):
        experiment.train("bright", entry, folder)
    assert not (folder / "seed-0").exists() and not (folder / "settings.json").exists()
    assert set(experiment.train("bright", {**entry, "may_diverge": True}, folder)) == {0}
    with pytest.raises(UserError, match="it has diverged"):  # the kept run is no better
        experiment.train("bright", entry, folder)


def test_that_a_variant_may_diverge_trains_nothing_anew(dataset):
    folder = Path("models/bright")
    experiment.train("bright", dataset, folder)
    assert experiment.train("bright", {**dataset, "may_diverge": True}, folder) == {}


def test_kernels_that_this_process_has_not_loaded_are_refused(dataset):
    with pytest.raises(UserError, match="native is asked for, but TensorFlow has been loaded with portable ones"):
        experiment.train("bright", {**dataset, "kernels": "native"}, Path("models/native"))
    assert not Path("models/native").exists()


def test_a_part_written_run_is_not_taken_for_a_whole_one(dataset, monkeypatch):
    folder = Path("models/bright")
    monkeypatch.setattr(Trainer, "probabilities", lambda self, x: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        experiment.train("bright", dataset, folder)
    assert not (folder / "seed-0").exists()
    assert not (folder / "settings.json").exists()


def test_fresh_processes_on_one_core_and_on_two_give_the_same_bytes(dataset, tmp_path):
    program = (
        "import json, os, sys; from pathlib import Path; from replica.common import kernels\n"
        "kernels.use('portable')\n"
        "from replica.training import experiment\n"
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


# Fingerprints

SETTINGS = {**DENSE, "dataset": "bright", "validation": 0.2}
IMAGES = {"train": np.zeros(3), "test": np.zeros(2)}


def mark(hashes="a", images=IMAGES, **other):
    return runs.fingerprint({**SETTINGS, **other}, images, {"train": hashes})


def test_a_fingerprint_changes_with_all_that_decides_bytes():
    base = mark()
    assert mark(images=dict(IMAGES)) == base
    assert len(base) == 64
    assert runs.fingerprint(dict(reversed(SETTINGS.items())), IMAGES, {"train": "a"}) == base
    others = [
        mark(batch_size=33),
        mark(kernels="native"),
        mark(phases=3),
        mark(images={**IMAGES, "train": np.zeros(4)}),
        mark(hashes="b"),
    ]
    assert len({base, *others}) == len(others) + 1


def test_a_setting_that_is_stated_as_null_changes_no_fingerprint():
    declared = parameters.read(ROOT / "params.yaml")
    entry = declared["variants"]["mnist_mlp"]
    more = {**declared, "variants": {"mnist_mlp": {**entry, "loss": None, "loss_weights": None, "phases": None}}}
    two = [runs.fingerprint(parameters.variant(each, "mnist_mlp"), IMAGES, {}) for each in (declared, more)]
    assert two[0] == two[1]


@pytest.mark.parametrize("library", [runs.keras, runs.np, runs.tf])
def test_another_version_of_a_library_changes_it(monkeypatch, library):
    base = mark()
    monkeypatch.setattr(library, "__version__", library.__version__ + "1")
    assert mark() != base


def test_natively_the_kind_of_cpu_changes_it_and_portably_it_does_not(monkeypatch):
    marks = {}
    for flags in (("avx2", "fma"), ("avx2", "fma", "avx512f")):
        cpu = kernels.Cpu("Made up", "Maker", 6, 1, flags, emulated=False)
        monkeypatch.setattr(kernels, "X86_64", True)
        monkeypatch.setattr(kernels, "cpu", lambda cpu=cpu: cpu)
        marks[flags] = mark(), mark(kernels="native")
    (portable, native), (other_portable, other_native) = marks.values()
    assert portable == other_portable
    assert len({portable, native, other_native}) == 3


# Code by its syntax


def module(text: str, file: Path) -> types.ModuleType:
    """A module of this source, not run."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    linecache.checkcache(str(file))
    made = types.ModuleType(file.stem)
    made.__file__ = str(file)
    return made


def seen(of: types.ModuleType, folder: Path, *changes: tuple[str, str]) -> bool:
    """Whether the same source with other words in it is other code."""
    text = inspect.getsource(of)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return runs.syntax(module(text, folder / "changed.py")) != runs.syntax(of)


@pytest.mark.parametrize("of", runs.CODE, ids=lambda of: of.__name__)
def test_layout_comments_docstrings_and_places_are_not_seen(of, tmp_path):
    tree = ast.parse(inspect.getsource(of))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            node.body[0].value.value = "Another."
    text = "# Another.\n" + ast.unparse(tree).replace("\n    ", "  # said\n\n    ", 1)
    text = text.replace("from replica.training", "from replica.elsewhere").replace(
        "from replica.common", "from replica"
    )
    assert text != inspect.getsource(of)
    assert runs.syntax(module(text, tmp_path / "deep" / "other.py")) == runs.syntax(of)


@pytest.mark.parametrize(
    ("of", "before", "after"),
    [
        (trainer, "IMAGES_A_CALL = 4096", "IMAGES_A_CALL = 4097"),
        (trainer, "// size * size", "// size // 1 * size"),
        (trainer, "[self.seed, epoch]", "[epoch, self.seed]"),
        (trainer, "import numpy as np", "import jax.numpy as np"),
        (networks, "1 / 255", "1 / 256"),
        (networks, 'dtype="float32")]', 'dtype="float64")]'),
        (runs, "save_weights", "save"),
        (arrays, "count * (1.0 - share)", "count * (1.0 - share) + 1"),
        (arrays, "data.x_train[:split], data.y_train[:split]", "data.x_train[-split:], data.y_train[-split:]"),
    ],
)
def test_what_is_computed_otherwise_is_seen(of, before, after, tmp_path, monkeypatch):
    assert not seen(of, tmp_path / "same", (before, before))
    assert seen(of, tmp_path, (before, after))
    base = mark()
    changed = module(inspect.getsource(of).replace(before, after), tmp_path / "code.py")
    monkeypatch.setattr(runs, "CODE", [changed if each is of else each for each in runs.CODE])
    assert mark() != base


def test_a_function_that_has_only_words_and_one_that_passes_are_the_same(tmp_path):
    one, two = (module(f"def f():\n    {body}\n", tmp_path / f"{n}.py") for n, body in enumerate(("'Words.'", "pass")))
    assert runs.syntax(one) == runs.syntax(two)
    assert runs.syntax(one) != runs.syntax(one, two)
