"""A folder of PNG and JPEG files, a subfolder a class; below train/ and test/ where it comes split."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np

from replica.datasets import own, pictures
from replica.datasets.declaration import Images
from replica.datasets.mirrors import BadFileError
from replica.datasets.own import SPLITS

SUFFIXES = (".png", ".jpg", ".jpeg")


def fetch(name: str, declared: Images, folder: Path, kept: Path) -> None:
    """Copy the pictures into `folder`, each below its class, and hold them against the declaration.

    Where they are not at hand, those that `kept` has will do.
    """
    root = Path(declared.path)
    with own.refusing(name):
        if not root.is_dir():
            root = own.kept(name, declared, kept, digest)
        for file in files(root):
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, folder / file)
        own.verify(name, declared, digest(folder))


def digest(root: Path) -> str:
    """SHA-256 of the lines that `sha256sum` prints of the pictures, in the order of their paths."""
    whole = sha256()
    for file in files(root):
        whole.update(f"{sha256((root / file).read_bytes()).hexdigest()}  {file.as_posix()}\n".encode())
    return whole.hexdigest()


def files(root: Path) -> list[Path]:
    """Every picture as a path from `root`, sorted.

    Raises
    ------
    BadFileError
        Where something is no picture, or a link leads out of `root`.
    """
    found = [file for folders in classes(root).values() for each in folders.values() for file in inside(each)]
    within = root.resolve()
    for file in found:
        if not file.resolve().is_relative_to(within):
            raise BadFileError(f"{file}: a link that leads out of {root}")
    return sorted((file.relative_to(root) for file in found), key=Path.as_posix)


def classes(root: Path) -> dict[str, dict[str, Path]]:
    """Each class's folder by name, for train and for test, or for "" where the folder does not come split.

    Raises
    ------
    BadFileError
        Where a picture lies in no class's folder, or the two splits have not the same classes.
    """
    top = folders(root)
    split = all(folders(top[each]) if each in top else {} for each in SPLITS)
    if split and (other := set(top) - set(SPLITS)):
        raise BadFileError(f"{top[min(other)]}: neither train nor test")
    found = {each: folders(top[each]) for each in SPLITS} if split else {"": top}
    if split and (odd := set(found["train"]) ^ set(found["test"])):
        raise BadFileError(f"{root}: the class {min(odd)} is not both in train and in test")
    for folder in (root, *(top[each] for each in SPLITS if split)):
        for file in sorted(folder.iterdir()):
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and not file.is_dir():
                raise BadFileError(f"{file}: in no class's folder")
    return found


def folders(folder: Path) -> dict[str, Path]:
    """The folders in a folder by name, sorted; hidden ones are left out, and files such as a README."""
    return {each.name: each for each in sorted(folder.iterdir()) if each.is_dir() and not each.name.startswith(".")}


def inside(folder: Path) -> list[Path]:
    """A class's pictures, sorted by name; hidden files are left out.

    Raises
    ------
    BadFileError
        Where there is none, or something else.
    """
    found = [file for file in sorted(folder.iterdir()) if not file.name.startswith(".")]
    for file in found:
        if not file.is_file() or file.suffix.lower() not in SUFFIXES:
            raise BadFileError(f"{file}: no PNG or JPEG file, and nothing else may lie in a class's folder")
        if not file.name.isprintable():
            raise BadFileError(f"{folder}: {file.name!a}, a name that cannot be printed")
    if not found:
        raise BadFileError(f"{folder}: no picture of this class")
    return found


def decode(declared: Images, folder: Path) -> dict[str, np.ndarray]:
    """Images uint8 [n, *shape] and labels uint8 [n]: to train with in a seeded order, to test with in the files'."""
    found = classes(folder)
    for of in found.values():
        if set(of) != set(declared.classes):
            raise BadFileError(f"{folder}: classes {', '.join(of)}, where {', '.join(declared.classes)} are declared")
    parts = {
        split: [(file, label) for label, name in enumerate(declared.classes) for file in inside(of[name])]
        for split, of in found.items()
    }
    if "" in parts:
        if declared.test_share is None:
            raise BadFileError(f"{folder}: no folders train and test, and no test_share is declared")
        y = np.array([label for _, label in parts[""]])
        own.counted(y, declared.classes, 2, str(folder))
        rows = own.divide(y, declared.test_share, declared.seed)
        parts = {split: [parts[""][row] for row in of] for split, of in zip(SPLITS, rows, strict=True)}
    parts["train"] = [parts["train"][row] for row in own.shuffled(len(parts["train"]), declared.seed)]
    arrays = {}
    for split in SPLITS:
        read = (pictures.fit(pictures.read(file, str(file)), declared.shape) for file, _ in parts[split])
        arrays[f"x_{split}"] = np.stack(list(read))
        arrays[f"y_{split}"] = np.array([label for _, label in parts[split]], np.uint8)
    return arrays
