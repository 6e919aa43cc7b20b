"""Convolution against SciPy, Keras, and the documents' own numbers."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate2d

from replica.common import parameters
from replica.common.errors import UserError
from replica.convolution import arithmetic
from replica.datasets import idx

small = st.integers(1, 4)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(4, 12), st.integers(4, 12), small, small, small, st.integers(0, 3), st.integers(1, 2), st.integers(0, 9)
)
def test_a_plane_is_scipy_s(height, width, kh, kw, stride, padding, dilation, seed):
    random = np.random.default_rng(seed)
    image, kernel = random.integers(-9, 10, (height, width)), random.integers(-9, 10, (kh, kw))
    spread = np.zeros((dilation * (kh - 1) + 1, dilation * (kw - 1) + 1))
    spread[::dilation, ::dilation] = kernel
    if spread.shape[0] > height + 2 * padding or spread.shape[1] > width + 2 * padding:
        with pytest.raises(UserError, match="reaches over"):
            arithmetic.convolve(image, kernel, stride, padding, dilation)
        return
    theirs = correlate2d(np.pad(image, padding), spread, "valid")[::stride, ::stride]
    ours = arithmetic.convolve(image, kernel, stride, padding, dilation)
    assert np.array_equal(ours, theirs)
    for side, (n, k) in enumerate(((height, kh), (width, kw))):
        assert ours.shape[side] == arithmetic.output_size(n, k, stride, padding, dilation)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(5, 9), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 2),
    st.integers(0, 9),
)  # fmt: skip
def test_channels_and_filters_are_keras_s(side, channels, filters, size, stride, padding, seed):
    random = np.random.default_rng(seed)
    images = random.normal(size=(2, side, side + 1, channels)).astype(np.float32)
    # Keras takes a stride or a dilation, not both
    for steps, dilation in ((stride, 1), (1, 2)):
        layer = keras.layers.Conv2D(
            filters, size, strides=steps, dilation_rate=dilation, activation="relu", bias_initializer="random_normal"
        )
        padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
        theirs = np.asarray(layer(padded))
        kernel, bias = (np.asarray(weight) for weight in layer.weights)
        ours = arithmetic.relu(arithmetic.convolve(images, kernel, steps, padding, dilation, bias))
        assert layer.compute_output_shape(padded.shape) == ours.shape
        assert np.allclose(ours, theirs, atol=1e-5)
        alone = arithmetic.relu(arithmetic.convolve(images[1], kernel, steps, padding, dilation, bias))
        assert np.allclose(alone, ours[1], atol=1e-12)
        assert arithmetic.parameters(size, size, channels, filters)[0] == layer.count_params()


@settings(max_examples=15, deadline=None)
@given(st.integers(3, 9), st.integers(1, 3), st.integers(1, 3), st.integers(0, 9))
def test_pooling_is_keras_s(side, size, stride, seed):
    images = np.random.default_rng(seed).normal(size=(2, side, side + 2, 2)).astype(np.float32)
    theirs = np.asarray(keras.layers.MaxPooling2D(size, stride)(images))
    assert np.array_equal(arithmetic.max_pool(images, size, stride), theirs)
    assert np.array_equal(arithmetic.max_pool(images[0], size, stride), theirs[0])
    assert np.array_equal(arithmetic.max_pool(images[0, ..., 0], size, stride), theirs[0, ..., 0])
    assert arithmetic.max_pool(images).shape == keras.layers.MaxPooling2D().compute_output_shape(images.shape)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(small, st.integers(1, 3), st.integers(1, 2)), min_size=1, max_size=3))
def test_an_output_sees_its_receptive_field_and_no_more(layers):
    field = arithmetic.receptive_field(layers)
    seen = np.zeros(field + 6)
    for place in range(len(seen)):
        line = np.zeros((1, len(seen)))
        line[0, place] = 1
        for kernel, stride, dilation in layers:
            spread = np.zeros((1, dilation * (kernel - 1) + 1))
            spread[0, ::dilation] = 1
            line = arithmetic.convolve(line, spread)[:, ::stride]
        seen[place] = line[0, 0]
    ends = np.flatnonzero(seen)
    assert ends[-1] - ends[0] + 1 == field


def test_bytes_do_not_overflow():
    image = np.full((3, 3), 255, np.uint8)
    assert arithmetic.convolve(image, np.ones((3, 3), np.uint8)) == 9 * 255


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 3, "kernel": 5}, "reaches over 5"),
        ({"n": 3, "kernel": 2, "stride": 0}, "stride: got 0"),
        ({"n": 3, "kernel": 2.5}, "kernel: got 2.5; allowed: whole numbers from 1"),
        ({"n": 3, "kernel": 2, "stride": True}, "stride: got True"),
        ({"n": 3, "kernel": 2, "padding": 0.5}, "padding: got 0.5"),
        ({"n": 3, "kernel": 2, "padding": -1}, "padding: got -1"),
        ({"n": 3, "kernel": 0}, "kernel: got 0"),
        ({"n": 3, "kernel": 2, "dilation": 3}, "reaches over 4"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        arithmetic.output_size(**arguments)


def test_shapes_that_do_not_belong_together_are_refused():
    with pytest.raises(UserError, match=r"\(4, 4, 3\).*\(2, 2, 1, 5\)"):
        arithmetic.convolve(np.zeros((4, 4, 3)), np.zeros((2, 2, 1, 5)))
    with pytest.raises(UserError, match=r"bias: got shape \(3, 1, 1\); allowed: one number, or one for each of 2"):
        arithmetic.convolve(np.zeros((5, 5, 1)), np.zeros((3, 3, 1, 2)), bias=np.zeros((3, 1, 1)))
    with pytest.raises(UserError, match="stride: got 0"):
        arithmetic.receptive_field([(3, 0, 1)])
    with pytest.raises(UserError, match=r"stride: got 1\.5"):
        arithmetic.max_pool(np.zeros((4, 4)), 2, 1.5)


def test_document_a_s_arithmetic():
    assert arithmetic.parameters(3, 3, 1, 32) == (320, "(3·3·1 + 1)·32 = 320")
    assert arithmetic.parameters(3, 3, 3, 32)[0] == 896


def test_document_b_s_and_d_s_arrays():
    declared = parameters.read(ROOT / "convolution.yaml")
    edges = arithmetic.convolve(np.array(declared["B"]["array"]), np.array(declared["B"]["kernel"]))
    assert edges.tolist() == [[-1, -4, -14], [6, -3, -13], [9, -6, -8]]
    outline = arithmetic.convolve(np.array(declared["D"]["array"]), np.array(declared["B"]["pictures"]["outline"]))
    assert outline.tolist() == [[68, 23, 30, -24], [-54, -19, 0, 6], [38, 8, -17, 27], [20, -47, -19, -13]]
    assert arithmetic.output_size(16, 2, stride=2, padding=1, dilation=4) == 7
    assert arithmetic.output_size(arithmetic.output_size(32, 3, 2, 1), 3, 2, 1) == 8
    assert arithmetic.receptive_field([(3, 1, 1), (3, 1, 1)]) == 5


X = [[56, 250, 116, 0], [0, 240, 144, 0], [0, 198, 150, 0], [0, 143, 241, 0]]


def test_document_a_s_x():
    x = np.array(X, np.uint8)
    valid = arithmetic.convolve(x, parameters.read(ROOT / "convolution.yaml")["A"]["kernel"])
    assert valid.tolist() == [[-1, 27], [-36, -36]]
    assert arithmetic.relu(valid + 100).tolist() == [[99, 127], [64, 64]]
    assert arithmetic.max_pool(x).tolist() == [[250, 144], [198, 241]]


def test_document_a_s_digit():
    mirror = Path(os.environ.get("REPLICA_MIRROR", "nowhere"), "mnist")
    if not mirror.is_dir():
        pytest.skip("the official digits are needed: REPLICA_MIRROR names no folder that has them")
    images = idx.parse(gzip.decompress((mirror / "train-images-idx3-ubyte.gz").read_bytes()), "images")
    turned = np.rot90(images[2], -1)
    assert turned[11:15, 11:15].tolist() == X
    kernel = np.array(parameters.read(ROOT / "convolution.yaml")["A"]["kernel"])
    for cells, seen in ((kernel, "vertical"), (kernel.T, "horizontal")):
        assert arithmetic.lines(np.rot90(arithmetic.relu(arithmetic.convolve(turned, cells) - 150))) == seen


def test_which_way_lines_run():
    stroke = np.zeros((9, 9))
    stroke[2:8, 4] = 1
    assert (arithmetic.lines(stroke), arithmetic.lines(stroke.T)) == ("vertical", "horizontal")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"biases": None}, "convolution.yaml: "),
        ({"image": 2.5}, "convolution.yaml: "),
        ({"kernel": [[1, 2], [3]]}, "convolution.yaml: "),
        ({"kernel": [[1] * 5] * 5}, "kernel: it reaches over 5 pixels; the padded image has 4"),
    ],
)
def test_a_wrong_parameter_is_one_line(tmp_path, change, message):
    declared = parameters.read(ROOT / "convolution.yaml")
    declared["A"].update(change)
    (tmp_path / "convolution.yaml").write_text(json.dumps(declared))
    folder = tmp_path / "data/processed/mnist"
    folder.mkdir(parents=True)
    (folder / "statistics.json").write_text('{"classes": [], "train": {"sha256": {}}, "test": {"sha256": {}}}')
    for part in ("x_train", "x_test"):
        np.save(folder / f"{part}.npy", np.zeros((3, 28, 28, 1), np.uint8))
        np.save(folder / f"{part.replace('x', 'y')}.npy", np.zeros(3, np.uint8))
    command = [sys.executable, "-m", "stages.convolution"]
    path = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: {message}")
    assert ran.stderr.count("\n") == 1


def test_the_stage_s_numbers_are_the_documents():
    file = ROOT / "metrics/convolution.json"
    if not file.exists():
        pytest.skip("metrics/convolution.json is made by `dvc repro convolution`")
    found = json.loads(file.read_text())
    assert {key: found["A"][key] for key in ("valid", "relu", "pooled", "parameters")} == {
        "valid": [[-1, 27], [-36, -36]], "relu": [[99, 127], [64, 64]], "pooled": [[250, 144], [198, 241]],
        "parameters": [320, 896],
    }  # fmt: skip
    assert found["D"]["sizes"] == [16, 8]
