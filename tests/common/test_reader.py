"""YAML has one meaning here and for DVC, and what is hostile or wrong in it is one line, soon."""

import resource
import string
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml import YAMLError as DVCsError

from replica.common import reader
from replica.common.errors import UserError

SCALARS = st.text(alphabet=string.digits + "+-._:eExobnaNiIfFtruEyYsSoO~T", min_size=1, max_size=9)


@settings(deadline=None, max_examples=400)
@given(SCALARS)
@example("010")
@example("0o10")
@example("1:30")
@example("yes")
@example("Off")
@example("08")
@example("1e-05")
@example("1_000")
@example(".nan")
@example("0x1F")
def test_a_scalar_is_what_dvc_reads(text):
    try:
        theirs = YAML(typ="safe").load(f"a: {text}\n")
    except (DVCsError, ValueError, IndexError, NotImplementedError):
        return
    assert repr(reader.load(f"a: {text}\n", "params.yaml")) == repr(theirs)


BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x]"]
    + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefghi", "bcdefghij", strict=True)]
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", "a: stands on line 1 and on line 3"),
        ("a: {b: 1, c: 2, b: 3}", "b: stands on line 1 and on line 1"),
        ("{1: x, 01: y}", "01: stands on line 1 as 1 and on line 1"),
        ("{01: x, 1: y}", "1: stands on line 1 as 01 and on line 1"),
        ("1: x\n0x1: y\n", "0x1: stands on line 1 as 1 and on line 2"),
        ("true: x\nTRUE: y\n", "TRUE: stands on line 1 as true and on line 2"),
        ("a: {<<: {b: 1}, <<: {c: 1}}", "<<: stands on line 1 and on line 1"),
        ("a: !!int ''", "line 1: '' is no int: "),
        ("a: 1\nb: !!timestamp x", "line 2: 'x' is no timestamp"),
        ("a: !!bool x", "line 1: 'x' is no bool"),
        ("a:\n  !!map x", "line 2: 'x' is no mapping"),
        ("a: !!set x", "line 1: 'x' is no mapping"),
        ("{!!timestamp x: 1}", "line 1: 'x' is no timestamp"),
        ("a: 2020-13-45", "line 1: '2020-13-45' is no timestamp: month must be in 1..12"),
        ("a: " + "9" * 5000, "is no int: more than 100 digits"),
        ("a: 0x" + "f" * 5000, "is no int: more than 100 digits"),
        ("[" * 100_000, "line 1: more than 50 collections"),
        ("- " * 100_000, "line 1: more than 50 collections"),
        ("a: 1\nb: &x [*x]", "line 2: *x stands inside itself"),
        (BOMB, "line 6: more than 250,000 values, by its aliases"),
        ("a: [" + "x, " * 250_000 + "x]", "line 1: more than 250,000 values"),
        ("a: " + "x" * 2_000_001, "allowed: 2,000,000"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: [1", "line 1"),
    ],
    ids=range(24),
)
def test_what_is_wrong_or_hostile_is_one_line_within_two_seconds_and_500_mb(text, words):
    began = time.perf_counter()
    with pytest.raises(UserError) as refused:
        reader.load(text, "params.yaml")
    assert time.perf_counter() - began < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2_000_000  # the whole test process, in KiB
    line = str(refused.value)
    assert line.startswith("params.yaml: ") and "\n" not in line and words in line and len(line) < 500


def test_what_is_as_large_or_as_deep_as_is_allowed_is_read():
    assert len(reader.load("a: " + "x" * (reader.LARGEST - 3), "f")["a"]) == reader.LARGEST - 3
    with pytest.raises(UserError, match="allowed: 2,000,000"):
        reader.load("a: " + "x" * (reader.LARGEST - 2), "f")
    assert reader.load("[" * 50 + "]" * 50, "f")
    with pytest.raises(UserError, match="line 2: more than 50"):
        reader.load("\n" + "[" * 51 + "]" * 51, "f")


@pytest.mark.parametrize(("text", "value"), [("0b101", 5), ("-0x1F", -31), ("+0o17", 15), ("1_000", 1000)])
def test_whole_numbers_have_their_base_and_sign(text, value):
    assert reader.load(text, "f") == value


def test_anchors_and_merges_that_are_small_stay():
    assert reader.load("a: &x {q: 1}\nb: {<<: *x, r: 2}\nc: *x", "f") == {
        "a": {"q": 1},
        "b": {"q": 1, "r": 2},
        "c": {"q": 1},
    }


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("a: &x 1\nb: *x\nc: *x\n", 7),
        ("a: &x [1, 2]\nb: *x\n", 9),
        ("a: &x {q: [1]}\nb: {<<: *x}\n", 13),
    ],
)
def test_an_alias_counts_as_much_as_what_it_stands_for(monkeypatch, text, count):
    """Keys, values and collections."""
    monkeypatch.setattr(reader, "MOST", count)
    reader.load(text, "f")
    monkeypatch.setattr(reader, "MOST", count - 1)
    with pytest.raises(UserError, match="by its aliases"):
        reader.load(text, "f")
