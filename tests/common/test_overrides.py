"""params.yaml stands in the form that DVC writes, so that an override changes one line of it, whichever it is."""

from __future__ import annotations

import difflib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import modify_yaml
from dvc.utils.serialize._yaml import _dump, parse_yaml_for_update

from replica.common import parameters
from replica.schema.layers import REGULARIZERS, Activation, Initializer, Padding

TEXT = (ROOT / "params.yaml").read_text()
ENTRIES = [
    (section, name)
    for section, entries in parameters.read(ROOT / "params.yaml").items()
    if section in ("networks", "variants", "searches")
    for name in entries
]
# What else a key may say, the longest included; of any other key, see `others`.
VALUES: dict[str, list[Any]] = {
    "activation": [*get_args(Activation), "$activation"],
    "dataset": ["d", "a_name_of_some_size"],
    "distribution": ["norm", "loguniform"],
    "kernel_regularizer": list(REGULARIZERS),
    "kernel_initializer": list(get_args(Initializer)),
    "learning_rate": [1, 0.00012345, "$rate", "PiecewiseConstantDecay"],
    "momentum": [0, 0.999, "$momentum"],
    "network": ["n", "a_name_of_thirty_letters_or_so"],
    "padding": list(get_args(Padding)),
    "train_examples": [1, 1_000_000],
    "units": [1, 100_000, "$units"],
    "validation": [0, 0.3333, "test"],
}


def others(key: str, value: Any) -> list[Any]:
    """Typical other values of a key, short and long ones."""
    if key in VALUES:
        return VALUES[key]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, list):
        return [[*value[:-1], 1]]
    if isinstance(value, int | float):
        return [1, 0.5, 1e-05, 1_000_000]
    return ["$knob", "BatchNormalization", "SparseCategoricalCrossentropy"]


def leaves(inside: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where each value stands: the mapping and its key."""
    for key, value in inside.items():
        if isinstance(value, dict):
            yield from leaves(value)
        else:
            yield inside, key


def written(content: Any) -> list[str]:
    """The lines that DVC writes."""
    stream = io.StringIO()
    _dump(content, stream)
    return stream.getvalue().splitlines()


def differing(before: list[str], after: list[str]) -> list[str]:
    return [line for line in difflib.ndiff(before, after) if line[:2] in ("- ", "+ ")]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path / "params.yaml"


def test_written_by_dvc_it_is_the_same_to_the_byte(file):
    with modify_yaml(file):
        pass
    assert file.read_text() == TEXT


@pytest.fixture(scope="module")
def loaded() -> Any:
    return parse_yaml_for_update(TEXT, "params.yaml")


@pytest.mark.parametrize(("section", "name"), ENTRIES)
def test_another_value_of_any_key_changes_its_line_alone(loaded, section, name):
    mappings = type(loaded)
    alone = mappings({section: mappings({name: loaded[section][name]})})  # its lines depend on no other entry's
    before = written(alone)
    assert "\n".join(before[1:]) in TEXT
    tried = 0
    for mapping, key in list(leaves(alone)):
        value = mapping[key]
        for other in others(key, value):
            if other != value:
                mapping[key], tried = other, tried + 1
                after = written(alone)
                lines = sum(one != another for one, another in zip(before, after, strict=False))
                assert (len(after), lines) == (len(before), 1), (key, other, differing(before, after))
        mapping[key] = value
    assert tried > 10


@pytest.mark.parametrize(
    ("override", "lines"),
    [
        ("training.kernels=native", ["-   kernels: portable", "+   kernels: native"]),
        ("variants.mnist_mlp.epochs=3", ["-     epochs: 10", "+     epochs: 3"]),
        ("variants.mnist_mlp.batch_size=64", ["-     batch_size: 128", "+     batch_size: 64"]),
        ("variants.mnist_mlp.learning_rate=1e-05", ["-     learning_rate: 0.1", "+     learning_rate: 1e-05"]),
        ("variants.mnist_mlp.seeds=7", ["-     seeds: 5", "+     seeds: 7"]),
        ("variants.cifar10_l1_0.dropout=0.25", ["-     dropout: 0.5", "+     dropout: 0.25"]),
        (
            "variants.mnist_mlp.data.train_examples=100",
            [
                "-     data: {dataset: mnist, train_examples: 60000, validation: test}",
                "+     data: {dataset: mnist, train_examples: 100, validation: test}",
            ],
        ),
        (
            "networks.strided.layers.0.Conv2D.filters=32",
            ["-       '0': {Conv2D: {filters: 16}}", "+       '0': {Conv2D: {filters: 32}}"],
        ),
        ("~networks.strided.layers.4", ["-       '4': {Dropout: {rate: $dropout}}"]),
        ("+variants.mnist_mlp.phases=2", ["+     phases: 2"]),
        ("searches.mnist_random_search.trials=3", ["-     trials: 10", "+     trials: 3"]),
    ],
)
def test_set_param_changes_one_line(file, override, lines):
    apply_overrides(file, [override])
    changed = differing(TEXT.splitlines(), file.read_text().splitlines())
    assert [line.rstrip() for line in changed] == lines
