"""Test digits ten times as large, as dark ink anywhere on a light page: how many `replica predict` still gets right.

    python -m benchmarks.digits mnist_cnn [--count 1000]

takes a trained variant on MNIST.
"""

from __future__ import annotations

import argparse

import numpy as np
from PIL import Image

from replica.commands.predict.predict import Predictor
from replica.common import arrays

PAGE, SIDE = (500, 400), 280  # width and height; pixels a side of a digit's square


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("variant")
    options.add_argument("--count", type=int, default=1000)
    given = options.parse_args()
    predictor, random = Predictor(given.variant), np.random.default_rng(0)
    predictor.load()
    data = arrays.load(predictor.dataset)
    x, y = data.x_test[: given.count], data.y_test[: given.count]
    seen = []
    for image in x:
        page = Image.new("L", PAGE, 255)
        ink = Image.fromarray(255 - image[..., 0]).resize((SIDE, SIDE))
        left, top = (int(random.integers(0, side - SIDE)) for side in PAGE)
        page.paste(ink, (left, top))
        seen.append(predictor.see(page))
    for name, images in (("originals", x), ("on a page", np.stack(seen))):
        print(f"{name}: {np.mean(predictor.probabilities(images).argmax(axis=1) == y):.1%} of {len(y)}")


if __name__ == "__main__":
    main()
