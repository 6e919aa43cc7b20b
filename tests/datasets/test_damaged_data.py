"""What a damaged data/raw, an endless answer and an odd REPLICA_MIRROR get: one line, and no secret in it."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from pydantic import TypeAdapter
from server import Mirror
from tiny import MEMBERS, cifar

from replica.common.errors import UserError
from replica.datasets import kinds, mirrors, processed
from replica.datasets.declaration import Dataset


@pytest.mark.parametrize(
    ("name", "file"), [("mnist_5k", "mnist_5k.csv.gz"), ("photos10", "coffee.png"), ("spiral", "points.npy")]
)
@pytest.mark.parametrize("damage", [lambda content: content[:5000], lambda content: b"nonsense"], ids=["cut", "other"])
def test_a_damaged_raw_file_is_one_line(name, file, damage, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    kind, entry = kinds.declared(name)
    kind.fetch(name, entry, tmp_path, tmp_path)
    (tmp_path / file).write_bytes(damage((tmp_path / file).read_bytes()))
    with pytest.raises(UserError, match=rf"^{name}: .*; run `dvc repro --force download@{name}`$") as caught:
        kinds.decode(name, kind, entry, tmp_path)
    assert "\n" not in str(caught.value)


def test_a_batch_is_verified_before_it_is_unpickled(tmp_path):
    for name, content in {**MEMBERS, "data_batch_2": pickle.dumps({b"labels": []}, 4)}.items():
        (tmp_path / name).write_bytes(content)
    entry = TypeAdapter(Dataset).validate_python(
        {**cifar(MEMBERS), "folder": "tiny", "mirrors": ["https://example.org/"]}
    )
    with pytest.raises(UserError, match=r"data_batch_2 has the MD5 \w+, where \w+ was expected; run `dvc repro"):
        kinds.decode("tiny", kinds.KINDS["cifar10"], entry, tmp_path)


def test_an_answer_beyond_the_largest_is_refused(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(mirrors, "LARGEST", 1000)
    mirror = Mirror({"file.gz": bytes(1001), "fits.gz": bytes(1000)})
    try:
        assert mirrors.first("tiny", [mirror.url], "fits.gz", Path.read_bytes, timeout=(1, 1)) == bytes(1000)
        with pytest.raises(UserError, match=rf"{mirror.host}: an answer of more than 1000 bytes"):
            mirrors.first("tiny", [mirror.url], "file.gz", Path.read_bytes, timeout=(1, 1))
        assert mirror.asked == ["fits.gz", "file.gz"]
    finally:
        mirror.close()


@pytest.mark.parametrize(
    ("place", "named"),
    [
        ("http://user:secret@127.0.0.1:1/", "127.0.0.1:1: no connection"),
        ("http://[bad/", "[bad: Failed to parse"),
        ("/no/such/folder/", "/no/such/folder/: no such file"),
    ],
)
def test_a_mirror_is_named_without_its_password(place, named, capsys):
    with pytest.raises(UserError) as caught:
        mirrors.first("tiny", [place, place], "file.gz", Path.read_bytes, tries=1, timeout=(1, 1))
    for text in (str(caught.value), capsys.readouterr().err):
        assert named in text
        assert "secret" not in text


def test_moments_of_images_are_those_of_their_pixels():
    x = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), np.uint8)
    assert processed.moments(x) == {"mean": round(float(x.mean()), 6), "std": round(float(x.std()), 6)}
