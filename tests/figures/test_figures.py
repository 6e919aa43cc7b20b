"""Figures are read back as pictures: what they must show, that they are small, and the same to the byte."""

import math
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from replica.evaluation import figures
from replica.figures import curves, style

CLASSES = [f"class {n}" for n in range(10)]


def rows(seeds=(0,), epochs=5, data=("training", "validation")):
    return [
        (epoch, math.exp(-epoch / 3) + 0.1 * (name != "training") + 0.05 * seed, metric, name, seed)
        for seed in seeds
        for epoch in range(1, epochs + 1)
        for name in data
        for metric in ("accuracy", "loss")
    ]


def texts(figure):
    return [text.get_text() for text in (*figure.texts, *(text for ax in figure.axes for text in ax.texts))]


def probabilities(n, wrong=0):
    """`wrong` of n images are mistaken, the earlier the surer."""
    y = np.arange(n) % 10
    seen = np.where(np.arange(n) < wrong, (y + 1) % 10, y)
    p = np.full((n, 10), 0.01)
    sure = 0.9 - np.arange(n) / (10 * n)
    p[np.arange(n), seen] = sure
    return y, p


def test_history_shows_each_seed_their_mean_and_the_images():
    figure = curves.history(rows(seeds=(0, 1, 2)), 45_000, "a_variant")
    accuracy, loss = figure.axes
    assert (accuracy.get_ylabel(), loss.get_ylabel(), loss.get_xlabel()) == ("Accuracy", "Loss", "Epoch")
    means = {line.get_label(): line.get_ydata() for line in accuracy.lines if not line.get_label().startswith("_")}
    assert list(means) == ["training", "validation"]
    assert means["training"] == pytest.approx([math.exp(-epoch / 3) + 0.05 for epoch in range(1, 6)])
    assert len(accuracy.lines) == 2 * (3 + 1)
    assert "45,000 training images  ·  mean of 3 seeds" in texts(figure)


def test_history_shows_the_last_epochs_of_the_seed_that_trained_longest():
    short = rows(seeds=(0,), epochs=3) + rows(seeds=(1,), epochs=5) + rows(seeds=(2,), epochs=4)
    first, second, third, mean = curves.history(short, 10, "v").axes[0].lines[:4]
    assert [int(np.isfinite(line.get_ydata()).sum()) for line in (first, second, third, mean)] == [3, 5, 4, 3]


def test_history_of_many_seeds_is_a_median_its_middle_half_and_the_range():
    figure = curves.history(rows(seeds=range(10)), 250, "spiral", kind="points")
    assert "250 training points  ·  10 seeds: their median, middle half and range" in texts(figure)
    accuracy = figure.axes[0]
    assert len(accuracy.lines) == 2 * 3 and len(accuracy.collections) == 2
    low, high, median = (line.get_ydata()[0] for line in accuracy.lines[:3])
    first = math.exp(-1 / 3)
    assert (low, median, high) == pytest.approx((first, first + 0.05 * 4.5, first + 0.05 * 9))


def test_history_has_seconds_only_where_given():
    assert "1,000 training images  ·  98 s" in texts(curves.history(rows(), 1000, "v", seconds=98.2))
    assert not [text for text in texts(curves.history(rows(), 1000, "v")) if " s" in text and "images" not in text]


def test_history_of_a_diverged_network_and_of_one_epoch_and_of_no_validation():
    diverged = [
        (epoch, math.nan if metric == "loss" else value, metric, *rest) for epoch, value, metric, *rest in rows()
    ]
    assert "not a number" in texts(curves.history(diverged, 10, "v"))
    assert curves.history(rows(epochs=1), 10, "v").axes[0].lines[0].get_marker() == "o"
    assert len(curves.history(rows(data=("training",)), 10, "v").axes[0].lines) == 1


def test_confusion_writes_the_counts_and_names_the_classes():
    counts = np.diag(range(1, 11)) + np.eye(10, k=1, dtype=int) * 3
    figure = figures.confusion({"train": counts, "test": counts * 2}, {"a dummy, test": counts}, CLASSES, "v")
    train, test, dummy, key = figure.axes
    assert sorted(int(text.get_text()) for text in test.texts) == sorted((counts * 2)[counts > 0])
    assert [label.get_text() for label in train.get_yticklabels()] == CLASSES
    assert train.images[0].get_array()[1].tolist() == pytest.approx([0, 2 / 5, 3 / 5] + [0] * 7)
    assert not dummy.texts and dummy.get_window_extent().height < train.get_window_extent().height * 0.6
    assert [label.get_text() for label in key.get_xticklabels()] == ["0%", "5%", "20%", "50%", "100%"]


@pytest.mark.parametrize(("classes", "largest", "written"), [(10, 6_742, True), (10, 123_456, False), (40, 99, False)])
def test_confusion_leaves_out_counts_that_have_no_room(classes, largest, written):
    figure = figures.confusion({"test": np.eye(classes, dtype=int) * largest}, {}, ["x"] * classes, "v")
    assert bool(figure.axes[0].texts) == written


@pytest.mark.parametrize("channels", [1, 3])
def test_mistakes_are_the_most_confident_first(channels):
    y, p = probabilities(200, wrong=20)
    x = np.random.default_rng(0).integers(0, 256, (200, 32, 32, channels), dtype=np.uint8)
    figure = figures.mistakes(x, y, [p], CLASSES, "v")
    assert "20 of 200 test images are mistaken; the most confident" in texts(figure)
    assert texts(figure)[2:4] == ["class 0 seen as", "class 1  90.0%"]
    assert len(figure.axes[0].texts) == 2 * 12
    sheet = figure.axes[0].images[0].get_array()
    first = np.broadcast_to(x[0], (32, 32, 3))
    assert (sheet[:32, :32] == (first if channels == 3 else 255 - first)).all()


def test_few_mistakes_take_little_room():
    heights = []
    for wrong, note in (
        (0, "0 of 30 test images are mistaken"),
        (1, "1 of 30 test images is mistaken"),
        (7, "7 of 30"),
    ):
        y, p = probabilities(30, wrong)
        figure = figures.mistakes(np.zeros((30, 28, 28, 1), np.uint8), y, [p], CLASSES, "v")
        assert any(text.startswith(note) and "confident" not in text for text in texts(figure))
        assert len(figure.axes[0].texts) == 2 * wrong
        heights.append(figure.get_figheight())
    assert heights[0] < 1 < heights[1] < 2.5 < heights[2]


def test_points_are_ringed_by_how_many_seeds_mistake_them():
    y = np.array([0, 1, 0, 1])
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
    other = np.array([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.4, 0.6]])
    figure = figures.mistakes(np.arange(28.0).reshape(4, 7), y, [p], ["0", "1"], "spiral")
    assert "50.0% of 4 test points are mistaken" in texts(figure)
    assert figure.axes[0].collections[-1].get_offsets().tolist() == [[14, 15], [21, 22]]
    figure = figures.mistakes(np.arange(28.0).reshape(4, 7), y, [p, other], ["0", "1"], "spiral")
    assert "37.5% of 4 test points are mistaken; mean of 2 seeds" in texts(figure)
    by_one, by_both = figure.axes[0].collections[2:]
    assert (by_one.get_offsets().tolist(), by_both.get_offsets().tolist()) == ([[21, 22]], [[14, 15]])
    assert by_one.get_sizes() < by_both.get_sizes()
    figure = figures.mistakes(np.arange(28.0).reshape(4, 7), y, [np.eye(2)[y]], ["0", "1"], "spiral")
    assert [each.get_label() for each in figure.axes[0].collections] == ["0", "1"], (
        "no key of rings where there is none"
    )


def test_pngs_are_small_the_same_to_the_byte_and_hold_no_version(tmp_path):
    y, p = probabilities(200, wrong=20)
    x = np.random.default_rng(0).integers(0, 256, (200, 28, 28, 1), dtype=np.uint8)
    counts = np.random.default_rng(0).integers(0, 5000, (10, 10))
    for name, draw in {
        "history": lambda: curves.history(rows(seeds=(0, 1, 2), epochs=60), 45_000, "cifar10_deep_50k_long"),
        "confusion": lambda: figures.confusion(
            {"train": counts, "test": counts}, {"dummy, test": counts}, CLASSES, "v"
        ),
        "mistakes": lambda: figures.mistakes(x, y, [p], CLASSES, "v"),
    }.items():
        first, second = tmp_path / "a" / f"{name}.png", tmp_path / "b" / f"{name}.png"
        style.save(draw(), first)
        style.save(draw(), second)
        assert first.read_bytes() == second.read_bytes()
        assert first.stat().st_size < 60_000
        picture = Image.open(first)
        assert picture.width == 880 and not {"Software", "Creation Time"} & picture.info.keys()
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_users_own_matplotlibrc_changes_nothing(tmp_path):
    code = """
from pathlib import Path
from replica.figures import curves, style
from test_figures import rows
style.save(curves.history(rows(), 10, "v"), Path("v.png"))"""
    path = f"{ROOT}:{ROOT / 'tests'}:{ROOT / 'tests/figures'}"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "matplotlibrc").write_text("lines.linewidth: 9\nfont.size: 20\nfigure.facecolor: black\n")
    for folder in (tmp_path, tmp_path / "own"):
        subprocess.run([sys.executable, "-c", code], cwd=folder, env={"PYTHONPATH": path}, check=True)
    assert (tmp_path / "v.png").read_bytes() == (tmp_path / "own" / "v.png").read_bytes()
