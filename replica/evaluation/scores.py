"""A network's scores from its stored probabilities, beside those of a classifier that learns from the labels alone.

Every figure is scikit-learn's or SciPy's own, but for the loss (see `cross_entropy`).
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replica.common.errors import UserError
from replica.common.imports import without

with without("pandas"):
    from scipy.stats import binomtest
    from sklearn.dummy import DummyClassifier
    from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

EPSILON = 1e-7  # Keras's backend epsilon, at which its own losses clip
DUMMIES = ("most_frequent", "stratified")
DUMMY_SEED = 0

ByData = Mapping[str, np.ndarray]  # "train", "validation" or "test" to labels or probabilities


def probabilities(file: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read one set's probabilities, float32 [n, classes] in dataset order.

    Non-finite rows are let through: a network that diverged has them, and keeps its row of scores.

    Raises
    ------
    UserError
        Where the file is missing, is not an array, has another shape, or its rows are no probabilities.
    """
    retrain = f"delete {file.parent} and run `dvc repro`"
    try:
        p = np.load(file)
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; {retrain}") from None
    except (ValueError, EOFError, OSError):
        raise UserError(f"{file}: not an array of NumPy's; {retrain}") from None
    if p.shape != shape or p.dtype.kind != "f":
        raise UserError(f"{file}: {p.dtype} {list(p.shape)}, where float32 {list(shape)} was expected; {retrain}")
    finite = p[np.isfinite(p).all(axis=1)]
    if len(finite) and (finite.min() < 0 or abs(finite.sum(axis=1) - 1).max() > 0.01):
        raise UserError(f"{file}: its rows are not probabilities from 0 to 1 that sum to 1; {retrain}")
    return p


def predicted(p: np.ndarray) -> np.ndarray:
    """The likeliest class of each row, [n]; the first of equals, and of rows that are not a number."""
    return p.argmax(axis=1)


def cross_entropy(y: np.ndarray, p: np.ndarray) -> float:
    """Mean of -log(probability of the true class), in nats, without the regularizers' terms that training adds.

    Probabilities are clipped to [1e-7, 1]. scikit-learn's `log_loss` computes the same, but in float32, and refuses
    both a softmax that rounds to more than 1 and one that is not a number.
    """
    return float(-np.log(p[np.arange(len(y)), y].astype(np.float64).clip(EPSILON, 1)).mean())


def score(y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Accuracy, loss and macro F1 (the classes' mean) of probabilities [n, classes] on labels [n]."""
    guess, classes = predicted(p), range(p.shape[1])
    return {
        "accuracy": float(accuracy_score(y, guess)),
        "loss": cross_entropy(y, p),
        "macro_f1": float(f1_score(y, guess, labels=classes, average="macro", zero_division=0)),
    }


def report(y: np.ndarray, p: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """`score`, with each class's precision, recall, F1 and support, and the confusion matrix (a row a true class).

    A class never predicted has precision 0.
    """
    guess, classes = predicted(p), range(p.shape[1])
    columns = precision_recall_fscore_support(y, guess, labels=classes, zero_division=0)
    keys = ("precision", "recall", "f1", "support")
    return {
        **score(y, p),
        "classes": {name: dict(zip(keys, row, strict=True)) for name, *row in zip(names, *columns, strict=True)},
        "confusion": confusion_matrix(y, guess, labels=classes),
    }


def dummy(strategy: str, y_train: np.ndarray, labels: ByData, classes: int) -> dict[str, np.ndarray]:
    """Probabilities of scikit-learn's `DummyClassifier`, fitted to the training labels: [n, classes] for each set."""
    model = DummyClassifier(strategy=strategy, random_state=DUMMY_SEED).fit(y_train, y_train)
    found = {}
    for data, y in labels.items():
        found[data] = np.zeros((len(y), classes))
        found[data][:, model.classes_] = model.predict_proba(y)
    return found


def wilson(accuracy: float, n: int) -> tuple[float, float]:
    """95% interval of a share of n images (Wilson 1927, doi:10.1080/01621459.1927.10502953).

    A mean over seeds is first rounded to whole images.
    """
    interval = binomtest(round(accuracy * n), n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(ours: np.ndarray, theirs: np.ndarray) -> dict[str, float]:
    """McNemar's exact test of two classifiers on the same images (McNemar 1947, doi:10.1007/BF02295996).

    Of the images that only one of them has right, each would have half if they were equally good: `p` is the
    two-sided binomial probability of a division at least as uneven, 1 where there are none, and 0 below 1e-308.

    Parameters
    ----------
    ours, theirs
        Whether each image is right, bool [n].
    """
    only_ours, only_theirs = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    discordant = only_ours + only_theirs
    return {
        "both": int((ours & theirs).sum()),
        "network_only": only_ours,
        "dummy_only": only_theirs,
        "neither": int((~ours & ~theirs).sum()),
        "p": float(binomtest(only_ours, discordant).pvalue) if discordant else 1.0,
    }


def packed(right: np.ndarray) -> str:
    """Which images are right, bool [n], as text: packed bits, deflated, in base 64; some 1,000 letters for 10,000."""
    return base64.b64encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def unpacked(text: str, n: int) -> np.ndarray:
    """What `packed` was given, bool [n].

    Raises
    ------
    ValueError
        Where the text is no such thing.
    """
    try:
        bits = np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8)
    except zlib.error as error:
        raise ValueError(error) from None
    if len(bits) != -(-n // 8):
        raise ValueError(f"{len(bits)} bytes for {n} images")
    return np.unpackbits(bits, count=n).astype(bool)


def mean(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each figure's mean over the runs."""
    return {key: float(np.mean([run[key] for run in runs])) for key in runs[0]}


def deviation(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each figure's standard deviation over the runs, as estimated from a sample (n - 1)."""
    return {key: float(np.std([run[key] for run in runs], ddof=1)) for key in runs[0]}


def evaluate(
    runs: Mapping[int, ByData], labels: ByData, names: Sequence[str], params_total: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A variant's short metrics, and all the details.

    Parameters
    ----------
    runs
        Probabilities [n, classes] of each set, by seed. Scores are means over them; what counts single images (the
        classes' figures, confusion, McNemar's test) is of the first.
    labels
        Labels [n] of "train", "test" and, where there is one, "validation".
    names
        The classes'.
    """
    first = next(iter(runs.values()))
    raw = {str(seed): {data: score(y, run[data]) for data, y in labels.items()} for seed, run in runs.items()}
    means = {data: mean([scores[data] for scores in raw.values()]) for data in labels}
    intervals = {data: wilson(means[data]["accuracy"], len(y)) for data, y in labels.items()}
    several = len(runs) > 1
    spread = {data: deviation([scores[data] for scores in raw.values()]) for data in labels} if several else {}

    guesses = {strategy: dummy(strategy, labels["train"], labels, len(names)) for strategy in DUMMIES}
    baselines = {
        strategy: {data: report(labels[data], p[data], names) for data in ("train", "test")}
        for strategy, p in guesses.items()
    }
    right = [predicted(p["test"]) == labels["test"] for p in (first, guesses["most_frequent"])]
    paired = mcnemar(*right)
    baseline = baselines["most_frequent"]["test"]["accuracy"]

    test = means["test"] | dict(zip(("accuracy_low", "accuracy_high"), intervals["test"], strict=True))
    if several:
        test["accuracy_std"] = spread["test"]["accuracy"]
    test["gain"] = test["accuracy"] - baseline
    short = {"params_total": params_total, "seeds": len(runs), "train": means["train"]}
    if "validation" in labels:
        short["validation"] = {key: means["validation"][key] for key in ("accuracy", "loss")}
    short |= {"test": test, "dummy": {"accuracy": baseline}, "mcnemar_p": paired["p"]}

    details = {
        "images": {data: len(y) for data, y in labels.items()},
        "seeds": raw,
        "mean": means,
        "std": spread,
        "accuracy_interval": intervals,
        "first_seed": {data: report(labels[data], first[data], names) for data in ("train", "test")},
        "dummy": baselines,
        "mcnemar": paired,
        "right": {str(seed): packed(predicted(run["test"]) == labels["test"]) for seed, run in runs.items()},
    }
    return short, details
