"""dvc.yaml against the code: what a stage declares is what it imports."""

import ast
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


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


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_declares_the_code_it_imports(name):
    stage = STAGES[name].get("do", STAGES[name])
    module = re.search(r"python -m (stages\.\w+)", stage["cmd"]).group(1)
    imported = {str(file.relative_to(ROOT)) for file in closure(file_of(module)) if file.stat().st_size}
    declared = {dep for dep in stage["deps"] if dep.endswith(".py")}
    assert declared == imported, f"missing {sorted(imported - declared)}, needless {sorted(declared - imported)}"


def test_arrows_run_one_way():
    for file in (ROOT / "replica").rglob("*.py"):
        assert not [each for each in closure(file) if each.parent.name == "stages"], file
    for file in (ROOT / "stages").glob("*.py"):
        assert not [each for each in imports(file) if each.parent.name == "stages" and each.stat().st_size], file


def test_only_training_and_networks_know_tensorflow():
    heavy = {
        str(file.relative_to(ROOT))
        for folder in ("replica", "stages")
        for file in (ROOT / folder).rglob("*.py")
        if re.search(r"^\s*(import|from) (tensorflow|keras)", file.read_text(), re.M)
    }
    assert heavy == {"replica/backend.py"}
    users = {file.stem for file in (ROOT / "replica").rglob("*.py") if ROOT / "replica/backend.py" in imports(file)}
    assert users == {"networks", "quicker", "training", "runs", "saved"}
