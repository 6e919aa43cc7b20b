"""Each question judged: answers against arithmetic, and against intervals over seeds of the grader's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy import stats

from replica.commands.assignment.declaration import Better, Count, Question, Reach, Score, Words
from replica.commands.assignment.rerun import Runs
from replica.common.errors import UserError
from replica.schema.layers import Layer, Shape

HONEST = 0.99  # of honest figures fall in the interval that a claimed one is held to
CONFIDENCE = 0.95
ROUNDING = 0.00005  # half a unit of the fourth decimal
NEITHER = "neither"


class Grader(Protocol):
    """What judging asks for; `replica.commands.assignment.grade` has it."""

    def stack(self, variant: str) -> list[tuple[str, Layer, Shape]]:
        """The layers of a variant, each with the shape that goes into it."""

    def layer(self, variant: str, number: str) -> tuple[str, Layer, Shape]:
        """A variant's layer by its number, with the shape that goes into it."""

    def settings(self, variant: str) -> dict[str, Any]:
        """A variant, settled."""

    def limit(self, variant: str, goals: list[Reach]) -> None:
        """Refuse a variant past the widest limits of these goals."""

    def runs(self, variant: str, seeds: list[int] | None = None, hidden: bool = False) -> Runs:
        """A variant trained by the grader: with its own seeds, or these; on the teacher's images, if `hidden`."""

    def untouched(self, variant: str) -> bool:
        """Whether a variant is as it was handed out."""


@dataclass(frozen=True)
class Result:
    """One question, judged: whether it is right, the points it may give, and why; `hidden` until grades are out.

    `detail` is the teacher's: figures by which a student could hand in the right answer without having run anything.
    """

    id: str
    right: bool
    most: float
    why: str
    detail: str = ""
    hidden: bool = False

    @property
    def points(self) -> float:
        return self.most if self.right else 0


def interval(values: np.ndarray, share: float, further: int = 0) -> tuple[float, float]:
    """Where the runs' true mean lies, or the mean of so many `further` ones, by Student's distribution.

    Parameters
    ----------
    values
        A figure by seed, [seeds].
    share
        Of such intervals that hold it.
    """
    center = float(values.mean())
    scale = float(values.std(ddof=1)) * math.sqrt(1 / len(values) + (1 / further if further else 0))
    if not scale:
        return center, center
    low, high = stats.t.interval(share, len(values) - 1, loc=center, scale=scale)
    return float(low), float(high)


class Verdict(NamedTuple):
    """Whether an answer is right, why, and the detail that is the teacher's."""

    right: bool
    why: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.why}: {self.detail}" if self.detail else self.why


def honest(grader: Grader, variant: str, of: str, claim: float) -> Verdict:
    """Whether a claimed mean over a variant's seeds may have come out.

    It lies in the interval over the grader's seeds; or else the very seeds that were claimed for are trained, and give
    it to within an image: of a hundred honest ones, one is outside.
    """
    seeds, runs = grader.settings(variant)["seeds"], grader.runs(variant)
    slack = max(ROUNDING, 1 / runs.images / len(seeds))
    low, high = interval(runs.figures(of), HONEST, len(seeds))
    told = f"{low:.4f} – {high:.4f}, the interval over {len(runs.test)} seeds of the grader's"
    if low - slack <= claim <= high + slack:
        return Verdict(True, f"{claim:.4f} comes out", f"within {told}")
    own = float(grader.runs(variant, seeds).figures(of).mean())
    detail = f"outside {told}; its own seeds give {own:.4f} here"
    fair = abs(own - claim) <= slack
    return Verdict(fair, f"{claim:.4f} {'comes' if fair else 'does not come'} out of {variant} as declared", detail)


def judge(question: Question, answer: Any, grader: Grader, hidden: bool) -> list[Result]:
    """A question's result, and a second one where its variant is tried on the teacher's images.

    Parameters
    ----------
    answer
        As answers.yaml has it; None for none.
    hidden
        Whether the teacher keeps images.
    """
    if question.reach:
        return reached(question, question.reach, grader, hidden)
    if answer is None or (isinstance(answer, str) and not answer.strip()):
        return [Result(question.id, False, question.points, "no answer")]
    found = JUDGES[question.kind](getattr(question, question.kind), answer, grader)
    return [Result(question.id, found.right, question.points, found.why, found.detail)]


def counted(asked: Count, answer: Any, grader: Grader) -> Verdict:
    """A number of parameters; the right one is not told."""
    if type(answer) is not int:
        return Verdict(False, f"got {short(answer)}, where a whole number was expected")
    number = asked.layer
    layers = grader.stack(asked.variant) if number is None else [grader.layer(asked.variant, number)]
    right = sum(count for _, layer, shape in layers for _, count in layer.parameters(shape))
    return Verdict(answer == right, f"{answer:,} is {'right' if answer == right else 'another number'}")


def scored(asked: Score, answer: Any, grader: Grader) -> Verdict:
    """A claimed accuracy, or a gap of two."""
    if (claim := share(answer)) is None:
        return Verdict(False, f"got {short(answer)}, where a share from 0 to 1 was expected, such as 0.9137")
    return honest(grader, asked.variant, asked.of, claim)


def share(answer: Any) -> float | None:
    """An answer as an accuracy or the difference of two, where it is one."""
    if isinstance(answer, bool) or not isinstance(answer, int | float):
        return None
    return float(answer) if -1 <= answer <= 1 else None


def compared(asked: Better, answer: Any, grader: Grader) -> Verdict:
    """Which of two variants has the larger figure, seed by seed."""
    if answer not in (allowed := (asked.a, asked.b, NEITHER)):
        return Verdict(False, f"got {short(answer)}, where one of {', '.join(allowed)} was expected")
    difference = grader.runs(asked.a).figures(asked.of) - grader.runs(asked.b).figures(asked.of)
    low, high = interval(difference, CONFIDENCE)
    right = asked.a if low > 0 else asked.b if high < 0 else NEITHER
    detail = f"{asked.a} less {asked.b} is {low:+.4f} to {high:+.4f}".replace("-", "−")
    return Verdict(answer == right, f"{answer} is {'right' if answer == right else 'not what came out'}", detail)


def reached(question: Question, asked: Reach, grader: Grader, hidden: bool) -> list[Result]:
    """Whether a student's own variant comes up to a goal: unless its whole interval over seeds lies below."""
    results = [(question.id, question.points, False)]
    if hidden and asked.hidden:
        results.append((f"{question.id}_hidden", asked.hidden, True))
    found = []
    for name, points, elsewhere in results:
        try:
            right, why, _ = goal(asked, grader, elsewhere)
        except UserError as error:
            right, why = False, str(error).splitlines()[0]
        found.append(Result(name, right, points, why, hidden=elsewhere))
    return found


def goal(asked: Reach, grader: Grader, hidden: bool) -> Verdict:
    if grader.untouched(asked.variant):
        return Verdict(False, f"{asked.variant} is as it was handed out")
    grader.limit(asked.variant, [asked])
    values = grader.runs(asked.variant, hidden=hidden).figures("test")
    low, high = interval(values, CONFIDENCE)
    where = "images that nobody had seen" if hidden else "the test images"
    told = f"{asked.variant} has {low:.4f} – {high:.4f} on {where}, over {len(values)} seeds of the grader's"
    return Verdict(high >= asked.at_least, f"{told}; the goal is {asked.at_least:g}")


def written(asked: Words, answer: Any, grader: Grader) -> Verdict:
    """Words, counted; a person reads them."""
    count = len(str(answer).split()) if isinstance(answer, str) else 0
    return Verdict(count >= asked.at_least, f"{count} words of {asked.at_least}; your teacher reads them")


JUDGES: dict[str, Callable[[Any, Any, Grader], Verdict]] = {
    "count": counted, "score": scored, "better": compared, "words": written,
}  # fmt: skip


def short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "…"
