"""Choose a search's best trial by validation, and score it once on the test set: `python -m stages.choose NAME`."""

from pathlib import Path

import numpy as np

from replica.common import arrays, files, parameters, stage
from replica.evaluation import scores
from replica.figures import style
from replica.search import draws, figures


def main(name: str) -> None:
    entry = parameters.entry_of(parameters.read(), "searches", name)
    names = list(entry["space"])
    data = arrays.load(entry["data"]["dataset"])
    trials, history, folders = [], [], []
    for number, hyperparameters in enumerate(draws.trials(entry)):
        folder = Path("models", name, f"trial-{number}")
        seed = files.read_json(folder / "settings.json", f"dvc repro search@{name}")["seeds"][0]
        folders.append(folder / f"seed-{seed}")
        rows = files.history(folders[-1], seed)
        history += [(number, *row) for row in rows]
        last = {f"{of}_{metric}": value for epoch, value, metric, of, _ in rows if epoch == rows[-1][0]}
        trials.append({"trial": number, **{key: hyperparameters[key] for key in names}, **last})

    chosen = draws.best(trials)
    probabilities = scores.probabilities(folders[chosen["trial"]] / "test.npy", (len(data.y_test), len(data.classes)))
    test = scores.score(data.y_test, probabilities)
    low, high = scores.wilson(test["accuracy"], len(data.y_test))
    plots = Path("plots/searches", name)
    files.write_csv(plots / "trials.csv", list(trials[0]), [list(trial.values()) for trial in trials])
    files.write_csv(plots / "history.csv", ("trial", *files.HISTORY), history)
    style.save(figures.parallel(trials, names), plots / "parallel.png")
    style.save(figures.scatter(trials, names), plots / "scatter.png")
    files.write_json(
        {
            "trials": len(trials),
            "best": {"trial": chosen["trial"], **{key: chosen[key] for key in names}},
            "validation": {"accuracy": chosen["validation_accuracy"], "loss": chosen["validation_loss"]},
            "test": {**test, "accuracy_low": low, "accuracy_high": high},
            "dummy": {"accuracy": float(np.mean(data.y_test == np.bincount(data.y_train).argmax()))},
        },
        Path("metrics", f"{name}.json"),
    )
    files.write_json({"accuracy": test["accuracy"]}, Path("metrics", "test", f"{name}.json"))


if __name__ == "__main__":
    stage.run(main)
