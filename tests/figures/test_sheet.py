"""What holds for every kind of figure, by matplotlib's own boxes; sheet.py draws them all."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import sheet
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from skimage.color import deltaE_ciede2000, rgb2lab

from replica.figures import style

# What those see who lack a cone: Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
APART = 10  # CIEDE2000; 2 is seen side by side, 10 at a glance


@pytest.fixture(scope="module", params=sheet.FIGURES)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Figure, Path]:
    made, picture = sheet.FIGURES[request.param](), tmp_path_factory.mktemp("drawn") / sheet.file(request.param)
    style.save(made, picture)
    return made, picture


@pytest.fixture
def figure(drawn: tuple[Figure, Path]) -> Figure:
    return drawn[0]


def panels(figure: Figure) -> list[Axes]:
    return [ax for ax in figure.axes if ax.get_visible()]


def ticks(ax: Axes) -> dict[str, list[Text]]:
    """The tick labels that are drawn, by axis."""
    found: dict[str, list[Text]] = {"x": [], "y": []}
    for name, axis in (("x", ax.xaxis), ("y", ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            room = 1e-9 * (high - low)
            if ax.axison and tick.label1.get_visible() and low - room <= tick.get_loc() <= high + room:
                found[name] += [tick.label1] * bool(tick.label1.get_text())
    return found


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn."""
    found = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for ax in panels(figure):
        found += [*ax.texts, ax.title, ax._left_title, ax._right_title]
        if ax.axison:
            found += [ax.xaxis.label, ax.yaxis.label, *(text for of in ticks(ax).values() for text in of)]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def test_no_texts_overlap_and_none_leaves_the_figure(figure):
    boxes = [(text.get_text(), Text.get_window_extent(text)) for text in texts(figure)]
    assert len(boxes) > 1
    page = figure.bbox.padded(1)
    for words, box in boxes:
        assert page.contains(*box.min) and page.contains(*box.max), f"{words!r} leaves the figure"
    low, high = (np.array([getattr(box.padded(-1), end) for _, box in boxes]) for end in ("min", "max"))
    overlaps = (low[:, None] < high[None]).all(axis=2) & (low[None] < high[:, None]).all(axis=2)
    assert [(boxes[one][0], boxes[other][0]) for one, other in np.argwhere(np.triu(overlaps, 1))] == []


def test_every_axis_with_ticks_has_a_label(figure):
    """Of its own, or at the foot of its column, or at the left of its row."""
    for ax in panels(figure):
        here = ax.get_subplotspec()
        for name, drawn in ticks(ax).items():
            same = [ax]
            if here is not None:
                span = "colspan" if name == "x" else "rowspan"
                others = [
                    (each, each.get_subplotspec()) for each in panels(figure) if each.get_subplotspec() is not None
                ]
                same = [each for each, there in others if getattr(there, span) == getattr(here, span)]
            label = [getattr(each, f"get_{name}label")() for each in same]
            assert not drawn or any(label), f"{ax.get_title('left')!r}: no label on the {name} axis"


def test_letters_are_large_enough(figure):
    small = {text.get_text(): text.get_fontsize() for text in texts(figure) if text.get_fontsize() < 8}
    assert not small


def key_colours(figure: Figure) -> list[tuple[float, float, float]]:
    """The colours of a figure's key."""
    found = []
    for legend in figure.legends:
        for handle in legend.legend_handles:
            if hasattr(handle, "get_facecolor"):
                shown = np.array([*handle.get_facecolor(), *handle.get_edgecolor()])
                found.append(tuple(shown[shown[:, 3] > 0][0, :3]))
            else:
                found.append(to_rgb(handle.get_color()))
    return list(dict.fromkeys(found))


def seen(colours: list[tuple[float, float, float]], blindness: str) -> np.ndarray:
    """Colours in CIELAB as they are seen: [n, 3]."""
    rgb = np.array(colours)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.array(BLINDNESS[blindness]).T, 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


def test_the_colour_blind_tell_a_keys_colours_apart(figure):
    if colours := key_colours(figure):
        for blindness in BLINDNESS:
            for one, other in combinations(seen(colours, blindness), 2):
                assert deltaE_ciede2000(one, other) > APART, blindness


def test_the_check_of_colours_would_see_red_beside_green():
    red, green = (
        seen([(0.84, 0.15, 0.16), (0.17, 0.63, 0.17)], "none"),
        seen([(0.6, 0.4, 0.1), (0.4, 0.5, 0.1)], "deuteranopia"),
    )
    assert deltaE_ciede2000(*red) > APART > deltaE_ciede2000(*green)


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_the_palette(blindness):
    for one, other in combinations(seen([to_rgb(colour) for colour in style.PALETTE], blindness), 2):
        assert deltaE_ciede2000(one, other) > APART


def test_every_kind_that_claims_may_ask_for_is_on_the_sheet(tmp_path):
    from replica.report.figures import KINDS

    source = Path(sheet.__file__).read_text()
    assert all(f'declared("{kind}"' in source for kind in KINDS)


def test_a_figure_is_drawn_to_the_byte(drawn):
    """What changes a figure shows in the diff of its picture, which `make figures` draws anew."""
    _, picture = drawn
    assert picture.read_bytes() == (sheet.GOLDEN / picture.name).read_bytes(), f"{picture.name}: see `make figures`"


def test_no_picture_is_of_a_figure_that_is_gone():
    assert {path.name for path in sheet.GOLDEN.iterdir()} == {sheet.file(name) for name in sheet.FIGURES}


def test_the_sheet_has_each_figure_once(tmp_path):
    chosen = [sheet.GOLDEN / sheet.file(name) for name in ("history", "no mistakes", "dataset of points")]
    sheet.sheet(tmp_path / "sheet.png", chosen, columns=2)
    heights = [Image.open(path).height for path in chosen]
    made = Image.open(tmp_path / "sheet.png")
    assert made.size == (2 * 880 + 12, max(heights[0], heights[1] + 12 + heights[2]))
