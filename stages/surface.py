"""The decision surface of the spiral's best start by training loss: `python -m stages.surface VARIANT`."""

from pathlib import Path

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from replica.common import arrays, files, kernels, stage
from replica.datasets import spiral
from replica.figures import style

EDGE = 6.0  # as far as the playground draws
PIXELS = 241
ANSWERS = LinearSegmentedColormap.from_list("answers", [style.BLUE, "#FFFFFF", style.VERMILLION])


def main(name: str) -> None:
    settings = files.read_json(Path("models", name, "settings.json"), f"dvc repro train@{name}")
    kernels.use(settings["kernels"])
    from replica.training import runs  # TensorFlow chooses its kernels as it is imported

    data = arrays.load(settings["dataset"])
    losses = {}
    for seed in settings["seeds"]:
        rows = files.history(Path("models", name, f"seed-{seed}"), seed)
        losses[seed] = {of: value for _, value, metric, of, _ in rows if metric == "loss"}
    best = min(losses, key=lambda seed: losses[seed]["training"])
    side = np.linspace(-EDGE, EDGE, PIXELS)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    model = runs.load(Path("models", name, f"seed-{best}"))
    outputs = model.predict(spiral.features(grid.reshape(-1, 2)), verbose=0).reshape(grid.shape[:2])
    note = f"start {best} of {len(losses)}, chosen by its training loss; test loss {losses[best]['test']:.4f}"
    style.save(draw(outputs, data, note), Path("plots", name, "surface.png"))


def draw(outputs: np.ndarray, data: arrays.Arrays, note: str) -> Figure:
    """Draw outputs from -1 (the first class) to +1 on the grid, training points filled and test points open.

    Parameters
    ----------
    outputs
        [PIXELS, PIXELS], over both coordinates from -EDGE to EDGE, the second downwards first.
    data
        Whose first two features are the coordinates.
    """
    made, axes = style.figure(6.0, 6.2, margins=(0.6, 0.5, 0.15, 0.7), title="The spiral", note=note)
    ax = axes[0, 0]
    extent = (-EDGE, EDGE, -EDGE, EDGE)
    ax.imshow(
        outputs, cmap=ANSWERS, vmin=-1, vmax=1, origin="lower", extent=extent, alpha=0.55, interpolation="bilinear"
    )
    for x, y, filled in ((data.x_train, data.y_train, True), (data.x_test, data.y_test, False)):
        for label, colour in enumerate((style.BLUE, style.VERMILLION)):
            spots = x[y == label]
            ax.scatter(
                spots[:, 0], spots[:, 1], s=14, linewidths=0.9, edgecolors=colour if not filled else "white",
                facecolors=colour if filled else "none",
                label=f"{data.classes[label]}, {'training' if filled else 'test'}",
            )  # fmt: skip
    ax.set(xlabel="x1", ylabel="x2", xticks=range(-4, 5, 2), yticks=range(-4, 5, 2))
    ax.grid(False)
    style.legend(made, ax)
    return made


if __name__ == "__main__":
    stage.run(main)
