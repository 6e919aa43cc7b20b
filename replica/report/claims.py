"""The documents' claims, each with its verdict. docs/claims.md states the rule, claims.yaml holds the claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from inspect import signature
from pathlib import Path
from typing import Any

from replica.common import files
from replica.common.errors import UserError, listed, nearest
from replica.common.parameters import read as read_yaml
from replica.report.environment import environment, short
from replica.report.results import QUANTITIES, NotRunError, Results, is_share
from replica.report.verdicts import VERDICTS, Judgement
from replica.report.words import TESTS

HEADER = (
    "id", "document", "line", "section", "variants", "claim", "theirs",
    "ours", "low", "high", "difference", "detectable", "verdict", "statistic", "reason",
)  # fmt: skip
FIGURE = ("variant", "quantity", "value", "relation", "because", "images", "epoch", "also")
ALONE = {  # what one seed leaves of a verdict
    "reproduced": "reproduced, weakly",
    **dict.fromkeys(("refuted", "better", "worse"), "undecided"),
}
NAMES = {
    "history.training": "training",
    "history.validation": "validation",
    "history.test": "test",
    "train": "training",
    "dummy": "dummy classifier's",
    "validation": "validation",
    "test": "test",
    "crossing.test": "epoch at which training passes test",
}


@dataclass(frozen=True)
class Claim:
    """A claim as declared, and how it came out. `text` and `theirs` are as a reader would see them."""

    id: str
    document: str
    line: str  # of the document's text, such as `105`, `153-181`, or several, the first where it is said
    section: str
    variants: tuple[str, ...]
    text: str
    theirs: str
    quote: str
    unit: str  # "%" for accuracies, "s" for seconds, "" for the rest
    reason: str
    judgement: Judgement

    @property
    def place(self) -> str:
        """Document and line: `A:105`."""
        return ":".join(filter(None, [self.document, self.line.partition(",")[0]]))


def read(file: Path = Path("claims.yaml")) -> dict[str, Any]:
    """The declared documents and claims.

    Raises
    ------
    UserError
        Where the file is missing, a claim has neither value nor test, or its test or quantity is not one of the known.
    """
    declared = read_yaml(file)
    if lacking := [key for key in ("documents", "claims") if key not in declared]:
        raise UserError(f"{file}: no {lacking[0]}")
    for claim in declared["claims"]:
        where = f"{file}: {claim.get('id', 'a claim without id')}"
        if ("test" in claim) == ("value" in claim):
            raise UserError(f"{where}: needs either a value, for a figure, or a test, for words")
        if claim.get("document") not in declared["documents"]:
            raise UserError(f"{where}: no document {claim.get('document')!r}; there are {list(declared['documents'])}")
        name, arguments = test_of(claim)
        if name not in TESTS:
            raise UserError(f"{where}: no test {name!r}; there are {', '.join(TESTS)}")
        try:
            signature(TESTS[name]).bind(None, **arguments)
        except TypeError as error:
            raise UserError(f"{where}: {name}: {error}") from None
        for quantity in quantities_of(claim, arguments):
            of = str(quantity).partition(".")[0]
            free = of == "best" or variants_of(arguments) == ["convolution"]
            if quantity not in QUANTITIES and not free:
                names = [each for each in QUANTITIES if each.partition(".")[0] == of] or QUANTITIES
                allowed = f"{nearest(quantity, names)}allowed: {listed(quantity, names)}"
                raise UserError(f"{where}: no quantity {quantity!r}; {allowed}")
        if lacking := [key for key in ("id", "section") if key not in claim]:
            raise UserError(f"{where}: no {lacking[0]}")
    return declared


def judge(declared: Iterable[dict[str, Any]], results: Results) -> list[Claim]:
    """Every claim with its verdict, in the order of the file; nothing is left out."""
    return [judged(claim, results) for claim in declared]


def judged(claim: dict[str, Any], results: Results) -> Claim:
    """One claim with its verdict."""
    name, arguments = test_of(claim)
    try:
        found = TESTS[name](results, **arguments)
    except NotRunError as missing:
        several = len(variants_of(arguments)) > 1
        found = Judgement("not run", statistic=f"{missing} has not been run" if several else "")
    except (LookupError, ValueError, AttributeError, TypeError, ArithmeticError) as error:  # of what is declared
        raise UserError(f"claims.yaml: {claim['id']}: {name} of {arguments}: {error!r}") from error
    quantity = arguments.get("quantity", "")
    diverged = found.statistic.startswith("not a number")
    if found.verdict in ALONE and quantity and results.stochastic(quantity) and not diverged:
        names = [each for each in variants_of(arguments) if len(results.sample(each, quantity).values) == 1]
        if names:
            told = f"{found.statistic}; one seed of {', '.join(names)}".removeprefix("; ")
            found = replace(found, verdict=ALONE[found.verdict], statistic=told)
    reasons = [claim.get("beside", ""), claim.get("note", "")]
    if found.verdict == "refuted":
        reasons += (claim.get("because") or {}).values()
        reasons += [explained(claim, other, results) for other in claim.get("explained_by", [])]
    return Claim(
        id=claim["id"],
        document=claim["document"],
        line=line_of(claim),
        section=claim["section"],
        variants=tuple(variants_of(arguments)),
        text=claim.get("claim") or label(quantity),
        theirs=theirs(claim, quantity),
        quote=claim.get("quote", ""),
        unit="" if name == "ratio" else unit(quantity),
        reason=" ".join(filter(None, reasons)),
        judgement=found,
    )


def explained(claim: dict[str, Any], other: dict[str, Any], results: Results) -> str:
    """How another variant's figure stands to a refuted one: what would explain it, judged by the same rule."""
    name = other["variant"] + (f", epoch {other['epoch']}" if "epoch" in other else "")
    try:
        found = TESTS["figure"](results, value=claim["value"], **other)
    except NotRunError:
        return f"{name}: not run yet."
    how = {"reproduced": "explains it", "reproduced, weakly": "explains it, weakly"}.get(found.verdict)
    ours, low, high = (short(value, unit(other["quantity"])) for value in (found.ours, found.low, found.high))
    return f"{name}: {ours} ({low} – {high}), which {how or 'does not explain it'}."


def line_of(claim: dict[str, Any]) -> str:
    """Where the document says it, as text: a line, a range, or several of either."""
    declared = claim.get("line", "")
    return ", ".join(map(str, declared)) if isinstance(declared, list) else str(declared)


def lines(text: str) -> set[int]:
    """The lines that a text such as `99, 109-110` names."""
    ends = [part.strip().partition("-") for part in text.split(",") if part.strip()]
    return {line for first, _, last in ends for line in range(int(first), int(last or first) + 1)}


def test_of(claim: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and arguments of the test that judges a claim: its own, or a figure's."""
    if "test" in claim:
        return next(iter(claim["test"].items()))
    if "beside" in claim:
        return "beside", {key: claim[key] for key in ("variant", "quantity", "value")}
    return "figure", {key: claim[key] for key in FIGURE if key in claim}


def variants_of(arguments: dict[str, Any]) -> list[str]:
    """Every variant a test names."""
    names = [arguments[key] for key in ("variant", "a", "b") if key in arguments]
    return names + [name for key in ("others", "variants") for name in arguments.get(key, [])]


def quantities_of(claim: dict[str, Any], arguments: dict[str, Any]) -> list[str]:
    """Every quantity that a claim names, in its test and in what explains it; of a pair, both."""
    named = [arguments[key] for key in ("quantity", "also", "choose") if key in arguments]
    named += [other["quantity"] for other in claim.get("explained_by", []) if "quantity" in other]
    return [part for each in named for part in (each if isinstance(each, list) else [each])]


def unit(quantity: str | Sequence[str]) -> str:
    """`%` for what reads best as a percentage, `s` for seconds."""
    return "%" if is_share(quantity) else "s" if quantity == "seconds" else ""


def label(quantity: str) -> str:
    """A quantity in words: `history.training.loss` is the training loss."""
    source, _, metric = quantity.rpartition(".")
    if quantity == "seconds":
        return "seconds of training"
    return f"{NAMES[source]} {metric}" if source in NAMES else quantity.replace(".", " ").replace("_", " ")


def theirs(claim: dict[str, Any], quantity: str) -> str:
    """A document's figure with all its digits, accuracies as percentages."""
    text = claim.get("value") or test_of(claim)[1].get("value")
    if not isinstance(text, str):
        return ""
    if "ratio" in claim.get("test", {}):
        return f"{text} times"
    if unit(quantity) == "%" and not text.endswith("%"):
        text = f"{Decimal(text).scaleb(2)}%"
    return {"above": f"> {text}"}.get(claim.get("relation", ""), text)


def by_verdict(claims: Iterable[Claim]) -> dict[str, int]:
    """How many claims have each verdict, in the order of `VERDICTS`."""
    counts = Counter(claim.judgement.verdict for claim in claims)
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def write(claims: Sequence[Claim], file: Path) -> None:
    """The verdicts as CSV, a claim a row; shares as shares, not percentages."""
    rows = []
    for claim in claims:
        found = claim.judgement
        place = [claim.id, claim.document, claim.line, claim.section]
        what = [" ".join(claim.variants), claim.text, claim.theirs]
        ours = [found.ours, found.low, found.high, found.difference, found.detectable, found.verdict]
        rows.append([*place, *what, *ours, found.statistic, claim.reason])
    files.write_csv(file, HEADER, rows)


def markdown(claims: Sequence[Claim]) -> str:
    """All verdicts as Markdown: how many of each by document, then a claim a row."""
    documents = sorted({claim.document for claim in claims})
    counts = {of: by_verdict(claim for claim in claims if claim.document == of) for of in documents}
    return environment().get_template("claims.md").render(claims=claims, counts=counts | {"all": by_verdict(claims)})
