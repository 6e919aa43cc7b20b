"""A stage begins under plain DVC only where the cache can keep its outputs."""

import subprocess
from typing import NamedTuple

import pytest
from conftest import Project, small

from replica.commands import room
from replica.common.errors import UserError

STAGE = "download@photos10"


class Usage(NamedTuple):
    total: int
    free: int


@pytest.mark.parametrize(
    ("settings", "own", "expected"),
    [
        ("", "", ".dvc/cache"),
        ("[core]\n    autostage = true\n['remote \"x\"']\n    url = /a%20b\n", "", ".dvc/cache"),
        ("[cache]\n    dir = ../kept\n", "", ".dvc/../kept"),
        ("[cache]\n    dir = ../kept\n", "[cache]\n    dir = /elsewhere\n    type = symlink\n", "/elsewhere"),
    ],
)
def test_the_cache_is_where_the_repository_says(tmp_path, settings, own, expected):
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text(settings)
    (tmp_path / ".dvc/config.local").write_text(own)
    assert room.cache(tmp_path) == tmp_path / expected


def test_a_user_s_own_cache_counts_where_the_repository_says_nothing(tmp_path, monkeypatch):
    (tmp_path / "user").mkdir()
    (tmp_path / "user/config").write_text("[cache]\n    dir = /large\n")
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(tmp_path / "user"))
    assert str(room.cache(tmp_path)) == "/large"
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[cache]\n    dir = here\n")
    assert room.cache(tmp_path) == tmp_path / ".dvc/here"


def test_a_cache_that_is_not_there_yet_has_the_room_of_its_disk(tmp_path, monkeypatch):
    asked = []

    def disk(total, free):
        monkeypatch.setattr(room.shutil, "disk_usage", lambda place: asked.append(place) or Usage(total, free))

    disk(10**9, 255_999_999)
    with pytest.raises(UserError, match=r"\.dvc/cache: 255 MB are free; allowed: 256 MB at least"):
        room.ask(tmp_path)
    disk(10**9, 256_000_000)
    room.ask(tmp_path)
    disk(0, 0)  # one that tells nothing of itself
    room.ask(tmp_path)
    assert set(asked) == {tmp_path}


def test_dvc_runs_and_records_no_stage_whose_outputs_a_full_disk_would_lose(copied_from, tmp_path):
    project, disk = Project(copied_from(small)), tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root mounts a small disk")
    try:
        project.run("dvc", "config", "--local", "cache.dir", str(disk))
        done = project.run("dvc", "repro", STAGE, check=False)
        assert done.returncode != 0
        assert f"error: {disk}: 1 MB are free; allowed: 256 MB at least, since DVC records" in done.stdout
        assert "Traceback" not in done.stdout
        assert not (project.folder / "dvc.lock").exists()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    project.run("dvc", "config", "--local", "--unset", "cache.dir")
    assert project.repro(STAGE) == [STAGE]
    assert (project.folder / "dvc.lock").exists()
