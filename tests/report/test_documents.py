"""Every figure of the documents' results has a claim, and every line of the texts with figures has been read."""

import re
from collections import Counter
from decimal import Decimal

import pytest
from conftest import ROOT

from replica.report import claims

TEXTS = ROOT.parent / "shared/documents"
FIGURE = re.compile(r"(?<![\w.])-?(?:\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?|\.\d+)")
DECLARED = claims.read(ROOT / "claims.yaml")
EXPECTED = ("value", "values", "below", "claim", "quote")  # where a claim holds what the document says

needs_texts = pytest.mark.skipif(not TEXTS.is_dir(), reason="the documents' texts do not lie in ../shared/documents")


def listed() -> dict[tuple[str, int], tuple[list[str], list[str]]]:
    """tests/report/documents.txt: results and other figures by document and line."""
    found = {}
    for line in (ROOT / "tests/report/documents.txt").read_text().splitlines():
        if not line.startswith("#"):
            place, _, figures = line.partition(" ")
            document, _, number = place.partition(":")
            results, _, others = figures.partition("|")
            found[document, int(number)] = (results.split(), others.split())
    return found


def figures(value: object) -> list[Decimal]:
    """Every figure in a claim's value, whatever its form, without its sign."""
    if isinstance(value, dict):
        return [each for item in value.values() for each in figures(item)]
    if isinstance(value, list):
        return [each for item in value for each in figures(item)]
    return [plain(each) for each in FIGURE.findall(str(value))]


def plain(figure: str) -> Decimal:
    return abs(Decimal(figure.replace(",", "")))


def expected() -> dict[tuple[str, int], list[Decimal]]:
    """What the claims of each line hold."""
    found: dict[tuple[str, int], list[Decimal]] = {}
    for claim in DECLARED["claims"]:
        parts = [claim, *claim.get("test", {}).values()]
        said = figures([part[key] for part in parts for key in EXPECTED if key in part])
        for line in claims.lines(claims.line_of(claim)):
            found.setdefault((claim["document"], line), []).extend(said)
    return found


def holds(said: Decimal, figure: Decimal) -> bool:
    """Whether a claim's figure is the text's, or the text's with fewer decimals."""
    decimals = said.as_tuple().exponent
    return said == figure or (decimals < 0 and abs(said - figure) <= Decimal(1).scaleb(decimals))


def test_every_result_has_a_claim_of_its_line():
    said = expected()
    for place, (results, _) in listed().items():
        for figure in results:
            assert any(holds(each, plain(figure)) for each in said.get(place, [])), (place, figure)
    assert sum(len(results) for results, _ in listed().values()) > 500


def test_every_claim_names_its_line_and_no_line_is_both():
    outside = {(entry["document"], line) for entry in DECLARED["not_claims"] for line in claims.lines(entry["lines"])}
    for claim in DECLARED["claims"]:
        lines = {(claim["document"], line) for line in claims.lines(claims.line_of(claim))}
        assert lines, claim["id"]
        assert not lines & outside, claim["id"]
    assert not listed().keys() & outside
    assert all(entry["reason"] for entry in DECLARED["not_claims"])


def texts() -> dict[str, list[str]]:
    return {
        letter: (TEXTS / document["file"]).read_text().splitlines()
        for letter, document in DECLARED["documents"].items()
    }


@needs_texts
def test_the_list_is_what_the_texts_have():
    index = listed()
    outside: dict[tuple[str, int], int] = {}
    for number, entry in enumerate(DECLARED["not_claims"]):
        for line in claims.lines(entry["lines"]):
            assert outside.setdefault((entry["document"], line), number) == number, (entry["document"], line)
    counts: Counter[int] = Counter()
    for letter, lines in texts().items():
        for number, line in enumerate(lines, 1):
            found, place = FIGURE.findall(line), (letter, number)
            if place in index:
                assert Counter(found) == Counter(index[place][0] + index[place][1]), place
            elif found:
                assert place in outside, (place, found)
                counts[outside[place]] += len(found)
    for number, entry in enumerate(DECLARED["not_claims"]):
        assert counts[number] == entry["figures"], entry


@needs_texts
def test_the_two_tables_that_are_no_claim_are_of_one_picture_but_for_two_cells():
    lines = texts()["B"]
    outline, sharpen = (
        [[int(figure) for figure in lines[line - 1].split()] for line in range(start, start + 20)] for start in (25, 48)
    )
    cells = [(a, b) for row, other in zip(outline, sharpen, strict=True) for a, b in zip(row, other, strict=True)]
    assert len(cells) == 400
    # The kernels differ by the four corners: the second less the first is the sum of four pixels.
    assert sum(not 0 <= b - a <= 4 * 255 for a, b in cells) == 2
    assert {b for b, _ in Counter(b for a, b in cells if a == 0).most_common(2)} == {4 * 254, 4 * 244}
