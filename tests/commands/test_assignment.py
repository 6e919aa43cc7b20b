"""`replica assignment`: three chapters; a good, a lazy and a cheating submission of each are told apart."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml
from assignments import GOLDEN, GRADER, HIDDEN, OWN, SOLVED, STUDENT, assigned, key, settled, trained, wanted
from conftest import ROOT

from replica.commands.assignment import command, declaration, forms, rerun, starter, worker
from replica.commands.assignment.grade import SEEDS, Grader, grade
from replica.commands.assignment.judge import counted, interval
from replica.commands.assignment.submission import Submission, read, student_of
from replica.common.errors import UserError

RECORDED = json.loads(GOLDEN.read_text())
PROSE = "My own figures, and what I read in the curves of both. " * 6
CHAPTERS = sorted(SOLVED)


@pytest.fixture(autouse=True)
def project(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.fixture
def recorded(monkeypatch):
    """The grader's trainings are looked up among those that were recorded; one that was not is an error."""
    asked = []

    def train(self, variant, seeds, hidden):
        name, settings = self.assignment.name, self.settings(variant)
        wrong = {each: settings[each] for each in ("layers", "epochs", "optimizer", "batch_size")}
        assert wrong == {each: settled(name, variant)[each] for each in wrong}, "not what was recorded"
        asked.append(key(name, variant, GRADER if list(seeds) == SEEDS else seeds, hidden))
        return rerun.Runs(**RECORDED[asked[-1]])

    monkeypatch.setattr(Grader, "train", train)
    return asked


def kept(name: str, **others) -> declaration.Hidden:
    return declaration.Hidden(assignment=name, seeds=list(GRADER), data=HIDDEN, **others)


def mean(name: str, variant: str, of: str = "test", seeds=OWN) -> float:
    return float(rerun.Runs(**RECORDED[key(name, variant, seeds, False)]).figures(of).mean())


def put(folder: Path, name: str, answers: dict, params: dict, variants=()) -> Path:
    """A submission: a starter with answers, parameters, and the metrics of the student's own runs."""
    for file, text in starter.files(assigned(name)).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    write(folder / "answers.yaml", answers)
    write(folder / "params.yaml", params)
    for variant in variants:
        metrics(folder, name, variant, mean(name, variant))
    return folder


@cache
def honest_grader(name: str) -> Grader:
    return Grader(assigned(name), Submission(Path(), params=solved(name)), None)


def metrics(folder: Path, name: str, variant: str, test: float) -> None:
    ours = honest_grader(name)
    count = sum(n for _, layer, shape in ours.stack(variant) for _, n in layer.parameters(shape))
    content = {
        "params_total": count,
        "train": {"accuracy": mean(name, variant, "train")},
        "test": {"accuracy": test},
    }
    file = folder / f"metrics/{variant}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))


def write(file: Path, content: dict) -> None:
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def solved(name: str) -> dict:
    params = assigned(name).params
    params["variants"]["mine"] |= SOLVED[name]
    return params


def answered(name: str) -> dict:
    """What a good student answers: arithmetic, figures of the own runs, and what these show."""
    ours = honest_grader(name)
    found = {"assignment": name, "student": STUDENT}
    for question in assigned(name).chapter.questions:
        if question.count:
            stack = ours.stack(question.count.variant)
            layers = stack if question.count.layer is None else [stack[int(question.count.layer)]]
            found[question.id] = sum(n for _, layer, shape in layers for _, n in layer.parameters(shape))
        elif question.score:
            found[question.id] = round(mean(name, question.score.variant, question.score.of), 4)
        elif question.better:
            a, b = (mean(name, each, question.better.of) for each in (question.better.a, question.better.b))
            found[question.id] = question.better.a if a > b else question.better.b
        elif question.words:
            found[question.id] = PROSE
    return found


def good(folder: Path, name: str) -> Path:
    variants = {each for chapter, each, _, _ in wanted() if chapter == name}
    return put(folder, name, answered(name), solved(name), sorted(variants))


def by_id(found) -> dict:
    return {result.id: result for result in found.results}


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_good_submission_has_every_point(tmp_path, name, recorded):
    found = grade(assigned(name), good(tmp_path, name), kept(name))
    assert [result for result in found.results if result.points != result.most] == []
    assert (found.status, found.reasons, found.notes) == ("graded", [], [])
    assert by_id(found)["goal_hidden"].hidden and found.points == found.most >= 12


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_lazy_one_has_none_and_nothing_is_trained_for_it(tmp_path, name, recorded):
    folder = put(tmp_path, name, {}, assigned(name).params)
    (folder / "answers.yaml").write_text(starter.files(assigned(name))["answers.yaml"])
    found = grade(assigned(name), folder, kept(name))
    assert (found.status, found.points, found.reasons, recorded) == ("untouched", 0, [], [])
    assert {result.why for result in found.results} == {"no answer", "mine is as it was handed out"}
    assert not any(result.right for result in found.results)
    prose = put(tmp_path, name, {"why": PROSE, "too_small": PROSE, "time_or_accuracy": PROSE}, assigned(name).params)
    assert grade(assigned(name), prose, kept(name)).points == 0, "words alone are a person's to mark"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_cheating_one_is_found_out_by_runs_of_the_grader_s_own(tmp_path, name, recorded):
    folder = good(tmp_path, name)
    score = next(each for each in assigned(name).chapter.questions if each.score and each.score.of == "test")
    higher = mean(name, score.score.variant) + 0.09
    write(folder / "answers.yaml", {**answered(name), score.id: higher})
    metrics(folder, name, score.score.variant, higher)
    found = grade(assigned(name), folder, kept(name))
    assert found.status == "look closer"
    assert by_id(found)[score.id].points == 0
    said = f"{higher:.4f} does not come out of {score.score.variant} as declared"
    assert by_id(found)[score.id].why == said and "outside" in by_id(found)[score.id].detail
    assert any(each.startswith(f"metrics/{score.score.variant}.json: {said}: outside") for each in found.reasons)
    assert found.points == found.most - score.points, "what is right in it has its points"


def test_an_honest_figure_outside_the_interval_is_held_to_its_own_seeds(tmp_path, recorded, monkeypatch):
    """Of a hundred honest figures one is outside; the same seeds then give it here, too, and it has its points."""
    folder = good(tmp_path, "dense")
    own = RECORDED[key("dense", "baseline", OWN, False)]
    monkeypatch.setitem(own, "test", [each + 0.05 for each in own["test"]])
    answer = mean("dense", "baseline")
    metrics(folder, "dense", "baseline", answer)
    write(folder / "answers.yaml", {**answered("dense"), "accuracy": round(answer, 4)})
    found = grade(assigned("dense"), folder, kept("dense"))
    assert f"its own seeds give {answer:.4f} here" in by_id(found)["accuracy"].detail
    assert by_id(found)["accuracy"].points == 2 and found.reasons == []


def test_the_interval_holds_as_many_honest_figures_as_it_says():
    import numpy as np

    draws = np.random.default_rng(0)
    inside = 0
    for _ in range(1500):
        low, high = interval(draws.normal(0.9, 0.01, 5), 0.99, 3)
        inside += low <= draws.normal(0.9, 0.01, 3).mean() <= high
    assert 0.98 <= inside / 1500 <= 0.997
    assert interval(np.full(5, 0.1), 0.99, 3) == (pytest.approx(0.1), pytest.approx(0.1))


def test_scores_of_another_network_than_the_declared_one_are_seen(tmp_path, recorded):
    folder = good(tmp_path, "dense")
    file = folder / "metrics/mine.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "params_total": 258_090}))
    trained = {"params": {"params.yaml": {"variants.mine": {**solved("dense")["variants"]["mine"], "epochs": 400}}}}
    evaluated = {"outs": [{"path": "metrics/mine.json", "md5": "0" * 32}]}
    write(folder / "dvc.lock", {"stages": {"train@mine": trained, "evaluate@mine": evaluated}})
    found = grade(assigned("dense"), folder, kept("dense"))
    assert found.status == "look closer"
    assert [each.partition(": ")[0] for each in found.reasons] == ["dvc.lock", "metrics/mine.json", "metrics/mine.json"]
    assert "trained with variants.mine.epochs at 400; params.yaml declares 30" in found.reasons[0]
    assert "its MD5 is another than in dvc.lock" in found.reasons[1]
    assert "of a network of 258,090 parameters, where mine as it is declared has 47,722" in found.reasons[2]


def test_a_neighbour_s_answers_do_not_fit(tmp_path, monkeypatch):
    near = rerun.Runs(**RECORDED[key("dense", "baseline", GRADER, False)])  # bob's network is hardly another one
    monkeypatch.setattr(Grader, "train", lambda *_: near)
    folder = good(tmp_path, "dense")
    bob = assigned("dense", "bob")
    assert bob.dealt != assigned("dense").dealt
    write(folder / "answers.yaml", {**answered("dense"), "student": "bob"})
    taken = starter.files(bob)["params.yaml"]
    for submission in (solved("dense"), yaml.safe_load(taken)):  # the numbers copied as well, or one's own
        write(folder / "params.yaml", submission)
        found = grade(bob, folder, None)
        assert by_id(found)["hidden_layer"].points == by_id(found)["whole"].points == 0
        assert found.status == "look closer" or submission["variants"]["baseline"]["units"] == bob.dealt["units"]
    write(folder / "answers.yaml", answered("dense"))
    assert "student: got ada; this is graded for bob" in "\n".join(grade(bob, folder, None).reasons)


@pytest.mark.parametrize(
    "path, value, why",
    [
        ("variants.mine.units", 400, "mine has 478,410 parameters; allowed: 80,000"),
        ("variants.mine.epochs", 41, "mine has 41 epochs; allowed: 40"),
        ("variants.mine.data.validation", "test", "variants.mine.data.validation: got 'test'"),
        ("variants.mine.data.train_examples", 10**9, "variants.mine.data.train_examples: got 1000000000"),
        ("variants.mine.seeds", 1, "variants.mine.seeds: got 1"),
        ("networks.mine.layers.0", "os.system", "got 'os.system', no layer of that name"),
        ("networks.mine.optimizer.SGD", {"learning_rate": "$learning_rate", "x": 1}, "SGD.x: unknown key"),
        ("variants.mine.network", ["mine"], "variants.mine.network: got ['mine']"),
        ("networks.mine", [1, 2], "networks.mine: got [1, 2]"),
        ("networks", None, "params.yaml: networks: missing"),
        ("variants", "x", "params.yaml: variants: missing"),
    ],
)
def test_what_is_declared_is_held_to_the_task_and_the_schema_before_it_trains(tmp_path, recorded, path, value, why):
    params = solved("dense")
    *above, last = path.split(".")
    place = params
    for each in above:
        place = place[each]
    place[last] = value
    folder = put(tmp_path, "dense", {"student": STUDENT}, params)
    file = folder / "metrics/mine.json"
    file.parent.mkdir()
    file.write_text('{"params_total": 1, "test": {"accuracy": 0.99}, "train": {"accuracy": 1.0}}')
    found = grade(assigned("dense"), folder, None)
    assert by_id(found)["goal"].points == 0 and why in by_id(found)["goal"].why
    assert recorded == []


THIRD = {"id": "third", "points": 1, "text": "…", "count": {"variant": "mine", "layer": "2"}}


def test_a_network_without_the_layer_asked_for_has_no_points_and_the_next_submission_is_graded(
    tmp_path, recorded, capsys
):
    folders = [good(tmp_path / each, "dense") for each in ("a", "b")]
    write(tmp_path / "hidden.yaml", {"assignment": "dense", "seeds": list(GRADER), "questions": [THIRD]})
    for folder in folders:
        write(folder / "answers.yaml", {**answered("dense"), "third": answered("dense")["hidden_layer"]})
    params = solved("dense")
    params["networks"]["mine"]["layers"] = {"0": "Flatten", "1": {"Dense": {"units": 10}}}
    params["variants"]["mine"].pop("units")
    params["variants"]["mine"]["epochs"] = 41  # so that it is not trained here
    write(folders[0] / "params.yaml", params)
    command.grade("dense", folders, "", tmp_path / "hidden.yaml", "text")
    said = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()]
    first, second = (line for line in said if line[:1] == ["third"])
    assert first[1:] == ["0", "of", "1", "mine: got '2', no layer of that name; allowed: 0, 1"]
    assert second[1:4] == ["1", "of", "1"]


@pytest.mark.parametrize("layer, right", [("0", 0), ("20", 3192), ("30", 570)])
def test_a_layer_is_counted_by_its_number(layer, right):
    params = solved("dense")
    layers = params["networks"]["mine"]["layers"]
    params["networks"]["mine"]["layers"] = {f"{place}0".lstrip("0") or "0": layers[place] for place in layers}
    grader = Grader(assigned("dense"), Submission(Path(), params=params), None)
    count = declaration.Count(variant="mine", layer=layer)
    assert counted(count, right, grader).right and not counted(count, right + 1, grader).right


def test_a_variant_that_was_not_to_be_changed_is_judged_as_it_was_handed_out_and_named(tmp_path, recorded):
    folder = good(tmp_path, "dense")
    params = solved("dense")
    params["variants"]["baseline"] |= {"epochs": 500, "units": 9999}
    params["networks"]["dense"]["layers"]["1"] = "Nonsense"
    params["variants"]["another"] = {"network": "none"}
    write(folder / "params.yaml", params)
    found = grade(assigned("dense"), folder, kept("dense"))
    assert found.points == found.most and found.status == "look closer"
    names = ["networks.dense.layers.1.Dense.activation", "variants.baseline.epochs", "variants.baseline.units"]
    assert [name in each for name in names for each in found.reasons].count(True) == 3


@pytest.mark.parametrize(
    "text",
    [
        "a: *a",
        "a: &a [*a]",
        "!!python/object/apply:os.system [touch caught]",
        "- 1\n- 2",
        "accuracy: [1, {2: 3}]\nwhole: {a: b}\nwhy: [x]\nwidth: 3\nby_heart: .nan\nhidden_layer: true",
        "accuracy: 91.37\nby_heart: '0.03'\nwhole: 1.5\nwidth: Baseline\nwhy: short",
        "x" * 3_000_000,
        "\0",
    ],
)
def test_any_answers_have_a_grade_and_one_line_each(tmp_path, recorded, text):
    folder = put(tmp_path, "dense", {}, solved("dense"))
    (folder / "answers.yaml").write_text(text)
    found = grade(assigned("dense"), folder, kept("dense"))
    assert found.points == 5, "of `mine` alone"
    assert all(result.why and "\n" not in result.why for result in found.results)
    for form in forms.FORMS:
        assert getattr(forms, form)(found)
    assert not (ROOT / "caught").exists()


NUMBERS = ("11712345", "007", "+49", "1e5", "true", "null", "2024-01-01", "1_2", "@ada", "-", "müller", "𠮷野")


@pytest.mark.parametrize("student", NUMBERS)
def test_a_student_named_by_what_yaml_takes_for_more_than_text_has_that_name(tmp_path, student):
    (tmp_path / "answers.yaml").write_text(starter.files(assigned("dense", student))["answers.yaml"])
    assert student_of(tmp_path) == student
    assert read(assigned("dense", student), tmp_path).changed == []


def test_a_name_without_quotes_is_refused_in_a_line_and_the_next_submission_graded(tmp_path, recorded, capsys):
    """Starters that were handed out before names had quotes: 007 is 7, and the numbers dealt to 7 are others."""
    folders = [good(tmp_path / each, "dense") for each in ("a", "b")]
    write(folders[0] / "answers.yaml", {**answered("dense"), "student": 7})
    command.grade("dense", folders, "", None, "text")
    said = " ".join(capsys.readouterr().out.split())
    assert "dense: 0 of 11 points, incomplete" in said and f"dense, {STUDENT}: 11 of 11 points, graded" in said
    assert "student: got 7, which is no text; put the name into quotes, as it was given" in said
    assert "params.yaml" not in said
    assert grade(assigned("dense"), folders[0], None).status == "graded", "where the teacher says whose it is"


def test_an_assignment_named_by_a_number_is_graded_under_its_name(tmp_path):
    (tmp_path / "2024.yaml").write_text(OWN_CHAPTER)
    assignment = declaration.deal(*declaration.chapter(str(tmp_path / "2024.yaml")), "ada")
    files = starter.files(assignment)
    (tmp_path / "params.yaml").write_text(files["params.yaml"])
    for answers in (files["answers.yaml"], files["answers.yaml"].replace('"2024"', "2024")):  # as it was before quotes
        (tmp_path / "answers.yaml").write_text(answers)
        assert read(assignment, tmp_path).problems == []


HUGE = "0x" + "f" * 5000
WIDER = {"DepthwiseConv2D": {"kernel_size": 1, "depth_multiplier": 2**31 - 1}}
WIDEST = {"0": {"Conv2D": {"filters": "$units", "kernel_size": 1}}, **{str(place): WIDER for place in range(1, 40)}}


@pytest.mark.parametrize(
    "file, text",
    [
        ("metrics/baseline.json", '{"params_total": Infinity, "test": {"accuracy": 1}, "train": {"accuracy": 1}}'),
        ("metrics/mine.json", f'{{"params_total": 1, "test": {{"accuracy": {9**420}}}, "train": {{"accuracy": 1}}}}'),
        ("answers.yaml", f"hidden_layer: {HUGE}"),
        ("answers.yaml", f"student: {HUGE}"),
        ("answers.yaml", f"width: [a, {{b: !!set {{{HUGE}}}}}]"),
        ("answers.yaml", f"? {HUGE}\n: 1"),
        ("params.yaml", yaml.safe_dump(solved("dense")).replace("epochs: 30", f"epochs: {HUGE}")),
        ("params.yaml", yaml.safe_dump({**solved("dense"), "training": {"kernels": "x"}}).replace(": x", f": {HUGE}")),
        (
            "dvc.lock",
            f"stages: {{train@mine: {{params: {{params.yaml: {{a: {HUGE}}}}}}}, evaluate@mine: {{outs: []}}}}",
        ),
    ],
    ids=range(9),
)
def test_a_number_too_large_to_be_written_ends_no_grading(tmp_path, recorded, file, text):
    folder = good(tmp_path, "dense")
    (folder / file).write_text(text)
    assert student_of(folder) in ("", STUDENT)
    found = grade(assigned("dense"), folder, kept("dense"))
    refused = file in starter.HANDED_IN
    assert found.status == ("incomplete" if refused else "graded")
    assert [note.endswith("digits") and note.startswith(f"{file}: ") for note in found.notes] == [True] * refused


def test_a_network_too_large_to_be_counted_ends_no_grading(tmp_path, recorded):
    params = solved("dense")
    params["networks"]["mine"]["layers"] = {**WIDEST, "40": "Flatten", "41": {"Dense": {"units": 10}}}
    found = grade(assigned("dense"), put(tmp_path, "dense", answered("dense"), params), kept("dense"))
    assert by_id(found)["goal"].why == "variants.mine: a network too large to count"


def test_no_submission_writes_over_its_grade_on_the_terminal(tmp_path, recorded, capsys):
    up, told = "\033[1A\033[2K", r"\x1b[1A\x1b[2K"
    folders = [good(tmp_path / each, "dense") for each in (f"{up}[late]", "b")]
    write(folders[0] / "answers.yaml", {**answered("dense"), f"{up}key": 1, "assignment": f"{up}name"})
    (folders[0] / f"x{up}13 of 13 points\u202e").touch()
    (folders[0] / "\udcff").touch()  # a name that is not UTF-8
    command.grade("dense", folders, "", None, "text")
    said = capsys.readouterr().out
    assert all(each.isprintable() for each in said.splitlines())
    for quoted in ("key", "name", "[late]", r"13 of 13 points\u202e"):
        assert f"{told}{quoted}" in " ".join(said.split())
    found = grade(assigned("dense"), folders[0], None)
    for form in forms.FORMS:
        assert getattr(forms, form)(found).encode()


@pytest.mark.parametrize(
    "section, knob, value",
    [
        ("variants", "validation", 0.0),
        ("variants", "train_examples", 5000),
        ("variants", "kernels", "native"),
        ("networks", "validation", 0.0),
        ("variants", "data.validation", 0.2),
    ],
)
def test_no_knob_gets_round_what_is_fixed(tmp_path, recorded, section, knob, value):
    params = solved("dense")
    params["networks"]["mine"]["layers"]["4"] = {"Dropout": {"rate": f"${knob}"}}  # what a network asks for is a knob
    if knob == "data.validation":
        params["variants"]["mine"]["data"]["validation"] = 0.0  # the knob has what it was
    params[section]["mine"][knob] = value
    found = grade(assigned("dense"), put(tmp_path, "dense", answered("dense"), params), None)
    (line,) = (each for each in found.reasons if each.startswith(f"params.yaml: {section}.mine.{knob}: got "))
    assert found.status == "look closer"
    assert (by_id(found)["goal"].points, by_id(found)["goal"].why) == (0, line)


def test_what_is_no_hand_in_is_left_aside_and_said(tmp_path, recorded):
    folder = good(tmp_path / "ada", "dense")
    (folder / "stages/train.py").write_text("raise SystemExit('run')")
    (folder / "sitecustomize.py").write_text("raise SystemExit('run')")
    (folder / "leak").symlink_to("/etc")
    metrics(folder, "dense", "baseline", 0.99)
    (folder / "metrics/baseline.json").rename(tmp_path / "elsewhere.json")
    (folder / "metrics/baseline.json").symlink_to(tmp_path / "elsewhere.json")
    found = grade(assigned("dense"), folder, kept("dense"))
    assert found.status == "graded" and found.points == found.most, "a link is not followed"
    assert found.notes == [
        "not read, and not run: leak (a link, not followed), sitecustomize.py (not part of the assignment), "
        "stages/train.py (changed)"
    ]


def test_several_are_graded_in_turn_and_compared(tmp_path, recorded, capsys):
    folders = [good(tmp_path / each, "dense") for each in ("a", "b")]
    lazy = put(tmp_path / "c", "dense", {"student": "bob"}, assigned("dense", "bob").params)
    command.grade("dense", [*folders, lazy, tmp_path / "a"], "", None, "text")
    said = capsys.readouterr().out
    assert [line.split()[-1] for line in said.splitlines() if line.startswith(str(tmp_path))] == [
        *("graded", "graded", "untouched", "graded")
    ]
    assert f"look closer: {folders[0]} and {folders[1]}: both of {STUDENT}" in said
    assert f"look closer: {folders[0]} and {folders[1]}: why word for word" in said
    assert "bob: 0 of 11 points, untouched" in said and said.count("look closer") == 2
    assert max(map(len, said.partition("submission ")[0].splitlines())) <= 100


def test_gradescope_s_and_github_s_forms(tmp_path, recorded):
    folder = good(tmp_path, "dense")
    write(folder / "answers.yaml", {**answered("dense"), "accuracy": 0.99})
    found = grade(assigned("dense"), folder, kept("dense"))
    results = json.loads(forms.gradescope(found))
    assert results["score"] == sum(test["score"] for test in results["tests"]) == 11
    assert {test["visibility"] for test in results["tests"]} == {"visible", "after_published", "hidden"}
    (teacher,) = (test for test in results["tests"] if test["visibility"] == "hidden")
    assert teacher["max_score"] == 0 and "answers.yaml: accuracy: 0.9900 does not come out" in teacher["output"]
    ours = f"{mean('dense', 'baseline'):.4f}"
    shown = [test["output"] for test in results["tests"] if test["visibility"] == "visible"]
    assert ours in teacher["output"] and ours not in "\n".join(shown), "no student is told the figure to hand in"
    assert results["output"] == "dense: 9 of 11 points, hidden cases aside", "none can tell whether a hidden one held"
    assert results["extra_data"]["status"] == "look closer"
    reported = json.loads(forms.github(found))
    assert (reported["version"], reported["status"], reported["max_score"]) == (1, "fail", 11)
    assert sum(test["score"] for test in reported["tests"]) == 9
    assert "goal_hidden" not in json.dumps(reported) and "metrics" not in json.dumps(reported)
    assert {test["status"] for test in reported["tests"]} == {"pass", "fail"}


def test_hidden_cases_are_drawn_once_and_are_the_assignment_s(tmp_path, capsys):
    file = tmp_path / "hidden.yaml"
    command.hide("dense", file)
    found = declaration.hidden(file, "dense")
    assert len(set(found.seeds)) == 5 and found.data["mnist_5k"].keys() == {"split_seed"}
    assert file.stat().st_mode & 0o077 == 0
    rerun.facts(found.data)
    with pytest.raises(UserError, match="stands there already"):
        command.hide("dense", file)
    with pytest.raises(UserError, match="for the assignment dense, where overfitting is graded"):
        declaration.hidden(file, "overfitting")
    command.hide("dense", tmp_path / "other.yaml")
    assert declaration.hidden(tmp_path / "other.yaml", "dense").seeds != found.seeds


def test_a_question_of_the_teacher_s_own_counts_too(tmp_path, recorded):
    more = {"id": "again", "points": 4, "text": "…", "score": {"variant": "mine"}}
    folder = good(tmp_path, "dense")
    write(folder / "answers.yaml", {**answered("dense"), "again": round(mean("dense", "mine"), 4)})
    found = grade(assigned("dense"), folder, kept("dense", questions=[more]))
    assert by_id(found)["again"].points == 4
    assert by_id(found)["again"].hidden  # until grades are out


def test_whose_answers_cannot_be_read_is_held_to_nobody_s_numbers(tmp_path, recorded):
    folder = good(tmp_path, "dense")
    (folder / "answers.yaml").write_text(f"student: {STUDENT}\nwhole: [1\n")
    found = grade(assigned("dense", ""), folder, kept("dense"))
    assert (found.status, found.reasons, found.points) == ("incomplete", [], 0)
    assert found.notes[0].startswith("answers.yaml: not YAML")


def test_a_hidden_goal_has_limits_of_its_own_and_narrows_no_other(tmp_path, recorded):
    reach = {"variant": "mine", "at_least": 0.9, "parameters": 80_000, "epochs": 20}
    sooner = {"id": "sooner", "points": 4, "text": "…", "reach": reach}
    later = {"id": "later", "points": 4, "text": "…", "reach": {**reach, "epochs": 50}}
    found = grade(assigned("dense"), good(tmp_path, "dense"), kept("dense", questions=[sooner, later]))
    assert by_id(found)["sooner"].why == "mine has 30 epochs; allowed: 20"
    assert by_id(found)["goal"].points == 3 and by_id(found)["later"].points == 4


def test_texts_are_as_they_were_written():
    assert declaration.rendered("{{ who }}?", {"who": "Ada's <first>"}, "tiny") == "Ada's <first>?"


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_starter_is_a_repository_that_dvc_and_replica_accept(tmp_path, name, capsys):
    folder = tmp_path / "ada"
    command.new(name, folder, "ada")
    assert "committed; dealt" in capsys.readouterr().out
    tracked = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True).stdout.split()
    assert tracked == sorted(starter.files(assigned(name)))
    check = subprocess.run([sys.executable, "-m", "replica", "check"], cwd=folder, capture_output=True, text=True)
    assert (check.returncode, check.stderr) == (0, "")
    page = (folder / "README.md").read_text()
    assert all(f"### {question.id}" in page for question in assigned(name).chapter.questions)
    assert "{{" not in page and "{%" not in page
    with pytest.raises(UserError, match="stands there already"):
        command.new(name, folder, "ada")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    "call, why",
    [
        (lambda place: command.new("dens", place / "x", ""), "no assignment of that name; did you mean dense?"),
        (lambda place: command.new("dense", place / "x", "a b"), "--student: got 'a b'"),
        (lambda place: command.new(str(place / "no.yaml"), place / "x", ""), "no such file"),
        (lambda place: command.hide("dense", place / "no/hidden.yaml"), "make it first"),
        (lambda place: command.grade("dense", [place / "no"], "", None, "text"), "no such folder"),
        (lambda place: command.grade("dense", [place], "", None, "json"), "no format of that name"),
        (lambda place: command.grade("dense", [place, place], "", None, "github"), "of one submission"),
        (lambda place: command.grade("dense", [place], "", place / "no.yaml", "text"), "no such file"),
    ],
)
def test_a_teacher_s_mistake_is_one_line(tmp_path, call, why):
    with pytest.raises(UserError) as caught:
        call(tmp_path)
    assert why in str(caught.value) and "\n" not in str(caught.value)


OWN_CHAPTER = """
title: One of my own
source: nothing
about: A tiny one, of points.
may_change: [variants.mine]
params: |
  training: {kernels: portable}
  networks:
    line:
      optimizer: {SGD: {learning_rate: $rate}}
      layers: {'0': {Dense: {units: 2, activation: softmax}}}
  variants:
    mine:
      data: {dataset: spiral, validation: 0.2}
      network: line
      epochs: 1
      batch_size: 8
      seeds: 2
      rate: 0.1
questions:
- {id: figure, points: 1, text: How many?, score: {variant: mine}}
- {id: goal, points: 1, text: Better., reach: {variant: mine, at_least: 0.2, parameters: 8000, epochs: 3, hidden: 1}}
"""


@pytest.mark.parametrize(
    "right, wrong, why",
    [
        ("  variants:", "  varants:", "params: varants: unknown key; did you mean variants?"),
        ("  variants:", "  - variants:", "params: not YAML"),
        (OWN_CHAPTER[OWN_CHAPTER.index("  training") : OWN_CHAPTER.index("questions")], "  [1]\n", "params: a list"),
        ("    mine:", "    mine: 3\n    other:", "params: variants.mine: got 3"),
        ("      data: {dataset: spiral, validation: 0.2}\n", "", "params: variants.mine.data: missing"),
        ("dataset: spiral", "dataset: spirl", "params: variants.mine.data.dataset: got 'spirl'"),
        ("score: {variant: mine}", "score: {variant: mien}", "figure: got 'mien', no variant of that name; did you"),
        ("score: {variant: mine}", "better: {a: mine, b: x}", "figure: got 'x', no variant of that name"),
        ("score: {variant: mine}", "count: {variant: mien}", "figure: got 'mien', no variant of that name"),
        ("score: {variant: mine}", "count: {variant: mine, layer: last}", "figure.layer: got 'last', no layer of"),
        ("score: {variant: mine}", "count: {variant: mine, layer: '1'}", "figure.layer: got '1', no layer of"),
    ],
)
def test_a_mistake_in_an_assignment_is_a_line_before_anything_is_handed_out_or_graded(tmp_path, right, wrong, why):
    name = str(tmp_path / "tiny.yaml")
    assert OWN_CHAPTER.count(right) == 1
    Path(name).write_text(OWN_CHAPTER.replace(right, wrong))
    for call in (
        lambda: command.new(name, tmp_path / "x", ""),
        lambda: command.hide(name, tmp_path / "hidden.yaml"),
        lambda: command.grade(name, [tmp_path], "", None, "text"),
    ):
        with pytest.raises(UserError) as caught:
            call()
        assert str(caught.value).startswith(f"tiny: {why}") and "\n" not in str(caught.value)
    assert [each.name for each in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_mistake_in_a_hidden_question_is_a_line_and_a_variant_that_students_add_is_none(tmp_path):
    for variant, layer, why in (
        ("mine", "last", "third.layer: got 'last', no layer of"),
        ("new", "0", "third: got 'new'"),
    ):
        asked = {**THIRD, "count": {"variant": variant, "layer": layer}}
        write(tmp_path / "hidden.yaml", {"assignment": "dense", "seeds": list(GRADER), "questions": [asked]})
        with pytest.raises(UserError, match=f"^dense: {why}"):
            command.grade("dense", [tmp_path], "", tmp_path / "hidden.yaml", "text")
    adds = OWN_CHAPTER.replace("[variants.mine]", "[variants.mine, variants.new]").replace("mine}", "new}")
    (tmp_path / "tiny.yaml").write_text(adds)
    command.new(str(tmp_path / "tiny.yaml"), tmp_path / "ada", "ada")
    deeper = OWN_CHAPTER.replace("[variants.mine]", "[networks.line]").replace(
        "score: {variant: mine}", "count: {variant: mine, layer: '3'}"
    )
    (tmp_path / "tiny.yaml").write_text(deeper)
    command.new(str(tmp_path / "tiny.yaml"), tmp_path / "bea", "bea")


@pytest.mark.slow
def test_from_a_starter_to_a_grade_with_real_trainings_and_no_code_of_the_submission_s(tmp_path):
    (tmp_path / "tiny.yaml").write_text(OWN_CHAPTER)
    folder = tmp_path / "ada"
    command.new(str(tmp_path / "tiny.yaml"), folder, "ada")
    hidden = {"assignment": "tiny", "seeds": [5, 6, 7], "data": {"spiral": {"noise": 0.2, "seed": 3}}}
    write(tmp_path / "hidden.yaml", hidden)
    given = folder / "params.yaml"
    given.write_text(given.read_text().replace("epochs: 1", "epochs: 2"))
    (folder / "answers.yaml").write_text("{student: ada, figure: 0.93}\n")
    theirs = tmp_path / "theirs"
    subprocess.run(["git", "clone", "-q", str(folder), str(theirs)], check=True)
    for name in ("params.yaml", "answers.yaml"):
        (theirs / name).write_text((folder / name).read_text())
    for name in ("sitecustomize.py", "replica/__init__.py", "keras.py", "stages/train.py", "stages/evaluate.py"):
        (theirs / name).parent.mkdir(exist_ok=True)
        (theirs / name).write_text(f"open({str(tmp_path / 'caught')!r}, 'w')\n")
    words = ["assignment", "grade", "../tiny.yaml", ".", "--hidden", "../hidden.yaml", "--format", "gradescope"]
    program = str(Path(sys.executable).with_name("replica"))
    done = subprocess.run([program, *words], cwd=theirs, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    found = {test["name"]: test for test in results["tests"]}
    assert found["figure"]["score"] == 0 and "0.9300 does not come out" in found["figure"]["output"]
    assert found["goal"]["score"] == 1 and found["goal_hidden"]["score"] == 1
    assert found["goal"]["output"] != found["goal_hidden"]["output"]
    assert not (tmp_path / "caught").exists() and "keras.py (not part of the assignment)" in results["output"]


def test_a_training_too_long_or_gone_wrong_is_one_line_and_the_next_has_a_process_of_its_own(tmp_path):
    worker = rerun.Worker()
    job = {"title": "mine", "settings": {"kernels": "none"}, "folder": str(tmp_path / "m"), "data": str(tmp_path)}
    for left in ("seed-0/fingerprint", ".seed-1.npz"):  # a second grading would go on from there
        (tmp_path / "m" / left).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / left).touch()
    with pytest.raises(UserError, match="takes longer than 0 seconds, and was stopped"):
        worker.train(job, 0)
    assert not (tmp_path / "m").exists()
    assert worker.process is None
    with pytest.raises(UserError, match="kernels: got 'none'"):
        worker.train(job, 60)
    worker.process.kill()
    with pytest.raises(UserError, match="ended with status -9"):
        worker.train(job, 60)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", CHAPTERS)
def test_the_recorded_trainings_are_what_comes_out(name, tmp_path, monkeypatch):
    """Minutes: all that the tests above look up, trained again."""
    monkeypatch.setattr(rerun, "SCRATCH", tmp_path)
    monkeypatch.setattr(rerun, "train", lambda job, seconds: worker.train(job))
    for each in wanted():
        if each[0] == name:
            ours, theirs = trained(*each), rerun.Runs(**RECORDED[key(*each)])
            assert ours.test == pytest.approx(theirs.test, abs=0.02), each
