"""How a claim is judged: the tests that claims.yaml names. docs/claims.md states the rule.

Each takes the results and the claim's arguments, and returns a `Judgement`; each raises `NotRunError` where a variant
has no figures yet. Accuracies are shares, losses are in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from scipy import stats

from replica.report.results import NotRunError, Quantity, Results

CONFIDENCE = 0.95
VERDICTS = ("reproduced", "better", "worse", "refuted", "undecided", "not comparable", "not run")


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what it rests on: our figure with its interval, the difference to theirs, the statistic."""

    verdict: str
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    statistic: str = ""


def figure_of(text: str) -> tuple[float, float]:
    """A figure as a document writes it, and half a unit of its last digit: `50%` is 0.5 and 0.005."""
    number = Decimal(text.removesuffix("%"))
    scale = 100 if text.endswith("%") else 1
    return float(number) / scale, 0.5 * 10.0 ** int(number.as_tuple().exponent) / scale


def half_width(parts: Sequence[tuple[float, int]], fixed: float) -> float:
    """Half of the 95% interval around a sum of estimates.

    Student's quantile at the degrees of freedom of Welch and Satterthwaite (doi:10.2307/3002019).

    Parameters
    ----------
    parts
        Estimated variances with their degrees of freedom; 0 for one that is taken as known.
    fixed
        Known variance.
    """
    total = fixed + sum(variance for variance, _ in parts)
    uncertain = sum(variance**2 / freedom for variance, freedom in parts if freedom)
    freedom = total**2 / uncertain if uncertain else math.inf
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * math.sqrt(total))


def figure(
    results: Results,
    variant: str,
    quantity: Quantity,
    value: str,
    relation: str = "equals",
    because: dict[str, str] | None = None,
    images: int = 0,
) -> Judgement:
    """A document's figure against the interval in which one more run of ours would fall.

    Parameters
    ----------
    value
        As the document writes it.
    relation
        `equals`, or `above` where the document says "over": then there is no upper end.
    because
        Why ours would be `better` or `worse`: outside the interval and on that side, the figure is refuted.
    images
        Behind an accuracy, where the metrics do not say.
    """
    sample = results.sample(variant, quantity)
    theirs, rounding = figure_of(value)
    ours, count = sample.mean, len(sample.values)
    wrong = sum(not math.isfinite(each) for each in sample.values.values())
    if wrong:
        return Judgement("worse", statistic=f"not a number in {wrong} of {count} seeds")
    deviation, freedom = results.spread(variant, quantity)
    sampling = sample.sampling or (ours * (1 - ours) / images if images else 0.0)
    half = half_width([(deviation**2 * (1 + 1 / count), freedom)], sampling)
    seeds = f"{count} seeds, s = {deviation:.2g}" if freedom else ""
    if not freedom and deviation:
        seeds = f"one seed; s = {deviation:.2g}, of the dataset's other variants"
    difference = ours - theirs
    inside = abs(difference) <= half + rounding + 1e-12 or (relation == "above" and difference > 0)
    better = (difference < 0) == str(quantity).endswith("loss")
    side = "better" if better else "worse"
    verdict = "reproduced" if inside else "refuted" if side in (because or {}) else side
    top = 1.0 if str(quantity).endswith("accuracy") else math.inf
    return Judgement(verdict, ours, max(ours - half, 0), min(ours + half, top), difference, seeds)


def beside(results: Results, variant: str, quantity: Quantity, value: str) -> Judgement:
    """Two figures that no interval can hold together, such as seconds on two machines."""
    ours = results.sample(variant, quantity).mean
    return Judgement("not comparable", ours, difference=ours - figure_of(value)[0])


def equal(results: Results, variant: str, quantity: str, value: Any) -> Judgement:
    """A figure that comes out exactly, or does not: a number, or an array as nested lists."""
    found = results.values(variant, quantity)[0]
    if not found:
        raise NotRunError(variant)
    ours = found[0]
    theirs = figure_of(value)[0] if isinstance(value, str) else value
    same = np.shape(ours) == np.shape(theirs) and bool(np.allclose(ours, theirs, rtol=1e-9, atol=0))
    if same:
        return Judgement("reproduced", statistic="exactly" if theirs is True else f"exactly {theirs}")
    return Judgement("worse", statistic=f"ours {ours}, theirs {theirs}")


def trend(results: Results, variants: Sequence[str], quantity: Quantity, direction: str) -> Judgement:
    """Whether a quantity rises or falls along the variants: Page's test, a seed a block (doi:10.2307/2282965)."""
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
    return Judgement(decide(along.pvalue < 0.05, against.pvalue < 0.05), statistic=statistic)


def less(results: Results, a: str, b: str, quantity: Quantity, by: float = 0.0, absolute: bool = False) -> Judgement:
    """Whether `a` lies below `b`, by more than `by`: the difference of means with its interval.

    Parameters
    ----------
    absolute
        Compare sizes, without their signs.
    """
    difference, half, statistic = difference_of(results, a, b, quantity, absolute)
    found = decide(difference + half < -by, difference - half > -by)
    return Judgement(found, difference, difference - half, difference + half, statistic=statistic)


def no_better(results: Results, a: str, b: str, quantity: Quantity, margin: float) -> Judgement:
    """Whether `a` is at most `margin` above `b`, the whole interval of their difference; refuted if it lies above 0."""
    difference, half, statistic = difference_of(results, a, b, quantity)
    found = decide(difference + half <= margin, difference - half > 0)
    statistic += f", margin {number(margin)}"
    return Judgement(found, difference, difference - half, difference + half, statistic=statistic)


def highest(results: Results, variant: str, others: Sequence[str], quantity: Quantity) -> Judgement:
    """Whether a variant lies above each of the others."""
    best = max(others, key=lambda name: results.sample(name, quantity).mean)
    return less(results, best, variant, quantity)


def at_chance(results: Results, variant: str, quantity: Quantity) -> Judgement:
    """Whether every seed stays within sampling error of the best that labels alone can do (the dummy), or below."""
    values = results.sample(variant, quantity)
    chance = results.sample(variant, "dummy.accuracy").mean
    images = results.values(variant, str(quantity))[1]
    limit = chance + half_width([], chance * (1 - chance) / images)
    inside = [value <= limit for value in values.values.values()]
    each = ", ".join(number(value) for value in values.values.values())
    statistic = f"seeds {each}; chance is {number(chance)}, at most {number(limit)}"
    return Judgement(decide(all(inside), not any(inside)), values.mean, statistic=statistic)


def ratio(results: Results, a: str, b: str, quantity: Quantity, low: float, high: float = math.inf) -> Judgement:
    """Whether `a` is `low` to `high` times `b`. Undecided between 1 and `low`, and above `high`."""
    first, second = (results.sample(name, quantity).mean for name in (a, b))
    times = first / second
    statistic = f"{first:.1f} against {second:.1f}: {times:.2f} times"
    return Judgement(decide(low <= times <= high, times < 1), times, statistic=statistic)


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


def difference_of(
    results: Results, a: str, b: str, quantity: Quantity, absolute: bool = False
) -> tuple[float, float, str]:
    """The difference of two variants' means, half of its interval, and both as text."""
    samples = [results.sample(name, quantity) for name in (a, b)]
    spreads = [results.spread(name, quantity) for name in (a, b)]
    first, second = (abs(sample.mean) if absolute else sample.mean for sample in samples)
    parts = [
        (deviation**2 / len(sample.values), freedom)
        for sample, (deviation, freedom) in zip(samples, spreads, strict=True)
    ]
    half = half_width(parts, sum(sample.sampling for sample in samples))
    difference = first - second
    statistic = f"{number(first)} − {number(second)} = {number(difference)} ± {number(half)}"
    return difference, half, statistic


def decide(supported: bool, contrary: bool) -> str:
    return "reproduced" if supported else "refuted" if contrary else "undecided"


def number(value: float) -> str:
    return f"{value:.4f}".replace("-", "−")


def p_value(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.0001 else "p < 0.0001"


TESTS: dict[str, Callable[..., Judgement]] = {
    test.__name__: test for test in (figure, beside, equal, trend, less, no_better, highest, at_chance, ratio, reaches)
}
