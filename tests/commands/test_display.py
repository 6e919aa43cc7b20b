"""What `replica repro` says: durations, a stage's log as it grows, the last lines, the timeline."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from replica.commands.repro.display import Display, Running, duration, tail
from replica.commands.repro.summary import Outcome, counts, tell, write_timeline


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (8.24, "8.2 s"),
        (59.9, "59.9 s"),
        (60, "1 min 0 s"),
        (200.4, "3 min 20 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (3900, "1 h 5 min"),
        (90_000, "25 h 0 min"),
    ],
)
def test_a_duration_in_a_reader_s_words(seconds, words):
    assert duration(seconds) == words


def test_a_log_s_whole_lines_as_they_come(tmp_path):
    log = tmp_path / "log"
    running = Running(log, 0.0)
    assert running.lines() == []
    with log.open("wb") as file:
        for written, read, last in (
            (b"one\ntw", ["one"], "one"),
            (b"", [], "one"),
            (b"o  \r\n\n  three\rfour\xff\n", ["two", "  three", "four\N{REPLACEMENT CHARACTER}"], "four\ufffd"),
            (b"five ", [], "four\ufffd"),
        ):
            file.write(written)
            file.flush()
            assert (running.lines(), running.last) == (read, last)
    assert running.close() == ["five"]
    assert running.file.closed


def test_the_end_of_a_log(tmp_path):
    (tmp_path / "log").write_text("\n".join(map(str, range(20))))
    assert tail(tmp_path / "log") == [str(number) for number in range(5, 20)]
    assert tail(tmp_path / "log", 2) == ["18", "19"]
    assert tail(tmp_path / "none") == []


def test_without_a_terminal_each_line_stands_after_its_stage_s_name(tmp_path):
    said = io.StringIO()
    (tmp_path / "log").write_text("[bold]epoch 1\nepoch 2")
    with Display(Console(file=said, width=20), lambda: "1 done, 2 left") as display:
        display.started("train@a", tmp_path / "log", 3.0)
        display.refresh()
        display.ended("train@a", "done in 3.0 s")
        display.ended("report", "failed")
    assert said.getvalue().splitlines() == [
        "train@a | started",
        "train@a | [bold]epoch 1",
        "train@a | epoch 2",
        "train@a | done in 3.0 s  [1 done, 2 left]",
        "report | failed  [1 done, 2 left]",
    ]


def test_a_terminal_has_one_live_table_and_a_line_for_what_has_ended(tmp_path):
    (tmp_path / "log").write_text("epoch 1\nepoch 2\n")
    shown, drawn = io.StringIO(), io.StringIO()
    with Display(Console(file=shown, force_terminal=True, width=60), lambda: "1 done, 2 left") as display:
        assert display.live.is_started
        display.started("train@a", tmp_path / "log", 100.0)
        display.refresh()
        Console(file=drawn, width=60).print(display.live.get_renderable())
        table, foot = drawn.getvalue().splitlines()
        assert re.fullmatch(r". train@a 0\.\d s of about 1 min 40 s epoch 2\s*", table)
        assert foot.strip() == "1 done, 2 left"
        display.ended("train@a", "done in 3.0 s")
        assert not display.running
    assert not display.live.is_started
    said = Text.from_ansi(shown.getvalue()).plain
    assert "train@a | done in 3.0 s\n" in said and "train@a | started" not in said and "train@a | epoch" not in said


def test_a_stage_is_a_line_however_narrow_the_terminal_and_its_log_s_line_gives_way_first(tmp_path):
    (tmp_path / "log").write_text("epoch 1 of many, and [a line] that goes on and on\n")

    def drawn(width):
        text = io.StringIO()
        display = Display(Console(file=io.StringIO(), force_terminal=True, width=width), lambda: "2 left")
        display.started("train@a name", tmp_path / "log", 0.0)
        display.started("evaluate@b", tmp_path / "none", 0.0)
        display.refresh()
        Console(file=text, width=width).print(display.live.get_renderable())
        return text.getvalue().splitlines()

    first, second, foot = drawn(40)
    assert re.fullmatch(r". train@a name 0\.\d s epoch 1 of many, a…", first)
    assert re.fullmatch(r". evaluate@b   0\.\d s\s*", second)
    assert foot.strip() == "2 left"
    assert "train@a name 0." in drawn(24)[0]
    assert all(len(drawn(width)) == 3 for width in range(12, 41))


OUTCOMES = {
    "train@b": Outcome("done", 4.0, 2.0, 311.6),
    "train@a": Outcome("failed", 1.0, 10.0, 99.0, "exited with 1"),
    "data": Outcome("failed", words="no such file"),
    "evaluate@a": Outcome("skipped", words="train@a"),
    "report": Outcome("skipped", words="evaluate@a"),
    "other": Outcome("unchanged"),
}


def test_the_last_lines_name_what_failed_with_its_log_and_what_was_not_run_for_its_sake(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("train@a.log").write_text("one\n[two]\n")
    said = io.StringIO()
    tell(Console(file=said, width=30), OUTCOMES, 8.0, lambda name: tmp_path / f"{name}.log")
    assert said.getvalue().splitlines() == [
        "1 done, 2 failed, 2 skipped, 1 unchanged in 8.0 s; commands took 12.0 s, 1.50 at once",
        "",
        "failed: train@a: exited with 1",
        "  one",
        "  [two]",
        "  log: train@a.log",
        "",
        "failed: data: no such file",
        "not run: evaluate@a, which needs train@a",
    ]


def test_nothing_to_do_is_a_line(tmp_path):
    said = io.StringIO()
    tell(Console(file=said), {}, 0.2, lambda _: tmp_path)
    assert said.getvalue() == "no stages in 0.2 s\n"
    assert counts([]) == ""


def test_the_timeline_has_what_ran_in_the_order_of_starting(tmp_path):
    write_timeline(tmp_path / "timeline.csv", OUTCOMES)
    assert (tmp_path / "timeline.csv").read_text().splitlines() == [
        "stage,state,start,seconds,MiB",
        "train@a,failed,1.000,10.000,99",
        "train@b,done,4.000,2.000,312",
    ]
