"""Seconds by seed, beside the results and never in them."""

import csv
import json
import os
import platform
from pathlib import Path

import pytest

from replica.training import timings

FILE = Path("timings/tiny.json")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timings, "cpu", lambda: "Made up, 2 cores")


def kept():
    return json.loads(FILE.read_text())


def test_seeds_are_added_to_those_that_are_known_and_what_is_asked_for_no_more_goes():
    timings.record(FILE, {0: 1.00049, 1: 2.0}, [0, 1])
    assert kept() == {"train_seconds": 1.5, "seeds": {"0": 1.0, "1": 2.0}, "cpu": "Made up, 2 cores"}
    timings.record(FILE, {1: 4.0, 2: 5.1239}, [1, 2, 3])
    assert kept() == {"train_seconds": 4.562, "seeds": {"1": 4.0, "2": 5.124}, "cpu": "Made up, 2 cores"}
    timings.record(FILE, {}, [2])
    assert kept()["seeds"] == {"2": 5.124}
    assert FILE.read_text() == json.dumps(kept(), indent=2) + "\n"
    assert list(FILE.parent.iterdir()) == [FILE]


def test_nothing_measured_writes_nothing():
    timings.record(FILE, {}, [0])
    assert not FILE.exists()


@pytest.mark.parametrize("text", ["", "{", "{}"])
def test_what_cannot_be_read_is_begun_anew(text):
    FILE.parent.mkdir()
    FILE.write_text(text)
    timings.record(FILE, {0: 1.0}, [0, 1])
    assert kept()["seeds"] == {"0": 1.0}


def test_the_record_has_a_row_for_each_that_was_measured():
    timings.record(FILE, {0: 1.0, 1: 2.0}, [0, 1])
    names, file = ["other", "tiny"], Path("seconds.csv")
    assert timings.publish(names, Path("timings"), file) == 1
    with file.open() as lines:
        assert list(csv.reader(lines)) == [
            ["variant", "train_seconds", "seeds", "cpu"], ["tiny", "1.5", "2", "Made up, 2 cores"],
        ]  # fmt: skip


def test_the_cpu_is_called_as_linux_calls_it_and_else_as_python_does(monkeypatch):
    monkeypatch.undo()
    for info, name in (
        ("vendor_id\t: A\nmodel name\t: Made up  CPU\nflags\t: x\n\nmodel name\t: Other\n", "Made up  CPU"),
        ("processor: 0\n", platform.processor() or platform.machine()),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Path, "exists", lambda self: True)
            patch.setattr(Path, "read_text", lambda self, info=info: info)
            assert timings.cpu() == f"{name}, {os.cpu_count()} cores"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "exists", lambda self: False)
        assert timings.cpu() == f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
