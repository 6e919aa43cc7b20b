"""docs/dvc-atomic-write.patch on a copy of the installed DVC: a kill in the middle of a writing leaves the old file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import dvc
import pytest
from conftest import ROOT

WRITE = """
import json, os, signal, sys
from dvc import rwlock
from dvc.fs import localfs
from dvc.utils.serialize import _common

def killed(data, file):
    file.write("{'half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

if sys.argv[1] == "dvc.lock":
    _common._dump_data("dvc.lock", {}, killed, fs=localfs)
json.dump = killed
with rwlock._edit_rwlock(os.getcwd(), localfs, False):
    pass
"""


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    """A folder that holds the installed DVC, patched."""
    folder = tmp_path_factory.mktemp("patched")
    source = Path(dvc.__file__).parent
    shutil.copytree(source, folder / "dvc", ignore=shutil.ignore_patterns("__pycache__", "testing"))
    subprocess.run(["git", "apply", ROOT / "docs/dvc-atomic-write.patch"], cwd=folder, check=True)
    return folder


@pytest.mark.parametrize("name", ["dvc.lock", "rwlock"])
def test_a_kill_leaves_the_old_file_with_the_patch_and_half_a_file_without(patched, tmp_path, name):
    for path, kept in ((str(patched), True), ("", False)):
        (tmp_path / name).write_text("{}")
        done = subprocess.run(
            [sys.executable, "-c", WRITE, name], cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, check=False
        )
        assert done.returncode < 0
        assert ((tmp_path / name).read_text() == "{}") == kept


def test_the_patched_dvc_runs_a_pipeline(patched, tmp_path):
    def run(*words):
        environment = {**os.environ, "PYTHONPATH": str(patched)}
        subprocess.run([sys.executable, "-m", "dvc", *words, "-q"], cwd=tmp_path, env=environment, check=True)

    run("init", "--no-scm")
    (tmp_path / "dvc.yaml").write_text("stages: {one: {cmd: echo 1 > one.txt, outs: [one.txt]}}")
    run("repro")
    assert "one.txt" in (tmp_path / "dvc.lock").read_text()
    assert (tmp_path / "dvc.lock").stat().st_mode == (tmp_path / "dvc.yaml").stat().st_mode
    assert not list(tmp_path.glob("*.part"))
