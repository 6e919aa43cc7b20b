"""Phases are Keras's `add` and `fit` in turn; a training taken up again ends in an uninterrupted one's bytes."""

import numpy as np
import pytest
from bright import DENSE, images

from replica.training import networks
from replica.training.trainer import Trainer

HEAD = {"Dense": {"units": 3, "activation": "softmax"}}
NORMAL = {"BatchNormalization": {"momentum": 0.5}}
CONVOLUTION = {"Conv2D": {"filters": 4, "kernel_size": 3, "activation": "relu"}}
# Two networks, one on top of the other: the second takes the first one's probabilities.
STACKED = {
    **DENSE,
    "layers": [{"Flatten": {}}, NORMAL, HEAD, {"Dense": {"units": 8, "activation": "relu"}}, NORMAL, HEAD],
    "epochs": 2,
    "phases": 2,
}
# All that draws or remembers: the order of images, weights, pictures moved, lots, running means, Adam's moments.
RANDOM = {
    **DENSE,
    "layers": [
        {"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}},
        CONVOLUTION,
        {"MaxPooling2D": {"pool_size": 2}},
        {"GlobalMaxPooling2D": {}},
        {"Dropout": {"rate": 0.25}},
        HEAD,
        {"Dense": {"units": 8, "activation": "relu"}},
        {"GaussianNoise": {"stddev": 0.1}},
        NORMAL,
        {"Dropout": {"rate": 0.5}},
        {"Dense": {"units": 8, "activation": "relu"}},
        HEAD,
    ],
    "epochs": 2,
    "phases": 2,
}


@pytest.fixture(scope="module")
def bright():
    return images()


@pytest.fixture
def built(monkeypatch):
    """Each network's weights as it was built, in a list that grows."""
    weights = []
    build = Trainer.build

    def note(self, phase):
        if phase > 1:
            weights.append(self.model.get_weights())
        build(self, phase)
        weights.append(self.model.get_weights())

    monkeypatch.setattr(Trainer, "build", note)
    return weights


def test_two_phases_are_keras_s_add_compile_and_fit(bright, built):
    x, y = bright
    trainer = Trainer(STACKED, x, y, 3, seed=4)
    ours = [row for rows in trainer.fit({}) for row in rows]
    first, trained, whole = built
    assert all(np.array_equal(a, b) for a, b in zip(trained, whole[: len(trained)], strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, trained, strict=True))

    layers, history = STACKED["layers"], []
    model = networks.network({**STACKED, "layers": layers[:3]}, x.shape[1:], images=True)
    for phase, start in enumerate((first, whole[len(first) :])):
        if phase:
            kept = model.get_weights()
            for layer in layers[3:]:
                model.add(networks.layer(layer))
            start = [*kept, *start]
        model.set_weights(start)
        model.compile(networks.optimizer(STACKED["optimizer"]), networks.loss(STACKED, model), metrics=["accuracy"])
        for epoch in (2 * phase + 1, 2 * phase + 2):
            order = np.random.default_rng([4, epoch]).permutation(len(x))
            told = model.fit(x[order], y[order], batch_size=32, shuffle=False, verbose=0).history
            history += [(epoch, told[metric][0], metric, "training") for metric in ("accuracy", "loss")]

    assert [row[0] for row in ours] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [(epoch, *rest) for epoch, _, *rest in ours] == [(epoch, *rest) for epoch, _, *rest in history]
    assert [value for _, value, *_ in ours] == pytest.approx([value for _, value, *_ in history], rel=1e-4)
    for mine, keras_s in zip(trainer.model.get_weights(), model.get_weights(), strict=True):
        assert np.allclose(mine, keras_s, atol=1e-5)
    assert [layer["class_name"] for layer in model.get_config()["layers"]][2:] == [
        next(iter(layer)) for layer in layers
    ]  # fmt: skip


def test_each_phase_is_scored_and_what_is_saved_is_the_whole(bright):
    x, y = bright
    trainer = Trainer(STACKED, x[:200], y[:200], 3, seed=0)
    assert len(trainer.model.layers) == 4
    rows = [row for rows in trainer.fit({"validation": (x[200:], y[200:])}) for row in rows]
    assert {(epoch, data) for epoch, _, _, data in rows} == {
        (epoch, data) for epoch in range(1, 5) for data in ("training", "validation")
    }
    assert len(trainer.model.layers) == 7
    last = {metric: value for epoch, value, metric, data in rows if (epoch, data) == (4, "validation")}
    assert (trainer.probabilities(x[200:]).argmax(axis=1) == y[200:]).mean() == pytest.approx(last["accuracy"])
    assert trainer.architecture.count('"Dense"') == 3


def bytes_of(trainer, x):
    return [value.tobytes() for value in (*trainer.state(), trainer.probabilities(x))]


@pytest.fixture(scope="module")
def uninterrupted(bright):
    """Rows and state after each epoch, and the bytes at the end."""
    x, y = bright
    trainer = Trainer(RANDOM, x, y, 3, seed=7)
    epochs = [(rows, trainer.state()) for rows in trainer.fit({"test": (x[:50], y[:50])})]
    return epochs, bytes_of(trainer, x)


@pytest.mark.parametrize("epoch", [1, 2, 3, 4])
def test_taken_up_after_an_epoch_it_ends_in_the_same_bytes(bright, uninterrupted, epoch):
    x, y = bright
    epochs, end = uninterrupted
    trainer = Trainer(RANDOM, x, y, 3, seed=7)
    trainer.restore(epoch, epochs[epoch - 1][1])
    rest = list(trainer.fit({"test": (x[:50], y[:50])}, after=epoch))
    assert rest == [rows for rows, _ in epochs[epoch:]]
    assert bytes_of(trainer, x) == end


def test_the_state_holds_what_the_rest_depends_on(bright, uninterrupted):
    x, y = bright
    epochs, end = uninterrupted
    trainer = Trainer(RANDOM, x, y, 3, seed=7)
    trainer.restore(3, epochs[2][1])
    paths = [variable.path for variable in (*trainer.model.variables, *trainer.model.optimizer.variables)]
    kinds, same = ["", "kernel", "moving_mean", "seed_generator_state", "iteration", "momentum"], []
    for kind in kinds:
        state = [value.copy() for value in epochs[2][1]]
        if kind:
            state[max(index for index, path in enumerate(paths) if kind in path)] += 1
        trainer.restore(3, state)
        list(trainer.fit({}, after=3))
        same += [kind] if bytes_of(trainer, x) == end else []
    assert same == [""]


def test_another_seed_ends_in_other_bytes(bright, uninterrupted):
    x, y = bright
    trainer = Trainer(RANDOM, x, y, 3, seed=8)
    list(trainer.fit({}))
    assert bytes_of(trainer, x) != uninterrupted[1]
