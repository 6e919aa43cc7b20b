"""params.yaml and datasets.yaml as plain dictionaries, already checked as a whole by `replica check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from replica.common import reader
from replica.common.errors import UserError, listed

# What a settled variant consists of; every other key of an entry is a knob that its network asks for.
SETTINGS = (
    "kernels", "dataset", "train_examples", "validation", "layers", "phases", "loss", "loss_weights", "optimizer",
    "epochs", "early_stopping", "may_diverge", "batch_size", "seeds",
)  # fmt: skip


def read(path: str | Path = "params.yaml") -> dict[str, Any]:
    """Read every section of a file.

    Raises
    ------
    UserError
        Where the file is missing, is not YAML, or has no sections.
    """
    try:
        if (size := Path(path).stat().st_size) > 4 * reader.LARGEST:  # of UTF-8, a character takes four bytes at most
            raise UserError(f"{path}: {size:,} bytes; allowed: {reader.LARGEST:,} characters")
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's root") from None
    except IsADirectoryError:
        raise UserError(f"{path}: a folder, where a file was expected") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not YAML: not UTF-8 at byte {error.start}") from None
    content = reader.load(text, str(path)) or {}
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


def variant(declared: dict[str, Any], name: str) -> dict[str, Any]:
    """One variant, settled: `SETTINGS` and their values.

    Layers are a list, every object in it `{Name: arguments}`, `$name` references are replaced, and `seeds` is a list.

    Raises
    ------
    UserError
        Where there is no such variant or network, or the network refers to a knob that the variant does not state.
    """
    return settled(declared, "variants", name, {})


def trial(declared: dict[str, Any], name: str, drawn: dict[str, Any]) -> dict[str, Any]:
    """One trial of a search as a variant, with the knobs it has drawn; raises what `variant` does."""
    return settled(declared, "searches", name, drawn)


def entry_of(declared: dict[str, Any], section: str, name: str) -> dict[str, Any]:
    """One entry of a section, as declared."""
    entries = declared.get(section) or {}
    if name not in entries:
        raise UserError(f"{section}: no {name!r}; there are {listed(name, entries)}")
    return entries[name]


def stated(declared: dict[str, Any], section: str, name: str, drawn: dict[str, Any]) -> dict[str, Any]:
    """An entry over its network over the defaults, `$name` references as they stand: the one place that merges them."""
    entry = {**entry_of(declared, section, name), **drawn}
    network = entry_of(declared, "networks", entry["network"])
    usual = {key: joined(network.get(key), entry.get(key)) for key in {**network, **entry} if is_name(key)}
    whole = {**declared["training"], **network, **entry.pop("data"), **entry}
    for key in ("layers", "loss", "optimizer"):
        if key in whole:
            whole[key] = filled(joined(network.get(key), entry.get(key)), usual)
    return whole


def settled(declared: dict[str, Any], section: str, name: str, drawn: dict[str, Any]) -> dict[str, Any]:
    """What is stated, its references replaced and its layers and seeds as lists."""
    whole = stated(declared, section, name, drawn)
    found = {}
    for key in SETTINGS:
        if whole.get(key) is not None:
            found[key] = resolve(whole[key], whole, f"{section}.{name}", f"networks.{whole['network']}.{key}")
    found["layers"] = [found["layers"][place] for place in sorted(found["layers"], key=int)]
    found["seeds"] = list(range(found["seeds"]))
    for holder, key in ((found, "loss_weights"), *((each, "learning_rate") for each in arguments(found["optimizer"]))):
        if (
            type(value := holder.get(key)) is int and 0 < value < 2**53
        ):  # Keras takes a whole number for one of a type it has not
            holder[key] = float(value)
    return found


def arguments(value: Any) -> list[dict[str, Any]]:
    """The arguments of `{Name: arguments}`, where it is that."""
    return [each for each in value.values() if isinstance(each, dict)] if isinstance(value, dict) else []


def joined(usual: Any, own: Any) -> Any:
    """What an entry says over what its network says: of one name arguments are joined, another name replaces all."""
    usual, own = named(usual), named(own)
    if not isinstance(usual, dict) or not isinstance(own, dict) or (is_object(own) and usual.keys() != own.keys()):
        return usual if own is None else own
    return {**usual, **{key: joined(usual.get(key), value) for key, value in own.items()}}


def filled(value: Any, usual: dict[str, Any]) -> Any:
    """Every `Name` inside `value` as `{Name: arguments}`, with what `usual` says of all of that name."""
    value = named(value)
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        others = {name: usual[name] for name in usual if name != key}
        if is_name(key) and (item is None or isinstance(item, dict)):
            item = {**(usual.get(key) or {}), **(item or {})}
        found[key] = filled(item, others)
    return found


def named(value: Any) -> Any:
    """`Name` as `{Name: {}}`; anything else as it is."""
    return {value: {}} if is_name(value) else value


def is_name(value: Any) -> bool:
    """Whether it names one of Keras's classes: such words begin with a capital, arguments and their values do not."""
    return isinstance(value, str) and value[:1].isupper()


def is_object(value: dict[str, Any]) -> bool:
    """Whether a mapping is one object of Keras's, `{Name: arguments}`."""
    return len(value) == 1 and is_name(next(iter(value)))


def resolve(value: Any, knobs: dict[str, Any], who: str, where: str) -> Any:
    """Replace each string `$name` inside `value`, which stands at `where`, by what `who` says of that name."""
    if isinstance(value, dict):
        return {key: resolve(item, knobs, who, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(item, knobs, who, f"{where}.{index}") for index, item in enumerate(value)]
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in knobs:
            raise UserError(f"{who}.{value[1:]}: missing; {where} asks for it")
        return knobs[value[1:]]
    return value
