"""`replica pull` from a web server of this machine, which serves what `dvc push` has laid out, well or badly."""

import contextlib
import json
import shutil
import subprocess
import sys

import pytest
import yaml
from conftest import Project
from server import Mirror

from replica.commands.pull import pull, transfer
from replica.common.errors import UserError

PIPELINE = """
stages:
  preprocess:
    foreach: {d: 1}
    do:
      cmd: mkdir -p data/processed/d && echo arrays > data/processed/d/x.npy
      outs: [data/processed/d]
  train:
    foreach: ${variants}
    do:
      cmd: mkdir -p models/${key} && printf %060d 7 > models/${key}/weights && echo ${key} > models/${key}/history
      deps: [data/processed/d]
      outs:
      - models/${key}: {persist: true}
"""
WHOLE = {"models/a/history": "a\n", "models/a/weights": f"{7:060d}"}
DATA = {"data/processed/d/x.npy": "arrays\n"}


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    """A repository where `a` and `b` have been trained and `c` has not, and what `dvc push` made of it, by path."""
    project = Project(tmp_path_factory.mktemp("origin"))
    folder, shelf = project.folder, tmp_path_factory.mktemp("shelf")
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (folder / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (folder / ".gitignore").write_text("/models/\n/data/\n")
    declared = {name: {"data": {"dataset": "d"}} for name in "abc"}
    (folder / "params.yaml").write_text(yaml.safe_dump({"variants": declared}))
    (folder / "datasets.yaml").write_text("datasets: {}\n")
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks/seconds.csv").write_text("variant,train_seconds,seeds,cpu\na,30,3,one\n")
    project.begin()
    project.run("dvc", "repro", "-q", "train@a", "train@b")
    project.commit("Begin")
    (folder / ".dvc/config.local").write_text(f"['remote \"shelf\"']\n    url = {shelf}\n")
    project.run("dvc", "push", "-q", "--remote", "shelf", "train", "preprocess")
    return folder, {
        file.relative_to(shelf).as_posix(): file.read_bytes() for file in shelf.rglob("*") if file.is_file()
    }


@pytest.fixture
def clone(origin, tmp_path):
    """A fresh clone, the working folder."""
    folder, _ = origin
    subprocess.run(["git", "clone", "-q", folder, tmp_path / "clone"], check=True)
    with contextlib.chdir(tmp_path / "clone"):
        yield tmp_path / "clone"


@pytest.fixture
def serve(origin, clone):
    """Start a server of the remote's files, changed as told, and make it the clone's default remote."""
    with contextlib.ExitStack() as stack:

        def start(*manners, without=(), changed=None):
            files = {name: content for name, content in origin[1].items() if name not in without} | (changed or {})
            mirror = Mirror(files, *manners)
            stack.callback(mirror.close)
            (clone / ".dvc/config.local").write_text(
                f"[core]\n    remote = published\n['remote \"published\"']\n    url = {mirror.url}\n"
            )
            return mirror

        yield start


def lying(folder):
    """The models and data of a clone, and that nothing is left half-way."""
    assert not list(folder.glob(".dvc/tmp/pull-*"))
    files = [file for name in ("models", "data") for file in (folder / name).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): file.read_text() for file in files}


def objects(folder):
    """The names in DVC's cache, and that each object is what its name says."""
    found = {f"files/md5/{file.parent.name}/{file.name}": file for file in folder.glob(".dvc/cache/files/md5/*/*")}
    for name, file in found.items():
        md5 = subprocess.run(["md5sum", file], capture_output=True, text=True, check=True).stdout.split()[0]
        assert name.replace("/", "").removeprefix("filesmd5").removesuffix(".dir") == md5
    return set(found)


def listing(folder, path):
    """Where a remote has a folder's listing."""
    stages = yaml.safe_load((folder / "dvc.lock").read_text())["stages"].values()
    md5 = next(out["md5"] for stage in stages for out in stage["outs"] if out["path"] == path)
    return f"files/md5/{md5[:2]}/{md5[2:]}"


def test_a_model_and_its_data_come_as_recorded_and_dvc_takes_them_for_its_own(clone, serve, capsys):
    mirror = serve()
    pull.pull(["a"])
    assert lying(clone) == WHOLE | DATA
    assert capsys.readouterr().out.splitlines() == [
        "models/a: 0.0 MB, as dvc.lock records it",
        "data/processed/d: 0.0 MB, as dvc.lock records it",
    ]
    project = Project(clone)
    assert project.repro("train@a") == [], "up to date: nothing is trained, persistent output or not"
    assert project.run("git", "status", "--short").stdout == ""
    asked = len(mirror.asked)
    pull.pull(["a"])
    assert capsys.readouterr().out.splitlines() == ["models/a: here already", "data/processed/d: here already"]
    shutil.rmtree(clone / "models")
    pull.pull(["a"])
    assert (lying(clone), len(mirror.asked)) == (WHOLE | DATA, asked), "from the cache"


def test_data_that_are_not_on_the_remote_are_made_by_their_stage(clone, serve, capsys):
    serve(without=[listing(clone, "data/processed/d")])
    pull.pull(["a"])
    assert lying(clone) == WHOLE
    assert "data/processed/d: not on the remote; `replica repro preprocess@d` makes it" in capsys.readouterr().out


BAD = {
    "404": "127.0.0.1:{port}: {file}: no such file",
    "500": "127.0.0.1:{port}: HTTP 500",
    "corrupt": "127.0.0.1:{port}: other bytes than dvc.lock records",
    "cut": "127.0.0.1:{port}: broke off",
    "drop": "127.0.0.1:{port}: broke off",
    "stall": "less than 4,096 bytes a second in 0.5 seconds",
    "drip": "less than 4,096 bytes a second in 0.5 seconds",
}


@pytest.mark.parametrize("manner", BAD)
def test_a_remote_that_fails_amid_leaves_nothing_half_written(clone, serve, monkeypatch, manner):
    monkeypatch.setattr(transfer, "WINDOW", 0.5)
    mirror = serve("well", manner)  # the listing comes, the files do not
    with pytest.raises(UserError) as error:
        pull.pull(["a"])
    told = BAD[manner].replace("{port}", mirror.host.split(":")[1])
    before, _, after = told.partition("{file}")
    assert str(error.value).startswith(f"a: {before}")
    assert after in str(error.value)
    assert str(error.value).endswith("; what came whole is kept, and `replica pull a` goes on")
    assert "\n" not in str(error.value)
    assert lying(clone) == {}
    assert len(objects(clone)) <= 2, "the listing, and what is so short that it came whole"
    serve()
    pull.pull(["a"])
    assert lying(clone) == WHOLE | DATA


@pytest.mark.parametrize("manner", ["404", "corrupt", "500", "drip head"])
def test_a_remote_that_fails_at_once(clone, serve, monkeypatch, manner):
    monkeypatch.setattr(transfer, "WINDOW", 0.5)
    serve(manner)
    with pytest.raises(UserError) as error:
        pull.pull(["a"])
    assert "\n" not in str(error.value)
    if manner == "404":
        assert str(error.value).endswith("; to train it: `replica repro train@a` (1 min 30 s when last measured)")
    assert (lying(clone), objects(clone)) == ({}, set())


def test_a_listing_that_names_files_outside_the_cache_is_not_followed(clone, serve):
    name = listing(clone, "models/a")
    hostile = json.dumps([{"md5": "../../../../outside", "relpath": "../../outside"}]).encode()
    mirror = serve(changed={name: hostile, "files/md5/..//../../../outside": b"x"})
    with pytest.raises(UserError, match=r"other bytes than dvc.lock records"):
        pull.pull(["a"])
    assert mirror.asked == [name]
    assert not list(clone.parent.rglob("outside"))


def test_more_than_is_recorded_is_not_taken(clone, serve):
    mirror = serve(changed={name: bytes(100_000) for name in serve().files if not name.endswith(".dir")})
    with pytest.raises(UserError, match=r"more than the 62 bytes that dvc.lock records"):
        pull.pull(["a"])
    assert (lying(clone), mirror.asked[0]) == ({}, listing(clone, "models/a"))


def test_where_nothing_is_published_it_says_so_and_what_training_takes(clone):
    with pytest.raises(UserError) as error:
        pull.pull(["a", "b", "c"])
    lines = str(error.value).splitlines()
    assert lines[0].startswith("a: nothing is published yet (.dvc/config names no remote); where an address")
    assert "`dvc remote add --default published ADDRESS`" in lines[0]
    assert lines[0].endswith("to train it: `replica repro train@a` (1 min 30 s when last measured)")
    assert lines[1].endswith("to train it: `replica repro train@b` (no record says how long that takes)")
    assert lines[2].startswith("c: dvc.lock records no training of it, so there is nothing to pull; to train it: ")
    assert lying(clone) == {}


def test_a_model_of_ones_own_is_not_replaced(clone, serve):
    serve()
    (clone / "models/a").mkdir(parents=True)
    (clone / "models/a/weights").write_text("mine\n")
    with pytest.raises(UserError, match=r"^models/a: holds files that DVC's cache does not; move it away first$"):
        pull.pull(["a"])
    assert lying(clone)["models/a/weights"] == "mine\n"


def test_names_and_remotes_that_are_none(clone, serve):
    serve()
    with pytest.raises(UserError, match=r"^replica pull: got 'aa', no variant of that name; did you mean a\?"):
        pull.pull(["aa"])
    with pytest.raises(UserError, match=r"^a: .*elsewhere"):
        pull.pull(["a"], "elsewhere")


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        (".dvc/config.local", "['remote \"published\"']\n    url = htp://nowhere/\n", r"Unsupported URL type htp://"),
        ("dvc.yaml", "stages: [\n", r"dvc.yaml"),
        ("dvc.lock", "stages: [\n", r"^dvc.lock: no record of stages; `replica repair` puts back what the last"),
        (".dvc/config.local", "[core]\n    remote = p\n['remote \"p\"']\n    url = gone\n", r"is not at .*gone"),
        (".dvc/config.local", "['remote \"p\"']\n    url = gone\n", r"^a: no default remote; allowed: --remote p; "),
    ],
)
def test_what_dvc_cannot_read_is_one_line(clone, file, content, told):
    (clone / file).write_text(content)
    with pytest.raises(UserError, match=told) as error:
        pull.pull(["a"])
    assert "\n" not in str(error.value)


def test_without_names_it_lists_sizes(clone, serve, capsys):
    serve()
    pull.pull(["a"])
    capsys.readouterr()
    pull.pull([])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["variant", "models", "MB", "data", "data", "MB", "training", "here"]
    assert lines[1].split() == ["a", "0.0", "d", "0.0", "1", "min", "30", "s", "yes"]
    assert lines[2].split() == ["b", "0.0", "d", "0.0", "no"]
    assert lines[3] == "2 of 3 are recorded in dvc.lock: models of 0.0 MB, 0.0 MB with their data"


def test_a_host_that_drips_does_not_hold_up_the_end_of_the_command(clone, serve):
    serve("drip")
    lines = (
        "from replica.commands.pull import transfer; transfer.WINDOW = 0.3; from replica.__main__ import main; main()"
    )
    command = [sys.executable, "-c", lines, "pull", "a"]
    done = subprocess.run(command, env=Project(clone).environment() | {"PYTHONPATH": ":".join(sys.path)},
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: a: less than 4,096 bytes a second in 0.3 seconds; ")
    assert done.stderr.count("\n") == 1
