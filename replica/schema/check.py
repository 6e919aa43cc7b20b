"""params.yaml and datasets.yaml checked as a whole, before anything runs; how they are checked decides no result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import Field, TypeAdapter, ValidationError

from replica.common.arguments import Arguments
from replica.common.errors import UserError, listed, nearest
from replica.common.parameters import entry_of, trial, variant
from replica.common.parameters import stated as stated_as
from replica.datasets.declaration import Dataset
from replica.schema import values
from replica.schema.entries import DISTRIBUTIONS, Entry, Network, Search, Training, Variant, drawing
from replica.schema.knobs import references, sources
from replica.schema.layers import LAYERS, REGULARIZERS, Layer, Shape
from replica.schema.optimizers import LOSSES, OPTIMIZERS, SCHEDULES

UNION_MEMBER = re.compile(r"(constrained-)?(int|float|str|bool)|(list|literal)\[.*\]")
Named = TypeVar("Named", bound=Arguments)
CLASSES = {*LAYERS, *REGULARIZERS, *OPTIMIZERS, *SCHEDULES, *LOSSES}
SHARED = {"data", "network", "layers", "optimizer", "loss", "seeds", "phases", *Search.model_fields}  # by all trials


class Parameters(Arguments):
    """The files' sections; each entry is checked apart, so that one line can name it."""

    datasets: dict[str, Any]
    training: Training
    networks: dict[str, Any]
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
    values.names(parameters)
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
        raise UserError("\n".join(dict.fromkeys(line for problem in problems for line in problem.splitlines())))


def check_variant(parameters: dict[str, Any], name: str, declared: Mapping[str, Any]) -> list[tuple[str, Layer, Shape]]:
    """Check one variant; returns its layers by name, each with the shape that goes into it.

    Raises
    ------
    UserError
        With a line that names the entry, the key, what was got and what is allowed.
    """
    return check_entry(parameters, "variants", name, {}, declared)


def check_search(parameters: dict[str, Any], name: str, declared: Mapping[str, Any]) -> None:
    """Check one search: its space, and a trial as a variant.

    Raises
    ------
    UserError
        With a line that names the search, the key, what was got and what is allowed.
    """
    where, entry = f"searches.{name}", mapping(parameters, "searches", name, Entry)
    own = validate(Search, {key: entry[key] for key in Search.model_fields if key in entry}, where)
    for key in own.space:
        if key in SHARED:
            knobs = "epochs, batch_size, loss_weights or a knob of the network"
            raise UserError(f"{where}.space.{key}: drawn by no search, as all trials share it; allowed: {knobs}")
    space = {key: likely(choices, f"{where}.space.{key}") for key, choices in own.space.items()}
    drawn = {key: choices[0] for key, choices in space.items()}
    check_entry(parameters, "searches", name, drawn, declared)
    for key, choices in space.items():
        for value in choices:
            with drawing(own.space[key]):
                check_entry(parameters, "searches", name, {**drawn, key: value}, declared)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(
                    f"{where}.space.{key}: got {value!r}; allowed: numbers; `replica sweep` draws others, too"
                )
    settled = trial(parameters, name, drawn)
    images = settled.get("train_examples") or declared[settled["dataset"]].train_examples
    if settled["validation"] == "test" or int(images * (1.0 - settled["validation"])) == images:
        got = settled["validation"]
        raise UserError(f"{where}.data.validation: got {got}; allowed: a share, of which a search chooses its trial")
    if len(settled["seeds"]) != 1:
        raise UserError(f"{where}.seeds: got {entry['seeds']}; allowed: 1, as each trial is trained once")


def mapping(parameters: dict[str, Any], section: str, name: str, model: type[Arguments]) -> dict[str, Any]:
    """An entry, or one line that says what it should be a mapping of."""
    entry = entry_of(parameters, section, name)
    if not isinstance(entry, dict):
        raise UserError(f"{section}.{name}: got {entry!r}; allowed: a mapping with {', '.join(model.model_fields)}")
    return entry


def likely(choices: Any, where: str) -> list[Any]:
    """Draws to try: each of a list to choose from, or of a distribution the middle and the ends, once it is checked."""
    if isinstance(choices, list) and choices:
        return choices
    if not isinstance(choices, dict):
        raise UserError(f"{where}: got {choices!r}; allowed: a list to choose from, or a distribution")
    require(f"{where}.distribution", choices.get("distribution"), DISTRIBUTIONS, "distribution")
    return validate(DISTRIBUTIONS[choices["distribution"]], choices, where).likely()


def check_entry(
    parameters: dict[str, Any], section: str, name: str, drawn: dict[str, Any], declared: Mapping[str, Any]
) -> list[tuple[str, Layer, Shape]]:
    """Check a variant, or a trial with what it has drawn: as it stands, then settled."""
    where, entry = f"{section}.{name}", mapping(parameters, section, name, Entry)
    own = validate(Entry, entry, where)
    require(f"{where}.network", own.network, parameters["networks"], "network")
    network = mapping(parameters, "networks", own.network, Network)
    validate(Network, network, f"networks.{own.network}")
    for key, such in (("layers", ""), ("optimizer", "; such as optimizer: {SGD: {learning_rate: 0.01}}")):
        if not any(place.get(key) for place in (network, entry, drawn)):  # before its knobs are told to be unknown
            raise UserError(f"networks.{own.network}.{key}: missing{such}")
    keys = {*Search.model_fields} if section == "searches" else set()
    asked = references(network) | references(entry)
    places = ((f"networks.{own.network}", network, Network), (where, entry, Entry), (f"{where}.space", drawn, Entry))
    for place, stated, model in places:
        allowed = [*model.model_fields, *sorted(asked)]
        for key, value in stated.items():
            if key in CLASSES:
                if not isinstance(value, dict | None):
                    raise UserError(f"{place}.{key}: got {value!r}; allowed: a mapping of {key}'s arguments")
            elif key not in keys and key not in allowed:
                raise UserError(f"{place}.{key}: unknown key; {nearest(key, allowed)}allowed: {', '.join(allowed)}")
        for number in stated.get("layers") or {}:
            if not str(number).isdecimal() or not isinstance(number, str):
                raise UserError(f"{place}.layers: got {number!r}; allowed: a layer's number in quotes, such as '0'")

    whole = stated_as(parameters, section, name, drawn)
    said = {key: where if key in entry else f"networks.{own.network}" for key in ("layers", "loss", "optimizer")}
    try:
        settled = trial(parameters, name, drawn) if section == "searches" else variant(parameters, name)
        return check_settled(settled, sorted(whole["layers"], key=int), where, said, declared)
    except UserError as error:
        raise UserError(sources(str(error), whole, where, said)) from None


def check_settled(
    entry: dict[str, Any], places: list[str], where: str, said: Mapping[str, str], declared: Mapping[str, Any]
) -> list[tuple[str, Layer, Shape]]:
    """Check a variant or trial whose references have been replaced; `places` are its layers' numbers."""
    settled = validate(Variant, entry, where)
    for key, value in entry.items():
        by_place = dict(zip(places, value, strict=True)) if key == "layers" else value
        values.finite(by_place, f"{said.get(key, where)}.{key}")
    require(f"{where}.data.dataset", settled.dataset, declared, "dataset")
    one(OPTIMIZERS, settled.optimizer, f"{said['optimizer']}.optimizer", "optimizer")
    if settled.loss is not None:
        one(LOSSES, settled.loss, f"{said['loss']}.loss", "loss")
    dataset = declared[settled.dataset]
    if settled.train_examples is not None and settled.train_examples > dataset.train_examples:
        raise UserError(
            f"{where}.data.train_examples: got {settled.train_examples}; {settled.dataset} has {dataset.train_examples}"
        )
    images, share = settled.train_examples or dataset.train_examples, settled.validation
    if share != "test" and int(images * (1.0 - share)) < 1:
        raise UserError(f"{where}.data.validation: got {share}; of {images} images that leaves none to train on")
    if settled.phases > len(places):
        raise UserError(f"{where}.phases: got {settled.phases}; there are {len(places)} layers")
    if settled.early_stopping and (share == "test" or int(images * (1.0 - share)) == images):
        raise UserError(f"{where}.early_stopping: asks validation images, of which data.validation: {share} gives none")
    if settled.early_stopping and settled.phases > 1:
        raise UserError(f"{where}.early_stopping: got phases: {settled.phases} as well; leave one of them out")
    stack: list[tuple[str, Layer, Shape]] = []
    shape, classes = tuple(dataset.shape), len(dataset.classes)
    first: Shape | None = None  # what phase 1 ends in: targets are made once, for it
    for number, (place, value) in enumerate(zip(places, settled.layers, strict=True), start=1):
        at = f"{said['layers']}.layers.{place}"
        kind, layer = one(LAYERS, value, at, "layer")
        if layer.ranks and len(shape) not in layer.ranks:
            raise UserError(f"{at}.{kind}: got an input of shape {shape}; allowed: (height, width, channels)")
        try:
            output = layer.output(shape)
        except ValueError as error:
            raise UserError(f"{at}.{kind}: {error}") from None
        stack.append((kind, layer, shape))
        shape = output
        left = len(places) - number
        ends = left % (len(places) // settled.phases) == 0 and left < len(places) // settled.phases * settled.phases
        if ends and shape != (classes,) and not (shape == (1,) and classes == 2):
            raise UserError(f"{said['layers']}.layers: {place} gives {shape}; {settled.dataset} needs ({classes},)")
        if ends and shape != (first := first or shape):
            raise UserError(f"{said['layers']}.layers: {place} gives {shape}; allowed: {first}, as phase 1 ends")
        if ends and shape == (1,):
            values.one_output(f"{at}.{kind}", getattr(layer, "activation", None), settled.loss)
    values.fits(stack, min(settled.batch_size, images), where)
    return stack


def one(kinds: Mapping[str, type[Named]], value: Any, where: str, noun: str) -> tuple[str, Named]:
    """The name and checked arguments of `Name` or `{Name: arguments}`, one of `kinds`."""
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, dict) or len(value) != 1:
        raise UserError(f"{where}: got {value!r}; allowed: one {noun}'s name, with its arguments below it")
    name, arguments = next(iter(value.items()))
    require(where, name, kinds, noun)
    built = validate(kinds[name], arguments or {}, f"{where}.{name}")
    for key, argument in built:
        if key.endswith("_regularizer") and key in built.model_fields_set:  # no regularizer is one left out
            one(REGULARIZERS, argument, f"{where}.{name}.{key}", "regularizer")
    rate = getattr(built, "learning_rate", None)
    if isinstance(rate, dict):
        one(SCHEDULES, rate, f"{where}.{name}.learning_rate", "schedule")
    elif "learning_rate" in built.model_fields_set and not (
        isinstance(rate, int | float) and rate > 0 and rate is not True
    ):
        allowed = f"a number above 0, or one of {', '.join(SCHEDULES)}"
        raise UserError(f"{where}.{name}.learning_rate: got {rate!r}; allowed: {allowed}")
    return name, built


def require(where: str, name: Any, names: Iterable[str], noun: str) -> None:
    """Refuse a name that is not among the known ones, with those that are near."""
    if name not in (names := list(names)):
        known = f"{nearest(name, names)}allowed: {listed(name, names)}"
        raise UserError(f"{where}: got {name!r}, no {noun} of that name; {known}")


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
            fields = list(getattr(inside(model, keys[:-1]), "model_fields", {}))
            yield f"{place}: unknown key; {nearest(keys[-1], fields)}allowed: {', '.join(fields)}"
        elif problem["type"] == "missing":
            if not misspelt:
                yield f"{place}: missing"
        else:
            message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            wrong.setdefault(place, (short(problem["input"]), []))[1].append(message)
    for place, (got, messages) in wrong.items():
        yield f"{place}: got {got}; {' or '.join(dict.fromkeys(messages))}"


def inside(model: Any, keys: list[str]) -> Any:
    """The model of what stands at these keys of a model; of one or nothing, the one."""
    for key in keys:
        fields = getattr(model, "model_fields", {})
        model = fields[key].annotation if key in fields else None
        model = next((each for each in get_args(model) if hasattr(each, "model_fields")), model)
    return model


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "…"
