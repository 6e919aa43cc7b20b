"""What the driver runs first and what waits, from a real pipeline; and what it spares DVC, beside DVC's own answers."""

from __future__ import annotations

import pytest
from dvc.dependency import param
from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem, MemoryFileSystem
from dvc.repo import Repo
from dvc.utils import strictyaml
from dvc.utils.serialize import _yaml

from replica.commands.repro import shortcuts
from replica.commands.repro.plan import Longest, Plan

PIPELINE = """
stages:
  data: {cmd: x, outs: [data]}
  train:
    foreach: [a, b]
    do: {cmd: x, deps: [data], outs: ["${item}.model"]}
  evaluate:
    foreach: [a, b]
    do: {cmd: x, deps: ["${item}.model"], outs: ["${item}.json"]}
  report: {cmd: x, deps: [a.json, b.json], outs: [report]}
  alone: {cmd: x, outs: [alone]}
  kept: {cmd: x, deps: [alone], outs: [kept], frozen: true}
"""
SECONDS = {"data": 1.0, "train@a": 10.0, "train@b": 20.0, "evaluate@a": 5.0, "evaluate@b": 2.0, "report": 3.0}


@pytest.fixture(scope="module")
def repo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    (folder / "dvc.yaml").write_text(PIPELINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with Repo.init(no_scm=True) as made:
            yield made


def names(stages):
    return [stage.addressing for stage in stages]


def by_name(plan):
    return {stage.addressing: stage for stage in plan.steps}


def test_a_plan_is_what_a_target_needs_and_nothing_else(repo):
    assert sorted(names(Plan(repo, ["evaluate@a"]).steps)) == ["data", "evaluate@a", "train@a"]
    assert len(Plan(repo, []).steps) == 8
    with pytest.raises(DvcException, match=r"did you mean train\?"):
        Plan(repo, ["trian"])


def test_who_waits_for_whom(repo):
    plan = Plan(repo, [])
    of = by_name(plan)
    waiting = {name: plan.missing[stage] for name, stage in of.items()}
    assert waiting == {
        "data": 0, "train@a": 1, "train@b": 1, "evaluate@a": 1, "evaluate@b": 1, "report": 2,
        "alone": waiting["alone"], "kept": 1 - waiting["alone"],
    }  # fmt: skip
    assert sorted(names(plan.release(of["data"]))) == ["train@a", "train@b"]
    assert names(plan.release(of["train@a"])) == ["evaluate@a"]
    assert plan.release(of["evaluate@a"]) == []
    assert names(plan.release(of["train@b"])) == ["evaluate@b"]
    assert names(plan.release(of["evaluate@b"])) == ["report"]
    assert sorted(names(plan.descendants(of["train@a"]))) == ["evaluate@a", "report"]
    assert plan.descendants(of["alone"]) == [], "what is frozen needs nothing"


def test_the_longest_chain_is_first_and_bounds_the_whole(repo):
    plan = Plan(repo, ["report"])
    paths = {stage.addressing: seconds for stage, seconds in plan.paths(SECONDS).items()}
    assert paths == {"data": 26, "train@a": 18, "train@b": 25, "evaluate@a": 8, "evaluate@b": 5, "report": 3}
    assert set(plan.paths({}).values()) == {0}, "a stage that is in no estimate"
    assert plan.duration(SECONDS, 1) == 41
    assert plan.duration(SECONDS, 2) == 26
    assert plan.duration({"train@a": 4.0, "train@b": 4.0}, 2) == 4
    assert plan.duration({}, 2) == 0
    waiting = Longest(plan, plan.paths({**SECONDS, "evaluate@b": 5.0}))
    waiting.add(stage for stage in plan.steps if stage.addressing not in ("data", "report"))
    assert len(waiting) == 4
    assert names(waiting.pop() for _ in range(2)) == ["train@b", "train@a"]
    equal = names(waiting.pop() for _ in range(2))
    assert equal == [name for name in names(plan.steps) if name.startswith("evaluate")], "of equals the first planned"
    assert not waiting


TEXT = """
variants: {a: {epochs: 3, rates: [1, 2.5]}, b: {epochs: 4}}
"1.5": {x: true}
training: {kernels: portable, none: null}
"""
KEYS = (
    ["variants.a"], ["variants.a.epochs"], ["variants.a.rates"], ["training", "variants.b.epochs"], ["training.none"],
    ["variants.*"], ["variants.c"], ["variants.a.epochs.x"], ["variants.?.epochs"],
)  # fmt: skip


@pytest.mark.parametrize("keys", KEYS)
def test_parameters_are_looked_up_as_dvc_does(tmp_path, keys):
    path, fs = str(tmp_path / "params.yaml"), LocalFileSystem()
    own = param.read_param_file

    def asked(read):
        try:
            return read(fs, path, keys, flatten=True)
        except Exception as error:
            return type(error), str(error)

    with shortcuts.files_parsed_once():
        for text in (TEXT, TEXT.replace("epochs: 3", "epochs: 30"), TEXT.replace("portable", "native")):
            (tmp_path / "params.yaml").write_text(text)
            found = asked(param.read_param_file)
            assert found == asked(own)
            for value in found.values() if isinstance(found, dict) else ():
                if isinstance(value, dict):
                    value.clear()  # what DVC does to its answer is not in the next one
            assert asked(param.read_param_file) == asked(own)
    assert param.read_param_file is own


@pytest.mark.parametrize(
    "words", [{}, {"flatten": True}, {"key_paths": ["variants"]}, {"key_paths": [], "flatten": True}]
)
def test_what_is_asked_for_otherwise_is_left_to_dvc(tmp_path, words):
    path, fs, own = str(tmp_path / "params.yaml"), LocalFileSystem(), param.read_param_file
    (tmp_path / "params.yaml").write_text(TEXT)
    with shortcuts.files_parsed_once():
        assert param.read_param_file(fs, path, **words) == own(fs, path, **words)
        memory = MemoryFileSystem(global_store=False)
        memory.pipe_file("/params.yaml", TEXT.encode())
        for keys in ({}, {"key_paths": ["variants"], "flatten": True}):
            assert param.read_param_file(memory, "/params.yaml", **keys) == own(fs, path, **keys)


def test_a_yaml_text_is_parsed_once_and_each_reader_has_a_copy():
    own = _yaml.parse_yaml
    with shortcuts.files_parsed_once():
        first = _yaml.parse_yaml(TEXT, "params.yaml")
        assert first == own(TEXT, "params.yaml")
        first["variants"].clear()
        assert strictyaml.parse_yaml(TEXT, "elsewhere.yaml") == own(TEXT, "params.yaml")
        assert type(_yaml.parse_yaml(TEXT, "params.yaml", typ="rt")) is type(own(TEXT, "params.yaml", typ="rt"))
        with pytest.raises(DvcException):
            _yaml.parse_yaml("a: [", "params.yaml")
    assert _yaml.parse_yaml is own and strictyaml.parse_yaml is own
