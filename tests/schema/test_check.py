"""params.yaml and datasets.yaml: what is declared, and how a mistake in it is refused."""

import copy
import io
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from replica.commands import overview
from replica.common import parameters
from replica.common.errors import UserError
from replica.schema import check

# The documents' trainable parameters, counted by hand from their networks.
PARAMS_TOTAL = {
    "mnist_cnn": 258090,
    "cifar10_model2": 122570,
    "cifar10_model3": 141898,
    "cifar10_model4": 237450,
    "cifar10_model5": 139034,
    "cifar10_strided_5k": 37146,
    "cifar10_strided_10k": 37146,
    "cifar10_strided_20k": 37146,
    "cifar10_strided_40k": 37146,
    "cifar10_l1_0": 37146,
    "cifar10_l1_1e-5": 37146,
    "cifar10_l1_1e-3": 37146,
    "cifar10_l1_1e-2": 37146,
    "cifar10_maxpool_5k": 37146,
    "cifar10_deep_5k": 23314,
    "cifar10_deep_50k": 23314,
    "cifar10_deep_50k_long": 23314,
    "mnist_mlp": 55050,
    "mnist_l2_1e-6": 391010,
    "mnist_l2_1e-5": 391010,
    "mnist_l2_1e-4": 391010,
    "mnist_l2_5e-4": 391010,
    "mnist_l2_1e-3": 391010,
    "mnist_conv_adam": 54410,
    "mnist_sgd": 542230,
    "mnist_sgd_lr_1": 542230,
    "mnist_sgd_lr_1e-5": 542230,
    "mnist_sgd_momentum": 542230,
    "mnist_sgd_two_conv": 179926,
    "mnist_linear": 203530,
    "mnist_relu": 203530,
    "mnist_adadelta": 1199882,
    "mnist_adadelta_dropout": 1199882,
    "cifar10_four_conv": 443882,
}


@pytest.fixture(scope="module")
def declared():
    return parameters.declared(ROOT)


def test_the_documents_variants_are_declared_with_their_exact_parameters(declared):
    datasets = check.datasets(declared)
    assert len(PARAMS_TOTAL) == 34
    for name, expected in PARAMS_TOTAL.items():
        assert overview.total(check.check_variant(declared, name, datasets)) == expected, name


def test_params_yaml_is_valid_and_in_the_form_dvc_writes(declared):
    check.check(declared)
    text = (ROOT / "params.yaml").read_text()
    yaml, again = YAML(), io.StringIO()
    yaml.dump(yaml.load(text), again)
    assert again.getvalue() == text
    assert not re.search(r"[&*]id\d", text)  # anchors would be written out at the first override


def test_numbers_are_read_as_dvc_writes_them(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: 1e-05\nb: 1E3\nc: 0.5\nd: 3\ne: e-5\nf: 2.5e-3\n")
    assert parameters.read(file) == {"a": 1e-5, "b": 1e3, "c": 0.5, "d": 3, "e": "e-5", "f": 2.5e-3}


# key path under variants.mnist_mlp, its wrong value, and words the line must hold
MISTAKES = [
    (("epochs",), -1, ["variants.mnist_mlp.epochs", "got -1", "greater than 0"]),
    (("epochs",), "ten", ["variants.mnist_mlp.epochs", "'ten'", "integer"]),
    (("epoch",), 3, ["variants.mnist_mlp.epoch:", "did you mean epochs?", "batch_size"]),
    (("dataset",), "minst", ["variants.mnist_mlp.dataset", "'minst'", "did you mean mnist?", "cifar10"]),
    (("optimizer",), "Adamm", ["variants.mnist_mlp.optimizer", "did you mean Adam?", "RMSprop"]),
    (("optimizer",), {"SGD": {"learningrate": 0.1}}, ["optimizer.SGD.learningrate", "did you mean learning_rate?"]),
    (("optimizer",), {"SGD": {"learning_rate": "high"}}, ["optimizer.SGD.learning_rate", "'high'", "CosineDecay"]),
    (("optimizer",), {"SGD": {"learning_rate": {"CosDecay": {}}}}, ["learning_rate", "did you mean CosineDecay?"]),
    (("optimizer",), {"SGD": {"momentum": 1.5}}, ["optimizer.SGD.momentum", "got 1.5", "less than 1"]),
    (("layers", 1), {"Dens": {"units": 3}}, ["variants.mnist_mlp.layers.1", "'Dens'", "did you mean Dense?", "Conv2D"]),
    (("layers", 1), {"Dense": {"unit": 3}}, ["layers.1.Dense.unit:", "did you mean units?"]),
    (("layers", 1), {"Dense": {"units": 2.5}}, ["layers.1.Dense.units", "got 2.5", "integer"]),
    (("layers", 1), {"Dense": {}}, ["layers.1.Dense.units", "missing"]),
    (("layers", 1), {"Dense": {"units": 3, "activation": "rel"}}, ["layers.1.Dense.activation", "'rel'", "'relu'"]),
    (("layers", 1), {"Conv2D": {"filters": 3, "kernel_size": 3}}, ["layers.1.Conv2D", "shape (784,)"]),
    (("layers", 0), {"Conv2D": {"filters": 3, "kernel_size": 40}}, ["layers.0.Conv2D", "40", "28 pixels"]),
    (("layers", 3), {"Dense": {"units": 7}}, ["variants.mnist_mlp.layers", "(7,)", "(10,)"]),
    (("layers", 1), {"Dense": {"units": "$width"}}, ["layers.1.Dense.units", "$width", "hyperparameters"]),
    (("layers", 1), {"Dense": {"units": 3, "kernel_regularizer": {"L3": {}}}}, ["kernel_regularizer", "'L3'", "L1L2"]),
    (("validation",), 1.5, ["variants.mnist_mlp.validation", "got 1.5", "'test'"]),
    (("train_examples",), 70000, ["variants.mnist_mlp.train_examples", "70000", "60000"]),
    (("precision",), "float16", ["variants.mnist_mlp.precision", "'float16'", "mixed_bfloat16"]),
    (("seeds",), [0, -1], ["variants.mnist_mlp.seeds.1", "got -1"]),
    (("batch_size",), 0, ["variants.mnist_mlp.batch_size", "got 0"]),
    (("loss",), "Hinge", ["variants.mnist_mlp.loss", "'Hinge'", "CategoricalCrossentropy"]),
]


@pytest.mark.parametrize(("path", "value", "words"), MISTAKES)
def test_a_mistake_is_one_line_that_names_it(declared, path, value, words):
    wrong = copy.deepcopy(declared)
    place = wrong["variants"]["mnist_mlp"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(UserError) as refused:
        check.check(wrong)
    line = str(refused.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_mistakes_in_two_entries_are_two_lines(declared):
    wrong = copy.deepcopy(declared)
    wrong["variants"]["mnist_mlp"]["epochs"] = 0
    wrong["variants"]["mnist_cnn"]["epochs"] = 0
    with pytest.raises(UserError) as refused:
        check.check(wrong)
    assert len(str(refused.value).splitlines()) == 2


def test_the_command_refuses_without_a_traceback(tmp_path):
    text = (
        (ROOT / "params.yaml")
        .read_text()
        .replace("  mnist_mlp:\n    dataset: mnist\n", "  mnist_mlp:\n    dataset: m\n")
    )
    (tmp_path / "params.yaml").write_text(text)
    shutil.copy(ROOT / "datasets.yaml", tmp_path)
    got = subprocess.run(
        [sys.executable, "-m", "replica", "check"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert got.returncode == 1
    assert got.stderr.startswith("error: variants.mnist_mlp.dataset: got 'm'")
    assert len(got.stderr.splitlines()) == 1
    assert got.stdout == ""
