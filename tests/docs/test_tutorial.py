"""docs/tutorial.md, command by command, in a small project; `make cells`, with `-s` the seconds of each."""

import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT, SMALL, Project, run_once
from PIL import Image

TEXT = (ROOT / "docs/tutorial.md").read_text()
BLOCKS = re.findall(r"```(console|yaml)\n(.*?)```", TEXT, re.DOTALL)


def commands(block):
    """Each command of a block, and what it must begin an output line with to count as refused."""
    return [
        (command, re.sub("….*", "", refusal)) for command, refusal in re.findall(r"\$ (.*)\n(?:(error: .*)\n)?", block)
    ]


@pytest.fixture(scope="module")
def tutorial(copied_from):
    """The small project as its quick start has left it, with pictures of one's own beside."""
    project = Project(folder := copied_from(run_once))
    whole, pipeline = (yaml.safe_load((root / "dvc.yaml").read_text()) for root in (ROOT, folder))
    sample = whole["stages"]["sample"]
    absent = re.compile("mnist_5k_cnn|photos10_strided")
    sample["deps"] = [name for name in sample["deps"] if not absent.search(name)]
    pipeline["stages"]["sample"] = sample
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / name).symlink_to(Path(sys.prefix, name))
    (folder / ".venv/.done").touch()
    project.repro("sample")
    random = np.random.default_rng(0)
    for name, level in (("cat", 60), ("dog", 180)):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            noise = random.integers(level - 50, level + 50, (40, 40, 3), np.uint8)
            Image.fromarray(noise).save(folder / f"pictures/{name}/{number}.png")
    digit = np.load(folder / "data/processed/mnist_5k/x_test.npy", mmap_mode="r")[0, ..., 0]
    Image.fromarray(np.asarray(digit)).save(folder / "digit.png")
    with (folder / ".gitignore").open("a") as file:
        file.write("/pictures/\n/digit.png\n")
    project.commit("As the repository has it")
    return project


@pytest.mark.long
@pytest.mark.timeout(900)
def test_every_command(tutorial):
    environment = {**tutorial.environment(), "COLUMNS": "160"}
    said = {}
    for kind, block in BLOCKS:
        if kind == "yaml":
            file = tutorial.folder / "params.yaml"
            for section, lines in re.findall(r"^(\w+:\n)((?: .*\n)+)", block, re.MULTILINE):
                file.write_text(file.read_text().replace(f"\n{section}", f"\n{section}{lines}", 1))
            continue
        for command, refusal in commands(block):
            began = time.monotonic()
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tutorial.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            said[command] = done.stdout
            print(f"{time.monotonic() - began:6.1f} s  {command}")
            assert (done.returncode != 0) == bool(refusal), f"{command}\n{done.stdout[-4000:]}"
            assert "Traceback" not in done.stdout, f"{command}\n{done.stdout[-4000:]}"
            assert any(line.startswith(refusal) for line in done.stdout.splitlines() or [""]), (
                f"{command}\n{done.stdout}"
            )

    def of(start):
        return next(text for command, text in said.items() if command.startswith(start))

    assert of("git status") == ""
    assert all(name in of("replica table sample") for name in SMALL)
    assert of("dvc params diff").split()[-4:] == ["params.yaml", "variants.mnist_5k_mlp.units", "64", "16"]
    assert "units: 64 -> 16" in of("replica compare")
    assert "narrow" in of("replica experiments")
    assert of("replica sweep").count("rate-00") >= 3
    assert "mine" in of("replica table mine")
    for file in ("report/index.html", "metrics/summary.json"):
        assert "mine" in tutorial.run("git", "show", f"main:{file}").stdout
    assert re.fullmatch(r"all is well: \d+ datasets, \d+ variants, \d+ searches\n", of("replica check"))
    assert "plots/datasets/pets.png" in tutorial.run("git", "ls-tree", "-r", "--name-only", "main").stdout
    assert list((tutorial.folder / "plots/rendered").glob("**/history*.png"))
    assert "units: 16" in tutorial.run("git", "show", "sixteen-units:params.yaml").stdout
    assert "train@" not in said["replica repro sample"], "the branch's models come from the cache"
    assert "mine:" in tutorial.run("git", "show", "main:params.yaml").stdout


def test_no_command_of_the_tutorial_is_left_out():
    assert sum(len(commands(block)) for kind, block in BLOCKS if kind == "console") == len(
        re.findall(r"^\$ ", TEXT, re.MULTILINE)
    )
