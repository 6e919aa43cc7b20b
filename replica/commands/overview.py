"""What is declared and what came out, as tables on a terminal."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from replica.commands import receptive
from replica.common import parameters
from replica.common.errors import UserError
from replica.common.files import read_json
from replica.datasets import declaration
from replica.schema import check
from replica.schema.entries import Data, Entry
from replica.schema.layers import Layer, Shape, words

WIDTH = 100  # columns that a table of ours fills at most, where it can give way
Stack = list[tuple[str, Layer, Shape]]


def console() -> Console:
    """As wide as the terminal, or as wide as a table needs where there is none."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else 1000, highlight=False)


def grid(*columns: str) -> Table:
    """A table without lines; columns that start with `>` are numbers, to the right."""
    made = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for column in columns:
        justify: Any = "right" if column.startswith(">") else "left"
        made.add_column(column.lstrip(">"), justify=justify, no_wrap=True)
    return made


def as_typed(value: Any) -> str:
    """A parameter's value on one line, as YAML and `-S` have it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def show(declared: dict[str, Any], names: list[str]) -> None:
    """Print every variant on one line, or the named ones layer by layer.

    Raises
    ------
    UserError
        Where params.yaml or datasets.yaml is wrong, or has no variant of that name.
    """
    datasets = check.datasets(declared)
    for name in names:
        check.require("replica variants", name, declared["variants"], "variant")
    if names:
        for name in names:
            stack = check.check_variant(declared, name, datasets)
            layer_by_layer(name, parameters.variant(declared, name), stack)
        return
    lines = grid("variant", "dataset", "network", ">epochs", ">parameters", "optimizer")
    lines.columns[-1].no_wrap = False  # the only one that gives way
    for name in declared["variants"]:
        stack = check.check_variant(declared, name, datasets)
        entry = parameters.variant(declared, name)
        lines.add_row(
            name, entry["dataset"], declared["variants"][name]["network"], str(entry["epochs"]), f"{total(stack):,}",
            Text(words(entry["optimizer"], 1).replace("learning_rate=", ""), no_wrap=True, overflow="ellipsis"),
        )  # fmt: skip
    console().print(lines, width=min(console().width, WIDTH))


def layer_by_layer(name: str, entry: dict[str, Any], stack: Stack) -> None:
    """Print one variant's layers: arguments, output shape, receptive field, parameters and how they come about."""
    lines = grid("layer", "arguments", "output", "sees", ">parameters", "arithmetic")
    for (kind, layer, shape), field in zip(stack, receptive.fields(stack), strict=True):
        terms = layer.parameters(shape)
        lines.add_row(
            kind,
            ", ".join(f"{key}={value}" for key, value in layer.model_dump(exclude_unset=True).items()),
            "×".join(map(str, layer.output(shape))),
            "×".join(map(str, field)) if field else "all",
            f"{sum(count for _, count in terms):,}",
            " + ".join(text for text, _ in terms),
        )
    lines.add_row("total", "", "", "", f"{total(stack):,}", "")
    console().print(f"[bold]{name}[/bold]: {entry['dataset']}, {words(entry['optimizer'], 1)}", lines, sep="\n")


def total(stack: Stack) -> int:
    """Trainable parameters of all layers."""
    return sum(count for _, layer, shape in stack for _, count in layer.parameters(shape))


def dataset_of(declared: dict[str, Any], name: str) -> str:
    """Of which dataset's images a variant is; raises UserError where its entry does not say."""
    entry = check.mapping(declared, "variants", name, Entry)
    found: Data = check.validate(Data, entry.get("data"), f"variants.{name}.data")
    return found.dataset


def results(declared: dict[str, Any], names: list[str]) -> None:
    """Print the scores of the variants that have any, and where the page is.

    Raises
    ------
    UserError
        Where a name is no variant's, an entry does not say which data, a file is damaged, or nothing has been evaluated
        yet.
    """
    datasets = check.datasets(declared)
    sample = names == ["sample"]
    embedded = {
        name for name, of in datasets.items() if isinstance(of, declaration.Embedded) and len(of.shape) == 3
    }  # images that come with packages; the spiral is points
    for name in [] if sample else names:
        check.require("replica table", name, declared["variants"], "variant")
    if sample:
        names = [name for name in declared["variants"] if dataset_of(declared, name) in embedded]
    lines = grid("variant", "dataset", ">test accuracy", "95% interval", ">dummy", ">parameters", ">seconds")
    for name in names or declared["variants"]:
        file = Path("metrics", f"{name}.json")
        if not file.exists():
            continue
        score = read_json(file, f"dvc repro evaluate@{name}")
        if not score:  # of a sweep's trial that was applied
            continue
        test = score["test"]
        timing = Path("timings", f"{name}.json")
        took = read_json(timing, f"dvc repro --force train@{name}") if timing.exists() else None
        seconds = f"{took['train_seconds']:.1f}" if took else "–"
        lines.add_row(
            name, dataset_of(declared, name), f"{test['accuracy']:.4f}",
            f"{test['accuracy_low']:.4f} – {test['accuracy_high']:.4f}",
            f"{score['dummy']['accuracy']:.4f}", f"{score['params_total']:,}", seconds,
        )  # fmt: skip
    if not lines.row_count and names and not sample:
        stages = " ".join(f"evaluate@{name}" for name in names)
        raise UserError(f"metrics: {', '.join(names)}: not evaluated; run `dvc repro {stages}`")
    if not lines.row_count:
        raise UserError("metrics: nothing evaluated yet; run `dvc repro`, or `make sample` for the quick start")
    page = Path("report/sample.html" if sample else "report/index.html")
    console().print(lines)
    if page.exists():
        console().print(f"\nPage: {page}   Pictures: plots/variants/*/*.png", soft_wrap=True)
