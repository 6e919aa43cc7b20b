"""`replica sweep` in a real git and DVC repository; most tests replace the training by arithmetic, one trains."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from conftest import Project, small
from optuna.trial import TrialState

from replica.commands.sweep.space import parse
from replica.commands.sweep.study import Study
from replica.common.errors import UserError
from replica.evaluation.scores import packed

VARIANT = "mnist_5k_mlp"
# Accuracy rises with the rate, an epoch a fiftieth of a second; 13 units can't be trained, 7 take long.
TRAIN = """
import json, sys, time
from pathlib import Path
from replica.common import arrays, parameters

name = sys.argv[1]
entry = parameters.variant(parameters.read(), name)
units = entry["layers"][1]["Dense"]["units"]
rate = entry["optimizer"]["SGD"]["learning_rate"]
arrays.load(entry["dataset"])
if units == 13:
    sys.exit("13 units diverged")
live = Path("live", name, "metrics.json")
live.parent.mkdir(parents=True, exist_ok=True)
rows = ["epoch,value,metric,data"]
for epoch in range(1, entry["epochs"] + 1):
    value = round(rate * (1 - 0.5**epoch), 6)
    rows += [f"{epoch},{value},accuracy,validation", f"{epoch},0.99,accuracy,training"]
    live.write_text(json.dumps({"seed-0": {"validation": {"accuracy": value}}, "step": epoch}))
    print("epoch", epoch, value, flush=True)
    time.sleep(0.5 if units == 7 else 0.02)
run = Path("models", name, "seed-0")
run.mkdir(parents=True, exist_ok=True)
(run / "history.csv").write_text("\\n".join(rows) + "\\n")
"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small project with its digits prepared, whose training is arithmetic, and scores of a model before."""
    made = small(tmp_path_factory.mktemp("sweep"))
    (made.folder / "stages/train.py").write_text(TRAIN)
    score, right = {"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6}, {"0": packed(np.arange(8) % 2 == 0)}
    for place, content in (
        (f"metrics/test/{VARIANT}.json", {"accuracy": 0.5}),
        (f"metrics/{VARIANT}.json", {"test": score}),
        (f"metrics/details/{VARIANT}.json", {"images": {"test": 8}, "right": right}),
    ):
        (made.folder / place).parent.mkdir(parents=True, exist_ok=True)
        (made.folder / place).write_text(json.dumps(content))
    made.repro(f"preprocess@{VARIANT.rpartition('_')[0]}")
    made.commit("Run")
    return made


@pytest.fixture
def project_copy(quick: Project, tmp_path: Path) -> Project:
    return Project(shutil.copytree(quick.folder, tmp_path / "project", symlinks=True))


def sweep(project: Project, *words: str, name: str = "s", check: bool = True, **environment: str) -> str:
    command = (sys.executable, "-m", "replica", "sweep", VARIANT, "--name", name, *words)
    return project.run(*command, check=check, **environment).stdout


def experiments(project: Project) -> dict[str, dict]:
    """What `dvc exp show --json` lists of the newest commit, by name."""
    *_, head = json.loads(project.run("dvc", "exp", "show", "--json").stdout[0:] or "[]")
    return {row["name"]: row["revs"][0] for row in head["experiments"] or []}


def rates(text: str) -> list[str]:
    """The trials' names and drawn values, in the order of their numbers."""
    return sorted(set(re.findall(r"\w-(\d{3}  .*) \| started", text)))


def values(project: Project, name: str = "s") -> dict[int, tuple[TrialState, float | None]]:
    """The states and values in the study's file."""
    import optuna

    backend = optuna.storages.journal.JournalFileBackend(str(project.folder / f".dvc/tmp/sweeps/{name}/study.log"))
    study = optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))
    return {
        trial.user_attrs["number"]: (trial.state, trial.value)
        for trial in study.trials
        if trial.state != TrialState.FAIL or "log" in trial.user_attrs
    }


def written(folder: Path) -> dict[Path, int]:
    """When each of the user's files was last written."""
    own = (path for path in folder.rglob("*") if path.is_file() and not {".git", ".dvc", "__pycache__"} & {*path.parts})
    return {path: path.stat().st_mtime_ns for path in own}


@pytest.mark.slow
def test_trials_are_experiments_however_many_run_at_once(project_copy: Project) -> None:
    project, folder = project_copy, project_copy.folder
    parameters = project.parameters()
    parameters["variants"][VARIANT]["batch_size"] = 77  # not committed
    project.write(parameters)
    before = written(folder)
    head = project.run("git", "rev-parse", "HEAD").stdout.strip()
    words = ("-S", "learning_rate=log(0.01,1)", "-S", "epochs=3", "--sampler", "random", "--trials", "2")
    one, two = (sweep(project, *words, "--jobs", str(jobs), name=f"jobs{jobs}") for jobs in (1, 2))
    assert rates(one) == rates(two)
    assert len(set(rates(one))) == 2
    assert values(project, "jobs1") == values(project, "jobs2")
    listed = experiments(project)
    assert set(listed) == {f"jobs{jobs}-{number:03}" for jobs in (1, 2) for number in (1, 2)}
    for number, (state, value) in values(project, "jobs2").items():
        data = listed[f"jobs2-{number:03}"]["data"]
        entry = data["params"]["params.yaml"]["data"]["variants"][VARIANT]
        assert state == TrialState.COMPLETE
        assert (entry["epochs"], entry["batch_size"]) == (3, 77)
        assert value == pytest.approx(entry["learning_rate"] * 0.875, abs=1e-6)
        metrics = data["metrics"]
        assert metrics[f"live/{VARIANT}/metrics.json"]["data"]["seed-0"]["validation"]["accuracy"] == value
        assert metrics[f"metrics/test/{VARIANT}.json"]["data"] == {}  # the score of the model before
        assert "test" not in json.dumps([file.get("data") for file in metrics.values()])
        assert project.run("git", "rev-parse", f"{listed[f'jobs2-{number:03}']['rev']}^").stdout.strip() == head
    rows = json.loads(project.run("replica", "experiments", "--json").stdout)
    of_trials = [row for row in rows if row["experiment"] in listed]
    assert {row["experiment"] for row in of_trials} == set(listed)
    for row in of_trials:  # neither a score nor a difference, where the model before had one
        assert (row["test"], row["difference"]) == (None, None)
        assert row["validation"] == values(project, row["experiment"][:-4])[int(row["experiment"][-3:])][1]
    assert written(folder) == before
    assert not list(folder.glob(".dvc/tmp/sweeps/*/*-0*/"))
    best = max(values(project, "jobs1").items(), key=lambda item: item[1][1] or 0)[0]
    assert f"next: the same command with --apply keeps jobs1-{best:03}" in one
    refused = sweep(project, "-S", "learning_rate=log(0.02,1)", "--sampler", "random", name="jobs1", check=False)
    assert "error: sweep jobs1 was begun with space" in refused


def running(project: Project, *words: str) -> subprocess.Popen[bytes]:
    """A sweep that goes on beside the test, once its second trial trains."""
    command = [sys.executable, "-m", "replica", "sweep", VARIANT, "--name", "s", *words]
    process = subprocess.Popen(
        command,
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(project.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    log = project.folder / ".dvc/tmp/sweeps/s/logs/s-002.log"
    for _ in range(600):
        if log.exists() and "epoch 1" in log.read_text():
            return process
        assert process.poll() is None
        time.sleep(0.1)
    raise TimeoutError


def children(folder: Path) -> list[psutil.Process]:
    """The processes that work in a clone below a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder / ".dvc/tmp"):
                found.append(process)
        except (psutil.Error, OSError):
            pass
    return found


@pytest.mark.slow
def test_trials_on_nodes_are_the_same_experiments(project_copy: Project, tmp_path: Path) -> None:
    words = ("-S", "learning_rate=uniform(0.1,0.9)", "-S", "epochs=3", "--sampler", "random", "--trials", "2")
    other = Project(Path(shutil.copytree(project_copy.folder, tmp_path / "other", symlinks=True)))
    sweep(project_copy, *words, "--jobs", "1")
    other.run("dvc", "remote", "add", "--default", "lab", str(tmp_path / "remote"))
    text = sweep(other, *words, "--cluster", "local", "--jobs", "1", DASK_TEMPORARY_DIRECTORY=str(tmp_path / "disk"))
    assert "2 of 2 trials" in text or "the best of 2" in text, text
    for number in (1, 2):
        here, there = (
            each.run("git", "show", f"refs/exps/{base[:2]}/{base[2:]}/s-{number:03}:{name}").stdout
            for each in (project_copy, other)
            for base in [each.run("git", "rev-parse", "HEAD").stdout.strip()]
            for name in ["dvc.lock"]
        )
        assert here == there
    assert "--prune: not on a cluster" in sweep(other, *words, "--cluster", "local", "--prune", check=False)


@pytest.mark.slow
def test_goes_on_after_a_kill_after_ctrl_c_and_after_a_trial_was_killed(project_copy: Project) -> None:
    project = project_copy
    words = ("-S", "layers.1.Dense.units=5,7,13", "-S", "learning_rate=0.5", "-S", "epochs=6", "--sampler", "grid")
    words += ("--jobs", "1")
    clones = project.folder / ".dvc/tmp/sweeps/s"
    process = running(project, *words)
    process.kill()
    process.wait()
    for _ in range(50):
        if not children(project.folder):
            break
        time.sleep(0.1)
    assert not children(project.folder)
    assert list(clones.glob("s-002-*/"))
    (clones / "logs/s-002.log").unlink()

    process = running(project, *words)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert not children(project.folder)
    assert not list(clones.glob("s-*/"))
    assert set(values(project)) == {1}
    (clones / "logs/s-002.log").unlink()

    process = running(project, *words)
    [each for each in children(project.folder) if "stages.train" in each.cmdline()][-1].kill()
    assert process.wait(60) == 0
    assert set(values(project)) == {1, 3}

    text = sweep(project, *words)
    assert rates(text) == ["002  layers.1.Dense.units=7"]
    assert [state.name for _, (state, _) in sorted(values(project).items())] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert "failed: s-003, its log: .dvc/tmp/sweeps/s/logs/s-003.log" in text
    assert "13 units diverged" in (clones / "logs/s-003.log").read_text()
    assert set(experiments(project)) == {"s-001", "s-002"}
    assert "started" not in sweep(project, *words)


def test_prunes_what_stays_below_the_median(project_copy: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project = project_copy
    settings = ["learning_rate=uniform(0.01,0.02)", "units=7", "epochs=40"]
    folder = project.folder / ".dvc/tmp/sweeps/s"
    with Study(folder, parse(settings, VARIANT), "random", 0, prune=True) as study:
        for number in range(1, 6):
            attempt = study.ask(number, 1)
            study.complete(attempt, 0.9, dict.fromkeys(range(1, 41), 0.9), 1.0)
    began = time.monotonic()
    words = [word for setting in settings for word in ("-S", setting)]
    text = sweep(project, *words, "--sampler", "random", "--trials", "6", "--prune", "--jobs", "1")
    assert "pruned after" in text
    assert time.monotonic() - began < 20  # its epochs alone would take that long
    assert values(project)[6][0] == TrialState.PRUNED
    assert experiments(project) == {}


def test_bayesian_draws_are_reproducible(tmp_path: Path) -> None:
    space = parse(["learning_rate=log(1e-4,1)", "batch_size=int(16,256)", "data.validation=choice(0.1,0.2)"], VARIANT)

    def draw(folder: Path, stops: tuple[int, ...] = ()) -> list[dict]:
        drawn: list[dict] = []
        while len(drawn) < 14:
            with Study(folder, space, "tpe", 3, prune=False) as study:
                while len(drawn) < 14:
                    attempt = study.ask(len(drawn) + 1, 1)
                    if len(drawn) in stops:  # as if killed here
                        stops = tuple(stop for stop in stops if stop != len(drawn))
                        break
                    drawn.append(attempt.values)
                    rate = attempt.values[f"variants.{VARIANT}.learning_rate"]
                    study.complete(attempt, 1 - abs(rate - 0.01), {1: 0.1}, 1.0)
        return drawn

    assert draw(tmp_path / "a") == draw(tmp_path / "b", stops=(2, 12))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["learning_rat=log(1e-3,1)"], "learning_rat: unknown key; did you mean learning_rate?"),
        (["optimizer.SGD.learning_rat=log(1e-3,1)"], "learning_rat: unknown key; did you mean learning_rate?"),
        (["optimizer.SDG.learning_rate=log(1e-3,1)"], "got 'SDG', no optimizer of that name; did you mean SGD?"),
        (["network.layers.1=Flatten,Activation"], "network: is 'mlp', with nothing below it to set"),
        (["learning_rate=lgo(1e-3,1)"], "no domain 'lgo'; did you mean log?"),
        (["learning_rate=log(0,1)"], "allowed: log(low,high), numbers above 0"),
        (["learning_rate=uniform(0,1)"], "learning_rate: got 0.0; allowed: a number above 0"),
        (["epochs=uniform(1,5)"], "epochs: got 1.0; should be a valid integer"),
        (["epochs=int(1,5"], "a closing bracket is missing"),
        (["epochs=int(5,1)"], "low must be below high"),
        (["units=int(0,64)"], "units: got 0"),
        (["layers.1.Dense.units=int(0,64)"], "layers.1.Dense.units: got 0"),
        (["layers.1.Dens.units=int(1,64)"], "no layer of that name; did you mean Dense?"),
        (["layers.4.Dense.units=int(1,64)"], "4 gives (1,); mnist_5k needs (10,)"),
        (["data.validation=choice(0,0.1)"], "hold images back with -S data.validation=0.1"),
        (["data.validation=test", "epochs=1,2"], "hold images back with -S data.validation=0.1"),
        (["seeds=0,1"], "seeds: got 0"),
        (["epochs=5"], "nothing to draw"),
        (["epochs=1,2", f"variants.{VARIANT}.epochs=3"], "is set twice"),
        (["optimizer=SGD,Adam", "optimizer.SGD.learning_rate=1"], "nothing below it can be set"),
        (["network=mlp,mpl"], "did you mean mlp?"),
        (["data.dataset=mnist_5k,mnist5k"], "did you mean mnist_5k?"),
        (["layers.3.Dense.units=9,10"], "3 gives (9,); mnist_5k needs (10,)"),
    ],
)
def test_a_mistake_is_refused_first(
    quick: Project, monkeypatch: pytest.MonkeyPatch, settings: list[str], message: str
) -> None:
    from replica.commands.sweep.sweep import sweep

    monkeypatch.chdir(quick.folder)
    with pytest.raises(UserError, match=re.escape(message)) as error:
        sweep(VARIANT, settings, 1, "random")
    assert "\n" not in str(error.value)
    assert not (quick.folder / ".dvc/tmp/sweeps").exists()


def test_data_must_be_there(quick: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from replica.commands.sweep.sweep import sweep

    monkeypatch.chdir(quick.folder)
    with pytest.raises(UserError, match=re.escape("make it first: dvc repro preprocess@photos10")):
        sweep("photos10_linear", ["epochs=1,2"], 1, "random")


@pytest.mark.slow
def test_the_best_is_kept_and_scored_once(project: Project, tmp_path: Path) -> None:
    copied = Project(shutil.copytree(project.folder, tmp_path / "project", symlinks=True))
    scores = copied.folder / "metrics" / f"{VARIANT}.json"
    before = json.loads(scores.read_text())
    words = ("-S", "epochs=2,3", "-S", "seeds=2", "--sampler", "grid", "--trials", "1")
    with (copied.folder / "params.yaml").open("a") as file:
        file.write("# mine, not committed when the sweep begins\n")
    text = sweep(copied, *words)
    (copied.folder / "CITATION.cff").write_text("committed since\n")
    copied.run("git", "commit", "-qm", "Since", "CITATION.cff")
    (copied.folder / "LICENSE").write_text("edited since\n")
    text += sweep(copied, *words, "--apply")
    assert (copied.folder / "CITATION.cff").read_text() == "committed since\n"
    assert (copied.folder / "LICENSE").read_text() == "edited since\n"
    assert "# mine" in (copied.folder / "params.yaml").read_text()
    assert copied.parameters()["variants"][VARIANT]["epochs"] == 2
    after = json.loads(scores.read_text())
    assert after["test"]["accuracy"] != before["test"]["accuracy"]
    assert f"{after['test']['accuracy']:.4f}" in text
    live = json.loads((copied.folder / f"live/{VARIANT}/metrics.json").read_text())
    reached = [live[f"seed-{seed}"]["validation"]["accuracy"] for seed in (0, 1)]
    assert reached[0] != reached[1]
    assert f"validation accuracy {sum(reached) / 2:.4f}" in text
    assert values(copied)[1][1] == pytest.approx(after["validation"]["accuracy"], abs=1e-5)
    assert copied.repro(f"evaluate@{VARIANT}") == []
    assert "live" not in copied.run("git", "status", "--short").stdout

    more = [*words[:-1], "2"]
    sweep(copied, *more, "--apply")  # what the first has left is no loss
    assert copied.parameters()["variants"][VARIANT]["epochs"] in (2, 3)
    copied.run("git", "add", "--all")
    copied.run("git", "commit", "-qm", "The best")
    assert "on the test set" not in sweep(copied, *more, "--apply"), "also where it is committed"
    assert (copied.folder / "LICENSE").read_text() == "edited since\n"

    applied = (copied.folder / "params.yaml").read_text()
    (copied.folder / "params.yaml").write_text(applied.replace("# mine, not", "# edited after it was"))
    refused = sweep(copied, *words, "--apply", check=False)
    assert "changed, and in no commit and no experiment; commit or `git stash` first" in refused
    (copied.folder / ".dvc/tmp/sweeps/s/kept").write_text("0" * 40)  # as git leaves it after weeks
    refused = sweep(copied, *words, "--apply", check=False)
    assert "starts from commit" in refused and "fatal" not in refused
    assert "# edited" in (copied.folder / "params.yaml").read_text()
