"""A stage ends with what started it, orphans are found, and a folder has one writer: real processes that are killed."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from replica.common import processes
from replica.common.errors import UserError

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="Linux")

SLEEPER = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
FOLLOWER = f"from replica.common import processes; processes.follow(); {SLEEPER}"
# Starts argv[1:] as DVC does a stage's command, by a shell that stays, and waits for it.
STARTER = """
import os, subprocess, sys
subprocess.run(["sh", "-c", '"$@"; true', "sh", *sys.argv[1:]], env={**os.environ, "DVC_STAGE": "train@x"})
"""


@pytest.fixture
def start():
    """Start Python in a session of its own; what still runs in the end is killed."""
    running = []

    def started(*words, **environment):
        kept = {key: value for key, value in os.environ.items() if key not in ("DVC_STAGE", processes.PARENT)}
        process = subprocess.Popen(
            [sys.executable, "-c", *words], env={**kept, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )  # fmt: skip
        running.append(process)
        return process

    yield started
    for process in running:
        for each in (*psutil.Process(process.pid).children(recursive=True), process) if process.poll() is None else ():
            each.kill()
        process.wait()


def gone(pid: int, within: float = 3.0) -> bool:
    until = time.monotonic() + within
    while time.monotonic() < until:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.02)
    return False


def number(process: subprocess.Popen) -> int:
    return int(process.stdout.readline())


def test_ancestors_are_the_parents_up_to_the_first_process():
    assert list(processes.ancestors("self")) == [parent.pid for parent in psutil.Process().parents()]
    assert next(processes.ancestors(os.getpid())) == os.getppid()
    assert list(processes.ancestors(2**22 + 1)) == []


def test_an_environment_is_what_a_process_was_started_with(start):
    process = start(SLEEPER, WORDS="a=b=c", EMPTY="")
    found = processes.environment(number(process))
    assert (found["WORDS"], found["EMPTY"]) == ("a=b=c", "")
    assert processes.environment(2**22 + 1) == {}


TELL = "from replica.common import processes; print(processes.starter('self'), flush=True)"


def test_a_stage_s_starter_is_the_first_upwards_that_is_no_stage(start):
    process = start(STARTER, sys.executable, "-c", TELL)
    assert process.stdout.readline().strip() == str(process.pid)


def test_a_stage_s_starter_is_the_driver_that_it_names_if_that_is_an_ancestor(start):
    named = {processes.PARENT: str(os.getpid())}
    assert start(STARTER, sys.executable, "-c", TELL, **named).stdout.readline().strip() == str(os.getpid())
    stranger = {processes.PARENT: str(start(SLEEPER).pid)}
    assert start(STARTER, sys.executable, "-c", TELL, **stranger).stdout.readline().strip() == "None"


@pytest.mark.parametrize(("first", "found"), [("python3", 1), ("dvc", 1), ("systemd", None), ("tini", None)])
def test_the_first_process_is_a_starter_only_where_it_may_have_started_stages(monkeypatch, tmp_path, first, found):
    """In a container DVC may be process 1; else that is what adopts orphans."""
    (tmp_path / "comm").write_text(f"{first}\n")
    monkeypatch.setattr(processes, "Path", lambda _: tmp_path / "comm")
    monkeypatch.setattr(processes, "environment", lambda _: {})
    monkeypatch.setattr(processes, "ancestors", lambda _: iter([1]))
    assert processes.starter("self") == found


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_stage_ends_with_what_started_it_and_not_before(start, end):
    process = start(STARTER, sys.executable, "-c", FOLLOWER)
    stage = number(process)
    assert not gone(stage, 0.5)
    process.send_signal(end)
    assert gone(stage)


def test_a_stage_whose_starter_is_gone_already_ends_at_once(start):
    last = start("")
    last.wait()
    process = start(STARTER, sys.executable, "-c", FOLLOWER, **{processes.PARENT: str(last.pid)})
    assert process.wait(5) == 0  # the shell's `true`


def test_what_is_no_stage_follows_nobody(start):
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {FOLLOWER!r}])"
    process = start(code)
    stage = number(process)
    process.kill()
    try:
        assert not gone(stage, 0.7)
    finally:
        os.kill(stage, signal.SIGKILL)


def test_a_group_ends_with_its_parent(start):
    group = (
        "import os, subprocess, sys, threading, time; from replica.common import processes; os.setsid();"
        "threading.Thread(target=processes.end_with, args=(os.getppid(),)).start();"
        f"subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]); print(os.getpid(), flush=True)"
    )
    process = start(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {group!r}])")
    both = [number(process), number(process)]
    assert not gone(both[0], 0.5) and not gone(both[1], 0.1)
    process.kill()
    assert all(gone(each) for each in both)


def test_orphans_of_this_project_are_ended_and_nothing_else(start, tmp_path):
    last = start("")
    last.wait()
    dead, living = {processes.PARENT: str(last.pid)}, {processes.PARENT: str(os.getpid())}
    orphan = start(SLEEPER, DVC_ROOT=str(tmp_path), **dead)
    others = [
        start(SLEEPER, DVC_ROOT=str(tmp_path), **living), start(SLEEPER, DVC_ROOT=str(tmp_path / "other"), **dead),
        start(SLEEPER, DVC_ROOT=str(tmp_path)),
    ]  # fmt: skip
    for each in (orphan, *others):
        number(each)
    assert processes.end_orphans(tmp_path) == [orphan.pid]
    assert orphan.wait(3) == -signal.SIGKILL
    assert [each.poll() for each in others] == [None, None, None]


HOLDER = """
import fcntl, os, sys, time
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_folder_has_one_writer_and_the_other_is_told_which(start, tmp_path):
    folder = tmp_path / "models/x"
    with processes.sole(folder, 0):
        assert folder.is_dir()
    process = start(HOLDER, str(folder))
    number(process)
    began = time.monotonic()
    with pytest.raises(UserError) as refused, processes.sole(folder, 0.5):
        pass
    assert 0.5 <= time.monotonic() - began < 2
    words = str(refused.value)
    assert words.startswith(f"{folder}: process {process.pid} (") and "is writing it; wait for its end" in words
    process.kill()
    with processes.sole(folder, 5):  # the lock goes with its process
        assert processes.holder(folder).startswith(f"process {os.getpid()} (")


def test_the_other_waits_for_the_first_to_end(start, tmp_path):
    process = start(HOLDER.replace("60", "0.7"), str(tmp_path))
    number(process)
    with processes.sole(tmp_path, 10):
        assert process.wait(1) == 0


def test_the_lock_of_a_folder_that_was_removed_is_none(tmp_path):
    folder = tmp_path / "x"
    with processes.sole(folder, 0):
        folder.rmdir()
        with processes.sole(folder, 0):  # another folder of that name
            assert folder.is_dir()


def test_another_kind_of_lock_has_no_holder_here(tmp_path):
    file = tmp_path / "locked"
    with file.open("w") as handle:
        fcntl.lockf(handle, fcntl.LOCK_EX)
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        assert any(words[1] == "POSIX" and words[5].endswith(f":{file.stat().st_ino}") for words in locks)
        assert processes.holder(file) == "another process"
    assert processes.holder(tmp_path / "absent") == "another process"


def test_a_folder_on_a_file_system_without_locks_is_let_in(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(processes.fcntl, "flock", refuse)
    with processes.sole(tmp_path / "x", 0), processes.sole(tmp_path / "x", 0):
        assert (tmp_path / "x").is_dir()
