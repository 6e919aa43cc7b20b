"""What the machine refuses is a line: path, reason, what is whole, what would help; a mistake of ours is not."""

import errno
import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

from replica.common import errors

PROGRAM = """
import os, resource
from pathlib import Path
from replica.common import files, stage

def main(*_):
    {body}

stage.run(main)
"""


def told(folder, body):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body=body)],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize(
    ("body", "path", "reason"),
    [
        ("files.write_json({}, Path('metrics/a.json'))", "metrics", "File exists"),
        ("Path('metrics/a/b').mkdir(parents=True)", "metrics/a/b", "Not a directory"),
        ("Path('folder').write_text('')", "folder", "Is a directory"),
        ("Path('/proc/none').write_text('')", None, None),
        (
            "resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); bytearray(2**34)",
            "",
            "Cannot allocate memory",
        ),
    ],
)
def test_a_stage_tells_it_in_one_line(tmp_path, body, path, reason):
    (tmp_path / "metrics").touch()
    (tmp_path / "folder").mkdir()
    text = told(tmp_path, body)
    if reason is None:  # no such file: a mistake of ours, which shows where
        assert "Traceback" in text
        return
    assert text.startswith(f"error: {path}: {reason}; " if path else f"error: {reason}; ")
    assert errors.WHOLE in text
    assert text.count("\n") == 1


def test_a_stage_s_error_shows_what_a_terminal_would_obey_or_hide(tmp_path):
    body = "from replica.common.errors import UserError; raise UserError('a\\x1b[2J\\n\\ufeffb')"
    assert told(tmp_path, body) == "error: a\\x1b[2J\nerror: \\ufeffb\n"
    (tmp_path / "a\x1b[2J").touch()
    assert told(tmp_path, "Path('a\\x1b[2J/b').mkdir()").startswith("error: a\\x1b[2J/b: Not a directory; ")


@pytest.mark.parametrize(("options", "reason"), [("size=8k", "No space left on device"), ("ro", "Read-only file")])
def test_a_full_and_a_read_only_disk(tmp_path, options, reason):
    disk = tmp_path / "metrics"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a disk")
    try:
        text = told(tmp_path, "Path('metrics/a').write_bytes(bytes(100_000))")
    finally:
        subprocess.run(["umount", disk], check=True)
    assert reason in text
    assert text.count("\n") == 1


def test_hdf5_says_its_reason_in_words_alone():
    error = OSError("Unable to write (file write failed: filename = 'models/x/model.weights.h5', errno = 28, …)")
    assert errors.told(error).startswith(f"models/x/model.weights.h5: {os.strerror(errno.ENOSPC)}; ")
    assert errors.told(ImportError("libtensorflow_cc.so.2: failed to map segment from shared object")) is not None
    assert errors.told(OSError("something else")) is None
    assert errors.told(ValueError("errno = 28")) is None


def test_names_are_listed_all_up_to_a_number_and_of_more_the_nearest():
    names = [f"name_{number:02}" for number in range(30)]
    assert errors.listed("x", names) == ", ".join(names)
    assert errors.listed("x", names[:2]) == "name_00, name_01"
    assert errors.listed("x", []) == "none"
    more = [*names, "mnist_cnn"]
    text = errors.listed("mnist_cn", more)
    assert text.startswith("mnist_cnn, ")
    assert text.endswith(" and 26 others")
    assert errors.listed("mnist_cn", more, most=1, shown=1) == "mnist_cnn and 30 others"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train"], "stages.train: got nothing; expected: NAME"),
        (["train", "a", "b"], "stages.train: got a b; expected: NAME"),
        (["convolution", "x"], "stages.convolution: got x; expected: nothing"),
    ],
)
def test_a_stage_with_other_words_than_it_takes_is_one_line(words, line):
    command = [sys.executable, "-m", f"stages.{words[0]}", *words[1:]]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"error: {line}\n")


SLEEPS = "say(); time.sleep(60)"
SWALLOWS = f"try:\n        {SLEEPS}\n    except BaseException:\n        pass"
SAY = "said = ['here']\ndef say():\n    if said: print(said.pop(), flush=True)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("body", "status"), [(SLEEPS, -signal.SIGINT), (SWALLOWS, 130)])
def test_a_stage_that_is_told_to_end_does_so_without_a_word(body, status, number):
    """Also where a library swallows the interrupt, as TensorFlow's import does at some of its moments."""
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # under nohup it would be ignored
    lines = f"{heard}\nimport time, replica\nreplica._GRACE = 0.2\n{SAY}\nwhile True:\n    {body}\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "DVC_STAGE": "train@x"}
    running = subprocess.Popen(
        [sys.executable, "-c", lines], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None and running.stdout.readline() == "here\n"
    running.send_signal(number)
    assert running.communicate(timeout=10) == ("", "")
    assert running.returncode == status
