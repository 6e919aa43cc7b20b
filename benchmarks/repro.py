"""`replica repro` beside `dvc repro`: nothing to do, trivial stages, and stages that wait.

    python benchmarks/repro.py                       10 and 100 stages: about two minutes
    python benchmarks/repro.py --stages 10 100 1000  the third takes `dvc repro` ten minutes more

Each side runs in a fresh repository of its own, one after the other, and prints seconds of wall clock and of processor
time (its commands' included): the second is the one to compare on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DVC = [sys.executable, "-m", "dvc", "repro"]
DRIVER = "import sys; from replica.commands.repro import reproduce; sys.exit(reproduce([], jobs=int(sys.argv[1])))"
PIPELINE = """stages:
  make:
    foreach: ${variants}
    do:
      cmd: sleep %s && echo ${item.units} > out/${key}.txt
      params: ["variants.${key}"]
      outs: ["out/${key}.txt"]
"""


def repository(root: Path, stages: int, seconds: float) -> Path:
    """A repository of so many stages of one `foreach`, each of which sleeps and writes a line."""
    (root / "out").mkdir(parents=True)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run([*DVC[:-1], "init", "-q"], cwd=root, check=True)
    entries = "".join(f"  v{n}: {{units: {n}, epochs: 3}}\n" for n in range(stages))
    (root / "params.yaml").write_text(f"variants:\n{entries}")
    (root / "dvc.yaml").write_text(PIPELINE % seconds)
    (root / ".gitignore").write_text("/out\n")
    return root


def timed(root: Path, jobs: int) -> tuple[float, float]:
    """Seconds of wall clock and of processor time of `dvc repro`, or with `jobs` of the driver."""
    command = [sys.executable, "-c", DRIVER, str(jobs)] if jobs else DVC
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def row(what: str, theirs: tuple[float, float], ours: tuple[float, float]) -> None:
    ratio = f"{theirs[0] / ours[0]:.1f}x, {theirs[1] / ours[1]:.1f}x"
    print(f"| {what} | {theirs[0]:.1f} ({theirs[1]:.1f}) | {ours[0]:.1f} ({ours[1]:.1f}) | {ratio} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stages", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    print("| seconds: wall (processor) | dvc repro | replica repro | ratio |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for stages in options.stages:
            ours = repository(Path(folder) / f"ours{stages}", stages, 0)
            first = timed(ours, options.jobs)
            if stages <= 100:  # `dvc repro` would run 1,000 for hours
                theirs = repository(Path(folder) / f"theirs{stages}", stages, 0)
                row(f"{stages} trivial stages", timed(theirs, 0), first)
                assert (theirs / "dvc.lock").read_bytes() == (ours / "dvc.lock").read_bytes()
            else:
                print(f"| {stages} trivial stages | | {first[0]:.1f} ({first[1]:.1f}) | |", flush=True)
            row(f"nothing to do, {stages} stages", timed(ours, 0), timed(ours, options.jobs))
        pair = [repository(Path(folder) / name, 20, 2) for name in ("waiting-theirs", "waiting-ours")]
        row(f"20 stages that sleep 2 s, {options.jobs} jobs", timed(pair[0], 0), timed(pair[1], options.jobs))


if __name__ == "__main__":
    main()
