"""Figures of several variants: accuracy over seconds, and which variants none beats in both."""

from pathlib import Path

import made_up
import numpy as np
import pytest
from matplotlib.text import Text

from replica.common import files
from replica.report import figures, scatters
from replica.report.results import Results

ENTRIES = [("slow", 30, 0.9), ("best", 20, 0.95), ("quick", 2, 0.5), ("poor", 3, 0.4), ("equal", 25, 0.95)]

NAMES = [name for name, *_ in ENTRIES]


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """Five variants of one dataset and one of another, `best` not of the documents; `untimed` has no seconds."""
    for name, _, accuracy in ENTRIES:
        made_up.variant(tmp_path, name, [accuracy])
    for name in ("other", "untimed"):
        made_up.variant(tmp_path, name, [0.7])
    rows = [(name, seconds, 1, "a CPU") for name, seconds, _ in (*ENTRIES, ("other", 5, 0.7))]
    files.write_csv(tmp_path / "benchmarks/seconds.csv", ("variant", "train_seconds", "seeds", "cpu"), rows)
    variants = {name: {"data": {"dataset": "digits"}} for name in (*(name for name, *_ in ENTRIES), "untimed")}
    return Results(
        {"variants": {**variants, "other": {"data": {"dataset": "animals"}}}}, tmp_path,
        documents={"slow", "quick", "poor", "equal", "other"},
    )  # fmt: skip


def draw(results: Results, folder: Path, **entry: object) -> list[dict[str, str]]:
    figures.draw([{"file": "front", "kind": "front", "title": "T", **entry}], results, {}, folder)
    header, *rows = (line.split(",") for line in (folder / "front.csv").read_text().splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_the_front_is_what_none_beats_in_both(results, tmp_path):
    rows = draw(results, tmp_path / "plots", datasets=["digits", "animals"])
    assert [row["variant"] for row in rows if row["front"] == "1"] == ["quick", "best", "other"]
    assert [row["variant"] for row in rows] == ["quick", "poor", "best", "equal", "slow", "other"]
    again = tmp_path / "again"
    draw(results, again, datasets=["digits", "animals"])
    assert (again / "front.png").read_bytes() == (tmp_path / "plots/front.png").read_bytes()


def test_the_figure_tells_our_own_and_names_the_front(results):
    names = {name: name for name in ("slow", "best", "quick", "other")}
    made = scatters.front(results, names, {"title": "T"}, {})
    assert [ax.get_title("left") for ax in made.axes] == ["digits", "animals"]
    digits = made.axes[0]
    points = {each.get_label(): each.get_offsets().tolist() for each in digits.collections}
    assert points == {"the documents'": [[2, 0.5], [30, 0.9]], "our own": [[20, 0.95]]}
    assert [text.get_text() for text in digits.texts] == ["quick", "best"]


def test_names_cover_neither_a_dot_nor_each_other(results):
    ax = scatters.front(results, dict(zip(NAMES, NAMES, strict=True)), {"title": "T"}, {}).axes[0]
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts]
    dots = np.concatenate([each.get_offsets() for each in ax.collections])
    assert len(boxes) == 2 and not boxes[0].overlaps(boxes[1])
    assert not any(box.padded(2).count_contains(ax.transData.transform(dots)) for box in boxes)


def test_which_starts_solve_the_spiral_and_which_variants_have_not_run(tmp_path):
    losses = {"few": [0.3, 0.2, 0.09], "many": [0.05, 0.06, 0.4]}
    results = Results({"variants": {name: {"data": {"dataset": "spiral"}} for name in losses}}, tmp_path)
    for name, test in losses.items():
        made_up.put(results, name, history_training_loss=[0.2, 0.1, 0.3], history_test_loss=test, test_loss=[0.0] * 3)
    entry = {"file": "front", "kind": "starts", "title": "T", "knob": "tried", "variants": {"1": "few", "9": "later"}}
    entry["variants"]["2"] = "many"
    ax = scatters.starts(results, {"1": "few", "2": "many"}, entry, {}).axes[0]
    assert [text.get_text() for text in ax.texts] == ["1 of 3", "not run", "2 of 3"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "9", "2"]
    below, above, *rings = ax.collections
    assert sorted(below.get_offsets()[:, 1]) == [0.05, 0.06, 0.09] and sorted(above.get_offsets()[:, 1]) == [
        0.2,
        0.3,
        0.4,
    ]
    assert [ring.get_offsets()[0, 1] for ring in rings] == [0.2, 0.06], "the start that training's loss chooses"
    rows = draw(results, tmp_path / "plots", **entry)
    assert [row["below"] for row in rows] == ["0", "0", "1", "1", "1", "0"]


def test_lines_have_the_documents_figures_and_the_seeds_beside_each_other(results):
    ax = figures.lines(results, {1: "slow", 2: "best"}, {"title": "T", "knob": "Images"}, {"best": 0.8}).axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Images", "Accuracy")
    document = next(line for line in ax.lines if line.get_label() == "the document, test")
    assert document.get_xydata().tolist() == [[1, 0.8]]
    assert len({places.get_offsets()[0, 0] for places in ax.collections}) == 6  # two variants, three sets


def test_histories_are_joined_by_their_own_points(results):
    top, bottom = figures.facets(results, {"a": "slow"}, {"title": "T"}, {}).axes
    assert (top.get_ylabel(), bottom.get_ylabel(), bottom.get_xlabel()) == ("Accuracy", "Loss", "Epoch")
    for line in (*top.lines, *bottom.lines):
        assert line.get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
