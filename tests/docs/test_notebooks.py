"""The notebooks, each executed from its one source, and opened in Jupyter; `make cells`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT, Project

SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
TRAINED = {"first_hour": ["mnist_5k_mlp"], "convolution": ["mnist_5k_cnn"]}  # what each loads; the others need nothing
LIMIT = 300  # seconds a notebook
pytestmark = pytest.mark.long


def cloned(folder: Path) -> Project:
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    return Project(folder)


@pytest.mark.parametrize("source", SOURCES, ids=lambda file: file.stem)
def test_it_runs_from_first_to_last_cell_and_warns_of_nothing(source: Path, tmp_path: Path, monkeypatch):
    import jupytext
    from nbclient import NotebookClient

    clone = cloned(tmp_path / "clone")
    for variant in TRAINED.get(source.stem, []):
        clone.repro(f"evaluate@{variant}")
    for key, value in clone.environment().items():
        monkeypatch.setenv(key, value)
    for key in os.environ.keys() - clone.environment().keys():
        monkeypatch.delenv(key)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = jupytext.read(source)
    folder = {"metadata": {"path": str(clone.folder / "notebooks")}}
    began = time.monotonic()
    done = NotebookClient(notebook, timeout=LIMIT, kernel_name="python3", resources=folder).execute()
    seconds = time.monotonic() - began
    print(f"{source.name}: {seconds:.0f} s")
    assert seconds < LIMIT
    cells = [cell for cell in done.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type == "error"] == []
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
    assert clone.run("git", "status", "--short", "notebooks", "metrics").stdout == ""


def test_no_notebook_is_committed_beside_its_source():
    listed = subprocess.run(["git", "ls-files", "*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert listed.stdout == ""


def test_make_writes_each_once_and_keeps_its_answers(tmp_path: Path):
    clone = cloned(tmp_path / "clone")
    names = [f"notebooks/{source.stem}.ipynb" for source in SOURCES]
    installed = ("-o", ".venv/.notebook")
    clone.run("make", *installed, *names)
    kept = clone.folder / names[0]
    answers = json.loads(kept.read_text())
    answers["cells"][0]["source"] = ["my own answer"]
    kept.write_text(json.dumps(answers))
    for name in names:
        os.utime(clone.folder / name, (0, 0))
    (clone.folder / names[1]).unlink()
    told = clone.run("make", *installed, *names).stdout
    assert "my own answer" in kept.read_text()
    assert f"{names[0]} is kept" in told
    assert json.loads((clone.folder / names[1]).read_text())["cells"]


def test_make_notebook_opens_them_in_jupyter(tmp_path: Path):
    """The target as it is, but for the environment and the quick start."""
    clone = cloned(tmp_path / "clone")
    command = ["make", "-o", "sample", "-o", ".venv/.notebook", "notebook"]
    options = "--no-browser --port=0 --allow-root"
    homes = {name: str(tmp_path / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    log = tmp_path / "log"
    with log.open("w") as output:
        lab = subprocess.Popen(
            [*command, f"LAB={options}"],
            cwd=clone.folder,
            env={**clone.environment(), **homes},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 300
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/lab\?token=(\w+)", log.read_text())):
            assert lab.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        port, token = found.groups()

        def fetched(page: str) -> str:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/{page}", headers={"Authorization": f"token {token}"}
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read().decode()

        assert "<title>JupyterLab</title>" in fetched("lab")
        listed = {entry["name"] for entry in json.loads(fetched("api/contents"))["content"]}
        assert {f"{source.stem}.ipynb" for source in SOURCES} <= listed
        first = json.loads(fetched(f"api/contents/{SOURCES[0].stem}.ipynb"))
        assert first["type"] == "notebook" and first["content"]["cells"]
    finally:
        if lab.poll() is None:
            os.killpg(lab.pid, signal.SIGTERM)
        lab.wait(30)


def test_its_kernel_is_this_environment_s():
    from jupyter_client.kernelspec import KernelSpecManager

    argv = KernelSpecManager().get_kernel_spec("python3").argv
    assert argv[0] in ("python", sys.executable)
