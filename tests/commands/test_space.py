"""What a sweep draws from: the words of `-S`, read, refused, and counted out for a grid and for the check before."""

import pytest

from replica.commands.sweep.overrides import overridden
from replica.commands.sweep.space import CORNERS, parse
from replica.common.errors import UserError

VARIANT = "mnist_5k_mlp"
RATE = f"variants.{VARIANT}.learning_rate"


@pytest.mark.parametrize(
    ("text", "draws"),
    [
        ("uniform(0.1,0.4,0.1)", [0.1, 0.2, 0.3, 0.4]),
        ("uniform(0.5,2,0.5)", [0.5, 1.0, 1.5, 2.0]),
        ("int(3,5)", [3, 4, 5]),
        ("int(16,64,16)", [16, 32, 48, 64]),
    ],
)
def test_a_grid_takes_both_ends_and_every_step(text, draws):
    space = parse([f"learning_rate={text}"], VARIANT)
    assert [trial[RATE] for trial in space.grid()] == pytest.approx(draws)


def test_a_grid_is_every_combination_the_last_changing_fastest():
    space = parse(["batch_size=16,32", "epochs=int(1,2)", "seeds=1"], VARIANT)
    values = [space.values(draws) for draws in space.grid()]
    short = [{space.short(key): value for key, value in each.items()} for each in values]
    assert short == [{"seeds": 1, "batch_size": b, "epochs": e} for b in (16, 32) for e in (1, 2)]


@pytest.mark.parametrize("text", ["uniform(0.1,0.4)", "log(1e-4,1)", "logint(1,8)"])
def test_a_grid_of_what_has_no_end_is_refused(text):
    with pytest.raises(UserError, match=r"a grid needs choice"):
        parse([f"learning_rate={text}"], VARIANT).grid()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("uniform(1)", "allowed: uniform"),
        ("uniform(1,2,0.5,3)", "allowed: uniform"),
        ("log(1,2,3)", "allowed: log"),
        ("log(0,2)", "above 0"),
        ("int(1.5,2)", "whole numbers"),
        ("int(true,2)", "whole numbers"),
        ("uniform(2,2)", "low must be below high"),
        ("uniform(1,2,0)", "a step above 0"),
        ("uniform(1,2,1.5)", "no more than what is between"),
        ("uniform(0,1,0.3)", "steps of 0.3 from 0 do not end at 1"),
        ("int(1,10,4)", "steps of 4 from 1 do not end at 10"),
        ("choice(1)", "at least two, each once"),
        ("choice(1,2,1)", "at least two, each once"),
        ("unifrom(1,2)", "did you mean uniform?"),
        ("uniform(1,2", "a closing bracket is missing"),
    ],
)
def test_a_domain_that_draws_nothing_or_not_what_it_says_is_refused(text, words):
    with pytest.raises(UserError, match="-S ") as refused:
        parse([f"learning_rate={text}"], VARIANT)
    assert words in str(refused.value)


def test_corners_are_every_combination_of_ends_while_these_are_few():
    space = parse(["learning_rate=log(1e-4,1)", "batch_size=int(16,256)"], VARIANT)
    found = [sorted(draws.values()) for draws in space.corners()]
    assert sorted(found) == sorted([[1e-4, 16], [1e-4, 256], [1.0, 16], [1.0, 256]])


def test_of_many_corners_each_end_stands_beside_the_others_first():
    space = parse([f"k{number}=int({number},{number + 10})" for number in range(20)], VARIANT)
    assert 2**20 > CORNERS > 40
    for place, draws in enumerate(space.corners()):
        key, end = divmod(place, 2)
        assert list(draws.values()) == [number + 10 * (number == key and end) for number in range(20)]
    assert place == 39


@pytest.mark.parametrize(
    ("text", "drawn", "value"),
    [
        ("uniform(0.1,0.2)", 0.123456, 0.1235),
        ("uniform(0.12341,0.2)", 0.12341, 0.12341),  # rounded, it would be out of bounds
        ("uniform(0.1,0.123449)", 0.123449, 0.1234),
        ("uniform(0.1,0.12346)", 0.12346, 0.12346),
        ("uniform(0,1,0.1)", 0.1 + 0.2, 0.3),
        ("log(1e-5,1)", 0.000123456, 0.0001235),
        ("int(1,9)", 7, 7),
        ("choice([1,2],{a: 3})", '{"a": 3}', {"a": 3}),
        ("relu,tanh", '"tanh"', "tanh"),
    ],
)
def test_a_draw_is_a_value_that_can_be_typed_within_its_bounds(text, drawn, value):
    domain = parse([f"learning_rate={text}"], VARIANT).domains[RATE]
    assert domain.value(drawn) == value
    assert type(domain.value(drawn)) is type(value)


def test_a_space_is_written_in_one_way_whatever_the_order_and_the_keys_length():
    words = ["units=5", "learning_rate=log( 1e-4 , 1 )", f"variants.{VARIANT}.network=mlp", "activation=relu,tanh"]
    spaces = [parse(each, VARIANT) for each in (words, words[::-1])]
    text = 'activation=choice("relu","tanh"), learning_rate=log(0.0001,1), network="mlp", units=5'
    assert [str(space) for space in spaces] == [text, text]
    assert spaces[0].fixed == {f"variants.{VARIANT}.units": 5, f"variants.{VARIANT}.network": "mlp"}


def test_what_is_whole_is_set_before_what_is_below_it():
    space = parse(["optimizer.Adam.learning_rate=0.1", "optimizer={Adam: {}}", "epochs=1,2"], VARIANT)
    assert [space.short(key) for key in space.values({})] == ["optimizer", "optimizer.Adam.learning_rate"]
    changed = overridden({"variants": {VARIANT: {"optimizer": "SGD"}}}, VARIANT, space.values({}))
    assert changed["variants"][VARIANT]["optimizer"] == {"Adam": {"learning_rate": 0.1}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["epochs"], "-S 'epochs': allowed: KEY=VALUE, or KEY=DOMAIN with uniform(low,high[,step]), log(low,high)"),
        (["=1"], "-S '=1': allowed"),
        (["epochs= "], "-S 'epochs= ': allowed"),
        (["variants.mnist_5k_ml.epochs=1,2"], f"a sweep of {VARIANT} changes variants.{VARIANT} alone"),
        (["epochs=1,2", "epochs = 3"], "-S 'epochs = 3': epochs is set twice"),
        (["epochs=3", "epochs=1,2"], "-S 'epochs=1,2': epochs is set twice"),
        (["optimizer=SGD,Adam", "optimizer.SGD.momentum=0.1,0.2"], "optimizer is drawn as a whole"),
        (["epochs=3"], "-S: nothing to draw; give at least one KEY=DOMAIN with uniform"),
        (["epochs=int(1,2) or so"], "a closing bracket is missing, or something stands after it"),
        (["epochs=[1,2"], "'[1,2' is no value, nor values with commas between, in YAML"),
        (["epochs=.nan,1"], "is no value"),
        (["epochs=2020-01-01,1"], "is no value"),
    ],
)
def test_settings_that_cannot_be_read_are_refused_with_what_is_allowed(settings, words):
    with pytest.raises(UserError) as refused:
        parse(settings, VARIANT)
    assert words in str(refused.value)


def test_overrides_are_set_beside_what_was_there_and_in_nothing_else():
    declared = {"variants": {VARIANT: {"data": {"dataset": "mnist_5k"}}, "other": {}}, "networks": {}}
    own = f"variants.{VARIANT}"
    changed = overridden(declared, VARIANT, {f"{own}.data.validation": 0.1, f"{own}.a.b.c": 1})
    assert changed["variants"][VARIANT] == {"data": {"dataset": "mnist_5k", "validation": 0.1}, "a": {"b": {"c": 1}}}
    assert declared["variants"][VARIANT] == {"data": {"dataset": "mnist_5k"}}
    assert changed["variants"]["other"] is declared["variants"]["other"]
    with pytest.raises(UserError) as refused:
        overridden(declared, VARIANT, {f"{own}.data.dataset.name.first": 1})
    assert str(refused.value) == (
        f"variants.{VARIANT}.data.dataset: is 'mnist_5k', with nothing below it to set; set it as a whole"
    )
    with pytest.raises(UserError, match="no 'absent'"):
        overridden(declared, "absent", {})
