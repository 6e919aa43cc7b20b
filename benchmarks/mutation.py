"""Mutation testing by room: does a test fail when a line is wrong?

    python -m benchmarks.mutation [ROOM ...] [--sample 60] [--seed 0] [--jobs 2]

Cosmic Ray finds the places of a room where one of its operators applies (a comparison, a number, a decorator, …). Of
these places a random sample is drawn, at each one mutant, and the room's tests run on it in a copy of the tree, the
quick ones first, until one fails. A mutant whose syntax differs in annotations alone is none. Killed is one that a test
fails on, or that takes four times as long as the unchanged code; what survives is printed as a diff.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from replica.evaluation import scores

ROOT = Path(__file__).parent.parent
ROOMS = {
    "common": (
        "replica/common",
        "tests/common tests/schema tests/training/test_runs.py tests/commands/test_command_line.py",
    ),
    "training": (
        "replica/training",
        "tests/training/test_layers.py tests/training/test_stopping.py tests/training/test_training.py"
        " tests/training/test_runs.py tests/search tests/training",
    ),
    "evaluation": ("replica/evaluation", "tests/evaluation tests/figures tests/report"),
    "schema": ("replica/schema", "tests/schema tests/common/test_parameters.py"),
    "repro": (
        "replica/commands/repro",
        "tests/commands/test_needs.py tests/commands/test_display.py tests/commands/test_plan.py"
        " tests/commands/test_workers.py tests/commands/test_checked.py tests/commands/test_lockfile.py"
        " tests/commands/test_repro.py",
    ),
    "sweep": (
        "replica/commands/sweep",
        "tests/commands/test_space.py tests/commands/test_study.py tests/commands/test_trials.py"
        " tests/commands/test_workspace.py tests/commands/test_cluster_trial.py tests/commands/test_sweep.py",
    ),
    "claims": ("replica/report/claims.py replica/report/verdicts.py", "tests/report"),
}  # fmt: skip
TIERS = "not emulated and not long and not machines"  # the slow tests too, which `make test` leaves out


def meaning(code: str) -> str:
    """The code without annotations, which nothing runs."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
    return ast.unparse(tree)


def places(file: Path) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """Where mutants can be made: the operators, and which of its occurrences each is, by line and column."""
    tree, found = get_ast(file.read_text()), {}  # type: ignore[var-annotated]
    for name in plugins.operator_names():
        kind = plugins.get_operator(name)
        if kind.arguments():
            continue
        positions = [start for node in ast_nodes(tree) for start, _ in kind().mutation_positions(node)]
        for occurrence, start in enumerate(positions):
            found.setdefault(start, []).append((name, occurrence))
    return found


def drawn(paths: list[str], size: int, seed: int) -> list[tuple[str, str]]:
    """Mutants of the files under `paths`, one each at random places: a path and the mutant's whole text."""
    files = sorted(
        file for path in paths for file in ([ROOT / path] if path.endswith(".py") else (ROOT / path).rglob("*.py"))
    )
    every = [(file, choices) for file in files for _, choices in sorted(places(file).items())]
    chance = random.Random(seed)
    chance.shuffle(every)
    mutants = []
    for file, choices in every:
        name, occurrence = chance.choice(choices)
        code = file.read_text()
        try:
            mutant = mutate_code(code, plugins.get_operator(name)(), occurrence)
            other = mutant is not None and meaning(mutant) != meaning(code)
        except (SyntaxError, AttributeError):  # `except errors.UserError` is more than its operator can replace
            continue
        if other:
            mutants.append((str(file.relative_to(ROOT)), mutant))
        if len(mutants) == size:
            break
    return mutants


def copy(folder: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
    )
    names = filter(None, listed.stdout.decode().split("\0"))
    for name in (each for each in names if (ROOT / each).is_file()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def passes(folder: Path, tests: list[str], limit: float | None) -> bool:
    """Whether the tests pass in a copy, within `limit` seconds."""
    # A mutant of the same length, written within a second, would pass for what bytecode holds.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n0", "-p", "no:cacheprovider", "-m", TIERS, *tests]
    process = subprocess.Popen(
        command, cwd=folder, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        return process.wait(limit) == 0
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()
        return False


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("rooms", nargs="*", metavar="ROOM", choices=[[], *ROOMS], help=", ".join(ROOMS))
    options.add_argument("--sample", type=int, default=60, help="mutants a room")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--jobs", type=int, default=os.cpu_count())
    given = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as parent, ThreadPoolExecutor(given.jobs) as workers:
        free: queue.Queue[Path] = queue.Queue()
        for number in range(given.jobs):
            free.put(copy(Path(parent, str(number))))

        for room in given.rooms or ROOMS:
            paths, tests = (each.split() for each in ROOMS[room])
            began = time.perf_counter()
            folder = free.get()
            if not passes(folder, tests, None):
                raise SystemExit(f"{room}: its tests fail on the unchanged code")
            free.put(folder)
            limit = 4 * (time.perf_counter() - began)

            def survived(mutant: tuple[str, str], tests: list[str] = tests, limit: float = limit) -> bool:
                folder, (path, text) = free.get(), mutant
                try:
                    (folder / path).write_text(text)
                    return passes(folder, tests, limit)
                finally:
                    shutil.copy2(ROOT / path, folder / path)
                    free.put(folder)

            mutants, killed = drawn(paths, given.sample, given.seed), 0
            for count, ((path, text), lives) in enumerate(zip(mutants, workers.map(survived, mutants), strict=True), 1):
                killed += not lives
                if lives:
                    lines = difflib.unified_diff(
                        (ROOT / path).read_text().splitlines(), text.splitlines(), path, "", n=0, lineterm=""
                    )
                    print("\n".join(list(lines)[2:]).replace("@@ ", f"{path} @@ ", 1))
                    print(f"killed so far: {killed} of {count}", flush=True)
            low, high = scores.wilson(killed / len(mutants), len(mutants))
            rows.append(
                f"| {room} | {len(mutants)} | {killed} | {killed / len(mutants):.0%} | {low:.0%} – {high:.0%} |"
            )
            print(f"{rows[-1]} {(time.perf_counter() - began) / 60:.0f} min\n", flush=True)
    print("\n".join(["| room | mutants | killed | score | 95% interval |", "| --- | --- | --- | --- | --- |", *rows]))


if __name__ == "__main__":
    main()
