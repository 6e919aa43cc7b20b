"""The decision surface of the spiral's best start by training loss: `python -m stages.surface VARIANT`."""

from pathlib import Path

import numpy as np

from replica import parameters, saved, stage, tables
from replica.datasets import arrays, spiral
from replica.figures import surface


def main(name: str) -> None:
    variant = parameters.variant(parameters.read(), name)
    data = arrays.load(variant["dataset"])
    losses = {}
    for seed in variant["seeds"]:
        rows = tables.history(Path("models", name, f"seed-{seed}"), seed)
        losses[seed] = {of: value for _, value, metric, of, _ in rows if metric == "loss"}
    best = min(losses, key=lambda seed: losses[seed]["training"])
    side = np.linspace(-surface.EDGE, surface.EDGE, surface.PIXELS)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    model = saved.load(Path("models", name, f"seed-{best}"))
    outputs = model.predict(spiral.features(grid.reshape(-1, 2)), verbose=0).reshape(grid.shape[:2])
    note = f"start {best} of {len(losses)}, chosen by its training loss; test loss {losses[best]['test']:.4f}"
    surface.draw(outputs, data, note, Path("plots", name, "surface.png"))


if __name__ == "__main__":
    stage.run(main)
