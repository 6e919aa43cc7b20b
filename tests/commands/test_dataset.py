"""Data of one's own: a folder of images and an .npz file, looked at, declared, and refused where they will not do."""

from __future__ import annotations

import io
import os
import pickle
import re
import shutil
import struct
import subprocess
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, small
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from replica.commands import dataset
from replica.common import parameters, reader
from replica.common.errors import UserError
from replica.datasets import checks, kinds, npz, own, pictures
from replica.datasets.mirrors import BadFileError
from replica.report import cards
from replica.schema import check

CLASSES = {"daisy": 12, "rose": 8, "tulip": 5}


def draw(seed: int, size: tuple[int, int] = (10, 8), grey: bool = False) -> Image.Image:
    """A picture of noise, its width before its height."""
    width, height = size
    shape = (height, width) if grey else (height, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def grow(root: Path, backwards: bool = False) -> Path:
    """A folder of pictures by class: PNG and JPEG, in the order given or the other."""
    every = [(name, number) for name, count in CLASSES.items() for number in range(count)]
    for name, number in reversed(every) if backwards else every:
        (root / name).mkdir(parents=True, exist_ok=True)
        draw(100 * len(name) + number).save(root / name / f"{number}.{'jpg' if number % 3 else 'PNG'}")
    (root / "README.md").write_text("where they are from\n")
    (root / "rose/.DS_Store").write_text("of a file manager\n")
    return root


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A project's folder with its two files of declarations, and own/flowers in it."""
    for name in ("params.yaml", "datasets.yaml"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    grow(tmp_path / "own/flowers")
    return tmp_path


def declare(name: str, path: str | Path, update: bool = False, kind: str | None = None, **given: object) -> str:
    return dataset.declare(name, str(path), update, kind, given)


def entry(name: str) -> dict:
    return parameters.read("datasets.yaml")["datasets"][name]


def fetched(name: str, folder: Path) -> dict[str, np.ndarray]:
    """The dataset as the stages make it."""
    kind, declared = kinds.declared(name)
    folder.mkdir()
    kind.fetch(name, declared, folder, folder)
    arrays = kinds.decode(name, kind, declared, folder)
    checks.check(name, declared, arrays)
    return arrays


# A folder of images


def test_one_block_is_added_and_no_other_line_changes(place):
    before = (place / "datasets.yaml").read_text()
    said = declare("flowers", "own/flowers")
    after = (place / "datasets.yaml").read_text()
    assert after.startswith(f"{before}  flowers:\n    kind: images\n")
    assert "    classes: [daisy, rose, tulip]\n" in after
    assert "datasets.flowers: 3 classes, 20 training and 5 test images of 8×10×3" in said
    check.check(parameters.declared())
    assert entry("flowers")["path"] == "own/flowers"
    assert cards.origin(entry("flowers")) == "own"


def test_the_variant_it_prints_is_one(place):
    for name, shape in (("flowers", [8, 10, 3]), ("larger", [32, 32, 1])):
        said = declare(name, "own/flowers", shape=shape)
        variant = re.search(rf"(?s)\n(  {name}_\w+: .*?)\n\n", said)[1]
        text = (place / "params.yaml").read_text().replace("variants:\n", f"variants:\n{variant}\n", 1)
        check.check({**parameters.declared(), **yaml.load(text, reader.Loader)})
    assert declare("flowers", "own/flowers", update=True, shape=[32, 32, 1]).endswith("$ dvc repro preprocess@flowers")


def test_pictures_become_the_arrays_declared(place):
    declare("flowers", "own/flowers")
    arrays = fetched("flowers", place / "raw")
    assert {key: array.shape for key, array in arrays.items()} == {
        "x_train": (20, 8, 10, 3), "y_train": (20,), "x_test": (5, 8, 10, 3), "y_test": (5,),
    }  # fmt: skip
    assert all(array.dtype == np.uint8 for array in arrays.values())
    assert [np.bincount(arrays[f"y_{part}"]).tolist() for part in ("train", "test")] == [[10, 6, 4], [2, 2, 1]]
    whole = {image.tobytes() for split in ("train", "test") for image in arrays[f"x_{split}"]}
    for name in CLASSES:
        for file in (place / "own/flowers" / name).glob("*.*g"):
            assert np.asarray(Image.open(file)).tobytes() in whole, file
    assert not (np.diff(arrays["y_train"].astype(int)) >= 0).all(), "a validation set would be the last class alone"
    assert not (place / "raw/rose/.DS_Store").exists()


def test_the_same_pictures_written_in_another_order_are_the_same_data(place, tmp_path):
    declare("flowers", "own/flowers")
    declare("again", grow(tmp_path / "own/again", backwards=True))
    first, second = entry("flowers"), entry("again")
    assert first.pop("path") != second.pop("path") and first == second


def test_the_hash_is_what_the_docs_say_it_is(place):
    (place / "own/flowers/rose-red").mkdir()
    for number in range(2):
        draw(number).save(place / f"own/flowers/rose-red/{number}.png")
    declare("flowers", "own/flowers")
    command = re.search(r"cd own/flowers && .*", (ROOT / "docs/datasets.md").read_text())[0]
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert entry("flowers")["files"] == done.stdout.split()[0]


def test_folders_train_and_test_are_the_split(place):
    for split, numbers in (("train", range(4)), ("test", range(4, 6))):
        for name in ("cat", "dog"):
            (place / "own/pets" / split / name).mkdir(parents=True)
            for number in numbers:
                draw(number, grey=True).save(place / "own/pets" / split / name / f"{number}.png")
    declare("pets", "own/pets")
    assert "test_share" not in entry("pets") and entry("pets")["shape"] == [8, 10, 1]
    arrays = fetched("pets", place / "raw")
    assert arrays["y_test"].tolist() == [0, 0, 1, 1] and sorted(arrays["y_train"].tolist()) == [0] * 4 + [1] * 4
    np.testing.assert_array_equal(arrays["x_test"][..., 0], [np.asarray(draw(n, grey=True)) for n in (4, 5, 4, 5)])
    with pytest.raises(UserError, match="comes split into train and test; leave out --test-share"):
        declare("others", "own/pets", test_share=0.5)


@given(
    st.lists(st.integers(2, 30), min_size=2, max_size=6), st.floats(0.01, 0.99), st.integers(0, 99), st.randoms()
)  # fmt: skip
def test_a_split_has_every_class_in_both_parts(counts, share, seed, random):
    y = np.repeat(np.arange(len(counts)), counts)
    y = y[random.sample(range(len(y)), len(y))]
    train, test = own.divide(y, share, seed)
    assert sorted([*train, *test]) == list(range(len(y)))
    held = np.bincount(y[test], minlength=len(counts))
    assert [min(max(round(n * share), 1), n - 1) for n in counts] == held.tolist()


def test_each_class_is_split_by_a_draw_of_its_own():
    """Or pictures that were taken side by side, one of each class, would all be held back together."""
    y = np.repeat([0, 1], 50)
    held = own.divide(y, 0.4, 0)[1]
    assert set(held[held < 50]) != set(held[held >= 50] - 50)


def bomb() -> bytes:
    """A PNG of a few bytes that claims 60,000 × 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def cut(folder: Path) -> None:
    (folder / "rose/0.PNG").write_bytes((folder / "rose/0.PNG").read_bytes()[:90])


def gif(folder: Path) -> None:
    draw(0).save(folder / "rose/0.PNG", format="gif")


def only(count: int):
    def spoil(folder: Path) -> None:
        for file in sorted((folder / "rose").iterdir())[count:]:
            file.unlink()

    return spoil


def link(folder: Path) -> None:
    (folder.parent / "secret.png").write_bytes((folder / "rose/0.PNG").read_bytes())
    (folder / "rose/s.png").symlink_to("../../secret.png")


def link_of_a_class(folder: Path) -> None:
    grow(folder.parent / "elsewhere")
    (folder / "lily").symlink_to("../elsewhere/rose")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "own/flowers/rose/0.PNG: a damaged picture (image file is truncated"),
        (gif, "own/flowers/rose/0.PNG: no PNG or JPEG picture"),
        (lambda f: (f / "rose/0.PNG").write_bytes(bomb()), "own/flowers/rose/0.PNG: a picture of more than 50,000,"),
        (lambda f: (f / "rose/0.PNG").write_bytes(b""), "own/flowers/rose/0.PNG: no PNG or JPEG picture"),
        (lambda f: (f / "rose/x.pkl").write_bytes(pickle.dumps(1)), "own/flowers/rose/x.pkl: no PNG or JPEG file, and"),
        (lambda f: (f / "rose/more").mkdir(), "own/flowers/rose/more: no PNG or JPEG file, and nothing else may"),
        (lambda f: draw(0).save(f / "lost.png"), "own/flowers/lost.png: in no class's folder"),
        (lambda f: draw(0, (9, 9)).save(f / "rose/9.png"), "own/flowers: pictures from 10×8 to 9×9; say what to"),
        (lambda f: draw(0, (9, 9)).save(f / "rose/\n.png"), "own/flowers/rose: '\\n.png', a name that"),
        (only(0), "own/flowers/rose: no picture of this class"),
        (only(1), "own/flowers/rose: no picture of this class"),
        (only(2), "own/flowers: 1 of the class rose, where 2 at least were expected"),
        (link, "own/flowers/rose/s.png: a link that leads out of own/flowers"),
        (link_of_a_class, "own/flowers/lily/0.PNG: a link that leads out of own/flowers"),
        (lambda f: os.mkfifo(f / "rose/9.png"), "own/flowers/rose/9.png: no PNG or JPEG file"),
        (lambda f: (f / "rose").rename(f / "a\nb"), "own/flowers: the class 'a\\nb', a name that cannot be printed"),
        (lambda f: shutil.move(f / "rose", f.parent), None),
        (lambda f: [shutil.rmtree(f / name) for name in ("rose", "tulip")], "own/flowers: 1 classes, where 2 to 256"),
    ],
)  # fmt: skip
def test_a_folder_that_will_not_do_is_one_line_that_names_the_file(spoil, message, place):
    before = (place / "datasets.yaml").read_bytes()
    spoil(place / "own/flowers")
    if message is None:  # still a dataset, of two classes
        declare("flowers", "own/flowers")
        return
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        declare("flowers", "own/flowers")
    assert "\n" not in str(caught.value)
    assert (place / "datasets.yaml").read_bytes() == before


def test_a_picture_may_have_so_many_pixels(monkeypatch):
    monkeypatch.setattr(pictures, "LARGEST", 80)
    assert read(draw(0)).shape == (8, 10, 3)
    monkeypatch.setattr(pictures, "LARGEST", 79)
    with pytest.raises(BadFileError, match=r"^x: a picture of more than 79 pixels$"):
        read(draw(0))


# What a picture is read as


def read(image: Image.Image, form: str = "png", **options: object) -> np.ndarray:
    content = io.BytesIO()
    image.save(content, form, **options)
    return np.asarray(pictures.read(io.BytesIO(content.getvalue()), "x"))


@pytest.mark.parametrize(
    ("kind", "mode"),
    [*(("PNG", mode) for mode in ("L", "LA", "RGB", "RGBA", "P", "I;16", "1")), ("JPEG", "L"), ("JPEG", "RGB")],
)
def test_a_large_picture_read_smaller_looks_the_same(kind, mode):
    x, y = np.meshgrid(np.linspace(0, 255, 300), np.linspace(0, 255, 200))
    smooth = Image.fromarray(np.stack([x, y, 255 - x, 255 - y / 2], -1).astype(np.uint8))
    if mode == "I;16":
        made = Image.fromarray((x * 256).astype(np.uint16))
    else:
        made = smooth.convert("RGB").quantize(256) if mode == "P" else smooth.convert(mode)
    turned, content = Image.Exif(), io.BytesIO()
    turned[0x0112] = 6
    made.save(content, kind, exif=turned)
    whole, small = (pictures.read(content, "it", enough=enough) for enough in (None, 50))
    assert whole.size == (200, 300) and small.size == (50, 75) and whole.mode == small.mode
    expected = np.asarray(whole.reduce(4), int)
    assert np.abs(expected - np.asarray(small, int)).max() <= 4
    assert pictures.read(content, "it", enough=150).size == (200, 300)


def test_pictures_are_read_as_they_are_shown():
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    clear.putpixel((1, 0), (10, 20, 30, 255))
    assert read(clear).tolist() == [[[255, 255, 255], [10, 20, 30]]]
    turned = Image.new("L", (4, 2))
    turned.putpixel((3, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by a quarter, clockwise
    assert read(turned, exif=exif).tolist() == [[0, 0], [0, 0], [0, 0], [0, 255]]
    deep = Image.fromarray(np.array([[0, 256, 40_000, 65_535]], np.uint16))
    assert read(deep).tolist() == [[0, 1, 156, 255]]
    assert read(Image.fromarray(np.array([[True, False]]))).tolist() == [[255, 0]]
    palette = Image.new("P", (1, 1))
    palette.putpalette([9, 8, 7])
    assert read(palette).tolist() == [[[9, 8, 7]]]


@settings(max_examples=30, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40), channels=st.sampled_from([1, 3]), seed=st.integers(0, 9))
def test_fitting_keeps_what_has_the_size_and_crops_the_middle(width, height, channels, seed):
    image = draw(seed, (width, height), grey=channels == 1)
    same = pictures.fit(image, (height, width, channels))
    np.testing.assert_array_equal(same.reshape(np.asarray(image).shape), np.asarray(image))
    assert pictures.fit(image, (7, 9, channels)).shape == (7, 9, channels)
    sides = Image.new("L", (90, 30), 0)
    sides.paste(200, (30, 0, 60, 30))
    middle = pictures.fit(sides, (10, 10, channels))[:, 2:-2]  # the filter sees a little beyond the edge
    assert np.abs(middle.astype(int) - 200).max() <= 1


# An array file


def arrays(n: int = 12, size: tuple[int, ...] = (5, 4), classes: int = 2) -> dict[str, np.ndarray]:
    return {
        "x": np.random.default_rng(n).integers(0, 256, (n, *size), np.uint8),
        "y": np.arange(n) % classes,
    }


def split(**other: np.ndarray) -> dict[str, np.ndarray]:
    train, test = arrays(12), arrays(6)
    made = {"x_train": train["x"], "y_train": train["y"], "x_test": test["x"], "y_test": test["y"]}
    return made | other


@pytest.mark.parametrize("size", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_arrays_to_be_split(size, place):
    made = arrays(20, size)
    np.savez_compressed("letters.npz", **made)
    declare("letters", "letters.npz", test_share=0.25, seed=7, classes=["a", "b"])
    got = fetched("letters", place / "raw")
    assert entry("letters")["kind"] == "arrays" and entry("letters")["classes"] == ["a", "b"]
    assert got["x_train"].shape == (16, *(*size, 1)[:3]) and len(got["x_test"]) == 4
    whole = {image.tobytes(): label for image, label in zip(made["x"], made["y"], strict=True)}
    for part in ("train", "test"):
        for image, label in zip(got[f"x_{part}"], got[f"y_{part}"], strict=True):
            assert whole[image.tobytes()] == label


def test_an_update_keeps_the_names_one_gave_and_no_others(place):
    np.savez("letters.npz", **arrays(20))
    declare("numbered", "letters.npz")
    declare("named", "letters.npz", classes=["a", "b"])
    np.savez("letters.npz", **arrays(24))
    declare("named", "letters.npz", update=True)
    assert entry("named")["classes"] == ["a", "b"]
    np.savez("letters.npz", **arrays(30, classes=3))
    declare("numbered", "letters.npz", update=True)
    assert entry("numbered")["classes"] == ["0", "1", "2"]
    with pytest.raises(UserError, match="labels from 0 to 2, and 2 names for them; say which with --classes"):
        declare("named", "letters.npz", update=True)
    np.savez("letters.npz", **split())
    declare("numbered", "letters.npz", update=True)
    assert "test_share" not in entry("numbered")


def test_arrays_that_come_split_under_names_of_their_own(place):
    made = split(y_train=arrays(12)["y"][:, None].astype(np.uint8))
    np.savez("letters.npz", **{key.replace("x_", "images_"): array for key, array in made.items()}, more=np.zeros(3))
    with pytest.raises(
        UserError, match=r"letters.npz: holds images_train, y_train, images_test, y_test, more, where x"
    ):
        declare("letters", "letters.npz")
    names = {"x_train": "images_train", "x_test": "images_test"}
    declare("letters", "letters.npz", names=names)
    assert entry("letters")["names"] == names and "test_share" not in entry("letters")
    got = fetched("letters", place / "raw")
    np.testing.assert_array_equal(got["x_test"][..., 0], made["x_test"])
    np.testing.assert_array_equal(got["y_test"], made["y_test"])


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"x": arrays()["x"] / 255, "y": arrays()["y"]}, "x is float64, where images are uint8, from 0 to 255"),
        ({"x": arrays()["x"], "y": arrays()["y"] * 1.0}, "y is float64, where labels are integers from 0"),
        ({"x": arrays()["x"], "y": np.eye(2, dtype=int)[arrays()["y"]]}, "y's shape is (12, 2), where (n,) was"),
        ({"x": arrays()["x"], "y": arrays()["y"] - 1}, "y goes from -1 to 0, where 0 to 255 may stand"),
        ({"x": arrays()["x"], "y": arrays()["y"] + 255}, "y goes from 255 to 256, where 0 to 255 may stand"),
        ({"x": arrays()["x"], "y": arrays()["y"] * 2}, "0 of the class 1, where 2 at least were expected"),
        ({"x": arrays()["x"], "y": arrays()["y"] * 0}, "1 classes, where 2 to 256 were expected"),
        ({"x": arrays()["x"][1:], "y": arrays()["y"]}, "11 images and 12 labels"),
        ({"x": arrays()["x"][:0], "y": arrays()["y"][:0]}, "x's shape is (0, 5, 4), where (n, h, w)"),
        ({"x": arrays()["x"][0], "y": arrays()["y"]}, "x's shape is (5, 4), where (n, h, w), (n, h, w, 1) or"),
        ({"x": arrays(12, (5, 4, 2))["x"], "y": arrays()["y"]}, "x's shape is (12, 5, 4, 2), where"),
        ({"x": arrays()["x"].astype(object), "y": arrays()["y"]}, "x holds Python's objects, where images are"),
        ({"x": arrays()["x"]}, "holds x, where x, y or x_train, y_train, x_test, y_test were expected"),
        (split(y_test=np.zeros(6, int)), "test: 0 of the class 1, where 1 at least were expected"),
        (split(x_test=arrays(6, (4, 4))["x"]), "x_test's shape is (6, 4, 4, 1), where x_train's is (12, 5, 4, 1)"),
    ],
)
def test_arrays_that_will_not_do_are_one_line(made, message, place):
    np.savez("letters.npz", **made)
    with pytest.raises(UserError, match="^replica dataset: letters.npz: " + re.escape(message)) as caught:
        declare("letters", "letters.npz")
    assert "\n" not in str(caught.value)


def test_nothing_is_unpickled_and_nothing_fills_the_memory(place, monkeypatch):
    class Attack:
        def __reduce__(self) -> tuple:
            return (Path("attacked").touch, ())

    content = pickle.dumps(Attack())
    Path("a.npz").write_bytes(content)
    with zipfile.ZipFile("b.npz", "w") as packed:
        packed.writestr("x.npy", content)
        packed.writestr("y.npy", content)
    np.savez("c.npz", x=np.array([Attack()]), y=np.arange(1))
    Path("d.npz").write_bytes(b"")
    for name in ("a", "b", "c", "d"):
        with pytest.raises(UserError, match=f"{name}.npz: (no .npz file of plain arrays|x holds Python)"):
            declare("letters", f"{name}.npz")
    assert not Path("attacked").exists()
    monkeypatch.setattr(npz, "LARGEST", 1000)
    np.savez_compressed("e.npz", x=np.zeros((9, 50, 50), np.uint8), y=np.arange(9))
    with pytest.raises(UserError, match=r"e.npz: 22,\d+ bytes unpacked, 1,000 at most"):
        declare("letters", "e.npz")


def packed(file: str, x: bytes, compression: int = zipfile.ZIP_DEFLATED) -> None:
    """An .npz file with these bytes for x, and 12 labels."""
    labels = io.BytesIO()
    np.save(labels, arrays()["y"])
    with zipfile.ZipFile(file, "w", compression) as made:
        made.writestr("x.npy", x)
        made.writestr("y.npy", labels.getvalue())


def array_file(shape: str, descr: str = "|u1", version: bytes = b"\1\0", held: int = 100) -> bytes:
    """A .npy file whose header says `shape`."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return b"\x93NUMPY" + version + length + header + bytes(held)


@pytest.mark.parametrize(
    ("x", "compression", "message"),
    [
        (array_file("(1000000, 1000, 1000)"), 8, "x says 1000000×1000×1000 of uint8, 1,000,000,000,000 bytes, and h"),
        (array_file("(12, 3, 3)", held=10**7), 8, "x says 12×3×3 of uint8, 108 bytes, and holds 10,000,000"),
        (array_file("(1, 1, 100)", version=b"\2\0"), 8, "x has a header of version 2.0, where 1.0 was expected"),
        (array_file("(10**9,)"), 8, "no .npz file of plain arrays"),
        (array_file("(12500000,)", "<f8", held=10**8), 8, "x is float64, where images are uint8"),
        (array_file("(100000000,)", held=10**8), 8, "x's shape is (100000000,), where (n, h, w)"),
        (array_file("(1, 10, 10)"), zipfile.ZIP_BZIP2, "x is packed otherwise than by np.savez"),
        (array_file("(1, 10, 10)"), zipfile.ZIP_LZMA, "x is packed otherwise than by np.savez"),
    ],
)  # fmt: skip
def test_an_array_is_held_to_its_header_before_it_is_read(x, compression, message, place):
    packed("letters.npz", x, compression)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="^replica dataset: letters.npz: " + re.escape(message)) as caught:
            declare("letters", "letters.npz")
        assert tracemalloc.get_traced_memory()[1] < 5 * 10**6
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)


def test_a_directory_of_very_many_members_is_not_read(place):
    with zipfile.ZipFile("letters.npz", "w") as made:
        for number in range(20_000):
            made.writestr(f"a-member-with-a-name-{number}.npy", b"")
    with pytest.raises(UserError, match=r"letters.npz: a header of more than 1,048,576 bytes"):
        declare("letters", "letters.npz")


@pytest.mark.parametrize("kind", ["arrays", "images"])
def test_a_pipe_is_no_data(kind, place):
    os.mkfifo("letters.npz")
    with pytest.raises(UserError, match=r"letters.npz: no (file, as arrays|folder, as images)"):
        declare("letters", "letters.npz", kind=kind)
    with pytest.raises(BadFileError, match=r"letters.npz: no regular file"):
        pictures.read(Path("letters.npz"), "letters.npz")


# datasets.yaml


def test_an_update_changes_its_own_lines_alone(place):
    declare("flowers", "own/flowers")
    file = place / "datasets.yaml"
    text = file.read_text().replace("    kind: images\n", "    # from the garden\n    kind: images  # 25 of them\n")
    more = "  # two more\n  twin: {kind: spiral, seed: 1}  # small\n  last:\n    noise: 0.50\n# the end\n"
    file.write_text(text + more)
    before = file.read_text().splitlines()
    draw(99).save(place / "own/flowers/rose/0.PNG")
    assert "changed in datasets.yaml" in declare("flowers", "own/flowers", update=True)
    after = file.read_text().splitlines()
    changed = [line.split(":")[0].strip() for line in before if line not in after]
    assert len(before) == len(after) and set(changed) <= {"files", "x_train", "y_train", "x_test", "y_test"}
    assert "files" in changed
    assert not file.with_suffix(".part").exists()


def test_names_that_yaml_would_take_for_something_else_stay_names(place):
    names = ["no", "1e3", "12", "null", "~", "1:30", "2024-01-01", "a, b", "it's", "# c"]
    for name in names:
        shutil.copytree("own/flowers/daisy", f"off/{name}")
    declare("odd", "off")
    assert entry("odd")["classes"] == sorted(names) and entry("odd")["path"] == "off"
    shutil.move("off", "no")
    declare("odd", "no", update=True)
    assert entry("odd")["path"] == "no"
    check.check(parameters.declared())
    fetched("odd", place / "raw")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets: [", "datasets.yaml: not YAML: "),
        ("datasets: 3\n", "datasets: got 3; should be a valid dictionary"),
        ("datasets: {a: {b: 1, b: 2}}\n", "datasets.yaml: b: stands on line 1 and on line 1"),
    ],
)
def test_a_file_that_an_entry_cannot_go_into_stays_as_it_is(text, message, place):
    Path("datasets.yaml").write_text(text)
    with pytest.raises(UserError, match=f"^{message}"):
        declare("flowers", "own/flowers")
    assert Path("datasets.yaml").read_text() == text


@pytest.mark.parametrize("text", ["", "# none yet\n", "datasets:\n", "datasets: {}\n"])
def test_the_first_entry_of_a_file(text, place):
    Path("datasets.yaml").write_text(text)
    declare("flowers", "own/flowers")
    assert list(parameters.read("datasets.yaml")["datasets"]) == ["flowers"]
    assert kinds.declared("flowers")[1].classes == list(CLASSES)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("mnist", {}, "datasets.mnist: declared already; take another name, or --update where the data changed"),
        ("mnist", {"update": True}, "datasets.mnist: of the kind idx, which is not one's own data"),
        ("mist", {"update": True}, "replica dataset --update: got 'mist', no dataset of that name; did you mean mnist"),
        ("a/b", {}, "replica dataset: got the name 'a/b'; allowed: up to 100 letters, digits and _, a letter first"),
        ("f" * 101, {}, f"replica dataset: got the name '{'f' * 79}; allowed: up to 100 letters"),
        ("flowers", {"kind": "image"}, "replica dataset: --kind: got 'image', no kind of that name; did you mean"),
        ("flowers", {"kind": "arrays"}, "replica dataset: own/flowers: no file, as arrays are in"),
        ("flowers", {"path": "own/flower"}, "replica dataset: own/flower: no such file or folder"),
        ("flowers", {"classes": ["a", "b", "c"]}, "replica dataset: --classes: for an .npz file; a class of"),
        ("flowers", {"names": {"x": "x"}}, "replica dataset: --names: for an .npz file; a class of"),
        ("flowers", {"test_share": 0.0}, "datasets.flowers.test_share: got 0.0; should be greater than 0"),
        ("flowers", {"test_share": 1.5}, "datasets.flowers.test_share: got 1.5; should be less than 1"),
        ("flowers", {"test_share": float("nan")}, "datasets.flowers.test_share: got nan; should be"),
        ("flowers", {"test_share": float("inf")}, "datasets.flowers.test_share: got inf; should be"),
    ],
)  # fmt: skip
def test_what_may_not_be_declared(name, given, message, place):
    before = (place / "datasets.yaml").read_bytes()
    with pytest.raises(UserError, match="^" + re.escape(message)):
        declare(name, **{"path": "own/flowers", **given})
    assert (place / "datasets.yaml").read_bytes() == before


def test_the_longest_name_is_one_that_the_check_takes(place):
    declare("f" * 100, "own/flowers")
    check.check(parameters.declared())


def test_a_class_named_twice_is_refused(place):
    np.savez("letters.npz", **split())
    before = (place / "datasets.yaml").read_bytes()
    with pytest.raises(UserError, match=r"^replica dataset: letters\.npz: two classes are called cat; say a name"):
        declare("letters", "letters.npz", classes=["cat", "cat"])
    assert (place / "datasets.yaml").read_bytes() == before


def test_the_command_line_s_words():
    assert dataset.settings("32,16,3", 0.1, 4, "x=a,y=b", "cat, dog") == {
        "shape": [32, 16, 3], "test_share": 0.1, "seed": 4, "names": {"x": "a", "y": "b"}, "classes": ["cat", "dog"],
    }  # fmt: skip
    for shape in ("32", "32,32", "32,32,2", "0,32,3", "a,b,c", "32,32,3,"):
        with pytest.raises(UserError, match=r"--shape: got '.*'; allowed: height,width,channels"):
            dataset.settings(shape, None, None, None, None)
    for classes in ("a,,b", "a,b,", " ,a", ""):
        with pytest.raises(UserError, match=f"--classes: got '{classes}'; allowed: a name a class, such as cat,dog"):
            dataset.settings(None, None, None, None, classes)
    with pytest.raises(UserError, match="--names: got 'X', no array of that name"):
        dataset.settings(None, None, None, "X=a", None)


# A change of the files


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: draw(99).save(folder / "rose/0.PNG"),
        lambda folder: draw(99).save(folder / "rose/99.png"),
        lambda folder: (folder / "rose/0.PNG").unlink(),
        lambda folder: (folder / "rose/0.PNG").rename(folder / "daisy/99.png"),
    ],
)
def test_a_change_is_noticed_and_taken_over_by_an_update(change, place, tmp_path):
    declare("flowers", "own/flowers", seed=5, shape=[6, 6, 1])
    before = entry("flowers")
    dataset.check_own(parameters.declared())
    change(place / "own/flowers")
    message = (
        "flowers: own/flowers has changed since it was declared: run `replica dataset flowers own/flowers --update`"
    )
    with pytest.raises(UserError, match="^" + re.escape(message) + "$"):
        dataset.check_own(parameters.declared())
    kind, declared = kinds.declared("flowers")
    (tmp_path / "raw").mkdir()
    with pytest.raises(UserError, match="^" + re.escape(message) + "$"):
        kind.fetch("flowers", declared, tmp_path / "raw", tmp_path / "raw")
    assert declare("flowers", "own/flowers", update=True).endswith("$ dvc repro preprocess@flowers")
    after = entry("flowers")
    assert after["files"] != before["files"] and (after["seed"], after["shape"]) == (5, [6, 6, 1])
    dataset.check_own(parameters.declared())
    assert declare("flowers", "own/flowers", update=True) == "flowers: as it is declared already"


def test_data_that_are_elsewhere_are_needed_by_the_first_download_alone(place, tmp_path):
    declare("flowers", "own/flowers")
    np.savez("letters.npz", **arrays(20))
    declare("letters", "letters.npz")
    for name in ("flowers", "letters"):
        fetched(name, tmp_path / f"kept-{name}")
    shutil.rmtree(place / "own")
    Path("letters.npz").unlink()
    dataset.check_own(parameters.declared())
    for name, path in (("flowers", "own/flowers"), ("letters", "letters.npz")):
        kind, declared = kinds.declared(name)
        kept, again = tmp_path / f"kept-{name}", tmp_path / f"again-{name}"
        again.mkdir()
        kind.fetch(name, declared, again, kept)
        checks.check(name, declared, kinds.decode(name, kind, declared, again))
        damaged = next(file for file in kept.rglob("*") if file.is_file())
        damaged.write_bytes(damaged.read_bytes()[:-1])
        for there in (kept, tmp_path / "none"):
            with pytest.raises(UserError, match=rf"^{name}: {path}: no such file or folder; put it there, or set data"):
                kind.fetch(name, declared, again, there)


def test_raw_data_of_another_decoding_say_how_to_declare_them_anew(place):
    declare("flowers", "own/flowers")
    _, declared = kinds.declared("flowers")
    arrays = fetched("flowers", place / "raw")
    with pytest.raises(UserError, match=r"x_test's SHA-256 is .*; run `replica dataset flowers own/flowers --update`$"):
        checks.check("flowers", declared, arrays | {"x_test": arrays["x_test"] ^ 1})


# Through DVC


@pytest.mark.slow
def test_from_a_folder_to_a_trained_variant_and_a_change(tmp_path):
    project = small(tmp_path)
    grow(tmp_path / "own/flowers")
    said = project.run("replica", "dataset", "flowers", "own/flowers").stdout
    params = tmp_path / "params.yaml"
    printed = re.search(r"(?s)\n(  flowers_mlp: .*?)\n\n", said)[1].replace("epochs: 10", "epochs: 1")
    params.write_text(params.read_text().replace("variants:\n", f"variants:\n{printed}\n", 1))
    commands = re.findall(r"(?m)^\$ (.*)$", said)
    assert commands == ["dvc repro preprocess@flowers", "dvc repro evaluate@flowers_mlp", "replica table flowers_mlp"]
    ran = ["download@flowers", "preprocess@flowers", "train@flowers_mlp", "evaluate@flowers_mlp"]
    assert project.repro("evaluate@flowers_mlp") == ran
    assert "flowers_mlp" in project.run("replica", "table", "flowers_mlp").stdout
    draw(99).save(tmp_path / "own/flowers/rose/3.PNG")
    done = project.run("replica", "check", check=False)
    assert done.returncode == 1 and "error: flowers: own/flowers has changed since it was declared" in done.stdout
    assert project.run("replica", "check", DVC_STAGE="train@flowers_mlp").stdout == "", "a stage uses the copy"
