"""params.yaml and datasets.yaml as plain dictionaries, already checked as a whole by `replica check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from replica.common.errors import UserError


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's fastest loader, with YAML 1.2's numbers: DVC writes 0.00001 as 1e-05, which YAML 1.1 calls a string."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)


def read(path: str | Path = "params.yaml") -> dict[str, Any]:
    """Read every section of a file.

    Raises
    ------
    UserError
        Where the file is missing, is not YAML, or has no sections.
    """
    try:
        with Path(path).open("rb") as file:
            content = yaml.load(file, Loader) or {}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a {type(content).__name__}, where sections were expected")
    return content


def declared(root: Path = Path()) -> dict[str, Any]:
    """Read params.yaml and datasets.yaml together, for what needs them both; a stage reads what it depends on.

    Raises
    ------
    UserError
        Where one cannot be read, or a section stands in both.
    """
    knobs, facts = read(root / "params.yaml"), read(root / "datasets.yaml")
    if twice := knobs.keys() & facts.keys():
        raise UserError(f"params.yaml: {', '.join(twice)}: stands in datasets.yaml as well; leave it in one")
    return {**facts, **knobs}


def variant(parameters: dict[str, Any], name: str) -> dict[str, Any]:
    """One variant: its own keys over the `training` defaults, its `$name` references replaced by their values.

    Raises
    ------
    UserError
        Where there is no such variant, or it refers to a hyperparameter it does not declare.
    """
    entry = entry_of(parameters, "variants", name)
    return settled(parameters, f"variants.{name}", entry, entry.get("hyperparameters") or {})


def trial(parameters: dict[str, Any], name: str, hyperparameters: dict[str, Any]) -> dict[str, Any]:
    """One trial of a search as a variant, with the hyperparameters it has drawn.

    Raises
    ------
    UserError
        Where there is no such search, or its layers refer to a hyperparameter that its space does not have.
    """
    entry = entry_of(parameters, "searches", name)
    own = {key: value for key, value in entry.items() if key not in ("trials", "draw_seed", "space")}
    return settled(parameters, f"searches.{name}", own, hyperparameters)


def entry_of(parameters: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """One entry of a section, as declared."""
    entries = parameters.get(section) or {}
    if name not in entries:
        raise UserError(f"{section}: no {name!r}; there are {', '.join(entries) or 'none'}")
    return entries[name]


def settled(
    parameters: dict[str, Any], where: str, entry: dict[str, Any], hyperparameters: dict[str, Any]
) -> dict[str, Any]:
    """An entry over the training defaults, its references replaced."""
    whole = {**parameters["training"], **entry}
    whole.pop("hyperparameters", None)
    return {key: resolve(value, hyperparameters, f"{where}.{key}") for key, value in whole.items()}


def resolve(value: Any, hyperparameters: dict[str, Any], where: str) -> Any:
    """Replace each string `$name` inside `value` by `hyperparameters[name]`."""
    if isinstance(value, dict):
        return {key: resolve(item, hyperparameters, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, hyperparameters, f"{where}.{index}") for index, item in enumerate(value)]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in hyperparameters:
            declared = ", ".join(hyperparameters) or "none"
            raise UserError(f"{where}: {value} is not among the variant's hyperparameters ({declared})")
        return hyperparameters[value[1:]]
    return value
