"""What the check accepts, trains: entries drawn from the schema itself, each built and trained two steps."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st

from replica.common import parameters
from replica.common.errors import UserError
from replica.schema import check
from replica.schema.layers import LAYERS, REGULARIZERS
from replica.schema.optimizers import LOSSES, OPTIMIZERS, SCHEDULES
from replica.training.trainer import Trainer

SHAPE, IMAGES = (6, 5, 3), 8
HEADS = (None, 1, 2, 3)  # units of a dense layer in the end; one is for two classes, none for three


def of_schema(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of a JSON schema that pydantic made: small, and the ends of what is allowed."""
    if "anyOf" in schema:
        return st.one_of(*map(of_schema, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema.get("type"):
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
            return st.integers(least, least + 3) | st.just(schema.get("maximum", least))
        case "number":
            least, most = schema.get("minimum"), schema.get("exclusiveMaximum", schema.get("maximum"))
            above = schema.get("exclusiveMinimum")
            found = [0.5, 0.001]
            found += [least] if least is not None else [] if above is not None else [-1.5]
            found += [0.999] if most is not None else [1, 2.5]
            return st.sampled_from(found)
        case "array":
            size = schema.get("minItems", 1)
            return st.lists(of_schema(schema["items"]), min_size=size, max_size=schema.get("maxItems", size + 1))
    raise AssertionError(schema)


def one_of(kinds: dict[str, Any], **named: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """`{Name: arguments}`: what is required, and some of the rest; `named` says what an argument of any type may be."""

    def of(name: str) -> st.SearchStrategy[Any]:
        schema = kinds[name].model_json_schema()
        required, optional = {}, {}
        for key, value in schema.get("properties", {}).items():
            meant = next((choices for end, choices in named.items() if key.endswith(end)), None)
            (required if key in schema.get("required", ()) else optional)[key] = (
                meant if meant is not None else of_schema(value)
            )
        return st.fixed_dictionaries(required, optional=optional).map(lambda arguments: {name: arguments})

    return st.sampled_from(sorted(kinds)).flatmap(of)


layers = st.lists(one_of(LAYERS, _regularizer=st.none() | one_of(REGULARIZERS)), max_size=4)
optimizers = one_of(OPTIMIZERS, learning_rate=st.sampled_from([0.01, 1, 1e-5, None]) | one_of(SCHEDULES))
entries = st.fixed_dictionaries(
    {"layers": layers, "optimizer": optimizers, "batch_size": st.sampled_from([1, 4, 100])},
    optional={"loss": one_of(LOSSES), "loss_weights": st.sampled_from([1, 0.5]), "learning_rate": st.just(0.1)},
)


def declared(entry: dict[str, Any], head: int | None) -> dict[str, Any]:
    stack = [*entry["layers"], *(["Flatten", {"Dense": {"units": head}}] if head else [])]
    variant = {
        **{key: value for key, value in entry.items() if key != "learning_rate"},
        "data": {"dataset": "made", "validation": 0.25}, "network": "empty", "epochs": 1, "seeds": 1,
        "layers": {str(place): layer for place, layer in enumerate(stack)},
    }  # fmt: skip
    return {
        "datasets": {"made": {"kind": "package", "package": "none"}}, "training": {"kernels": "portable"},
        "networks": {"empty": {"layers": {}}}, "variants": {"drawn": variant},
    }  # fmt: skip


def train(entry: dict[str, Any], head: int | None) -> None:
    stated, classes = declared(entry, head), {1: 2, None: 3}.get(head, head)
    note(str(stated["variants"]["drawn"]))
    known = SimpleNamespace(shape=SHAPE, classes=["a", "b", "c"][:classes], train_examples=IMAGES)
    try:
        check.check_variant(stated, "drawn", {"made": known})
    except UserError:
        assume(False)
    x = np.random.default_rng(0).integers(0, 256, (IMAGES, *SHAPE), np.uint8)
    y = np.arange(IMAGES, dtype=np.uint8) % classes
    trainer = Trainer(parameters.variant(stated, "drawn"), x, y, classes, 0)
    for rows in trainer.fit({"validation": (x[:2], y[:2])}):
        assert len(rows) == 4
    assert trainer.probabilities(x).shape == (IMAGES, classes)


QUIET = (HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large)


@settings(deadline=None, max_examples=10, derandomize=True, suppress_health_check=QUIET)
@given(entries, st.sampled_from(HEADS[1:]))
def test_what_the_check_accepts_trains(entry, head):
    train(entry, head)


@pytest.mark.long
@pytest.mark.timeout(7200)
@settings(
    deadline=None, max_examples=int(os.environ.get("EXAMPLES", "2000")), derandomize="EXAMPLES" in os.environ,
    suppress_health_check=QUIET,
)  # fmt: skip
@given(entries, st.sampled_from(HEADS))
def test_what_the_check_accepts_trains_2000_times(entry, head):
    train(entry, head)
