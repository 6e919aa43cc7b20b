"""Each test of claims in words on made-up numbers, at its boundaries."""

import math
from pathlib import Path

import numpy as np
import pytest
from made_up import history, put
from scipy import stats

from replica.report import verdicts, words
from replica.report.environment import figure, signed
from replica.report.results import Results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Results of variants `a` to `e`, which `put` and `history` write."""
    return Results({"variants": {name: {"data": {"dataset": "digits"}} for name in "abcde"}}, tmp_path)


@pytest.mark.parametrize(
    ("values", "verdict"), [((0.5, 0.6, 0.7, 0.8), "reproduced"), ((0.8, 0.7, 0.6, 0.5), "refuted"),
                            ((0.602, 0.6, 0.602, 0.6), "undecided")],
)  # fmt: skip
def test_trend(results, values, verdict):
    for name, value in zip("abcd", values, strict=True):
        put(results, name, test_accuracy=[value, value + 0.001, value + 0.002])
    found = words.trend(results, list("abcd"), "test.accuracy", "rises")
    assert found.verdict == verdict and "Page's L" in found.statistic
    falls = {"reproduced": "refuted", "refuted": "reproduced"}.get(verdict, verdict)
    assert words.trend(results, list("abcd"), "test.accuracy", "falls").verdict == falls


def test_what_a_diverged_training_left_is_undecided_and_written_as_a_dash(results):
    put(results, "a", test_accuracy=[0.5, math.nan, 0.5])
    put(results, "b", test_accuracy=[0.6, 0.6, 0.6])
    found = verdicts.less(results, "a", "b", "test.accuracy")
    assert found.verdict == "undecided"
    assert (figure(found.detectable), figure(math.inf, "s"), signed(found.difference)) == ("–", "–", "")


@pytest.mark.parametrize("way", ["rises", "falls"])
@pytest.mark.parametrize(("back", "verdict"), [(0.002, "undecided"), (0.1, "refuted")])
def test_a_trend_holds_at_each_step(results, way, back, verdict):
    sign = 1 if way == "rises" else -1
    for name, step in zip("abcde", (0, -back, 0.2, 0.3, 0.4), strict=True):
        put(results, name, test_accuracy=[0.5 + sign * step + more for more in (0, 0.001, 0.002)])
    found = words.trend(results, list("abcde"), "test.accuracy", way)
    assert found.verdict == verdict and "p = 0.0" in found.statistic and "against it" in found.statistic


def test_at_chance(results):
    for name, values in (("a", [0.098, 0.1058]), ("b", [0.098, 0.1059]), ("c", [0.2, 0.3])):
        put(results, name, test_accuracy=values)  # the dummy has 0.1: at most 0.1 + 1.96·0.003
    judged = [words.at_chance(results, name, "test.accuracy").verdict for name in "abc"]
    assert judged == ["reproduced", "undecided", "refuted"]
    judged = [words.beats_dummy(results, name, "test.accuracy").verdict for name in "abc"]
    assert judged == ["refuted", "undecided", "reproduced"]


GAP = ["history.training.accuracy", "history.validation.accuracy"]


def test_a_gap_of_one_variant(results):
    for name, gap in (("a", 0.1), ("b", -0.1), ("c", 0.0)):
        training, validation = ([0.5 + more, 0.501 + more, 0.502 + more] for more in (gap, 0))
        put(results, name, history_training_accuracy=training, history_validation_accuracy=validation)
    assert [words.positive(results, name, GAP).verdict for name in "abc"] == [
        "reproduced", "refuted", "undecided",
    ]  # fmt: skip
    assert [words.within(results, name, GAP, 0.05).verdict for name in "abc"] == [
        "refuted", "refuted", "reproduced",
    ]  # fmt: skip
    assert words.within(results, "c", GAP, 0.001).verdict == "undecided"


def test_from_an_epoch_to_the_last(results):
    history(results, "a", {"test.loss": [[1.0, 0.8, 0.6, 0.5], [1.1, 0.9, 0.7, 0.61], [1.2, 1.0, 0.8, 0.7]]})
    ways = {way: words.change(results, "a", "history.test.loss", 2, way) for way in ("falls", "rises", "stays")}
    assert {way: each.verdict for way, each in ways.items()} == {
        "falls": "reproduced", "rises": "refuted", "stays": "refuted",
    }  # fmt: skip
    steps = [-0.3, -0.29, -0.3]
    half = stats.t.ppf(0.975, 2) * np.std(steps, ddof=1) / math.sqrt(3)
    assert (ways["falls"].low, ways["falls"].high) == pytest.approx((np.mean(steps) - half, np.mean(steps) + half))
    history(results, "b", {"test.loss": [[1.0, 0.9], [1.0, 1.1], [1.0, 1.0]]})
    assert words.change(results, "b", "history.test.loss", 1, "stays").verdict == "undecided"


def test_one_history_ahead_of_another(results):
    base = [[0.5, 0.6, 0.7, 0.8], [0.501, 0.601, 0.701, 0.801]]

    def other(*steps: float) -> list[list[float]]:
        return [[value + step for value, step in zip(run, steps, strict=True)] for run in base]

    history(results, "a", {"training.accuracy": base})
    history(results, "b", {"training.accuracy": other(0.1, 0.1, 0.1, 0.1)})
    history(results, "c", {"training.accuracy": other(-0.1, 0.1, 0.1, 0.1)})
    history(results, "d", {"training.accuracy": other(0.0, 0.1, 0.1, 0.1)})
    curve = "history.training.accuracy"
    assert [words.ahead(results, name, "a", curve).verdict for name in "bcd"] == [
        "reproduced", "refuted", "undecided",
    ]  # fmt: skip
    assert [words.overtakes(results, name, "a", curve).verdict for name in "cbd"] == [
        "reproduced", "refuted", "undecided",
    ]  # fmt: skip


def test_reaches_by_the_start_that_training_chooses(results):
    put(results, "a", history_test_loss=[0.3, 0.07, 0.2], history_training_loss=[0.2, 0.05, 0.1])
    put(results, "b", history_test_loss=[0.3, 0.07, 0.2], history_training_loss=[0.01, 0.05, 0.1])
    put(results, "c", history_test_loss=[0.3, 0.2], history_training_loss=[math.nan, 0.1])
    arguments = {"quantity": "history.test.loss", "below": "0.1", "choose": "history.training.loss"}
    found = [words.reaches(results, name, **arguments) for name in "abc"]
    assert [each.verdict for each in found] == ["reproduced", "undecided", "worse"]
    contrary = [words.misses(results, name, **arguments).verdict for name in "abc"]
    assert contrary == ["refuted", "undecided", "reproduced"]
    assert found[0].statistic.startswith("1 of 3 starts; the one with the lowest training loss, seed 1, has 0.0700")
