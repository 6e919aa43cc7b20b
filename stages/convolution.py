"""Convolution by hand: the documents' numbers computed, and their pictures: `python -m stages.convolution`."""

from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from replica.common import arrays, files, parameters, stage
from replica.common.errors import UserError
from replica.convolution import arithmetic, figures
from replica.convolution.arithmetic import convolve, max_pool, output_size, relu
from replica.figures import style


def main() -> None:
    try:
        compute(parameters.read("convolution.yaml"))
    except KeyError as error:
        raise UserError(f"convolution.yaml: {error} is missing") from None
    except (TypeError, ValueError, IndexError, AttributeError, ImportError) as error:
        raise UserError(f"convolution.yaml: {error}") from None


def compute(declared: dict[str, Any]) -> None:
    """Write every number and picture."""
    a, b, d = declared["A"], declared["B"], declared["D"]
    digit = np.rot90(arrays.load("mnist").x_train[a["image"], ..., 0], -1)
    kernel = np.array(a["kernel"])
    top, left, side = a["top"], a["left"], a["side"]
    x = digit[top : top + side, left : left + side]
    # Document A shows its maps by R's image(), which draws a matrix a quarter turn to the left
    shown = {
        name: np.rot90(relu(convolve(digit, cells, bias=a["biases"][0])))
        for name, cells in (("kernel", kernel), ("transpose", kernel.T))
    }
    pictures = {name: np.array(cells) for name, cells in b["pictures"].items()}
    outline = pictures["outline"]
    sizes = [output_size(32, 3, stride=2, padding=1)]
    sizes.append(output_size(sizes[0], 3, stride=2, padding=1))
    files.write_json(
        {
            "A": {
                "valid": convolve(x, kernel),
                "relu": relu(convolve(x, kernel, bias=100)),
                "pooled": max_pool(x),
                "lines": {name: arithmetic.lines(image) for name, image in shown.items()},
                "parameters": [arithmetic.parameters(3, 3, channels, 32)[0] for channels in (1, 3)],
            },
            "B": {
                "valid": convolve(np.array(b["array"]), np.array(b["kernel"])),
                "size_formula_holds": formula_holds(),
                "kernel_sums": [int(cells.sum()) for cells in pictures.values()],
            },
            "D": {
                "valid": convolve(np.array(d["array"]), outline),
                "dilated_size": output_size(16, 2, stride=2, padding=1, dilation=4),
                "sizes": sizes,
                "receptive_field": arithmetic.receptive_field([(3, 1, 1), (3, 1, 1)]),
            },
        },
        Path("metrics/convolution.json"),
    )
    package, _, inside = b["picture"].partition("/")
    photograph = Path(str(resources.files(package) / inside))
    plots = Path("plots/convolution")
    style.save(figures.by_hand(digit, (top, left), side, kernel, 100), plots / "by_hand.png")
    style.save(figures.strokes(digit, kernel, a["biases"]), plots / "digit.png")
    style.save(figures.kernels(figures.red(photograph), pictures), plots / "photograph.png")
    style.save(figures.heatmaps(figures.red(photograph), pictures), plots / "heatmaps.png")
    style.save(figures.tables(figures.red(photograph, side=200), pictures, 10), plots / "stride_10.png")


def formula_holds() -> bool:
    """Whether document B's formula gives the size that comes out, over all small sizes."""
    return all(
        convolve(np.zeros((n, n)), np.zeros((k, k)), s, p).shape == ((n - k + 2 * p) // s + 1,) * 2
        for n in range(1, 9)
        for k in range(1, 5)
        for s in range(1, 4)
        for p in range(3)
        if k <= n + 2 * p
    )


if __name__ == "__main__":
    stage.run(main)
