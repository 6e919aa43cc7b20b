"""How the tools bear many variants: seconds of processor and peak memory by their number.

    python -m benchmarks.load                1, 250 and 1,000 variants more than are declared: ten minutes
    python -m benchmarks.load 100 --runs 10

Each row is a clone of the last commit where the quick start's smallest variant has been trained and is declared so many
times more, with its outputs and its entries in dvc.lock under other names; the documents' own variants are left out.
Then: the check, the list of variants, the table, `replica repro` and `dvc repro` with nothing to do, and a run of some
whose epochs change (`--runs`; less the seconds of their own commands, by the clock: what the driver adds, a variant).
"""

from __future__ import annotations

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIKE = "photos10_linear"
GROUPS = ("train", "evaluate")
OUTPUTS = ("models/{}", "plots/variants/{}", "metrics/{}.json", "metrics/details/{}.json", "metrics/test/{}.json")
COMMANDS = {
    "replica check": "-m replica check",
    "replica variants": "-m replica variants",
    "replica table": "-m replica table",
    "replica repro, nothing to do": "-m replica repro evaluate",
    "dvc repro, nothing to do": "-m dvc repro evaluate",
}


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "COLUMNS": "100"}


def measured(folder: Path, words: str) -> tuple[float, float, float]:
    """Seconds of processor time of a command with its children, its peak memory in MB, and seconds by the clock."""
    began = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, *words.split()],
        environment(folder),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, str(folder / ".git/said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ],
    )
    _, status, used = os.wait4(pid, 0)
    if status:
        sys.exit(f"{words}: {(folder / '.git/said').read_text()[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000, time.perf_counter() - began


def project(folder: Path) -> Path:
    """A clone with one variant trained, and nothing else declared that has not run."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    os.chdir(folder)
    measured(folder, f"-m replica repro evaluate@{LIKE}")
    return folder


def multiply(folder: Path, count: int) -> list[str]:
    """Declare `count` copies of the variant, with its outputs and its record."""
    names = [f"copy_{number}" for number in range(count)]
    parameters, lock = folder / "params.yaml", folder / "dvc.lock"
    text = parameters.read_text()
    entry = re.search(rf"^  {LIKE}:\n(?:   .*\n)+", text, re.MULTILINE)[0]  # type: ignore[index]
    declared = "".join(entry.replace(LIKE, name) for name in [LIKE, *names])
    parameters.write_text(re.sub(r"^variants:\n(?:  .*\n)+", f"variants:\n{declared}", text, flags=re.MULTILINE))
    text = lock.read_text()
    for group in GROUPS:
        block = re.search(rf"^  {group}@{LIKE}:\n(?:   .*\n)+", text, re.MULTILINE)[0]  # type: ignore[index]
        text += "".join(block.replace(LIKE, name) for name in names)
    lock.write_text(text)
    for name in names:
        for output in OUTPUTS:
            source, copy = Path(output.format(LIKE)), Path(output.format(name))
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
    return names


def added(folder: Path, names: list[str]) -> float:
    """Seconds by the clock that the driver adds to each of `names`, trained for another number of epochs."""
    parameters = folder / "params.yaml"
    text = parameters.read_text()
    for name in names:
        text = re.sub(rf"(^  {name}:\n(?:   .*\n)+?    epochs: )\d+", r"\g<1>1", text, flags=re.MULTILINE)
    parameters.write_text(text)
    _, _, whole = measured(folder, "-m replica repro --jobs 1 evaluate")
    with (folder / ".dvc/tmp/replica/timeline.csv").open() as file:
        own = sum(float(row["seconds"]) for row in csv.DictReader(file))
    return (whole - own) / len(names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1, 250, 1000], help="how many variants more")
    parser.add_argument("--runs", type=int, default=10, help="how many of them are then trained")
    options = parser.parse_args()
    print(f"| variants more | {' | '.join(COMMANDS)} | added by the driver to each of {options.runs} |")
    print("| --- " * (len(COMMANDS) + 2) + "|", flush=True)
    for count in options.counts:
        with tempfile.TemporaryDirectory() as scratch:
            folder = project(Path(scratch, "project"))
            names = multiply(folder, count)
            cells = []
            for words in COMMANDS.values():
                seconds, memory, _ = measured(folder, words)
                cells.append(f"{seconds:.1f} s, {memory:.0f} MB")
            cells.append(f"{added(folder, names[: options.runs]):.1f} s")
            os.chdir(ROOT)
        print(f"| {count} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
