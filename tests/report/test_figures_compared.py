"""Figures of several variants: accuracy over seconds, and which variants none beats in both."""

from pathlib import Path

import made_up
import pytest

from replica.common import files
from replica.report import figures
from replica.report.results import Results

ENTRIES = [("slow", 30, 0.9), ("best", 20, 0.95), ("quick", 2, 0.5), ("poor", 3, 0.4), ("equal", 25, 0.95)]


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
    made = figures.front(results, names, "T", "", {})
    assert [ax.get_title("left") for ax in made.axes] == ["digits", "animals"]
    digits = made.axes[0]
    points = {each.get_label(): each.get_offsets().tolist() for each in digits.collections}
    assert points == {"the documents'": [[2, 0.5], [30, 0.9]], "our own": [[20, 0.95]]}
    assert [text.get_text() for text in digits.texts] == ["quick", "best"]
