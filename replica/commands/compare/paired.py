"""Two networks' predictions of the same images: the difference in accuracy, its interval, and whether it is noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom, norm

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Paired:
    """The difference in accuracy with its 95% interval, all from -1 to 1, and the p value of there being none."""

    difference: float
    low: float
    high: float
    p: float


def compare(before: np.ndarray, after: np.ndarray) -> Paired:
    """Compare two networks, or the same seeds of each, on the same images.

    An image counts once, with the share of seeds that have it right: seeds err on the same images, so that their counts
    are no independent evidence.

    Parameters
    ----------
    before, after
        Whether each seed has each image right, bool [seeds, n], seeds in the same order.
    """
    change = after.sum(axis=0, dtype=int) - before.sum(axis=0, dtype=int)
    seeds, n = before.shape
    low, high = interval(change / seeds)
    return Paired(float(change.sum() / (seeds * n)), low, high, sign_flips(change))


def interval(change: np.ndarray) -> tuple[float, float]:
    """95% interval of the mean of paired changes [n], each from -1 to 1.

    Agresti and Min's (doi:10.1002/sim.1781): Wald's, with half an image added to each of the four cells; the same half
    images at -1 and 1 where changes are shares of several seeds.
    """
    n = len(change) + 2
    mean = change.sum() / n
    half = norm.ppf((1 + CONFIDENCE) / 2) * math.sqrt(((change**2).sum() + 1) / n - mean**2) / math.sqrt(n)
    return float(max(mean - half, -1)), float(min(mean + half, 1))


def sign_flips(change: np.ndarray) -> float:
    """Two-sided p value of Fisher and Pitman's exact test for pairs: each image's change as likely either way.

    For one seed the changes are -1, 0 or 1, and this is McNemar's exact test (doi:10.1007/BF02295996).

    Parameters
    ----------
    change
        How many more seeds have each image right, int [n].
    """
    chances = np.ones(1)  # of each total of the changes that come out positive
    for size, images in enumerate(np.bincount(np.abs(change))[1:], start=1):
        steps = np.zeros(size * images + 1)
        steps[::size] = binom.pmf(np.arange(images + 1), images, 0.5)
        chances = np.convolve(chances, steps)
    total = len(chances) - 1
    as_far = np.abs(2 * np.arange(total + 1) - total) >= abs(change.sum())
    return float(min(chances[as_far].sum(), 1))


def holm(p: Sequence[float]) -> list[float]:
    """p values corrected for their number (Holm 1979), in the order given."""
    order = np.argsort(p)
    corrected = np.empty(len(p))
    steps = np.asarray(p)[order] * np.arange(len(p), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected.tolist()
