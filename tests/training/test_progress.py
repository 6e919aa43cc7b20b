"""What a training prints: a plain line an epoch in a log, and a live line above it on a terminal."""

import io
import sys

import pytest

from replica.training import progress

ROWS = [(3, 0.5, "accuracy", "training"), (3, 1.25, "loss", "validation")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def test_in_a_log_each_epoch_is_a_line_with_the_speed_of_this_process(clock, capsys):
    with progress.Epochs("tiny, seed 0", 12, 2000, after=1) as shown:
        clock[0] += 4
        shown.step(3, 1000)
        shown.line(ROWS)
    assert capsys.readouterr().out == (
        "tiny, seed 0  epoch  3/12  training accuracy 0.5000  validation loss 1.2500  1,000 images/s\n"
    )


def test_a_line_is_not_wrapped_however_narrow_the_terminal(clock, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    with progress.Epochs("a variant of a long name, seed 0", 3, 10) as shown:
        clock[0] += 1
        shown.line(ROWS)
    assert capsys.readouterr().out.count("\n") == 1


def test_the_live_line_says_where_the_epochs_are(clock):
    with progress.Epochs("tiny, seed 0", 12, 2000, after=1) as shown:
        (task,) = shown.live.tasks
        assert (task.total, task.completed, task.fields) == (24000, 2000, {"epoch": 2, "speed": 0.0})
        clock[0] += 4
        shown.step(3, 1000)
        assert (task.completed, task.fields) == (5000, {"epoch": 3, "speed": 750.0})


def test_the_live_line_is_for_a_terminal_and_gone_in_the_end(clock, monkeypatch):
    for kind, lives in ((Terminal, True), (io.StringIO, False)):
        monkeypatch.setattr(sys, "stdout", out := kind())
        with progress.Epochs("tiny, seed 0", 12, 2000) as shown:
            assert shown.live.live.is_started is lives
            clock[0] += 2
            shown.step(3, 1000)
            shown.live.refresh()
            assert ("tiny, seed 0  epoch 3/12" in out.getvalue()) is lives
            assert ("2,500 images/s" in out.getvalue()) is lives
        assert not shown.live.live.is_started
        assert out.getvalue().endswith("\x1b[2K") is lives  # the line is wiped out
