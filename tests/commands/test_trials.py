"""A sweep's trials: what they are told, how they end, when they are given up, and what the user sees of them."""

import io
import json
import math
from concurrent.futures import Future

import pytest
from distributed import Client, LocalCluster
from rich.console import Console

from replica.commands.cluster import security
from replica.commands.repro.command import Ended
from replica.commands.repro.workers import LOOPBACK
from replica.commands.sweep import sweep as sweeping
from replica.commands.sweep.trial import Request, status
from replica.commands.sweep.trials import WAITING, RunningTrial, Trials
from replica.common.errors import UserError
from tests.studies import RATE, STATE, VARIANT, fill, study


def said(call, width=100, **options):
    console = Console(file=io.StringIO(), width=width, **options)
    call(console)
    return console.file.getvalue()


def trials(opened, root, count, nodes=None, jobs=2):
    return Trials(root, "", {}, opened, STATE, count, jobs, Console(file=io.StringIO()), nodes or {})


def running(opened, folder, number, seeds=(0,), status=0):
    """A trial whose command has ended so, in a clone of its own."""
    future = Future()
    future.set_result(Ended(0, status, 1.0))
    log = folder / f"{number}.log"
    log.write_text("epoch 1\nno such layer\n")
    (folder / str(number)).mkdir()
    return RunningTrial(opened.ask(number, 1), f"trial {number}", folder / str(number), log, list(seeds), future)


def test_the_five_best_and_every_failure_with_its_log_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    log = tmp_path / ("a_long_folder/" * 9) / "s-001.log"
    with study(tmp_path, [*RATE, "epochs=3"]) as opened:
        assert said(lambda console: sweeping.tell(console, opened, STATE)) == ""
        fill(opened, log, *(0.1 * number for number in range(2, 9)))
        text = said(lambda console: sweeping.tell(console, opened, STATE), width=80)
        rates = {n: f"{t.params[f'variants.{VARIANT}.learning_rate']:.4g}" for n, t in opened.ended().items()}
    first, *lines = text.splitlines()
    assert first == f"failed: s-001, its log: {'a_long_folder/' * 9}s-001.log", "on one line, to be copied"
    assert lines[0].strip() == "s: the best of 7 by validation accuracy"
    assert "epochs" not in text, "the same for all"
    rows = [line.replace("│", " ").split() for line in lines if " s-0" in line]
    assert [row[:2] for row in rows] == [[f"s-00{n}", f"{0.1 * n:.4f}"] for n in (8, 7, 6, 5, 4)]
    for number, row in zip((8, 7, 6, 5, 4), rows, strict=True):
        assert math.isclose(float(row[2]), float(rates[number]), rel_tol=1e-3)


def test_how_far_a_sweep_is_in_a_line(tmp_path):
    with study(tmp_path) as opened:
        fresh = trials(opened, tmp_path, 5)
        assert fresh.left == [1, 2, 3, 4, 5]
        assert fresh.summary() == "0 of 5 trials done"
        fill(opened, 0.25, 0.75, tmp_path / "log", None)
        later = trials(opened, tmp_path, 6)
        assert later.left == [4, 5, 6], "what was cut short runs again, what failed of its own does not"
        assert later.seconds == [1.3, 1.3]
        later.seconds = [30.0, 10.0]
        assert later.summary() == "3 of 6 trials done, best so far 0.7500 (s-002), about 30.0 s left"
        later.stop.note(2)
        assert later.summary() == (
            "3 of 6 trials done, best so far 0.7500 (s-002), stopping; Ctrl-C again kills what runs"
        )
        begun = trials(opened, tmp_path, 6)
        begun.seconds, begun.active = [30.0, 10.0], [running(opened, tmp_path, begun.left.pop(0))]
        begun.active[0].began -= 15.0
        assert begun.summary() == "3 of 6 trials done, best so far 0.7500 (s-002), about 22.5 s left"
        begun.active[0].began -= 100.0
        assert begun.summary().endswith(", about 20.0 s left"), "one that is late takes no time from the others'"
        done = trials(opened, tmp_path, 3)
        assert done.summary() == "3 of 3 trials done, best so far 0.7500 (s-002)"


def test_a_trial_that_waits_for_a_node_needs_little_memory(tmp_path):
    with study(tmp_path) as opened:
        here, there = (trials(opened, tmp_path, 1, nodes) for nodes in ({}, {"scheduler": "tcp://x", "remote": ""}))
    assert here.needs["memory"] > WAITING == there.needs["memory"]


def history(trial, seed, *accuracies):
    rows = [f"{epoch},{value},accuracy,validation" for epoch, value in enumerate(accuracies, 1)]
    folder = trial.folder / f"clone/models/{VARIANT}/seed-{seed}"
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text("\n".join(["epoch,value,metric,data", "9,0.99,accuracy,training", *rows]))


def test_how_a_trial_ended_is_recorded_and_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with study(tmp_path) as opened:
        made = trials(opened, tmp_path, 7)
        ends = [running(opened, tmp_path, n, (0, 1), status) for n, status in enumerate((0, 0, 2, -9, 137, 1, 1), 1)]
        history(ends[0], 0, 0.1, 0.5)
        history(ends[0], 1, 0.2, 0.4)
        history(ends[1], 0, 0.1, 0.5)
        history(ends[1], 1, 0.2, math.nan)
        ends[5].hopeless = True
        for each in ends:
            if each is ends[-1]:
                made.stop.note(2)
            made._end(each)
        states = [trial.state.name for trial in opened.study.get_trials()]
        value = opened.ranked()[0]
        left = [number for number in range(1, 8) if number not in opened.ended()]
    assert states == ["COMPLETE", "FAIL", "FAIL", "FAIL", "FAIL", "PRUNED", "FAIL"]
    assert value.value == pytest.approx(0.45)
    assert value.intermediate_values == {1: 0.1, 2: 0.5}, "the first seed's, which others are held against"
    assert left == [4, 5, 7], "what a signal or the user ended runs again"
    assert len(made.seconds) == 1
    words = [line.partition("  [")[0] for line in made.console.file.getvalue().splitlines()]
    assert words[0].startswith("trial 1 | validation accuracy 0.4500 in ")
    assert words[1:5] == [
        "trial 2 | failed: no such layer  (2.log)",
        "trial 3 | failed: no such layer  (3.log)",
        "trial 4 | killed; the same command runs it again  (4.log)",
        "trial 5 | killed; the same command runs it again  (5.log)",
    ]
    assert words[5].startswith("trial 6 | pruned after ")
    assert words[6] == "trial 7 | stopped"
    assert not any(each.folder.exists() for each in ends)


def test_a_trial_is_given_up_by_its_first_seed_while_that_one_trains(tmp_path):
    with study(tmp_path, prune=True) as opened:
        for number in range(1, 7):
            opened.complete(opened.ask(number, 1), 0.5, {1: 0.5, 2: 0.5}, 1.0)
        made, trial = trials(opened, tmp_path, 7), running(opened, tmp_path, 7, (3, 4))
        file = trial.folder / "clone/live" / VARIANT / "metrics.json"
        assert not made._hopeless(trial), "nothing is written yet"
        file.parent.mkdir(parents=True)

        def told(**seeds):
            entries = {name: {"validation": {"accuracy": value}} for name, value in seeds.items()}
            return json.dumps({**{name.replace("_", "-"): entry for name, entry in entries.items()}, "step": 2})

        for text in ("{", json.dumps({"step": 2}), json.dumps({"seed-3": {}, "step": 2})):
            file.write_text(text)
            assert not made._hopeless(trial)
        for text in (told(seed_3=0.1, seed_4=0.1), told(seed_4=0.1)):
            file.write_text(text)
            assert not made._hopeless(trial)
        file.write_text(told(seed_3=0.1))
        assert made._hopeless(trial)
        made.stop.note(2)
        assert not made._hopeless(trial), "the user stops it"


@pytest.mark.parametrize("secure", [False, True])
def test_a_trial_is_told_of_a_cluster_by_a_file_that_is_the_user_s_alone(tmp_path, secure):
    with sweeping.nodes(None, tmp_path, None) as found:
        assert found == ({}, 0)
    certificate = security.temporary() if secure else None
    options = {"dashboard_address": LOOPBACK, "worker_dashboard_address": LOOPBACK, "host": "127.0.0.1"}
    options |= {"n_workers": 2, "threads_per_worker": 3, "processes": False, "local_directory": str(tmp_path / "dask")}
    protocol = "tls" if secure else "tcp"
    (tmp_path / "certificate").write_text("of another run")
    with (
        LocalCluster(security=certificate, protocol=f"{protocol}://", **options) as cluster,
        Client(cluster) as other,
    ):
        other.wait_for_workers(2, 20)
        with sweeping.nodes(Client(cluster), tmp_path, "lab") as (told, threads):
            pass
        assert threads == 6
        assert told["scheduler"] == cluster.scheduler_address
        assert told["scheduler"].startswith(f"{protocol}://")
        assert told["remote"] == "lab"
        assert ("certificate" in told) == secure
        if secure:
            file = tmp_path / "certificate"
            assert told["certificate"] == str(file)
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.read_text() == security.written(certificate)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("exited with -9", 137),
        ("exited with -1", 129),
        ("exited with 129", 129),
        ("exited with 128", 1),
        ("exited with 2", 1),
        ("broke", 1),
    ],
)
def test_a_trial_ends_as_a_shell_would_say_its_command_did(said, code):
    error = RuntimeError("failed")
    error.__cause__ = RuntimeError(f"failed to run: python -m stages.train x, {said}")
    assert status(error) == code
    assert status(RuntimeError("exited with -9")) == 1


def test_a_request_travels_as_words():
    request = Request("r", "f", "b", "t", "n", VARIANT, "d", "c", 1, {"epochs": 3})
    *_, module, words = request.command()
    assert module == "replica.commands.sweep.trial"
    assert Request(**json.loads(words)) == request


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"trials": 0}, "--trials 0: at least 1"),
        ({"jobs": 0}, "--jobs 0: at least 1"),
        ({"seed": -1}, "--seed -1: at least 0"),
        ({"sampler": "gird"}, "did you mean grid?"),
        *(
            ({"name": name}, f"--name {name!r}: allowed: letters")
            for name in (
                "-a",
                "a..b",
                "a/b",
                "a.",
                "a.lock",
                "a b",
                "a_long_name_that_ends_in_the_wrong_way_" * 3 + "/",
            )
        ),
    ],
)
def test_an_option_that_can_mean_nothing_is_refused_before_anything_is_read(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refused:
        sweeping.sweep(VARIANT, RATE, **options)
    assert words in str(refused.value)


def test_least_numbers_and_plain_names_pass_that_check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for options in ({"trials": 1, "jobs": 1, "seed": 0}, {"name": "a-b.c_1"}):
        with pytest.raises(UserError, match=r"params\.yaml"):  # the next thing that is looked at
            sweeping.sweep(VARIANT, RATE, **options)
