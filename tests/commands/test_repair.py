"""What a kill leaves of DVC's own files, put right: in text for every place of a cut, and in a real repository."""

import os
import shutil
import subprocess
import sys

import pytest
import yaml
import zc.lockfile
from conftest import ROOT
from dvc.schema import COMPILED_LOCKFILE_SCHEMA

from replica.commands import repair
from replica.common.errors import UserError

WHOLE = """schema: '2.0'
stages:
  one@a:
    cmd: echo a > a.txt
    outs:
    - path: a.txt
      hash: md5
      md5: 60b725f10c9c85c70d97880dfe8191b3
      size: 2
  two:
    cmd: cat a.txt > b.txt
    deps:
    - path: a.txt
      hash: md5
      md5: 60b725f10c9c85c70d97880dfe8191b3
      size: 2
    outs:
    - path: b.txt
      hash: md5
      md5: 60b725f10c9c85c70d97880dfe8191b3
      size: 2
  three:
    cmd: echo c > c.txt
    outs:
    - path: c.txt
      hash: md5
      md5: 2cd6ee2c70b0bde53fbe6cac3c8b8bb1
      size: 2
"""
NAMES = {"one@a", "two", "three"}
PIPELINE = """
stages:
  one:
    foreach: ${variants}
    do: {cmd: "echo ${key} > ${key}.txt && echo ran ${key} >> ran", outs: ["${key}.txt"]}
  two: {cmd: cat a.txt > b.txt && echo ran two >> ran, deps: [a.txt], outs: [b.txt]}
  three: {cmd: echo c > c.txt && echo ran three >> ran, outs: [c.txt]}
"""


def test_a_lock_that_is_cut_anywhere_becomes_whole_again():
    for place in range(len(WHOLE)):
        text, _ = repair.restored(WHOLE[:place], WHOLE, NAMES)
        assert text == WHOLE, place
    assert repair.restored(WHOLE, WHOLE, NAMES) is None


def test_what_is_newer_than_the_commit_is_kept():
    newer = WHOLE.replace("echo a", "echo z") + "  four:\n    cmd: echo 4\n"
    assert repair.restored(newer, WHOLE, {*NAMES, "four"}) is None
    cut = newer[: newer.index("  three")]
    text, lost = repair.restored(cut, WHOLE, NAMES)
    assert (text, lost) == (WHOLE.replace("echo a", "echo z"), ["three"])
    text, lost = repair.restored(newer[:-3], WHOLE, {*NAMES, "four"})
    assert (text, lost) == (WHOLE.replace("echo a", "echo z"), [])  # the cut went through four, which runs again


def test_dvc_reads_what_is_left_of_a_lock_that_was_never_committed():
    newest = WHOLE + "    params:\n      params.yaml:\n        rate:\n"  # a parameter may be null
    for place in range(len(newest) + 1):
        text, lost = repair.restored(newest[:place], "", NAMES) or (newest[:place], [])
        assert lost == []
        assert text == "" or COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text)), place
    assert repair.restored(newest, "", NAMES) is None


def test_what_is_gone_on_purpose_stays_gone():
    without = WHOLE[: WHOLE.index("  three")]
    assert repair.restored(without, WHOLE, NAMES - {"three"}) is None
    assert repair.restored(without, "", NAMES) is None
    assert repair.restored("", WHOLE, set()) is None, "dvc.yaml cannot be read"


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A git and DVC repository whose pipeline has run, committed."""
    folder = tmp_path_factory.mktemp("once") / "project"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("variants: {a: 1}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        for words in ("git init -q", "dvc init -q", "dvc repro -q", "git add -A", "git commit -qm Run"):
            run(*words.split())
    return folder


@pytest.fixture
def repository(once, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    shutil.copytree(once, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return folder


def run(*words, check=True):
    identity = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    words = [sys.executable, "-m", *words] if words[0] == "dvc" else list(words)
    return subprocess.run(words, env={**os.environ, **identity}, capture_output=True, text=True, check=check)


def test_dvc_runs_nothing_again_after_a_repair(repository):
    lock, rwlock = repository / "dvc.lock", repository / ".dvc/tmp/rwlock"
    whole = lock.read_text()
    ran = (repository / "ran").read_text()
    lock.write_text(whole[: whole.index("  three")])
    rwlock.write_text("")
    assert "Unable to read RWLock-file" in run("dvc", "repro", check=False).stderr
    told = repair.repair({"variants": {"a": 1}})
    assert [line.partition(":")[0] for line in told] == [".dvc/tmp/rwlock", "dvc.lock"]
    assert lock.read_text() == whole
    run("dvc", "repro")
    assert (repository / "ran").read_text() == ran
    assert repair.repair({"variants": {"a": 1}}) == []


def test_what_is_restored_and_does_not_hold_runs_again(repository):
    lock = repository / "dvc.lock"
    lock.write_text(lock.read_text()[: lock.read_text().index("  two")])
    (repository / "c.txt").write_text("something else")
    repair.repair({"variants": {"a": 1}})
    run("dvc", "repro")
    assert (repository / "c.txt").read_text() == "c\n"


def test_a_lock_that_nothing_is_left_of_and_no_commit_has_is_removed(repository):
    run("git", "rm", "-q", "--cached", "dvc.lock")
    run("git", "commit", "-qm", "Without")
    (repository / "dvc.lock").write_text("schema: '2.0'\nstages:\n  one@a:\n    cmd: ec")
    assert repair.repair({"variants": {"a": 1}}) == ["dvc.lock: cut short by a kill, and no entry is left; removed"]
    assert repair.repair({"variants": {"a": 1}}) == []
    run("dvc", "repro")
    assert len(repair.entries((repository / "dvc.lock").read_text())) == 3


def test_nothing_is_touched_while_another_has_the_lock(repository):
    lock = repository / "dvc.lock"
    cut = lock.read_text()[:-20]
    lock.write_text(cut)
    other = zc.lockfile.LockFile(".dvc/tmp/lock")
    try:
        assert repair.repair({"variants": {"a": 1}}) == []
        with pytest.raises(UserError, match=r"^.dvc/tmp/lock: another DVC process has it"):
            repair.report({"variants": {"a": 1}})
    finally:
        other.close()
    assert lock.read_text() == cut
    repair.report({"variants": {"a": 1}})
    assert lock.read_text() != cut


def test_every_stage_of_ours_is_known_by_name():
    from replica.common import parameters

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        known = repair.stages(parameters.declared())
    recorded = set(yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"])
    assert recorded == set(repair.entries((ROOT / "dvc.lock").read_text()))
    assert recorded & known
    assert {"train@mnist_mlp", "search@mnist_random_search", "preprocess@mnist", "report"} <= known
