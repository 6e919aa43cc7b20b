"""Scores against values worked out by hand, or by another library."""

import math

import numpy as np
import pytest
from sklearn.metrics import log_loss

from replica.common import files
from replica.common.errors import UserError
from replica.evaluation import scores

NAMES = ["cat", "dog", "owl"]
Y = np.array([0, 0, 1, 1, 2, 2], np.uint8)
P = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.5, 0.3], [0.1, 0.8, 0.1], [0.2, 0.6, 0.2], [0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], np.float32
)  # predicted: 0 1 1 1 0 2


def test_a_small_report_by_hand():
    report = scores.report(Y, P, NAMES)
    assert report["confusion"].tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["loss"] == pytest.approx(-math.log(0.8 * 0.2 * 0.8 * 0.6 * 0.25 * 0.8) / 6)
    assert report["classes"]["dog"] == pytest.approx({"precision": 2 / 3, "recall": 1, "f1": 0.8, "support": 2})
    assert report["macro_f1"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)


def test_the_loss_is_scikit_learns():
    p = np.random.default_rng(0).dirichlet(np.ones(10), 500)
    y = np.random.default_rng(1).integers(0, 10, 500)
    assert scores.cross_entropy(y, p.astype(np.float32)) == pytest.approx(log_loss(y, p, labels=range(10)), rel=1e-5)


def test_the_loss_is_clipped_and_of_what_is_no_number_is_none():
    sure = np.array([[1.0000001, 0.0], [1.0, 0.0]], np.float32)
    assert scores.cross_entropy(np.array([0, 1]), sure) == pytest.approx(-math.log(1e-7) / 2, rel=1e-12)
    diverged = scores.score(np.array([0, 1]), np.full((2, 2), np.nan, np.float32))
    assert files.as_json(diverged) == {"accuracy": 0.5, "loss": None, "macro_f1": 0.333333}


def test_wilsons_interval():
    # Wilson's formula at z = 1.959964 for 81 of 263, as in Agresti and Coull (1998) and Newcombe (1998)
    assert scores.wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert scores.wilson(1, 10) == pytest.approx((1 / (1 + 1.959964**2 / 10), 1))
    assert scores.wilson(0.8077, 1000) == scores.wilson(0.808, 1000)  # whole images


def test_mcnemars_exact_test():
    ours = np.array([True] * 8 + [False] * 4)
    theirs = np.array([True] * 2 + [False] * 6 + [True] * 1 + [False] * 3)
    found = scores.mcnemar(ours, theirs)
    # 6 against 1: two tails of (1 + 7) / 2 ** 7
    assert found == {"both": 2, "network_only": 6, "dummy_only": 1, "neither": 3, "p": pytest.approx(2 * 8 / 128)}
    assert scores.mcnemar(ours, ours)["p"] == 1


def test_the_dummy_learns_from_training_labels_alone():
    labels = {"train": np.array([1, 1, 1, 2, 2, 0]), "test": np.array([0, 2, 2, 1])}
    frequent = scores.dummy("most_frequent", labels["train"], labels, 4)
    assert scores.predicted(frequent["test"]).tolist() == [1, 1, 1, 1]
    assert scores.score(labels["test"], frequent["test"])["loss"] == pytest.approx(-math.log(1e-7) * 3 / 4)
    many = {"train": np.repeat([0, 1, 3], [100, 300, 600]), "test": np.zeros(10_000, int)}
    drawn = scores.dummy("stratified", many["train"], many, 4)["test"]
    assert drawn.mean(axis=0) == pytest.approx([0.1, 0.3, 0, 0.6], abs=0.02)
    assert (drawn == scores.dummy("stratified", many["train"], many, 4)["test"]).all()


def test_seeds_give_means_and_keep_the_raw_scores():
    labels = {"train": Y, "test": Y}
    worse = P[[4, 1, 2, 3, 4, 5]]  # the first image now seen as 0 with 0.5
    wrong = P[[1, 1, 2, 3, 4, 5]]  # and as 1
    runs = {5: {"train": P, "test": P}, 7: {"train": P, "test": wrong}, 2: {"train": P, "test": worse}}
    short, details = scores.evaluate(runs, labels, NAMES, 99)
    raw = [details["seeds"][seed]["test"]["accuracy"] for seed in ("5", "7", "2")]
    assert raw == pytest.approx([4 / 6, 3 / 6, 4 / 6])
    assert short["test"]["accuracy"] == pytest.approx(np.mean(raw))
    assert short["test"]["accuracy_std"] == pytest.approx(np.std(raw, ddof=1))
    assert (short["test"]["accuracy_low"], short["test"]["accuracy_high"]) == scores.wilson(4 / 6, 6)
    assert short["test"]["gain"] == pytest.approx(np.mean(raw) - 2 / 6)
    assert (short["params_total"], short["seeds"], short["dummy"]) == (99, 3, {"accuracy": pytest.approx(2 / 6)})
    assert "validation" not in short
    # The first seed has 0 1 1 1 0 2 for 0 0 1 1 2 2, the dummy, of such training labels, 0 throughout.
    pairs = scores.evaluate(runs, {**labels, "train": np.array([0, 0, 0, 1, 1, 2])}, NAMES, 99)[1]["mcnemar"]
    assert (pairs["both"], pairs["network_only"], pairs["dummy_only"], pairs["neither"]) == (1, 3, 1, 1)
    assert "accuracy_std" not in scores.evaluate({5: runs[5]}, labels, NAMES, 99)[0]["test"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"not an array", "not an array"),
        (P[:5], r"float32 \[5, 3\], where float32 \[6, 3\] was expected"),
        (P[:, :2], r"\[6, 2\]"),
        (P * 2, "not probabilities"),
        (P - 0.2, "not probabilities"),
        (P.argmax(1)[:, None].repeat(3, 1), r"int64 \[6, 3\]"),
    ],
)
def test_bad_probabilities_are_refused_by_name_in_one_line(tmp_path, content, message):
    file = tmp_path / "seed-0" / "test.npy"
    file.parent.mkdir()
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        np.save(file, content)
    with pytest.raises(UserError, match=message) as refused:
        scores.probabilities(file, (6, 3))
    assert str(refused.value).startswith(f"{file}: ") and "\n" not in str(refused.value)


def test_good_and_diverged_probabilities_are_read(tmp_path):
    diverged = P.copy()
    diverged[2] = np.nan
    np.save(tmp_path / "test.npy", diverged)
    assert np.array_equal(scores.probabilities(tmp_path / "test.npy", (6, 3)), diverged, equal_nan=True)


def test_json_is_plain(tmp_path):
    content = {
        "b": np.float32(0.1),
        "a": [np.int64(3), 1 / 3],
        "c": np.array([[1, 2]]),
        "none": math.inf,
        "s": "[x,  y]",
    }
    files.write_json({**content, "e": [{}, []]}, tmp_path / "deep" / "m.json")
    text = """{
  "b": 0.1,
  "a": [3, 0.333333],
  "c": [
    [1, 2]
  ],
  "none": null,
  "s": "[x,  y]",
  "e": [
    {},
    []
  ]
}
"""
    assert (tmp_path / "deep" / "m.json").read_text() == text
    assert [file.name for file in (tmp_path / "deep").iterdir()] == ["m.json"]


def test_a_class_that_is_never_predicted_or_never_true_has_zeros():
    p = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0]])
    classes = scores.report(np.array([0, 1]), p, ["cat", "dog", "elk"])["classes"]
    assert classes["dog"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
    assert classes["elk"] == {"precision": 0, "recall": 0, "f1": 0, "support": 0}


@pytest.mark.parametrize("images", [8, 17])
def test_packed_bits_of_another_number_of_images_are_refused(images):
    with pytest.raises(ValueError, match=f"{-(-images // 8)} bytes for 16 images"):
        scores.unpacked(scores.packed(np.ones(images, bool)), 16)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!"])
def test_what_is_no_packed_text_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"."):
        scores.unpacked(text, 16)
