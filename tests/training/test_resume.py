"""A training that was killed goes on from its last epochs, with the bytes of one that was not."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from bright import DENSE, preprocessed
from conftest import ROOT

from replica.common.errors import UserError
from replica.training import experiment, resume, runs
from replica.training.trainer import Trainer

FOLDER = Path("models/bright")
PROGRAM = """
import json, sys
from pathlib import Path
from replica.common import kernels
kernels.use("portable")
from replica.training import experiment, resume
resume.EVERY, resume.SHARE = 0.0, 1.0
experiment.train("bright", json.loads(sys.argv[1]), Path("models/bright"))
"""


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    preprocessed(tmp_path)
    monkeypatch.chdir(tmp_path)
    layers = [DENSE["layers"][0], {"Dropout": {"rate": 0.3}}, *DENSE["layers"][1:]]
    return {**DENSE, "layers": layers, "epochs": 6, "dataset": "bright", "validation": 0.2, "seeds": [0]}


@pytest.fixture
def always(monkeypatch):
    """Each epoch is saved."""
    monkeypatch.setattr(resume, "EVERY", 0.0)
    monkeypatch.setattr(resume, "SHARE", 1e9)


def contents():
    return {str(file.relative_to(FOLDER)): file.read_bytes() for file in sorted(FOLDER.rglob("*")) if file.is_file()}


WHOLE: dict[str, dict[str, bytes]] = {}


def whole(settings):
    """What an undisturbed training of these settings leaves."""
    key = json.dumps(settings)
    if key not in WHOLE:
        kept = FOLDER.exists() and FOLDER.rename("models/kept")
        experiment.train("bright", settings, FOLDER)
        WHOLE[key] = contents()
        shutil.rmtree(FOLDER)
        if kept:
            kept.rename(FOLDER)
    return WHOLE[key]


class CutError(Exception):
    pass


def cut(dataset, epoch):
    """Train until the first seed's epoch has been saved, then break off."""
    with pytest.MonkeyPatch.context() as patch:
        save = resume.Resume.save

        def saved(self, trainer, history, seconds):
            save(self, trainer, history, seconds)
            if history[-1][0] == epoch:
                raise CutError

        patch.setattr(resume.Resume, "save", saved)
        with pytest.raises(CutError):
            experiment.train("bright", dataset, FOLDER)


@pytest.fixture
def epochs(monkeypatch):
    """The epochs after which trainings have begun."""
    begun = []
    fit = Trainer.fit

    def noted(self, watched, progress, after=0):
        begun.append(after)
        return fit(self, watched, progress, after)

    monkeypatch.setattr(Trainer, "fit", noted)
    return begun


@pytest.mark.parametrize("epoch", [2, 6])
def test_it_goes_on_after_the_last_epoch_and_ends_in_the_same_bytes(dataset, always, epochs, epoch):
    undisturbed = whole(dataset)
    cut(dataset, epoch)
    assert (FOLDER / ".seed-0.npz").exists()
    epochs.clear()
    rows = []
    experiment.train("bright", dataset, FOLDER, lambda run, new: rows.extend((run.name, *row[:3:2]) for row in new))
    assert epochs == [epoch]
    assert contents() == undisturbed
    assert len(rows) == 6 * 4  # what is logged of a run: each epoch once


def test_the_seconds_of_before_count_and_a_line_says_that_it_goes_on(dataset, always, monkeypatch, capsys):
    cut(dataset, 2)
    found = resume.Resume.found
    monkeypatch.setattr(resume.Resume, "found", lambda self: found(self)._replace(seconds=1000.0))
    seconds = experiment.train("bright", dataset, FOLDER)
    assert 1000 < seconds[0] < 1060
    assert "\nbright, seed 0  goes on after epoch 2/6\n" in capsys.readouterr().out


@pytest.mark.parametrize(("cost", "times"), [(0.05, [10, 21, 32]), (0.5, [10, 61, 112])])
def test_it_saves_every_ten_seconds_or_as_seldom_as_costs_a_hundredth(tmp_path, monkeypatch, cost, times):
    now, saved = [0.0], []

    class Clock:
        def state(self):
            saved.append(int(now[0]))
            now[0] += cost
            return []

    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    kept = resume.Resume(tmp_path / "seed-0", "mark")
    for second in range(120):
        now[0] = max(now[0], float(second))
        kept.save(Clock(), [(second, 0.5, "loss", "training")], now[0])
    assert saved[:3] == times
    assert kept.found().epoch == saved[-1]


def test_what_is_quick_saves_nothing(dataset, monkeypatch):
    monkeypatch.setattr(Trainer, "state", lambda self: pytest.fail("a state was taken"))
    experiment.train("bright", dataset, FOLDER)


@pytest.mark.parametrize("spoil", ["half a file", "no archive", "another run's"])
def test_what_does_not_hold_is_not_gone_on_from(dataset, always, epochs, spoil):
    undisturbed = whole(dataset)
    cut({**dataset, "batch_size": 16} if spoil == "another run's" else dataset, 2)
    saved = FOLDER / ".seed-0.npz"
    if spoil == "half a file":
        saved.write_bytes(saved.read_bytes()[:-200])
    elif spoil == "no archive":
        saved.write_text("nothing")
    epochs.clear()
    experiment.train("bright", dataset, FOLDER)
    assert epochs == [0]
    assert contents() == undisturbed


def test_a_state_that_cannot_be_written_costs_a_warning(dataset, always, capsys):
    undisturbed = whole(dataset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np, "savez", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
        experiment.train("bright", dataset, FOLDER)
    assert capsys.readouterr().err.count("warning: models/bright/.seed-0.part: No space left; ") == 1
    assert contents() == undisturbed


def test_a_killed_process_goes_on_and_a_second_one_waits_its_turn(dataset, monkeypatch):
    """A real kill: the lock goes with the process, the saved epochs stay; while it lives, another is told who it is."""
    long = {**dataset, "epochs": 100}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, json.dumps(long)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (FOLDER / ".seed-0.npz").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    monkeypatch.setattr(experiment.processes, "PATIENCE", 0.2)
    os.kill(process.pid, signal.SIGSTOP)
    with pytest.raises(UserError, match=rf"^models/bright: process {process.pid} \(.*\) is writing it; [^\n]*$"):
        experiment.train("bright", dataset, FOLDER)
    process.kill()
    process.wait()
    begun = []
    fit = Trainer.fit
    monkeypatch.setattr(Trainer, "fit", lambda self, *args: begun.append(args[2]) or fit(self, *args))
    experiment.train("bright", long, FOLDER)
    assert begun[0] > 0
    assert not list(FOLDER.glob(".seed*"))
    assert contents() == whole(long)


def test_a_run_that_another_process_has_replaced_is_not_recorded(dataset, monkeypatch):
    save = runs.save

    def replaced(run, trained, history, images, mark):
        save(run, trained, history, images, "f" * 64)

    monkeypatch.setattr(runs, "save", replaced)
    with pytest.raises(UserError, match="models/bright: another process has written to it meanwhile"):
        experiment.train("bright", dataset, FOLDER)
    assert not (FOLDER / "settings.json").exists()
