"""Random search: what is drawn, what is chosen, and how a wrong space is refused."""

import copy

import numpy as np
import pytest
from conftest import ROOT

from replica.common import parameters
from replica.common.errors import UserError
from replica.schema import check
from replica.search import draws

NAME = "mnist_random_search"


@pytest.fixture(scope="module")
def declared():
    return parameters.declared(ROOT)


def test_draws_follow_the_documents_distributions(declared):
    entry = {**declared["searches"][NAME], "trials": 400}
    drawn = draws.trials(entry)
    units = np.array([draw["units"] for draw in drawn])
    dropout = np.array([draw["dropout"] for draw in drawn])
    rates = np.array([draw["learning_rate"] for draw in drawn])
    assert all(isinstance(draw["units"], int) for draw in drawn)
    assert units.min() >= 10
    assert units.max() <= 90
    assert abs(units.mean() - 50) < 4
    assert dropout.min() >= 0
    assert dropout.max() <= 0.5
    assert set(rates) == {1e-5, 1e-4, 1e-3, 1e-2, 1e-1}
    assert abs((rates == 1e-3).mean() - 0.25) < 0.07  # the ends have half the middle's share, as rounding gives them
    assert abs((rates == 1e-5).mean() - 0.125) < 0.06


def test_more_trials_leave_the_first_as_they_were(declared):
    entry = declared["searches"][NAME]
    assert draws.trials({**entry, "trials": 14})[:10] == draws.trials(entry)
    assert draws.trials({**entry, "draw_seed": 1}) != draws.trials(entry)


def test_a_trial_is_a_variant_with_what_was_drawn(declared):
    hyperparameters = draws.trials(declared["searches"][NAME])[0]
    trial = parameters.trial(declared, NAME, hyperparameters)
    assert trial["layers"][2] == {"Dropout": {"rate": hyperparameters["dropout"]}}
    assert trial["layers"][4] == {"Dropout": {"rate": hyperparameters["dropout"]}}
    assert trial["layers"][6]["Dense"]["units"] == hyperparameters["units"]
    assert trial["optimizer"] == {"RMSprop": {"learning_rate": hyperparameters["learning_rate"]}}
    assert (trial["epochs"], trial["seeds"], trial["dataset"], trial["validation"]) == (10, [0], "mnist", 0.2)
    assert set(trial) <= set(parameters.SETTINGS)


def test_the_best_is_the_first_of_equals():
    trials = [{"trial": n, "validation_accuracy": value} for n, value in enumerate([0.9, 0.97, 0.97, 0.5])]
    assert draws.best(trials)["trial"] == 1


SEARCH, NETWORK = ("searches", NAME), ("networks", "searched")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ((*SEARCH, "trials"), 0, [f"searches.{NAME}.trials: got 0"]),
        ((*SEARCH, "draw_seed"), -1, [f"searches.{NAME}.draw_seed: got -1"]),
        ((*SEARCH, "epochs"), -3, [f"searches.{NAME}.epochs: got -3"]),
        ((*SEARCH, "trails"), 3, [f"searches.{NAME}.trails: unknown key"]),
        (
            (*SEARCH, "space", "units", "distribution"),
            "unifrom",
            [f"searches.{NAME}.space.units.distribution: ", "'unifrom'", "did you mean uniform?"],
        ),
        ((*SEARCH, "space", "units", "scales"), 3, [f"searches.{NAME}.space.units.scales: ", "did you mean scale?"]),
        ((*SEARCH, "space", "units"), 3, [f"searches.{NAME}.space.units: got 3", "a distribution"]),
        ((*SEARCH, "space", "width"), [1, 2], [f"searches.{NAME}.space.width: unknown key", "units"]),
        ((*SEARCH, "space", "units"), ["many"], [f"searches.{NAME}.units: got 'many'", "integer"]),
        ((*SEARCH, "network"), "serached", [f"searches.{NAME}.network: ", "did you mean searched?"]),
        (
            (*NETWORK, "layers", "6", "Dense", "use_bias"),
            "$bias",
            [f"searches.{NAME}.bias: missing", "networks.searched.layers.6.Dense.use_bias asks for it"],
        ),
    ],
)
def test_a_wrong_search_is_one_line(declared, path, value, words):
    with pytest.raises(UserError) as refused:
        check.check(changed(declared, path, value))
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(words[0])
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*SEARCH, "space", "units"), [16, 32]),
        ((*SEARCH, "space", "units"), {"distribution": "randint", "low": 3, "high": 9}),
        ((*SEARCH, "space", "learning_rate"), {"distribution": "loguniform", "a": 1e-5, "b": 0.1}),
        ((*SEARCH, "space", "epochs"), [1, 2]),
        ((*SEARCH, "optimizer"), "Adam"),
    ],
)
def test_what_a_search_may_say(declared, path, value):
    check.check(changed(declared, path, value))


def changed(declared, path, value):
    whole = place = copy.deepcopy(declared)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return whole
