"""What SECURITY.md says of bandit's findings is what bandit finds."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import yaml
from conftest import ROOT

from replica.common.reader import Loader


def test_each_finding_of_bandit_is_explained_and_no_other():
    command = [sys.executable, "-m", "bandit", "-q", "-c", "pyproject.toml", "-f", "json", "-r", "replica", "stages"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = {(each["test_id"], each["filename"].removeprefix("./")) for each in json.loads(done.stdout)["results"]}
    rows = re.findall(r"^\| (B\d{3}(?:, B\d{3})*) \| `(\S+)` \| .+ \|$", (ROOT / "SECURITY.md").read_text(), re.M)
    assert found == {(finding, file) for findings, file in rows for finding in findings.split(", ")}


def test_the_loader_makes_no_objects():
    assert issubclass(Loader, (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
