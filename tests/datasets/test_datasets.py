"""What datasets decode to and how it is checked, the embedded ones, and the arrays that preprocessing writes."""

from __future__ import annotations

import json
import os
import re
import socket

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny import DIGITS, decoded

from replica.common import arrays, parameters
from replica.common.errors import UserError
from replica.datasets import checks, kinds, photos, processed, spiral
from replica.datasets.declaration import Decoded, Photos, Spiral

DECLARED = parameters.read(ROOT / "datasets.yaml")["datasets"]


# What is decoded, against what is declared


def declare(made: dict[str, np.ndarray], **other: object) -> Decoded:
    return Decoded.model_validate({**decoded(made), **other})


def test_what_is_declared_passes():
    checks.check("tiny", declare(DIGITS), DIGITS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x_train": DIGITS["x_train"][:5]}, "x_train's shape is (5, 3, 2, 1), where datasets.yaml says (6, 3, 2, 1)"),
        ({"x_test": DIGITS["x_test"].transpose(0, 2, 1, 3)}, "x_test's shape is (4, 2, 3, 1), where datasets.yaml"),
        ({"x_test": DIGITS["x_test"].astype(np.int8)}, "x_test's type is int8, where datasets.yaml says uint8"),
        ({"y_train": DIGITS["y_train"][:, None]}, "y_train's shape is (6, 1), where datasets.yaml says (6,)"),
        ({"y_test": DIGITS["y_test"].astype(int)}, "y_test's type is int64, where datasets.yaml says uint8"),
        ({"y_train": DIGITS["y_train"] * 0}, "y_train's SHA-256 is "),
        ({"y_test": DIGITS["y_test"] * 9}, "y_test's SHA-256 is "),
        ({"y_train": DIGITS["y_train"][::-1]}, "y_train's SHA-256 is "),
        ({"x_train": DIGITS["x_train"] ^ 1}, "x_train's SHA-256 is "),
    ],
)
def test_what_is_decoded_otherwise_is_refused(changed, message):
    with pytest.raises(UserError, match="^" + re.escape(f"tiny: {message}")) as caught:
        checks.check("tiny", declare(DIGITS), DIGITS | changed)
    repair, of_an_edit = str(caught.value).rpartition("; run `dvc repro download@tiny -f`")[1:]
    assert repair and (of_an_edit != "") == ("SHA-256" in message)


# Embedded datasets


@pytest.mark.parametrize("name", ["mnist_5k", "photos10", "spiral"])
def test_embedded_data_decode_to_what_is_declared_without_a_network(name, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.chdir(ROOT)
    kind, entry = kinds.declared(name)
    kind.fetch(name, entry, tmp_path, tmp_path)
    checks.check(name, entry, kinds.decode(name, kind, entry, tmp_path))


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("no_such_package/x.png", "tiny: the package no_such_package is not installed; run `make setup`"),
        ("skimage/data/no.png", "tiny: skimage ships no data/no.png; run `make setup`"),
        ("skimage/data/coffee.png", "tiny: skimage/data/coffee.png has the MD5 "),
    ],
)
def test_a_photograph_that_is_not_the_one_declared_is_refused(file, message, tmp_path):
    entry = Photos.model_validate({**DECLARED["photos10"], "md5": {file: "0" * 32}})
    with pytest.raises(UserError, match="^" + re.escape(message)):
        photos.fetch("tiny", entry, tmp_path, tmp_path)
    assert not list(tmp_path.iterdir())


@settings(max_examples=25, deadline=None)
@given(width=st.integers(40, 200), height=st.integers(8, 60), share=st.floats(0.25, 0.75), seed=st.integers(0, 99))
def test_training_and_test_patches_share_no_pixel(width, height, share, seed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    for photo in (0, 1):  # each pixel says which photograph's it is, and where it lies there
        Image.fromarray(np.dstack([columns, rows, rows * 0 + photo]).astype(np.uint8)).save(folder / f"{photo}.png")
    counts = {"train": 30, "test": 10}
    entry = Photos.model_validate(
        DECLARED["photos10"]
        | {"shape": [8, 8, 3], "md5": {f"a/{n}.png": "0" * 32 for n in (0, 1)}, "train_share": share, "seed": seed}
        | {"patches": counts}
    )
    made = photos.decode(entry, folder)
    for split in ("train", "test"):
        x, y = made[f"x_{split}"], made[f"y_{split}"]
        assert np.bincount(y).tolist() == [counts[split]] * 2
        assert (x[..., 2] == y[:, None, None]).all()
        assert (np.diff(x[..., 0].astype(int), axis=2) == 1).all()
        assert (np.diff(x[..., 1].astype(int), axis=1) == 1).all()
    assert made["x_train"][..., 0].max() < made["x_test"][..., 0].min()


def test_the_spirals_by_hand():
    entry = Spiral.model_validate({**DECLARED["spiral"], "points": 7})
    x = spiral.points(entry)
    assert x.shape == (14, 2)
    # i = 2 of 7: r = 5·2/7, t = 1.75·2/7·2π = π, so (r sin π, r cos π); the other spiral lies opposite.
    np.testing.assert_allclose(x[2], [0, -10 / 7], atol=1e-12)
    np.testing.assert_allclose(x[1], [5 / 7, 0], atol=1e-12)
    np.testing.assert_allclose(x[7:], -x[:7], atol=1e-12)


def test_noise_moves_a_point_by_no_more_than_declared():
    entry = DECLARED["spiral"]
    still, noisy = (spiral.points(Spiral.model_validate({**entry, "noise": noise})) for noise in (0.0, 0.5))
    moved = np.abs(noisy - still)
    assert 0.45 < moved.max() <= 0.5


def test_the_seven_features_by_hand():
    got = spiral.features(np.array([[2.0, -3.0], [0.0, 0.5]]))
    assert got.dtype == np.float32
    expected = [[2, -3, 4, 9, -6, 0.909297, -0.14112], [0, 0.5, 0, 0.25, 0, 0, 0.479426]]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert len(spiral.FEATURES) == 7


# Preprocessed datasets


@pytest.fixture
def written(tmp_path):
    """A preprocessed dataset's folder."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    processed.write(folder, "tiny", declare(DIGITS), DIGITS)
    return folder


def test_what_is_written_is_loaded_read_only(written):
    loaded = arrays.load("tiny", written.parent)
    for key, array in DIGITS.items():
        got = getattr(loaded, key)
        np.testing.assert_array_equal(got, array)
        assert got.dtype == np.uint8
        assert isinstance(got, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            got[0] = 1
    assert loaded.classes == ["even", "odd"]
    assert loaded.hashes["test"] == {kind: checks.digest(DIGITS[f"{kind}_test"]) for kind in ("x", "y")}


def test_the_statistics_and_the_split(written):
    statistics = json.loads((written / "statistics.json").read_text())
    assert statistics["classes"] == ["even", "odd"]
    assert statistics["shape"] == [3, 2, 1]
    for split, n in (("train", 6), ("test", 4)):
        x = DIGITS[f"x_{split}"].astype(float)
        assert statistics[split] == {
            "examples": n,
            "class_counts": [n // 2, n // 2],
            "mean": round(float(np.sum(x)) / x.size, 6),
            "std": round(float(np.sqrt(np.sum((x - x.mean()) ** 2) / x.size)), 6),
            "sha256": {kind: checks.digest(DIGITS[f"{kind}_{split}"]) for kind in ("x", "y")},
        }
    assert (written / "split.csv").read_text() == "class,train,test\neven,3,2\nodd,3,2\n"


def test_written_twice_the_bytes_are_the_same(written, tmp_path):
    again = tmp_path / "again"
    again.mkdir()
    processed.write(again, "tiny", declare(DIGITS), dict(reversed(DIGITS.items())))
    first, second = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in (written, again))
    assert first == second
    assert set(first) == {*(f"{key}.npy" for key in DIGITS), "statistics.json", "split.csv", "sample.png"}


def test_a_dataset_that_is_not_preprocessed(tmp_path):
    with pytest.raises(UserError, match=r"statistics.json: no such file; run `dvc repro preprocess@tiny`"):
        arrays.load("tiny", tmp_path)


# The official files


@pytest.mark.skipif(not os.environ.get("REPLICA_MIRROR"), reason="REPLICA_MIRROR names no mirror of the official files")
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_the_official_files_decode_to_what_is_declared(name, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    kind, entry = kinds.declared(name)
    kind.fetch(name, entry.model_copy(update={"mirrors": []}), tmp_path, tmp_path)
    checks.check(name, entry, kinds.decode(name, kind, entry, tmp_path))
