"""`replica repro --jobs N` against `dvc repro`, in real git and DVC repositories with small Python stages."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from dvc.cli import main
from dvc.repo import Repo
from rich.console import Console

from replica.commands.repro import reproduce
from replica.commands.repro.estimates import Estimates
from replica.commands.repro.workers import Workers
from replica.common.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:dvc")

DRIVER = "import sys; from replica.commands.repro import reproduce; sys.exit(reproduce(sys.argv[1:], jobs=2))"
JOIN = """
import pathlib, sys
out, *sources = sys.argv[1:]
path = pathlib.Path(out)
path.parent.mkdir(parents=True, exist_ok=True)
path.write_text(out + "\\n" + "".join(pathlib.Path(source).read_text() for source in sources))
print("joined", len(sources), "for", out)
"""
PIPELINE = """
stages:
  report:
    cmd: PYTHON join.py report.txt left.json right/a.txt out/a.txt out/b.txt out/c.txt
    deps: [join.py, left.json, right, out/a.txt, out/b.txt, out/c.txt]
    outs: [report.txt]
  right:
    cmd:
    - PYTHON join.py right/a.txt top.txt
    - PYTHON join.py right/deeper/b.txt top.txt
    deps: [join.py, top.txt]
    outs: [right]
  left:
    cmd: PYTHON join.py left.json top.txt && PYTHON join.py left.csv top.txt
    deps: [join.py, top.txt]
    metrics: [left.json: {cache: false}]
    plots: [left.csv: {cache: false}]
  top:
    cmd: PYTHON join.py top.txt
    deps: [join.py]
    params: [top.rate, top.text, top.list]
    outs: [top.txt]
  make:
    foreach: ${items}
    do:
      cmd: PYTHON join.py out/${key}.txt && echo a line too long to be left unfolded in dvc.lock ${item.units}
      deps: [join.py]
      params: ["items.${key}", shared]
      outs: ["out/${key}.txt": {persist: true}]
"""
PARAMS = """
top: {rate: 1e-05, text: "yes: 'quoted' and äöü", list: [[1, 2.50], {a: null}]}
shared: {nested: [1, {two: 2}]}
items:
  c: {units: 3}
  a: {units: 1}
  b: {units: 2, dropout: 0.10}
"""


@pytest.fixture(scope="module", autouse=True)
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A git and DVC repository with one script, and a place for what DVC would put under /var."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("site")))
        root = tmp_path_factory.mktemp("empty")
        subprocess.run(["git", "init", "-q"], cwd=root, check=True)
        dvc(root, "init", "-q")
        (root / "join.py").write_text(JOIN)
        yield root


@pytest.fixture
def repository(empty: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a repository out of a pipeline and other files."""

    def make(pipeline: str, name: str = "project", **files: str) -> Path:
        root = tmp_path / name
        shutil.copytree(empty, root)
        (root / "dvc.yaml").write_text(pipeline.replace("PYTHON", sys.executable))
        for file, text in files.items():
            (root / file.replace("_", ".")).write_text(text)
        return root

    return make


@pytest.fixture
def repro(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run the driver in a repository; return its exit status and what it printed."""

    def run(root: Path, *targets: str, terminal: bool = False, **options: object) -> tuple[int, str]:
        monkeypatch.chdir(root)
        text = io.StringIO()
        console = Console(file=text, width=200, force_terminal=terminal)
        status = reproduce(list(targets), console=console, **{"jobs": 2, **options})  # type: ignore[arg-type]
        return status, text.getvalue()

    return run


def dvc(root: Path, *words: str) -> str:
    """DVC's own command line, here for the time of importing it; return what it printed."""
    text = io.StringIO()
    with contextlib.chdir(root), contextlib.redirect_stdout(text):
        assert main(list(words)) == 0
    return text.getvalue()


def contents(root: Path) -> dict[str, bytes]:
    """Every file outside git's and DVC's own folders, and the names of what DVC has cached."""
    files = {path.relative_to(root): path for path in root.rglob("*") if path.is_file()}
    found = {str(name): path.read_bytes() for name, path in files.items() if name.parts[0] not in (".git", ".dvc")}
    found |= {name: b"\n".join(sorted(text.split(b"\n"))) for name, text in found.items() if "ignore" in name}
    return found | {str(name): b"" for name in files if name.parts[:2] == (".dvc", "cache")}


def started(text: str) -> list[str]:
    return [line.split(" | ")[0] for line in text.splitlines() if line.endswith("| started")]


def test_equals_dvc_repro(repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]) -> None:
    theirs, one, three = (repository(PIPELINE, name, params_yaml=PARAMS) for name in ("theirs", "one", "three"))

    def all_equal() -> None:
        dvc(theirs, "repro")
        for root, jobs in ((one, 1), (three, 3)):
            status, _ = repro(root, jobs=jobs)
            assert status == 0
            assert contents(root) == contents(theirs)

    all_equal()
    lock = (three / "dvc.lock").read_bytes()
    for root in (one, theirs):  # what either has done, the other leaves alone
        status, text = repro(root)
        assert (status, started(text)) == (0, [])
        assert text.startswith("7 unchanged in ")
    assert "up to date" in dvc(three, "repro")
    assert (three / "dvc.lock").read_bytes() == lock

    for root in (theirs, one, three):  # new entries among old ones, a changed one, a lost output, a changed script
        changed = PARAMS.replace("units: 1}", "units: 7}").replace("  c:", "  z: {units: 0}\n  d: {units: 4}\n  c:")
        (root / "params.yaml").write_text(changed)
        (root / "top.txt").unlink()
        (root / "left.csv").unlink()
    all_equal()
    for root in (theirs, one, three):  # back again: from the run cache
        (root / "params.yaml").write_text(PARAMS)
        (root / "join.py").write_text(JOIN + "# changed\n")
    all_equal()
    dvc(theirs, "repro", "--force")
    assert repro(three, force=True)[0] == 0
    assert contents(three) == contents(theirs)


def test_takes_targets_and_the_run_cache_as_dvc_does(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]
) -> None:
    root = repository(PIPELINE, params_yaml=PARAMS)
    assert set(started(repro(root, "left", "make@b")[1])) == {"top", "left", "make@b"}
    assert set(started(repro(root, "make", "left")[1])) == {"make@a", "make@c"}
    (root / "top.txt").unlink()
    status, text = repro(root, "top")
    assert (status, started(text)) == (0, [])
    assert "top | taken from the run cache" in text
    (root / "top.txt").unlink()
    assert started(repro(root, "top", run_cache=False)[1]) == []  # its record says what to check out
    assert started(repro(root, "top", force=True)[1]) == ["top"]


def test_frozen_and_always_changed_stages_and_dvc_files(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]
) -> None:
    pipeline = """
stages:
  first: {cmd: PYTHON join.py first.txt data.txt, deps: [data.txt], outs: [first.txt], always_changed: true}
  second: {cmd: PYTHON join.py second.txt first.txt, deps: [first.txt], outs: [second.txt], frozen: true}
  third: {cmd: PYTHON join.py third.txt second.txt, deps: [second.txt], outs: [third.txt]}
"""
    theirs, ours = repository(pipeline, "theirs"), repository(pipeline, "ours")
    for root in (theirs, ours):
        (root / "data.txt").write_text("1")
        dvc(root, "add", "data.txt")
        for name in ("first", "second"):
            (root / f"{name}.txt").write_text(name)
    dvc(theirs, "repro")
    status, text = repro(ours)
    assert (status, sorted(started(text))) == (0, ["first", "third"])
    assert contents(ours) == contents(theirs)
    (theirs / "data.txt").write_text("2")
    (ours / "data.txt").write_text("2")
    dvc(theirs, "repro")
    assert started(repro(ours)[1]) == ["first"]
    assert contents(ours) == contents(theirs)  # data.txt.dvc among them


def test_commands_run_at_once(repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]) -> None:
    wait = """
import pathlib, sys, time
mine, other = map(pathlib.Path, sys.argv[1:])
mine.write_text("here")
until = time.time() + 20
while not other.exists():
    assert time.time() < until, "alone"
    time.sleep(0.02)
"""
    pipeline = """
stages:
  a: {cmd: PYTHON wait.py a.txt b.txt, outs: [a.txt], deps: [wait.py]}
  b: {cmd: PYTHON wait.py b.txt a.txt, outs: [b.txt], deps: [wait.py]}
"""
    assert repro(repository(pipeline, wait_py=wait))[0] == 0


def test_a_failed_stage_stops_its_descendants_only(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]
) -> None:
    pipeline = """
stages:
  bad: {cmd: echo one && echo the reason >&2 && false, outs: [bad.txt]}
  child: {cmd: PYTHON join.py child.txt bad.txt, deps: [bad.txt], outs: [child.txt]}
  grandchild: {cmd: PYTHON join.py grand.txt child.txt good.txt, deps: [child.txt, good.txt], outs: [grand.txt]}
  forgetful: {cmd: 'true', outs: [nothing.txt]}
  orphan: {cmd: 'true', deps: [missing.txt], outs: [orphan.txt]}
  good: {cmd: PYTHON join.py good.txt, outs: [good.txt]}
  after: {cmd: PYTHON join.py after.txt good.txt, deps: [good.txt], outs: [after.txt]}
"""
    root = repository(pipeline)
    status, text = repro(root)
    assert status == 1
    told = text.split(" at once\n")[1]
    assert "failed: bad: failed to run: echo one" in told
    assert "exited with 1\n  one\n  the reason\n  log: .dvc/tmp/replica/logs/bad.log\n" in told
    assert "failed: forgetful: output 'nothing.txt' does not exist" in told
    assert re.search("failed: orphan: [^\n]*missing.txt", told)
    assert "not run: child, which needs bad\n" in told
    assert "not run: grandchild, which needs bad\n" in told
    assert (root / "after.txt").exists()
    assert sorted(set(started(text))) == ["after", "bad", "forgetful", "good"]
    lock = (root / "dvc.lock").read_text()
    assert "after:" in lock
    assert "bad:" not in lock
    assert started(repro(root)[1]) == ["bad", "forgetful"]


SLOW = """
stages:
  slow:
    cmd: PYTHON slow.py
    deps: [slow.py]
    outs: [slow.txt, kept.txt: {persist: true}]
    metrics: [slow.json: {cache: false}]
  fast: {cmd: PYTHON join.py fast.txt, deps: [join.py], outs: [fast.txt]}
  last: {cmd: PYTHON join.py last.txt slow.txt, deps: [slow.txt], outs: [last.txt]}
"""
SLOW_PY = """
import os, pathlib, signal, subprocess, sys, time
hold = pathlib.Path("hold")
child = subprocess.Popen(["sleep", "100"]) if hold.exists() else None
if hold.exists() and "stubborn" in hold.read_text():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
for name in ("slow.txt", "kept.txt", "slow.json"):
    pathlib.Path(name).write_text("half")
if child:
    pathlib.Path("pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(100)
for name in ("slow.txt", "kept.txt", "slow.json"):
    pathlib.Path(name).write_text("whole")
"""


def begun(root: Path, script: str = DRIVER, **streams: Any) -> subprocess.Popen[bytes]:
    """Start the driver and wait for the slow stage to be in the middle of things."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=root, env=environment, **streams)
    until = time.time() + 30
    while not ((root / "pids").exists() and (root / "dvc.lock").exists() and (root / "pids").read_text()):
        assert time.time() < until
        assert process.poll() is None
        time.sleep(0.02)
    return process


def interrupt(root: Path, signals: list[int]) -> int:
    """Send the driver signals when it has begun, and wait for its end."""
    process = begun(root, stdout=subprocess.DEVNULL)
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    return process.wait(9)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    ("hold", "signals", "status"),
    [
        ("polite", [signal.SIGINT], 130),
        ("stubborn", [signal.SIGINT] * 2, 130),
        ("polite", [signal.SIGTERM], 143),
        ("stubborn", [signal.SIGTERM], 143),  # as what a shell has started in the background, which ignores SIGINT
    ],
)
def test_stopping_leaves_nothing_half_done(
    repository: Callable[..., Path], hold: str, signals: list[int], status: int
) -> None:
    root = repository(SLOW, slow_py=SLOW_PY)
    (root / "hold").write_text(hold)
    assert interrupt(root, signals) == status
    pids = [int(pid) for pid in (root / "pids").read_text().split()]
    assert not any(alive(pid) for pid in pids)
    assert {path.name for path in root.glob("*.txt")} == {"fast.txt", "kept.txt"}
    assert not (root / "slow.json").exists()
    assert json.loads((root / ".dvc/tmp/rwlock").read_text() or "{}") == {}
    (root / "hold").unlink()
    assert "up to date" in dvc(root, "status", "fast")
    dvc(root, "repro")
    assert (root / "last.txt").read_text() == "last.txt\nwhole"


@pytest.mark.parametrize(("hold", "shell"), [("polite", ""), ("stubborn", ""), ("stubborn", "/bin/bash")])
def test_a_closed_terminal_stops_as_a_signal_does(
    repository: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, hold: str, shell: str
) -> None:
    monkeypatch.setenv("SHELL", shell)  # DVC's is /bin/sh where none is set
    waits = "while not pathlib.Path('closed').exists(): time.sleep(0.05)"
    root = repository(SLOW, slow_py=SLOW_PY.replace("SIGINT", "SIGHUP").replace("time.sleep(100)", waits))
    (root / "hold").write_text(hold)
    ours, theirs = os.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
    process = begun(root, f"import os, signal; signal.signal(1, signal.SIG_DFL); os.login_tty(0); {DRIVER}", **streams)
    os.close(theirs)
    os.close(ours)
    time.sleep(1)
    (root / "closed").touch()
    assert process.wait(9) == 128 + signal.SIGHUP
    assert {path.name for path in root.glob("*.txt")} == {"fast.txt", "kept.txt"}
    assert (root / "kept.txt").read_text() == ("whole" if hold == "stubborn" else "half"), "asked, and not killed"
    assert json.loads((root / ".dvc/tmp/rwlock").read_text() or "{}") == {}
    assert "fast:" in (root / "dvc.lock").read_text()


def test_a_driver_that_ctrl_z_has_held_for_long_goes_on(
    repository: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL", "1s")  # five minutes otherwise
    waits = "while not pathlib.Path('continued').exists(): time.sleep(0.05)"
    root = repository(SLOW, slow_py=SLOW_PY.replace("time.sleep(100)", waits))
    (root / "hold").write_text("polite")
    process = begun(root, stdout=subprocess.DEVNULL)
    process.send_signal(signal.SIGSTOP)
    time.sleep(7)  # dask waits for ten heartbeats, five seconds, at least
    process.send_signal(signal.SIGCONT)
    time.sleep(2)
    (root / "continued").touch()
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
    assert (root / "last.txt").read_text() == "last.txt\nwhole"


def test_a_killed_driver_leaves_no_stale_lock(repository: Callable[..., Path]) -> None:
    root = repository(SLOW, slow_py=SLOW_PY)
    (root / "hold").write_text("polite")
    assert interrupt(root, [signal.SIGKILL]) == -signal.SIGKILL
    for pid in (root / "pids").read_text().split():
        os.kill(int(pid), signal.SIGKILL)
    (root / "hold").unlink()
    dvc(root, "repro")
    assert (root / "last.txt").read_text() == "last.txt\nwhole"


def test_the_next_run_ends_what_a_killed_driver_has_left(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    root, elsewhere = (repository(SLOW, name, slow_py=SLOW_PY) for name in ("project", "elsewhere"))
    pids = {}
    for each in (root, elsewhere):
        (each / "hold").write_text("stubborn")
        assert interrupt(each, [signal.SIGKILL]) == -signal.SIGKILL
        pids[each] = [int(pid) for pid in (each / "pids").read_text().split()]
        (each / "hold").unlink()
    assert all(alive(pid) for pid in (*pids[root], *pids[elsewhere]))  # no stages of ours, which end by themselves
    assert repro(root)[0] == 0
    assert not any(alive(pid) for pid in pids[root])
    assert all(alive(pid) for pid in pids[elsewhere])
    assert repro(elsewhere)[0] == 0
    assert not any(alive(pid) for pid in pids[elsewhere])


STAGE_PY = """
import os, pathlib, sys, time
from replica.common import stage

def main():
    pathlib.Path("pids").write_text(str(os.getpid()))
    time.sleep(100)

stage.run(main)
"""


@pytest.mark.parametrize("how", ["driver", "dvc"])
def test_a_stage_ends_with_what_started_it(repository: Callable[..., Path], how: str) -> None:
    root = repository("stages: {slow: {cmd: PYTHON stage.py && true, deps: [stage.py]}}", stage_py=STAGE_PY)
    command = [sys.executable, "-c", DRIVER] if how == "driver" else [sys.executable, "-m", "dvc", "repro", "-q"]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 30
    while not ((root / "pids").exists() and (root / "pids").read_text()):
        assert time.monotonic() < until
        time.sleep(0.02)
    pid = int((root / "pids").read_text())
    time.sleep(0.3)
    assert alive(pid)
    process.kill()
    process.wait()
    until = time.monotonic() + 3
    while alive(pid):
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system of its own; where none can be mounted the test is skipped."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"only root mounts a small disk: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


BIG = """
stages:
  big: {cmd: head -c 400000 /dev/urandom > big.bin, outs: [big.bin]}
  folder: {cmd: mkdir -p parts && head -c 400000 /dev/urandom > parts/a && echo b > parts/b, outs: [parts]}
  after: {cmd: wc -c < big.bin > after.txt, deps: [big.bin], outs: [after.txt]}
"""


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        ("params.yaml", "x: {y: 2, z: 1}\n", "params.yaml:x.y"),
        ("input/a", "2\n", "input/a"),
        ("input/b", "", "input/b"),
    ],
)
def test_what_changes_under_a_running_stage_is_not_recorded_as_what_it_used(
    repository: Callable[..., Path],
    repro: Callable[..., tuple[int, str]],
    file: str,
    text: str,
    named: str,
    force: bool,
) -> None:
    pipeline = """stages:
  slow:
    cmd:
    - mkdir -p input/__pycache__ && echo > input/__pycache__/a
    - cat params.yaml input/a > out && touch began && sleep 1
    deps: [input]
    params: [x.y]
    outs: [out]
  other: {cmd: cp params.yaml copy, params: [x.z], outs: [copy]}
"""
    root = repository(pipeline, params_yaml="x: {y: 1, z: 1}\n")
    (root / "input").mkdir()
    (root / "input/a").write_text("1\n")

    def edit() -> None:
        while not (root / "began").exists():
            time.sleep(0.02)
        (root / file).write_text(text)

    with ThreadPoolExecutor() as pool:
        edited = pool.submit(edit)
        status, said = repro(root, force=force)
        edited.result()
    assert status == 1
    assert f"{named}: changed while it ran; nothing is recorded: run it again" in said
    assert "slow" not in (root / "dvc.lock").read_text()
    status, said = repro(root)
    assert (status, started(said)) == (0, ["slow"]), "the other stage's input is as it was"
    assert "1 unchanged" in said
    assert ("2" in (root / "out").read_text()) == bool(text)
    assert repro(root)[1].startswith("2 unchanged")


def test_a_full_disk_under_the_cache_fails_the_stage(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]], disk: Path
) -> None:
    root = repository(BIG)
    shutil.rmtree(root / ".dvc/cache", ignore_errors=True)
    (root / ".dvc/cache").symlink_to(disk)
    status, text = repro(root)
    assert status == 1
    for name in ("big", "folder"):
        assert re.search(f"failed: {name}: DVC's cache could not take the outputs: No space left on device; ", text)
    assert "not run: after, which needs big" in text
    assert not (root / "dvc.lock").exists()
    (root / ".dvc/cache").unlink()
    assert repro(root)[0] == 0
    dvc(root, "checkout", "-q")
    assert started(repro(root)[1]) == []


def test_dvc_s_temporary_folder_may_lie_on_another_disk(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]], disk: Path
) -> None:
    root = repository(PIPELINE, params_yaml=PARAMS)
    (root / ".dvc/tmp").rename(root / ".dvc/before")
    (root / ".dvc/tmp").symlink_to(disk)
    assert repro(root)[0] == 0
    assert started(repro(root)[1]) == []
    assert not list(root.glob(".dvc.lock*"))


def test_mistakes_are_told_in_one_line(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    root = repository(PIPELINE, params_yaml=PARAMS)
    for words, options, target in [
        ("'repot' not found inside 'dvc.yaml' file; did you mean report?", {}, "repot"),
        ("--jobs: 0, but at least 1", {"jobs": 0}, "report"),
    ]:
        with pytest.raises(UserError, match=r"^[^\n]*$") as error:
            repro(root, target, **options)
        assert words in str(error.value)
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match="you are not inside of a DVC repository"):
        repro(tmp_path / "elsewhere")
    held = rf"^Unable to acquire lock[^\n]* Here process {os.getpid()} \([^\n]*\) has it\.$"
    with Repo(str(root)).lock, pytest.raises(UserError, match=held):
        repro(root)
    (root / "dvc.yaml").write_text("stages: [")
    with pytest.raises(UserError, match=r"^[^\n]*dvc.yaml[^\n]*$"):
        repro(root)
    (root / "dvc.yaml").write_text("stages: {}")
    assert repro(root)[0] == 0  # nothing above has kept the lock


def test_the_longest_chain_starts_first(repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]) -> None:
    pipeline = """
stages:
  train:
    foreach: [short, long, seen, chain]
    do:
      cmd: PYTHON join.py ${item}.txt
      outs: ["${item}.txt"]
  after: {cmd: PYTHON join.py after.txt chain.txt, deps: [chain.txt], outs: [after.txt]}
"""
    root = repository(pipeline)
    for name, seconds, seeds in [("short", 1, 1), ("long", 30, 3), ("seen", 1, 1), ("chain", 5, 1)]:
        (root / "timings").mkdir(exist_ok=True)
        timing = {"train_seconds": seconds, "seeds": {str(seed): {} for seed in range(seeds)}}
        (root / "timings" / f"{name}.json").write_text(json.dumps(timing))
    own = root / ".dvc/tmp/replica/estimates.json"
    own.parent.mkdir(parents=True)
    own.write_text(json.dumps({"train@seen": 80.0, "after": 90.0}))
    assert repro(root, jobs=1)[0] == 0
    with (root / ".dvc/tmp/replica/timeline.csv").open() as file:
        rows = list(csv.DictReader(file))
    order = [row["stage"] for row in rows]
    assert order == ["train@chain", "train@long", "after", "train@seen", "train@short"]
    assert set(json.loads(own.read_text())) == set(order)
    assert all(0 < float(row["seconds"]) < 5 for row in rows)


def test_expects_what_was_recorded(tmp_path: Path) -> None:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/seconds.csv").write_text("variant,train_seconds,seeds,cpu\na,100.0,3,x\nb,20.0,1,x\n")
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings/b.json").write_text('{"train_seconds": 30.0, "seeds": {"0": 25.0, "1": 35.0}}')
    names = ("train@a", "train@b", "train@new", "search@a", "evaluate@a", "report")
    expected = Estimates(tmp_path, tmp_path / "own.json").of(names)
    assert expected == {  # b took three times as long here as elsewhere, and so will a
        "train@a": 900,
        "train@b": 60,
        "train@new": 480,
        "search@a": 900,
        "evaluate@a": 5,
        "report": 5,
    }

    own = Estimates(tmp_path, tmp_path / "own.json")
    own.record({"train@a": 250.0, "evaluate@b": 2.0})
    assert Estimates(tmp_path, tmp_path / "own.json").of(names) == {
        "train@a": 250,
        "train@b": 60,
        "train@new": 155,
        "search@a": pytest.approx(300 * (250 + 60 + 60) / (300 + 20 + 20)),
        "evaluate@a": 2,
        "report": 5,
    }


def test_the_time_left_follows_the_pace_of_this_machine(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]
) -> None:
    root = repository(
        "stages: {train: {foreach: [a, b], do: {cmd: 'PYTHON join.py ${item}.txt; sleep 0.2', outs: ['${item}.txt']}}}"
    )
    (root / "benchmarks").mkdir()
    (root / "benchmarks/seconds.csv").write_text("variant,train_seconds,seeds,cpu\na,300,1,x\nb,200,1,x\n")
    _, text = repro(root, jobs=1)
    assert re.search(r"train@a \| done in .*1 left, about \d(\.\d)? s\]", text), text


def test_shows_what_runs(repository: Callable[..., Path], repro: Callable[..., tuple[int, str]]) -> None:
    pipeline = """
stages:
  talk: {cmd: "echo epoch 1; echo epoch 2; sleep 0.6; printf 'epoch [3]'", always_changed: true}
"""
    root = repository(pipeline)
    _, text = repro(root)
    assert text.splitlines()[:4] == ["talk | started", "talk | epoch 1", "talk | epoch 2", "talk | epoch [3]"]
    assert (root / ".dvc/tmp/replica/logs/talk.log").read_text() == "epoch 1\nepoch 2\nepoch [3]"
    _, text = repro(root, terminal=True)
    assert re.search(r"of about \d", text)
    assert "epoch 2" in text
    assert "1 left, about " in text


@pytest.mark.parametrize(("needed", "overlap"), [(400, True), (600, False), (5000, False)])
def test_never_more_memory_than_there_is(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch,
    needed: int, overlap: bool,
) -> None:  # fmt: skip
    root = repository(
        "stages: {one: {cmd: PYTHON join.py one.txt && sleep 1, outs: [one.txt]},"
        " two: {cmd: PYTHON join.py two.txt && sleep 1, outs: [two.txt]}}"
    )
    (root / "benchmarks").mkdir()
    (root / "benchmarks/memory.csv").write_text(f"stage,MiB,threads\none,{needed},1\ntwo,{needed},1\n")
    monkeypatch.setattr(Workers, "memory", 1000.0)
    assert repro(root)[0] == 0
    # A Python that has little to do; Linux counts this one's pages with its own.
    most = 100 + resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    with (root / ".dvc/tmp/replica/timeline.csv").open(newline="") as file:
        assert all(1 < float(row["MiB"]) < most for row in csv.DictReader(file))
    # Of two that overlap neither has waited for the other.
    log = [(root / f".dvc/tmp/replica/logs/{name}.log").stat().st_ctime for name in ("one", "two")]
    assert (abs(log[0] - log[1]) < 0.9) == overlap
    assert set(json.loads((root / ".dvc/tmp/replica/memory.json").read_text())) == {"one", "two"}


@pytest.mark.parametrize("shell", ["/bin/true", "/bin/false", "/no/such/shell"])
def test_a_shell_that_runs_nothing_counts_for_nothing(
    repository: Callable[..., Path], repro: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("SHELL", shell)
    root = repository("stages: {one: {cmd: PYTHON join.py one.txt, outs: [one.txt: {persist: true}]}}\n")
    (root / "one.txt").write_text("of before")
    assert repro(root)[0] == 0
    assert (root / "one.txt").read_text() == "one.txt\n"
