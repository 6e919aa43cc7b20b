"""Early stopping: Keras's own callback says when."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replica.training.backend import keras
from replica.training.stopping import stopped

VALUES = st.lists(st.sampled_from([0.1, 0.2, 0.25, 0.3, 0.5]), min_size=1, max_size=12)


def of_keras(values, patience, monitor, min_delta):
    """The epoch, from 1, after which the callback ends a training with these values, or none."""
    mode = "min" if monitor == "val_loss" else "max"
    callback = keras.callbacks.EarlyStopping(monitor, min_delta=min_delta, patience=patience, mode=mode)
    callback.set_model(SimpleNamespace(stop_training=False))
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {monitor: value})
        if callback.model.stop_training:
            return epoch + 1
    return None


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
@settings(deadline=None)
@given(values=VALUES, patience=st.integers(1, 4), min_delta=st.sampled_from([0.0, 0.07]))
def test_it_stops_when_keras_s_callback_does(monitor, values, patience, min_delta):
    metric = monitor.removeprefix("val_")
    history, ours = [], None
    for epoch, value in enumerate(values, start=1):
        history += [
            (epoch, 0.0, metric, "training"), (epoch, value, metric, "validation"),
            (epoch, -float(epoch), "other", "validation"),
        ]  # fmt: skip
        if stopped(history, patience, monitor, min_delta):
            ours = epoch
            break
    assert ours == of_keras(values, patience, monitor, min_delta)
