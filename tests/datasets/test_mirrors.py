"""What comes from mirrors that serve well, or as badly as networks do, and what a failed download leaves."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT
from server import Mirror
from tiny import ARCHIVE, DIGITS, IDX, IDX_FILES, IDX_SERVED, MEMBERS, OBJECTS, archive, cifar, idx_file

from replica.common import arrays
from replica.common.errors import UserError
from replica.datasets import idx, kinds, mirrors
from replica.datasets.mirrors import BadFileError
from stages import download, preprocess

Serve = Callable[..., Mirror]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """`serve(files, *manners)` starts a mirror, and the test's end stops it; no mirror of one's own is set."""
    monkeypatch.delenv("REPLICA_MIRROR", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with contextlib.ExitStack() as stack:

        def start(files: dict[str, bytes], *manners: str) -> Mirror:
            mirror = Mirror(files, *manners)
            stack.callback(mirror.close)
            return mirror

        yield start


FILE = b"the whole file, from its first byte to its last"


def whole(path: Path) -> bytes:
    """What `use` may be: the file's content, refused where a byte is another."""
    if (content := path.read_bytes()) != FILE:
        raise BadFileError(f"{path.name} is altered")
    return content


def fetch(places: list[str], tries: int = 1) -> bytes:
    return mirrors.first("tiny", places, "file.gz", whole, tries=tries, timeout=(1, 1))


FAILURES = {
    "cut": "broke off",
    "drop": "broke off",
    "stall": "no answer in time",
    "corrupt": "file.gz is altered",
    "404": "HTTP 404",
    "500": "HTTP 500",
}


@pytest.mark.parametrize(("manner", "failure"), FAILURES.items())
def test_the_next_mirror_is_used_and_a_line_says_so(manner, failure, serve, capsys):
    bad, good = serve({"file.gz": FILE}, manner), serve({"file.gz": FILE})
    assert fetch([bad.url, good.url]) == FILE
    assert capsys.readouterr().err == f"tiny: file.gz failed at {bad.host}: {failure}; next, {good.host}\n"


def test_a_redirection_is_followed(serve, capsys):
    good = serve({"file.gz": FILE})
    assert fetch([serve({}, good.url).url]) == FILE
    assert capsys.readouterr().err == ""


def test_redirections_without_end_are_a_failure(serve):
    mirror = serve({"file.gz": FILE})
    mirror.manners = [mirror.url]
    with pytest.raises(UserError, match=rf"{mirror.host}: Exceeded 30 redirects"):
        fetch([mirror.url])


def test_one_message_when_all_are_dead(serve, tmp_path):
    dead = {manner: serve({"file.gz": FILE}, manner) for manner in FAILURES}
    gone = serve({})
    gone.close()
    with pytest.raises(UserError) as caught:
        fetch([f"{tmp_path}/", gone.url, *(mirror.url for mirror in dead.values())])
    message = str(caught.value)
    assert "\n" not in message
    assert f"{tmp_path}/: no such file; {gone.host}: no connection; " in message
    for manner, mirror in dead.items():
        assert f"{mirror.host}: {FAILURES[manner]}" in message
    assert "REPLICA_MIRROR" in message
    assert "`make sample`" in message


@pytest.mark.parametrize("manner", ["cut", "drop", "500"])
def test_a_mirror_that_breaks_off_is_asked_again(manner, serve, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    mirror = serve({"file.gz": FILE}, manner, manner, "well")
    assert fetch([mirror.url], tries=3) == FILE
    assert len(mirror.asked) == 3


@pytest.mark.parametrize("manner", ["404", "corrupt"])
def test_a_mirror_without_the_right_file_is_asked_once(manner, serve):
    mirror = serve({"file.gz": FILE}, manner)
    with pytest.raises(UserError):
        fetch([mirror.url], tries=3)
    assert len(mirror.asked) == 1


def test_an_answer_without_end_is_refused(serve, monkeypatch):
    monkeypatch.setattr(mirrors, "LARGEST", len(FILE) - 1)
    with pytest.raises(UserError, match=f"an answer of more than {len(FILE) - 1} bytes"):
        fetch([serve({"file.gz": FILE}).url])
    monkeypatch.setattr(mirrors, "LARGEST", len(FILE))
    assert fetch([serve({"file.gz": FILE}).url]) == FILE


@pytest.mark.parametrize("manner", ["drip", "drip head"])
def test_a_mirror_of_a_byte_now_and_then_is_given_up(manner, serve, monkeypatch, capsys):
    monkeypatch.setattr(mirrors, "WINDOW", 0.3)
    slow, good = serve({"file.gz": FILE * 100}, manner), serve({"file.gz": FILE})
    began = time.monotonic()
    assert fetch([slow.url, good.url], tries=3) == FILE
    assert time.monotonic() - began < 3
    assert f"{slow.host}: less than 4,096 bytes a second in 0.3 seconds; next" in capsys.readouterr().err
    assert slow.asked == ["file.gz"]
    monkeypatch.setattr(mirrors, "DEADLINE", 0.2)
    with pytest.raises(UserError, match=r"not whole after 0\.2 seconds"):
        fetch([slow.url])


def small_chunks(init: Callable[..., None]) -> Callable[..., None]:
    return lambda self, **options: init(self, chunk_size=1, **options)


def test_a_mirror_that_is_slow_and_not_too_slow_is_waited_for(serve, monkeypatch):
    monkeypatch.setattr(mirrors, "WINDOW", 0.3)
    monkeypatch.setattr(mirrors, "LEAST", 2)
    monkeypatch.setattr(mirrors.Downloader, "__init__", small_chunks(mirrors.Downloader.__init__))
    assert fetch([serve({"file.gz": FILE}, "drip").url]) == FILE


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_regular_file_is_not_read(kind, tmp_path):
    file = tmp_path / "file.gz"
    if kind == "pipe":
        os.mkfifo(file)
    else:
        file.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=rf"{re.escape(str(file))}: no regular file"):
        fetch([f"{tmp_path}/"])
    with pytest.raises(UserError, match=r"file.gz: no regular file; run `dvc repro --force download@tiny`"):
        kinds.decode("tiny", idx, None, tmp_path)


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_download_told_to_end_leaves_no_temporary_folder(told, serve, declare, tmp_path):
    slow = serve(IDX_SERVED, "stall")
    declare(IDX, slow)
    (tmp_path / "temporary").mkdir()
    running = subprocess.Popen(
        [sys.executable, "-m", "stages.download", "tiny"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "temporary"),
             "DVC_STAGE": "download@tiny"}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not slow.asked:
        assert running.poll() is None
        time.sleep(0.01)
    assert listed("temporary") and listed("data/raw") == [".tiny"]
    running.send_signal(told)
    _, said = running.communicate(timeout=4)
    assert running.returncode != 0 and "Traceback" not in said
    assert listed("temporary") == [] and listed("data/raw") == []


def test_no_password_is_shown(serve, capsys):
    mirror = serve({})
    address = mirror.url.replace("://", "://me:secret@")
    with pytest.raises(UserError, match=f"file.gz: {mirror.host}: HTTP 404; {mirror.host}: HTTP 404") as caught:
        fetch([address, address])
    assert "secret" not in str(caught.value) + capsys.readouterr().err


def test_a_bar_on_a_terminal(serve, monkeypatch):
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", screen)
    assert fetch([serve({"file.gz": FILE}).url]) == FILE
    assert "100%" in screen.getvalue()


def test_ones_own_mirror_comes_first(serve, tmp_path, monkeypatch):
    own, public = serve({"tiny/file.gz": FILE}), serve({"file.gz": FILE})
    folder = tmp_path / "own"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / "file.gz").write_bytes(FILE)
    for address in (own.url, own.url.rstrip("/"), str(folder), f"{folder}/", f"file://{folder}"):
        monkeypatch.setenv("REPLICA_MIRROR", address)
        places = mirrors.sources("tiny", [public.url])
        assert fetch(places) == FILE
        assert places == [f"{address.rstrip('/')}/tiny/", public.url]
    assert (len(own.asked), len(public.asked)) == (2, 0)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert fetch(["~/own/tiny/"]) == FILE
    monkeypatch.setenv("REPLICA_MIRROR", str(tmp_path))
    assert fetch(mirrors.sources("tiny", [public.url])) == FILE
    assert len(public.asked) == 1


# The stages


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`declare(entry, *mirrors)` writes a datasets.yaml of one dataset, `tiny`, in a folder that becomes the cwd."""
    monkeypatch.chdir(tmp_path)

    def write(entry: dict, *places: Mirror) -> None:
        tiny = {**entry, "folder": "tiny", "mirrors": [place.url for place in places]}
        Path("datasets.yaml").write_text(yaml.safe_dump({"datasets": {"tiny": tiny}}))

    return write


def raw() -> dict[str, bytes]:
    """The files that lie in data/raw, by path."""
    return {
        str(file.relative_to("data/raw")): file.read_bytes() for file in Path("data/raw").rglob("*") if file.is_file()
    }


@pytest.mark.parametrize(
    ("entry", "served", "expected"),
    [(IDX, IDX_SERVED, DIGITS), (cifar(MEMBERS), {ARCHIVE: archive(MEMBERS)}, OBJECTS)],
    ids=["idx", "cifar10"],
)
def test_from_mirror_to_arrays(entry, served, expected, serve, declare):
    declare(entry, serve(served))
    download.main("tiny")
    preprocess.main("tiny")
    loaded = arrays.load("tiny")
    for key, array in expected.items():
        np.testing.assert_array_equal(getattr(loaded, key), array)
    assert loaded.classes == ["even", "odd"]


def listed(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def test_a_download_that_fails_leaves_the_old_files(serve, declare, tmp_path):
    good = serve(IDX_SERVED)
    declare(IDX, good)
    download.main("tiny")
    before = raw()
    assert before == {f"tiny/{file}": content for file, content in IDX_FILES.items()}

    # Two files are to be fetched, and the first comes well: there is something to leave half-written.
    Path("data/raw/tiny/train-images-idx3-ubyte").unlink()
    Path("data/raw/tiny/train-labels-idx1-ubyte").write_bytes(b"damaged")
    before = raw()
    altered = serve(IDX_SERVED, "well", "corrupt")
    missing = serve({file: content for file, content in IDX_SERVED.items() if "train-images" in file})
    declare(IDX, altered, missing)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "REPLICA_MIRROR": str(tmp_path / "own")}
    command = [sys.executable, "-m", "stages.download", "tiny"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    *lines, error = done.stderr.splitlines()
    assert all(line.startswith("tiny: ") and "; next, 127.0.0.1:" in line for line in lines)
    assert len(lines) == 3
    assert error.startswith("error: tiny: no mirror served train-labels-idx1-ubyte.gz: ")
    assert f"{tmp_path}/own/tiny/: no such file; {altered.host}: train-labels-idx1-ubyte.gz " in error
    assert f"{missing.host}: HTTP 404. " in error
    assert raw() == before
    assert listed("data/raw") == ["tiny"]


def test_a_first_download_that_fails_leaves_nothing(serve, declare):
    declare(IDX, serve(IDX_SERVED, "well", "404"))
    with pytest.raises(UserError):
        download.main("tiny")
    assert listed("data/raw") == []


def test_what_an_interrupted_download_left_is_not_used(serve, declare):
    Path("data/raw/.tiny").mkdir(parents=True)
    Path("data/raw/.tiny/left-over").write_bytes(b"half")
    declare(IDX, serve(IDX_SERVED))
    download.main("tiny")
    assert sorted(raw()) == sorted(f"tiny/{file}" for file in IDX_FILES)


KINDS = pytest.mark.parametrize(
    ("entry", "served", "files"),
    [(IDX, IDX_SERVED, IDX_FILES), (cifar(MEMBERS), {ARCHIVE: archive(MEMBERS)}, MEMBERS)],
    ids=["idx", "cifar10"],
)


@KINDS
def test_where_every_checksum_holds_no_connection_is_opened(entry, served, files, serve, declare, monkeypatch):
    mirror = serve(served)
    declare(entry, mirror)
    download.main("tiny")
    Path("data/raw/tiny/left-over").write_bytes(b"of another version")
    asked = len(mirror.asked)

    def refuse(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr("socket.socket.connect", refuse)
    download.main("tiny")
    assert raw() == {f"tiny/{file}": content for file, content in files.items()}
    assert len(mirror.asked) == asked
    Path("data/raw/tiny", next(iter(files))).unlink()
    with pytest.raises(AssertionError, match="a connection"):
        download.main("tiny")


@KINDS
def test_a_file_that_is_damaged_or_gone_is_fetched_anew_and_no_other(entry, served, files, serve, declare):
    declare(entry, serve(served))
    download.main("tiny")
    for spoil in (lambda file: file.write_bytes(file.read_bytes()[:-1] + b"x"), Path.unlink):
        mirror = serve(served)
        declare(entry, mirror)
        name = list(files)[2]
        spoil(Path("data/raw/tiny", name))
        download.main("tiny")
        assert raw() == {f"tiny/{file}": content for file, content in files.items()}
        assert mirror.asked == [f"{name}.gz" if f"{name}.gz" in served else ARCHIVE]


def test_a_kill_while_it_fetches_loses_nothing(serve, declare):
    declare(IDX, serve(IDX_SERVED))
    download.main("tiny")
    Path("data/raw/tiny/train-labels-idx1-ubyte").unlink()
    before = raw()
    slow = serve(IDX_SERVED, "stall")
    declare(IDX, slow)
    running = subprocess.Popen(
        [sys.executable, "-m", "stages.download", "tiny"], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    while not slow.asked:
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()
    running.wait()
    assert {name: content for name, content in raw().items() if name.startswith("tiny/")} == before
    good = serve(IDX_SERVED)
    declare(IDX, good)
    download.main("tiny")
    assert good.asked == ["train-labels-idx1-ubyte.gz"]
    assert raw() == {f"tiny/{file}": content for file, content in IDX_FILES.items()}


@pytest.mark.parametrize("moved", [1, 2])
def test_a_kill_while_folders_change_places_loses_nothing(moved, serve, declare, monkeypatch):
    mirror = serve(IDX_SERVED)
    declare(IDX, mirror)
    download.main("tiny")
    whole, rename = raw(), Path.rename
    count = iter(range(moved))

    def killed(self: Path, target: Path) -> Path:
        if next(count, None) is None:
            raise SystemExit  # what is cleared away on the way out would be lost as well
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        with contextlib.suppress(SystemExit):
            download.main("tiny")
    asked = len(mirror.asked)
    download.main("tiny")
    assert raw() == whole and listed("data/raw") == ["tiny"] and len(mirror.asked) == asked


def test_preprocess_says_what_is_missing_or_altered(serve, declare):
    declare(IDX, serve(IDX_SERVED))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte: no such file; run `dvc repro download@tiny`"):
        preprocess.main("tiny")
    download.main("tiny")
    Path("data/raw/tiny/t10k-labels-idx1-ubyte").write_bytes(idx_file(1 - DIGITS["y_test"]))
    with pytest.raises(UserError, match=r"tiny: y_test's SHA-256 is \w{64}, where datasets.yaml says \w{64}"):
        preprocess.main("tiny")
    Path("data/raw/tiny/t10k-labels-idx1-ubyte").write_bytes(b"labels")
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte does not begin as an IDX file"):
        preprocess.main("tiny")
    assert not Path("data/processed").exists()
