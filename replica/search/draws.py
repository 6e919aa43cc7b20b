"""Random search: draws from a declared space, a trial each, the best by validation accuracy (Bergstra & Bengio, 2012).

Document A (000_c4c111b94a8f7269.txt) draws ten settings of units, dropout and learning rate this way.
"""

from __future__ import annotations

from typing import Any

from scipy import stats
from sklearn.model_selection import ParameterSampler


class Drawn:
    """A distribution of scipy.stats with what is done to its draws; the sampler calls `rvs`.

    Parameters
    ----------
    declared
        `{distribution: uniform, loc: 10, scale: 80}`, with SciPy's names; `round: true` rounds a draw to a whole
        number, `power_of_ten: true` then takes ten to its power.
    """

    def __init__(self, declared: dict[str, Any]) -> None:
        arguments = dict(declared)
        self.round = arguments.pop("round", False)
        self.power_of_ten = arguments.pop("power_of_ten", False)
        self.distribution = getattr(stats, arguments.pop("distribution"))(**arguments)

    def rvs(self, random_state: Any = None) -> int | float:
        value = float(self.distribution.rvs(random_state=random_state))
        if self.round:
            value = round(value)
        if self.power_of_ten:
            return 10.0**value
        return value


def trials(search: dict[str, Any]) -> list[dict[str, Any]]:
    """The hyperparameters of each trial. With a distribution, the first n are the same however many are asked for."""
    space = {
        name: declared if isinstance(declared, list) else Drawn(declared) for name, declared in search["space"].items()
    }
    return list(ParameterSampler(space, n_iter=search["trials"], random_state=search["draw_seed"]))


def best(results: list[dict[str, Any]]) -> dict[str, Any]:
    """The trial of the highest validation accuracy at its last epoch; of equals, the first."""
    return max(results, key=lambda trial: trial["validation_accuracy"])
