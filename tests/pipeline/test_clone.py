"""What a user's git makes of a clone."""

import subprocess

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
