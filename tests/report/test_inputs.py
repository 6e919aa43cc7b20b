"""What the report stages read is what dvc.yaml declares, or `dvc repro` would leave a page that is out of date."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def paths(entries: list) -> list[str]:
    return [next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries]


def made(folder: Path, stage: dict, inputs: list[str]) -> dict[str, bytes]:
    """What a stage's command leaves in a folder that holds these inputs of the project."""
    for name in ("dvc.yaml", *inputs):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, folder / name)
    words = stage["cmd"].split()[1:]
    subprocess.run([sys.executable, *words], cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    outs = [folder / name for name in paths(stage["outs"])]
    found = [file for out in outs for file in ([out] if out.is_file() else out.rglob("*"))]
    return {str(file.relative_to(folder)): file.read_bytes() for file in found if file.is_file()}


@pytest.mark.parametrize("name", ["report", "sample"])
def test_nothing_undeclared_changes_a_report(tmp_path, name):
    stage = STAGES[name]
    code = {"stages/report.py", *(f"replica/{room}" for room in ("common", "figures", "report", "schema"))}
    declared = [path for path in paths(stage["deps"]) if path not in code]
    everything = [*{"metrics", "plots", *(path for path in declared if not path.startswith(("metrics/", "plots/")))}]
    alone, among = (made(tmp_path / each, stage, inputs) for each, inputs in (("a", declared), ("b", everything)))
    assert alone.keys() <= among.keys()
    assert [file for file in alone if alone[file] != among[file]] == []
    assert len(alone["report/index.html" if name == "report" else "report/sample.html"]) > 50_000


def test_the_quick_start_s_page_leaves_out_a_variant_of_one_s_own(tmp_path):
    stage = STAGES["sample"]
    text = (ROOT / "params.yaml").read_text()
    entry = re.search(r"^  photos10_linear:\n(?:   .*\n)+", text, re.MULTILINE)[0]
    inputs = [path for path in paths(stage["deps"]) if not path.startswith(("stages", "replica"))]
    made(tmp_path, stage, inputs)
    before = (tmp_path / "report/sample.html").read_text()
    (tmp_path / "params.yaml").write_text(text.replace(entry, entry + entry.replace("photos10_linear", "mine")))
    for name in ("metrics/details/{}.json", "plots/variants/{}/history.csv", "plots/variants/{}/confusion.csv"):
        (tmp_path / name.format("mine")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(tmp_path / name.format("photos10_linear"), tmp_path / name.format("mine"))
    made(tmp_path, stage, [])
    assert (tmp_path / "report/sample.html").read_text() == before, "the stage would not run again for its scores"
