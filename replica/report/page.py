"""The page: one file that needs no network, the same to the byte whenever its inputs are the same."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replica.report import charts, witnesses
from replica.report.cards import ORIGINS, Card
from replica.report.claims import Claim, by_verdict
from replica.report.environment import environment
from replica.report.results import Results
from replica.report.verdicts import VERDICTS, p_value


@dataclass(frozen=True)
class Picture:
    """A PNG as a data URI, with its size in pixels and words for who cannot see it."""

    uri: str
    width: int
    height: int
    words: str


@dataclass(frozen=True)
class Search:
    """A random search: its metrics, its trials as rows of text, its pictures."""

    name: str
    metrics: dict[str, Any]
    header: list[str]
    trials: list[list[str]]
    pictures: list[Picture]


def render(
    cards: Sequence[Card],
    claims: Sequence[Claim],
    documents: dict[str, Any],
    results: Results,
    comparisons: Mapping[Path, str] | None = None,
    sample: bool = False,
) -> str:
    """The whole page as HTML.

    Parameters
    ----------
    cards
        In the order of params.yaml.
    claims
        Of a `sample`, none: its data are not those the documents mean.
    documents
        As claims.yaml describes them.
    comparisons
        Figures of several variants, and what each shows.
    """
    root = results.root
    ran = [card for card in cards if card.ran]
    best = {
        dataset: sorted(
            (card for card in ran if card.entry["dataset"] == dataset),
            key=lambda card: -card.metrics["test"]["accuracy"],
        )[:3]
        for dataset in dict.fromkeys(card.entry["dataset"] for card in ran if sample or card.origin == "official")
    }
    found = [] if sample else list(searches(results))
    convolutions = [] if sample else pictures(root / "plots/convolution")
    templates = environment()
    templates.filters["p_value"] = p_value
    html = templates.get_template("page.html").render(
        cards=cards,
        ran=ran,
        best=best,
        claims=claims,
        counts=by_verdict(claims),
        by_document={letter: by_verdict(claim for claim in claims if claim.document == letter) for letter in documents},
        verdicts=VERDICTS,
        documents=documents,
        panels={card.name: charts.panels(results.curves(card.name)) for card in ran},
        charts=charts,
        origins=ORIGINS,
        searches=found,
        comparisons=[picture(file, words) for file, words in (comparisons or {}).items()],
        convolutions=convolutions,
        linked=[card.name for card in cards] + [each.name for each in found] + ["convolution"] * bool(convolutions),
        cpus=sorted({card.seconds["cpu"] for card in cards if card.seconds}),
        witnessed=[] if sample else witnesses.rows(witnesses.read(root), lambda each: witnesses.scored(each, root)),
        witness_columns=witnesses.COLUMNS,
        sample=sample,
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in html.splitlines() if line.strip()) + "\n"


def pictures(folder: Path) -> list[Picture]:
    """Every PNG of a folder and of those below it, by name."""
    return [picture(file, file.stem.replace("_", " ")) for file in sorted(folder.glob("**/*.png"))]


def picture(file: Path, words: str) -> Picture:
    """One PNG; width and height stand at bytes 16 and 20 of any."""
    data = file.read_bytes()
    width, height = (int.from_bytes(data[start : start + 4], "big") for start in (16, 20))
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    return Picture(uri, width, height, words)


def searches(results: Results) -> Iterator[Search]:
    """The searches that have been run."""
    for name in results.searches:
        folder = results.root / "plots/searches" / name
        if (folder / "trials.csv").exists():
            with (folder / "trials.csv").open(newline="") as file:
                header, *rows = csv.reader(file)
            trials = [[f"{float(cell):.4g}" if "." in cell else cell for cell in row] for row in rows]
            yield Search(name, results.scores(name), header, trials, pictures(folder))
