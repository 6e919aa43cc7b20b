"""What an entry of params.yaml consists of: training's defaults, networks, variants and searches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from replica.common.arguments import Arguments
from replica.common.errors import UserError
from replica.schema.layers import Positive

FURTHEST = math.sqrt(2 * 104 * math.log(2))  # standard deviations, beyond which NumPy's polar method draws nothing


class Training(Arguments):
    """What every variant takes over unless it says otherwise."""

    kernels: Literal["portable", "native"]


class Network(Arguments):
    """An entry of `networks`; a variant may say of each more, or other things."""

    model_config = ConfigDict(extra="allow")
    layers: dict[Any, Any] = Field(default_factory=dict)
    optimizer: Any = None
    loss: Any = None
    loss_weights: Any = None


class Data(Arguments):
    """The images of a variant: the first so many of a dataset's training images, and the share held back of these."""

    dataset: str
    train_examples: Positive | None = None
    validation: Annotated[float, Field(ge=0, lt=1)] | Literal["test"]


class EarlyStopping(Arguments):
    """Keras's callback: training ends once the validation images' value has not improved for `patience` epochs.

    The weights stay those of the last epoch, so that the history tells of the model that is scored.
    """

    monitor: Literal["val_accuracy", "val_loss"] = "val_loss"
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    patience: Positive


class Entry(Network):
    """An entry of `variants`, before it is settled; other keys are its network's knobs."""

    data: Data
    network: str
    epochs: Positive
    batch_size: Positive
    seeds: Annotated[int, Field(gt=0, le=10_000)]
    phases: Positive = 1
    early_stopping: Any = None
    may_diverge: Any = None
    kernels: Any = None


class Variant(Training):
    """A settled variant; what is `Any` here is checked by its name afterwards."""

    dataset: str
    train_examples: Positive | None = None
    validation: Any
    layers: Annotated[list[Any], Field(min_length=1)]
    phases: Positive = 1
    early_stopping: EarlyStopping | None = None
    may_diverge: bool = False
    optimizer: Any
    loss: Any = None
    loss_weights: Annotated[float, Field(gt=0)] | None = None
    epochs: Positive
    batch_size: Positive
    seeds: list[int]


class Distribution(Arguments):
    """A distribution of scipy.stats by its own arguments, and what is done to a draw."""

    round: bool = False
    power_of_ten: bool = False

    def middle(self) -> float:
        """A likely draw, before it is rounded."""
        raise NotImplementedError

    def ends(self) -> list[float]:
        """The least and the greatest draw, before they are rounded."""
        raise NotImplementedError

    def likely(self) -> list[float]:
        """A likely draw and the ends: enough to check that trials' layers fit."""
        values = [round(value) if self.round else value for value in (self.middle(), *self.ends())]
        return [10.0**value if self.power_of_ten else value for value in values]

    @model_validator(mode="after")
    def of_numbers(self) -> Distribution:
        try:
            self.likely()
        except OverflowError:
            raise ValueError("draws numbers too large to be any") from None
        return self


class Normal(Distribution):
    distribution: Literal["norm"]
    loc: float = 0.0
    scale: Annotated[float, Field(gt=0)] = 1.0

    def middle(self) -> float:
        return self.loc

    def ends(self) -> list[float]:
        return [self.loc - FURTHEST * self.scale, self.loc + FURTHEST * self.scale]


class Uniform(Normal):
    distribution: Literal["uniform"]  # type: ignore[assignment]

    def middle(self) -> float:
        return self.loc + self.scale / 2

    def ends(self) -> list[float]:
        return [self.loc, math.nextafter(self.loc + self.scale, self.loc)]


class LogUniform(Distribution):
    distribution: Literal["loguniform"]
    a: Annotated[float, Field(gt=0)]
    b: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def ordered(self) -> LogUniform:
        if self.a >= self.b:
            raise ValueError("a is to be less than b")
        return self

    def middle(self) -> float:
        return math.sqrt(self.a * self.b)

    def ends(self) -> list[float]:
        return [self.a, self.b]


class RandInt(Distribution):
    distribution: Literal["randint"]
    low: int
    high: int

    @model_validator(mode="after")
    def ordered(self) -> RandInt:
        if self.low >= self.high:
            raise ValueError("low is to be less than high, which is not drawn itself")
        return self

    def middle(self) -> float:
        return (self.low + self.high) // 2

    def ends(self) -> list[float]:
        return [self.low, self.high - 1]


DISTRIBUTIONS: dict[str, type[Distribution]] = {
    "loguniform": LogUniform,
    "norm": Normal,
    "randint": RandInt,
    "uniform": Uniform,
}


@contextmanager
def drawing(choices: Any) -> Iterator[None]:
    """Within the block a draw is tried; one that a normal makes seldom, but may make, is refused with what to write."""
    try:
        yield
    except UserError as error:
        if isinstance(choices, dict) and choices["distribution"] == "norm":
            remedy = "allowed: randint, uniform, loguniform, or a smaller scale"
            raise UserError(f"{error}; norm draws up to 12 scale from loc; {remedy}") from None
        raise


class Search(Arguments):
    """What a search has beside a variant's keys."""

    trials: Positive
    draw_seed: Annotated[int, Field(ge=0, lt=2**32)]
    space: dict[str, Any]

    @model_validator(mode="after")
    def drawable(self) -> Search:
        lists = [choices for choices in self.space.values() if isinstance(choices, list)]
        if len(lists) == len(self.space) and self.trials > (most := math.prod(map(len, lists))):
            raise ValueError(f"trials: {self.trials}, and the space has {most}")
        return self
