"""A sweep's record: order, counts, draws, what may not change, what a kill leaves."""

import pytest
from optuna.trial import TrialState

from replica.common.errors import UserError
from tests.studies import STATE, fill, study


def test_the_highest_comes_first_and_of_equals_the_first_drawn(tmp_path):
    with study(tmp_path) as opened:
        fill(opened, 0.5, 0.9, 0.0, 0.9, "pruned", tmp_path / "log", None, -0.1)
        assert [trial.user_attrs["number"] for trial in opened.ranked()] == [2, 4, 1, 3, 8]
        assert list(opened.ended()) == [1, 2, 3, 4, 5, 6, 8], "what was cut short runs again"
        assert opened.ended()[6].user_attrs["log"] == str(tmp_path / "log")
        assert opened.ended()[5].state == TrialState.PRUNED
        assert opened.ended()[1].user_attrs["seconds"] == 1.3


def test_as_many_trials_as_asked_for_and_of_a_grid_no_more_than_it_has(tmp_path):
    with study(tmp_path) as opened:
        assert [opened.count(asked) for asked in (None, 1, 500)] == [20, 1, 500]
    with study(tmp_path / "grid", ["epochs=1,2,3"], "grid") as opened:
        assert [opened.count(asked) for asked in (None, 2, 3, 500)] == [3, 2, 3, 3]


def test_a_grid_s_trial_is_the_combination_of_its_number(tmp_path):
    with study(tmp_path, ["epochs=1,2", "batch_size=int(8,16,8)"], "grid") as opened:
        drawn = [list(opened.ask(number, 1).values.values()) for number in (4, 1, 3, 2)]
    assert drawn == [[2, 16], [1, 8], [2, 8], [1, 16]]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_draw_depends_on_the_seed_and_the_number_alone(tmp_path, sampler):
    def draws(name, numbers, seed=0):
        with study(tmp_path / name, sampler=sampler, seed=seed) as opened:
            attempts = [opened.ask(number, 1) for number in numbers]
        assert [attempt.name for attempt in attempts] == [f"s-{number:03}" for number in numbers]
        return {attempt.number: attempt.values for attempt in attempts}

    assert draws("a", (1, 2, 3)) == draws("b", (3, 1, 2))
    assert draws("a", (5,))[5] != draws("c", (5,), seed=1)[5]
    assert len({str(values) for values in draws("d", range(1, 9)).values()}) == 8


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"settings": ["learning_rate=log(0.002,1)"]}, "space learning_rate=log(0.001,1), now it is learning_rate=log"),
        ({"sampler": "tpe"}, "sampler random, now it is tpe"),
        ({"seed": 1}, "seed 0, now it is 1"),
        ({"prune": True}, "prune False, now it is True"),
    ],
)
def test_what_a_sweep_was_begun_with_may_not_change(tmp_path, changed, words):
    with study(tmp_path):
        pass
    with study(tmp_path, **changed):
        pass  # nothing had been drawn yet
    folder = tmp_path / "drawn"
    with study(folder) as opened:
        fill(opened, 0.5)
    with pytest.raises(UserError) as refused, study(folder, **changed):
        pass
    assert f"sweep s was begun with {words}" in str(refused.value)
    assert f"take another --name, or delete {folder / 's'} to begin anew" in str(refused.value)
    with study(folder) as opened:
        assert len(opened.ranked()) == 1


def test_one_at_a_time_and_what_a_killed_one_left_running_has_failed(tmp_path):
    with study(tmp_path) as opened:
        opened.ask(1, 1)
        with pytest.raises(UserError, match="sweep s is running already; take another --name"), study(tmp_path):
            pass
    with study(tmp_path) as opened:
        (trial,) = opened.study.get_trials()
        assert trial.state == TrialState.FAIL
        assert opened.ended() == {}


def test_what_a_kill_left_half_written_is_dropped_and_the_study_goes_on(tmp_path):
    with study(tmp_path) as opened:
        fill(opened, 0.5)
    log = tmp_path / "s/study.log"
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rstrip().rfind(b"\n") + 20])  # within the line that completes the trial
    with study(tmp_path) as opened:
        assert opened.ranked() == []
        fill(opened, 0.7)
    with study(tmp_path) as opened:
        assert [trial.value for trial in opened.ranked()] == [0.7]
    log.write_bytes(whole[:20])
    with study(tmp_path) as opened:
        assert opened.ended() == {}


def test_the_files_that_trials_start_from_are_remembered(tmp_path):
    with study(tmp_path) as opened:
        assert opened.snapshot is None
        opened.snapshot = STATE
    with study(tmp_path) as opened:
        assert opened.snapshot == STATE
        assert opened.snapshot.base == STATE.base


def test_below_the_median_of_the_others_at_the_same_epoch_is_hopeless_if_asked_for(tmp_path):
    for prune in (True, False):
        with study(tmp_path / str(prune), prune=prune) as opened:
            for number in range(1, 7):
                value = 0.1 * number
                opened.complete(opened.ask(number, 1), value, dict.fromkeys((1, 2, 3), value), 1.0)
            poor, good = opened.ask(7, 1), opened.ask(8, 1)
            assert opened.hopeless(poor, 1, 0.2) == prune
            assert opened.hopeless(poor, 1, 0.9) == prune, "an epoch has one value"
            assert not opened.hopeless(good, 1, 0.5)
            opened.complete(good, 0.8, {1: 0.7, 2: 0.8}, 1.0)
            kept = opened.study.get_trials()[good.trial.number].intermediate_values
            assert kept == {1: 0.5, 2: 0.8}
