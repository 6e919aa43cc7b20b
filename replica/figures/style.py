"""How every figure looks, and how it is written.

Figures are made without pyplot, which keeps state between them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

# Okabe and Ito's colours, which stay apart for the colour-blind (https://jfly.uni-koeln.de/color/)
BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
PALETTE = [BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY]
DATA = {"training": BLUE, "train": BLUE, "validation": VERMILLION, "test": GREEN}
INK, FAINT, GRID = "#24292F", "#6E7781", "#E6E9EC"

LOOK: Any = {
    "figure.dpi": 110,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so is everywhere the same
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
}
# A user's own matplotlibrc would change the bytes; the backend is not asked for, which would import pyplot
DEFAULTS: Any = {key: matplotlib.rcParamsDefault[key] for key in matplotlib.rcParamsDefault if key != "backend"}
matplotlib.rcParams.update(DEFAULTS | LOOK)


def figure(
    width: float,
    height: float,
    rows: int = 1,
    columns: int = 1,
    *,
    margins: tuple[float, float, float, float] = (0.55, 0.45, 0.15, 0.55),
    gaps: tuple[float, float] = (0.5, 0.5),
    title: str = "",
    note: str = "",
) -> tuple[Figure, np.ndarray]:
    """A figure and its axes, [rows, columns].

    Parameters
    ----------
    width, height
        In inches, of the whole figure.
    margins
        Inches at the left, bottom, right and top of the axes.
    gaps
        Inches between columns and between rows.
    title, note
        At the top left, the note fainter, behind the title.
    """
    made = Figure((width, height))
    FigureCanvasAgg(made)
    left, bottom, right, top = margins
    inner = ((width - left - right + gaps[0]) / columns - gaps[0], (height - bottom - top + gaps[1]) / rows - gaps[1])
    axes = made.subplots(
        rows,
        columns,
        squeeze=False,
        gridspec_kw={
            "left": left / width,
            "bottom": bottom / height,
            "right": 1 - right / width,
            "top": 1 - top / height,
            "wspace": gaps[0] / inner[0],
            "hspace": gaps[1] / inner[1],
        },
    )
    heading = made.text(0.12 / width, 1 - 0.1 / height, title, fontsize=10.5, fontweight="bold", va="top")
    if note:
        heading_end = heading.get_window_extent().x1 / made.bbox.width
        made.text(heading_end + 0.12 / width, 1 - 0.115 / height, note, fontsize=9, color=FAINT, va="top")
    return made, axes


def save(made: Figure, file: Path) -> None:
    """Write a PNG of 256 colours (a third of the bytes, and hard to tell apart) beside, then rename.

    No metadata: matplotlib's own holds its version.
    """
    made.canvas.draw()  # type: ignore[attr-defined]
    image = Image.fromarray(np.asarray(made.canvas.buffer_rgba())).convert("RGB")  # type: ignore[attr-defined]
    image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    image.save(part, "PNG", optimize=True)
    part.replace(file)


def legend(made: Figure, *panels: Axes) -> None:
    """One row below the title, where it hides nothing, of what stands in any of the panels."""
    entries: dict[str, Any] = {}
    for ax in panels:
        handles, labels = ax.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    place = (0.06 / made.get_figwidth(), 1 - 0.33 / made.get_figheight())
    made.legend(
        entries.values(),
        entries.keys(),
        loc="upper left",
        bbox_to_anchor=place,
        borderaxespad=0,
        ncols=len(entries),
        handletextpad=0.5,
        columnspacing=1.4,
    )
