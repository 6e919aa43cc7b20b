"""Score one variant from its stored probabilities, without TensorFlow: `python -m stages.evaluate VARIANT`."""

from pathlib import Path

from replica.common import arrays, files, stage
from replica.evaluation import figures, scores
from replica.figures import curves, style


def main(name: str) -> None:
    settings = files.read_json(Path("models", name, "settings.json"), f"dvc repro train@{name}")
    data = arrays.load(settings["dataset"])
    labels = {part: y for part, (_, y) in arrays.parts(data, settings).items()}

    folders = {seed: Path("models", name, f"seed-{seed}") for seed in settings["seeds"]}
    runs = {
        seed: {
            part: scores.probabilities(folder / f"{part}.npy", (len(y), len(data.classes)))
            for part, y in labels.items()
        }
        for seed, folder in folders.items()
    }
    first = settings["seeds"][0]
    anew = f"rm -r {folders[first]} && dvc repro train@{name}"  # training keeps a run that has its fingerprint
    model = files.read_json(folders[first] / "model.json", anew)
    short, details = scores.evaluate(runs, labels, data.classes, model["params_total"])
    history = [row for seed, folder in folders.items() for row in files.history(folder, seed)]

    plots = Path("plots", "variants", name)
    files.write_csv(plots / "history.csv", files.HISTORY, history)
    files.write_csv(
        plots / "confusion.csv",
        ("data", "actual", "predicted", "count"),
        (
            (part, actual, guess, n)
            for part, result in details["first_seed"].items()
            for actual, row in zip(data.classes, result["confusion"], strict=True)
            for guess, n in zip(data.classes, row, strict=True)
        ),
    )
    which = f", seed {first}" if len(runs) > 1 else ""
    dummies = {f"{strategy.replace('_', ' ')} dummy": parts for strategy, parts in details["dummy"].items()}
    classifiers = {f"network{which}": details["first_seed"], **dummies}
    network, *others = (
        {f"{classifier}, {part}: {result['accuracy']:.2%}": result["confusion"] for part, result in parts.items()}
        for classifier, parts in classifiers.items()
    )
    kind = "images" if data.x_test.ndim > 2 else "points"
    files.write_csv(
        plots / "report.csv",
        ("classifier", "data", "class", "precision", "recall", "f1", "support"),
        (
            (classifier, part, label, *columns.values())
            for classifier, parts in classifiers.items()
            for part, result in parts.items()
            for label, columns in result["classes"].items()
        ),
    )
    answers = [parts["test"] for parts in runs.values()]
    mistaken = figures.mistakes(data.x_test, data.y_test, answers, data.classes, name)
    style.save(curves.history(history, len(labels["train"]), name, kind=kind), plots / "history.png")
    style.save(
        figures.confusion(network, {words: of for each in others for words, of in each.items()}, data.classes, name),
        plots / "confusion.png",
    )
    style.save(mistaken, plots / "mistakes.png")

    details = {"summary": short, "kernels": model["kernels"], "precision": model["precision"], **details}
    files.write_json(details, Path("metrics", "details", f"{name}.json"))
    files.write_json(short, Path("metrics", f"{name}.json"))
    files.write_json({"accuracy": short["test"]["accuracy"]}, Path("metrics", "test", f"{name}.json"))


if __name__ == "__main__":
    stage.run(main)
