"""An assignment is one YAML file: what is handed out, what may be changed, and what each question is judged by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jinja2
from pydantic import Field, model_validator

from replica.common import parameters, reader
from replica.common.arguments import Arguments
from replica.common.errors import UserError
from replica.report.environment import environment
from replica.schema import check
from replica.schema.layers import Positive

CHAPTERS = Path(__file__).parent / "chapters"
Points = Annotated[float, Field(ge=0, le=1000, strict=False)]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
Of = Literal["test", "train", "gap"]  # accuracies on these images; the gap is training's above the test's


class Count(Arguments):
    """The answer is a number of parameters: of a variant's layer by its number, or of them all."""

    variant: str
    layer: str | None = None


class Score(Arguments):
    """The answer is what a variant of the student's reached: the mean over its seeds."""

    variant: str
    of: Of = "test"


class Better(Arguments):
    """The answer is the variant whose figure is larger beyond the noise of seeds, or `neither`."""

    a: str
    b: str
    of: Of = "test"


class Reach(Arguments):
    """No answer: the student's own variant must reach a share of the test images, within limits of size and time."""

    variant: str
    at_least: Share
    parameters: Positive
    epochs: Positive
    hidden: Points = 0  # more points, for reaching it on the images that the teacher keeps


class Words(Arguments):
    """The answer is so many words of the student's own, which a person reads."""

    at_least: Positive


KINDS = ("count", "score", "better", "reach", "words")


class Question(Arguments):
    """What is asked, in Jinja with the student's own numbers, and exactly one of `KINDS`."""

    id: Annotated[str, Field(pattern="^[a-z][a-z0-9_]{0,30}$")]
    text: str
    points: Points = 0
    count: Count | None = None
    score: Score | None = None
    better: Better | None = None
    reach: Reach | None = None
    words: Words | None = None

    @model_validator(mode="after")
    def one_kind(self) -> Question:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            raise ValueError(f"one of {', '.join(KINDS)} was expected")
        return self

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind) is not None)

    @property
    def variants(self) -> tuple[str, ...]:
        """Those that must be trained to judge it."""
        if self.better:
            return self.better.a, self.better.b
        asked = self.score or self.reach
        return (asked.variant,) if asked else ()


class Chapter(Arguments):
    """An assignment.

    `params` is the params.yaml of the starter as text, in Jinja: `personal` has for each name in it the values that
    students are dealt. `may_change` are the entries that are the student's own, `fixed` what in them is not.
    """

    title: str
    source: str
    about: str
    personal: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    may_change: list[str]
    fixed: list[str] = Field(default_factory=list)
    seconds: Positive = 300
    params: str
    questions: Annotated[list[Question], Field(min_length=1)]


class Hidden(Arguments):
    """What the teacher keeps: the grader's seeds, other values of datasets.yaml for other images, more questions."""

    assignment: str
    seeds: Annotated[list[Annotated[int, Field(ge=0, lt=2**32)]], Field(min_length=3, max_length=100)]
    data: dict[str, dict[str, Any]] = Field(default_factory=dict)
    questions: list[Question] = Field(default_factory=list)


@dataclass(frozen=True)
class Assignment:
    """A chapter as one student has it: its texts with the numbers dealt, and its parameters read."""

    name: str
    student: str
    chapter: Chapter
    dealt: dict[str, Any]
    text: str
    params: dict[str, Any]

    def asked(self, question: Question) -> str:
        """A question's text with the student's own numbers."""
        return rendered(question.text, self.dealt, f"{self.name}: {question.id}").strip()


def names() -> list[str]:
    """The assignments that come with the project."""
    return sorted(file.stem for file in CHAPTERS.glob("*.yaml"))


def chapter(name: str) -> tuple[str, Chapter]:
    """An assignment by its name, or one's own by its file's path; and the name.

    Raises
    ------
    UserError
        Where there is none, or it is not what an assignment must be: a line for each mistake.
    """
    file = Path(name) if name.endswith((".yaml", ".yml")) else CHAPTERS / f"{name}.yaml"
    if file.parent == CHAPTERS:
        check.require("replica assignment", name, names(), "assignment")
    found = check.validate(Chapter, parameters.read(file), file.stem)
    ids = [question.id for question in found.questions]
    if len(set(ids)) < len(ids):
        raise UserError(f"{file.stem}.questions: an id stands twice among {', '.join(ids)}")
    return file.stem, found


def hidden(file: Path, name: str) -> Hidden:
    """What the teacher keeps for an assignment; raises UserError where the file is not that."""
    found: Hidden = check.validate(Hidden, parameters.read(file), str(file))
    if found.assignment != name:
        raise UserError(f"{file}: for the assignment {found.assignment}, where {name} is graded")
    return found


def deal(name: str, found: Chapter, student: str) -> Assignment:
    """The chapter as a student has it: the same numbers for the same name, whoever deals them.

    Raises
    ------
    UserError
        Where its texts are no templates, or its parameters are not YAML.
    """
    dealt = {
        key: values[int(hashlib.sha256(f"{name}/{key}/{student}".encode()).hexdigest(), 16) % len(values)]
        for key, values in found.personal.items()
    }
    text = rendered(found.params, dealt, f"{name}: params")
    return Assignment(name, student, found, dealt, text, reader.load(text, f"{name}: params"))


def verify(assignment: Assignment, further: Sequence[Question] = ()) -> None:
    """Refuse parameters that `replica check` would, and questions of a variant or a layer that nobody has.

    Parameters
    ----------
    further
        Questions beside the assignment's own, such as the teacher's.

    Raises
    ------
    UserError
        With a line for each mistake.
    """
    params, where = assignment.params, f"{assignment.name}: params"
    if not isinstance(params, dict):
        raise UserError(f"{where}: a {type(params).__name__}, where sections were expected")
    declared = {**params, "datasets": parameters.read("datasets.yaml").get("datasets")}
    try:
        check.check(declared)
    except UserError as error:
        raise UserError("\n".join(f"{where}: {line}" for line in str(error).splitlines())) from None
    for question in (*assignment.chapter.questions, *further):
        place, asked = f"{assignment.name}: {question.id}", question.count
        for variant in (*question.variants, *((asked.variant,) if asked else ())):
            added = any(f"variants.{variant}.".startswith(f"{each}.") for each in assignment.chapter.may_change)
            if not added:
                check.require(place, variant, params["variants"], "variant")
        if asked and asked.layer is not None and asked.variant in params["variants"]:
            layers = parameters.stated(declared, "variants", asked.variant, {})["layers"]
            network = params["variants"][asked.variant]["network"]
            free = any(f"networks.{network}.layers.".startswith(f"{each}.") for each in assignment.chapter.may_change)
            if not (free and asked.layer.isdecimal()):  # one that students may add
                check.require(f"{place}.layer", asked.layer, layers, "layer")


def rendered(text: str, dealt: dict[str, Any], where: str) -> str:
    try:
        return environment().overlay(autoescape=False).from_string(text).render(dealt)
    except jinja2.TemplateError as error:
        raise UserError(f"{where}: {error}") from None
