"""A picture of a digit as MNIST has its digits: http://yann.lecun.com/exdb/mnist/ says how they were made."""

from __future__ import annotations

import numpy as np
from PIL import Image

from replica.datasets.mirrors import BadFileError

SIDE, BOX = 28, 20  # pixels of an image, and of the square that the digit is fitted into
LARGEST = 560  # pixels a side that are looked at; more add nothing
INK = 0.2  # of the strongest ink; what is weaker is paper
MIDDLE = 14.5  # where the centre of mass comes to lie, in pixels from the edge: MNIST's digits have theirs at 14.5±0.3
FAINTEST = 24  # of 255: a picture whose ink is weaker is one even colour
EMPTY = "one even colour, and no digit on it"


def normalize(image: Image.Image) -> np.ndarray:
    """Light ink on black, in a box of 20×20 pixels, its centre of mass in the middle: uint8 [28, 28, 1].

    The paper is the median of the picture's edge; where that is light, the ink is what is darker. A picture of 28×28
    pixels is not fitted, only turned to light on dark.

    Raises
    ------
    BadFileError
        Where nothing is drawn.
    """
    grey = image.convert("L")
    grey.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    values = np.asarray(grey, np.float32)
    paper = float(np.median(np.concatenate([values[0], values[-1], values[:, 0], values[:, -1]])))
    if grey.size == (SIDE, SIDE):
        return (255 - values if paper > 127 else values).astype(np.uint8)[..., None]
    ink = np.clip(paper - values if paper > 127 else values - paper, 0, None)
    if ink.max() < FAINTEST:
        raise BadFileError(EMPTY)
    digit = fitted(np.where(ink < INK * ink.max(), 0, ink * 255 / ink.max()).round().astype(np.uint8))
    if not digit.any():  # specks, which the resizing has averaged away
        raise BadFileError(EMPTY)
    return centred(digit)[..., None]


def fitted(ink: np.ndarray) -> np.ndarray:
    """What is drawn, its longer side `BOX` pixels, its proportions kept: uint8 [height, width]."""
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    drawn = Image.fromarray(ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    width, height = (max(round(side * BOX / max(drawn.size)), 1) for side in drawn.size)
    return np.asarray(drawn.resize((width, height), Image.Resampling.LANCZOS))


def centred(digit: np.ndarray) -> np.ndarray:
    """The digit in the image, its centre of mass in the middle as far as it stays inside: uint8 [28, 28]."""
    image = np.zeros((SIDE, SIDE), np.uint8)
    weights = digit / digit.sum(dtype=float)
    corner = []
    for axis, length in enumerate(digit.shape):
        centre = weights.sum(axis=1 - axis) @ (np.arange(length) + 0.5)
        corner.append(min(max(round(MIDDLE - centre), 0), SIDE - length))
    top, left = corner
    image[top : top + digit.shape[0], left : left + digit.shape[1]] = digit
    return image
