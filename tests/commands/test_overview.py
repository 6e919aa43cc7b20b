"""The tables on the terminal."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT

from replica.commands import overview
from replica.common import parameters
from replica.common.errors import UserError


@pytest.fixture
def declared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return parameters.declared(ROOT)


@pytest.mark.parametrize("columns", ["", "100"])
def test_every_variant_has_a_line_of_100_columns_at_most(columns, declared, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    overview.show(declared, [])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(declared["variants"])
    assert max(map(len, lines)) <= 100
    assert re.search(r"^mnist_l2_1e-4 +mnist +\w+ +\d+ +391,010 +\w", "\n".join(lines), re.MULTILINE)
    assert "…" in "\n".join(lines), "the optimizer is what is cut"


def test_one_variant_shows_its_arithmetic(declared, capsys):
    overview.show(declared, ["mnist_cnn"])
    out = capsys.readouterr().out
    assert re.search(r"Conv2D .*26×26×32 +3×3 +320 +\(3·3·1 \+ 1\)·32", out)
    assert "258,090" in out
    assert re.search(r"Flatten +\S+ +all +0", out) and re.search(r"^layer +arguments +output +sees", out, re.M)


def test_an_unknown_variant_is_refused_with_the_nearest(declared):
    with pytest.raises(UserError, match="did you mean mnist_mlp"):
        overview.show(declared, ["mnist_mpl"])


def metrics(name, accuracy):
    Path("metrics").mkdir(exist_ok=True)
    test = {"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01}
    Path("metrics", f"{name}.json").write_text(
        json.dumps({"params_total": 1234, "test": test, "dummy": {"accuracy": 0.1}})
    )


def test_results_of_all_variants_fit_100_columns(declared, capsys):
    for name in declared["variants"]:
        metrics(name, 0.91)
    overview.results(declared, [])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_results_are_a_table(declared, capsys):
    metrics("mnist_5k_mlp", 0.91)
    metrics("mnist_mlp", 0.97)
    Path("timings").mkdir()
    Path("timings/mnist_mlp.json").write_text('{"train_seconds": 12.34}')
    overview.results(declared, [])
    lines = capsys.readouterr().out.splitlines()
    assert any(
        re.match(r"mnist_mlp +mnist +0.9700 +0.9600 – 0.9800 +0.1000 +1,234 +12.3$", line.rstrip()) for line in lines
    )
    assert any(re.match(r"mnist_5k_mlp .* –$", line.rstrip()) for line in lines)
    overview.results(declared, ["sample"])
    out = capsys.readouterr().out
    assert "mnist_5k_mlp" in out
    assert "mnist_mlp" not in out
    shutil.rmtree("metrics")
    with pytest.raises(UserError, match="make sample"):
        overview.results(declared, [])


def test_an_entry_that_is_wrong_is_a_line_and_the_others_have_their_table(declared, capsys):
    for name in ("mnist_mlp", "mnist_cnn"):
        metrics(name, 0.97)
    del declared["variants"]["mnist_mlp"]["seeds"], declared["variants"]["mnist_5k_mlp"]["data"]
    for name, key in (("mnist_mlp", "seeds"), ("mnist_5k_mlp", "data")):
        with pytest.raises(UserError, match=rf"^variants\.{name}\.{key}: missing$"):
            overview.show(declared, [name])
    metrics("mnist_5k_mlp", 0.91)
    for names in ([], ["sample"], ["mnist_5k_mlp"]):
        with pytest.raises(UserError, match=r"^variants\.mnist_5k_mlp\.data: got None; should be"):
            overview.results(declared, names)
    overview.results(declared, ["mnist_cnn", "mnist_mlp"])
    assert capsys.readouterr().out.count("0.9700") == 2


def test_a_score_that_is_empty_is_of_a_variant_that_was_not_evaluated(declared, capsys):
    """A sweep's trial that was applied leaves such a file."""
    metrics("mnist_cnn", 0.97)
    for name in ("mnist_mlp", "mnist_5k_mlp"):
        Path(f"metrics/{name}.json").write_text("{}\n")
    overview.results(declared, [])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == ["mnist_cnn"]
    overview.results(declared, ["mnist_mlp", "mnist_cnn"])
    assert "mnist_mlp" not in capsys.readouterr().out
    with pytest.raises(UserError) as caught:
        overview.results(declared, ["mnist_mlp", "mnist_5k_mlp"])
    remedy = "run `dvc repro evaluate@mnist_mlp evaluate@mnist_5k_mlp`"
    assert str(caught.value) == f"metrics: mnist_mlp, mnist_5k_mlp: not evaluated; {remedy}"


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("metrics/mnist_mlp.json", "dvc repro evaluate@mnist_mlp"),
        ("timings/mnist_mlp.json", "dvc repro --force train@mnist_mlp"),
    ],
)
def test_a_damaged_file_is_one_line(file, remedy, declared):
    metrics("mnist_mlp", 0.97)
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text('{"test": {"acc')
    with pytest.raises(UserError) as caught:
        overview.results(declared, [])
    assert str(caught.value) == f"{file}: not JSON; delete it and run `{remedy}`"
