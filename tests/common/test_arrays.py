"""Which of a dataset's images train, validate and test."""

import numpy as np
import pytest

from replica.common import arrays


def made(train: int, test: int = 7) -> arrays.Arrays:
    """A dataset whose images are their own numbers, the test set's from a million."""
    x_test = np.arange(1_000_000, 1_000_000 + test)
    return arrays.Arrays(np.arange(train), np.arange(train) % 10, x_test, x_test % 10, list("0123456789"), {})


def chosen(train: int, **settings: object) -> dict[str, list[int]]:
    """The numbers of the images of each part, whose labels are theirs."""
    parts = arrays.parts(made(train), settings)
    for x, y in parts.values():
        assert np.array_equal(x % 10, y)
    return {part: x.tolist() for part, (x, _) in parts.items()}


def test_validation_begins_where_keras_begins_it():
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    for n in (20, 50, 4000, 5000, 49_999, 50_000, 60_000):
        for share in (0.1, 0.2, 0.25, 1 / 3, 0.3, 0.7, 0.9):
            (training,), (validation,) = train_validation_split((np.arange(n),), share)
            parts = arrays.parts(made(60_000), {"train_examples": n, "validation": share})
            assert np.array_equal(parts["train"][0], training)
            assert np.array_equal(parts["validation"][0], validation)


@pytest.mark.parametrize("validation", ["test", 0, 0.0])
def test_without_a_share_none_are_held_back(validation):
    parts = chosen(30, train_examples=20, validation=validation)
    assert parts == {"train": list(range(20)), "test": list(range(1_000_000, 1_000_007))}


def test_the_share_is_of_the_first_images_and_of_all_where_their_number_is_not_said():
    assert chosen(30, train_examples=20, validation=0.25)["validation"] == [15, 16, 17, 18, 19]
    assert chosen(30, validation=0.1) == {
        "train": list(range(27)),
        "validation": [27, 28, 29],
        "test": list(range(1_000_000, 1_000_007)),
    }
