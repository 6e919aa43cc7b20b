"""Early stopping: training ends when validation has nothing more to gain (document D, 003_8a3183bfca31b67b.txt:15)."""

from __future__ import annotations

import math

from replica.training.trainer import Rows


def stopped(history: Rows, patience: int, monitor: str = "val_loss", min_delta: float = 0.0) -> bool:
    """Whether a value of the validation images has not improved by more than `min_delta` for `patience` epochs.

    As Keras's `EarlyStopping` counts them. Of epochs that have no rows (see `Trainer.fit`) nothing is known, so that
    the first that has some may end the training later.

    Parameters
    ----------
    history
        The rows of the training so far.
    monitor
        `val_loss` or `val_accuracy`.
    """
    metric = monitor.removeprefix("val_")
    least, best, last = math.inf, 0, 0
    for epoch, value, name, data in history:
        if (name, data) == (metric, "validation"):
            cost, last = value if metric == "loss" else -value, epoch
            if cost < least - min_delta:
                least, best = cost, epoch
    return last - best >= patience
