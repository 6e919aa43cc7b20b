"""What DVC's extension for VS Code reads: answers in every state of a repository, and during training the newest."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conftest import Project

pytestmark = pytest.mark.slow
ASKED = {
    "exp show": ["exp", "show", "--json"],
    "plots diff": ["plots", "diff", "--json", "--split", "-o", ".dvc/tmp/plots"],
    "data status": ["data", "status", "--json"],
    "granular": ["data", "status", "--granular", "--unchanged", "--json"],
    "params diff": ["params", "diff", "--json"],
    "metrics diff": ["metrics", "diff", "--json"],
}
STATES = ("clean clone", "mid-run", "failed", "experiment", "applied")
# One process for all commands: six of them would import DVC six times.
PROGRAM = """
import json, sys
from dvc.cli import main
for command in json.loads(sys.argv[1]):
    status = main(command)
    print("\\0", status, "\\0", flush=True)
"""


def ask(project):
    """Each command's answer."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(list(ASKED.values()))],
        cwd=project.folder, env=project.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    *parts, _ = done.stdout.split("\0")
    assert [int(status) for status in parts[1::2]] == [0] * len(ASKED), done.stderr
    return dict(zip(ASKED, map(json.loads, parts[::2]), strict=True))


def clone(source, folder):
    source.run("git", "clone", "-q", str(source.folder), str(folder))
    made = Project(folder)
    for key in ("email", "name"):
        made.run("git", "config", f"user.{key}", "test@example.org")
    return made


@contextmanager
def begun(project, *command):
    """A command under way, which is ended with what it has started, however the test ends."""
    running = subprocess.Popen(
        command, cwd=project.folder, env=project.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        yield running
    finally:
        if running.poll() is None:
            for process in [*psutil.Process(running.pid).children(recursive=True), psutil.Process(running.pid)]:
                process.kill()
            running.wait()


@pytest.fixture(scope="module")
def answers(project, tmp_path_factory):
    """What is answered in each state, one after the other."""
    copy = clone(project, tmp_path_factory.mktemp("extension") / "clone")
    told = {"clean clone": ask(copy)}
    copy.run("dvc", "config", "--local", "cache.dir", str(project.folder / ".dvc/cache"))
    copy.run("dvc", "checkout", "-q")
    run = ("dvc", "exp", "run", "evaluate@photos10_linear", "-S")

    with begun(copy, *run, "variants.photos10_linear.epochs=100000") as running:
        while not (copy.folder / "live/photos10_linear/dvc.yaml").exists():
            assert running.poll() is None
            time.sleep(0.05)
        step = json.loads((copy.folder / ".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED").read_text())
        os.kill(step["pid"], signal.SIGSTOP)  # alive, and no faster than the questions
        told["mid-run"] = ask(copy)
        os.kill(step["pid"], signal.SIGKILL)
        output, _ = running.communicate(timeout=60)
    assert running.returncode != 0, output
    told["failed"] = ask(copy)

    copy.run("git", "checkout", "-q", "--", ".")
    copy.run(*run, "variants.photos10_linear.epochs=2", "--name", "two")
    assert not copy.run("git", "ls-files", "--others", "--exclude-standard").stdout
    told["experiment"] = ask(copy)
    copy.run("git", "checkout", "-q", "--", ".")
    copy.run("dvc", "exp", "apply", "two")
    told["applied"] = ask(copy)
    return told


def errors(answer):
    """Whatever stands under `error` or `errors` anywhere in an answer."""
    items = answer.items() if isinstance(answer, dict) else enumerate(answer) if isinstance(answer, list) else ()
    return [
        error for key, value in items for error in ([value] if key in ("error", "errors") and value else errors(value))
    ]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("asked", ASKED)
def test_every_state_answers_without_an_error(answers, state, asked):
    assert errors(answers[state][asked]) == []


def workspace(answer):
    return answer["exp show"][0]["data"]["metrics"]["live/photos10_linear/metrics.json"]["data"]


def test_the_metric_and_the_curves_follow_a_run(answers):
    during = workspace(answers["mid-run"])
    assert during["step"] >= 1000  # of 100,000 epochs, a hundred are logged
    assert 0 < during["seed-0"]["validation"]["accuracy"] < 1
    plots = answers["mid-run"]["plots diff"]["data"]
    for metric in ("accuracy", "loss"):
        (plot,) = plots[f"photos10_linear: {metric} so far"]
        assert plot["revisions"] == ["workspace"]
        points = plot["anchor_definitions"]["<DVC_METRIC_DATA>"]
        assert {Path(point["filename"]).parent.name for point in points} == {"training", "validation"}
        assert max(int(point["step"]) for point in points) == during["step"]


def test_a_run_that_ended_shows_its_results_in_place_of_the_curves(answers):
    for state in ("clean clone", "experiment", "applied"):
        assert not [name for name in answers[state]["plots diff"]["data"] if "so far" in name]
        metrics = answers[state]["exp show"][0]["data"]["metrics"]
        assert set(metrics) == {f"metrics/test/{variant}.json" for variant in ("mnist_5k_mlp", "photos10_linear")}
    (changed,) = answers["applied"]["params diff"]["params.yaml"].values()
    assert (changed["old"], changed["new"]) == (1, 2)
    assert list(answers["applied"]["metrics diff"]) == ["metrics/test/photos10_linear.json"]
    names = [experiment["name"] for experiment in answers["applied"]["exp show"][1]["experiments"]]
    assert names == ["two"]
