"""The page, the cards and the comparisons from made-up results of a few variants, and the page in a browser."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import made_up
import pytest
import yaml
from browser import ARGUMENTS, CHROMIUM
from conftest import ROOT

from replica.common import files, parameters, reader
from replica.report import cards, charts
from replica.report.results import Results

VOID = {"meta", "link", "img", "input", "br", "path", "circle", "polyline", "wbr"}
OUTPUTS = ("report/index.html", "metrics/summary.json", "plots/claims.csv", "plots/summary.csv",
           "metrics/cards/mnist_mlp.md", "plots/comparison/l2.png", "plots/comparison/networks.png")  # fmt: skip


def report(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stages.report", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which a few variants have been run, reported; not to be changed."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("params.yaml", "datasets.yaml", "claims.yaml", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    made_up.variant(folder, "mnist_mlp", [0.97, 0.972, 0.974], watched="test")
    made_up.variant(folder, "mnist_l2_1e-6", [0.98, 0.981, 0.982], watched="test", epochs=3)
    made_up.variant(folder, "cifar10_model2", [0.6], native=True)
    made_up.variant(folder, "photos10_linear", [0.5])
    seconds = [("mnist_mlp", 7.5, 3, "A CPU, 2 cores"), ("photos10_linear", 0.5, 1, "A CPU, 2 cores")]
    files.write_csv(folder / "benchmarks/seconds.csv", ("variant", "train_seconds", "seeds", "cpu"), seconds)
    search = folder / "plots/searches/mnist_random_search"
    trials = [(0, 0.2, 0.001, 30, 0.98), (1, 0.1, 0.01, 40, 0.9)]
    files.write_csv(
        search / "trials.csv", ("trial", "dropout", "learning_rate", "units", "validation_accuracy"), trials
    )
    metrics = {
        "best": {"trial": 0, "dropout": 0.2, "learning_rate": 0.001, "units": 30},
        "validation": {"accuracy": 0.98},
        "test": {"accuracy": 0.981, "accuracy_low": 0.978, "accuracy_high": 0.984},
    }
    (folder / "metrics/mnist_random_search.json").write_text(json.dumps(metrics))
    (folder / "witnesses").mkdir()
    details = (folder / "metrics/details/mnist_mlp.json").read_bytes()
    for name, emulated, md5 in (
        ("Laptop", False, hashlib.md5(details).hexdigest()),
        ("Old", True, "0" * 32),
    ):
        cpu = {"name": f"{name} CPU", "flags": ["avx2", "fma"], "emulated": emulated, "family": 6, "model": 60}
        record = {
            "machine": {
                "cpu": cpu, "libc": "glibc 2.36", "os": "Linux 6", "python": "3.11.7",
                "libraries": {"tensorflow": "2.21.0"},
            },
            "commit": "1" * 40, "targets": ["mnist_mlp"], "outcome": "the same bytes",
            "digests": {"evaluate@mnist_mlp": {"metrics/details/mnist_mlp.json": md5}},
        }  # fmt: skip
        (folder / f"witnesses/{name}.json").write_text(json.dumps(record))
    for arguments in ((), ("sample",)):
        done = report(folder, *arguments)
        assert (done.returncode, done.stderr) == (0, "")
    return folder


def test_the_page_shows_the_cpus_that_came_to_the_same_bytes_and_which_saw_other_scores(project, html):
    section = html[html.index('<section id="witnesses">') :]
    rows = re.findall(r"<tr>(<td.*?)</tr>", section[: section.index("</section>")], re.S)
    laptop, old = ([text.strip() for text in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows)
    assert laptop[:4] == ["Laptop CPU, family 6, model 60", "real", "yes", "no"] and laptop[-1] == "the same bytes"
    assert old[:2] == ["Old CPU, family 6, model 60", "emulated"] and old[-1] == "the same bytes, of an older dvc.lock"
    assert "witnesses" not in (project / "report/sample.html").read_text()


def test_the_page_and_the_cards_say_which_kernels_made_a_score(html):
    said = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert re.search(r"4 of \d+ variants have been run, 3 of them by portable kernels", said)
    for name, kernels in (("mnist_mlp", "portable, float32"), ("cifar10_model2", "native, mixed bfloat16")):
        card = html[html.index(f'<div id="{name}"') :]
        assert re.search(r"<dt>Kernels</dt><dd>(.*?)</dd>", card)[1] == kernels


@pytest.fixture(scope="module")
def html(project: Path) -> str:
    return (project / "report/index.html").read_text()


class Nesting(HTMLParser):
    """Keeps ids, links and what is open; complains of a tag that closes another."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if tag == "a" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, self.getpos()


@pytest.mark.parametrize("name", ["index", "sample"])
def test_the_page_is_whole_and_needs_no_network(project, name):
    page = (project / f"report/{name}.html").read_text()
    assert not re.search(r"""(src|href|action)\s*=\s*["']?\s*(https?:)?//|url\(|@import|<(iframe|object|base)""", page)
    assert len(page.encode()) < 5_000_000
    nesting = Nesting()
    nesting.feed(page)
    assert not nesting.open
    assert len(nesting.ids) == len(set(nesting.ids))
    assert {link.removeprefix("#") for link in nesting.links} <= set(nesting.ids)


def test_every_claim_and_every_variant_keeps_its_row(project, html):
    declared = parameters.read(ROOT / "claims.yaml")["claims"]
    for claim in declared:
        assert f'class="id">{claim["id"]}</td>' in html
    for name in parameters.read(ROOT / "params.yaml")["variants"]:
        assert f'id="{name}"' in html
        assert (project / f"metrics/cards/{name}.md").exists()
    verdicts = [row["verdict"] for row in csv.DictReader((project / "plots/claims.csv").open())]
    assert len(verdicts) == len(declared)
    for verdict in ("reproduced", "refuted", "not run"):
        assert verdicts.count(verdict) == html.count(f'data-verdict="{verdict}"') > 0


def test_a_card_tells_network_scores_and_how_to_repeat(project, html):
    card = (project / "metrics/cards/mnist_mlp.md").read_text()
    for text in ("55,050", "(784 + 1)·64", "97.20%", "0, 1, 2", "dvc repro evaluate@mnist_mlp", "learning_rate: 0.1",
                 "| kernels | portable |", "measured on A CPU, 2 cores",
                 "| C2 | test accuracy | 96.99% | 97.20% | reproduced, weakly |"):  # fmt: skip
        assert text in card
    for text in ("(784 + 1)·64", "97.20%", "dvc repro evaluate@mnist_mlp", "most frequent", "recorded on A CPU"):
        assert text in html
    unrun = (project / "metrics/cards/mnist_cnn.md").read_text()
    assert "Not run yet." in unrun and "258,090" in unrun


@pytest.mark.parametrize("name", ["mnist_mlp", "cifar10_four_conv"])
def test_what_a_card_says_of_params_yaml_repeats_the_variant(project, name):
    declared = parameters.read(project / "params.yaml")
    stated = re.search(r"(?s)```yaml\n(.*?)```", (project / f"metrics/cards/{name}.md").read_text())[1]
    said = yaml.load(stated, reader.Loader)
    expected = parameters.variant(declared, name)
    assert parameters.variant({"training": declared["training"], **said}, name) == expected


def test_sample_rows_are_said_not_to_be_official(project, html):
    sample = (project / "report/sample.html").read_text()
    assert "These are not the official data" in sample
    assert 'id="mnist_5k_mlp"' in sample and 'id="mnist_mlp"' not in sample and "data-verdict" not in sample
    assert html.count('<span class="tag">not official</span>') == 2 * 4  # table and card


def test_summaries(project):
    summary = json.loads((project / "metrics/summary.json").read_text())
    assert summary == {"cifar10_model2": 0.6, "mnist_mlp": 0.972, "mnist_l2_1e-6": 0.981, "photos10_linear": 0.5}
    rows = {row["variant"]: row for row in csv.DictReader((project / "plots/summary.csv").open())}
    assert rows["mnist_mlp"]["document"] == "C" and rows["photos10_linear"]["data"] == "sample"
    drawn = {file.stem for file in (project / "plots/comparison").iterdir()}
    assert drawn == {"front", "l2", "networks"}


def test_the_same_inputs_give_the_same_bytes(project, tmp_path):
    shutil.copytree(project, tmp_path / "again")
    for name in OUTPUTS:
        (tmp_path / "again" / name).unlink()
    assert report(tmp_path / "again").returncode == 0
    for name in OUTPUTS:
        assert (tmp_path / "again" / name).read_bytes() == (project / name).read_bytes(), name


def test_nothing_run_and_words_unknown(tmp_path):
    for name in ("params.yaml", "datasets.yaml", "claims.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    assert report(tmp_path).returncode == 0
    assert "No variant has been run yet." in (tmp_path / "report/index.html").read_text()
    done = report(tmp_path, "samples")
    assert done.returncode == 1
    assert done.stderr == "error: stages.report: got 'samples'; allowed: sample, or nothing for everything\n"


def test_curves_leave_out_what_is_not_a_number():
    nan = float("nan")
    accuracy, loss = charts.panels(
        {("accuracy", "training"): {0: {1: 0.5, 2: nan, 3: 0.9}}, ("loss", "training"): {0: {1: nan}}}
    )
    assert [data for data, _, _ in accuracy.lines] == ["training"]
    assert len(accuracy.lines[0][2].split()) == 2
    assert [text for _, text in accuracy.x_ticks] == ["1", "2", "3"]
    assert not loss.lines


def test_an_accuracys_ticks_end_at_100_per_cent():
    for values in ({1: 0.62, 2: 0.999}, {1: 0.985, 2: 1.0}, {1: 0.0, 2: 0.02}, {1: 1.0, 2: 1.0}):
        (panel,) = charts.panels({("accuracy", "training"): {0: values}})
        shares = [float(text.rstrip("%")) for _, text in panel.y_ticks]
        assert len(shares) >= 2 and min(shares) >= 0 and max(shares) <= 100, shares
        places = [float(y) for point in panel.lines[0][2].split() for y in point.split(",")[1:]]
        assert all(charts.TOP <= place <= charts.HEIGHT - charts.BOTTOM for place in places)


def test_a_card_counts_the_images_that_train():
    results = Results(parameters.declared(ROOT), ROOT)
    described = {**results.parameters, "documents": {}}
    for name in results.variants:
        made = cards.card(name, described, results, [])
        if made.ran:
            assert made.train_examples == made.details["images"]["train"], name
    assert cards.card("mnist_5k_mlp", described, results, []).validation == "the last 20% of 4,000, 800 images"
    assert cards.card("spiral", described, results, []).kind == "points"


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no Chromium on this machine: install chromium to run the page's browser tests")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield made
        made.close()


@pytest.fixture
def visit(browser, project):
    """Open the page in a window; at the end nothing was asked of a network and nothing complained."""
    opened, problems = [], []

    def go(width: int = 1280, name: str = "index", **context):
        window = browser.new_context(viewport={"width": width, "height": 800}, **context)
        opened.append(window)
        page = window.new_page()
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "request",
            lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url),
        )
        page.goto((project / f"report/{name}.html").as_uri())
        return page

    yield go
    assert problems == []
    for window in opened:
        window.close()


def shown(page, table: str, column: int) -> list[str]:
    return page.eval_on_selector_all(
        f"#{table} tbody tr:not([hidden])", f"rows => rows.map(row => row.cells[{column}].innerText.trim())"
    )


def test_sorting_with_mouse_and_keyboard(visit):
    page = visit()
    head = page.locator("#variants-table th", has_text="Parameters")
    head.locator("button").click()
    numbers = [int(text.replace(",", "")) for text in shown(page, "variants-table", 7)]
    assert numbers == sorted(numbers) and head.get_attribute("aria-sort") == "ascending"
    head.locator("button").press("Enter")
    assert [int(text.replace(",", "")) for text in shown(page, "variants-table", 7)] == sorted(numbers, reverse=True)
    assert head.get_attribute("aria-sort") == "descending"
    seconds = page.locator("#variants-table th", has_text="Seconds")
    seconds.locator("button").focus()
    page.keyboard.press("Space")
    assert shown(page, "variants-table", 8)[:3] == ["0.5", "7.5", ""]
    assert head.get_attribute("aria-sort") is None and seconds.get_attribute("aria-sort") == "ascending"


def test_filtering(visit):
    page = visit()
    form = page.locator("form[data-table=claims-table]")
    everything = len(shown(page, "claims-table", 0))
    form.locator("[name=verdict]").select_option("reproduced")
    assert {"● reproduced"} == set(shown(page, "claims-table", 5))
    form.locator("[name=verdict]").select_option("")
    form.locator("[name=document]").select_option("C")
    form.locator("[name=text]").fill("MLP accuracy")
    assert shown(page, "claims-table", 0) == ["C2", "C4", "C17", "C19"]
    assert form.locator("output").inner_text() == f"4 of {everything}"
    form.locator("[name=text]").fill("nothing like it")
    assert page.locator("#claims .none").is_visible() and not shown(page, "claims-table", 0)
    page.locator(".legend a", has_text="refuted").click()
    assert set(shown(page, "claims-table", 5)) == {"✕ refuted"}


def test_a_link_opens_its_card(visit):
    page = visit()
    assert not page.locator("#mnist_mlp").is_visible()
    page.locator("#variants-table").get_by_text("mnist_mlp", exact=True).click()
    assert page.locator("#mnist_mlp").is_visible()
    assert page.locator("#mnist_mlp polyline.mean").count() == 4


@pytest.mark.parametrize("name", ["index", "sample"])
def test_a_phone_scrolls_one_way_only(visit, name):
    page = visit(360, name)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    cut = "all => all.filter(each => each.scrollWidth > each.clientWidth).length"
    assert page.locator("#summary .scroll, #search .scroll").evaluate_all(cut) == 0


def test_dark_and_light(visit):
    brightness = {}
    for scheme in ("dark", "light"):
        page = visit(color_scheme=scheme)
        for what in ("backgroundColor", "color"):
            numbers = re.findall(r"\d+", page.evaluate(f"getComputedStyle(document.body).{what}"))
            brightness[scheme, what] = sum(map(int, numbers[:3])) / 3
    assert brightness["dark", "backgroundColor"] < 60 < 180 < brightness["dark", "color"]
    assert brightness["light", "color"] < 60 < 180 < brightness["light", "backgroundColor"]


def test_legible_without_scripts(visit):
    page = visit(java_script_enabled=False)
    assert page.locator("#claims-table tbody tr").first.is_visible()
    assert not page.locator("form.filter").first.is_visible()
    page.locator("summary", has_text="mnist_mlp").click()
    assert page.locator("#mnist_mlp").is_visible()
