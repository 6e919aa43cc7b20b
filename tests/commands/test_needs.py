"""What stages took and needed before, as what they will: the sources, and what is not known."""

from __future__ import annotations

import json

import pytest

from replica.commands.repro.estimates import SHORT, Estimates
from replica.commands.repro.needs import SAFE, Needs


def test_a_stage_needs_what_it_did_else_the_most_of_its_kind_else_what_is_safe(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/memory.csv").write_text("stage,MiB,threads\ntrain@a,700.5,1\ntrain@b,900,1\nreport,150,1\n")
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"train@b": 800, "train@c": 300}))
    needs = Needs(tmp_path, own)
    asked = ("train@a", "train@b", "train@c", "train@new", "report", "search@a")
    assert {name: needs.of(name)["memory"] for name in asked} == {
        "train@a": 700.5, "train@b": 800, "train@c": 300, "train@new": 800, "report": 150, "search@a": SAFE,
    }  # fmt: skip
    assert needs.of("train@a")["threads"] == 1


def test_the_most_that_a_stage_ever_had_is_kept(tmp_path):
    own = tmp_path / "own.json"
    for measured in ({"a": 100.04, "b": 0.0}, {"a": 90.0}, {"b": 7.0}):
        Needs(tmp_path, own).record(measured)
    assert json.loads(own.read_text()) == {"a": 100.0, "b": 7.0}
    before = own.stat().st_ino
    Needs(tmp_path, own).record({"a": 50.0, "b": 0.0})
    assert own.stat().st_ino == before, "nothing new, nothing written"
    assert [file.name for file in tmp_path.iterdir()] == ["own.json"]


@pytest.mark.parametrize("text", ["[1]", "{", "", '{"train@a": "soon", "train@b": null}'])
def test_what_cannot_be_read_is_no_reason_to_fail(tmp_path, text):
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings/a.json").write_text(text)
    (tmp_path / "own.json").write_text(text)
    estimates = Estimates(tmp_path, tmp_path / "own.json")
    assert estimates.of(["train@a", "report"]) == {"train@a": SHORT, "report": SHORT}
    estimates.record({})
    assert (tmp_path / "own.json").read_text() == text


def test_estimates_keep_what_other_runs_measured(tmp_path):
    own = tmp_path / "own.json"
    for measured in ({"train@a": 1.23456, "report": 2.0}, {"report": 3.0}):
        Estimates(tmp_path, own).record(measured)
    assert json.loads(own.read_text()) == {"train@a": 1.235, "report": 3.0}
    assert Estimates(tmp_path, own).of(["train@b"]) == {"train@b": 1.235}
