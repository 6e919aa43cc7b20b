"""The tests of claims in words, after those of `replica.report.verdicts`: of order, of curves, of several starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy import stats

from replica.report import verdicts as verdicts
from replica.report.results import Quantity, Results
from replica.report.verdicts import Judgement, decide, difference_of, figure_of, half_width, interval, number, p_value


def trend(results: Results, variants: Sequence[str], quantity: Quantity, direction: str) -> Judgement:
    """Whether a quantity rises or falls along the variants, at each step.

    Page's test, a seed a block (doi:10.2307/2282965), tells order from none, but not that each step goes along: the
    means must, too; one step whose interval lies on the other side refutes.
    """
    samples = [results.sample(name, quantity).values for name in variants]
    seeds = sorted(set.intersection(*(set(values) for values in samples)))
    if len(seeds) < 2:
        return Judgement("undecided", statistic="Page's test needs two seeds that all of them have")
    blocks = np.array([[values[seed] for values in samples] for seed in seeds])
    means = ", ".join(number(value) for value in blocks.mean(axis=0))
    if not np.isfinite(blocks).all():
        return Judgement("undecided", statistic=f"means {means}")
    sign = 1 if direction == "rises" else -1
    along, against = (
        stats.page_trend_test(way * blocks, predicted_ranks=np.arange(1, len(samples) + 1), method="exact")
        for way in (sign, -sign)
    )
    statistic = f"means {means}; Page's L = {along.statistic:.0f} over {len(seeds)} seeds, {p_value(along.pvalue)}"
    steps = [difference_of(results, after, before, quantity)[:2] for before, after in pairwise(variants)]
    wrong = [(difference, half) for difference, half in steps if sign * difference <= 0]
    if wrong:
        statistic += "; against it " + ", ".join(f"{number(step)} ± {number(half)}" for step, half in wrong)
    contrary = against.pvalue < 0.05 or any(abs(step) > half for step, half in wrong)
    found = decide(along.pvalue < 0.05 and not wrong, contrary)
    return Judgement(found, statistic=statistic, detectable=max(half for _, half in steps))


def at_chance(results: Results, variant: str, quantity: Quantity) -> Judgement:
    """Whether every seed stays within sampling error of the best that labels alone can do (the dummy), or below."""
    values = results.sample(variant, quantity)
    chance = results.sample(variant, "dummy.accuracy").mean
    images = results.values(variant, str(quantity))[1]
    limit = chance + half_width([], chance * (1 - chance) / images)
    inside = [value <= limit for value in values.values.values()]
    each = ", ".join(number(value) for value in values.values.values())
    statistic = f"seeds {each}; chance is {number(chance)}, at most {number(limit)}"
    return Judgement(decide(all(inside), not any(inside)), values.mean, statistic=statistic, detectable=limit - chance)


def reaches(results: Results, variant: str, quantity: str, below: str, choose: str) -> Judgement:
    """Whether the start with the lowest `choose` has a `quantity` below a limit; undecided where only another has."""
    tried, chosen_by = results.sample(variant, quantity).values, results.sample(variant, choose).values
    limit = figure_of(below)[0]
    finite = {seed: value for seed, value in chosen_by.items() if math.isfinite(value)}
    if not finite:
        return Judgement("worse", statistic="not a number in any start")
    chosen = min(finite, key=lambda seed: finite[seed])
    reached = sum(value < limit for value in tried.values())
    statistic = f"{reached} of {len(tried)} starts; the one with the lowest training loss, seed {chosen}, has "
    statistic += f"{tried[chosen]:.4f}, the median start {np.median(list(tried.values())):.4f}"
    found = "reproduced" if tried[chosen] < limit else "undecided" if reached else "worse"
    return Judgement(found, tried[chosen], difference=tried[chosen] - limit, statistic=statistic)


def beats_dummy(results: Results, variant: str, quantity: Quantity) -> Judgement:
    """Whether every seed lies above what labels alone can do, and the sampling error of that."""
    found = at_chance(results, variant, quantity)
    contrary = {"reproduced": "refuted", "refuted": "reproduced"}
    return replace(found, verdict=contrary.get(found.verdict, "undecided"))


def positive(results: Results, variant: str, quantity: Quantity) -> Judgement:
    """Whether a quantity, mostly a gap, lies above 0: the interval of its mean over the seeds."""
    mean, half, statistic = mean_of(results, variant, quantity)
    return interval(decide(mean > half, mean < -half), mean, half, statistic)


def within(results: Results, variant: str, quantity: Quantity, margin: float) -> Judgement:
    """Whether a quantity, mostly a gap, is at most `margin` from 0: reproduced where its whole interval is."""
    mean, half, statistic = mean_of(results, variant, quantity)
    found = decide(abs(mean) + half <= margin, abs(mean) - half > margin)
    return interval(found, mean, half, f"{statistic}, margin {number(margin)}")


def change(results: Results, variant: str, quantity: Quantity, since: int, direction: str) -> Judgement:
    """Whether a history rises or falls from an epoch to the last: the seeds' differences, as pairs.

    `stays`: refuted where it does either; that it does neither, no test can show.
    """
    first, last = (results.sample(variant, quantity, epoch) for epoch in (since, None))
    steps = np.array([last.values[seed] - first.values[seed] for seed in first.values])
    if len(steps) < 2:
        return Judgement("undecided", statistic="needs two seeds")
    mean = float(steps.mean())
    half = half_width([(float(steps.var(ddof=1)) / len(steps), len(steps) - 1)], 0)
    rises, falls = mean - half > 0, mean + half < 0
    supported, contrary = {"rises": (rises, falls), "falls": (falls, rises), "stays": (False, rises or falls)}[
        direction
    ]
    statistic = f"from {number(first.mean)} at epoch {since} to {number(last.mean)}: {number(mean)} ± {number(half)}"
    return interval(decide(supported, contrary), mean, half, statistic)


def ahead(results: Results, a: str, b: str, quantity: str) -> Judgement:
    """Whether `a` lies above `b` at every epoch, each difference with its interval."""
    steps = {
        epoch: difference_of(results, a, b, quantity, epoch=epoch)[:2] for epoch in epochs(results, a, b, quantity)
    }
    above = sum(difference > half for difference, half in steps.values())
    below = sum(difference < -half for difference, half in steps.values())
    nearest = min(steps, key=lambda epoch: steps[epoch][0])
    statistic = f"above in {above} of {len(steps)} epochs, below in {below}; least at epoch {nearest}: "
    statistic += f"{number(steps[nearest][0])} ± {number(steps[nearest][1])}"
    return Judgement(
        decide(above == len(steps), below > 0), statistic=statistic, detectable=max(half for _, half in steps.values())
    )


def overtakes(results: Results, a: str, b: str, quantity: str) -> Judgement:
    """Whether `a` lies below `b` at the first epoch and above it at the last."""
    ends = [difference_of(results, a, b, quantity, epoch=each(epochs(results, a, b, quantity))) for each in (min, max)]
    (first, half, start), (last, other, end) = ends
    found = decide(first < -half and last > other, first > half or last < -other)
    return Judgement(found, statistic=f"first {start}; last {end}", detectable=max(half, other))


def misses(results: Results, variant: str, quantity: str, below: str, choose: str) -> Judgement:
    """Whether no start comes below a limit; refuted where the one with the lowest `choose` does."""
    found = reaches(results, variant, quantity, below, choose)
    contrary = {"reproduced": "refuted", "worse": "reproduced"}
    return replace(found, verdict=contrary.get(found.verdict, "undecided"))


def epochs(results: Results, a: str, b: str, quantity: str) -> list[int]:
    """The epochs that every seed of both variants has."""
    _, data, metric = quantity.split(".")
    for name in (a, b):
        results.sample(name, quantity)
    runs = [run for name in (a, b) for run in results.curves(name)[metric, data].values()]
    return sorted(set.intersection(*(set(run) for run in runs)))


def mean_of(results: Results, variant: str, quantity: Quantity) -> tuple[float, float, str]:
    """A variant's mean, half of its interval, and both as text."""
    sample, (deviation, freedom) = results.sample(variant, quantity), results.spread(variant, quantity)
    half = half_width([(deviation**2 / len(sample.values), freedom)], sample.sampling)
    return sample.mean, half, f"{number(sample.mean)} ± {number(half)}"


TESTS: dict[str, Callable[..., Judgement]] = {
    test.__name__: test
    for test in (
        verdicts.figure, verdicts.best, verdicts.curve, verdicts.beside, verdicts.seconds, verdicts.ratio,
        verdicts.equal, verdicts.less, verdicts.no_better, verdicts.highest, verdicts.lowest,
        trend, at_chance, reaches, beats_dummy, positive, within, change, ahead, overtakes, misses,
    )
}  # fmt: skip
