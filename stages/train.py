"""Train one variant, once for each of its seeds: `python -m stages.train VARIANT`.

A seed whose variant, data, code and libraries have not changed since its run was saved is kept as it is, so one more
seed trains one more model.
"""

import time
from pathlib import Path

from replica import parameters, runs, stage, timings
from replica.datasets import arrays
from replica.progress import Epochs
from replica.training import Rows, Trainer


def main(name: str) -> None:
    variant = parameters.variant(parameters.read(), name)
    seeds = variant.pop("seeds")
    data = arrays.load(variant["dataset"])
    count = variant["train_examples"] or len(data.x_train)
    x, y = data.x_train[:count], data.y_train[:count]
    if variant["validation"] == "test":
        split, watched = count, {"test": (data.x_test, data.y_test)}
    else:
        split = arrays.validation_split(count, variant["validation"])
        watched = {"validation": (x[split:], y[split:])} if split < count else {}
    images = {"train": x[:split], "validation": x[split:], "test": data.x_test}

    folder = Path("models", name)
    mark = runs.fingerprint(variant, images, data.hashes)
    seconds = {}
    for seed in runs.missing(folder, seeds, mark):
        trainer = Trainer(variant, x[:split], y[:split], len(data.classes), seed)
        history: Rows = []
        began = time.perf_counter()
        with Epochs(f"{name}, seed {seed}", trainer.epochs, split) as shown:
            for rows in trainer.fit(watched, shown.step):
                history += rows
                shown.line(rows)
        seconds[seed] = time.perf_counter() - began
        runs.save(folder / f"seed-{seed}", trainer, history, images, mark)
    timings.record(Path("timings", f"{name}.json"), seconds, seeds)


if __name__ == "__main__":
    stage.run(main)
