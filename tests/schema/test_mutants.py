"""params.yaml spoiled at random, thousands of times: taken, or refused in words and at once; never a traceback.

`EXAMPLES=6000 python -m pytest -m long -n0 -s tests/schema/test_mutants.py` counts them; about four minutes.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

import pytest
from conftest import ROOT

from replica.common import parameters, reader
from replica.common.errors import UserError
from replica.schema import check

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
ODD = (
    "010", "0x1F", "1e400", ".nan", "-.inf", "-1", "1_000", "null", "~", "yes", "true", "''", "[]",
    "{}", "!!int x", "!!binary x", "!!timestamp 2001-13-40", "!!python/object:os.system x",
    "!!set {a}", "&a [*a]", "*b", "&b ", "<<: *b", "? ", "- ", "---\n", "...\n", "%YAML 3\n", "|\n",
    ">\n", "'", '"', "{", "}", "[", "]", ": ", "#", "@", "`", "\t", "\0", "\x1b[31m", '"\\e[31m"',
    "\ufeff", "é", "\N{PILE OF POO}", "$x", "$", "..", "../x", "; touch x", "Dense", "9" * 400,
    "[" * 60, "{a: " * 60, "2024-02-30",
)  # fmt: skip


def mutant(number: int) -> str:
    """The text after one to three accidents, drawn by the number."""
    draw, text = random.Random(number), TEXT
    for _ in range(draw.randint(1, 3)):
        start = draw.randrange(len(text))
        end = min(len(text), start + draw.choice((0, 1, 2, 5, 20, 200)))
        lines = text.splitlines(keepends=True)
        place, other = draw.randrange(len(lines)), draw.randrange(len(lines))
        match draw.randrange(7):
            case 0:
                text = text[:start] + text[end:]
            case 1:
                text = text[:start] + draw.choice(ODD) + text[end:]
            case 2:  # a whole word by another
                words = draw.choice((" ", ", ", ": ")).join(lines[place].split(" ")[:-1])
                lines[place] = f"{words} {draw.choice(ODD)}\n"
                text = "".join(lines)
            case 3:
                lines.insert(other, lines[place])
                text = "".join(lines)
            case 4:
                lines[place], lines[other] = lines[other], lines[place]
                text = "".join(lines)
            case 5:
                lines[place] = " " * draw.randint(0, 9) + lines[place].lstrip()
                text = "".join(lines)
            case 6:
                text = text[:start] if draw.random() < 0.2 else text.replace(lines[place], "", 1)
    return text


def ends(text: str, facts: dict) -> str:
    """`refused` in words, or `accepted`; anything else is raised."""
    began = time.process_time()
    try:
        declared = reader.load(text, "params.yaml")
        if not isinstance(declared, dict):
            return "refused"  # `parameters.read` says so
        check.check({**facts, **declared})
    except UserError as error:
        assert 0 < len(str(error)) < 20_000
        assert all(line.strip() for line in str(error).split("\n"))
        return "refused"
    finally:
        assert time.process_time() - began < 2
    return "accepted"


def count(numbers: range) -> Counter[str]:
    facts = parameters.read(ROOT / "datasets.yaml")
    found: Counter[str] = Counter()
    for number in numbers:
        try:
            found[ends(mutant(number), facts)] += 1
        except Exception as error:
            raise AssertionError(f"mutant {number}: {error!r}") from error
    return found


def test_a_spoiled_file_is_taken_or_refused_in_words():
    found = count(range(60))
    assert set(found) == {"accepted", "refused"}


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_thousands_of_them():
    found = count(range(1000, 1000 + int(os.environ.get("EXAMPLES", "6000"))))
    print(dict(found))
    assert found["refused"] > found["accepted"] > 0
