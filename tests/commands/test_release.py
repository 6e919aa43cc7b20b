"""What goes with a release: the RO-Crate, the badges, the wheel, the container, and the files that a shelf asks for."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from conftest import ROOT
from rocrate.rocrate import ROCrate

from replica.commands.release import badges, crate
from replica.commands.verify.scratch import listed
from replica.common import parameters
from replica.common.errors import UserError

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    """A clone of this repository as it lies, with its metadata written."""
    folder = tmp_path_factory.mktemp("released") / "clone"
    subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    for name in ("CITATION.cff", "dvc.lock", "dvc.yaml"):
        shutil.copy(ROOT / name, folder)
    bring_up_to_date(folder)
    crate.write(folder)
    return folder


def bring_up_to_date(folder: Path) -> None:
    """Record the reports as made from what lies there: while a run is under way, dvc.lock has them of older scores."""
    stages = parameters.read(folder / "dvc.lock")["stages"]
    outs = {out["path"]: out["md5"] for stage in stages.values() for out in stage["outs"]}
    for dep in [*stages["report"]["deps"], *stages["sample"]["deps"]]:
        if dep["path"] in outs:
            dep["md5"] = outs[dep["path"]]
        elif dep["path"].startswith(("metrics", "plots")):
            dep["md5"] = listed(folder / dep["path"])[2]
    write_lock(folder, stages)


@contextmanager
def edited_lock(folder: Path) -> Iterator[dict[str, Any]]:
    """The stages of dvc.lock, to be changed; `write_lock` writes them. Afterwards all is as it was."""
    kept = {name: (folder / name).read_text() for name in ("dvc.lock", crate.NAME)}
    try:
        yield parameters.read(folder / "dvc.lock")["stages"]
    finally:
        for name, text in kept.items():
            (folder / name).write_text(text)


def write_lock(folder: Path, stages: dict[str, Any]) -> None:
    (folder / "dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": stages}))  # JSON is YAML


def test_every_recorded_stage_is_an_action_that_the_library_reads_back(released):
    stages = parameters.read(released / "dvc.lock")["stages"]
    read = ROCrate(released)
    actions = {action["name"]: action for action in read.get_by_type("CreateAction")}
    assert actions.keys() == stages.keys()
    for name, stage in stages.items():
        made = {entity["name"]: entity["identifier"] for entity in actions[name]["result"]}
        assert made == {out["path"]: f"md5:{out['md5']}" for out in stage["outs"]}
        used = {entity["name"] for entity in [*actions[name]["object"], actions[name]["instrument"]]}
        assert used >= {dep["path"] for dep in stage["deps"]}
    assert read.mainEntity.id == "dvc.yaml"
    language = read.get(crate.DVC)  # name, url and version are required of a language by RO-Crate 1.3
    assert f"\ndvc=={language['version']} " in (ROOT / "requirements.txt").read_text()
    assert read.license.id == crate.LICENCE


def test_a_chain_of_results_can_be_followed_back_to_the_raw_data(released):
    read = ROCrate(released)
    maker = {made.id: action for action in read.get_by_type("CreateAction") for made in action["result"]}
    seen, todo = set(), ["metrics/mnist_5k_mlp.json"]
    while todo:
        if action := maker.get(todo.pop()):
            seen.add(action["name"])
            todo += [each.id for each in action["object"] if not isinstance(each, str)]
    assert seen == {"evaluate@mnist_5k_mlp", "train@mnist_5k_mlp", "preprocess@mnist_5k", "download@mnist_5k"}


def test_the_same_lock_gives_the_same_bytes(released):
    before = (released / crate.NAME).read_bytes()
    assert crate.write(released).read_bytes() == before


@pytest.mark.parametrize(
    ("edited", "output"),
    [
        ("metrics/mnist_5k_mlp.json", "metrics/mnist_5k_mlp.json"),
        ("metrics/cards/mnist_5k_mlp.md", "metrics/cards"),
    ],
)
def test_a_result_edited_by_hand_is_refused_and_what_was_there_stays(edited, output, released):
    file = released / edited
    kept, before = file.read_text(), (released / crate.NAME).read_bytes()
    try:
        file.write_text(kept.replace("0.9", "0.8"))
        with pytest.raises(UserError, match=rf"^{output}: not the bytes that dvc\.lock records"):
            crate.write(released)
    finally:
        file.write_text(kept)
    assert (released / crate.NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("lost", "refused"),
    [
        ("convolution.yaml", "convolution.yaml: no such file, but dvc.lock has it; run `git restore convolution.yaml`"),
        ("metrics/mnist_5k_mlp.json", "metrics/mnist_5k_mlp.json: not the bytes that dvc.lock records"),
        ("plots/claims.csv", "plots/claims.csv: no such file; run `dvc repro report`"),
    ],
)
def test_a_release_that_is_refused_writes_nothing(lost, refused, released, tmp_path):
    written = [released / "badges/claims.svg", released / crate.NAME]
    kept = [file.read_text() for file in written]
    (released / lost).rename(tmp_path / "lost")
    try:
        for file in written:
            file.write_text("of the last release")
        command = [sys.executable, "-P", "-m", "replica", "release"]  # this code, not the clone's
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=released, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert done.stderr.startswith(f"error: {refused}")
        assert {file.read_text() for file in written} == {"of the last release"}
        assert not list(released.glob("*.part"))
    finally:
        (tmp_path / "lost").rename(released / lost)
        for file, text in zip(written, kept, strict=True):
            file.write_text(text)


def test_a_score_of_another_model_than_the_lock_s_is_refused(released):
    with edited_lock(released) as stages:
        stages["train@mnist_5k_mlp"]["outs"][0]["md5"] = "0" * 32 + ".dir"
        write_lock(released, stages)
        with pytest.raises(UserError, match="evaluate@mnist_5k_mlp: made from another models/mnist_5k_mlp than"):
            crate.write(released)


def test_a_report_older_than_what_its_folders_hold_is_refused(released):
    folders = ["metrics/details", "plots/datasets", "plots/searches", "plots/spiral", "plots/variants"]
    with edited_lock(released) as stages:
        for dep in stages["report"]["deps"]:
            if dep["path"] in folders:
                dep["md5"] = "0" * 32 + ".dir"
        write_lock(released, stages)
        with pytest.raises(UserError) as caught:
            crate.write(released)
    assert sorted(str(caught.value).splitlines()) == [
        f"report: made from another {path} than lies there now; run `dvc repro report`" for path in folders
    ]


def test_a_score_that_is_made_anew_leaves_the_report_behind(released):
    """As `dvc repro evaluate@mnist_cnn` leaves it: another file, recorded; the report was not made anew."""
    file = released / "metrics/details/mnist_cnn.json"
    kept = file.read_text()
    with edited_lock(released) as stages:
        try:
            file.write_text(kept + " ")
            outs = {out["path"]: out for out in stages["evaluate@mnist_cnn"]["outs"]}
            outs["metrics/details/mnist_cnn.json"]["md5"] = hashlib.md5(file.read_bytes()).hexdigest()
            write_lock(released, stages)
            with pytest.raises(UserError, match=r"^report: made from another metrics/details than lies there now; .*$"):
                crate.write(released)
        finally:
            file.write_text(kept)


def test_what_dvcignore_leaves_out_makes_no_folder_another(released):
    left = [released / "plots/datasets/.DS_Store", released / "metrics/cards/.DS_Store"]  # an input, and an output
    ignored = released / ".dvcignore"
    kept = ignored.read_text()
    with edited_lock(released):
        try:
            for file in left:
                file.write_text("a desktop's")
            with pytest.raises(
                UserError, match=r"^metrics/cards: not the bytes.*\nreport: made from another plots/datasets"
            ):
                crate.write(released)
            ignored.write_text(kept + ".DS_Store\n")
            crate.write(released)
        finally:
            ignored.write_text(kept)
            for file in left:
                file.unlink()


def test_a_folder_of_which_a_clone_has_a_part_is_not_compared(released):
    with edited_lock(released) as stages:
        stages["own"] = {"cmd": "true", "deps": [{"path": "models", "hash": "md5", "md5": "0" * 32 + ".dir"}]}
        write_lock(released, stages)
        crate.write(released)


def test_stages_that_ran_with_other_values_of_one_parameter_point_each_to_its_own(released):
    values = {"train@mnist_5k_mlp": 1, "train@mnist_5k_cnn": 2, "train@photos10_linear": 1, "train@spiral": 3}
    with edited_lock(released) as stages:
        for name, value in values.items():
            stages[name]["params"]["params.yaml"]["made.up"] = value
        write_lock(released, {**{name: stages.pop(name) for name in values}, **stages})  # the first is the id's
        crate.write(released)
        actions = {action["name"]: action for action in ROCrate(released).get_by_type("CreateAction")}
    found = {name: [each for each in actions[name]["object"] if each["name"] == "made.up"] for name in values}
    assert {name: [(each.id, each["value"]) for each in settings] for name, settings in found.items()} == {
        "train@mnist_5k_mlp": [("#params.yaml:made.up", "1")],
        "train@mnist_5k_cnn": [("#params.yaml:made.up@train@mnist_5k_cnn", "2")],
        "train@photos10_linear": [("#params.yaml:made.up", "1")],
        "train@spiral": [("#params.yaml:made.up@train@spiral", "3")],
    }


def test_stages_of_one_s_own_are_described(released):
    """One has neither inputs nor outputs, one's script lies elsewhere: dvc.yaml is what tells how they were made."""
    with edited_lock(released) as stages:
        readme = {"path": "README.md", "hash": "md5", "md5": "0" * 32}
        stages |= {"bare": {"cmd": "true"}, "elsewhere": {"cmd": "wc README.md", "deps": [readme]}}
        write_lock(released, stages)
        crate.write(released)
        actions = {action["name"]: action for action in ROCrate(released).get_by_type("CreateAction")}
    assert {actions[name]["instrument"].id for name in ("bare", "elsewhere")} == {"dvc.yaml"}
    assert [each.id for each in actions["elsewhere"]["object"]] == ["README.md"]


def test_metadata_that_names_what_is_not_there_is_told(released):
    file = released / crate.NAME
    kept = file.read_text()
    try:
        file.write_text(kept.replace('"#data/raw/mnist_5k"', '"#nowhere"', 1))
        with pytest.raises(UserError, match=r"no entity '#data/raw/mnist_5k'; run `replica release`"):
            crate.check(file, ROCrate)
    finally:
        file.write_text(kept)


def test_badges_say_what_the_committed_files_say(tmp_path):
    for name in ("plots/claims.csv", "metrics/summary.json"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(ROOT / name, tmp_path / name)
    readme = (ROOT / "README.md").read_text()
    for file in badges.write(tmp_path):
        committed = ROOT / "badges" / file.name
        assert committed.read_text() == file.read_text(), f"{committed}: run `replica release`"
        title = ElementTree.parse(file).getroot().findtext("{http://www.w3.org/2000/svg}title")
        assert f"![{title}](badges/{file.name})" in readme
    counts = [int(text) for text in re.search(r"\| all \|(.*)\|", readme).group(1).split("|")]
    assert badges.values(tmp_path)["claims"][1] == f"{counts[0] + counts[1]} of {sum(counts)}"


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("metrics/summary.json", "{", "<<<<<<< HEAD\n{", "not JSON; delete it and run `dvc repro report`"),
        ("metrics/summary.json", '"mnist_fast"', '"mnist_slow"', "no 'mnist_fast'; run `dvc repro` for it"),
        ("plots/claims.csv", "id,", "<<<<<<< HEAD\nid,", "no column 'verdict'; delete it and run `dvc repro report`"),
        ("plots/claims.csv", "\n", "\n<<<<<<< HEAD\n", "line 2: no verdict; delete it and run `dvc repro report`"),
    ],
)
def test_a_badge_of_a_broken_file_is_a_line_that_names_it(name, old, new, told, tmp_path):
    for each in ("plots/claims.csv", "metrics/summary.json"):
        (tmp_path / each).parent.mkdir()
        shutil.copy(ROOT / each, tmp_path / each)
    file = tmp_path / name
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        badges.values(tmp_path)
    assert str(caught.value) == f"{file}: {told}"


def test_the_wheel_holds_every_file_of_the_package_and_runs_in_a_fresh_environment(tmp_path):
    """Beside this environment's packages, the source tree out of sight."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    python = tmp_path / "venv/bin/python"
    build = [*pip, "wheel", str(ROOT), "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(tmp_path)]
    install = [*pip, "--python", str(python), "install"]
    if importlib.util.find_spec("pip") is None:  # `make setup` found uv
        build = ["uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable, "--offline"]
        build += ["--out-dir", str(tmp_path), str(ROOT)]
        install = ["uv", "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(["git", "ls-files", "replica"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert names >= set(listed.stdout.split())
    assert any(name.endswith("licenses/LICENSE") for name in names)

    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    target = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True
    ).stdout.strip()
    Path(target, "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)

    helped = run(str(tmp_path / "venv/bin/replica"), "--help")
    assert helped.returncode == 0 and "release" in helped.stdout, helped.stderr
    outside = run(str(tmp_path / "venv/bin/replica"), "variants")
    assert outside.stderr == "error: params.yaml: no such file; run from the project's root\n"
    lines = "import replica.report.environment as e; print(e.__file__, len(e.environment().list_templates()))"
    file, count = run(str(python), "-c", lines).stdout.split()
    assert file.startswith(str(tmp_path))
    assert int(count) == len(list((ROOT / "replica/report/templates").iterdir()))


def test_the_container_is_the_readme_s_steps_on_the_python_that_ci_has():
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    words = {word for word, _ in steps}
    assert words <= {"FROM", "RUN", "USER", "WORKDIR", "COPY", "ENV", "CMD"}
    assert steps[0][0] == "FROM"
    version = re.search(r'python-version: "([\d.]+)"', (ROOT / ".github/workflows/ci.yml").read_text()).group(1)
    assert re.fullmatch(rf"docker\.io/library/python:{version}-slim", steps[0][1])
    # What the README asks for beside Python is installed, and then its own command does the rest, as no superuser.
    readme = (ROOT / "README.md").read_text()
    needed = re.search(r"with pip, (\w+) and (\w+);", readme).groups()
    apt = next(text for word, text in steps if word == "RUN" and "apt-get install" in text)
    assert set(re.search(r"--no-install-recommends ([\w ]+?) &&", apt).group(1).split()) == set(needed)
    order = [f"{word} {text}" for word, text in steps]
    setup, user, copy = (order.index(each) for each in ("RUN make setup", "USER replica", "COPY --chown=replica . ."))
    assert user < copy < setup
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M)
    command = json.loads(dict(steps)["CMD"])
    assert command[0] == "make" and command[1] in targets


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_container_is_built_and_its_quick_start_comes_to_the_committed_bytes(tmp_path):
    there = filter(shutil.which, ("podman", "docker", "buildah"))
    works = (name for name in there if not subprocess.run([name, "info"], capture_output=True).returncode)
    if (builder := next(works, None)) is None:
        pytest.skip("no podman, docker or buildah that works")
    subprocess.run(["git", "clone", "-q", ROOT, tmp_path / "clone"], check=True)
    build = [builder, "build", "-f", "Containerfile", "-t", "replica-tested", "."]
    subprocess.run(build, cwd=tmp_path / "clone", check=True)
    run = [builder, "run", "--rm", "replica-tested"]
    if builder == "buildah":
        made = subprocess.run([builder, "from", "replica-tested"], capture_output=True, text=True, check=True)
        run = [builder, "run", made.stdout.strip(), "--"]
    quick_start = [*run, "sh", "-c", "make sample && git status --short"]
    said = subprocess.run(quick_start, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1].startswith("The same bytes as committed: sample"), said


def test_what_the_container_copies_is_what_git_holds():
    """Every folder that git ignores here and that may be large stays out; nothing that git holds does."""
    left_out = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()}
    assert {".venv", "data", "models", "timings"} <= set(left_out) & ignored
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for pattern in left_out:
        assert not [name for name in listed if name == pattern or name.startswith(f"{pattern}/")], pattern


def test_the_licence_is_the_whole_of_apache_s_and_all_name_it():
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert re.findall(r"^   (\d+)\. [A-Z]", text, re.M) == [str(number) for number in range(1, 10)]
    assert "END OF TERMS AND CONDITIONS" in text
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert citation["version"] == PROJECT["version"]
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"


def test_contributing_s_commands_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z]+)", text)) <= targets
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", text):
        assert (ROOT / target).exists(), target
