"""The optimizers, schedules and losses a variant may use, with Keras's names and arguments."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from replica.common.arguments import Arguments
from replica.schema.layers import Factor, Positive, Rate

Learning = Annotated[float, Field(gt=0)]


def fraction(value: Any) -> Any:
    if type(value) is int:
        raise ValueError(f"{value} is a whole number, which Keras takes for another type; write {value}.0")
    return value


Fraction = BeforeValidator(fraction)  # where Keras would count in whole numbers: 1, decayed by halves, would be 0


def ascending(steps: list[int]) -> list[int]:
    if not steps or any(step <= before for before, step in pairwise(steps)):  # Keras would add up several values
        raise ValueError("allowed: one step or more, each later than the one before")
    return steps


class CosineDecay(Arguments):
    initial_learning_rate: Annotated[Factor, Fraction]
    decay_steps: Positive
    alpha: Factor = 0.0
    warmup_target: Learning | None = None
    warmup_steps: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0


class ExponentialDecay(Arguments):
    initial_learning_rate: Annotated[Learning, Fraction]
    decay_steps: Positive
    decay_rate: Learning
    staircase: bool = False


class InverseTimeDecay(ExponentialDecay):
    pass


class PiecewiseConstantDecay(Arguments):
    boundaries: Annotated[list[Positive], AfterValidator(ascending)]
    values: list[Annotated[Learning, Fraction]]

    @model_validator(mode="after")
    def one_value_more(self) -> PiecewiseConstantDecay:
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(f"values: {len(self.boundaries) + 1} are needed, one more than boundaries")
        return self


class PolynomialDecay(Arguments):
    initial_learning_rate: Annotated[Learning, Fraction]
    decay_steps: Positive
    end_learning_rate: Factor = 0.0001
    power: Learning = 1.0
    cycle: bool = False


SCHEDULES: dict[str, type[Arguments]] = {
    kind.__name__: kind
    for kind in (CosineDecay, ExponentialDecay, InverseTimeDecay, PiecewiseConstantDecay, PolynomialDecay)
}


class Optimizer(Arguments):
    """What all have; `learning_rate` is a number or one of the schedules, by name."""

    learning_rate: Any = None
    weight_decay: Factor | None = None
    clipnorm: Learning | None = None
    global_clipnorm: Learning | None = None

    @model_validator(mode="after")
    def one_clip(self) -> Optimizer:
        if self.clipnorm is not None and self.global_clipnorm is not None:
            raise ValueError("clipnorm and global_clipnorm: allowed: one of them")
        return self


class SGD(Optimizer):
    momentum: Annotated[Rate, Fraction] = 0.0
    nesterov: bool = False


class RMSprop(Optimizer):
    rho: Rate = 0.9
    momentum: Rate = 0.0
    epsilon: Learning = 1e-7
    centered: bool = False


class Adam(Optimizer):
    beta_1: Rate = 0.9
    beta_2: Rate = 0.999
    epsilon: Learning = 1e-7
    amsgrad: bool = False


class AdamW(Adam):
    weight_decay: Factor = 0.004  # type: ignore[assignment]


class MomentBased(Optimizer):
    beta_1: Rate = 0.9
    beta_2: Rate = 0.999
    epsilon: Learning = 1e-7


class Adadelta(Optimizer):
    rho: Rate = 0.95
    epsilon: Learning = 1e-7


class Adagrad(Optimizer):
    initial_accumulator_value: Factor = 0.1
    epsilon: Learning = 1e-7


class Lion(Optimizer):
    beta_1: Annotated[float, Field(gt=0, lt=1)] = 0.9
    beta_2: Rate = 0.99


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "Adadelta": Adadelta,
    "Adagrad": Adagrad,
    "Adam": Adam,
    "AdamW": AdamW,
    "Adamax": MomentBased,
    "Lion": Lion,
    "Nadam": MomentBased,
    "RMSprop": RMSprop,
    "SGD": SGD,
}


class Crossentropy(Arguments):
    pass


class CategoricalCrossentropy(Arguments):
    label_smoothing: Rate = 0.0


class MeanSquaredError(Arguments):
    pass


LOSSES: dict[str, type[Arguments]] = {
    "CategoricalCrossentropy": CategoricalCrossentropy,
    "MeanSquaredError": MeanSquaredError,
    "SparseCategoricalCrossentropy": Crossentropy,
}
