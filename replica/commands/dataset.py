"""Data of one's own: looked at, and declared in datasets.yaml."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from replica.common import parameters, reader
from replica.common.errors import UserError
from replica.datasets import images, npz, own, pictures
from replica.datasets.checks import digest
from replica.datasets.declaration import ArrayNames, Images, Npz, Own, Share
from replica.datasets.mirrors import BadFileError
from replica.schema import check, values

KINDS: dict[str, tuple[ModuleType, type[Own]]] = {"images": (images, Images), "arrays": (npz, Npz)}
FILE = Path("datasets.yaml")
NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)  # narrower than values.NAME: no number in YAML
KEPT = {"images": ("shape", "test_share", "seed"), "arrays": ("test_share", "seed", "names", "classes")}
SHARE = 0.2
TEXT, WIDTH = "tag:yaml.org,2002:str", 120  # of datasets.yaml
LARGEST_SIDE = 256  # of pictures that are taken as large as they are


def check_own(declared: dict[str, Any]) -> None:
    """Compare one's own data, where they are at hand, with what they were when they were declared.

    Raises
    ------
    UserError
        With a line for each dataset that has changed.
    """
    check.each(declared["datasets"], lambda name: check_one(name, declared["datasets"][name]))


def check_one(name: str, entry: dict[str, Any]) -> None:
    if entry["kind"] in KINDS and Path(entry["path"]).exists():
        module, model = KINDS[entry["kind"]]
        with own.refusing(name):
            own.verify(name, model.model_validate(entry), module.digest(Path(entry["path"])))


def settings(
    shape: str | None, test_share: float | None, seed: int | None, names: str | None, classes: str | None
) -> dict[str, Any]:
    """What the command line says, as datasets.yaml has it; None stays None."""
    named = [each.strip() for each in classes.split(",")] if classes is not None else None
    if named and not all(named):
        raise UserError(f"replica dataset: --classes: got {classes!r}; allowed: a name a class, such as cat,dog")
    return {
        "shape": sides(shape) if shape is not None else None,
        "test_share": test_share,
        "seed": seed,
        "names": pairs(names) if names is not None else None,
        "classes": named,
    }


def sides(text: str) -> list[int]:
    if not (found := re.fullmatch(r"([1-9]\d{0,3}),([1-9]\d{0,3}),([13])", text)):
        allowed = "height,width,channels with 1 or 3 channels, such as 32,32,3"
        raise UserError(f"replica dataset: --shape: got {text!r}; allowed: {allowed}")
    return [int(each) for each in found.groups()]


def pairs(text: str) -> dict[str, str]:
    found = {}
    for each in text.split(","):
        key, _, theirs = each.partition("=")
        check.require("replica dataset: --names", key, ArrayNames.model_fields, "array")
        found[key] = theirs
    return found


def declare(name: str, path: str, update: bool, kind: str | None, settings: dict[str, Any]) -> str:
    """Write a dataset's entry into datasets.yaml, and return what there is to say about it.

    Parameters
    ----------
    name
        Of up to 100 letters, digits and underscores.
    path
        A folder of images, or an .npz file.
    update
        Look again at a dataset that is declared: what `settings` do not say stays as it is.
    kind
        `images` or `arrays`; None: as `path` looks.
    settings
        `shape`, `test_share`, `seed`, `names` and `classes` as in datasets.yaml; None or none: as the data are.

    Raises
    ------
    UserError
        Where the name or the data will not do.
    """
    there = check.validate(dict[str, dict[str, Any]], parameters.read(FILE).get("datasets") or {}, "datasets")
    before = previous(name, there, update)
    kind = kind or before.get("kind") or ("arrays" if Path(path).suffix == ".npz" else "images")
    check.require("replica dataset: --kind", kind, KINDS, "kind")
    place = Path(os.path.abspath(path))  # noqa: PTH100  (as typed: a link to another disk stays one)
    if not place.exists():
        raise UserError(f"replica dataset: {path}: no such file or folder")
    if place.is_relative_to(Path.cwd()):
        place = place.relative_to(Path.cwd())
    for key in ("names", "classes"):
        if kind == "images" and settings.get(key) is not None:
            raise UserError(f"replica dataset: --{key}: for an .npz file; a class of pictures has its folder's name")
    kept = {key: before[key] for key in KEPT[kind] if key in before}
    if kept.get("classes") == numbers(len(kept.get("classes", []))):
        del kept["classes"]  # no names of anyone's
    given = kept | {key: value for key, value in settings.items() if value is not None}
    if "test_share" in given:  # before it divides
        check.validate(Share, given["test_share"], f"datasets.{name}.test_share")
    with own.refusing("replica dataset"):
        entry = look(kind, place, given)
        if settings.get("test_share") is not None and "test_share" not in entry:
            raise BadFileError(f"{path}: comes split into train and test; leave out --test-share")
    check.validate(KINDS[kind][1], entry, f"datasets.{name}")
    if entry == before:
        return f"{name}: as it is declared already"
    put(name, entry)
    return described(name, entry, bool(before))


def numbers(count: int) -> list[str]:
    """Names for labels that have none: 0, 1, …"""
    return [str(number) for number in range(count)]


def previous(name: str, there: dict[str, Any], update: bool) -> dict[str, Any]:
    """The entry to update, or an empty one."""
    if not (NAME.fullmatch(name) and values.NAME.fullmatch(name)):
        allowed = "up to 100 letters, digits and _, a letter first"
        raise UserError(f"replica dataset: got the name {repr(name)[:80]}; allowed: {allowed}")
    if not update:
        if name in there:
            raise UserError(f"datasets.{name}: declared already; take another name, or --update where the data changed")
        return {}
    check.require("replica dataset --update", name, there, "dataset")
    if there[name]["kind"] not in KINDS:
        raise UserError(f"datasets.{name}: of the kind {there[name]['kind']}, which is not one's own data")
    return there[name]


def look(kind: str, path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The whole entry of the data at `path`, by decoding them."""
    module, model = KINDS[kind]
    names = ArrayNames.model_validate(given.get("names") or {})
    shape, classes, split = of_images(path, given) if kind == "images" else of_arrays(path, names, given)
    entry: dict[str, Any] = {"kind": kind, "path": path.as_posix(), "files": module.digest(path)}
    if changed := names.model_dump(exclude_defaults=True):
        entry["names"] = changed
    if not split:
        entry["test_share"] = given.get("test_share", SHARE)
    entry |= {"seed": given.get("seed", 0), "shape": shape, "classes": classes}
    draft = model.model_construct(None, **{**entry, "names": names})
    arrays = module.decode(draft, path if kind == "images" else path.parent)
    for split_name in own.SPLITS:
        entry[f"{split_name}_examples"] = len(arrays[f"y_{split_name}"])
    return entry | {"sha256": {key: digest(arrays[key]) for key in npz.SPLIT}}


def of_images(path: Path, given: dict[str, Any]) -> tuple[list[int], list[str], bool]:
    """Shape, classes and whether they come split; without a shape given, the one that all pictures have."""
    if not path.is_dir():
        raise BadFileError(f"{path}: no folder, as images by class are in")
    found = images.classes(path)
    classes = own.named(list(next(iter(found.values()))), str(path))
    if given.get("shape"):
        return given["shape"], classes, "" not in found
    sizes, grey = set(), True
    for file in images.files(path):
        picture = pictures.read(path / file, str(path / file))
        sizes.add((picture.height, picture.width))
        grey &= picture.mode == "L"
    channels = 1 if grey else 3
    (height, width), most = min(sizes), max(sizes)
    if len(sizes) > 1 or max(height, width) > LARGEST_SIDE:
        what = f"from {width}×{height} to {most[1]}×{most[0]}" if len(sizes) > 1 else f"of {width}×{height}"
        raise BadFileError(f"{path}: pictures {what}; say what to resize them to, such as --shape 32,32,{channels}")
    return [height, width, channels], classes, "" not in found


def of_arrays(path: Path, names: ArrayNames, given: dict[str, Any]) -> tuple[list[int], list[str], bool]:
    """Shape, classes and whether they come split; without names given, the classes are called 0, 1, …"""
    if not path.is_file():
        raise BadFileError(f"{path}: no file, as arrays are in")
    arrays = npz.read(path, names)
    y = np.concatenate([array for key, array in arrays.items() if key.startswith("y")])
    shape = next(list(array.shape[1:]) for key, array in arrays.items() if key.startswith("x"))
    if given.get("shape") not in (None, shape):
        raise BadFileError(f"{path}: images of {shape}, and arrays are taken as they are; leave out --shape")
    count = int(y.max()) + 1
    classes = given.get("classes") or numbers(count)
    if len(classes) != count:
        raise BadFileError(
            f"{path}: labels from 0 to {count - 1}, and {len(classes)} names for them; say which with --classes"
        )
    if twice := [each for each in classes if classes.count(each) > 1]:
        raise BadFileError(f"{path}: two classes are called {twice[0]}; say a name for each with --classes")
    return shape, own.named(classes, str(path)), "x" not in arrays


def put(name: str, entry: dict[str, Any]) -> None:
    """Add an entry to datasets.yaml, or bring it up to date; comments and the other entries stay as they are.

    Raises
    ------
    UserError
        Where ruamel.yaml, which is stricter than what reads it elsewhere, refuses the file.
    """
    file = YAML()
    file.preserve_quotes, file.width = True, WIDTH
    try:
        declared = file.load(FILE)
    except YAMLError as error:
        raise UserError(f"{FILE}: not YAML: {' '.join(str(error).split())}") from None
    declared = declared or {}
    declared["datasets"] = declared.get("datasets") or {}
    fill(declared["datasets"].setdefault(name, {}), entry)
    part = FILE.with_suffix(".part")
    with part.open("w", encoding="utf-8") as out:
        file.dump(declared, out)
    part.replace(FILE)


def fill(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Make `old` equal to `new` key by key: what is replaced as a whole would lose the comment that follows it."""
    for key in [key for key in old if key not in new]:
        del old[key]
    for key, value in new.items():
        if isinstance(value, dict):
            fill(old.setdefault(key, {}), value)
        else:
            old[key] = written(value)


def written(value: Any) -> Any:
    """As ruamel.yaml is to write it: a list on one line, and quotes where `parameters.read` would find no text.

    Of YAML's versions ruamel writes the newer, in which `no` is a text; the older calls it false.
    """
    if isinstance(value, list):
        line = CommentedSeq(map(written, value))
        line.fa.set_flow_style()
        return line
    if isinstance(value, str) and reader.Loader("").resolve(yaml.ScalarNode, value, (True, False)) != TEXT:
        return SingleQuotedScalarString(value)
    return value


def described(name: str, entry: dict[str, Any], again: bool) -> str:
    """What was declared, and what to do with it."""
    shape = entry["shape"]
    size = "×".join(map(str, shape))
    counts = f"{entry['train_examples']:,} training and {entry['test_examples']:,} test images of {size}"
    head = f"datasets.{name}: {len(entry['classes'])} classes, {counts}; {'changed' if again else 'added'} in {FILE}"
    if again:
        return f"{head}\n\n$ dvc repro preprocess@{name}"
    network = "cnn" if min(shape[:2]) >= 12 else "mlp"
    return NEXT.format(head=head, name=name, network=network, classes=len(entry["classes"]), **LAST[network])


NEXT = """{head}

$ dvc repro preprocess@{name}

draws the first of them into plots/datasets/{name}.png. To train with them, put a variant below `variants:` in
params.yaml, such as

  {name}_{network}: {{data: {{dataset: {name}, validation: 0.2}}, network: {network}, epochs: 10, batch_size: 32,
    seeds: 1, {knobs}, layers: {{'{last}': {{Dense: {{units: {classes}}}}}}}}}

$ dvc repro evaluate@{name}_{network}
$ replica table {name}_{network}"""
LAST = {  # of params.yaml's networks: the layer that gives a class each, and their knobs
    "cnn": {"last": 5, "knobs": "learning_rate: 0.001"},
    "mlp": {"last": 3, "knobs": "learning_rate: 0.1, units: 64"},
}
