"""The notebooks, each from its one source, executed in a clone whose quick start has run; `pytest -m long`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest
from conftest import ROOT, Project
from nbclient import NotebookClient

SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Project:
    """A clone with the one variant that the notebooks load."""
    folder = tmp_path_factory.mktemp("notebooks") / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    made = Project(folder)
    made.repro("evaluate@mnist_5k_mlp")
    return made


@pytest.mark.parametrize("source", SOURCES, ids=lambda file: file.stem)
def test_it_runs_from_first_to_last_cell_and_warns_of_nothing(source: Path, clone: Project, monkeypatch):
    for key, value in clone.environment().items():
        monkeypatch.setenv(key, value)
    for key in os.environ.keys() - clone.environment().keys():
        monkeypatch.delenv(key)
    monkeypatch.setenv("IPYTHONDIR", str(clone.folder / ".ipython"))
    notebook = jupytext.reads(source.read_text(), fmt="py:percent")
    folder = {"metadata": {"path": str(clone.folder / "notebooks")}}
    (clone.folder / "notebooks").mkdir(exist_ok=True)
    done = NotebookClient(notebook, timeout=300, kernel_name="python3", resources=folder).execute()
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    told = [output.text for cell in cells for output in cell.outputs if output.get("name") == "stderr"]
    assert told == []
    pictures = [output for cell in cells for output in cell.outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 3


def test_no_notebook_is_committed_beside_its_source():
    listed = subprocess.run(["git", "ls-files", "*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout == ""


def test_make_notebook_writes_one_a_source(tmp_path):
    """By the target's own line of jupytext."""
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "jupytext" in line)
    words = line.strip().lstrip("@").split()
    assert words[0] == "jupytext"
    files = [tmp_path / source.name for source in SOURCES]
    for source, file in zip(SOURCES, files, strict=True):
        file.write_text(source.read_text())
    command = [sys.executable, "-m", "jupytext", *(word for word in words[1:] if not word.startswith("notebooks/"))]
    subprocess.run([*command, *map(str, files)], check=True, capture_output=True)
    assert all(file.with_suffix(".ipynb").exists() for file in files)
