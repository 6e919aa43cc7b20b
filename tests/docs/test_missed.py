"""docs/claims.md says of every claim that missed what is known, and of no other."""

import re

from conftest import ROOT

SETTLED = ("reproduced", "reproduced, weakly", "not comparable")


def test_every_claim_that_missed_is_told_and_no_other():
    rows = re.findall(
        r"^\| ([A-E]\d+) \|.*\| ([a-z, ]+) \|[^|]*\|[^|]*\|$", (ROOT / "report/claims.md").read_text(), re.M
    )
    verdicts = dict(rows)
    assert len(verdicts) == 176
    section = (ROOT / "docs/claims.md").read_text().partition("## What missed")[2]
    told = []
    for cell in re.findall(r"^\| ([A-E]\d[^|]*) \|", section, re.M):
        for first, last in re.findall(r"([A-E]\d+)(?: to [A-E](\d+))?", cell):
            told += [f"{first[0]}{number}" for number in range(int(first[1:]), int(last or first[1:]) + 1)]
    assert sorted(told) == sorted(set(told))
    assert {name for name, verdict in verdicts.items() if verdict not in SETTLED} <= set(told)
    assert {verdicts[name] for name in told} & {"reproduced", "reproduced, weakly"} == set()
