"""params.yaml and datasets.yaml checked as a whole, before anything runs; how they are checked decides no result."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from replica.common.arguments import Arguments
from replica.common.errors import UserError
from replica.common.parameters import trial
from replica.common.parameters import variant as merged
from replica.datasets.declaration import Dataset
from replica.schema.layers import LAYERS, REGULARIZERS, Layer, Positive, Shape
from replica.schema.optimizers import LOSSES, OPTIMIZERS, SCHEDULES

UNION_MEMBER = re.compile(r"(constrained-)?(int|float|str|bool)|(list|literal)\[.*\]")
Named = TypeVar("Named", bound=Arguments)
Seeds = Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=1)]
Precision = Literal["auto", "float32", "mixed_bfloat16"]


class Training(Arguments):
    """What every variant takes over unless it says otherwise."""

    precision: Precision
    seeds: Seeds
    train_examples: Positive | None


class Variant(Training):
    """An entry of `variants` over the defaults; what is `Any` here is checked by its name afterwards."""

    dataset: str
    layers: Annotated[list[Any], Field(min_length=1)]
    optimizer: Any
    loss: Any = None
    loss_weights: Annotated[float, Field(gt=0)] | None = None
    batch_size: Positive
    epochs: Positive
    validation: Annotated[float, Field(ge=0, lt=1)] | Literal["test"]


class Distribution(Arguments):
    """A distribution of scipy.stats by its own arguments, and what is done to a draw."""

    round: bool = False
    power_of_ten: bool = False

    def middle(self) -> float:
        """A likely draw, before it is rounded: enough to check that a trial's layers fit."""
        raise NotImplementedError

    def likely(self) -> float:
        value = round(self.middle()) if self.round else self.middle()
        return 10.0**value if self.power_of_ten else value


class Normal(Distribution):
    distribution: Literal["norm"]
    loc: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0

    def middle(self) -> float:
        return self.loc


class Uniform(Normal):
    distribution: Literal["uniform"]  # type: ignore[assignment]

    def middle(self) -> float:
        return self.loc + self.scale / 2


class LogUniform(Distribution):
    distribution: Literal["loguniform"]
    a: Annotated[float, Field(gt=0)]
    b: Annotated[float, Field(gt=0)]

    def middle(self) -> float:
        return math.sqrt(self.a * self.b)


class RandInt(Distribution):
    distribution: Literal["randint"]
    low: int
    high: int

    def middle(self) -> float:
        return (self.low + self.high) // 2


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "loguniform": LogUniform,
    "norm": Normal,
    "randint": RandInt,
    "uniform": Uniform,
}


class Search(Arguments):
    """What a search has beside a variant's keys."""

    trials: Positive
    draw_seed: Annotated[int, Field(ge=0, lt=2**32)]
    space: dict[str, Any]


class Parameters(Arguments):
    """The files' sections; each entry is checked apart, so that one line can name it."""

    datasets: dict[str, Any]
    training: Training
    variants: dict[str, Any]
    searches: dict[str, Any] = Field(default_factory=dict)


def check(parameters: dict[str, Any]) -> None:
    """Check every entry of params.yaml and datasets.yaml.

    Raises
    ------
    UserError
        With a line for each mistake: the entry and key, what was got, what is allowed.
    """
    known_datasets = datasets(parameters)
    each(parameters["variants"], lambda name: check_variant(parameters, name, known_datasets))
    each(parameters.get("searches") or {}, lambda name: check_search(parameters, name, known_datasets))


def datasets(parameters: dict[str, Any]) -> dict[str, Any]:
    """The datasets, checked, and the files' sections.

    Raises
    ------
    UserError
        With a line for each mistake.
    """
    validate(Parameters, parameters, "")
    return {name: validate(Dataset, entry, f"datasets.{name}") for name, entry in parameters["datasets"].items()}


def each(names: Iterable[str], function: Callable[[str], object]) -> None:
    """Call for every name, and raise what failed together."""
    problems = []
    for name in names:
        try:
            function(name)
        except UserError as error:
            problems.append(str(error))
    if problems:
        raise UserError("\n".join(problems))


def check_variant(parameters: dict[str, Any], name: str, declared: Mapping[str, Any]) -> list[tuple[str, Layer, Shape]]:
    """Check one variant; returns its layers by name, each with the shape that goes into it.

    Raises
    ------
    UserError
        With a line that names the variant, the key, what was got and what is allowed.
    """
    where = f"variants.{name}"
    entry = parameters["variants"][name]
    if not isinstance(entry, dict):
        raise UserError(f"{where}: got {entry!r}; allowed: a mapping with {', '.join(Variant.model_fields)}")
    if not isinstance(entry.get("hyperparameters", {}), dict):
        raise UserError(f"{where}.hyperparameters: got {entry['hyperparameters']!r}; allowed: names with their values")
    return check_entry(merged(parameters, name), where, declared)


def check_search(parameters: dict[str, Any], name: str, declared: Mapping[str, Any]) -> None:
    """Check one search: its space, and a trial as a variant.

    Raises
    ------
    UserError
        With a line that names the search, the key, what was got and what is allowed.
    """
    where, entry = f"searches.{name}", parameters["searches"][name]
    if not isinstance(entry, dict):
        raise UserError(
            f"{where}: got {entry!r}; allowed: a mapping with {', '.join(Search.model_fields)} and a variant's"
        )
    own = validate(Search, {key: entry[key] for key in Search.model_fields if key in entry}, where)
    drawn = {key: likely(choices, f"{where}.space.{key}") for key, choices in own.space.items()}
    check_entry(trial(parameters, name, drawn), where, declared)


def likely(choices: Any, where: str) -> Any:
    """A likely draw of a list to choose from, or of a distribution, once it has been checked."""
    if isinstance(choices, list) and choices:
        return choices[0]
    if not isinstance(choices, dict):
        raise UserError(f"{where}: got {choices!r}; allowed: a list to choose from, or a distribution")
    known(f"{where}.distribution", choices.get("distribution"), DISTRIBUTIONS, "distribution")
    return validate(DISTRIBUTIONS[choices["distribution"]], choices, where).likely()


def check_entry(entry: dict[str, Any], where: str, declared: Mapping[str, Any]) -> list[tuple[str, Layer, Shape]]:
    """Check a variant or trial whose references have been replaced."""
    variant = validate(Variant, entry, where)
    known(where + ".dataset", variant.dataset, declared, "dataset")
    one(OPTIMIZERS, variant.optimizer, f"{where}.optimizer", "optimizer")
    if variant.loss is not None:
        one(LOSSES, variant.loss, f"{where}.loss", "loss")
    dataset = declared[variant.dataset]
    if variant.train_examples is not None and variant.train_examples > dataset.train_examples:
        raise UserError(
            f"{where}.train_examples: got {variant.train_examples}; {variant.dataset} has {dataset.train_examples}"
        )
    stack = []
    shape: Shape = tuple(dataset.shape)
    for index, value in enumerate(variant.layers):
        place = f"{where}.layers.{index}"
        kind, layer = one(LAYERS, value, place, "layer")
        if layer.ranks and len(shape) not in layer.ranks:
            raise UserError(f"{place}.{kind}: got an input of shape {shape}; allowed: (height, width, channels)")
        try:
            output = layer.output(shape)
        except ValueError as error:
            raise UserError(f"{place}.{kind}: {error}") from None
        stack.append((kind, layer, shape))
        shape = output
    classes = len(dataset.classes)
    if shape != (classes,) and not (shape == (1,) and classes == 2):
        raise UserError(f"{where}.layers: the last one gives {shape}; {variant.dataset} needs ({classes},)")
    return stack


def one(kinds: Mapping[str, type[Named]], value: Any, where: str, noun: str) -> tuple[str, Named]:
    """The name and checked arguments of `Name` or `{Name: arguments}`, one of `kinds`."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise UserError(f"{where}: got {value!r}; allowed: one {noun}'s name, with its arguments below it")
    name, arguments = next(iter(value.items()))
    known(where, name, kinds, noun)
    built = validate(kinds[name], arguments or {}, f"{where}.{name}")
    for key, argument in built:
        if key.endswith("_regularizer") and argument is not None:
            one(REGULARIZERS, argument, f"{where}.{name}.{key}", "regularizer")
    rate = getattr(built, "learning_rate", None)
    if isinstance(rate, dict):
        one(SCHEDULES, rate, f"{where}.{name}.learning_rate", "schedule")
    elif rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or rate <= 0):
        allowed = f"a number above 0, or one of {', '.join(SCHEDULES)}"
        raise UserError(f"{where}.{name}.learning_rate: got {rate!r}; allowed: {allowed}")
    return name, built


def known(where: str, name: Any, names: Iterable[str], noun: str) -> None:
    """Refuse a name that is not among the known ones, with the nearest and the list."""
    if name not in (names := list(names)):
        near = get_close_matches(str(name), names, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"{where}: got {name!r}, no {noun} of that name; {hint}allowed: {', '.join(names)}")


def validate(model: Any, value: Any, where: str) -> Any:
    """Pydantic's check, its errors as lines in the project's style."""
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        raise UserError("\n".join(dict.fromkeys(lines(error, model, where)))) from None


def lines(error: ValidationError, model: Any, where: str) -> Iterable[str]:
    """One line a key that is wrong; what a union's members each say of one key is joined."""
    wrong: dict[str, tuple[str, list[str]]] = {}
    misspelt = any(problem["type"] == "extra_forbidden" for problem in error.errors())
    for problem in error.errors():
        keys = [str(key) for key in problem["loc"]]
        if len(keys) > 1 and UNION_MEMBER.fullmatch(keys[-1]):
            keys.pop()
        place = ".".join([where, *keys] if where else keys) or "params.yaml"
        if problem["type"] == "extra_forbidden":
            fields = list(getattr(model, "model_fields", {}))
            near = get_close_matches(keys[-1], fields, 1)
            hint = f"did you mean {near[0]}? " if near else ""
            yield f"{place}: unknown key; {hint}allowed: {', '.join(fields)}"
        elif problem["type"] == "missing":
            if not misspelt:
                yield f"{place}: missing"
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            wrong.setdefault(place, (short(problem["input"]), []))[1].append(message)
    for place, (got, messages) in wrong.items():
        yield f"{place}: got {got}; {' or '.join(dict.fromkeys(messages))}"


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "…"
