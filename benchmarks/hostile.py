"""Hostile files at the doors that a user's files come in by: seconds, peak memory, and what is said of each.

    python -m benchmarks.hostile [WORD ...]      all, or those whose names hold one of the words: a few minutes

Each file is put into a clone of the last commit, and the command runs on it in a process of its own, which may take
8 GB of addresses at most; rows of good files are there to compare. It ends with 1 where a hostile file was let in, or
what came out was a traceback or more than one line.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from itertools import chain, repeat
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from benchmarks.load import environment

ROOT = Path(__file__).parent.parent
ADDRESSES = 8 * 2**30
MODEL = "photos10_linear"
CHECK = "-m replica check"
MNIST, CIFAR10 = "-m stages.download mnist", "-m stages.download cifar10"
ARRAYS = "-m replica dataset hostile own.npz"
PICTURES = "-m replica dataset hostile own --shape 8,8,3"
DIGITS, ARCHIVE = "mnist/train-images-idx3-ubyte.gz", "cifar10/cifar-10-python.tar.gz"
PREDICT = f"-m replica predict {MODEL} picture.png"


def deflated(pieces: Iterable[bytes], wbits: int = 31) -> bytes:
    """Compressed by zlib piece by piece: with a gzip header, or bare (-15), or zlib's own (15)."""
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join(packer.compress(piece) for piece in pieces) + packer.flush()


def zeros(megabytes: int) -> Iterable[bytes]:
    return (bytes(2**20) for _ in range(megabytes))


def params(text: str) -> Callable[[], object]:
    return lambda: Path("params.yaml").write_text(text)


def bomb() -> str:
    """Nine lists, each of nine of the one before."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    return "\n".join(
        lines + [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    )


def of_network(**changed: object) -> Callable[[], object]:
    def write() -> None:
        declared = yaml.safe_load(Path("params.yaml").read_text())
        declared["variants"][MODEL].update(changed)
        Path("params.yaml").write_text(yaml.safe_dump(declared))

    return write


def mirrored(name: str, pieces: Iterable[bytes] | None) -> Callable[[], object]:
    """A file on a mirror, of pieces to pack or a page, whose MD5 datasets.yaml gives for every file of its dataset."""

    def write() -> None:
        place = Path("mirror", name)
        content = b"<html>Not found</html>" if pieces is None else deflated(pieces)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        facts = yaml.safe_load(Path("datasets.yaml").read_text())
        digests = facts["datasets"][place.parent.name]["md5"]
        digests.update(dict.fromkeys(digests, hashlib.md5(content).hexdigest()))
        facts["datasets"][place.parent.name]["mirrors"] = ["http://127.0.0.1:9/"]  # where nobody answers
        Path("datasets.yaml").write_text(yaml.safe_dump(facts))

    return write


def lying() -> None:
    Path("data/raw/mnist").mkdir(parents=True)
    Path("data/raw/mnist/train-images-idx3-ubyte").write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 28, 28))


def tar_header(name: str, **attributes: object) -> bytes:
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


def npz(array: Iterable[bytes], members: int = 0) -> Callable[[], object]:
    """Arrays x, as these bytes, and y; and so many members more."""

    def write() -> None:
        labels = io.BytesIO()
        np.save(labels, np.arange(12))
        with zipfile.ZipFile("own.npz", "w", zipfile.ZIP_DEFLATED) as file:
            with file.open("x.npy", "w", force_zip64=True) as member:
                for piece in array:
                    member.write(piece)
            file.writestr("y.npy", labels.getvalue())
            for number in range(members):
                file.writestr(f"a-member-with-a-name-{number}.npy", b"")

    return write


def npy(shape: str) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header


def png(width: int, height: int) -> bytes:
    """A black picture of 8 bits a pixel."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = deflated((bytes(1 + width) for _ in range(height)), 15)
    head = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def picture(side: int, cut: int | None = None) -> Callable[[], object]:
    return lambda: Path("picture.png").write_bytes(png(side, side)[:cut])


def pictures(side: int | None = None) -> Callable[[], object]:
    """A folder of two classes, and one picture more of so many pixels squared."""

    def write() -> None:
        for name in ("cat", "dog"):
            Path("own", name).mkdir(parents=True)
            for number in range(5):
                noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(noise).save(Path("own", name, f"{number}.png"))
        if side is not None:
            Path("own/cat/hostile.png").write_bytes(png(side, side))

    return write


def architecture(spoil: Callable[[dict], object]) -> Callable[[], object]:
    def write() -> None:
        good_picture()
        for file in Path("models", MODEL).glob("seed-*/architecture.json"):
            network = json.loads(file.read_text())
            spoil(network["config"]["layers"][-1])
            file.write_text(json.dumps(network))

    return write


def good_picture() -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save("picture.png")


def call(layer: dict) -> None:
    layer["config"]["activation"] = {
        "module": "os", "class_name": "function", "config": "system", "registered_name": "function",
    }  # fmt: skip


CASES: dict[str, tuple[str, Callable[[], object] | None]] = {
    "params.yaml, as committed": (CHECK, None),
    "params.yaml of 100,000 brackets": (CHECK, params("[" * 100_000)),
    "params.yaml of 100,000 lists in each other": (CHECK, params("- " * 100_000)),
    "params.yaml of 9⁹ words by aliases": (CHECK, params(bomb())),
    "params.yaml that stands inside itself": (CHECK, params("a: &x [*x]")),
    "params.yaml with a number of 5,000 digits": (CHECK, params("a: " + "9" * 5000)),
    "params.yaml of 200 MB": (CHECK, params("a: " + "x" * 200_000_000)),
    "params.yaml of 660,000 words": (CHECK, params("a: [" + "x, " * 660_000 + "]")),
    "params.yaml, an output of 10⁹ units": (CHECK, of_network(network={"layers": [{"Dense": {"units": 10**9}}]})),
    "dvc.lock of 9⁹ words by aliases, put back": ("-m replica repair", lambda: Path("dvc.lock").write_text(bomb())),
    "MNIST, a page for a file": (MNIST, mirrored(DIGITS, None)),
    "MNIST, 2 GB of zeros in 2 MB": (MNIST, mirrored(DIGITS, zeros(2048))),
    "MNIST, a header that says 1.7 TB": ("-m stages.preprocess mnist", lying),
    "CIFAR-10, 2 GB of zeros in 2 MB": (
        CIFAR10, mirrored(ARCHIVE, chain([tar_header("x", size=2**31)], zeros(2048))),
    ),
    "CIFAR-10, 500,000 members": (CIFAR10, mirrored(ARCHIVE, repeat(tar_header("m"), 500_000))),
    "CIFAR-10, an extended header of 1 GB": (
        CIFAR10, mirrored(ARCHIVE, chain([tar_header("x", type=tarfile.XHDTYPE, size=2**30)], zeros(1024))),
    ),
    ".npz, 1 GB of zeros in 1 MB": (ARRAYS, npz(chain([npy("(12, 3, 3)")], zeros(1024)))),
    ".npz, a header that says 1 TB": (ARRAYS, npz([npy("(1000000, 1000, 1000)")])),
    ".npz of 200,000 members": (ARRAYS, npz([npy("(12, 3, 3)"), bytes(108)], 200_000)),
    "pictures that are good": (PICTURES, pictures()),
    "a picture of 30,000 × 30,000 in 1 MB": (PICTURES, pictures(30_000)),
    "a picture of 7,000 × 7,000, which is allowed": (PICTURES, pictures(7000)),
    "a picture to predict": (PREDICT, good_picture),
    "a picture to predict of 30,000 × 30,000": (PREDICT, picture(30_000)),
    "a picture to predict that ends in the middle": (PREDICT, picture(7000, 500)),
    "an architecture that calls a shell": (PREDICT, architecture(call)),
    "an architecture of 10⁹ units": (PREDICT, architecture(lambda layer: layer["config"].update(units=10**9))),
}  # fmt: skip
GOOD = [name for name in CASES if name.endswith((", as committed", "are good", "to predict", "is allowed", "put back"))]


# The peak memory of a process counts from its parent's when it is forked: the parent has to be a small one.
SMALL = f"""
import resource, subprocess, sys, time
resource.setrlimit(resource.RLIMIT_AS, ({ADDRESSES}, {ADDRESSES}))
began = time.monotonic()
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def measured(folder: Path, words: str) -> tuple[int, float, float, str]:
    """Exit status, seconds, peak memory in MB, and the errors of a command."""
    done = subprocess.run(
        [sys.executable, "-c", SMALL, sys.executable, *words.split()],
        cwd=folder, env={**environment(folder), "REPLICA_MIRROR": str(folder / "mirror")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    status, seconds, peak = done.stdout.split()
    return int(status), float(seconds), int(peak) / 1000, done.stderr.strip()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("words", nargs="*", metavar="WORD")
    given = options.parse_args()
    wrong = []
    print("| file | command | seconds | peak, MB | what it says |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as parent:
        trained = Path(parent, "trained")
        subprocess.run(["git", "clone", "-q", str(ROOT), str(trained)], check=True)
        train = [sys.executable, "-m", "replica", "repro", f"evaluate@{MODEL}"]
        subprocess.run(train, cwd=trained, env=environment(trained), check=True, capture_output=True)
        for name, (command, write) in CASES.items():
            if given.words and not any(word in name for word in given.words):
                continue
            folder = Path(shutil.copytree(trained, Path(parent, "project"), symlinks=True))
            os.chdir(folder)
            if write is not None:
                write()
            status, seconds, peak, text = measured(folder, command)
            errors = [line for line in text.splitlines() if line.startswith("error: ")]
            if "Traceback" in text or len(errors) != (name not in GOOD) or (status == 0) != (name in GOOD):
                wrong.append(f"{name}: {status} {text}")
            told = re.search(r"project/mirror/\S+ (.*?)(; next|$)|error: (.*)", text)
            words = (told[1] or told[3])[:90] if told else "-"
            print(f"| {name} | `{command[3:]}` | {seconds:.1f} | {peak:,.0f} | {words} |", flush=True)
            os.chdir(parent)
            shutil.rmtree(folder)
    sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
