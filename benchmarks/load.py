"""How the tools bear many variants: seconds of processor and peak memory by their number.

    python -m benchmarks.load              1, 250 and 1,000 variants: five minutes
    python -m benchmarks.load 250 --dvc    `dvc repro`, too, which takes its time
    python -m benchmarks.load 250 --train  trains and evaluates them instead, two at a time

Each row is a clone of the last commit where the quick start's smallest variant has been trained and is declared so many
times more, with its outputs and its entries in dvc.lock under other names; the documents' own variants are left out.
`benchmarks/repro.py` runs a thousand trivial stages.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
LIKE = "photos10_linear"
GROUPS = ("train", "evaluate")
OUTPUTS = ("models/{}", "plots/variants/{}", "metrics/{}.json", "metrics/details/{}.json", "metrics/test/{}.json")
COMMANDS = {
    "replica check": "-m replica check",
    "replica variants": "-m replica variants",
    "replica table": "-m replica table",
    "replica repro, nothing to do": "-m replica repro evaluate",
    "the report": "-m stages.report",
}
DVC = {"dvc repro, nothing to do": "-m dvc repro evaluate"}
TRAIN = {"replica repro, all trained and evaluated": "-m replica repro --jobs 2 evaluate"}


def environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": path, "PYTHONPATH": str(folder), "COLUMNS": "100"}


def measured(folder: Path, words: str) -> tuple[float, float]:
    """Seconds of processor time of a command with its children, and its peak memory in MB."""
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
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


def project(folder: Path) -> Path:
    """A clone with one variant trained, and nothing else declared that has not run."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    os.chdir(folder)
    measured(folder, f"-m replica repro evaluate@{LIKE}")
    return folder


def multiply(folder: Path, count: int, trained: bool = True) -> None:
    """Declare `count` copies of the variant, with its outputs and its record if they are `trained`."""
    names = [f"copy_{number}" for number in range(count)]
    parameters, lock = folder / "params.yaml", folder / "dvc.lock"
    for name in yaml.safe_load(parameters.read_text())["variants"].keys() - {LIKE}:
        for output in OUTPUTS:  # or the report draws what is no longer declared
            path = Path(output.format(name))
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    text = parameters.read_text()
    entry = re.search(rf"^  {LIKE}:\n(?:   .*\n)+", text, re.MULTILINE)[0]  # type: ignore[index]
    declared = "".join(entry.replace(LIKE, name) for name in [LIKE, *names])
    parameters.write_text(re.sub(r"^variants:\n(?:  .*\n)+", f"variants:\n{declared}", text, flags=re.MULTILINE))
    if not trained:
        return
    text = lock.read_text()
    for group in GROUPS:
        block = re.search(rf"^  {group}@{LIKE}:\n(?:   .*\n)+", text, re.MULTILINE)[0]  # type: ignore[index]
        text += "".join(block.replace(LIKE, name) for name in names)
    lock.write_text(text)
    for name in names:
        for output in OUTPUTS:
            source, copy = Path(output.format(LIKE)), Path(output.format(name))
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", type=int, default=[1, 250, 1000], help="how many variants")
    parser.add_argument("--dvc", action="store_true", help="measure `dvc repro`, too")
    parser.add_argument("--train", action="store_true", help="measure training and evaluating alone")
    options = parser.parse_args()
    commands = TRAIN if options.train else {**COMMANDS, **(DVC if options.dvc else {})}
    print(f"| variants | {' | '.join(commands)} |")
    print("| --- " * (len(commands) + 1) + "|", flush=True)
    for count in options.counts:
        cells = []
        with tempfile.TemporaryDirectory() as scratch:
            folder = project(Path(scratch, "project"))
            multiply(folder, count, trained=not options.train)
            for words in commands.values():
                seconds, memory = measured(folder, words)
                cells.append(f"{seconds:.1f} s, {memory:.0f} MB")
            os.chdir(ROOT)
        print(f"| {count:,} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
