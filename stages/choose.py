"""Choose a search's best trial by validation, and score it once on the test set: `python -m stages.choose NAME`."""

from pathlib import Path

import numpy as np

from replica import parameters, scores, search, stage
from replica.datasets import arrays
from replica.figures import search as figures


def main(name: str) -> None:
    declared = parameters.read()
    entry = parameters.entry_of(declared, "searches", name)
    data = arrays.load(entry["dataset"])
    rows, history = [], []
    for number, hyperparameters in enumerate(search.draws(entry)):
        seed = parameters.trial(declared, name, hyperparameters)["seeds"][0]
        folder = Path("models", name, f"trial-{number}", f"seed-{seed}")
        epochs = search.history(folder / "history.csv")
        history += [{"trial": number, **row} for row in epochs]
        last = {f"{row['data']}_{row['metric']}": row["value"] for row in epochs if row["epoch"] == epochs[-1]["epoch"]}
        rows.append({"trial": number, **hyperparameters, **last, "folder": folder})

    chosen = search.best(rows)
    probabilities = scores.probabilities(chosen["folder"] / "test.npy", (len(data.y_test), len(data.classes)))
    test = scores.score(data.y_test, probabilities)
    low, high = scores.wilson(test["accuracy"], len(data.y_test))
    plots = Path("plots/searches", name)
    search.table(plots / "trials.csv", [{key: row[key] for key in row if key != "folder"} for row in rows])
    search.table(plots / "history.csv", history)
    figures.parallel(rows, list(entry["space"]), plots / "parallel.png")
    figures.scatter(rows, list(entry["space"]), plots / "scatter.png")
    scores.dump(
        {
            "trials": len(rows),
            "best": {"trial": chosen["trial"], **{key: chosen[key] for key in entry["space"]}},
            "validation": {"accuracy": chosen["validation_accuracy"], "loss": chosen["validation_loss"]},
            "test": {**test, "accuracy_low": low, "accuracy_high": high},
            "dummy": {"accuracy": float(np.mean(data.y_test == np.bincount(data.y_train).argmax()))},
        },
        Path("metrics", f"{name}.json"),
    )


if __name__ == "__main__":
    stage.run(main)
