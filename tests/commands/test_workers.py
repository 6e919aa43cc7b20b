"""What runs a stage's commands and tells them to stop, without DVC: what they get, how they end, what signals mean."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from distributed.system import MEMORY_LIMIT

from replica.commands.repro import command, contexts, workers
from replica.commands.repro.workers import GRACE, Stop, Workers
from replica.common import processes

ENVIRONMENT = {"PATH": os.environ["PATH"], "MINE": "here"}


def execute(tmp_path, *commands, run="a run", cwd=None):
    ended = command.execute(run, list(commands), str(cwd or tmp_path), ENVIRONMENT, str(tmp_path / "log"))
    return ended, (tmp_path / "log").read_text()


def test_commands_run_in_turn_until_one_fails(tmp_path):
    assert execute(tmp_path) == ((0, 0, pytest.approx(0, abs=1), 0.0), "")
    ended, log = execute(tmp_path, "echo one", ["echo", "two; $HOME"], "echo three >&2; exit 7", "echo four")
    assert (ended.command, ended.status) == (2, 7)
    assert log == "one\ntwo; $HOME\nthree\n"
    ended, log = execute(tmp_path, "echo again", "sleep 0.3")
    assert (ended.command, ended.status) == (1, 0)
    assert 0.3 < ended.seconds < 10
    assert log == "again\n"
    assert execute(tmp_path, "kill -9 $$")[0].status == -signal.SIGKILL


def test_a_command_gets_a_group_of_its_own_no_input_and_what_it_must_end_with(tmp_path):
    (tmp_path / "below").mkdir()
    python = (
        "import os, sys; print(os.getcwd(), os.environ['MINE'], os.environ[sys.argv[1]],"
        " os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    )
    words = [sys.executable, "-c", python, processes.PARENT]
    ended, log = execute(tmp_path, words, cwd=tmp_path / "below")
    assert ended.status == 0
    assert log == f"{tmp_path / 'below'} here {os.getpid()} True ''\n"


def test_who_waits_for_a_command_sleeps(tmp_path):
    waiting = Workers(1, tmp_path)
    try:
        words = (waiting.run, "wait", ["true"], str(tmp_path), ENVIRONMENT, tmp_path / "log")
        waiting.submit({"threads": 1, "memory": 1}, *words).result()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        time.sleep(3)
        awake = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before
    finally:
        waiting.close()
    assert awake / 3 < 40  # times a second; dask's own settings make it 100 to 200


def test_the_most_memory_of_all_commands_is_told_in_mib(tmp_path):
    def python(code):
        return [sys.executable, "-c", code]

    little = execute(tmp_path, python("pass"))[0].memory
    much = execute(tmp_path, python("b'1' * (600 << 20)"), python("pass"))[0].memory
    assert 600 < much < 600 + little + 50


def test_a_run_that_was_stopped_starts_nothing_more_and_others_do(tmp_path):
    began = threading.Event()

    def stop():
        while not (tmp_path / "here").exists():
            began.wait(0.01)
        began.set()
        command.stop("stopped")
        time.sleep(0.3)
        command.stop("stopped", signal.SIGKILL)  # what a shell has put in the background ignores SIGINT

    thread = threading.Thread(target=stop)
    thread.start()
    script = "sleep 100 & echo $! > left; mv left here; wait"
    ended, log = execute(tmp_path, script, "echo never", run="stopped")
    thread.join()
    assert began.is_set()
    assert (ended.command, ended.status, log) == (0, -signal.SIGINT, "")
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int((tmp_path / "here").read_text()), 0)
            threading.Event().wait(0.05)
    assert command.stopped("stopped")
    assert not command.stopped("other")
    ended, log = execute(tmp_path, "echo never", run="stopped")
    assert (ended.command, ended.status, ended.memory, log) == (0, -signal.SIGINT, 0.0, "")
    assert execute(tmp_path, "echo other", run="other")[1] == "other\n"
    command.stop("nothing ran")
    assert command.stopped("nothing ran")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_command_has_time_to_tidy_up_also_where_its_shell_ends_at_once(tmp_path, shell, number):
    (tmp_path / "tidy.py").write_text(
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "signal.signal(signal.SIGHUP, signal.default_int_handler)\n"
        "try:\n    pathlib.Path('begun').touch(), time.sleep(100)\n"
        "finally:\n    time.sleep(0.5), pathlib.Path('tidy').touch()\n"
    )

    def stop():
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        command.stop(f"{shell} {number}", number)

    thread = threading.Thread(target=stop)
    thread.start()
    script = f"true && {sys.executable} tidy.py 2> words && touch never"
    ended, _ = execute(tmp_path, [shell, "-c", script], run=f"{shell} {number}")
    thread.join()
    assert ended.status
    assert {path.name for path in tmp_path.iterdir()} & {"tidy", "never"} == {"tidy"}


def test_a_command_is_asked_first_and_killed_when_late_or_asked_for_twice(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(workers.time, "monotonic", lambda: now[0])
    stop = Stop()
    assert not stop
    stop.note(signal.SIGTERM)
    assert stop
    assert (stop.number, stop.status) == (signal.SIGTERM, 143)
    now[0] += GRACE
    assert stop.number == signal.SIGTERM
    now[0] += 0.1
    assert stop.number == signal.SIGKILL
    now[0] = 100.0
    stop.note(signal.SIGINT)
    assert (stop.number, stop.status) == (signal.SIGKILL, 143)
    assert stop.since == 100.0


def test_signals_are_noted_within_the_block_alone_and_what_is_ignored_stays_so():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for ignored in (None, *numbers):  # nohup, for one, has its commands ignore a signal
            handlers = {number: signal.SIG_IGN if number == ignored else signal.SIG_DFL for number in numbers}
            for number, handler in handlers.items():
                signal.signal(number, handler)
            with Stop() as stop:
                for number in numbers:
                    os.kill(os.getpid(), number)
            assert stop.signals == [number for number in numbers if number != ignored]
            assert stop.status == 128 + stop.signals[0]
            assert {number: signal.getsignal(number) for number in numbers} == handlers
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_what_never_started_is_neither_stopped_nor_closed(tmp_path):
    one = Workers(2, tmp_path)
    one.stop(signal.SIGINT)
    one.close()
    assert one._client is None
    assert one.sent == {}
    assert one.memory == MEMORY_LIMIT / 2**20
    assert Workers(2, tmp_path, 0.0).memory == 0.0
    assert one.run != Workers(2, tmp_path).run


def test_a_signal_is_sent_once_and_another_one_after_it(tmp_path, monkeypatch):
    sent = []
    one = Workers(2, tmp_path)

    class Client:
        def run(self, function, *words):
            assert function is command.stop
            sent.append(words)

    one._client = Client()
    for number, run in ((2, None), (2, None), (2, "trial"), (9, None), (9, "trial"), (9, "trial")):
        one.stop(number, run)
    assert sent == [(one.run, 2), ("trial", 2), (one.run, 9), ("trial", 9)]


def test_threads_that_begin_together_share_one_cluster(tmp_path, monkeypatch):
    """Whatever Python's cached_property does: the one of 3.12 and later has no lock."""
    clusters = []

    class Cluster:
        def __init__(self, **_):
            time.sleep(0.05)
            clusters.append(self)

    monkeypatch.setattr("distributed.LocalCluster", Cluster)
    monkeypatch.setattr("distributed.Client", lambda cluster: cluster)
    one, together = Workers(4, tmp_path), threading.Barrier(4)

    def ask(_):
        together.wait()
        return one.client

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == clusters * 4


def test_what_is_replaced_let_go_or_quiet_is_so_within_the_block_alone():
    class Thing:
        name = "before"

    mutex, log = threading.Lock(), logging.getLogger("dvc")
    mutex.acquire()
    level = log.level
    for wrong in (False, True):
        try:
            with contexts.replaced(Thing, "name", "within"), contexts.let_go(mutex), contexts.quiet():
                assert (Thing.name, mutex.locked(), log.level) == ("within", False, logging.WARNING)
                if wrong:
                    raise KeyError
        except KeyError:
            assert wrong
        assert (Thing.name, mutex.locked(), log.level) == ("before", True, level)


def test_a_command_that_ends_well_after_being_told_to_stop_counts_as_stopped(tmp_path):
    ready = tmp_path / "ready"
    trap = f"trap 'exit 0' INT; touch {ready}; while :; do sleep 0.05; done"
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(
            command.execute, "polite", [["bash", "-c", trap]], str(tmp_path), dict(os.environ), str(tmp_path / "log")
        )
        until = time.time() + 20
        while not ready.exists():
            assert time.time() < until
            time.sleep(0.02)
        command.stop("polite")
        assert run.result().status == -signal.SIGINT
    assert command.execute("polite", [["true"]], str(tmp_path), dict(os.environ), str(tmp_path / "log")).status < 0


def test_listens_to_this_machine_only(tmp_path):
    one = Workers(2, tmp_path)
    ended = one.execute(
        {"threads": 1, "memory": 1}, "one", ["exit 3", "true"], str(tmp_path), dict(os.environ), tmp_path / "log"
    )
    assert ended[:2] == (0, 3)
    listening = [link.laddr.ip for link in psutil.Process().net_connections("inet") if link.status == "LISTEN"]
    one.close()
    assert set(listening) <= {"127.0.0.1", "::1"}
