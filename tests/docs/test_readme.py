"""What the README says, against what the project has."""

import json
import re
import tomllib

import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text()


def test_its_table_of_verdicts_is_the_report_s():
    table = (ROOT / "report/claims.md").read_text().split("\n\n")[0]
    assert table in README


def test_its_table_of_the_quick_start_is_the_committed_one():
    for name, accuracy, low, high in re.findall(r"^(\w+) +\w+ +(0\.\d{4})  (0\.\d{4}) – (0\.\d{4})", README, re.M):
        test = json.loads((ROOT / "metrics" / f"{name}.json").read_text())["test"]
        assert (accuracy, low, high) == tuple(
            f"{test[key]:.4f}" for key in ("accuracy", "accuracy_low", "accuracy_high")
        )


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))])
def test_files_it_links_to_or_names_are_there(page):
    file = ROOT / page
    for target in re.findall(r"\]\(([^)#:]+)\)", file.read_text()):
        assert (file.parent / target).exists(), target
    for target in re.findall(r"`((?:tests|replica|stages|benchmarks|docs|notebooks)/[\w./-]+)", file.read_text()):
        assert (ROOT / target).exists(), target


def test_its_make_targets_are_the_makefile_s():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z]+)", README)) <= targets


LOCKS = {"requirements.txt": "dev", "requirements-notebook.txt": "notebook", "requirements-cluster.txt": "cluster"}


@pytest.mark.parametrize(("file", "extra"), LOCKS.items())
def test_no_file_names_an_index_host_and_every_requirement_is_hashed(file, extra):
    lock = (ROOT / file).read_text()
    assert "://" not in lock and "index-url" not in lock
    for block in re.split(r"\n(?=\S)", lock):
        if "==" in block:
            assert "--hash=sha256:" in block, block[:60]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for each in project["dependencies"] + project["optional-dependencies"][extra]:
        name = re.match(r"[\w.-]+", each).group().replace(".", "-").lower()
        assert re.search(rf"^{name}==", lock, re.M), name


@pytest.mark.parametrize("further", list(LOCKS)[1:])
def test_locks_pin_the_same_versions(further):
    """So that the notebooks' and the cluster's packages change none that the runs were made with."""
    locked, other = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(), re.M))
        for name in ("requirements.txt", further)
    )
    shared = locked.keys() & other.keys()
    assert "numpy" in shared
    assert {name: other[name] for name in shared} == {name: locked[name] for name in shared}
