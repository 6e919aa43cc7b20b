"""claims.yaml holds every claim of the documents; each test of claims on made-up numbers, at its boundaries."""

import csv
import json
import math
from pathlib import Path

import made_up
import numpy as np
import pytest
from conftest import ROOT
from scipy import stats

from replica.common import files, parameters
from replica.common.errors import UserError
from replica.report import claims, verdicts
from replica.report.results import NotRunError, Results

DECLARED = claims.read(ROOT / "claims.yaml")
PARAMETERS = parameters.read(ROOT / "params.yaml")

# Every figure of the documents: variant, what it is, value
FIGURES = """
mnist_cnn train_loss 0.0058, train_accuracy 0.9982, val_loss 0.0601, val_accuracy 0.9866
cifar10_strided_5k test_accuracy 0.50, train_seconds 10, dummy_accuracy 0.10
cifar10_strided_10k train_seconds 12
cifar10_strided_20k train_seconds 19
cifar10_strided_40k test_accuracy 0.70, train_seconds 31
cifar10_maxpool_5k train_seconds 11.12
cifar10_deep_50k test_accuracy 0.65
cifar10_deep_50k_long test_accuracy 0.70, train_seconds 98
mnist_mlp test_loss 0.09855, test_accuracy 0.9699, train_loss 0.0702, train_accuracy 0.9796
mnist_l2_1e-6 test_loss 1.24076, test_accuracy 0.5700
mnist_l2_1e-5 test_loss 0.97040, test_accuracy 0.6662
mnist_l2_1e-4 test_loss 0.74276, test_accuracy 0.7392
mnist_l2_5e-4 test_loss 0.54819, test_accuracy 0.8441
mnist_l2_1e-3 test_loss 0.46559, test_accuracy 0.8912
mnist_conv_adam test_accuracy 0.90
mnist_sgd test_loss 0.0875, test_accuracy 0.9737, train_accuracy 0.9786
mnist_sgd_lr_1 test_loss 2.3105, test_accuracy 0.0980, train_accuracy 0.1053
mnist_sgd_lr_1e-5 test_loss 2.2316, test_accuracy 0.3319, train_accuracy 0.3201
mnist_sgd_momentum test_loss 0.0443, test_accuracy 0.9874, train_loss 0.0062, train_accuracy 0.9984
mnist_sgd_two_conv test_loss 0.0403, test_accuracy 0.9873, train_accuracy 0.9883
mnist_linear train_loss 0.2633906, train_accuracy 0.9266250, val_loss 0.2904317, val_accuracy 0.9192500
mnist_relu test_loss 0.0779087, test_accuracy 0.9801
mnist_adadelta test_loss 0.0459091, test_accuracy 0.9867
cifar10_four_conv test_loss 1.007252, test_accuracy 0.6429
mnist_random_search val_accuracy 0.9875833, units 32, dropout 0.04983816
"""


def short(quantity: str) -> str:
    """Our name of a quantity in the list's words."""
    name = quantity.removeprefix("history.").removeprefix("best.").replace("training", "train")
    return name.replace("validation", "val").replace(".", "_").replace("seconds", "train_seconds")


def test_every_figure_of_the_documents_is_a_claim():
    listed = {}
    for line in FIGURES.strip().splitlines():
        variant, rest = line.split(" ", 1)
        listed |= {(variant, *figure.split()[:1]): float(figure.split()[1]) for figure in rest.split(", ")}
    declared = {
        (claim["variant"], short(claim["quantity"])): verdicts.figure_of(claim["value"])[0]
        for claim in DECLARED["claims"]
        if "value" in claim
    }
    assert declared == pytest.approx(listed, rel=1e-12)
    words = [claim for claim in DECLARED["claims"] if "test" in claim]
    assert len(declared) + len(words) == len(DECLARED["claims"])


def test_claims_name_what_there_is():
    known = {*PARAMETERS["variants"], *PARAMETERS["searches"], "convolution"}
    ids = [claim["id"] for claim in DECLARED["claims"]]
    assert len(ids) == len(set(ids))
    for claim in claims.judge(DECLARED["claims"], Results(PARAMETERS, Path("nowhere"))):
        assert claim.judgement.verdict == "not run"
        assert claim.variants and set(claim.variants) <= known, claim.id
        assert set(claim.variants) <= {*DECLARED["documents"][claim.document]["variants"], "convolution"}, claim.id
    described = [name for document in DECLARED["documents"].values() for name in document["variants"]]
    official = {
        name
        for name, entry in PARAMETERS["variants"].items()
        if entry["dataset"] in ("mnist", "cifar10", "spiral") and "_fast" not in name  # those are ours
    }
    assert len(described) == len(set(described)) and set(described) == official | set(PARAMETERS["searches"])
    drawn = {name for figure in DECLARED["figures"] for name in figure["variants"].values()}
    assert drawn <= official


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Results of variants `a` to `e`, which `put` writes."""
    variants = {name: {"dataset": "digits"} for name in "abcde"}
    return Results({"variants": variants}, tmp_path)


def put(results: Results, name: str, images: int = 10_000, seeds: int = 0, **values: list[float]) -> None:
    """Write a variant: `test_accuracy=[…]`, a value a seed, into its details; `history_…` into its history."""
    count = seeds or len(next(iter(values.values())))
    runs = {str(seed): {data: {} for data in ("train", "validation", "test")} for seed in range(count)}
    rows = []
    for key, figures in values.items():
        source, data, metric = ("", *key.split("_")) if key.count("_") == 1 else key.split("_")
        for seed, value in enumerate(figures):
            if source:
                rows += [(epoch, value if epoch == 2 else 0.5, metric, data, seed) for epoch in (1, 2)]
            else:
                runs[str(seed)][data][metric] = None if math.isnan(value) else value
    file = results.root / "metrics/details" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(("train", "validation", "test"), images)
    file.write_text(json.dumps({"images": counts, "seeds": runs}))
    (results.root / "metrics" / f"{name}.json").write_text(json.dumps({"dummy": {"accuracy": 0.1}}))
    files.write_csv(results.root / "plots/variants" / name / "history.csv", files.HISTORY, rows)


def test_a_figure_is_reproduced_up_to_the_end_of_the_interval(results):
    accuracies = [0.96, 0.97, 0.98]
    put(results, "a", test_accuracy=accuracies)
    sampling, seeds = 0.97 * 0.03 / 10_000, 0.01**2 * (1 + 1 / 3)
    freedom = (sampling + seeds) ** 2 / (seeds**2 / 2)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sampling + seeds)
    for off, verdict in ((-1e-4, "reproduced"), (1e-4, "worse")):
        found = verdicts.figure(results, "a", "test.accuracy", f"{0.97 + half + off:.6f}")
        assert (found.verdict, found.ours) == (verdict, pytest.approx(0.97))
        assert found.difference == pytest.approx(-half - off, abs=1e-6)
        assert (found.low, found.high) == (pytest.approx(0.97 - half), 1.0)
    assert verdicts.figure(results, "a", "test.accuracy", f"{0.97 - half - 1e-4:.6f}").verdict == "better"


def test_of_a_loss_less_is_better(results):
    put(results, "a", test_loss=[0.1, 0.1001, 0.0999], history_test_loss=[0.2, 0.2001, 0.1999])
    assert verdicts.figure(results, "a", "test.loss", "0.5").verdict == "better"
    assert verdicts.figure(results, "a", "test.loss", "0.05000").verdict == "worse"
    assert verdicts.figure(results, "a", "test.loss", "0.1").verdict == "reproduced"
    assert verdicts.figure(results, "a", "history.test.loss", "0.20").ours == pytest.approx(0.2)


def test_refuted_needs_a_reason_on_the_side_where_ours_lies(results):
    put(results, "a", test_accuracy=[0.98, 0.981, 0.982])
    reasons = {"better": "Its code stacks networks."}
    assert verdicts.figure(results, "a", "test.accuracy", "0.5700", because=reasons).verdict == "refuted"
    assert verdicts.figure(results, "a", "test.accuracy", "0.9999", because=reasons).verdict == "worse"
    assert verdicts.figure(results, "a", "test.accuracy", "0.9810", because=reasons).verdict == "reproduced"


@pytest.mark.parametrize(
    ("text", "value", "half"),
    [("50%", 0.5, 0.005), ("0.5700", 0.57, 0.00005), ("98", 98, 0.5), ("0.0980", 0.098, 5e-5)],
)
def test_rounding_is_half_a_unit_of_the_last_digit(text, value, half):
    assert verdicts.figure_of(text) == (pytest.approx(value), pytest.approx(half))


def test_words_for_a_rounded_figure_and_for_over(results):
    put(results, "a", images=10**9, test_accuracy=[0.4951, 0.4951])
    assert verdicts.figure(results, "a", "test.accuracy", "50%").verdict == "reproduced"
    assert verdicts.figure(results, "a", "test.accuracy", "0.500").verdict == "worse"
    assert verdicts.figure(results, "a", "test.accuracy", "40%").verdict == "better"
    assert verdicts.figure(results, "a", "test.accuracy", "40%", relation="above").verdict == "reproduced"
    assert verdicts.figure(results, "a", "test.accuracy", "60%", relation="above").verdict == "worse"


def test_one_seed_borrows_the_median_spread_of_its_dataset(results):
    put(results, "a", test_loss=[1.0])
    assert verdicts.figure(results, "a", "test.loss", "1.02").verdict == "better"
    for name, step in (("b", 0.01), ("c", 0.02), ("d", 5.0)):
        put(results, name, test_loss=[1.0, 1.0 + step])
    fresh = Results({"variants": results.variants}, results.root)
    found = verdicts.figure(fresh, "a", "test.loss", "1.02")
    assert found.high - 1 == pytest.approx(1.96 * np.std([0, 0.02], ddof=1) * math.sqrt(2), rel=1e-3)
    assert found.verdict == "reproduced" and "other variants" in found.statistic
    theirs = Results({"variants": results.variants}, results.root, documents={"a", "b", "d"})
    wider = verdicts.figure(theirs, "a", "test.loss", "1.02")
    assert wider.high - 1 == pytest.approx(1.96 * np.std([0, 2.505]) * math.sqrt(4), rel=1e-2)


def test_a_diverged_network_keeps_its_row(results):
    put(results, "a", test_loss=[math.nan, 2.3], history_training_loss=[math.nan, 1])
    for quantity in ("test.loss", "history.training.loss"):
        found = verdicts.figure(results, "a", quantity, "2.3105")
        assert (found.verdict, found.ours, found.statistic) == ("worse", None, "not a number in 1 of 2 seeds")


def test_the_history_tells_its_last_epoch(results):
    put(results, "a", history_training_accuracy=[0.9, 0.8], history_validation_accuracy=[0.7, 0.7])
    assert results.sample("a", "history.training.accuracy").values == {0: 0.9, 1: 0.8}
    gap = results.sample("a", ["history.training.accuracy", "history.validation.accuracy"])
    assert gap.values == pytest.approx({0: 0.2, 1: 0.1})


@pytest.mark.parametrize(
    ("values", "verdict"), [((0.5, 0.6, 0.7, 0.8), "reproduced"), ((0.8, 0.7, 0.6, 0.5), "refuted"),
                            ((0.6, 0.5, 0.6, 0.5), "undecided")],
)  # fmt: skip
def test_trend(results, values, verdict):
    for name, value in zip("abcd", values, strict=True):
        put(results, name, test_accuracy=[value, value + 0.001, value + 0.002])
    found = verdicts.trend(results, list("abcd"), "test.accuracy", "rises")
    assert found.verdict == verdict and "Page's L" in found.statistic
    falls = {"reproduced": "refuted", "refuted": "reproduced"}.get(verdict, verdict)
    assert verdicts.trend(results, list("abcd"), "test.accuracy", "falls").verdict == falls


def test_less(results):
    put(results, "a", test_accuracy=[0.97, 0.971, 0.972])
    put(results, "b", test_accuracy=[0.98, 0.981, 0.982])
    put(results, "c", test_accuracy=[0.973, 0.974, 0.975])
    judged = [verdicts.less(results, *pair, "test.accuracy").verdict for pair in ("ab", "ba", "ac")]
    assert judged == ["reproduced", "refuted", "undecided"]
    assert verdicts.less(results, "a", "b", "test.accuracy", by=0.5).verdict == "refuted"
    half = stats.t.ppf(0.975, 1e9) * math.sqrt(0.971 * 0.029 / 10_000 + 0.981 * 0.019 / 10_000)
    found = verdicts.less(results, "a", "b", "test.accuracy")
    assert found.ours == pytest.approx(-0.01) and half < found.high + 0.01 < half * 1.1


def test_closer_together_compares_sizes(results):
    pair = ["history.training.accuracy", "history.validation.accuracy"]
    put(results, "a", history_training_accuracy=[0.70, 0.70], history_validation_accuracy=[0.72, 0.721])
    put(results, "b", history_training_accuracy=[0.90, 0.90], history_validation_accuracy=[0.72, 0.721])
    assert verdicts.less(results, "a", "b", pair, absolute=True).verdict == "reproduced"
    assert verdicts.less(results, "b", "a", pair, absolute=True).verdict == "refuted"


def test_no_better(results):
    put(results, "a", test_accuracy=[0.50, 0.501])
    put(results, "b", test_accuracy=[0.54, 0.541])
    put(results, "c", test_accuracy=[0.498, 0.499])
    judged = [verdicts.no_better(results, *pair, "test.accuracy", 0.01).verdict for pair in ("ab", "ba", "ac")]
    assert judged == ["reproduced", "refuted", "undecided"]
    assert verdicts.no_better(results, "a", "c", "test.accuracy", 0.02).verdict == "reproduced"


def test_highest(results):
    for name, value in (("a", 0.7), ("b", 0.8), ("c", 0.9)):
        put(results, name, test_accuracy=[value, value + 0.001])
    assert verdicts.highest(results, "c", ["a", "b"], "test.accuracy").verdict == "reproduced"
    assert verdicts.highest(results, "b", ["a", "c"], "test.accuracy").verdict == "refuted"


def test_at_chance(results):
    for name, values in (("a", [0.098, 0.1058]), ("b", [0.098, 0.1059]), ("c", [0.2, 0.3])):
        put(results, name, test_accuracy=values)  # the dummy has 0.1: at most 0.1 + 1.96·0.003
    judged = [verdicts.at_chance(results, name, "test.accuracy").verdict for name in "abc"]
    assert judged == ["reproduced", "undecided", "refuted"]


def test_ratio_and_seconds(results):
    rows = [("a", 10.0, 3, "a CPU"), ("b", 12.0, 3, "a CPU"), ("c", 9.0, 3, "a CPU"), ("d", 14.0, 3, "a CPU")]
    files.write_csv(results.root / "benchmarks/seconds.csv", ("variant", "train_seconds", "seeds", "cpu"), rows)
    fresh = Results({"variants": results.variants}, results.root)
    judged = [verdicts.ratio(fresh, name, "a", "seconds", 1.1, 1.3).verdict for name in "bcd"]
    assert judged == ["reproduced", "refuted", "undecided"]
    found = verdicts.beside(fresh, "a", "seconds", "31")
    assert (found.verdict, found.ours, found.difference) == ("not comparable", 10, -21)
    with pytest.raises(NotRunError, match="e"):
        verdicts.beside(fresh, "e", "seconds", "31")


def test_reaches_by_the_start_that_training_chooses(results):
    put(results, "a", history_test_loss=[0.3, 0.07, 0.2], history_training_loss=[0.2, 0.05, 0.1])
    put(results, "b", history_test_loss=[0.3, 0.07, 0.2], history_training_loss=[0.01, 0.05, 0.1])
    put(results, "c", history_test_loss=[0.3, 0.2], history_training_loss=[math.nan, 0.1])
    arguments = {"quantity": "history.test.loss", "below": "0.1", "choose": "history.training.loss"}
    found = [verdicts.reaches(results, name, **arguments) for name in "abc"]
    assert [each.verdict for each in found] == ["reproduced", "undecided", "worse"]
    assert found[0].statistic.startswith("1 of 3 starts; the one with the lowest training loss, seed 1, has 0.0700")


def test_equal(results):
    file = results.root / "metrics/convolution.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"A": {"valid": [[-1.0, 27], [-36, -36]]}, "best": {"rate": 0.001}}))
    assert verdicts.equal(results, "convolution", "A.valid", [[-1, 27], [-36, -36]]).verdict == "reproduced"
    assert verdicts.equal(results, "convolution", "A.valid", [[-1, 27], [-36, 36]]).verdict == "worse"
    assert verdicts.equal(results, "convolution", "A.valid", [-1, 27]).verdict == "worse"
    assert verdicts.equal(results, "convolution", "best.rate", "0.001").verdict == "reproduced"
    with pytest.raises(NotRunError):
        verdicts.equal(results, "convolution", "A.pooled", 3)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{id: X, document: A, section: s}", "X: needs either a value, for a figure, or a test, for words"),
        ("{id: X, document: A, section: s, claim: c, test: {mor: {}}}", "X: no test 'mor'; there are figure, beside"),
        (
            "{id: X, document: Z, section: s, value: '1', variant: a, quantity: q}",
            "X: no document 'Z'; there are ['A']",
        ),
        ("{id: X, document: A, section: s, claim: c, test: {less: {a: b}}}", "X: less: missing a required argument"),
    ],
)
def test_a_claim_that_cannot_be_judged_is_one_line(tmp_path, line, message):
    file = tmp_path / "claims.yaml"
    file.write_text(f"documents: {{A: {{}}}}\nclaims:\n- {line}\n")
    with pytest.raises(UserError) as error:
        claims.read(file)
    assert str(error.value).startswith(f"{file}: {message}") and "\n" not in str(error.value)


@pytest.mark.parametrize("accuracies", [[0.9], [0.9, 0.9], [0.1], [1.0, 0.95, 0.9]])
@pytest.mark.parametrize("epochs", [1, 2])
def test_short_runs_of_few_seeds_are_judged_too(tmp_path, accuracies, epochs):
    for name, entry in PARAMETERS["variants"].items():
        if name != "spiral":
            watched = "test" if entry["validation"] == "test" else "validation"
            made_up.variant(tmp_path, name, accuracies, watched=watched, epochs=epochs, train=50, test=40)
    found = claims.judge(DECLARED["claims"], Results(PARAMETERS, tmp_path))
    assert len(found) == len(DECLARED["claims"])
    assert {claim.judgement.verdict for claim in found} <= set(verdicts.VERDICTS)
    trends = [claim for claim in found if "Page" in claim.judgement.statistic]
    assert trends and (len(accuracies) > 1 or {claim.judgement.verdict for claim in trends} == {"undecided"})


def test_the_table_leaves_nothing_out(results):
    put(results, "a", test_accuracy=[0.98, 0.981])
    common, reasons = {"document": "A", "section": "s"}, {"better": "Why."}
    declared = [
        {**common, "id": "A1", "variant": "a", "quantity": "test.accuracy", "value": "0.5700", "because": reasons},
        {**common, "id": "A2", "variant": "b", "quantity": "test.accuracy", "value": "90%", "quote": "at best"},
    ]  # fmt: skip
    judged = claims.judge(declared, results)
    assert claims.by_verdict(judged) == {"refuted": 1, "not run": 1}
    assert [claim.theirs for claim in judged] == ["57.00%", "90%"]
    claims.write(judged, results.root / "claims.csv")
    rows = list(csv.DictReader((results.root / "claims.csv").open()))
    assert [(row["id"], row["verdict"], row["ours"], row["reason"]) for row in rows] == [
        ("A1", "refuted", "0.9805", "Why."),
        ("A2", "not run", "", ""),
    ]
