"""How a claim is judged: the tests that claims.yaml names of figures, and of two variants side by side.

The others are in `replica.claims_words`; docs/claims.md states the rule. Each takes the results and the claim's
arguments, and returns a `Judgement`; each raises `NotRunError` where a variant has no figures yet. Accuracies are
shares, losses are in nats.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median
from typing import Any

from scipy import stats

from replica.report.results import NotRunError, Quantity, Results, is_share

CONFIDENCE = 0.95
VERDICTS = (
    "reproduced", "reproduced, weakly", "better", "worse", "refuted", "undecided", "not comparable", "not run",
)  # fmt: skip
WEAK = 1 / 3  # of our figure: an interval that reaches further says little
MISSES = 0.1  # of a history's epochs, at most, outside their intervals


@dataclass(frozen=True)
class Judgement:
    """A verdict, and what it rests on: our figure with its interval, the difference to theirs, the statistic.

    `detectable` is the smallest difference that the test could have told from none.
    """

    verdict: str
    ours: float | None = None
    low: float | None = None
    high: float | None = None
    difference: float | None = None
    statistic: str = ""
    detectable: float | None = None


def figure_of(text: str) -> tuple[float, float]:
    """A figure as a document writes it, and half a unit of its last digit: `50%` is 0.5 and 0.005."""
    number = Decimal(text.removesuffix("%"))
    scale = 100 if text.endswith("%") else 1
    return float(number) / scale, 0.5 * 10.0 ** int(number.as_tuple().exponent) / scale


def half_width(parts: Sequence[tuple[float, float]], fixed: float) -> float:
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
    epoch: int | None = None,
    also: Quantity | None = None,
) -> Judgement:
    """A document's figure against the interval in which one more run of ours would fall.

    Parameters
    ----------
    value
        As the document writes it.
    relation
        `equals`, or `above` where the document says "over": then our mean must lie above it.
    because
        Why ours would be `better` or `worse`: outside the interval and on that side, the figure is refuted.
    images
        Behind an accuracy, where the metrics do not say.
    epoch
        Of a history, where it is not the last.
    also
        A second quantity that the document may have meant; the statistic says how it would come out.
    """
    sample = results.sample(variant, quantity, epoch)
    theirs, rounding = figure_of(value)
    ours, count = sample.mean, len(sample.values)
    wrong = sum(not math.isfinite(each) for each in sample.values.values())
    if wrong:
        return Judgement("worse", statistic=f"not a number in {wrong} of {count} seeds")
    deviation, freedom = results.spread(variant, quantity, epoch)
    sampling = sample.sampling or (ours * (1 - ours) / images if images else 0.0)
    half = half_width([(deviation**2 * (1 + 1 / count), freedom)], sampling)
    alone = count == 1 and results.stochastic(quantity)
    statistic = f"{count} seeds, s = {deviation:.2g}" if freedom else ""
    if alone:
        statistic = f"one seed; s = {deviation:.2g}, of the dataset's other variants"
    share = is_share(quantity)
    difference, detectable = ours - theirs, half + rounding
    inside = abs(difference) <= detectable + 1e-12
    side = "better" if (difference < 0) == str(quantity).endswith("loss") else "worse"
    if relation == "above" and (inside or difference > 0):
        verdict = "reproduced" if difference > 0 and not alone else "undecided"
    elif inside:
        weak = alone or detectable > WEAK * (min(ours, 1 - ours) if share else abs(ours))
        verdict = "reproduced, weakly" if weak else "reproduced"
    elif alone:
        verdict = "undecided"
    else:
        verdict = "refuted" if side in (because or {}) else side
    if also:
        other = figure(results, variant, also, value, relation)
        statistic += f"; {also} is {number(other.ours or math.nan)}, and by it: {other.verdict}"
    low, high = max(ours - half, 0), min(ours + half, 1.0 if share else math.inf)
    return Judgement(verdict, ours, low, high, difference, statistic, detectable)


def best(results: Results, variants: Sequence[str], quantity: Quantity, value: str, **rest: Any) -> Judgement:
    """A figure of the best of several variants, by their means."""
    name = max(variants, key=lambda name: results.sample(name, quantity).mean)
    found = figure(results, name, quantity, value, **rest)
    return replace(found, statistic=f"{name}: {found.statistic}")


def curve(results: Results, variant: str, quantity: Quantity, values: Mapping[int, str]) -> Judgement:
    """A document's history, by epoch: reproduced where all but a tenth of its figures lie in their intervals.

    Undecided where more lie outside, but not the half.
    """
    found = {epoch: figure(results, variant, quantity, value, epoch=epoch) for epoch, value in values.items()}
    verdicts = Counter(each.verdict for each in found.values())
    outside = {epoch: each.verdict for epoch, each in found.items() if not each.verdict.startswith("reproduced")}
    statistic = f"{len(found) - len(outside)} of {len(found)} epochs inside"
    if outside:
        statistic += "; outside: " + ", ".join(f"{epoch} ({verdict})" for epoch, verdict in outside.items())
    if len(outside) > len(found) / 2:
        verdict = Counter(outside.values()).most_common(1)[0][0]
    elif len(outside) > math.ceil(MISSES * len(found)):
        verdict = "undecided"
    else:
        weak = verdicts["reproduced, weakly"] > verdicts["reproduced"]
        verdict = "reproduced, weakly" if weak else "reproduced"
    return Judgement(verdict, statistic=statistic, detectable=median(each.detectable or 0 for each in found.values()))


def beside(results: Results, variant: str, quantity: Quantity, value: str) -> Judgement:
    """Two figures that no interval can hold together, such as seconds on two machines."""
    ours = results.sample(variant, quantity).mean
    return Judgement("not comparable", ours, difference=ours - figure_of(value)[0])


def seconds(results: Results, variants: Sequence[str]) -> Judgement:
    """Which of several variants trains faster: one machine's seconds, one figure each, so no interval."""
    ours = [results.sample(name, "seconds").mean for name in variants]
    return Judgement("not comparable", statistic="ours: " + ", ".join(f"{each:.1f}" for each in ours) + " s")


def ratio(results: Results, a: str, b: str, quantity: Quantity, value: str) -> Judgement:
    """How many times `b` is `a`, one run of each: of seconds, which have no interval, beside the document's."""
    samples = [results.sample(name, quantity) for name in (a, b)]
    theirs, rounding = figure_of(value)
    first, second = (sample.mean for sample in samples)
    times = first / second
    statistic = f"{first:.4g} against {second:.4g}"
    if quantity == "seconds":
        return Judgement("not comparable", times, difference=times - theirs, statistic=f"{statistic} s")
    parts = []
    for name, sample in zip((a, b), samples, strict=True):
        deviation, freedom = results.spread(name, quantity)
        parts.append(((deviation / sample.mean) ** 2 * (1 + 1 / len(sample.values)), freedom))
    half = times * half_width(parts, sum(sample.sampling / sample.mean**2 for sample in samples))
    difference = times - theirs
    found = "reproduced" if abs(difference) <= half + rounding else "better" if difference > 0 else "worse"
    return Judgement(found, times, times - half, times + half, difference, statistic, half + rounding)


def equal(results: Results, variant: str, quantity: str, value: Any) -> Judgement:
    """A figure that comes out exactly, or does not: a number, or an array as nested lists."""
    found = results.values(variant, quantity)[0]
    if not found:
        raise NotRunError(variant)
    ours = found[0]
    theirs = figure_of(value)[0] if isinstance(value, str) and isinstance(ours, int | float) else value
    same = math.isclose(ours, theirs, rel_tol=1e-6) if isinstance(ours, float) else ours == theirs
    if same:
        return Judgement("reproduced", statistic="exactly" if theirs is True else f"exactly {theirs}")
    return Judgement("worse", statistic=f"ours {ours}, theirs {theirs}")


def less(results: Results, a: str, b: str, quantity: Quantity, by: float = 0.0, absolute: bool = False) -> Judgement:
    """Whether `a` lies below `b`, by more than `by`: the difference of means with its interval.

    Parameters
    ----------
    absolute
        Compare sizes, without their signs.
    """
    difference, half, statistic = difference_of(results, a, b, quantity, absolute)
    found = decide(difference + half < -by, difference - half > -by)
    return interval(found, difference, half, statistic)


def no_better(results: Results, a: str, b: str, quantity: Quantity, margin: float) -> Judgement:
    """Whether `a` is at most `margin` above `b`, the whole interval of their difference; refuted if it lies above 0."""
    difference, half, statistic = difference_of(results, a, b, quantity)
    found = decide(difference + half <= margin, difference - half > 0)
    statistic += f", margin {number(margin)}"
    return interval(found, difference, half, statistic)


def highest(results: Results, variant: str, others: Sequence[str], quantity: Quantity) -> Judgement:
    """Whether a variant lies above each of the others; undecided where one of these is not a number."""
    means = {name: results.sample(name, quantity).mean for name in others}
    best = max(means, key=lambda name: (math.isnan(means[name]), means[name]))
    return less(results, best, variant, quantity)


def lowest(
    results: Results, variant: str, others: Sequence[str], quantity: Quantity, absolute: bool = False
) -> Judgement:
    """Whether a variant lies below each of the others; `absolute`: by their sizes, without their signs."""
    means = {name: results.sample(name, quantity).mean for name in others}
    sizes = {name: abs(mean) if absolute else mean for name, mean in means.items()}
    nearest = min(sizes, key=lambda name: (not math.isnan(sizes[name]), sizes[name]))
    return less(results, variant, nearest, quantity, absolute=absolute)


def difference_of(
    results: Results, a: str, b: str, quantity: Quantity, absolute: bool = False, epoch: int | None = None
) -> tuple[float, float, str]:
    """The difference of two variants' means, half of its interval, and both as text."""
    samples = [results.sample(name, quantity, epoch) for name in (a, b)]
    spreads = [results.spread(name, quantity, epoch) for name in (a, b)]
    first, second = (abs(sample.mean) if absolute else sample.mean for sample in samples)
    parts = [
        (deviation**2 / len(sample.values), freedom)
        for sample, (deviation, freedom) in zip(samples, spreads, strict=True)
    ]
    half = half_width(parts, sum(sample.sampling for sample in samples))
    difference = first - second
    statistic = f"{number(first)} − {number(second)} = {number(difference)}" + (f" ± {number(half)}" if half else "")
    return difference, half, statistic


def interval(verdict: str, difference: float, half: float, statistic: str) -> Judgement:
    """A judgement that rests on a difference and half of its interval."""
    return Judgement(verdict, difference, difference - half, difference + half, statistic=statistic, detectable=half)


def decide(supported: bool, contrary: bool) -> str:
    return "reproduced" if supported else "refuted" if contrary else "undecided"


def number(value: float) -> str:
    whole = abs(value) >= 100 and value == round(value)
    return (f"{value:,.0f}" if whole else f"{value:.4f}").replace("-", "−")


def p_value(p: float) -> str:
    return f"p = {p:.2g}" if p >= 0.0001 else "p < 0.0001"
