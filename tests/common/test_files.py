"""The form of the files that git keeps: a diff of a line, whole or absent; what is missing is said with its cure."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replica.common import files
from replica.common.errors import UserError

CONTENT = {
    "name": "a",
    "accuracy": np.float32(0.123456789),
    "seeds": [0.9, 1, None],
    "none": math.nan,
    "counts": np.array([[1, 2], [3, 4]]),
    "images": np.int64(3),
    "ran": True,
    "empty": {},
    "runs": [{"seed": 0}, {"seed": 1}],
    "words": ("x", "y"),
}
TEXT = """\
{
  "name": "a",
  "accuracy": 0.123457,
  "seeds": [0.9, 1, null],
  "none": null,
  "counts": [
    [1, 2],
    [3, 4]
  ],
  "images": 3,
  "ran": true,
  "empty": {},
  "runs": [
    {
      "seed": 0
    },
    {
      "seed": 1
    }
  ],
  "words": [
    "x",
    "y"
  ]
}
"""


def test_json_has_a_key_a_line_a_list_of_numbers_on_one_and_six_digits(tmp_path):
    file = tmp_path / "new/metrics.json"
    files.write_json(CONTENT, file)
    assert file.read_text() == TEXT
    assert [each.name for each in file.parent.iterdir()] == ["metrics.json"]
    files.write_json({"a": 1}, file)
    assert files.read_json(file, "dvc repro") == {"a": 1}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False, width=16),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_what_is_indented_is_the_same_json(value):
    assert json.loads(files.indented(value)) == value


def test_csv_has_six_digits_and_leaves_empty_what_is_not_finite(tmp_path):
    file = tmp_path / "new/plot.csv"
    rows = [("a", 0.123456789, 1), ("b, c", math.nan, 12345678), ("d", math.inf, 1e-9)]
    files.write_csv(file, ("name", "value", "count"), rows)
    assert file.read_bytes() == b'name,value,count\na,0.123457,1\n"b, c",,12345678\nd,,1e-09\n'
    assert [each.name for each in file.parent.iterdir()] == ["plot.csv"]


def test_a_history_is_read_with_its_seed(tmp_path):
    (tmp_path / "history.csv").write_text("epoch,value,metric,data\n1,0.5,accuracy,training\n2,1.25,loss,test\n")
    assert files.history(tmp_path, 7) == [(1, 0.5, "accuracy", "training", 7), (2, 1.25, "loss", "test", 7)]
    (tmp_path / "history.csv").unlink()
    with pytest.raises(UserError, match=r"history\.csv: no such file; delete .* and run `dvc repro`"):
        files.history(tmp_path, 7)


def test_a_file_of_an_earlier_stage_that_is_missing_or_broken_says_what_makes_it_anew(tmp_path):
    file = tmp_path / "metrics.json"
    with pytest.raises(UserError, match=r"metrics\.json: no such file; run `dvc repro x`$"):
        files.read_json(file, "dvc repro x")
    file.write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json: not JSON; delete it and run `dvc repro x`$"):
        files.read_json(file, "dvc repro x")
