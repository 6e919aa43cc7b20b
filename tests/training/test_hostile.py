"""An architecture file that would run something: Keras refuses it, and nothing runs."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras.src.saving.serialization_lib import SafeModeScope

from replica.training import runs
from replica.training.backend import keras

RAN = "ran"  # what a hostile layer would make, in the working folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder with the weights of a small network and its architecture."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "models/X/seed-1"
    folder.mkdir(parents=True)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.save_weights(folder / "model.weights.h5")
    (folder / "architecture.json").write_text(model.to_json())
    return folder


def function(module: str, name: str) -> dict[str, Any]:
    """A function as Keras writes one into an architecture."""
    return {"module": module, "class_name": "function", "config": name, "registered_name": "function"}


def activation(of: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda network: network["config"]["layers"][-1]["config"].update(activation=of)


def layer(of: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda network: network["config"]["layers"].append(of)


def code() -> dict[str, Any]:
    """A layer of marshalled Python."""
    made = keras.layers.Lambda(lambda x: (__import__("pathlib").Path("ran").touch(), x)[1], output_shape=(2,))
    return keras.saving.serialize_keras_object(made)


HOSTILE = {
    "code": lambda: layer(code()),
    "a shell": lambda: activation(function("os", "system")),
    "a builtin": lambda: activation(function("builtins", "exec")),
    "a download": lambda: activation(function("keras.utils", "get_file")),
    "the switch": lambda: layer(function("keras.config", "enable_unsafe_deserialization")),
    "a process": lambda: layer({"module": "subprocess", "class_name": "Popen", "config": {"args": ["touch", RAN]}}),
    "a call": lambda: layer({"module": "os", "class_name": "system", "config": {"command": f"touch {RAN}"}}),
}


def spoil(run: Path, how: Callable[[dict[str, Any]], None]) -> None:
    network = copy.deepcopy(json.loads((run / "architecture.json").read_text()))
    how(network)
    (run / "architecture.json").write_text(json.dumps(network))


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_architecture_is_refused_and_nothing_runs(kind, run):
    assert runs.load(run).count_params() == 10
    spoil(run, HOSTILE[kind]())
    with pytest.raises((TypeError, ValueError)):
        runs.load(run)
    assert not Path(RAN).exists()


def test_without_keras_safe_mode_the_code_would_run(run):
    spoil(run, HOSTILE["code"]())
    with SafeModeScope(False):
        model = runs.load(run)
    model(np.zeros((1, 4), np.float32))
    assert Path(RAN).exists()
