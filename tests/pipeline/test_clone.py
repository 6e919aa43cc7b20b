"""What a user's git and Python make of a clone."""

import os
import subprocess
import sys

from conftest import ROOT


def git(*words, cwd):
    subprocess.run(("git", "-c", "user.name=Test", "-c", "user.email=test@example.org", *words), cwd=cwd, check=True)


def test_a_clone_has_the_recorded_bytes_also_where_git_is_told_to_change_the_ends_of_lines(tmp_path):
    (tmp_path / "one").mkdir()
    for name in (".gitattributes", "params.yaml"):
        (tmp_path / "one" / name).write_bytes((ROOT / name).read_bytes())
    git("init", "-q", cwd=tmp_path / "one")
    git("add", "--all", cwd=tmp_path / "one")
    git("commit", "-q", "-m", "All", cwd=tmp_path / "one")
    git("clone", "-q", "-c", "core.autocrlf=true", "one", "two", cwd=tmp_path)
    assert (tmp_path / "two/params.yaml").read_bytes() == (ROOT / "params.yaml").read_bytes()


def test_a_stage_is_never_run_by_another_clone_s_code(tmp_path):
    (tmp_path / "replica").mkdir()
    (tmp_path / "replica/__init__.py").touch()
    environment = {**os.environ, "DVC_STAGE": "train@x", "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)}
    for folder, status in ((ROOT, 0), (tmp_path, 1)):
        done = subprocess.run(
            [sys.executable, "-c", "import replica"], cwd=folder, env=environment, capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr
    assert done.stderr.startswith(f"error: {ROOT / 'replica'}: this stage's code") and done.stderr.count("\n") == 1
