"""Truncated, altered and hostile files of MNIST and CIFAR-10 are refused by name before they are used."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import struct
import subprocess
import tarfile
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import ARCHIVE, DIGITS, MEMBERS, archive, cifar, idx_file, md5, member, python2, zipped

from replica.common.errors import UserError
from replica.datasets import cifar10, idx, kinds
from replica.datasets.declaration import Cifar10
from replica.datasets.mirrors import BadFileError


def altered(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


# MNIST's files

LABELS = idx_file(DIGITS["y_test"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Not found</html>", "labels.gz is no whole gzip file"),
        (b"", "labels.gz has the MD5"),
        (zipped(LABELS)[:-9], "labels.gz is no whole gzip file"),
        (altered(zipped(LABELS), -6), "labels.gz is no whole gzip file"),
        (
            zipped(altered(LABELS, -1)),
            f"labels.gz has the MD5 {md5(altered(LABELS, -1))} unpacked, where {md5(LABELS)}",
        ),
        (zipped(bytes(10**6)), "labels.gz unpacks to more than 1000 bytes"),
    ],
    ids=["bad gzip", "empty", "truncated", "altered", "wrong MD5", "bomb"],
)
def test_a_bad_gzip_file_is_refused_by_name(content, message, tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "LARGEST", 1000)
    (tmp_path / "labels.gz").write_bytes(content)
    with pytest.raises(BadFileError, match=re.escape(message)):
        idx.unpack(tmp_path / "labels.gz", md5(LABELS))


def test_a_bomb_is_not_held_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(idx, "LARGEST", 1000)
    (tmp_path / "labels.gz").write_bytes(zipped(bytes(2 * 10**7)))
    tracemalloc.start()
    try:
        with pytest.raises(BadFileError):
            idx.unpack(tmp_path / "labels.gz", md5(LABELS))
        assert tracemalloc.get_traced_memory()[1] < 10**6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "labels does not begin as an IDX file"),
        (pickle.dumps([1]), "labels does not begin as an IDX file"),
        (b"\0\0\x0d\1" + LABELS[4:], "labels does not begin as an IDX file"),
        (b"\0\0\x08\0", "labels does not begin as an IDX file"),
        (LABELS[:6], "labels ends inside its header"),
        (LABELS[:-1], "labels says 4, and holds 3 bytes"),
        (LABELS + b"\0", "labels says 4, and holds 5 bytes"),
        (struct.pack(">BBBB4I", 0, 0, 8, 4, *[2**16] * 4), "labels says 65536×65536×65536×65536, and holds 0 bytes"),
    ],
    ids=["empty", "pickle", "floats", "no sides", "header cut", "short", "long", "overflow"],
)
def test_what_is_not_idx_is_refused_by_name(content, message):
    with pytest.raises(BadFileError, match=re.escape(message)):
        idx.parse(content, "labels")


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_idx_of_any_shape(shape, random):
    array = np.frombuffer(random.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
    np.testing.assert_array_equal(idx.parse(idx_file(array), "any"), array)


# CIFAR-10's archive

EXPECTED = {name: md5(content) for name, content in MEMBERS.items()}
PACKED = archive(MEMBERS)
TAR = gzip.decompress(PACKED)
DEFLATE = zlib.compressobj(wbits=31)
NO_BLOCK = DEFLATE.compress(TAR[:20_000]) + DEFLATE.flush(zlib.Z_FULL_FLUSH) + b"\xff" * 100
LINK = {"type": tarfile.SYMTYPE}


@pytest.fixture
def packed(tmp_path):
    """`packed(content)` unpacks an archive in a folder of its own."""

    def unpack(content: bytes) -> dict[str, bytes]:
        (tmp_path / "inside").mkdir(exist_ok=True)
        (tmp_path / "inside" / ARCHIVE).write_bytes(content)
        return cifar10.unpack(tmp_path / "inside" / ARCHIVE, EXPECTED)

    return unpack


def test_the_wanted_members_and_no_more_are_unpacked(packed, tmp_path):
    members = packed(
        archive({**MEMBERS, "readme.html": b"<html>"}, member("cifar-10-batches-py", type=tarfile.DIRTYPE))
    )
    assert members == MEMBERS
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == [ARCHIVE]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Not found</html>", "is no whole tar archive"),
        (b"", "is no whole tar archive"),
        (zipped(b"no tar archive" * 100), "is no whole tar archive"),
        (PACKED[:-2000], "is no whole tar archive"),
        (PACKED[: len(PACKED) // 2], "is no whole tar archive"),
        (altered(PACKED, len(PACKED) // 2), ""),
        (NO_BLOCK, "is no whole tar archive"),
        (altered(zipped(TAR[: 6 * 7168]), -6), "is no whole tar archive (CRC check failed"),
        (archive(dict(list(MEMBERS.items())[1:])), "has no member data_batch_1"),
        (archive({**MEMBERS, "test_batch": b"?"}), f"'s test_batch has the MD5 {md5(b'?')}, where "),
        (archive({**MEMBERS, "test_batch": bytes(10**6)}), "has a test_batch of 1000000 bytes"),
        (archive(MEMBERS, member("../test_batch", size=1)), "no file or folder below it: '../test_batch'"),
        (archive(MEMBERS, member("a/../../x", size=1)), "no file or folder below it: 'a/../../x'"),
        (archive(MEMBERS, member("/etc/x", size=1)), "no file or folder below it: '/etc/x'"),
        (archive(MEMBERS, member("x", linkname="/etc/passwd", **LINK)), "no file or folder below it: 'x'"),
        (archive(MEMBERS, member("x", linkname="../../x", **LINK)), "no file or folder below it: 'x'"),
        (archive(MEMBERS, member("x", type=tarfile.LNKTYPE, linkname="../x")), "no file or folder below it: 'x'"),
        (archive(MEMBERS, member("x", type=tarfile.CHRTYPE)), "no file or folder below it: 'x'"),
        (
            archive(dict(list(MEMBERS.items())[1:]), member("a/data_batch_1", linkname="data_batch_2", **LINK)),
            "no file or folder below it: 'a/data_batch_1'",
        ),
    ],
)  # fmt: skip
def test_a_bad_archive_is_refused_by_name(content, message, packed, monkeypatch):
    monkeypatch.setattr(cifar10, "LARGEST", 100_000)
    with pytest.raises(BadFileError) as caught:
        packed(content)
    assert str(caught.value).startswith(ARCHIVE)
    assert message in str(caught.value)


def refused_or_the_same(unpack, path, content, expected, place):
    path.write_bytes(altered(content, place % len(content)))
    try:
        assert unpack(path, expected[0]) == expected[1]
    except BadFileError as error:
        assert path.name in str(error)


@settings(max_examples=100, deadline=None)
@given(place=st.integers(min_value=0))
def test_any_altered_byte_is_refused_or_harmless(place, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    refused_or_the_same(cifar10.unpack, folder / ARCHIVE, PACKED, (EXPECTED, MEMBERS), place)
    refused_or_the_same(idx.unpack, folder / "labels.gz", zipped(LABELS), (md5(LABELS), LABELS), place)


# CIFAR-10's pickles


class Call:
    """Pickles as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def declared(members: dict[str, bytes]) -> Cifar10:
    return Cifar10.model_validate({**cifar(members), "folder": "tiny", "mirrors": ["https://example.org/"]})


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("nested", [False, True])
def test_a_pickle_that_calls_a_function_is_refused_though_its_md5_is_right(protocol, nested, tmp_path):
    ran = tmp_path / "ran"
    call = Call(os.system, f"touch {ran}")
    hostile = pickle.dumps({"labels": [call]} if nested else call, protocol)
    pickle.loads(hostile)
    assert ran.exists()  # unpickled as it stands, it would run
    ran.unlink()

    members = {**MEMBERS, "data_batch_3": hostile}
    for name, content in members.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(
        UserError, match=r"^tiny: .*data_batch_3: a pickle asks for (posix|nt)\.system, where only arrays"
    ):
        kinds.decode("tiny", cifar10, declared(members), tmp_path)
    assert not ran.exists()


def test_a_batch_altered_after_its_download_is_not_unpickled(tmp_path):
    for name, content in MEMBERS.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "test_batch").write_bytes(altered(MEMBERS["test_batch"], -500))
    with pytest.raises(UserError, match=r"test_batch has the MD5 \w{32}, where \w{32} was expected"):
        kinds.decode("tiny", cifar10, declared(MEMBERS), tmp_path)


@pytest.mark.parametrize(
    "call",
    [
        Call(eval, "1"),
        Call(getattr, "x", "upper"),
        Call(subprocess.Popen, ["true"]),
        Call(np.load, "x"),
        Call(np.ndarray.tofile, np.zeros(1), "x"),
    ],
)
def test_only_arrays_are_unpickled(call):
    with pytest.raises(BadFileError, match=r"^batch: a pickle asks for .*, where only arrays may stand$"):
        cifar10.unpickle(pickle.dumps({"data": call}), "batch")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "batch is no pickle (Ran out of input)"),
        (MEMBERS["test_batch"][:-3000], "batch is no pickle (pickle data was truncated)"),
        (b"\xff", "batch is no pickle (invalid load key"),
        (pickle.dumps([1, 2], 2), "batch holds a list, where a dictionary was expected"),
        (b"\x80\2Papple\n.", "batch is no pickle"),
    ],
)
def test_what_is_no_pickled_batch_is_refused_by_name(content, message):
    with pytest.raises(BadFileError, match="^" + re.escape(message)):
        cifar10.unpickle(content, "batch")


def test_arrays_lists_strings_and_numbers_are_unpickled():
    rows = np.arange(6, dtype=np.uint8).reshape(2, 3)
    batch = cifar10.unpickle(python2(rows, [1, 0]), "batch")
    np.testing.assert_array_equal(batch[b"data"], rows)
    assert batch[b"labels"] == [1, 0]


ROW = np.zeros((1, 3072), np.uint8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (pickle.dumps({b"data": [[0] * 3072], b"labels": [0]}, 4), "its data are no rows of 3,072 bytes"),
        (python2(ROW, [0]).replace(b"data", b"date"), "its data are no rows of 3,072 bytes"),
        (python2(ROW, [0]).replace(b"u1", b"i1"), "its data are no rows of 3,072 bytes"),
        (python2(ROW[:, 1:], [0]), "its data are no rows of 3,072 bytes"),
        (python2(ROW, [0]).replace(b"labels", b"lables"), "its labels are no list of numbers from 0 to 255"),
        (python2(ROW, [256]), "its labels are no list of numbers from 0 to 255"),
        (python2(ROW, [-1]), "its labels are no list of numbers from 0 to 255"),
    ],
)
def test_a_batch_of_something_else_is_one_line_though_its_md5_is_right(batch, message, tmp_path):
    members = {**MEMBERS, "data_batch_3": batch}
    for name, content in members.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=f"^tiny: .*data_batch_3: {message}"):
        kinds.decode("tiny", cifar10, declared(members), tmp_path)


def test_headers_that_lie_are_one_line_though_their_md5_are_right(tmp_path):
    lying = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 28, 28) + bytes(28 * 28)
    for file, _ in idx.ARRAYS.values():
        (tmp_path / file).write_bytes(lying)
    (tmp_path / "lying.gz").write_bytes(zipped(lying))
    assert idx.unpack(tmp_path / "lying.gz", md5(lying)) == lying
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte says 2147483648×28×28, and holds 784 bytes"):
        kinds.decode("tiny", idx, None, tmp_path)


# Archives that would fill the memory


def tar_of(*headers: bytes) -> bytes:
    """A gzipped tar file that begins with these blocks."""
    return zipped(b"".join(headers))


def pax(size: int) -> bytes:
    """The header of an extended header of so many bytes."""
    return member("pax", type=tarfile.XHDTYPE, size=size).tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tar_of(*[member(f"m/{number}").tobuf() for number in range(5000)]), "more than 100 members and extended"),
        (tar_of(*[pax(512) + b"12 path=abc\n".ljust(512, b"\0")] * 5000), "more than 100 members and extended"),
        (tar_of(pax(2**30), bytes(10**8)), "has a header of more than 65,536 bytes"),
        (tar_of(member("x", size=2**30).tobuf(), bytes(10**6)), "unpacks to more than 268,435,456 bytes"),
    ],
    ids=["members", "headers", "header", "bytes"],
)  # fmt: skip
def test_a_tar_bomb_is_refused_before_it_fills_the_memory(content, message, packed):
    tracemalloc.start()
    try:
        with pytest.raises(BadFileError, match=rf"{ARCHIVE}.* {message}"):
            packed(content)
        assert tracemalloc.get_traced_memory()[1] < 3 * 10**6
    finally:
        tracemalloc.stop()
