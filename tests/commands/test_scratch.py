"""The scratch copy of `replica verify`: where its cache lies, and what is left of it when the command is ended."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT, Project
from dvc.config import Config

from replica.commands.verify import scratch

VERIFY = """
import signal, sys
from pathlib import Path
from replica.commands.verify import scratch

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
with scratch.clone(Path(sys.argv[1])) as folder:
    scratch.reproduce(folder, [], None)
"""
SLEEP = "import os, pathlib, time\npathlib.Path(os.environ['BEGAN']).write_text(str(os.getpid()))\ntime.sleep(60)\n"


def repository(folder):
    """A repository whose `replica repro` sleeps."""
    project = Project(folder)
    (folder / "replica").mkdir(parents=True)
    (folder / ".dvc").mkdir()
    for name, text in (("replica/__init__.py", ""), ("replica/__main__.py", SLEEP), (".dvc/config", "")):
        (folder / name).write_text(text)
    (folder / ".gitignore").write_text("/.dvc/tmp\n")
    project.begin()
    project.commit("Begin")
    return project


@pytest.mark.parametrize("name", ["plain", "c# and more", "Smith, Ada", 'it\'s "this"'])
def test_the_cache_lies_in_the_copy_whatever_the_path_is(tmp_path, name):
    project = repository(tmp_path / name)
    with scratch.clone(project.folder) as copy:
        settings = Config(str(copy / ".dvc"))
        assert settings["cache"]["dir"] == str(copy.resolve() / ".dvc/cache")
        assert settings["core"]["autostage"]
    assert not copy.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_what_runs_ends_with_the_command_and_the_copy_goes(tmp_path, number):
    root, began = repository(tmp_path / "project").folder, tmp_path / "began"
    environment = {**os.environ, "BEGAN": str(began), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", VERIFY, str(root)]
    verify = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    until = time.monotonic() + 60
    while not (began.exists() and began.read_text()):
        assert time.monotonic() < until and verify.poll() is None
        time.sleep(0.05)
    driver = psutil.Process(int(began.read_text()))
    verify.send_signal(number)
    assert verify.wait(20) != 0
    with contextlib.suppress(psutil.NoSuchProcess):
        driver.wait(20)
    others = root / ".dvc/tmp" / f"verify-{socket.gethostname()}-2-99999999-abc"  # of a machine with a longer name
    left = list((root / ".dvc/tmp").glob("verify-*"))
    others.mkdir()
    assert bool(left) == (number == signal.SIGKILL)
    with scratch.clone(root) as copy:
        assert {copy.parent, others} == {*(root / ".dvc/tmp").glob("verify-*")}, "what the killed one left is gone"
        with scratch.clone(root) as other:
            assert copy.exists() and other.exists(), "and no other's that still runs"
