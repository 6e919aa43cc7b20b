"""Pictures of one's own, asked about: what the network sees of them, and its probabilities."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trained
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from replica.commands.predict import digits, predict
from replica.common import arrays, parameters
from replica.common.errors import UserError
from replica.datasets.mirrors import BadFileError
from replica.training.trainer import Trainer


@pytest.fixture(scope="module")
def project(copied_from):
    """A folder with trained variants, the working folder of this module."""
    with contextlib.chdir(folder := copied_from(trained.make)):
        yield folder


def replica(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "replica", *words]
    environment = {**os.environ, "PYTHONPATH": str(trained.ROOT)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def written(folder: Path, images: np.ndarray, form: str = "png") -> list[str]:
    """Images as picture files."""
    files = [str(folder / f"{number}.{form}") for number in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file)
    return files


@pytest.mark.parametrize(("name", "dataset"), [("digits", "mnist_5k"), ("photos", "photos10")])
def test_the_test_images_as_files_get_the_probabilities_that_are_stored(name, dataset, project, tmp_path):
    data, count = arrays.load(dataset), 300
    found = predict.predict(name, written(tmp_path, data.x_test[:count]))
    stored = np.load(project / "models" / name / "seed-0/test.npy")[:count]
    got = np.array([[each["probabilities"][of] for of in data.classes] for each in found])
    np.testing.assert_allclose(got, stored, atol=2e-5)
    accuracy = np.mean([data.classes.index(each["class"]) == y for each, y in zip(found, data.y_test, strict=False)])
    assert accuracy == np.mean(stored.argmax(axis=1) == data.y_test[:count])
    assert list(found[0]["probabilities"].values()) == sorted(found[0]["probabilities"].values(), reverse=True)


@pytest.mark.parametrize("on_white", [True, False])
def test_digits_of_any_size_and_place_are_brought_to_mnist_s(on_white, project, tmp_path):
    """200 test digits 7 times as large, anywhere on a page: as many are recognized, give or take 2 in a hundred."""
    data, count, random = arrays.load("mnist_5k"), 200, np.random.default_rng(0)
    pages = []
    for image in data.x_test[:count]:
        page = Image.new("L", (320, 260))
        page.paste(Image.fromarray(image[..., 0]).resize((196, 196)), tuple(random.integers(0, (124, 64))))
        pages.append(np.asarray(page)[..., None] ^ (255 * on_white))
    found = predict.predict("digits", written(tmp_path, np.stack(pages).astype(np.uint8)))
    right = [data.classes.index(each["class"]) == y for each, y in zip(found, data.y_test, strict=False)]
    stored = np.load(project / "models/digits/seed-0/test.npy")[:count].argmax(axis=1) == data.y_test[:count]
    assert stored.mean() > 0.8
    assert abs(np.mean(right) - stored.mean()) <= 0.02


@settings(max_examples=40, deadline=None)
@given(
    size=st.tuples(st.integers(40, 300), st.integers(40, 300)),
    ends=st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=2, max_size=6, unique=True),
    dark=st.booleans(),
)
def test_a_normalized_digit_fills_its_box_and_lies_in_the_middle(size, ends, dark):
    image = Image.new("L", size, 230 if dark else 10)
    points = [(x * size[0], y * size[1]) for x, y in ends]
    ImageDraw.Draw(image).line(points, fill=20 if dark else 250, width=5)
    got = digits.normalize(image)
    assert got.shape == (28, 28, 1) and got.dtype == np.uint8
    sides = [np.ptp(np.flatnonzero(got[..., 0].any(axis=axis))) + 1 for axis in (0, 1)]
    assert max(sides) <= 20 and max(sides) >= 19
    weights = got[..., 0] / got.sum(dtype=float)
    centre = np.array([weights.sum(axis=1) @ np.arange(28), weights.sum(axis=0) @ np.arange(28)])
    inside = [at.min() > 0 and at.max() < 27 for at in np.nonzero(got[..., 0])]
    assert all(abs(centre - 14)[axis] <= 0.51 for axis in (0, 1) if inside[axis])


def test_an_image_of_mnist_s_size_is_only_turned_to_light_on_dark():
    image = np.random.default_rng(0).integers(0, 100, (28, 28), np.uint8)
    np.testing.assert_array_equal(digits.normalize(Image.fromarray(image))[..., 0], image)
    np.testing.assert_array_equal(digits.normalize(Image.fromarray(255 - image))[..., 0], image)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_page_without_a_digit_is_refused(level):
    noisy = np.clip(np.random.default_rng(0).normal(level, 2, (90, 60)), 0, 255).astype(np.uint8)
    specks = np.full((560, 560), level, np.uint8)
    specks[[40, 500], [500, 40]] = 255 - level
    for page in (Image.new("RGB", (50, 70), (level,) * 3), Image.fromarray(noisy), Image.fromarray(specks)):
        with pytest.raises(BadFileError, match="one even colour, and no digit on it"):
            digits.normalize(page)


@pytest.mark.parametrize(("units", "activation"), [(2, "softmax"), (2, None), (1, "tanh")])
def test_outputs_become_probabilities_as_in_training(units, activation):
    layers = ["Flatten", {"Dense": {"units": units, "activation": activation}}]
    loss = {"loss": "MeanSquaredError"} if units == 1 else {}
    x = np.random.default_rng(0).integers(0, 256, (9, 5, 4, 3), np.uint8)
    settings = {"kernels": "portable", "optimizer": "Adam", "epochs": 1, "batch_size": 32, "layers": layers, **loss}
    trainer = Trainer(settings, x, np.arange(9) % 2, 2, 0)
    asked = predict.Predictor.__new__(predict.Predictor)
    asked.model = trainer.model
    np.testing.assert_allclose(asked.probabilities(x), trainer.probabilities(x), atol=1e-6)


def test_feature_maps_are_the_convolutions_of_the_image(project):
    asked = predict.Predictor("digits")
    asked.load()
    image = arrays.load("mnist_5k").x_test[0]
    (first, a), (second, b) = asked.maps(image)
    assert (a.shape, b.shape) == ((4, 12, 12), (6, 10, 10)) and first != second
    kernel, bias = (weight.numpy() for weight in asked.model.get_layer(first).weights)
    corner = np.einsum("hwc,hwcf->f", image[:5, 2:7] / 255, kernel) + bias
    np.testing.assert_allclose(a[:, 0, 1], np.maximum(corner, 0), atol=1e-5)
    photos = predict.Predictor("photos")
    photos.load()
    assert list(photos.maps(arrays.load("photos10").x_test[0])) == []


def test_the_command_prints_a_line_a_picture_or_json(project, tmp_path, capsys):
    files = written(tmp_path, arrays.load("mnist_5k").x_test[:2], "gif")
    done = replica(project, "predict", "digits", *files, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [each["picture"] for each in found] == files
    assert all(abs(sum(each["probabilities"].values()) - 1) < 1e-4 for each in found)
    predict.show([{**found[0], "picture": "[b]odd[/b].png"}, found[1]], as_json=False)
    lines = capsys.readouterr().out.splitlines()
    for name, line in zip(("[b]odd[/b].png", files[1]), lines[1:], strict=True):
        assert re.fullmatch(re.escape(name) + r" +\d +\d+\.\d% +\d \d+\.\d%, \d \d+\.\d% *", line)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, ""),
        ({"variants": {"untrained": {"epochs": 9}}}, ""),
        ({"variants": {"digits": {"epochs": 4, "batch_size": 64}}}, "epochs, batch_size"),
        ({"variants": {"digits": {"optimizer": "SGD"}}}, "optimizer"),
        ({"networks": {"convolved": {"layers": {"0": {"Conv2D": {"activation": "tanh"}}}}}}, "layers"),
        ({"training": {"kernels": "native"}}, "kernels"),
    ],
)
def test_a_model_older_than_its_settings_says_which(changes, named, project, tmp_path, capsys):
    """The probabilities are the trained model's, whatever is declared by now."""
    files = written(tmp_path, arrays.load("mnist_5k").x_test[:1])
    before = Path("params.yaml").read_text()
    declared = parameters.read()
    try:
        Path("params.yaml").write_text(yaml.safe_dump(parameters.joined(declared, changes), sort_keys=False))
        (found,) = predict.predict("digits", files)
    finally:
        Path("params.yaml").write_text(before)
    line = f"digits: {named} in params.yaml changed after this model was trained; "
    line += "`dvc repro train@digits` trains it anew\n"
    assert capsys.readouterr().err == (line if named else "")
    stored = np.load(project / "models/digits/seed-0/test.npy")[0]
    assert max(found["probabilities"].values()) == pytest.approx(stored.max(), abs=2e-5)


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("untrained", "untrained: not trained yet; run `dvc repro train@untrained`"),
        ("digit", "variants: got 'digit', no variant of that name; did you mean digits? allowed: digits, photos, "),
        ("spiral", "spiral: trained on spiral, which are points, not pictures"),
    ],
)
def test_a_variant_that_cannot_answer_is_one_line(variant, message, project):
    with pytest.raises(UserError, match="^" + re.escape(message)) as caught:
        predict.predict(variant, ["x.png"])
    assert "\n" not in str(caught.value)


def test_every_file_that_is_no_picture_is_a_line(project, tmp_path):
    (tmp_path / "notes.txt").write_text("not a picture")
    Image.new("L", (99, 99), 200).save(tmp_path / "blank.png")
    good = written(tmp_path, arrays.load("mnist_5k").x_test[:1])
    files = [str(tmp_path / name) for name in ("notes.txt", "blank.png", "none.png")]
    done = replica(project, "predict", "digits", *good, *files, str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: {files[0]}: no PNG, JPEG, GIF, BMP or WEBP picture",
        f"error: {files[1]}: one even colour, and no digit on it",
        f"error: {files[2]}: no such file",
        f"error: {tmp_path}: a folder, where a picture was expected",
    ]


def test_a_variant_that_lacks_its_network_is_one_line(project):
    before = Path("params.yaml").read_text()
    declared = parameters.read()
    del declared["variants"]["digits"]["network"]
    try:
        Path("params.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
        with pytest.raises(UserError, match=r"^variants\.digits\.network: missing") as caught:
            predict.Predictor("digits")
    finally:
        Path("params.yaml").write_text(before)
    assert "\n" not in str(caught.value)


def test_a_model_that_diverged_is_one_line(project, tmp_path):
    weights = Path("models/digits/seed-0/model.weights.h5")
    good = weights.read_bytes()
    diverged = predict.Predictor("digits")
    diverged.load()
    diverged.model.set_weights([each * np.nan for each in diverged.model.get_weights()])
    try:
        diverged.model.save_weights(weights)
        with pytest.raises(UserError, match=r"^digits: its outputs are no numbers, as its training diverged") as caught:
            predict.predict("digits", written(tmp_path, arrays.load("mnist_5k").x_test[:1]))
    finally:
        weights.write_bytes(good)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", ["architecture.json", "model.weights.h5"])
def test_a_model_that_keras_refuses_is_one_line(file, project, tmp_path):
    run = min(Path("models/digits").glob("seed-*"))
    good = (run / file).read_bytes()
    pictures = written(tmp_path, arrays.load("mnist_5k").x_test[:1])
    try:
        (run / file).write_bytes(good[: len(good) // 2])
        with pytest.raises(UserError, match=rf"^{run}: damaged, .* delete {run} and run `dvc repro --force") as caught:
            predict.predict("digits", pictures)
        assert "\n" not in str(caught.value)
    finally:
        (run / file).write_bytes(good)
