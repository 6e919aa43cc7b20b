"""`replica compare`: two revisions of real DVC repositories, and the statistics on their own."""

import itertools
import json
import math
import shutil

import numpy as np
import pytest
import yaml
from conftest import ROOT, Project
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.console import Console

from replica.commands import overview
from replica.commands.compare import compare, experiments, paired, revisions, tables
from replica.common import files
from replica.common.errors import UserError
from replica.evaluation import scores

N = 400
PIPELINE = {
    "stages": {
        "preprocess": {"foreach": "${datasets}", "do": {"cmd": "true", "outs": ["data/processed/${key}"]}},
        "train": {
            "foreach": "${variants}",
            "do": {
                "cmd": "true",
                "params": ["training", "networks.${item.network}", "variants.${key}"],
                "outs": ["models/${key}"],
            },
        },
        "evaluate": {
            "foreach": "${variants}",
            "do": {
                "cmd": "true",
                "deps": ["data/processed/${item.data.dataset}", "models/${key}"],
                "metrics": [{"metrics/${key}.json": {"cache": False}}],
            },
        },
    }
}
NETWORKS = {
    "plain": {"optimizer": "Adam", "layers": {"0": "Flatten", "1": {"Dense": {"units": "$units"}}}},
    "wide": {"optimizer": "Adam", "Dense": {"activation": "relu"}, "layers": {"0": "Flatten", "1": "Dense"}},
}


SEEDS, IMAGES = st.integers(1, 4), st.integers(1, 60)


def sets(seeds=SEEDS, n=IMAGES):
    """Two arrays of the same shape that say which images are right."""
    shape = st.tuples(seeds, n)
    return shape.flatmap(lambda of: st.tuples(arrays(bool, of), arrays(bool, of)))


@given(sets(seeds=st.just(1)))
def test_one_seed_is_mcnemar_s_exact_test(pair):
    before, after = pair
    assert paired.compare(before, after).p == pytest.approx(scores.mcnemar(after[0], before[0])["p"], rel=1e-9)


@given(sets(n=st.integers(1, 9)))
def test_several_seeds_are_every_way_that_images_could_have_turned_out(pair):
    change = pair[1].sum(axis=0, dtype=int) - pair[0].sum(axis=0, dtype=int)
    ways = [abs(np.dot(signs, change)) for signs in itertools.product((-1, 1), repeat=len(change))]
    expected = np.mean(np.array(ways) >= abs(change.sum()))
    assert paired.sign_flips(change) == pytest.approx(expected)


@given(sets())
def test_swapped_revisions_turn_the_sign_and_nothing_else(pair):
    there, back = paired.compare(*pair), paired.compare(*reversed(pair))
    assert there.p == back.p
    assert (there.difference, there.low, there.high) == pytest.approx((-back.difference, -back.high, -back.low))
    assert -1 <= there.low <= there.high <= 1
    assert 0 <= there.p <= 1


def test_the_interval_by_hand():
    """12 images gained, 3 lost, of 100: (9 ± 1.96 √(16 − 81/102)) / 102."""
    change = np.array([1] * 12 + [-1] * 3 + [0] * 85)
    half = 1.959964 * math.sqrt(16 - 81 / 102)
    assert paired.interval(change) == pytest.approx(((9 - half) / 102, (9 + half) / 102), rel=1e-6)
    assert paired.sign_flips(change) == pytest.approx(2 * sum(math.comb(15, k) for k in range(4)) / 2**15)


def test_the_same_images_again_are_no_further_evidence():
    before, after = np.zeros((1, 50), bool), np.arange(50)[None] < 6
    once, thrice = paired.compare(before, after), paired.compare(before.repeat(3, 0), after.repeat(3, 0))
    assert thrice == once
    assert once.p == pytest.approx(2 / 2**6)


def test_holm_by_hand():
    assert paired.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert paired.holm([0.7, 0.6]) == [1, 1]
    assert paired.holm([]) == []


def test_parameters_are_flat():
    layers = ["Flatten", {"Dense": {"units": 64}}, {"Conv2D": {"kernel_size": [3, 3]}}]
    assert compare.flat({"layers": layers, "optimizer": {"Adam": {}}, "seeds": [0, 1]}) == {
        "layers.0": "Flatten",
        "layers.1.Dense.units": 64,
        "layers.2.Conv2D.kernel_size": [3, 3],
        "optimizer.Adam": {},
        "seeds": [0, 1],
    }


class Made(Project):
    """A DVC repository whose runs are made up: each variant's images that are wrong are given, by seed."""

    def put(self, variants, data=("one", "two"), test="0" * 64, kept=True):
        """Write and commit to DVC: `{name: (dataset, settings, {seed: wrong images})}`."""
        for top in ("models", "metrics", "data"):
            shutil.rmtree(self.folder / top, ignore_errors=True)
        datasets = {
            name: {"sha256": {"x_test": "0" * 64, "y_test": test if name == "two" else "0" * 64}} for name in data
        }
        for name in data:
            folder = self.folder / "data/processed" / name
            folder.mkdir(parents=True)
            (folder / "x_test").write_text(datasets[name]["sha256"]["y_test"])
        declared = {}
        for name, (dataset, settings, runs) in variants.items():
            declared[name] = {
                "data": {"dataset": dataset},
                "network": "plain",
                "seeds": len(runs),
                "units": 9,
                **settings,
            }
            right = {seed: ~np.isin(np.arange(N), list(wrong)) for seed, wrong in runs.items()}
            packed = {str(seed): scores.packed(images) for seed, images in right.items()}
            (self.folder / "models" / name).mkdir(parents=True)
            (self.folder / "models" / name / "runs").write_text(str(packed))
            share = float(np.mean(list(right.values())))
            low, high = scores.wilson(share, N)
            test_scores = {"accuracy": share, "accuracy_low": low, "accuracy_high": high}
            files.write_json({"test": test_scores}, self.folder / f"metrics/{name}.json")
            details = {"images": {"test": N}} | ({"right": packed} if kept else {})
            files.write_json(details, self.folder / f"metrics/details/{name}.json")
        common = {"datasets": datasets, "training": {"kernels": "portable"}, "networks": NETWORKS}
        self.write({**common, "variants": declared})
        self.run("dvc", "commit", "-q", "-f")


def runs(*wrong):
    return dict(enumerate(wrong))


BEFORE = {
    "gained": ("one", {"epochs": 1}, runs(range(80))),
    "lost": ("one", {"epochs": 1}, runs(range(10), range(10))),
    "noise": ("one", {"units": 64}, runs(range(20), range(20))),
    "torn": ("one", {"epochs": 1}, runs(range(100), range(10))),
    "same": ("one", {}, runs(range(5))),
    "idle": ("one", {"network": "wide"}, runs(range(7))),
    "gone": ("one", {}, runs(range(9))),
    "other": ("two", {}, runs(range(9))),
}
AFTER = {
    "gained": ("one", {"epochs": 20}, runs(range(40))),
    "lost": ("one", {"epochs": 1, "batch_size": 8}, runs(range(60), range(60), range(5))),
    "noise": ("one", {"units": 32}, runs(range(1, 22), range(2, 20))),
    "torn": ("one", {"epochs": 2}, runs(range(10), range(20))),
    "same": ("one", {}, runs(range(5))),
    "idle": ("one", {"network": "wide", "layers": {"1": {"Dense": {"name": "same"}}}}, runs(range(7))),
    "fresh": ("one", {}, runs(range(9))),
    "other": ("two", {}, runs(range(4))),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two revisions, `main~1` and `main`, and a tag on the first."""
    folder = tmp_path_factory.mktemp("made")
    repository = Made(folder)
    repository.begin()
    repository.run("dvc", "init", "-q")
    (folder / "dvc.yaml").write_text(yaml.safe_dump(PIPELINE, sort_keys=False))
    (folder / ".gitignore").write_text("/data\n/models\n")
    (folder / "params.yaml").write_text("{}\n")
    repository.commit("Empty")
    repository.put(BEFORE)
    repository.commit("Before")
    repository.run("git", "tag", "first")
    repository.put(AFTER, test="1" * 64)
    repository.commit("After")
    return repository


@pytest.fixture
def inside(made, monkeypatch):
    """Inside that repository, put back afterwards."""
    monkeypatch.chdir(made.folder)
    yield made
    made.run("git", "checkout", "-q", "--", ".")


def by_name(comparison):
    return {row.variant: row for row in comparison.rows}


def test_every_verdict(inside):
    rows = by_name(compare.compare("first", "main"))
    assert {name: row.verdict for name, row in rows.items()} == {
        "gained": "better",
        "lost": "worse",
        "noise": "within noise",
        "torn": "within noise",
        "same": "same bytes",
        "idle": "same bytes",
        "gone": "gone",
        "fresh": "new",
        "other": "other data",
    }
    assert rows["gained"].difference == pytest.approx(0.1)
    assert rows["gained"].before == pytest.approx((0.8, *scores.wilson(0.8, N)), abs=1e-5)
    assert rows["gained"].paired.p == pytest.approx(2 / 2**40)
    assert rows["gained"].p == pytest.approx(2 * 2 / 2**40)  # the third of four by p, so twice
    assert rows["noise"].difference == pytest.approx((-1 + 2) / 2 / N)
    assert rows["other"].difference is None


def test_only_the_seeds_of_both_are_compared(inside):
    row = by_name(compare.compare("first", "main"))["lost"]
    assert row.seeds == dict.fromkeys((0, 1), pytest.approx(-50 / N))
    assert row.notes == ["on the seeds of both: 0, 1"]
    assert row.paired.p == pytest.approx(2 / 2**50)


def test_what_another_seed_turns_round_is_noise(inside):
    row = by_name(compare.compare("first", "main"))["torn"]
    assert row.p < 0.001
    assert row.notes == ["seeds disagree: +0.2250, −0.0250"]


def test_swapped_revisions_swap_the_verdicts(inside):
    there, back = compare.compare("first", "main"), compare.compare("main", "first")
    opposite = {"better": "worse", "worse": "better", "new": "gone", "gone": "new"}
    assert {row.variant: opposite.get(row.verdict, row.verdict) for row in there.rows} == {
        row.variant: row.verdict for row in back.rows
    }
    for name, row in by_name(back).items():
        other = by_name(there)[name]
        assert row.p == other.p
        assert row.difference == (None if other.difference is None else pytest.approx(-other.difference))
        assert (row.before, row.after) == (other.after, other.before)


def test_the_largest_effect_comes_first_and_the_same_last(inside):
    rows = compare.compare("first", "main").rows
    assert [row.variant for row in rows[:4]] == ["lost", "gained", "torn", "noise"]
    assert {row.variant for row in rows[4:7]} == {"gone", "fresh", "other"}
    assert [row.variant for row in rows[7:]] == ["idle", "same"]


def test_changed_parameters(inside):
    rows = by_name(compare.compare("first", "main"))
    said = {name: [tables.sentence(change) for change in row.changes] for name, row in rows.items()}
    assert said["gained"] == ["epochs: 1 -> 20"]
    assert said["lost"] == ["seeds: 2 -> 3", "batch_size: – -> 8"]
    assert said["noise"] == ["units: 64 -> 32"]
    assert said["idle"] == ["layers.1.Dense.name: – -> same"]
    assert said["same"] == []


def test_a_network_s_change_is_its_variants(inside):
    parameters = inside.parameters()
    parameters["networks"]["wide"]["Dense"]["activation"] = "tanh"
    parameters["networks"]["plain"]["optimizer"] = "SGD"
    parameters["variants"]["gained"]["network"] = "wide"
    inside.write(parameters)
    rows = by_name(compare.compare("main"))
    said = {name: [tables.sentence(change) for change in row.changes] for name, row in rows.items()}
    assert said["idle"] == ["layers.1.Dense.activation: relu -> tanh"]
    assert said["same"] == ["optimizer.Adam: {} -> –", "optimizer.SGD: – -> {}"]
    assert said["gained"] == [
        "layers.1.Dense.units: $units -> –",
        "network: plain -> wide",
        "layers.1.Dense.activation: – -> tanh",
    ]
    assert {name for name, row in rows.items() if row.notes} == set(AFTER)


def test_a_revision_from_before_there_were_networks(inside):
    parameters = inside.parameters()
    layers = ["Flatten", {"Dense": {"units": 9}}]
    old = {"dataset": "one", "seeds": [0], "optimizer": "Adam", "layers": layers}
    inside.write({**parameters, "training": {"precision": "auto"}, "variants": {"same": old}})
    row = by_name(compare.compare("main"))["same"]
    assert compare.Change("layers.1.Dense.units", "$units", 9) in row.changes
    assert compare.Change("precision", ..., "auto") in row.changes
    assert row.verdict == "same bytes"


def test_a_training_default_counts_for_those_who_use_it(inside):
    parameters = inside.parameters()
    parameters["training"]["kernels"] = "native"
    parameters["variants"]["fresh"]["kernels"] = "portable"
    inside.write(parameters)
    rows = by_name(compare.compare("main"))
    changed = [name for name, row in rows.items() if row.changes]
    assert set(changed) == set(AFTER) - {"fresh"}
    assert rows["gained"].changes == [compare.Change("kernels", "portable", "native")]
    assert rows["gained"].verdict == "same bytes"
    assert rows["gained"].notes == ["settings newer than the scores at workspace: `dvc repro evaluate@gained`"]


def test_scores_of_the_model_before_are_not_those_of_what_was_trained_since(inside):
    parameters = inside.parameters()
    parameters["variants"]["gained"]["epochs"] = 40
    inside.write(parameters)

    def tried():
        (row,) = [
            each for each in experiments.experiments() if each.variant == "gained" and each.experiment == "workspace"
        ]
        return row.test, row.difference, row.validation

    assert tried() == (None, None, None), "nothing of it has run"
    (inside.folder / "models/gained/runs").write_text("trained anew")
    inside.run("dvc", "commit", "-q", "-f", "train@gained")
    row = by_name(compare.compare("main"))["gained"]
    assert (row.verdict, row.difference, row.after) == ("not scored", None, None)
    assert row.notes == ["model newer than the scores at workspace: `dvc repro evaluate@gained`"]
    assert tried() == (None, None, None)
    inside.run("dvc", "commit", "-q", "-f", "evaluate@gained")
    assert by_name(compare.compare("main"))["gained"].notes == []
    assert tried()[:2] == (pytest.approx((0.9, *scores.wilson(0.9, N)), abs=1e-5), 0.0)
    inside.run("git", "checkout", "-q", "--", ".")
    inside.run("dvc", "checkout", "-q", "--force")


def test_scores_of_before_predictions_were_kept_are_compared_by_intervals(inside):
    inside.put(BEFORE, test="1" * 64, kept=False)
    rows = by_name(compare.compare("workspace", "main"))
    assert rows["gained"].verdict == "better"
    assert rows["gained"].difference == pytest.approx(0.1)
    assert rows["gained"].paired is rows["gained"].p is None
    assert rows["gained"].notes == ["intervals alone: no predictions in workspace's metrics; there `dvc repro`"]
    assert rows["noise"].verdict == "within noise"
    assert rows["same"].verdict == "same bytes"
    inside.run("dvc", "checkout", "-q", "--force")


def test_without_data_and_models_too(inside):
    """As in the fresh clone that a pull request's check is."""
    shutil.rmtree(inside.folder / "data")
    shutil.rmtree(inside.folder / "models")
    (inside.folder / ".dvc/cache").rename(inside.folder / ".dvc/away")
    try:
        assert by_name(compare.compare("first", "main"))["gained"].p == pytest.approx(2 * 2 / 2**40)
    finally:
        (inside.folder / ".dvc/away").rename(inside.folder / ".dvc/cache")
    inside.run("dvc", "checkout", "-q", "--force")


@given(arrays(bool, st.integers(1, 100)))
def test_packed_images_come_back(right):
    assert (scores.unpacked(scores.packed(right), len(right)) == right).all()


@pytest.mark.parametrize(
    ("revisions", "line"),
    [
        (["mian"], "mian: no such revision; did you mean main? allowed: a branch, tag,"),
        (["main", "0123abcd"], "0123abcd: no such revision; allowed: a branch"),
        (["main~2"], "main~2: no scores of any variant"),
    ],
)
def test_a_revision_that_does_not_serve_is_named(inside, revisions, line):
    with pytest.raises(UserError) as error:
        compare.compare(*revisions)
    assert str(error.value).startswith(line)
    assert "\n" not in str(error.value)


def test_outside_of_a_dvc_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="not in a DVC repository"):
        compare.compare("main")


def test_a_split_index_for_which_dvc_waits_for_ever_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.begin()
    project.run("dvc", "init", "-q")
    project.run("git", "update-index", "--split-index")
    with pytest.raises(UserError, match="index is split"):
        revisions.opened()
    project.run("git", "update-index", "--no-split-index")
    revisions.opened().close()


def test_damaged_metrics_are_named(inside):
    (inside.folder / "metrics/gained.json").write_text('{"test": {"accuracy": 1}}')
    with pytest.raises(UserError, match=r"workspace: metrics/gained.json: no test accuracy with its interval"):
        compare.compare("main")


def test_markdown_is_one_table_without_colour(inside):
    found = compare.compare("first", "main")
    text = tables.markdown(found)
    assert text == tables.markdown(compare.compare("first", "main"))
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.split("\n"))
    table = [line for line in text.split("\n") if line.startswith("|")]
    assert {line.count("|") for line in table} == {7}
    assert len(table) == 2 + 8
    assert f"{table[-1]}\n\np: McNemar's exact test on the test images, Holm's for 4 variants" in text
    low, high = scores.wilson(0.9, N)
    assert f"| gained | 0.8000<br>0.7580–0.8363 | 0.9000<br>{low:.4f}–{high:.4f} | +0.1000<br>" in text
    assert "**better**<br>p < 0.0001 | `epochs: 1 -> 20` |" in text
    assert text.endswith("\n\n1 variant: same")
    assert "| same | " in tables.markdown(found, everything=True)


def test_nothing_to_tell_is_two_lines(inside):
    assert tables.markdown(compare.compare("main", "main")).split("\n\n")[1:] == ["8 variants: same"]


def test_json_has_every_variant_and_the_documented_keys(inside):
    content = json.loads(tables.dump(compare.compare("first", "main")))
    commit = inside.run("git", "rev-parse", "first").stdout.strip()
    assert content["before"] == {"revision": "first", "commit": commit}
    assert content["tested"] == 4
    rows = {row["variant"]: row for row in content["variants"]}
    assert set(rows) == {*BEFORE, *AFTER}
    documented = (ROOT / "docs/compare.md").read_text()
    assert all(f"`{key}`" in documented for key in {*content, *rows["gained"]})
    assert rows["lost"]["parameters"][1] == {"name": "batch_size", "after": 8}
    assert rows["gained"]["difference"]["low"] < 0.1 < rows["gained"]["difference"]["high"]
    assert rows["gone"]["after"] is None


@pytest.mark.parametrize("width", [80, 100, 160])
def test_the_table_fits_the_terminal(inside, monkeypatch, capsys, width):
    monkeypatch.setattr(overview, "console", lambda: Console(width=width, highlight=False))
    tables.show(compare.compare("first", "main"))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    assert not any("…" in line.rstrip()[-1:] for line in lines)
    assert any(line.startswith("gained") and "0.8000" in line and "+0.1000" in line for line in lines)


def test_the_command_line(inside):
    command = ("python", "-m", "replica", "compare", "first")
    ran = inside.run(*command, "main", "--markdown", PYTHONPATH=str(ROOT))
    assert ran.stdout == tables.markdown(compare.compare("first", "main")) + "\n"
    wrong = inside.run(*command, "--json", "--markdown", check=False, PYTHONPATH=str(ROOT))
    assert wrong.returncode == 1
    assert wrong.stdout == "error: replica compare: got --json and --markdown; allowed: one of them\n"


def test_an_experiment_against_head(project, monkeypatch):
    monkeypatch.chdir(project.folder)
    longer = ("-n", "longer", "-S", "variants.photos10_linear.epochs=3")
    project.run("dvc", "exp", "run", *longer, "evaluate@photos10_linear")
    try:
        assert by_name(compare.compare("HEAD"))["photos10_linear"].changes == [compare.Change("epochs", 1, 3)]
        project.run("git", "checkout", "-q", "--", ".")
        assert all(row.unchanged for row in compare.compare("HEAD").rows)
        rows = by_name(compare.compare("HEAD", "longer"))
    finally:
        project.run("dvc", "exp", "remove", "longer")
        project.run("git", "checkout", "-q", "--", ".")
        project.run("dvc", "checkout", "-q")
    assert rows["mnist_5k_mlp"].unchanged
    row = rows["photos10_linear"]
    assert row.changes == [compare.Change("epochs", 1, 3)]
    assert row.difference == pytest.approx(row.after[0] - row.before[0], abs=1e-5)
    assert row.p == row.paired.p < 1


def test_experiments_are_listed_beside_what_they_changed(made):
    made.run("git", "update-ref", f"refs/exps/{(base := head(made))[:2]}/{base[2:]}/tried", "first")
    for options, held in (([], "tried"), (["--markdown"], "| tried | gained |"), (["--json"], '"experiment": "tried"')):
        done = made.run("python", "-m", "replica", "experiments", *options, PYTHONPATH=str(ROOT))
        assert held in done.stdout
        assert "epochs" in done.stdout
        assert options or max(map(len, done.stdout.splitlines())) <= 100


def head(made):
    return made.run("git", "rev-parse", "HEAD").stdout.strip()
