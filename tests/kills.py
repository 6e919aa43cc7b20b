"""The kill table: runs that are killed at random moments, then run once more. `python tests/kills.py --kills 100`.

Each round begins from the same files in a copy of its own, with the data preprocessed and nothing trained. It starts a
command, kills a part of it after a random share of the time that it takes, and runs the command's remedy; what lies
there then is held against what an undisturbed run left, byte for byte.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml

HEALS = [["replica", "repair"], ["dvc", "repro"]]


class Way(NamedTuple):
    """A command to kill, and the plain run after it."""

    command: list[str]
    after: list[list[str]]


WAYS = {
    "replica repro": Way(["replica", "repro", "--jobs", "2"], [["replica", "repro", "--jobs", "2"]]),
    "dvc repro": Way(["dvc", "repro"], HEALS),
    "dvc exp run": Way(["dvc", "exp", "run"], HEALS),
}
PARTS = ("group", "driver", "worker", "command")
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


class Round(NamedTuple):
    """What was killed, with which signal, after how many seconds, and what differed then."""

    way: str
    part: str
    number: signal.Signals
    seconds: float
    wrong: list[str]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file but git's, DVC's own and those that hold seconds; of dvc.lock the entries, sorted.

    DVC puts a stage's first entry at the end, whenever that is made; those of a committed dvc.lock keep their places.
    """
    own = (".git", ".dvc", "timings", "live", "__pycache__")
    files = {file.relative_to(folder): file for file in folder.rglob("*") if file.is_file()}
    found = {str(name): file.read_bytes() for name, file in files.items() if not set(own) & set(name.parts)}
    if "dvc.lock" in found:
        found["dvc.lock"] = json.dumps(yaml.safe_load(found["dvc.lock"]), sort_keys=True).encode()
    return found


def stages(process: psutil.Process) -> list[psutil.Process]:
    """The commands of stages below a process: their shells first."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "DVC_STAGE" in child.environ():
                found.append(child)
        except psutil.Error:
            continue
    return found


def strike(process: subprocess.Popen[bytes], part: str, number: signal.Signals) -> None:
    """Send a signal to a part of what runs: the whole group and the commands' own, the driver, a shell, a command."""
    driver = psutil.Process(process.pid)
    below = stages(driver)
    if part == "driver" or (part != "group" and not below):
        process.send_signal(number)
    elif part == "group":
        os.killpg(process.pid, number)
    else:
        try:
            (below[0] if part == "worker" else below[-1]).send_signal(number)
        except psutil.NoSuchProcess:
            process.send_signal(number)


def play(
    base: Path,
    whole: dict[str, bytes],
    way: Way,
    part: str,
    number: signal.Signals,
    after: float,
    environment: dict[str, str],
) -> list[str]:
    """One round in a copy of `base`; return the files that differ from `whole`, or what the run after it said."""
    with tempfile.TemporaryDirectory(dir=base.parent, ignore_cleanup_errors=True) as place:
        folder = Path(place, "project")
        shutil.copytree(base, folder, symlinks=True)
        path = os.pathsep.join((str(folder), str(Path(__file__).parent.parent)))
        environment = {**environment, "PYTHONPATH": path, "DVC_SITE_CACHE_DIR": str(Path(place, "site"))}
        with Path(place, "log").open("wb") as log:
            process = subprocess.Popen(
                way.command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            try:
                process.wait(after)
            except subprocess.TimeoutExpired:
                strike(process, part, number)
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for command in way.after:
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                return [f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}"]
        now = contents(folder)
        return sorted(name for name in now.keys() | whole.keys() if now.get(name) != whole.get(name))


def rounds(base: Path, kills: int, seed: int, ways: dict[str, Way], environment: dict[str, str]) -> Iterable[Round]:
    """Kill at `kills` random moments, each way, part and signal in turn; yield what came of each."""
    draws = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=base.parent, ignore_cleanup_errors=True) as place:
        folder = Path(place, "project")
        shutil.copytree(base, folder, symlinks=True)
        lasts = {}
        first = next(iter(ways.values()))
        began = time.monotonic()
        path = os.pathsep.join((str(folder), str(Path(__file__).parent.parent)))
        settings = {**environment, "PYTHONPATH": path, "DVC_SITE_CACHE_DIR": str(Path(place, "site"))}
        subprocess.run(first.command, cwd=folder, env=settings, capture_output=True, check=True)
        lasts = dict.fromkeys(ways, time.monotonic() - began)
        whole = contents(folder)
    cases = [(name, part, number) for part, number, name in itertools.product(PARTS, SIGNALS, ways)]
    draws.shuffle(cases)
    for name, part, number in itertools.islice(itertools.cycle(cases), kills):
        after = draws.uniform(0.05, 1.0) * lasts[name]
        wrong = play(base, whole, ways[name], part, number, after, environment)
        yield Round(name, part, number, after, wrong)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    options = asked.parse_args()
    from conftest import small

    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as place:
        project = small(Path(place, "base"))
        project.run("replica", "repro", "preprocess")
        project.commit("Data")
        bad = 0
        print("killed | part | signal | after s | the next run")
        for each in rounds(project.folder, options.kills, options.seed, WAYS, project.environment()):
            bad += bool(each.wrong)
            words = "the same bytes" if not each.wrong else "; ".join(each.wrong)
            print(f"{each.way} | {each.part} | {each.number.name} | {each.seconds:.1f} | {words}", flush=True)
    sys.exit(f"{bad} of {options.kills} ended otherwise" if bad else 0)


if __name__ == "__main__":
    main()
