"""A submission graded: read, held to its assignment, trained anew, and each question judged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from replica.commands.assignment import rerun
from replica.commands.assignment.declaration import Assignment, Hidden, Question, Reach
from replica.commands.assignment.judge import Result, honest, judge, share
from replica.commands.assignment.submission import Submission, claimed, flat, read, recorded, within
from replica.common import parameters
from replica.common.errors import UserError
from replica.schema import check
from replica.schema.layers import Layer, Shape

SEEDS = list(range(1000, 1005))  # where no teacher keeps others: none that a variant's own `seeds` names
UNTOUCHED, INCOMPLETE, LOOK, GRADED = "untouched", "incomplete", "look closer", "graded"
APART = 0.0005  # an answer and one's own metrics, which round differently


@dataclass(frozen=True)
class Grade:
    """What a submission comes to.

    `status` is one of four: `untouched` as it was handed out, `incomplete` where a file could not be read, `look
    closer` where a person should, for `reasons`, and `graded`. `notes` are what was left aside.
    """

    assignment: str
    student: str
    status: str
    results: list[Result]
    reasons: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def points(self) -> float:
        return sum(result.points for result in self.results)

    @property
    def most(self) -> float:
        return sum(result.most for result in self.results)


class Grader:
    """The variants of one submission: its own as it declares them, all others as they were handed out."""

    def __init__(self, assignment: Assignment, found: Submission, hidden: Hidden | None) -> None:
        self.assignment, self.found, self.hidden = assignment, found, hidden
        self.seeds = hidden.seeds if hidden else SEEDS
        self.questions = [*assignment.chapter.questions, *(hidden.questions if hidden else [])]
        plain = rerun.facts({})
        self.datasets = {False: plain, True: rerun.facts(hidden.data) if hidden else plain}
        self.trained: dict[Any, rerun.Runs | UserError] = {}

    @cached_property
    def declared(self) -> dict[str, Any]:
        """params.yaml with the entries that are the student's own; the others, and what is missing, as handed out.

        Raises
        ------
        UserError
            Where a section is missing, or nobody knows what was handed out.
        """
        if self.found.unnamed:
            raise UserError(self.found.unnamed)
        joined: dict[str, Any] = {**self.assignment.params, "datasets": self.datasets[False][0]}
        for section in ("networks", "variants"):
            theirs, handed_out = self.found.params.get(section), self.assignment.params[section]
            own = {name for name in handed_out if f"{section}.{name}" in self.assignment.chapter.may_change}
            if not isinstance(theirs, dict):
                raise UserError(f"params.yaml: {section}: missing, or no section")
            joined[section] = {**theirs, **{name: handed_out[name] for name in handed_out if name not in own}}
        return joined

    @cached_property
    def known(self) -> dict[str, Any]:
        """The datasets, once the sections of what is declared have been checked."""
        return check.datasets(self.declared)

    def untouched(self, variant: str) -> bool:
        """Whether a variant and its network are as they were handed out."""
        mine, handed_out = self.declared, self.assignment.params
        places = self.places(variant)
        return all(flat(mine[section].get(name)) == flat(handed_out[section].get(name)) for section, name in places)

    def places(self, variant: str) -> list[tuple[str, str]]:
        """Section and name of what a variant is declared by: itself, and its network."""
        entry = self.declared["variants"].get(variant)
        return [("variants", variant), ("networks", str(entry.get("network")) if isinstance(entry, dict) else "")]

    def stack(self, variant: str) -> list[tuple[str, Layer, Shape]]:
        """The layers of a variant, each with the shape that goes into it.

        Raises
        ------
        UserError
            Where it is not what params.yaml may declare, or is the student's own and changes what in it is not.
        """
        own = {".".join(place) for place in self.places(variant)}.intersection(self.assignment.chapter.may_change)
        starts = tuple(f"params.yaml: {place}." for place in own)
        for line in self.found.changed:
            if line.startswith(starts):
                raise UserError(line)
        try:
            return check.check_variant(self.declared, variant, self.known)
        except (ArithmeticError, ValueError):  # layers that multiply each other's outputs
            raise UserError(f"variants.{variant}: a network too large to count") from None

    def layer(self, variant: str, number: str) -> tuple[str, Layer, Shape]:
        """A variant's layer by its number, with the shape that goes into it.

        Raises
        ------
        UserError
            What `stack` does, and where it has no layer of that number.
        """
        stack = self.stack(variant)
        places = sorted(parameters.stated(self.declared, "variants", variant, {})["layers"], key=int)
        check.require(variant, number, places, "layer")
        return stack[places.index(number)]

    def settings(self, variant: str) -> dict[str, Any]:
        """A variant, settled, with portable kernels.

        Raises
        ------
        UserError
            What `stack` does, and where it is past the widest limits of the goals that are asked of it.
        """
        goals = [each.reach for each in self.questions if each.reach and each.reach.variant == variant]
        self.limit(variant, goals)
        return {**parameters.variant(self.declared, variant), "kernels": "portable"}

    def limit(self, variant: str, goals: list[Reach]) -> None:
        """Raise UserError for a variant that is none, or past the widest limits of these goals."""
        count = sum(count for _, layer, shape in self.stack(variant) for _, count in layer.parameters(shape))
        declared = parameters.variant(self.declared, variant)
        for what, got in (("parameters", count), ("epochs", declared["epochs"] * declared.get("phases", 1))):
            if goals and got > (widest := max(getattr(goal, what) for goal in goals)):
                raise UserError(f"{variant} has {got:,} {what}; allowed: {widest:,}")

    def runs(self, variant: str, seeds: list[int] | None = None, hidden: bool = False) -> rerun.Runs:
        """A variant trained: with the grader's seeds, or these; on the teacher's images, if `hidden`.

        Raises
        ------
        UserError
            What `stack` does, and where its training fails.
        """
        key = (variant, tuple(seeds or self.seeds), hidden)
        if key not in self.trained:
            try:
                self.trained[key] = self.train(*key)
            except UserError as error:  # and so no failing training is tried for each question anew
                self.trained[key] = error
        if isinstance(found := self.trained[key], UserError):
            raise found
        return found

    def train(self, variant: str, seeds: tuple[int, ...], hidden: bool) -> rerun.Runs:
        settings = {**self.settings(variant), "seeds": list(seeds)}
        name = settings["dataset"]
        drawn = bool(hidden and self.hidden and name in self.hidden.data)
        return rerun.runs(variant, settings, self.datasets[drawn][1][name], not drawn, self.assignment.chapter.seconds)


def grade(assignment: Assignment, folder: Path, hidden: Hidden | None = None) -> Grade:
    """Grade one submission.

    Raises
    ------
    UserError
        Where there is no such folder, or the assignment itself is wrong; what is wrong in a submission is in its grade.
    """
    began = time.perf_counter()
    found = read(assignment, folder)
    grader = Grader(assignment, found, hidden)
    shown = assignment.chapter.questions
    results = [
        replace(result, hidden=result.hidden or question not in shown)
        for question in grader.questions
        for result in judged(question, found, grader)
    ]
    answered = any(found.answers.get(question.id) is not None for question in grader.questions)
    as_handed_out = flat(within(assignment.params, found.params)) == flat(assignment.params)
    if not answered and as_handed_out:
        status, reasons = UNTOUCHED, []
    else:
        reasons = list(dict.fromkeys([*found.changed, *evidence(grader)]))
        status = LOOK if reasons else INCOMPLETE if found.problems else GRADED
    notes = [*found.problems, *found.notes]
    seconds = time.perf_counter() - began
    return Grade(assignment.name, assignment.student, status, results, reasons, notes, seconds)


def judged(question: Question, found: Submission, grader: Grader) -> list[Result]:
    """A question's results; one whose variant cannot be trained has no points, and says why."""
    try:
        return judge(question, found.answers.get(question.id), grader, bool(grader.hidden and grader.hidden.data))
    except UserError as error:
        return [Result(question.id, False, question.points, str(error).splitlines()[0])]


def evidence(grader: Grader) -> Iterator[str]:
    """Why a person should look closer: what was claimed does not come out of what is declared."""
    found, questions = grader.found, grader.questions
    for variant in dict.fromkeys(name for question in questions for name in question.variants):
        yield from recorded(found, variant)
        if not (theirs := claimed(found, variant)):
            continue
        try:
            ours = sum(count for _, layer, shape in grader.stack(variant) for _, count in layer.parameters(shape))
            verdict = honest(grader, variant, "test", theirs["test"])
        except UserError:
            continue
        if theirs["parameters"] != ours:
            got = f"{theirs['parameters']:,} parameters, where {variant} as it is declared has {ours:,}"
            yield f"metrics/{variant}.json: of a network of {got}"
        if not verdict.right:
            yield f"metrics/{variant}.json: {verdict}"
    for question in questions:
        claim = share(found.answers.get(question.id))
        if not question.score or claim is None:
            continue
        theirs = claimed(found, question.score.variant)
        if theirs and abs(claim - theirs[question.score.of]) > APART:
            has = f"metrics/{question.score.variant}.json has {theirs[question.score.of]:.4f}"
            yield f"answers.yaml: {question.id}: {claim:.4f}, where the submission's own {has}"
        try:
            verdict = honest(grader, question.score.variant, question.score.of, claim)
        except UserError:
            continue
        if not verdict.right:
            yield f"answers.yaml: {question.id}: {verdict}"
