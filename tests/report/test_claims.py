"""claims.yaml holds every claim of the documents; each test of claims on made-up numbers, at its boundaries."""

import csv
import json
import math
from pathlib import Path

import made_up
import numpy as np
import pytest
import yaml
from conftest import ROOT
from made_up import history, put
from scipy import stats

from replica.common import files, parameters
from replica.common.errors import UserError
from replica.report import claims, verdicts
from replica.report.results import QUANTITIES, NotRunError, Results

DECLARED = claims.read(ROOT / "claims.yaml")
PARAMETERS = parameters.declared(ROOT)


def test_the_quantities_allowed_are_those_that_the_stages_leave():
    def paths(value, before=""):
        return [
            path
            for key, inner in value.items()
            for path in (paths(inner, f"{before}{key}.") if isinstance(inner, dict) else [f"{before}{key}"])
        ]

    scored = {
        path for name in (*PARAMETERS["variants"], *PARAMETERS["searches"])
        for path in paths(json.loads((ROOT / f"metrics/{name}.json").read_text()))
    }  # fmt: skip
    assert {path for path in scored if not path.startswith("best.")} <= set(QUANTITIES)
    assert {path for path in QUANTITIES if path.split(".")[0] not in {"history", "plateau", "crossing"}} - scored == {
        "validation.macro_f1", "seconds", "layers",
    }  # fmt: skip


def test_claims_name_what_there_is():
    declared = {*PARAMETERS["variants"], *PARAMETERS["searches"]}
    planned = {letter: set(of.get("planned", ())) for letter, of in DECLARED["documents"].items()}
    assert not declared & set.union(*planned.values())
    known = declared | set.union(*planned.values()) | {"convolution"}
    ids = [claim["id"] for claim in DECLARED["claims"]]
    assert len(ids) == len(set(ids))
    for claim in claims.judge(DECLARED["claims"], Results(PARAMETERS, Path("nowhere"))):
        assert claim.judgement.verdict == "not run"
        assert claim.variants and set(claim.variants) <= known, claim.id
        own = {*DECLARED["documents"][claim.document]["variants"], *planned[claim.document], "convolution"}
        assert set(claim.variants) <= own, claim.id
    described = [name for document in DECLARED["documents"].values() for name in document["variants"]]
    data = ("mnist", "cifar10", "spiral", "spiral_xy", "spiral_halves")
    official = {
        name
        for name, entry in PARAMETERS["variants"].items()
        if entry["data"]["dataset"] in data and "_fast" not in name  # those are ours
    }
    assert len(described) == len(set(described)) and set(described) == official | set(PARAMETERS["searches"])
    drawn = {name for figure in DECLARED["figures"] for name in figure.get("variants", {}).values()}
    assert drawn <= official


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Results of variants `a` to `e`, which `put` writes."""
    variants = {name: {"data": {"dataset": "digits"}} for name in "abcde"}
    return Results({"variants": variants}, tmp_path)


def test_a_figure_is_reproduced_up_to_the_end_of_the_interval(results):
    accuracies = [0.96, 0.97, 0.98]
    put(results, "a", test_accuracy=accuracies)
    sampling, seeds = 0.97 * 0.03 / 10_000, 0.01**2 * (1 + 1 / 3)
    freedom = (sampling + seeds) ** 2 / (seeds**2 / 2)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(sampling + seeds)
    for off, verdict in ((-1e-4, "reproduced"), (1e-4, "worse")):
        found = verdicts.figure(results, "a", "test.accuracy", f"{0.97 + half + off:.6f}")
        assert (found.verdict.partition(",")[0], found.ours) == (verdict, pytest.approx(0.97))
        assert found.difference == pytest.approx(-half - off, abs=1e-6)
        assert (found.low, found.high) == (pytest.approx(0.97 - half), 1.0)
    assert verdicts.figure(results, "a", "test.accuracy", f"{0.97 - half - 1e-4:.6f}").verdict == "better"


def test_images_that_the_metrics_do_not_say_count_in_the_interval(results):
    put(results, "a", images=0, history_test_accuracy=[0.97, 0.97, 0.97])
    alone = verdicts.figure(results, "a", "history.test.accuracy", "0.97")
    among = verdicts.figure(results, "a", "history.test.accuracy", "0.97", images=10_000)
    assert (alone.low, alone.high) == (pytest.approx(0.97), pytest.approx(0.97))
    half = stats.norm.ppf(0.975) * math.sqrt(0.97 * 0.03 / 10_000)
    assert (among.low, among.high) == (pytest.approx(0.97 - half), pytest.approx(0.97 + half))


def test_of_a_loss_less_is_better(results):
    put(results, "a", test_loss=[0.1, 0.1001, 0.0999], history_test_loss=[0.2, 0.2001, 0.1999])
    assert verdicts.figure(results, "a", "test.loss", "0.5").verdict == "better"
    assert verdicts.figure(results, "a", "test.loss", "0.05000").verdict == "worse"
    assert verdicts.figure(results, "a", "test.loss", "0.100").verdict == "reproduced"
    assert verdicts.figure(results, "a", "test.loss", "0.1").verdict == "reproduced, weakly"  # 0.05 to 0.15
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
    assert verdicts.figure(results, "a", "test.accuracy", "50%", relation="above").verdict == "undecided"
    assert verdicts.figure(results, "a", "test.accuracy", "60%", relation="above").verdict == "worse"


def test_one_seed_borrows_the_median_spread_of_its_dataset_and_settles_nothing(results):
    put(results, "a", test_loss=[1.0])
    assert verdicts.figure(results, "a", "test.loss", "1.02").verdict == "undecided"
    for name, step in (("b", 0.01), ("c", 0.02), ("d", 5.0)):
        put(results, name, test_loss=[1.0, 1.0 + step])
    fresh = Results({"variants": results.variants}, results.root)
    found = verdicts.figure(fresh, "a", "test.loss", "1.02")
    assert found.high - 1 == pytest.approx(1.96 * np.std([0, 0.02], ddof=1) * math.sqrt(2), rel=1e-3)
    assert found.verdict == "reproduced, weakly" and "other variants" in found.statistic
    assert verdicts.figure(fresh, "a", "test.loss", "1.2").verdict == "undecided"
    theirs = Results({"variants": results.variants}, results.root, documents={"a", "b", "d"})
    wider = verdicts.figure(theirs, "a", "test.loss", "1.02")
    assert wider.high - 1 == pytest.approx(1.96 * np.std([0, 2.505]) * math.sqrt(4), rel=1e-2)


def test_an_interval_of_more_than_a_third_is_weak(results):
    for name, step, verdict in (("a", 0.01, "reproduced"), ("b", 0.1, "reproduced, weakly")):
        put(results, name, test_loss=[1.0, 1.0 + step, 1.0 - step])
        found = verdicts.figure(results, name, "test.loss", "1.00")
        assert found.verdict == verdict
        assert found.detectable == pytest.approx(stats.t.ppf(0.975, 2) * step * math.sqrt(4 / 3) + 0.005, rel=1e-6)
    put(results, "c", test_accuracy=[0.98, 0.985, 0.975])  # of an accuracy, a third of the errors
    assert verdicts.figure(results, "c", "test.accuracy", "0.98").verdict == "reproduced, weakly"


def test_a_history_s_spread_is_that_of_its_last_epochs(results):
    generator = np.random.default_rng(0)
    loss = 1 + 0.1 * generator.standard_normal((3, 12))
    loss[:, -1] = [1.0, 1.0001, 0.9999]  # close together by chance
    history(results, "a", {"validation.loss": loss.tolist()})
    rest = loss[:, 6:] - loss[:, 6:].mean(axis=0)
    deviation, freedom = results.spread("a", "history.validation.loss")
    assert deviation == pytest.approx(math.sqrt((rest**2).sum() / 2 / 6), rel=1e-4)
    covariance = rest.T @ rest / 2
    assert freedom == pytest.approx(2 * np.trace(covariance) ** 2 / np.trace(covariance @ covariance), rel=1e-4)
    assert verdicts.figure(results, "a", "history.validation.loss", "1.10").verdict == "reproduced"
    history(results, "b", {"validation.loss": [[1.0] * 12, [1.1] * 12, [1.2] * 12]})  # seeds that never cross
    assert results.spread("b", "history.validation.loss") == (pytest.approx(0.1), pytest.approx(2))
    early = results.spread("a", "history.validation.loss", epoch=1)
    assert early == (pytest.approx(loss[:, 0].std(ddof=1), rel=1e-4), pytest.approx(2))


def test_of_a_long_training_that_was_scored_every_other_epoch(results):
    random = np.random.default_rng(0)
    curves = {"test.accuracy": (0.9 + 0.01 * random.standard_normal((3, 20))).tolist()}
    history(results, "a", curves, every=2)
    found = verdicts.figure(results, "a", "history.test.accuracy", "0.90", epoch=20)
    assert found.ours == pytest.approx(np.mean([run[9] for run in curves["test.accuracy"]]))
    deviation, _ = results.spread("a", "history.test.accuracy", 20)
    window = np.array(curves["test.accuracy"])[:, 5:10]  # epochs 12 to 20: the ten last ones, of which five are scored
    assert deviation == pytest.approx(np.sqrt(window.var(axis=0, ddof=1).mean()), rel=1e-4)


def test_an_epoch_of_a_history(results):
    history(results, "a", {"test.accuracy": [[0.5, 0.7, 0.9], [0.5, 0.71, 0.91]]})
    found = verdicts.figure(results, "a", "history.test.accuracy", "0.705", epoch=2)
    assert (found.verdict, found.ours) == ("reproduced", pytest.approx(0.705))
    assert results.sample("a", "history.test.accuracy").mean == pytest.approx(0.905)
    with pytest.raises(NotRunError):
        verdicts.figure(results, "a", "history.test.accuracy", "0.9", epoch=4)


def test_a_second_quantity_is_said_too(results):
    put(results, "a", test_accuracy=[0.6, 0.601], validation_accuracy=[0.5, 0.501])
    found = verdicts.figure(results, "a", "validation.accuracy", "50%", also="test.accuracy")
    assert found.verdict == "reproduced" and found.statistic.endswith("test.accuracy is 0.6005, and by it: better")


def test_a_whole_history(results):
    history(results, "a", {"training.loss": [[1.0] * 10, [1.01] * 10, [0.99] * 10]})
    judged = {}
    for wrong in (0, 1, 2, 6):
        values = {epoch: "2.00" if epoch <= wrong else "1.00" for epoch in range(1, 11)}
        judged[wrong] = verdicts.curve(results, "a", "history.training.loss", values)
    assert {wrong: each.verdict for wrong, each in judged.items()} == {
        0: "reproduced", 1: "reproduced", 2: "undecided", 6: "better",
    }  # fmt: skip
    assert judged[2].statistic == "8 of 10 epochs inside; outside: 1 (better), 2 (better)"


def test_the_best_of_several(results):
    for name, accuracy in (("a", 0.7), ("b", 0.8)):
        put(results, name, test_accuracy=[accuracy, accuracy + 0.001])
    found = verdicts.best(results, ["a", "b"], "test.accuracy", "75%", because={"better": "Why."})
    assert found.verdict == "refuted" and found.statistic.startswith("b: ")


def test_layers_and_parameters_come_out_exactly(tmp_path):
    made_up.variant(tmp_path, "mnist_mlp", [0.97], watched="test", params_total=55050)
    found = Results(PARAMETERS, tmp_path)
    rows = [[784, 0], [64, 50240], [64, 4160], [10, 650]]
    assert verdicts.equal(found, "mnist_mlp", "layers", rows).verdict == "reproduced"
    assert verdicts.equal(found, "mnist_mlp", "layers", rows[:3]).verdict == "worse"
    assert verdicts.equal(found, "mnist_mlp", "params_total", 55050).verdict == "reproduced"
    with pytest.raises(NotRunError):
        verdicts.equal(found, "mnist_cnn", "layers", rows)


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
    assert verdicts.lowest(results, "a", ["b", "c"], "test.accuracy").verdict == "reproduced"
    assert verdicts.lowest(results, "b", ["a", "c"], "test.accuracy").verdict == "refuted"


@pytest.mark.parametrize(("lower", "verdict"), [("a", "reproduced, weakly"), ("b", "undecided")])
def test_one_seed_settles_no_claim_in_words(results, lower, verdict):
    put(results, "a", test_accuracy=[0.5])
    put(results, "b", test_accuracy=[0.8, 0.81, 0.82])
    test = {"less": {"a": lower, "b": "ab".replace(lower, ""), "quantity": "test.accuracy"}}
    claim = {"id": "A1", "document": "A", "line": 1, "section": "", "claim": "One is lower.", "test": test}
    found = claims.judged(claim, results).judgement
    assert found.verdict == verdict
    assert found.statistic.endswith("; one seed of a")


def test_one_seed_is_neither_better_nor_worse_unless_it_diverged(results):
    put(results, "a", test_accuracy=[0.5])
    put(results, "b", test_accuracy=[0.8, 0.8001, 0.8002])
    ratio = {"ratio": {"a": "b", "b": "a", "quantity": "test.accuracy", "value": "9"}}
    claim = {"id": "A1", "document": "A", "line": 1, "section": "", "claim": "Twice.", "test": ratio}
    assert verdicts.ratio(results, **ratio["ratio"]).verdict == "worse"
    assert claims.judged(claim, results).judgement.verdict == "undecided"
    put(results, "c", history_test_accuracy=[math.nan])
    figure = {
        "id": "A2",
        "document": "A",
        "line": 1,
        "section": "",
        "variant": "c",
        "quantity": "history.test.accuracy",
    }
    assert claims.judged({**figure, "value": "0.9"}, results).judgement.verdict == "worse"


def test_a_rival_that_diverged_leaves_it_undecided_whatever_the_order(results):
    put(results, "x", test_accuracy=[math.nan, 0.5])
    for name, value in (("a", 0.7), ("b", 0.8), ("c", 0.9)):
        put(results, name, test_accuracy=[value, value + 0.001])
    for others in (["x", "b"], ["b", "x"]):
        assert verdicts.highest(results, "c", others, "test.accuracy").verdict == "undecided"
        assert verdicts.lowest(results, "a", others, "test.accuracy").verdict == "undecided"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"quantity": "test.acuracy"}, "A1: figure of"),
        ({"quantity": "history.loss"}, "A1: figure of"),
        ({"value": 0.0058}, "A1: figure of"),
        ({"value": "about"}, "A1: figure of"),
    ],
)
def test_a_figure_that_is_declared_wrong_is_told_with_its_claim(results, change, words):
    put(results, "a", test_accuracy=[0.5, 0.51])
    claim = {"id": "A1", "document": "A", "line": 1, "section": "", "variant": "a", "quantity": "test.accuracy"}
    with pytest.raises(UserError, match=words):
        claims.judged({**claim, "value": "0.5", **change}, results)


def test_what_claims_yaml_lacks_is_told(tmp_path):
    whole = {
        "documents": {"A": {"variants": []}},
        "figures": {},
        "claims": [{"id": "A1", "document": "A", "value": "1", "variant": "a", "quantity": "seconds"}],
    }
    for lacking, words in (("claims", "no claims"), ("documents", "no documents"), (None, "A1: no section")):
        file = tmp_path / "claims.yaml"
        file.write_text(yaml.safe_dump({key: value for key, value in whole.items() if key != lacking}))
        with pytest.raises(UserError) as refused:
            claims.read(file)
        assert words in str(refused.value)


def test_parameters_are_compared_exactly(results):
    for name, count in (("a", 1000), ("b", 1001)):
        (results.root / "metrics/details").mkdir(parents=True, exist_ok=True)
        (results.root / f"metrics/details/{name}.json").write_text(json.dumps({"summary": {"params_total": count}}))
    found = verdicts.less(results, "a", "b", "params_total")
    assert (found.verdict, found.statistic) == ("reproduced", "1,000 − 1,001 = −1.0000")
    assert verdicts.less(results, "b", "a", "params_total").verdict == "refuted"
    assert verdicts.less(results, "a", "a", "params_total").verdict == "undecided"


def test_plateau_and_crossing_are_epochs(results):
    history(results, "a", {
        "training.accuracy": [[0.5, 0.7, 0.89, 0.9, 0.9], [0.5, 0.9, 0.9, 0.7, 0.9]],
        "test.accuracy": [[0.6, 0.7, 0.8, 0.8, 0.8], [0.6, 0.95, 0.95, 0.95, 0.95]],
    })  # fmt: skip
    assert results.sample("a", "plateau.training.accuracy").values == {0: 3, 1: 5}
    assert results.sample("a", "crossing.test.accuracy").values == {0: 3, 1: 6}  # never: one past the last
    assert verdicts.figure(results, "a", "crossing.test.accuracy", "4").ours == 4.5


def test_ratio_and_seconds(results):
    rows = [("a", 10.0, 3, "a CPU"), ("b", 12.0, 3, "a CPU"), ("c", 9.0, 3, "a CPU"), ("d", 14.0, 3, "a CPU")]
    files.write_csv(results.root / "benchmarks/seconds.csv", ("variant", "train_seconds", "seeds", "cpu"), rows)
    fresh = Results({"variants": results.variants}, results.root)
    found = verdicts.ratio(fresh, "b", "a", "seconds", "1.5")
    assert (found.verdict, found.ours, found.difference) == ("not comparable", 1.2, pytest.approx(-0.3))
    found = verdicts.seconds(fresh, ["b", "a"])
    assert (found.verdict, found.statistic) == ("not comparable", "ours: 12.0, 10.0 s")
    found = verdicts.beside(fresh, "a", "seconds", "31")
    assert (found.verdict, found.ours, found.difference) == ("not comparable", 10, -21)
    with pytest.raises(NotRunError, match="e"):
        verdicts.beside(fresh, "e", "seconds", "31")


def test_a_ratio_of_accuracies_has_an_interval(results):
    put(results, "a", test_accuracy=[0.7, 0.7])
    put(results, "b", test_accuracy=[0.5, 0.5])
    half = 1.4 * 1.96 * math.sqrt(0.3 / 0.7 / 10_000 + 0.5 / 0.5 / 10_000)
    for off, verdict in ((0.999, "reproduced"), (1.001, "worse")):
        found = verdicts.ratio(results, "a", "b", "test.accuracy", f"{1.4 + half * off:.7f}")
        assert (found.verdict, found.ours) == (verdict, pytest.approx(1.4))


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
        (
            "{id: X, document: A, section: s, claim: c, test: {mor: {}}}",
            "X: no test 'mor'; there are figure, best",
        ),
        (
            "{id: X, document: Z, section: s, value: '1', variant: a, quantity: q}",
            "X: no document 'Z'; there are ['A']",
        ),
        ("{id: X, document: A, section: s, claim: c, test: {less: {a: b}}}", "X: less: missing a required argument"),
        (
            "{id: X, document: A, section: s, value: '1', variant: a, quantity: history.training.los}",
            "X: no quantity 'history.training.los'; did you mean history.training.loss? "
            "allowed: history.training.accuracy, history.training.loss, history.validation.accuracy, ",
        ),
        (
            "{id: X, document: A, section: s, claim: c, "
            "test: {positive: {variant: a, quantity: [test.loss, tset.loss]}}}",
            "X: no quantity 'tset.loss'; did you mean test.loss? allowed: test.loss, ",
        ),
        (
            "{id: X, document: A, section: s, claim: c, test: "
            "{reaches: {variant: a, quantity: test.loss, below: '1', choose: history.loss}}}",
            "X: no quantity 'history.loss'; ",
        ),
        (
            "{id: X, document: A, section: s, value: '1', variant: a, quantity: test.loss, also: test}",
            "X: no quantity 'test'; did you mean test.loss? allowed: test.accuracy, ",
        ),
        (
            "{id: X, document: A, section: s, value: '1', variant: a, quantity: test.loss, "
            "explained_by: [{variant: b, quantity: test.lost}]}",
            "X: no quantity 'test.lost'; did you mean test.loss? ",
        ),
    ],
)
def test_a_claim_that_cannot_be_judged_is_one_line(tmp_path, line, message):
    file = tmp_path / "claims.yaml"
    file.write_text(f"documents: {{A: {{}}}}\nclaims:\n- {line}\n")
    with pytest.raises(UserError) as error:
        claims.read(file)
    assert str(error.value).startswith(f"{file}: {message}") and "\n" not in str(error.value)


@pytest.mark.parametrize(("accuracies", "epochs"), [([0.9], 1), ([0.9, 0.9], 2), ([0.1], 2), ([1.0, 0.95, 0.9], 1)])
def test_short_runs_of_few_seeds_are_judged_too(tmp_path, accuracies, epochs):
    for name, entry in PARAMETERS["variants"].items():
        if not name.startswith("spiral"):
            watched = "test" if entry["data"]["validation"] == "test" else "validation"
            made_up.variant(tmp_path, name, accuracies, watched=watched, epochs=epochs, train=50, test=40)
    found = claims.judge(DECLARED["claims"], Results(PARAMETERS, tmp_path))
    assert len(found) == len(DECLARED["claims"])
    assert {claim.judgement.verdict for claim in found} <= set(verdicts.VERDICTS)
    trends = [claim for claim in found if "Page" in claim.judgement.statistic]
    assert trends and (len(accuracies) > 1 or {claim.judgement.verdict for claim in trends} == {"undecided"})


def test_a_refuted_figure_says_what_would_explain_it(results):
    put(results, "a", test_accuracy=[0.98, 0.981])
    history(results, "b", {"test.accuracy": [[0.57, 0.9], [0.571, 0.9]]})
    other = {"variant": "b", "quantity": "history.test.accuracy"}
    declared = {
        "id": "C6", "document": "C", "line": [227, "230-231"], "section": "s", "variant": "a", "value": "0.5700",
        "quantity": "test.accuracy", "because": {"better": "Not so."},
        "explained_by": [{**other, "epoch": 1}, other, {**other, "variant": "c"}],
    }  # fmt: skip
    found = claims.judged(declared, results)
    assert (found.judgement.verdict, found.line, found.place) == ("refuted", "227, 230-231", "C:227")
    assert claims.lines(found.line) == {227, 230, 231}
    assert found.reason.startswith("Not so. b, epoch 1: 57.05% (")
    assert found.reason.endswith(
        "which explains it. b: 90.00% (89.41% – 90.59%), which does not explain it. c: not run yet."
    )


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
