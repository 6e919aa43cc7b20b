"""The kill table: runs that are killed at random moments, then run once more. `python tests/kills.py --kills 100`.

Each round begins from the same files in a copy of its own, with the data preprocessed and nothing trained. It starts a
command, kills a part of it after a random share of the time that it takes, and runs the command's remedy; what lies
there then is held against what an undisturbed run left, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
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
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil
import yaml

HEALS = [["replica", "repair"], ["dvc", "repro"]]
SWEEP = ["replica", "sweep", "photos10_linear", "-S", "batch_size=16,32,64", "--sampler", "grid", "--name", "killed"]
QUEUE = "dvc exp run --queue -S variants.photos10_linear.batch_size=64 && dvc exp run --run-all"
ROUND = "KILLS_ROUND"  # in the environment of a round's processes: its folder
AGAIN = "run this again when that has ended"  # the queue's worker outlives its driver


class Way(NamedTuple):
    """A command to kill, the plain run after it, and whether the experiments are compared too."""

    command: list[str]
    after: list[list[str]]
    experiments: bool = False


WAYS = {
    "replica repro": Way(["replica", "repro", "--jobs", "2"], [["replica", "repro", "--jobs", "2"]]),
    "dvc repro": Way(["dvc", "repro"], HEALS),
    "dvc exp run": Way(["dvc", "exp", "run"], HEALS),
    "replica sweep": Way(SWEEP, [SWEEP], experiments=True),
    "the queue": Way(["sh", "-c", QUEUE], [["dvc", "queue", "stop", "--kill"], *HEALS]),
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


OWN = {".git", ".dvc", "timings", "live", "__pycache__"}


def contents(folder: Path, experiments: bool = False) -> dict[str, bytes]:
    """Every file but git's, DVC's own and those that hold seconds; of dvc.lock the entries, sorted.

    DVC puts a stage's first entry at the end, whenever that is made; those of a committed dvc.lock keep their places.
    Of an experiment, its name and a digest of its files.
    """
    files = {file.relative_to(folder): file for file in folder.rglob("*") if file.is_file()}
    found = {str(name): file.read_bytes() for name, file in files.items() if not OWN & set(name.parts)}
    if "dvc.lock" in found:
        found["dvc.lock"] = entries(found["dvc.lock"])
    if experiments:
        for ref in git(folder, "for-each-ref", "--format=%(refname)", "refs/exps").decode().split():
            rows = git(folder, "ls-tree", "-r", ref).decode().splitlines()
            kept = [row for row in rows if not OWN & set(row.split("/")) and not row.endswith("\tdvc.lock")]
            lock = entries(git(folder, "show", f"{ref}:dvc.lock"))
            found[ref] = hashlib.sha256(lock + "\n".join(kept).encode()).digest()
    return found


def entries(lock: bytes) -> bytes:
    return json.dumps(yaml.safe_load(lock), sort_keys=True).encode()


def git(folder: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, check=True).stdout


def marked(place: str, stage: bool = False) -> list[psutil.Process]:
    """The processes of a round, or those that are commands of its stages, the eldest first, so shells before commands.

    They are known by their environment: the queue's worker, as any daemon, is nobody's child.
    """
    found = []
    for process in psutil.process_iter():
        try:
            said = process.environ()
            if said.get(ROUND) == place and (not stage or "DVC_STAGE" in said):
                found.append((process.create_time(), process.pid, process))
        except psutil.Error:
            continue
    return [process for *_, process in sorted(found)]


def strike(process: subprocess.Popen[bytes], place: str, part: str, number: signal.Signals) -> str:
    """Send a signal to the whole group, to the driver, or to the shell or the command of a stage as soon as one runs.

    Return what was struck: "nothing" where the run ended before.
    """
    while process.poll() is None:
        if part == "driver":
            process.send_signal(number)
            return part
        if part == "group":
            os.killpg(process.pid, number)
            return part
        if below := marked(place, stage=True):
            with suppress(psutil.NoSuchProcess):
                below[0 if part == "worker" else -1].send_signal(number)
                return part
    return "nothing"


@contextmanager
def copied(base: Path, environment: dict[str, str]) -> Iterator[tuple[Path, dict[str, str]]]:
    """A copy of a project, and the environment of its commands; what still runs in it in the end is killed."""
    with tempfile.TemporaryDirectory(dir=base.parent, ignore_cleanup_errors=True) as place:
        folder, site = Path(place, "project"), str(Path(place, "site"))
        shutil.copytree(base, folder, symlinks=True)
        path = os.pathsep.join((str(folder), str(Path(__file__).parent.parent)))
        try:
            yield folder, {**environment, "PYTHONPATH": path, "DVC_SITE_CACHE_DIR": site, ROUND: place}
        finally:
            for process in marked(place):
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def undisturbed(base: Path, way: Way, environment: dict[str, str]) -> tuple[float, dict[str, bytes]]:
    """The seconds that a way takes, and what it leaves."""
    with copied(base, environment) as (folder, settings):
        began = time.monotonic()
        subprocess.run(way.command, cwd=folder, env=settings, capture_output=True, check=True)
        seconds = time.monotonic() - began
        for command in way.after:
            subprocess.run(command, cwd=folder, env=settings, capture_output=True, check=True)
        return seconds, contents(folder, way.experiments)


def play(
    base: Path,
    whole: dict[str, bytes],
    way: Way,
    part: str,
    number: signal.Signals,
    after: float,
    environment: dict[str, str],
) -> tuple[str, list[str]]:
    """One round in a copy of `base`: what was struck, and which files differ from `whole` or what the next run said."""
    with copied(base, environment) as (folder, settings):
        with folder.with_name("log").open("wb") as log:
            process = subprocess.Popen(
                way.command, cwd=folder, env=settings, stdout=log, stderr=log, start_new_session=True
            )
            with suppress(subprocess.TimeoutExpired):
                process.wait(after)
            struck = strike(process, settings[ROUND], part, number)
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for command in way.after:
            for _ in range(60):
                done = subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, check=False)
                if AGAIN not in done.stderr:
                    break
                time.sleep(1)
            if done.returncode:
                return struck, [f"{' '.join(command)}: {(done.stdout + done.stderr)[-2000:]}"]
        now = contents(folder, way.experiments)
        return struck, sorted(name for name in now.keys() | whole.keys() if now.get(name) != whole.get(name))


def rounds(
    base: Path,
    kills: int,
    seed: int,
    ways: dict[str, Way],
    environment: dict[str, str],
    parts: Iterable[str] = PARTS,
    signals: Iterable[signal.Signals] = SIGNALS,
) -> Iterable[Round]:
    """Kill at `kills` random moments, each way, part and signal in turn; yield what came of each.

    Where the run had ended before the signal, an earlier moment is drawn, four in all at most.
    """
    draws = random.Random(seed)
    without = {name: undisturbed(base, way, environment) for name, way in ways.items()}
    plain = [without[name][1] for name, way in ways.items() if not way.experiments]
    assert all(whole == plain[0] for whole in plain), "undisturbed ways differ"
    cases = [(name, part, number) for part, number, name in itertools.product(parts, signals, ways)]
    draws.shuffle(cases)
    for name, part, number in itertools.islice(itertools.cycle(cases), kills):
        seconds, whole = without[name]
        after = seconds
        for _ in range(4):
            after = draws.uniform(0.05 * seconds, after)
            struck, wrong = play(base, whole, ways[name], part, number, after, environment)
            if wrong or struck != "nothing":
                break
        yield Round(name, struck, number, after, wrong)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--kills", type=int, default=100)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    asked.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    asked.add_argument("--signals", nargs="+", type=lambda name: signal.Signals[name], default=SIGNALS)
    options = asked.parse_args()
    from conftest import small

    with tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as place:
        project = small(Path(place, "base"))
        project.run("replica", "repro", "preprocess")
        project.commit("Data")
        ways = {name: WAYS[name] for name in options.ways}
        bad = 0
        print("killed | part | signal | after s | the next run")
        kinds = options.parts, options.signals
        for each in rounds(project.folder, options.kills, options.seed, ways, project.environment(), *kinds):
            bad += bool(each.wrong)
            words = "the same bytes" if not each.wrong else "; ".join(each.wrong)
            print(f"{each.way} | {each.part} | {each.number.name} | {each.seconds:.1f} | {words}", flush=True)
    sys.exit(f"{bad} of {options.kills} ended otherwise" if bad else 0)


if __name__ == "__main__":
    main()
