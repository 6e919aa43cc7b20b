"""params.yaml and datasets.yaml: what is declared, and how a mistake in it is refused."""

import copy
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from scipy import stats

from replica.commands import overview
from replica.common import parameters
from replica.common.errors import UserError
from replica.schema import check, entries, values

# The documents' trainable parameters, counted by hand from their networks.
PARAMS_TOTAL = {
    "mnist_cnn": 258090,
    "cifar10_model2": 122570,
    "cifar10_model3": 141898,
    "cifar10_model4": 237450,
    "cifar10_model5": 139034,
    "cifar10_strided_5k": 37146,
    "cifar10_strided_10k": 37146,
    "cifar10_strided_20k": 37146,
    "cifar10_strided_40k": 37146,
    "cifar10_l1_0": 37146,
    "cifar10_l1_1e-5": 37146,
    "cifar10_l1_1e-3": 37146,
    "cifar10_l1_1e-2": 37146,
    "cifar10_maxpool_5k": 37146,
    "cifar10_deep_5k": 23314,
    "cifar10_deep_50k": 23314,
    "cifar10_deep_50k_long": 23314,
    "mnist_mlp": 55050,
    "mnist_l2_1e-6": 391010,
    "mnist_l2_1e-5": 391010,
    "mnist_l2_1e-4": 391010,
    "mnist_l2_5e-4": 391010,
    "mnist_l2_1e-3": 391010,
    "mnist_conv_adam": 54410,
    "mnist_sgd": 542230,
    "mnist_sgd_lr_1": 542230,
    "mnist_sgd_lr_1e-5": 542230,
    "mnist_sgd_momentum": 542230,
    "mnist_sgd_two_conv": 179926,
    "mnist_linear": 203530,
    "mnist_relu": 203530,
    "mnist_adadelta": 1199882,
    "mnist_adadelta_dropout": 1199882,
    "cifar10_four_conv": 443882,
}


@pytest.fixture(scope="module")
def declared():
    return parameters.declared(ROOT)


def test_the_documents_variants_are_declared_with_their_exact_parameters(declared):
    datasets = check.datasets(declared)
    assert len(PARAMS_TOTAL) == 34
    for name, expected in PARAMS_TOTAL.items():
        assert overview.total(check.check_variant(declared, name, datasets)) == expected, name


def test_params_yaml_is_valid(declared):
    check.check(declared)


VARIANT, NETWORK = ("variants", "mnist_mlp"), ("networks", "mlp")
OPTIMIZER, LAYERS = (*NETWORK, "optimizer"), (*NETWORK, "layers")
NAMED, RATE = "networks.mlp.layers.1", "$learning_rate"
# path to a key, its wrong value, and words the line must hold: the key's place first
MISTAKES = [
    ((*VARIANT, "epochs"), -1, ["variants.mnist_mlp.epochs: ", "got -1", "greater than 0"]),
    ((*VARIANT, "epochs"), "ten", ["variants.mnist_mlp.epochs: ", "'ten'", "integer"]),
    ((*VARIANT, "epoch"), 3, ["variants.mnist_mlp.epoch: ", "did you mean epochs?", "batch_size", "learning_rate"]),
    ((*VARIANT, "dropout"), 0.5, ["variants.mnist_mlp.dropout: unknown key", "units"]),
    ((*VARIANT, "batch_size"), 0, ["variants.mnist_mlp.batch_size: got 0"]),
    ((*VARIANT, "seeds"), 0, ["variants.mnist_mlp.seeds: got 0"]),
    ((*VARIANT, "seeds"), [0, 1], ["variants.mnist_mlp.seeds: got [0, 1]", "integer"]),
    ((*VARIANT, "kernels"), "fast", ["variants.mnist_mlp.kernels: got 'fast'", "'portable'", "'native'"]),
    ((*VARIANT, "phases"), 5, ["variants.mnist_mlp.phases: got 5", "4 layers"]),
    ((*VARIANT, "learning_rate"), float("nan"), ["variants.mnist_mlp.learning_rate: got nan", "float32"]),
    ((*VARIANT, "learning_rate"), float("inf"), ["variants.mnist_mlp.learning_rate: got inf", "float32"]),
    ((*VARIANT, "learning_rate"), 1e-300, ["variants.mnist_mlp.learning_rate: got 1e-300", "1.2e-38"]),
    ((*VARIANT, "learning_rate"), 10**400, ["variants.mnist_mlp.learning_rate: got 1000", "3.4e+38"]),
    ((*VARIANT, "loss_weights"), 1e300, ["variants.mnist_mlp.loss_weights: got 1e+300", "float32"]),
    (("variants", "x; touch pwned"), {}, ["variants: 'x; touch pwned' is no name", "letters, digits"]),
    (("variants", "../../escaped"), {}, ["variants: '../../escaped' is no name"]),
    (("variants", "-x"), {}, ["variants: '-x' is no name"]),
    (("networks", ".."), {}, ["networks: '..' is no name"]),
    (("datasets", "a b"), {}, ["datasets: 'a b' is no name"]),
    ((*VARIANT, "early_stopping"), {"patience": 1}, ["variants.mnist_mlp.early_stopping: ", "validation: test"]),
    (
        VARIANT, {
            "data": {"dataset": "mnist", "train_examples": 60000, "validation": 0}, "network": "mlp", "epochs": 10,
            "batch_size": 128, "seeds": 5, "learning_rate": 0.1, "units": 64, "early_stopping": {"patience": 1},
        },
        ["variants.mnist_mlp.early_stopping: ", "data.validation: 0", "gives none"],
    ),
    ((*VARIANT, "early_stopping"), {"patience": 0}, ["variants.mnist_mlp.early_stopping.patience: got 0"]),
    ((*VARIANT, "early_stopping"), {"patiense": 1}, ["early_stopping.patiense: ", "did you mean patience?"]),
    ((*VARIANT, "network"), "mpl", ["variants.mnist_mlp.network: ", "'mpl'", "did you mean mlp?", "strided"]),
    ((*VARIANT, "data"), "mnist", ["variants.mnist_mlp.data: got 'mnist'"]),
    ((*VARIANT, "data", "dataset"), "minst", ["variants.mnist_mlp.data.dataset: ", "did you mean mnist?", "cifar10"]),
    ((*VARIANT, "data", "train_examples"), 70000, ["variants.mnist_mlp.data.train_examples: got 70000", "60000"]),
    ((*VARIANT, "data", "validation"), 1.5, ["variants.mnist_mlp.data.validation: got 1.5", "'test'"]),
    ((*VARIANT, "data", "validation"), 0.99999, ["variants.mnist_mlp.data.validation: got 0.99999", "60000 images"]),
    ((*VARIANT, "data", "validate"), 0.1, ["variants.mnist_mlp.data.validate: ", "did you mean validation?"]),
    ((*VARIANT, "units"), 2.5, ["variants.mnist_mlp.units: got 2.5", "integer"]),
    ((*VARIANT, "learning_rate"), "high", ["variants.mnist_mlp.learning_rate: got 'high'", "CosineDecay"]),
    ((*VARIANT, "learning_rate"), 0, ["variants.mnist_mlp.learning_rate: got 0", "above 0"]),
    ((*VARIANT, "loss"), "Hinge", ["variants.mnist_mlp.loss: ", "'Hinge'", "CategoricalCrossentropy"]),
    ((*VARIANT, "loss_weights"), -1, ["variants.mnist_mlp.loss_weights: got -1"]),
    ((*VARIANT, "optimizer"), {"SGD": {"momentum": 1.5}}, ["variants.mnist_mlp.optimizer.SGD.momentum: got 1.5"]),
    ((*VARIANT, "Dense"), 3, ["variants.mnist_mlp.Dense: got 3", "a mapping of Dense's arguments"]),
    ((*VARIANT, "layers"), {"1": {"Dense": {"unit": 3}}}, ["layers.1.Dense.unit: ", "did you mean units?"]),
    ((*VARIANT, "layers"), {1: "Flatten"}, ["variants.mnist_mlp.layers: got 1", "in quotes"]),
    ((*VARIANT, "layers"), {"one": "Flatten"}, ["variants.mnist_mlp.layers: got 'one'", "such as '0'"]),
    (
        (*VARIANT, "layers"), {"0": {"Conv2D": {"filters": 2, "kernel_size": 1, "strides": 2}}},
        ["layers.0.Conv2D: kernel_size: 1 with strides, in which"],
    ),
    (
        (*VARIANT, "layers"), {"1": {"Dense": {"units": 3, "kernel_regularizer": None}}},
        ["layers.1.Dense.kernel_regularizer: got None", "one regularizer's name"],
    ),
    (OPTIMIZER, {"AdamW": {"learning_rate": RATE, "weight_decay": None}}, ["optimizer.AdamW.weight_decay"]),
    (
        (*VARIANT, "layers"), {"0": {"Conv2D": {"filters": 2, "kernel_size": 3, "strides": 2, "dilation_rate": 2}}},
        ["layers.0.Conv2D: strides and dilation_rate: allowed: one of them above 1"],
    ),
    (
        (*VARIANT, "layers"), {"0": {"Conv2D": {"filters": 2, "kernel_size": 1, "dilation_rate": 29}}},
        ["layers.0.Conv2D: dilation_rate: 29, but there are 28 pixels; allowed: up to 28"],
    ),
    (
        OPTIMIZER,
        {"SGD": {"learning_rate": {"PolynomialDecay": {"initial_learning_rate": 1, "decay_steps": 9, "power": RATE}}}},
        ["optimizer.SGD.learning_rate.PolynomialDecay.initial_learning_rate", "1 is a whole number", "write 1.0"],
    ),
    (
        (*VARIANT, "layers"), {"0": {"MaxPooling2D": {"strides": 2**31}}},
        ["layers.0.MaxPooling2D.strides", "2147483647"],
    ),
    (
        (*VARIANT, "layers"), {"1": {"Dense": {"units": 3, "bias_initializer": "orthogonal"}}},
        ["Dense.bias_initializer: got 'orthogonal'", "matrices alone"],
    ),
    ((*VARIANT, "layers"), {"1": {"GaussianNoise": {"stddev": 2.0}}}, ["GaussianNoise.stddev: got 2.0"]),
    (
        (*VARIANT, "units"), 10**9,
        [
            "variants.mnist_mlp: 1,000,000,796,000,000,010 weights",
            "need 14,901,174,962.5 GiB to train; this machine has",
        ],
    ),
    (VARIANT, 3, ["variants.mnist_mlp: got 3", "a mapping with", "data", "epochs"]),
    (NETWORK, None, ["networks.mlp: got None", "a mapping with", "layers", "optimizer"]),
    (NETWORK, {}, ["networks.mlp.layers: missing"]),
    ((*NETWORK, "epochs"), 3, ["networks.mlp.epochs: unknown key", "layers", "optimizer"]),
    ((*NETWORK, "Dens"), {"units": 3}, ["networks.mlp.Dens: unknown key"]),
    (OPTIMIZER, "Adam", ["variants.mnist_mlp.learning_rate: unknown key", "units"]),
    (OPTIMIZER, {"Adamm": {"learning_rate": RATE}}, ["networks.mlp.optimizer: ", "did you mean Adam?", "RMSprop"]),
    (OPTIMIZER, {"SGD": {"learningrate": RATE}}, ["networks.mlp.optimizer.SGD.learningrate: ", "mean learning_rate?"]),
    (OPTIMIZER, {"SGD": {"learning_rate": {"CosDecay": {"alpha": RATE}}}}, ["learning_rate: ", "mean CosineDecay?"]),
    ((*OPTIMIZER, "SGD", "momentum"), 1.5, ["networks.mlp.optimizer.SGD.momentum: got 1.5", "less than 1"]),
    ((*OPTIMIZER, "SGD", "momentum"), 0, ["networks.mlp.optimizer.SGD.momentum: got 0", "write 0.0"]),
    (
        OPTIMIZER, {"SGD": {"learning_rate": {"PiecewiseConstantDecay": {"boundaries": [9], "values": [1, RATE]}}}},
        ["PiecewiseConstantDecay.values.0: got 1", "write 1.0"],
    ),
    (
        OPTIMIZER, {"SGD": {"learning_rate": {"PiecewiseConstantDecay": {"boundaries": [9], "values": [RATE] * 3}}}},
        ["learning_rate.PiecewiseConstantDecay", "2 are needed, one more than boundaries"],
    ),
    *(
        (
            (*OPTIMIZER, "SGD", "learning_rate"), {"PiecewiseConstantDecay": {"boundaries": steps, "values": rates}},
            [f"learning_rate.PiecewiseConstantDecay.boundaries: got {steps}; allowed: one step or more, each later"],
        )
        for steps, rates in (([9, 3], [RATE] * 3), ([9, 9], [RATE] * 3), ([], [RATE]))
    ),
    (("variants", "summary"), {}, ["variants: got 'summary', whose metrics/summary.json another", "convolution"]),
    (("variants", "convolution"), {}, ["variants: got 'convolution', whose metrics/convolution.json another"]),
    (("searches", "summary"), {}, ["searches: got 'summary', whose metrics/summary.json another"]),
    (("searches", "mnist_mlp"), {}, ["searches: got 'mnist_mlp', a variant that writes models/mnist_mlp; allowed: "]),
    (
        OPTIMIZER, {"SGD": {"learning_rate": RATE, "clipnorm": 1.0, "global_clipnorm": 1.0}},
        ["networks.mlp.optimizer.SGD: ", "one of them"],
    ),
    ((*LAYERS, "1"), {"Dens": {"units": 3}}, [f"{NAMED}: ", "'Dens'", "did you mean Dense?", "Conv2D"]),
    ((*LAYERS, "1"), {"Dense": {"unit": 3}}, [f"{NAMED}.Dense.unit: ", "did you mean units?"]),
    ((*LAYERS, "1"), {"Dense": {"units": 2.5}}, [f"{NAMED}.Dense.units: got 2.5", "integer"]),
    ((*LAYERS, "1"), {"Dense": {}}, [f"{NAMED}.Dense.units: missing"]),
    ((*LAYERS, "1"), {"Dense": 7}, [f"{NAMED}.Dense: got 7"]),
    ((*LAYERS, "1"), {"Dense": {"units": 3, "activation": "rel"}}, [f"{NAMED}.Dense.activation: ", "'rel'", "'relu'"]),
    ((*LAYERS, "1"), {"Dense": {"units": 3, "kernel_regularizer": {"L3": {}}}}, ["regularizer: ", "'L3'", "L1L2"]),
    ((*LAYERS, "1"), {"Dense": {"units": "$width"}}, ["variants.mnist_mlp.width: missing", f"{NAMED}.Dense.units"]),
    ((*LAYERS, "1"), {"Conv2D": {"filters": 3, "kernel_size": 3}}, [f"{NAMED}.Conv2D: ", "shape (784,)"]),
    ((*LAYERS, "0"), {"Conv2D": {"filters": 3, "kernel_size": [3, 3, 3]}}, ["0.Conv2D.kernel_size: ", "2 items"]),
    ((*LAYERS, "0"), {"Conv2D": {"filters": 3, "kernel_size": 40}}, ["layers.0.Conv2D: ", "40", "28 pixels"]),
    ((*VARIANT, "learning_rate"), None, ["variants.mnist_mlp.learning_rate: got None; allowed: a number above 0"]),
    ((*LAYERS, "3"), {"Dense": {"units": 7}}, ["networks.mlp.layers: 3 gives (7,)", "mnist needs (10,)"]),
    (("training", "kernels"), "fast", ["training.kernels: got 'fast'", "'portable'", "'native'"]),
    (("training", "precision"), "auto", ["training.precision: unknown key", "kernels"]),
]  # fmt: skip


@pytest.fixture(scope="module")
def one(declared):
    """params.yaml with one variant: what is wrong of a network is said once for each that uses it."""
    return {
        **declared,
        "networks": {name: declared["networks"][name] for name in ("mlp", "strided")},
        "variants": {"mnist_mlp": declared["variants"]["mnist_mlp"]},
        "searches": {},
    }


def changed(parameters, path, value):
    """A copy in which the key at the end of a path has another value."""
    whole = place = copy.deepcopy(parameters)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = copy.deepcopy(value)
    return whole


@pytest.mark.parametrize(("path", "value", "words"), MISTAKES)
def test_a_mistake_is_one_line_that_names_it(one, path, value, words):
    with pytest.raises(UserError) as refused:
        check.check(changed(one, path, value))
    line = str(refused.value)
    assert "\n" not in line
    assert all(word in line for word in words), line
    assert words[0] in line[: line.index(": ") + len(words[0])], line


SPACE = ("searches", "mnist_random_search", "space")
TWO = ("networks", "spiral")
ELSEWHERE = [
    ((*SPACE, "units"), [32, -5], ["searches.mnist_random_search.units: got -5", "greater than 0"]),
    ((*SPACE, "units"), {"distribution": "randint", "low": 9, "high": 9}, ["space.units: got ", "low is to be less"]),
    ((*SPACE, "units"), {"distribution": "randint", "low": 0, "high": 9}, ["mnist_random_search.units: got 0"]),
    ((*SPACE, "units"), {"distribution": "uniform", "loc": -1, "scale": 90, "round": True}, ["units: got -1;"]),
    ((*SPACE, "dropout"), {"distribution": "uniform", "loc": 0, "scale": 1.9}, ["dropout: got 1.8", "less than 1"]),
    ((*SPACE, "learning_rate"), {"distribution": "loguniform", "a": 1, "b": 1}, ["learning_rate: got ", "a is to be"]),
    ((*SPACE, "learning_rate"), {"distribution": "norm", "loc": 400, "power_of_ten": True}, ["too large to be any"]),
    *(
        (
            (*SPACE, key),
            {"distribution": "norm", "loc": 30, "scale": 3, "round": True},
            [
                f"searches.mnist_random_search.{key}: got -6; should be greater than 0; norm draws up",
                "allowed: randint",
            ],
        )
        for key in ("units", "epochs", "batch_size")
    ),
    (
        (*SPACE, "dropout"),
        {"distribution": "norm", "loc": 0.3, "scale": 0.1},
        ["dropout: got -0.9", "allowed: randint"],
    ),
    ((*SPACE, "units"), [32, "many"], ["searches.mnist_random_search.units: got 'many'"]),
    (SPACE, {"units": [1, 2], "dropout": [0.1, 0.2], "learning_rate": [1, 2]}, ["trials: 10, and the space has 8"]),
    ((*SPACE[:2], "seeds"), 3, ["searches.mnist_random_search.seeds: got 3; allowed: 1, "]),
    ((*SPACE[:2], "data", "validation"), "test", ["data.validation: got test; allowed: a share"]),
    ((*SPACE[:2], "data", "validation"), 0, ["data.validation: got 0"]),
    *(
        (
            (*SPACE, key),
            choices,
            [f"searches.mnist_random_search.space.{key}: drawn by no search", "epochs, batch_size"],
        )
        for key, choices in {
            **{key: [1, 2] for key in ("data", "network", "layers", "optimizer", "loss", "trials", "draw_seed")},
            "phases": [0, 1],
            "seeds": {"distribution": "uniform", "loc": 1, "scale": 3, "round": True},
        }.items()
    ),
    ((*SPACE, "epochs"), [3, 0], ["searches.mnist_random_search.epochs: got 0; should be greater than 0"]),
    ((*SPACE, "epochs"), {"distribution": "randint", "low": -2, "high": 9}, ["epochs: got -2; should be greater"]),
    ((*SPACE, "batch_size"), [0, 32], ["searches.mnist_random_search.batch_size: got 0; should be greater than 0"]),
    ((*SPACE, "batch_size"), [32, -1], ["searches.mnist_random_search.batch_size: got -1; should be greater than 0"]),
    ((*SPACE, "batch_size"), [2**31], ["batch_size: got 2147483648; should be less than"]),
    ((*TWO, "loss"), None, ["layers.1.Dense: got one output for two classes", "no loss", "MeanSquaredError"]),
    ((*TWO, "loss"), "CategoricalCrossentropy", ["and the loss CategoricalCrossentropy; allowed: "]),
    ((*TWO, "layers", "1", "Dense", "activation"), "softmax", ["activation: softmax, which is never below 0"]),
]


@pytest.mark.parametrize(("path", "value", "words"), ELSEWHERE)
def test_a_mistake_in_a_search_or_a_network_of_one_output_is_one_line(declared, path, value, words):
    spirals = {"spiral": declared["variants"]["spiral"]}
    with pytest.raises(UserError) as refused:
        check.check(changed({**declared, "variants": spirals}, path, value))
    line = str(refused.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_a_search_may_draw_what_its_ends_allow(declared):
    for units in ([32, 64], {"distribution": "randint", "low": 1, "high": 2}, {"distribution": "norm", "loc": 13}):
        check.check(
            changed(
                {**declared, "variants": {}},
                (*SPACE, "units"),
                {**units, "round": True} if isinstance(units, dict) else units,
            )
        )


def test_a_search_may_draw_epochs_and_batches(declared):
    for key in ("epochs", "batch_size"):
        check.check(changed({**declared, "variants": {}}, (*SPACE, key), [1, 32]))


def test_a_search_of_all_images_need_not_count_them(declared):
    path, stated = (*SPACE[:2], "data"), {**declared, "variants": {}}
    check.check(changed(stated, path, {"dataset": "mnist", "validation": 0.2}))
    with pytest.raises(UserError, match=r"data\.validation: got 1e-17; allowed: a share, of which a search chooses"):
        check.check(changed(stated, path, {"dataset": "mnist", "validation": 1e-17}))


def test_names_are_taken_that_dvc_yaml_s_other_stages_write():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    outputs = [
        next(iter(each)) if isinstance(each, dict) else each
        for stage in stages
        for kind in ("outs", "metrics", "plots")
        for each in stage.get("do", stage).get(kind, ())
    ]
    templates = [re.escape(each).replace(re.escape("${key}"), "([^/]+)") for each in outputs if "${key}" in each]
    fixed = [each for each in outputs if "${key}" not in each]
    assert {found[1] for form in templates for each in fixed if (found := re.fullmatch(form, each))} == {*values.TAKEN}


@pytest.mark.parametrize("key", ["data", "network", "epochs", "batch_size", "seeds", "learning_rate", "units"])
def test_what_every_variant_states_may_not_be_missing(one, key):
    entry = {name: value for name, value in one["variants"]["mnist_mlp"].items() if name != key}
    with pytest.raises(UserError, match=rf"^variants\.mnist_mlp\.{key}: missing(; networks\.mlp\.\S+ asks for it)?$"):
        check.check(changed(one, VARIANT, entry))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((*VARIANT, "kernels"), "native"),
        ((*VARIANT, "phases"), 1),
        ((*VARIANT, "optimizer"), "Adam"),
        ((*VARIANT, "optimizer"), {"SGD": {"momentum": 0.9}}),
        ((*VARIANT, "layers"), {"1": {"Dense": {"units": 32}}, "2": "Flatten"}),
        ((*VARIANT, "Dense"), {"kernel_initializer": "he_normal"}),
        ((*VARIANT, "data", "validation"), 0),
        ((*VARIANT, "data", "train_examples"), None),
        ((*VARIANT, "loss"), {"CategoricalCrossentropy": {"label_smoothing": 0.1}}),
        ((*OPTIMIZER, "SGD", "learning_rate"), {"ExponentialDecay": {
            "initial_learning_rate": "$learning_rate", "decay_steps": 9, "decay_rate": 0.5}}),
    ],
)  # fmt: skip
def test_what_a_variant_or_network_may_say(one, path, value):
    check.check(changed(one, path, value))


def test_whole_numbers_are_taken_where_keras_asks_for_others(one):
    stated = changed(changed(one, (*VARIANT, "learning_rate"), 1), (*VARIANT, "loss_weights"), 2)
    check.check(stated)
    settled = parameters.variant(stated, "mnist_mlp")
    assert repr(settled["optimizer"]["SGD"]["learning_rate"]) == "1.0" and repr(settled["loss_weights"]) == "2.0"


def test_phases_end_in_a_network_each(one):
    stack = {
        "0": "Flatten",
        "1": {"Dense": {"units": 10}},
        "2": {"Dense": {"units": 30}},
        "3": {"Dense": {"units": 10}},
    }
    two = changed(changed(one, LAYERS, stack), (*VARIANT, "phases"), 2)
    entry = {name: value for name, value in one["variants"]["mnist_mlp"].items() if name != "units"}
    two["variants"]["mnist_mlp"] = {**entry, "phases": 2}
    check.check(two)
    odd = {"0": "Flatten", "1": {"Dense": {"units": 30}}, **{place: {"Dense": {"units": 10}} for place in "234"}}
    check.check(changed(changed(two, LAYERS, odd), (*VARIANT, "phases"), 3))  # 5 layers: the last three end the phases
    with pytest.raises(UserError, match=r"networks\.mlp\.layers: 1 gives \(9,\); mnist needs \(10,\)"):
        check.check(changed(two, (*LAYERS, "1", "Dense", "units"), 9))


def test_phases_end_in_the_same_shape(declared):
    def phased(*ends):
        stack = [layer for units in ends for layer in ({"units": 8}, {"units": units, "activation": "tanh"})]
        layers = {str(place): {"Dense": layer} for place, layer in enumerate(stack)}
        network = {"optimizer": {"SGD": {"learning_rate": 0.1}}, "loss": "MeanSquaredError", "layers": layers}
        knobs = ("data", "network", "epochs", "batch_size", "seeds")
        entry = {key: declared["variants"]["spiral"][key] for key in knobs} | {"phases": len(ends)}
        return {**declared, "networks": {"spiral": network}, "variants": {"spiral": entry}, "searches": {}}

    for ends in ((1, 1), (2, 2), (1, 1, 1)):
        check.check(phased(*ends))
    for ends, line in {
        (1, 2): r"3 gives \(2,\); allowed: \(1,\), as phase 1 ends",
        (2, 1): r"3 gives \(1,\); allowed: \(2,\), as phase 1 ends",
        (1, 1, 2): r"5 gives \(2,\); allowed: \(1,\), as phase 1 ends",
    }.items():
        with pytest.raises(UserError, match=rf"^networks\.spiral\.layers: {line}$"):
            check.check(phased(*ends))


@pytest.mark.parametrize(
    "stated",
    [
        {"distribution": "norm", "loc": 3.0}, {"distribution": "uniform", "loc": 1.0, "scale": 4.0},
        {"distribution": "loguniform", "a": 1e-4, "b": 1e-2}, {"distribution": "randint", "low": 10, "high": 20},
    ],
)  # fmt: skip
def test_a_distribution_s_middle_is_scipy_s_median(stated):
    name, arguments = stated["distribution"], {key: value for key, value in stated.items() if key != "distribution"}
    half = 1 if name == "randint" else 1e-12  # of an even number of whole ones either may be the middle
    middle = entries.DISTRIBUTIONS[name](**stated).middle()
    assert middle == pytest.approx(getattr(stats, name)(**arguments).median(), abs=half)


def paths(value, path=()):
    """The path of every key inside."""
    for key, item in value.items():
        yield (*path, key)
        yield from paths(item, (*path, key)) if isinstance(item, dict) else ()


def test_nonsense_anywhere_is_refused_in_words_or_taken(one):
    odd = [None, True, -1, "x", "X", "$x", [], [1], {}, {"x": 1}, {3: 4}, {"X": None}, {"Dense": "relu"}]
    networks = {"variants": {"mnist_mlp": {**one["variants"]["mnist_mlp"], "network": "strided", "l1": 0.1}}}
    refused = 0
    for declared in (one, {**one, **networks}):
        for section in ("training", "networks", "variants"):
            for path in [(section,), *paths(declared[section], (section,))]:
                for value in odd:
                    try:
                        check.check(changed(declared, path, value))
                    except UserError as error:
                        refused += 1
                        assert str(error)
    assert refused > 800


def test_a_key_that_is_taken_away_is_missed_in_words_or_not_needed(one):
    needless = []
    for path in paths({section: one[section] for section in ("training", "networks", "variants")}):
        without = copy.deepcopy(one)
        inner = without
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        try:
            check.check(without)
            needless.append(path)
        except UserError as error:
            assert str(error)
    assert ("variants", "mnist_mlp", "epochs") not in needless
    lacking = copy.deepcopy(one)
    del lacking["networks"]["mlp"]["optimizer"]  # so that the variant's learning_rate is asked for by nothing
    with pytest.raises(UserError, match=r"^networks\.mlp\.optimizer: missing; such as optimizer: {SGD: "):
        check.check(lacking)
    lacking["variants"]["mnist_mlp"] |= {"optimizer": "Adam"}
    del lacking["variants"]["mnist_mlp"]["learning_rate"]
    check.check(lacking)


def test_mistakes_in_two_entries_are_two_lines(declared):
    wrong = copy.deepcopy(declared)
    wrong["variants"]["mnist_mlp"]["epochs"] = 0
    wrong["variants"]["mnist_cnn"]["epochs"] = 0
    with pytest.raises(UserError) as refused:
        check.check(wrong)
    assert len(str(refused.value).splitlines()) == 2


def test_a_mistake_in_a_network_is_one_line_however_many_variants_use_it(declared):
    with pytest.raises(UserError) as refused:
        check.check(changed(declared, ("networks", "strided", "layers", "0", "Conv2D", "filters"), -1))
    assert str(refused.value).startswith("networks.strided.layers.0.Conv2D.filters: got -1")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "spoiled", "words"),
    [
        ("data: {dataset: mnist,", "data: {dataset: m,", "variants.mnist_mlp.data.dataset: got 'm'"),
        # what a terminal would obey, and what it would not show
        (
            "data: {dataset: mnist,",
            'data: {"\\e[2J\\u202e": 1, dataset: mnist,',
            "mnist_mlp.data.\\x1b[2J\\u202e: unknown key",
        ),
        ("data: {dataset: mnist,", "data: {data\ufeffset: mnist,", "mnist_mlp.data.data\\ufeffset: unknown key"),
    ],
)
def test_the_command_refuses_without_a_traceback(tmp_path, text, spoiled, words):
    for file in ROOT.glob("*.yaml"):
        shutil.copy(file, tmp_path)
    whole = (tmp_path / "params.yaml").read_text()
    wrong = whole.replace(f"  mnist_mlp:\n    {text}", f"  mnist_mlp:\n    {spoiled}")
    assert wrong != whole
    (tmp_path / "params.yaml").write_text(wrong)
    got = subprocess.run(
        [sys.executable, "-m", "replica", "check"],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert got.returncode == 1
    first, *others = got.stderr.splitlines()
    assert first.startswith("error: ")
    assert words in first
    assert first.isprintable()
    assert not others or "missing" in others[0]
    assert got.stdout == ""


def test_a_search_draws_numbers_alone(declared):
    layers = {"0": "Flatten", "1": {"Dense": {"units": 10, "activation": "$act"}}}
    network = {"layers": layers, "optimizer": {"SGD": {"learning_rate": 0.1}}}
    entry = {**declared["searches"]["mnist_random_search"], "network": "words", "trials": 2}
    search = {**entry, "space": {"act": ["relu", "tanh"]}}
    stated = {**declared, "variants": {}, "networks": {"words": network}, "searches": {"words": search}}
    with pytest.raises(UserError, match=r"^searches\.words\.space\.act: got 'relu'; allowed: numbers; `replica sweep`"):
        check.check(stated)
