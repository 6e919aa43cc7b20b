"""A grade as text, and as JSON in the forms that Gradescope and GitHub Classroom read."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from replica.commands import overview
from replica.commands.assignment.grade import LOOK, Grade
from replica.common.errors import plain

FORMS = ("text", "gradescope", "github")


def text(grade: Grade) -> str:
    """For a teacher's terminal, in 100 columns: all there is."""
    who = f"{grade.assignment}, {grade.student}" if grade.student else grade.assignment
    lines = [f"{who}: {grade.points:g} of {grade.most:g} points, {grade.status} ({grade.seconds:.0f} s)"]
    width = max(len(result.id) for result in grade.results)
    for result in grade.results:
        start = f"  {result.id:{width}}  {shown(result.points, result.most):7}  "
        detail = f": {result.detail}" if result.detail else ""
        lines.append(wrapped(result.why + detail, start, " " * len(start)))
    for title, of in (("look closer", grade.reasons), ("left aside", grade.notes)):
        lines += [f"{title}:", *(wrapped(line, "  ", "    ") for line in of)] if of else []
    return "\n".join(lines)


def wrapped(line: str, start: str, others: str) -> str:
    """A line in 100 columns, plain: a submission that it quotes could rewrite its grade by a terminal's escapes."""
    return textwrap.fill(
        plain(line), overview.WIDTH, initial_indent=start, subsequent_indent=others, break_on_hyphens=False
    )


def shown(points: float, most: float) -> str:
    return f"{points:g} of {most:g}" if most else "–"


def gradescope(grade: Grade) -> str:
    """results.json of a Gradescope autograder.

    Hidden cases are shown once grades are out; what a person should look into is never shown to the student.
    """
    tests: list[dict[str, Any]] = [
        {
            "number": str(number),
            "name": result.id,
            "score": result.points,
            "max_score": result.most,
            "status": "passed" if result.right else "failed",
            "output": result.why,
            "output_format": "text",
            "visibility": "after_published" if result.hidden else "visible",
        }
        for number, result in enumerate(grade.results, 1)
    ]
    if grade.reasons:
        look = {"name": LOOK, "score": 0, "max_score": 0, "output": "\n".join(grade.reasons), "visibility": "hidden"}
        tests.append(look)
    shown = [result for result in grade.results if not result.hidden]  # whether a hidden case holds is told later
    points, most = sum(result.points for result in shown), sum(result.most for result in shown)
    aside = ", hidden cases aside" if len(shown) < len(grade.results) else ""
    content = {
        "score": grade.points,
        "execution_time": round(grade.seconds),
        "output": "\n".join([f"{grade.assignment}: {points:g} of {most:g} points{aside}", *grade.notes]),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "extra_data": {"status": grade.status, "student": grade.student, "reasons": grade.reasons},
        "tests": tests,
    }
    return json.dumps(content, indent=2)


def github(grade: Grade) -> str:
    """What a grader of GitHub Classroom hands to its autograding reporter, before base 64; hidden cases left out."""
    results = [result for result in grade.results if not result.hidden]
    tests = [
        {
            "name": result.id,
            "status": "pass" if result.right else "fail",
            "score": result.points,
            "message": result.why,
            "test_code": "",
            "filename": "answers.yaml",
            "line_no": 0,
            "execution_time": "0s",
        }
        for result in results
    ]
    passed = all(test["status"] == "pass" for test in tests)
    content = {
        "version": 1,
        "status": "pass" if passed else "fail",
        "max_score": sum(result.most for result in results),
        "tests": tests,
    }
    return json.dumps(content, indent=2)
