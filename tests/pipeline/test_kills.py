"""Runs killed at random moments end, run once more, in an undisturbed run's bytes; runs at once do not disturb another.

The tests marked `long` do so with real trainings: docs/kills.md has their command.
"""

import os
import subprocess
import sys
import time

import kills
import pytest
from conftest import Project, small

DRIVER = "import sys; from replica.commands.repro import reproduce; sys.exit(reproduce([], jobs=2))"
STAGE = """
import pathlib, sys, time
from replica.common import processes, stage

def main(name):
    with processes.sole(pathlib.Path("models", name)):
        for part in "ab":
            time.sleep(0.2)
            pathlib.Path("models", name, part).write_text(name)

stage.run(main)
"""
PIPELINE = """
stages:
  train:
    foreach: [one, two, three]
    do:
      cmd: python stage.py ${item} && true
      deps: [stage.py]
      outs: ["models/${item}": {persist: true}]
  report:
    cmd: cat models/*/* > report.txt
    deps: [models/one, models/two, models/three]
    outs: [report.txt: {cache: false}]
"""


@pytest.fixture
def base(tmp_path):
    """A git and DVC repository of four quick stages, in which nothing has run."""
    project = Project(tmp_path / "base")
    project.folder.mkdir()
    (project.folder / "stage.py").write_text(STAGE)
    (project.folder / "dvc.yaml").write_text(PIPELINE)
    (project.folder / ".gitignore").write_text("models/\n")  # or DVC adds lines to it, in the order of finishing
    for words in ("git init -q", "dvc init -q", "git config user.email x@example.org", "git config user.name x"):
        project.run(*words.split())
    project.commit("Begin")
    return project


def test_a_driver_that_is_killed_leaves_nothing_that_the_next_run_does_not_mend(base):
    command = [sys.executable, "-c", DRIVER]
    ways = {"replica repro": kills.Way(command, [command])}
    for each in kills.rounds(base.folder, 2, time.time_ns(), ways, base.environment()):
        assert not each.wrong, each


@pytest.mark.long
@pytest.mark.timeout(0)
def test_a_hundred_kills_of_real_trainings(tmp_path):
    project = small(tmp_path / "base")
    project.run("replica", "repro", "preprocess")
    project.commit("Data")
    count = int(os.environ.get("KILLS", "100"))
    wrong = []
    for each in kills.rounds(project.folder, count, 0, kills.WAYS, project.environment()):
        print(f"{each.way} | {each.part} | {each.number.name} | {each.seconds:.1f} | {each.wrong or 'the same bytes'}")
        wrong += [each] if each.wrong else []
    assert not wrong


AT_ONCE = (
    ("replica", "repro", "--jobs", "2"),
    ("replica", "repro", "--jobs", "1", "--force"),
    ("dvc", "repro"),
    ("dvc", "queue", "start", "-j", "1"),
    ("replica", "sweep", "photos10_linear", "-S", "epochs=1,2", "--sampler", "grid", "--jobs", "1"),
)
HELD = ("Unable to acquire lock", "is busy, it is being blocked by", "is writing it; wait")


@pytest.mark.long
@pytest.mark.timeout(0)
def test_everything_at_once_ends_or_says_who_holds_the_lock(tmp_path):
    project = small(tmp_path / "base")
    project.run("replica", "repro", "--jobs", "2")
    project.commit("Run")
    whole = kills.contents(project.folder)
    for _ in range(int(os.environ.get("ROUNDS", "20"))):
        project.run("rm", "-r", "models/mnist_5k_mlp/seed-0", "metrics/photos10_linear.json")
        queued = project.run("dvc", "exp", "run", "--queue", "-S", "variants.mnist_5k_mlp.batch_size=64", check=False)
        assert queued.returncode == 0, queued.stdout
        logs = [(tmp_path / f"log-{number}").open("w+") for number in range(len(AT_ONCE))]
        running = [
            subprocess.Popen(
                command, cwd=project.folder, env=project.environment(), stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
            for command, log in zip(AT_ONCE, logs, strict=True)
        ]
        statuses = [process.wait(600) for process in running]
        for command, status, log in zip(AT_ONCE, statuses, logs, strict=True):
            log.seek(0)
            said = log.read()
            print(" ".join(command), "|", status)
            assert not status or any(words in said for words in HELD), (command, said[-3000:])
        until = time.monotonic() + 300
        while "Running" in project.run("dvc", "queue", "status").stdout:
            assert time.monotonic() < until
            time.sleep(1)
        project.run("replica", "repro", "--jobs", "2")
        now = kills.contents(project.folder)
        assert sorted(name for name in now.keys() | whole.keys() if now.get(name) != whole.get(name)) == []
