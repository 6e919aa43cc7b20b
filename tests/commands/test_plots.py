"""DVC's plots without a network: its page in a browser, and the same plots as files."""

import csv
import io
import re
import shutil
import subprocess
import sys

import pytest
from browser import ARGUMENTS, CHROMIUM
from conftest import ROOT, Project
from PIL import Image

from replica.figures import style

FOLDER = "plots/variants/tiny"
PIPELINE = f"""
plots:
- {FOLDER}/history.csv: {{template: history, x: epoch, y: value, title: 'tiny: history'}}
- {FOLDER}/confusion.csv: {{template: counts, x: predicted, y: actual, title: 'tiny: confusion'}}
- {FOLDER}/mistakes.png
- 'tiny: accuracy so far': {{x: epoch, y: {{{FOLDER}/history.csv: value}}}}
"""


def results(folder, accuracy):
    """The files that `evaluate` leaves, of a variant of two classes."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "history.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["epoch", "value", "metric", "data", "seed"])
        for epoch in (1, 2, 3):
            for data in ("training", "validation"):
                table.writerow([epoch, accuracy + epoch / 100, "accuracy", data, 0])
                table.writerow([epoch, 1 - accuracy, "loss", data, 0])
    with (folder / "confusion.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["data", "actual", "predicted", "count"])
        for actual, guess in (("cat", "cat"), ("cat", "dog"), ("dog", "cat"), ("dog", "dog")):
            table.writerow(["test", actual, guess, round(100 * (accuracy if actual == guess else 1 - accuracy))])
    Image.new("RGB", (8, 8), (round(255 * accuracy), 0, 0)).save(folder / "mistakes.png")


@pytest.fixture(scope="module")
def plotted(tmp_path_factory):
    """A repository with our templates, and results that are not those of its last commit."""
    made = Project(tmp_path_factory.mktemp("plots"))
    made.begin()
    made.run("dvc", "init", "-q")
    shutil.copytree(ROOT / ".dvc/plots", made.folder / ".dvc/plots", ignore=shutil.ignore_patterns("page.html"))
    shutil.copy(ROOT / ".gitignore", made.folder)
    (made.folder / "dvc.yaml").write_text(PIPELINE)
    results(made.folder / FOLDER, 0.6)
    made.commit("Before")
    results(made.folder / FOLDER, 0.9)
    return made


def replica(project, *arguments, check=True):
    return project.run(sys.executable, "-m", "replica", "plots", *arguments, check=check, PYTHONPATH=str(ROOT))


def test_the_pages_of_dvc_plots_open_without_a_network(plotted):
    assert "index.html" in plotted.run("dvc", "plots", "show").stdout  # as in a clone that has not been set up
    plotted.run("dvc", "config", "--local", "core.analytics", "false")
    for _ in range(2):
        assert replica(plotted, "--offline").stdout.startswith(".dvc/plots/page.html: ")
    assert "analytics = false" in (plotted.folder / ".dvc/config.local").read_text()
    status = ["git", "status", "--short", "--untracked-files=all"]
    assert {line.split()[1] for line in plotted.run(*status).stdout.splitlines()} == {
        f"{FOLDER}/{name}" for name in ("confusion.csv", "history.csv", "mistakes.png")
    }
    plotted.run("dvc", "plots", "diff", "HEAD", "workspace", "-o", "elsewhere/pages")
    page = plotted.folder / "elsewhere/pages/index.html"
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install chromium to run the page's browser tests")
    from playwright.sync_api import sync_playwright

    asked, problems = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        window = browser.new_context(offline=True).new_page()
        window.on("console", lambda message: problems.append(message.text))
        window.on("pageerror", lambda error: problems.append(str(error)))
        window.on("requestfailed", lambda request: problems.append(request.url))
        window.on("request", lambda request: asked.append(request.url))
        window.goto(page.as_uri())
        charts = window.locator(".vega-embed canvas, .vega-embed svg.marks")
        charts.nth(2).wait_for()
        assert charts.count() == 3
        drawn = charts.evaluate_all("all => all.map(chart => chart.getBoundingClientRect().height)")
        assert min(drawn) > 100
        pictures = window.locator("img").evaluate_all("all => all.map(picture => picture.naturalWidth)")
        assert pictures == [8, 8]
        assert window.locator("nav a").all_text_contents() == ["history", "confusion", "accuracy so far", "mistakes"]
        for width in (1280, 390):
            window.set_viewport_size({"width": width, "height": 800})
            window.reload()
            charts.nth(2).wait_for()
            assert window.evaluate("document.documentElement.scrollWidth") <= width
            shrunk = charts.evaluate_all(
                "all => all.map(one => one.getBoundingClientRect().width / one.viewBox.baseVal.width)"
            )
            assert min(shrunk) > 0.8, "letters shrink with their charts"
        browser.close()
    assert problems == [], problems
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def test_plots_as_files(plotted, tmp_path):
    done = replica(plotted, "--output", str(tmp_path))
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {f"variants/tiny/{name}.png" for name in ("history", "confusion", "mistakes")} | {
        "tiny_accuracy_so_far.png"
    }
    assert sorted(done.stdout.split()) == sorted(str(tmp_path / file) for file in files)
    with Image.open(tmp_path / "variants/tiny/history.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    assert (tmp_path / "variants/tiny/mistakes.png").read_bytes() == (
        plotted.folder / FOLDER / "mistakes.png"
    ).read_bytes()


def test_revisions_over_each_other_as_svg(plotted, tmp_path):
    replica(plotted, "--format", "svg", "--rev", "HEAD", "--rev", "workspace", "--output", str(tmp_path))
    for name, words in (("history", ("tiny: history", "HEAD", "workspace", "validation")), ("confusion", ("90", "60"))):
        text = (tmp_path / f"variants/tiny/{name}.svg").read_text()
        for word in words:
            assert f">{word}</text>" in text, (name, word)
    before, after = (tmp_path / f"variants/tiny/mistakes_{rev}.png" for rev in ("HEAD", "workspace"))
    committed = subprocess.run(
        ["git", "show", f"HEAD:{FOLDER}/mistakes.png"], cwd=plotted.folder, capture_output=True, check=True
    ).stdout
    assert before.read_bytes() == committed
    assert Image.open(io.BytesIO(after.read_bytes())).getpixel((0, 0)) == (230, 0, 0)


def test_a_branch_s_slash_makes_no_folder(plotted, tmp_path):
    plotted.run("git", "branch", "feature/x")
    picture = f"{FOLDER}/mistakes.png"
    replica(plotted, picture, "--rev", "feature/x", "--rev", "workspace", "--output", str(tmp_path))
    files = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert files == {f"variants/tiny/mistakes_{rev}.png" for rev in ("feature_x", "workspace")}


def test_colours_order_and_per_cent_are_those_of_the_pictures(plotted, tmp_path):
    replica(plotted, "--format", "svg", "--output", str(tmp_path))
    text = (tmp_path / "variants/tiny/history.svg").read_text()
    for data, colour in (("training", style.BLUE), ("validation", style.VERMILLION)):
        assert f'stroke="{colour}"' in text, data
    assert re.search(r">9[\d.]+%</text>", text)
    assert text.index(">training</text>") < text.index(">validation</text>")


def test_an_earlier_revision_stands_out_below_a_later_that_is_the_same(plotted, tmp_path):
    replica(plotted, "--format", "svg", "--rev", "HEAD", "--rev", "main", "--output", str(tmp_path))
    text = (tmp_path / "variants/tiny/history.svg").read_text()
    lines = re.findall(r'aria-roledescription="line mark"[^>]*stroke-width="([\d.]+)"', text) or re.findall(
        r'stroke-width="([\d.]+)"', text
    )
    assert {"7", "2"} <= set(lines)
    assert lines.index("7") < lines.index("2")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["plots/variants/tiny/histroy.csv"], "did you mean plots/variants/tiny/history.csv?"),
        (["--rev", "nowhere"], "unknown Git revision 'nowhere'"),
        (["--format", "gif"], "--format: got 'gif'; allowed: png, svg"),
    ],
)
def test_mistakes_are_one_line(plotted, arguments, line):
    done = replica(plotted, *arguments, check=False)
    assert done.returncode == 1
    assert f"error: {line}" in done.stdout or (done.stdout.startswith("error: dvc plots: ") and line in done.stdout)
    assert "Traceback" not in done.stdout


def test_a_plot_without_data_is_told_what_makes_it(plotted, tmp_path):
    clone = Project(tmp_path / "clone")
    plotted.run("git", "clone", "-q", str(plotted.folder), str(clone.folder))
    file = f"{FOLDER}/history.csv"
    (clone.folder / file).write_text("epoch,value\n")
    assert replica(clone, file, check=False).stdout == f"error: dvc plots: {file}: no data yet; run `dvc repro`\n"
    clone.run("git", "rm", "-rqf", FOLDER)
    clone.run("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", "commit", "-qm", "Without results")
    for arguments, line in (
        ([], "there is nothing to draw yet; run `dvc repro`"),
        ([FOLDER], f"{FOLDER}: no data yet; run `dvc repro`"),
        ([file, "--rev", "HEAD"], f"{file}: no data in HEAD; allowed: a --rev whose commit has it, or none, "),
        (["histories"], "got 'histories', no plot of that name; allowed: plots/variants/tiny/confusion.csv, "),
    ):
        done = replica(clone, *arguments, check=False)
        assert f"error: dvc plots: {line}" in done.stdout, done.stdout
        assert done.returncode == 1


def test_a_folder_that_is_no_repository_is_one_line(tmp_path):
    for arguments in ([], ["--offline"]):
        done = replica(Project(tmp_path), *arguments, check=False)
        assert done.returncode == 1
        assert done.stdout.startswith("error: dvc plots: you are not inside of a DVC repository")
        assert "Traceback" not in done.stdout
