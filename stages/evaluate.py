"""Score one variant from its stored probabilities, without TensorFlow: `python -m stages.evaluate VARIANT`."""

import json
from pathlib import Path

from replica.common import arrays, files, parameters, stage
from replica.common.errors import UserError
from replica.evaluation import figures, scores
from replica.figures import curves, style


def main(name: str) -> None:
    variant = parameters.variant(parameters.read(), name)
    data = arrays.load(variant["dataset"])
    count = variant["train_examples"] or len(data.y_train)
    watches_test = variant["validation"] == "test"
    split = count if watches_test else arrays.validation_split(count, variant["validation"])
    labels = {"train": data.y_train[:split], "validation": data.y_train[split:count], "test": data.y_test}
    labels = {part: y for part, y in labels.items() if len(y)}

    folders = {seed: Path("models", name, f"seed-{seed}") for seed in variant["seeds"]}
    runs = {
        seed: {
            part: scores.probabilities(folder / f"{part}.npy", (len(y), len(data.classes)))
            for part, y in labels.items()
        }
        for seed, folder in folders.items()
    }
    first = variant["seeds"][0]
    model = json.loads(read(folders[first] / "model.json"))
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
    classifiers = {f"network{which}": details["first_seed"], "stratified dummy": details["dummy"]["stratified"]}
    matrices = {
        f"{classifier}, {part} images: {result['accuracy']:.2%}": result["confusion"]
        for classifier, parts in classifiers.items()
        for part, result in parts.items()
    }
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
    mistaken = figures.mistakes(data.x_test, data.y_test, runs[first]["test"], data.classes, name)
    style.save(curves.history(history, split, name), plots / "history.png")
    style.save(figures.confusion(matrices, data.classes, name), plots / "confusion.png")
    style.save(mistaken, plots / "mistakes.png")

    details = {"summary": short, "precision": model["precision"], **details}
    files.write_json(details, Path("metrics", "details", f"{name}.json"))
    files.write_json(short, Path("metrics", f"{name}.json"))
    files.write_json({"accuracy": short["test"]["accuracy"]}, Path("metrics", "test", f"{name}.json"))


def read(file: Path) -> str:
    try:
        return file.read_text()
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; delete {file.parent} and run `dvc repro`") from None


if __name__ == "__main__":
    stage.run(main)
