"""The house against the code: which rooms a stage uses, which way arrows run, and how large a room's files are."""

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
ONCE = {"surface", "choose", "report", "sample"}  # stages that run once each may use more than three rooms
LONG = {"replica/__main__.py": "every command, its options and its help, and nothing else"}  # past 300 lines, and why


def file_of(module: str) -> Path | None:
    """A project module's file, or None for what is not the project's."""
    for file in (ROOT / module.replace(".", "/") / "__init__.py", ROOT / f"{module.replace('.', '/')}.py"):
        if file.exists():
            return file
    return None


def imports(file: Path) -> set[Path]:
    """The project's files that a file imports anywhere in it, their packages included."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("replica", "stages"):
                parts = name.split(".")
                found |= {file_of(".".join(parts[:n])) for n in range(1, len(parts) + 1)} - {None}
    return found


def closure(file: Path) -> set[Path]:
    seen, todo = set(), {file}
    while todo:
        seen |= todo
        todo = set().union(*(imports(each) for each in todo)) - seen
    return seen


def room(file: Path) -> str:
    """`replica/common/files.py` is in `replica/common`; the command line is a room of its own."""
    top, *inside = file.relative_to(ROOT).parts
    return f"{top}/{inside[0]}" if len(inside) > 1 else str(file.relative_to(ROOT))


FILES = [*(ROOT / "replica").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
ROOMS = {folder.name for folder in (ROOT / "replica").iterdir() if folder.is_dir() and folder.name != "__pycache__"}


def arrows() -> dict[str, set[str]]:
    """Each room of replica/ with the rooms that it imports from."""
    found: dict[str, set[str]] = {f"replica/{name}": set() for name in ROOMS}
    for file in (ROOT / "replica").rglob("*.py"):
        found.setdefault(room(file), set())
        found[room(file)] |= {room(each) for each in imports(file)} - {room(file), "replica/__init__.py"}
    return found


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_rooms_it_uses(name):
    stage = STAGES[name].get("do", STAGES[name])
    module = re.search(r"python -m (stages\.\w+)", str(stage["cmd"])).group(1)
    used = {room(file) for file in closure(file_of(module))} - {"replica/__init__.py", "stages/__init__.py"}
    declared = {dep for dep in stage["deps"] if dep.startswith(("replica", "stages"))}
    assert declared == used, f"missing {sorted(used - declared)}, needless {sorted(declared - used)}"
    assert name in ONCE or 1 <= len(used - {f"stages/{module.split('.')[1]}.py", "replica/common"}) <= 3


def test_the_top_floor_is_the_command_line_and_ten_rooms_at_most():
    assert len(ROOMS) <= 10
    files = {each.name for each in (ROOT / "replica").iterdir() if each.is_file()}
    assert files == {"__init__.py", "__main__.py"}


def test_arrows_run_down_and_in_no_circle():
    TopologicalSorter(arrows()).prepare()  # raises CycleError, which names the rooms


def test_common_imports_nothing_but_itself():
    assert arrows()["replica/common"] == set()


def test_nothing_but_the_command_line_imports_the_commands_and_no_stage_depends_on_them():
    assert {name for name, to in arrows().items() if "replica/commands" in to} == {"replica/__main__.py"}
    assert not [name for name, stage in STAGES.items() if "replica/commands" in stage.get("do", stage)["deps"]]
    for file in (ROOT / "stages").glob("*.py"):
        assert not [each for each in closure(file) if room(each) == "replica/commands"], file


def test_the_library_imports_no_stage_and_no_stage_another():
    for file in FILES:
        others = {each for each in imports(file) if each.parent.name == "stages" and each.stat().st_size}
        assert not others, file


def test_no_command_that_names_an_entry_runs_before_the_names_have_been_checked():
    commands = {name: stage["do"]["cmd"] for name, stage in STAGES.items() if "do" in stage}
    assert len(commands) == 6
    for name, (first, *others) in commands.items():  # DVC runs them one after the other, while they succeed
        assert first == "python -m replica check" and others == [f"python -m stages.{name} ${{key}}"]


def test_tests_mirror_the_rooms():
    folders = {folder.name for folder in (ROOT / "tests").iterdir() if folder.is_dir() and any(folder.glob("test_*"))}
    assert folders - {"pipeline", "docs"} == ROOMS


def test_no_file_is_past_300_lines():
    lengths = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in FILES}
    assert {name for name, lines in lengths.items() if lines > 300} <= LONG.keys()


def test_one_file_imports_tensorflow_and_one_room_uses_it():
    heavy = {
        str(file.relative_to(ROOT))
        for file in FILES
        if re.search(r"^\s*(import|from) (tensorflow|keras)", file.read_text(), re.M)
    }
    assert heavy == {"replica/training/backend.py"}
    users = {room(file) for file in FILES if ROOT / "replica/training/backend.py" in imports(file)}
    assert users == {"replica/training"}
