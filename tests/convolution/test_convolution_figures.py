"""The convolution figures, read back as pictures."""

import numpy as np
import pytest
from PIL import Image

from replica.convolution import figures
from replica.convolution.arithmetic import convolve, max_pool, relu
from replica.figures import style

KERNEL = np.array([[-0.5] * 3, [1] * 3, [-0.5] * 3])
DIGIT = np.zeros((28, 28), np.uint8)
DIGIT[10:12, 4:24] = 250  # a horizontal stroke alone
PICTURE = np.full((40, 60), 100, np.uint8)
PICTURE[10:30, 20:40] = 200
NAMED = {
    "outline": np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
    "sharpen": np.array([[0, -1, 0], [-1, 8, -1], [0, -1, 0]]),
}
DRAW = {
    "by_hand": lambda: figures.by_hand(DIGIT, (9, 9), 4, KERNEL, 100),
    "strokes": lambda: figures.strokes(DIGIT, KERNEL, [-150, -200]),
    "kernels": lambda: figures.kernels(PICTURE, NAMED),
    "heatmaps": lambda: figures.heatmaps(PICTURE, NAMED),
    "tables": lambda: figures.tables(PICTURE, NAMED, 10),
}


def drawn(name):
    """Each panel's title, image and numbers."""
    axes = DRAW[name]().axes
    return [(ax.get_title("left"), ax.images[0].get_array(), [t.get_text() for t in ax.texts]) for ax in axes]


@pytest.mark.parametrize("name", DRAW)
def test_a_figure_repeats_to_the_byte_and_fits_its_page(name, tmp_path):
    first, again = tmp_path / "first.png", tmp_path / "again.png"
    style.save(DRAW[name](), first)
    style.save(DRAW[name](), again)
    assert first.read_bytes() == again.read_bytes()
    picture = np.asarray(Image.open(first).convert("L"))
    assert 800 <= picture.shape[1] <= 1100
    assert (picture[:, [0, -1]] == 255).all(), "something is cut off at a side"


def test_by_hand_writes_every_number():
    x = DIGIT[9:13, 9:13]
    panels = {title: numbers for title, _, numbers in drawn("by_hand")}
    for title, values in {
        "X": x, "convolved": convolve(x, KERNEL), "+ bias 100, relu": relu(convolve(x, KERNEL) + 100),
        "X, 2×2 max pooling": max_pool(x), "kernel": KERNEL,
    }.items():  # fmt: skip
        assert [float(number.replace("−", "-")) for number in panels[title]] == values.ravel().tolist(), title


def test_the_kernel_sees_horizontal_strokes_and_its_transpose_does_not():
    panels = drawn("strokes")
    assert [title for title, _, _ in panels[:2]] == ["the kernel", "horizontal strokes"]
    assert panels[1][1].shape == panels[2][1].shape == (26, 26)
    assert panels[3][1].shape == (13, 13)
    assert panels[2][1].max() == convolve(DIGIT, KERNEL).max() - 150 > 0
    middle = np.s_[:, 6:20]  # the transpose sees the stroke's ends, as they are borders too
    assert panels[6][1][middle].max() == 0 < panels[2][1][middle].max()
    assert np.array_equal(panels[4][1], KERNEL.T)


def test_outline_blackens_plain_areas_and_sharpen_keeps_their_grey():
    (_, _, _), (_, outline, _), (_, sharpen, _), *pieces = drawn("kernels")
    for value, row, column in ((100, 2, 2), (200, 18, 28)):
        assert outline[row, column] == 0
        assert sharpen[row, column] == pytest.approx(value / 255)
    assert outline.max() == 1
    for (_, piece, _), whole in zip(pieces[1:], (outline, sharpen), strict=True):
        assert np.array_equal(piece, whole[5:13, 23:31])


def test_heat_maps_keep_the_signs():
    for _, image, _ in drawn("heatmaps"):
        assert image.shape == (38, 58)
    (_, outline, _), (_, sharpen, _) = drawn("heatmaps")
    assert outline.min() < 0 < outline.max() and outline[2, 2] == 0
    assert sharpen[2, 2] == 400


def test_tables_at_a_stride_write_every_number():
    for (_, image, numbers), cells in zip(drawn("tables"), NAMED.values(), strict=True):
        assert np.array_equal(image, convolve(PICTURE, cells, stride=10))
        assert [float(number.replace("−", "-")) for number in numbers] == image.ravel().tolist()


def test_the_red_channel_as_it_is_and_smaller(tmp_path):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30, 0], picture[..., 1] = 200, 90
    Image.fromarray(picture).save(tmp_path / "picture.png")
    assert np.array_equal(figures.red(tmp_path / "picture.png"), picture[..., 0])
    small = figures.red(tmp_path / "picture.png", side=20)
    assert small.shape == (20, 20) and small[0, 0] == 200 and small[0, -1] == 0
