"""What a notebook asks for: a trained variant with its data, history and scores; variants and claims as tables."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replica.common import arrays, files, kernels, parameters
from replica.common.errors import UserError
from replica.common.parameters import SETTINGS
from replica.report import claims as report
from replica.report.results import Results
from replica.schema import check
from replica.schema.layers import words

SCORES = ("accuracy", "accuracy_low", "accuracy_high", "accuracy_std")


@dataclass(frozen=True)
class Trained:
    """One trained run of a variant, and what is known of it.

    Attributes
    ----------
    name, seed
        The variant's name, and the run's seed.
    settings
        What it was trained with: `replica.common.parameters.SETTINGS` by name, layers as a list.
    model
        The `keras.Sequential` with its trained weights, built for images as they are stored (uint8 from 0 to 255), and
        compiled with its optimizer, loss and accuracy.
    data
        The images and labels of `train`, `validation` (where some are held back) and `test`: x, uint8
        [n, height, width, channels], or float32 [n, features] of points; y, uint8 [n]. Mapped from files, read-only.
    classes
        The labels' names.
    history
        Of every seed that was trained: columns epoch, value, metric, data, seed; losses in nats, accuracies as shares.
    scores
        metrics/NAME.json: of `train`, `validation` and `test` over all seeds, of the `dummy` classifier, and
        `params_total`; accuracies as shares. Empty where nothing has been evaluated.
    """

    name: str
    seed: int
    settings: dict[str, Any] = field(repr=False)
    model: Any = field(repr=False)
    data: dict[str, tuple[np.ndarray, np.ndarray]] = field(repr=False)
    classes: list[str] = field(repr=False)
    history: pd.DataFrame = field(repr=False)
    scores: dict[str, Any] = field(repr=False)

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Each class's probability for images as `data` has them: float32 [n, classes]."""
        from replica.training import networks

        return networks.probabilities(self.model, self.model.predict(x, verbose=0))


def root() -> Path:
    """The clone that the working folder lies in.

    Raises
    ------
    UserError
        Where it lies in none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "params.yaml").is_file() and (folder / "datasets.yaml").is_file():
            return folder
    raise UserError(f"{here}: not inside a clone of this project (no params.yaml here or above); change into one first")


def load(name: str, seed: int = 0) -> Trained:
    """A trained variant: its model, data, history and scores.

    Nothing is printed. Warnings say where the model is not what params.yaml declares, or the scores are another's.

    Parameters
    ----------
    name
        The variant's, such as `mnist_5k_cnn`; `replica.variants()` has them all.
    seed
        Which of its runs.

    Raises
    ------
    UserError
        Outside a clone, for an unknown name, and where the variant or that seed has not been trained, or lacks a file.

    Examples
    --------
    >>> import replica
    >>> cnn = replica.load("mnist_5k_cnn")
    >>> cnn.model.evaluate(*cnn.data["test"])
    >>> cnn.history.query("metric == 'accuracy'").pivot(index="epoch", columns="data", values="value").plot()
    """
    clone = root()
    declared = parameters.declared(clone)
    check.require("replica.load", name, declared["variants"], "variant")
    folder = clone / "models" / name
    run = folder / f"seed-{seed}"
    if not run.is_dir():
        seeds = sorted(int(each.name.removeprefix("seed-")) for each in folder.glob("seed-*"))
        there = f"no run of seed {seed!r}; there are {', '.join(map(str, seeds))}" if seeds else "not trained yet"
        raise UserError(f"{name}: {there}; `dvc repro train@{name}` trains what is declared")
    for file in ("model.weights.h5", "architecture.json"):
        whole(run / file)
    settings = files.read_json(folder / "settings.json", f"dvc repro train@{name}")
    data = arrays.load(settings["dataset"], clone / "data/processed")
    parts = arrays.parts(data, settings)
    rows = [row for each in settings["seeds"] for row in files.history(folder / f"seed-{each}", each)]
    metrics = clone / "metrics" / f"{name}.json"
    scores = files.read_json(metrics, f"dvc repro evaluate@{name}") if metrics.exists() else {}

    wanted = parameters.variant(declared, name)
    if changed := [key for key in SETTINGS if settings.get(key) != wanted.get(key)]:
        since = f"{name}: {', '.join(changed)} in params.yaml changed after this model was trained"
        warnings.warn(f"{since}; `dvc repro train@{name}` trains it anew", stacklevel=2)
    if scores and (ours := accuracy(folder, settings["seeds"], parts["test"][1])) != scores["test"]["accuracy"]:
        told = f"{name}: {metrics.relative_to(clone)} has a test accuracy of {scores['test']['accuracy']}"
        warnings.warn(f"{told}, the trained models have {ours}; run `dvc repro evaluate@{name}`", stacklevel=2)
    return Trained(
        name=name,
        seed=seed,
        settings=settings,
        model=compiled(run, settings),
        data=parts,
        classes=data.classes,
        history=pd.DataFrame(rows, columns=list(files.HISTORY)),
        scores=scores,
    )


def accuracy(folder: Path, seeds: list[int], y: np.ndarray) -> float:
    """The mean over the seeds of the test accuracy that the stored probabilities have, as metrics have it."""
    stored = [np.load(whole(folder / f"seed-{seed}/test.npy")) for seed in seeds]
    found = [np.mean(each.argmax(axis=1) == y) for each in stored]
    return float(files.as_json(float(np.mean(found))))


def whole(file: Path) -> Path:
    """A file of a run's; the run that lacks it must go, as a training keeps it by its fingerprint.

    Raises
    ------
    UserError
        Where it is missing.
    """
    if not file.exists():
        run = file.parent
        raise UserError(f"{file}: no such file; delete {run} and run `dvc repro train@{run.parent.name}`")
    return file


def compiled(run: Path, settings: dict[str, Any]) -> Any:
    """A run's network, ready to evaluate and to train on."""
    try:
        kernels.use(settings["kernels"])
    except UserError as error:
        # A notebook that imported NumPy first, or asks a model of other kernels, sees other last digits, no others.
        warnings.warn(f"{error}; the last digits of what this model says may differ", stacklevel=3)
    from replica.training import networks, runs  # TensorFlow chooses its kernels as it is imported

    model = runs.load(run)
    loss = networks.loss(settings, model)
    metric: Any = "accuracy"
    if model.output_shape[-1] == 1:  # its classes are -1 and +1 (Trainer.targets), which data have as 0 and 1
        metric = networks.keras.metrics.BinaryAccuracy("accuracy", threshold=0)
        signed = loss

        def loss(y_true: Any, y_pred: Any) -> Any:
            return signed(2.0 * networks.keras.ops.cast(y_true, y_pred.dtype) - 1.0, y_pred)

    weights = settings.get("loss_weights")
    optimizer = networks.optimizer(settings["optimizer"])
    model.compile(optimizer, loss, loss_weights=weights, metrics=[metric], jit_compile=False)
    return model


def variants() -> pd.DataFrame:
    """What is declared, a variant a row, and how it came out.

    Returns
    -------
    DataFrame
        Index variant; columns dataset, images (those it trains and validates on), network, optimizer, batch_size,
        epochs, validation (a share, or "test"), seeds, parameters, and of the test images accuracy, accuracy_low,
        accuracy_high (a 95% interval) and accuracy_std (over the seeds), as shares; not a number where there is none.

    Raises
    ------
    UserError
        Outside a clone, and where what is declared is wrong.
    """
    clone = root()
    declared = parameters.declared(clone)
    datasets = check.datasets(declared)
    results = Results(declared, clone)
    rows = {}
    for name, entry in declared["variants"].items():
        stack = check.check_variant(declared, name, datasets)
        settings = parameters.variant(declared, name)
        test = results.scores(name).get("test", {})
        rows[name] = {
            "dataset": settings["dataset"],
            "images": settings.get("train_examples", datasets[settings["dataset"]].train_examples),
            "network": entry["network"],
            "optimizer": words(settings["optimizer"], 1),
            "batch_size": settings["batch_size"],
            "epochs": settings["epochs"],
            "validation": settings["validation"],
            "seeds": len(settings["seeds"]),
            "parameters": sum(count for _, layer, shape in stack for _, count in layer.parameters(shape)),
            **{key: test.get(key, float("nan")) for key in SCORES},
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")


def claims() -> pd.DataFrame:
    """The documents' claims, each judged against the results as they lie (docs/claims.md has the rule).

    Returns
    -------
    DataFrame
        Index id; the columns of plots/claims.csv: document, line, section, variants (a tuple of names), claim, theirs,
        ours, low, high, difference, detectable, verdict, statistic, reason. Accuracies as shares, losses in nats.

    Raises
    ------
    UserError
        Outside a clone, and where a claim is declared wrong.
    """
    clone = root()
    reported = report.read(clone / "claims.yaml")
    theirs = {name for document in reported["documents"].values() for name in document["variants"]}
    judged = report.judge(reported["claims"], Results(parameters.declared(clone), clone, theirs))
    figures = ("ours", "low", "high", "difference", "detectable", "verdict", "statistic")
    rows = [
        {
            **{key: getattr(claim, key) for key in ("id", "document", "line", "section", "variants")},
            "claim": claim.text,
            "theirs": claim.theirs,
            **{key: getattr(claim.judgement, key) for key in figures},
            "reason": claim.reason,
        }
        for claim in judged
    ]
    table = pd.DataFrame(rows).set_index("id")
    return table.astype(dict.fromkeys(figures[:5], float))
