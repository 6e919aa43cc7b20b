"""How an entry of params.yaml settles: to what it was before networks had their own section, and by which rules."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from replica.common import parameters
from replica.common.errors import UserError
from replica.search import draws

PARAMETERS = parameters.read(ROOT / "params.yaml")
BEFORE = json.loads((ROOT / "tests/common/settled.json").read_text())
IMAGES = {"mnist": 60_000, "cifar10": 50_000, "mnist_5k": 4000, "photos10": 2000, "spiral": 250}
SIGNATURES = """
import inspect, json
from replica.training.backend import keras
told = {}
for name in %s:
    arguments = inspect.signature(getattr(keras.optimizers, name)).parameters
    told[name] = {key: argument.default for key, argument in arguments.items() if key != "kwargs"}
print(json.dumps(told))
"""


# The table


@pytest.fixture(scope="module")
def defaults() -> dict[str, dict[str, Any]]:
    """What Keras's optimizers do where nothing is said, by their names."""
    entries = [*BEFORE["variants"].values(), *(trial for trials in BEFORE["searches"].values() for trial in trials)]
    names = sorted({next(iter(objects(entry["optimizer"]))) for entry in entries})
    done = subprocess.run(
        [sys.executable, "-c", SIGNATURES % names], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def objects(value: Any) -> Any:
    """Every `Name` inside as `{Name: {}}`."""
    if isinstance(value, dict):
        return {key: objects(item) for key, item in value.items()}
    if isinstance(value, list):
        return [objects(item) for item in value]
    return {value: {}} if isinstance(value, str) and value[:1].isupper() else value


def meant(entry: dict[str, Any], defaults: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What a settled entry, of then or of now, asks of Keras: nothing left to a default, the machine code apart."""
    said = {key: objects(value) for key, value in entry.items() if value is not None}
    ((optimizer, arguments),) = said["optimizer"].items()
    said["optimizer"] = {optimizer: {**defaults[optimizer], **arguments}}
    said.setdefault("train_examples", IMAGES[said["dataset"]])
    return {key: value for key, value in said.items() if key not in ("precision", "kernels")}


def test_the_table_s_entries_are_all_there():
    assert len(BEFORE["variants"]) == 42 and BEFORE["variants"].keys() <= PARAMETERS["variants"].keys()
    assert {name: len(trials) for name, trials in BEFORE["searches"].items()} == {"mnist_random_search": 10}


@pytest.mark.parametrize("name", BEFORE["variants"])
def test_a_variant_settles_to_what_it_was(name, defaults):
    now, then = (meant(entry, defaults) for entry in (parameters.variant(PARAMETERS, name), BEFORE["variants"][name]))
    assert set(then.pop("seeds")) <= set(now.pop("seeds"))  # more have been trained since
    assert now == then


@pytest.mark.parametrize("name", BEFORE["searches"])
def test_a_trial_settles_to_what_it_was(name, defaults):
    drawn = draws.trials(PARAMETERS["searches"][name])
    now = [meant(parameters.trial(PARAMETERS, name, values), defaults) for values in drawn]
    assert now == [meant(trial, defaults) for trial in BEFORE["searches"][name]]


# The rules

NETWORK = {
    "optimizer": {"SGD": {"learning_rate": "$learning_rate"}},
    "L2": {"l2": "$l2"},
    "Dense": {"activation": "relu", "kernel_regularizer": "L2"},
    "layers": {
        "0": "Flatten",
        "1": {"Dense": {"units": "$units"}},
        "2": {"Dense": {"units": 3, "activation": "softmax"}},
    },
}
ENTRY = {
    "data": {"dataset": "bright", "train_examples": 9, "validation": "test"},
    "network": "small", "epochs": 2, "batch_size": 4, "seeds": 2, "learning_rate": 0.5, "l2": 0.25, "units": 7,
}  # fmt: skip


def settled(network: dict[str, Any] | None = None, **entry: Any) -> dict[str, Any]:
    """The variant `one`, which says this over `ENTRY`, its network this over `NETWORK`."""
    declared = {
        "training": {"kernels": "portable"},
        "networks": {"small": {**NETWORK, **(network or {})}},
        "variants": {"one": {**ENTRY, **entry}},
    }
    before = copy.deepcopy(declared)
    found = parameters.variant(declared, "one")
    assert declared == before
    return found


def dense(units: int, activation: str = "relu", **regularizer: Any) -> dict[str, Any]:
    arguments = {"activation": activation, "kernel_regularizer": regularizer or {"L2": {"l2": 0.25}}, "units": units}
    return {"Dense": arguments}


def test_an_entry_over_its_network_over_the_defaults():
    assert settled() == {
        "kernels": "portable",
        "dataset": "bright",
        "train_examples": 9,
        "validation": "test",
        "layers": [{"Flatten": {}}, dense(7), dense(3, "softmax")],
        "optimizer": {"SGD": {"learning_rate": 0.5}},
        "epochs": 2,
        "batch_size": 4,
        "seeds": [0, 1],
    }
    assert settled(kernels="native")["kernels"] == "native"


def test_what_is_none_is_as_if_it_were_not_stated():
    assert settled(loss=None, phases=None, layers=None, optimizer=None) == settled()
    assert "train_examples" not in settled(data={**ENTRY["data"], "train_examples": None})


def test_of_one_name_arguments_are_joined_and_the_entry_s_win():
    assert settled(layers={"1": {"Dense": {"units": 5}}})["layers"][1] == dense(5)
    assert settled(layers={"1": {"Dense": {"name": "first"}}})["layers"][1]["Dense"]["units"] == 7
    assert settled(optimizer={"SGD": {"momentum": 0.9}})["optimizer"] == {
        "SGD": {"learning_rate": 0.5, "momentum": 0.9}
    }


@pytest.mark.parametrize("other", ["Adam", {"Adam": None}, {"Adam": {}}])
def test_another_name_replaces_all(other):
    assert settled(optimizer=other)["optimizer"] == {"Adam": {}}
    other = settled(layers={"1": {"Conv2D": {"filters": 2}}})["layers"]
    assert other == [{"Flatten": {}}, {"Conv2D": {"filters": 2}}, dense(3, "softmax")]


def test_a_layer_more_stands_where_its_number_says():
    found = settled(layers={"10": "Flatten", "9": {"Dropout": {"rate": 0.5}}})["layers"]
    assert [next(iter(layer)) for layer in found] == ["Flatten", "Dense", "Dense", "Dropout", "Flatten"]


def test_what_all_of_a_name_say_is_the_entry_s_over_the_network_s_and_under_the_layer_s_own():
    assert settled(Dense={"activation": "tanh"})["layers"] == [{"Flatten": {}}, dense(7, "tanh"), dense(3, "softmax")]
    assert settled(Dense={"units": 5})["layers"] == settled()["layers"]
    assert settled(Flatten={"name": "flat"})["layers"][0] == {"Flatten": {"name": "flat"}}


def test_what_all_of_a_name_say_reaches_what_stands_inside_a_layer_or_an_optimizer():
    assert settled(L2={"l2": 0.5})["layers"][1] == dense(7, L2={"l2": 0.5})
    own = {"1": {"Dense": {"kernel_regularizer": {"L2": {"l2": 0.125}}}}}
    assert settled(layers=own)["layers"][1:] == [dense(7, L2={"l2": 0.125}), dense(3, "softmax")]
    assert settled(layers={"1": {"Dense": {"kernel_regularizer": "L1"}}}, L1={"l1": 1})["layers"][1] == dense(
        7, L1={"l1": 1}
    )
    decay = {"initial_learning_rate": "$learning_rate", "decay_steps": 8}
    network = {"optimizer": {"SGD": {"learning_rate": "CosineDecay"}}, "CosineDecay": decay, "SGD": {"nesterov": True}}
    assert settled(network)["optimizer"] == {
        "SGD": {"nesterov": True, "learning_rate": {"CosineDecay": {"initial_learning_rate": 0.5, "decay_steps": 8}}}
    }


def test_a_loss_may_be_the_network_s_or_the_entry_s_own():
    smooth = {"loss": "CategoricalCrossentropy", "CategoricalCrossentropy": {"label_smoothing": "$smoothing"}}
    assert settled(smooth, smoothing=0.1)["loss"] == {"CategoricalCrossentropy": {"label_smoothing": 0.1}}
    assert settled(smooth, smoothing=0.1, loss="MeanSquaredError")["loss"] == {"MeanSquaredError": {}}


def test_a_name_that_is_asked_for_and_not_stated_is_one_line():
    declared = {"training": {}, "networks": {"small": NETWORK}, "variants": {"one": dict(ENTRY)}}
    del declared["variants"]["one"]["units"]
    with pytest.raises(UserError) as refused:
        parameters.variant(declared, "one")
    assert str(refused.value) == "variants.one.units: missing; networks.small.layers.1.Dense.units asks for it"


def test_what_is_not_there_is_one_line_that_lists_what_is():
    with pytest.raises(UserError, match=r"^variants: no 'two'; there are one$"):
        parameters.variant({"variants": {"one": {}}}, "two")
    with pytest.raises(UserError, match=r"^networks: no 'small'; there are none$"):
        parameters.variant({"variants": {"one": ENTRY}, "networks": None}, "one")


NAMES = st.sampled_from(["Dense", "Dropout", "L2"])
ARGUMENTS = st.dictionaries(st.sampled_from(["units", "rate", "l2"]), st.integers() | NAMES, max_size=3)
OBJECTS = NAMES | st.builds(lambda name, arguments: {name: arguments}, NAMES, ARGUMENTS)


@given(OBJECTS, OBJECTS)
def test_joining_keeps_every_argument_of_one_name_and_none_of_another(usual, own):
    (name, arguments), (own_name, own_arguments) = (next(iter(parameters.named(one).items())) for one in (usual, own))
    ((found, joined),) = parameters.joined(usual, own).items()
    assert found == own_name
    assert set(joined) == set(own_arguments) | (set(arguments) if name == own_name else set())
    assert parameters.filled({found: joined}, {}) == parameters.filled({found: {**joined, **own_arguments}}, {})
    assert parameters.joined(usual, None) == parameters.named(usual)
    assert parameters.joined(None, own) == parameters.named(own)


@given(OBJECTS, st.dictionaries(NAMES, ARGUMENTS))
def test_filling_leaves_no_name_alone_and_overrules_no_argument(value, usual):
    ((name, arguments),) = parameters.filled(value, usual).items()
    stated = parameters.named(value)[name]
    assert set(arguments) == set(stated) | set(usual.get(name, {}))
    for key, argument in stated.items():
        assert argument == arguments[key] or argument == next(iter(arguments[key]))


# Reading


def test_numbers_are_read_as_dvc_writes_them(tmp_path):
    file = tmp_path / "params.yaml"
    file.write_text("a: 1e-05\nb: 1E3\nc: 0.5\nd: 3\ne: e-5\nf: 2.5e-3\n")
    assert parameters.read(file) == {"a": 1e-5, "b": 1e3, "c": 0.5, "d": 3, "e": "e-5", "f": 2.5e-3}


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"params.yaml: no such file; run from the project's root$"):
        parameters.read(tmp_path / "params.yaml")
    with (tmp_path / "params.yaml").open("wb") as file:
        file.truncate(10**12)  # of which nothing is read
    with pytest.raises(UserError, match=r"params.yaml: 1,000,000,000,000 bytes; allowed: 2,000,000 characters$"):
        parameters.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2\n")
    with pytest.raises(UserError, match=r"params.yaml: not YAML: .*line 2") as refused:
        parameters.read(tmp_path / "params.yaml")
    assert "\n" not in str(refused.value)
