"""Choose a search's best trial by validation, and score it once on the test set: `python -m stages.choose NAME`."""

from pathlib import Path

import numpy as np

from replica import parameters, scores, search, stage, tables
from replica.datasets import arrays
from replica.figures import search as figures


def main(name: str) -> None:
    declared = parameters.read()
    entry = parameters.entry_of(declared, "searches", name)
    names = list(entry["space"])
    data = arrays.load(entry["dataset"])
    trials, history, folders = [], [], []
    for number, hyperparameters in enumerate(search.draws(entry)):
        seed = parameters.trial(declared, name, hyperparameters)["seeds"][0]
        folders.append(Path("models", name, f"trial-{number}", f"seed-{seed}"))
        rows = tables.history(folders[-1], seed)
        history += [(number, *row) for row in rows]
        last = {f"{of}_{metric}": value for epoch, value, metric, of, _ in rows if epoch == rows[-1][0]}
        trials.append({"trial": number, **{key: hyperparameters[key] for key in names}, **last})

    chosen = search.best(trials)
    probabilities = scores.probabilities(folders[chosen["trial"]] / "test.npy", (len(data.y_test), len(data.classes)))
    test = scores.score(data.y_test, probabilities)
    low, high = scores.wilson(test["accuracy"], len(data.y_test))
    plots = Path("plots/searches", name)
    tables.write(plots / "trials.csv", list(trials[0]), [list(trial.values()) for trial in trials])
    tables.write(plots / "history.csv", ("trial", *tables.HISTORY), history)
    figures.parallel(trials, names, plots / "parallel.png")
    figures.scatter(trials, names, plots / "scatter.png")
    scores.dump(
        {
            "trials": len(trials),
            "best": {"trial": chosen["trial"], **{key: chosen[key] for key in names}},
            "validation": {"accuracy": chosen["validation_accuracy"], "loss": chosen["validation_loss"]},
            "test": {**test, "accuracy_low": low, "accuracy_high": high},
            "dummy": {"accuracy": float(np.mean(data.y_test == np.bincount(data.y_train).argmax()))},
        },
        Path("metrics", f"{name}.json"),
    )
    scores.dump({"accuracy": test["accuracy"]}, Path("metrics", "test", f"{name}.json"))


if __name__ == "__main__":
    stage.run(main)
