"""What a sweep draws from, as typed: `log(1e-4,1e-1)`, `uniform(0,0.5)`, `int(16,256)`, `choice(relu,tanh)`, `5`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice, product
from typing import Any

import yaml
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from replica.common import reader
from replica.common.errors import UserError

FORMS = {
    "uniform": "uniform(low,high[,step])",
    "log": "log(low,high)",
    "int": "int(low,high[,step])",
    "logint": "logint(low,high)",
    "choice": "choice(a,b,…)",
}
CORNERS = 256  # at most so many settings are checked before a sweep begins
DIGITS = 4  # of a drawn float, so that a table can be read and a value typed again


@dataclass(frozen=True)
class Domain:
    """Values to draw from: Optuna's distribution, choices as JSON (its storage knows no lists or mappings)."""

    key: str
    text: str
    distribution: BaseDistribution

    def value(self, drawn: Any) -> Any:
        """What a draw stands for in params.yaml: a choice's own value, a float in 4 digits within its bounds."""
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return json.loads(drawn)
        if isinstance(distribution, FloatDistribution):
            if distribution.step:
                return float(f"{drawn:.10g}")
            return min(max(float(f"{drawn:.{DIGITS}g}"), distribution.low), distribution.high)
        return drawn

    def edges(self) -> list[Any]:
        """The draws that are most likely to be refused: both ends, or every choice."""
        if isinstance(self.distribution, CategoricalDistribution):
            return list(self.distribution.choices)
        return [self.distribution.low, self.distribution.high]  # type: ignore[attr-defined]

    def grid(self) -> list[Any]:
        """Every draw.

        Raises
        ------
        UserError
            Where there is no end of them.
        """
        distribution = self.distribution
        if isinstance(distribution, CategoricalDistribution):
            return list(distribution.choices)
        if isinstance(distribution, IntDistribution) and not distribution.log:
            return list(range(distribution.low, distribution.high + 1, distribution.step))
        if isinstance(distribution, FloatDistribution) and distribution.step:
            count = round((distribution.high - distribution.low) / distribution.step) + 1
            return [distribution.low + index * distribution.step for index in range(count)]
        raise UserError(f"{self.key}={self.text}: a grid needs choice(…), int(…) or a step: uniform(low,high,step)")


@dataclass(frozen=True)
class Space:
    """A variant's overrides: the same for all trials, and to be drawn; keys as in params.yaml."""

    variant: str
    fixed: dict[str, Any]
    domains: dict[str, Domain]

    def __str__(self) -> str:
        texts = {key: json.dumps(value) for key, value in self.fixed.items()}
        texts |= {key: domain.text for key, domain in self.domains.items()}
        return ", ".join(f"{self.short(key)}={texts[key]}" for key in sorted(texts))

    def short(self, key: str) -> str:
        """A key without the variant."""
        return key.removeprefix(f"variants.{self.variant}.")

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        return {key: domain.distribution for key, domain in self.domains.items()}

    def values(self, draws: dict[str, Any]) -> dict[str, Any]:
        """All overrides of a trial, from its draws."""
        return self.fixed | {key: self.domains[key].value(draw) for key, draw in draws.items()}

    def grid(self) -> list[dict[str, Any]]:
        """Every combination of draws, the last key's changing fastest."""
        lists = [domain.grid() for domain in self.domains.values()]
        return [dict(zip(self.domains, draws, strict=True)) for draws in product(*lists)]

    def corners(self) -> Iterator[dict[str, Any]]:
        """Settings of edges: every combination, or where those are many, each edge beside the others' first."""
        edges = {key: domain.edges() for key, domain in self.domains.items()}
        if math.prod(map(len, edges.values())) <= CORNERS:
            yield from (dict(zip(edges, draws, strict=True)) for draws in product(*edges.values()))
            return
        first = {key: draws[0] for key, draws in edges.items()}
        yield from islice(({**first, key: draw} for key, draws in edges.items() for draw in draws), CORNERS)


def parse(settings: Iterable[str], variant: str) -> Space:
    """Read `KEY=VALUE` and `KEY=DOMAIN` settings, keys with or without `variants.VARIANT.` before them.

    Raises
    ------
    UserError
        Where one can't be read, is given twice, or draws a value that another one goes into.
    """
    fixed: dict[str, Any] = {}
    domains: dict[str, Domain] = {}
    for setting in settings:
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not key or not equals or not text:
            raise UserError(f"-S {setting!r}: allowed: KEY=VALUE, or KEY=DOMAIN with {', '.join(FORMS.values())}")
        if key.startswith("variants.") and not key.startswith(f"variants.{variant}."):
            raise UserError(f"-S {setting!r}: a sweep of {variant} changes variants.{variant} alone")
        full = key if key.startswith("variants.") else f"variants.{variant}.{key}"
        if full in fixed or full in domains:
            raise UserError(f"-S {setting!r}: {key} is set twice")
        read = domain(full, text, setting)
        if isinstance(read, Domain):
            domains[full] = read
        else:
            fixed[full] = read
    for key in domains:
        for other in (*fixed, *domains):
            if other.startswith(f"{key}."):
                raise UserError(f"-S {other}: {key} is drawn as a whole, so nothing below it can be set")
    if not domains:
        raise UserError(f"-S: nothing to draw; give at least one KEY=DOMAIN with {', '.join(FORMS.values())}")
    return Space(variant, dict(sorted(fixed.items(), key=lambda item: item[0].count("."))), domains)


def domain(key: str, text: str, setting: str) -> Any:
    """A domain, or the one value that `text` is; a bare list `1,2,3` is a choice, as in `dvc exp run --queue -S`."""
    call = re.fullmatch(r"([A-Za-z_]\w*)\s*\((.*)\)", text, re.DOTALL)
    if call is None:
        if re.match(r"\w+\s*\(", text):
            raise UserError(f"-S {setting!r}: a closing bracket is missing, or something stands after it")
        values = listed(text, setting)
        return values[0] if len(values) == 1 else choice(key, values, setting)
    name, values = call[1], listed(call[2], setting)
    if name not in FORMS:
        near = get_close_matches(name, FORMS, 1, cutoff=0.4)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"-S {setting!r}: no domain {name!r}; {hint}allowed: {', '.join(FORMS.values())}")
    if name == "choice":
        return choice(key, values, setting)
    whole, log = name in ("int", "logint"), name in ("log", "logint")
    kinds = int if whole else (int, float)
    good = all(isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value) for value in values)
    if not good or not 2 <= len(values) <= (2 if log else 3) or (log and values[0] <= 0):
        numbers = f"{'whole ' if whole else ''}numbers{' above 0' if log else ''}"
        raise UserError(f"-S {setting!r}: allowed: {FORMS[name]}, {numbers}")
    low, high, step = (*values, None)[:3]
    if low >= high or (step is not None and not 0 < step <= high - low):
        raise UserError(f"-S {setting!r}: low must be below high, and a step above 0 and no more than what is between")
    if step is not None and abs((high - low) / step - round((high - low) / step)) > 1e-9:
        raise UserError(f"-S {setting!r}: steps of {step} from {low} do not end at {high}")
    if whole:
        return Domain(key, written(name, values), IntDistribution(low, high, log=log, step=step or 1))
    return Domain(key, written(name, values), FloatDistribution(float(low), float(high), log=log, step=step))


def choice(key: str, values: list[Any], setting: str) -> Domain:
    choices = [json.dumps(value) for value in values]
    if len(set(choices)) < max(len(choices), 2):
        raise UserError(f"-S {setting!r}: allowed: {FORMS['choice']}, at least two, each once")
    return Domain(key, written("choice", values), CategoricalDistribution(choices))


def listed(text: str, setting: str) -> list[Any]:
    """Comma-separated YAML values."""
    try:
        values = yaml.load(f"[{text}]", reader.Loader)
        json.dumps(values, allow_nan=False)
    except (yaml.YAMLError, TypeError, ValueError):
        raise UserError(f"-S {setting!r}: {text!r} is no value, nor values with commas between, in YAML") from None
    return values


def written(name: str, values: list[Any]) -> str:
    return f"{name}({','.join(json.dumps(value) for value in values)})"
