"""A few steps of each kind of network: the same bytes on this CPU as in the record, and on CPUs that are emulated.

An emulated CPU chooses its code as a real one of its kind would (by its maker, instructions and caches), and has other
approximations of 1/x and 1/√x than any real one. After a change that is meant to change the bytes:
`python tests/steps.py > tests/golden/steps.json`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from replica.common import kernels

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests/golden/steps.json").read_text())
EMULATOR = "qemu-x86_64"
CPUS = ("Haswell", "Skylake-Client,l3-cache=off", "EPYC-Rome")  # level 2 caches of 4 MiB, 4 MiB and no level 3, 512 KiB

pytestmark = pytest.mark.skipif(bool(kernels.cpu().warning), reason=kernels.cpu().warning or "none")


def started(*before: str, kinds: list[str]) -> subprocess.Popen[str]:
    command = [*before, sys.executable, str(ROOT / "tests/steps.py"), *kinds]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def digests(process: subprocess.Popen[str]) -> dict[str, str]:
    out, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]
    return json.loads(out)


def emulated_kinds() -> list[str]:
    """All but tanh under a QEMU before 10, which ends with a segmentation fault in oneDNN's code for it."""
    said = subprocess.run([EMULATOR, "--version"], capture_output=True, text=True, check=True).stdout
    old = int(re.search(r"version (\d+)", said)[1]) < 10
    return [kind for kind in GOLDEN if not (old and "tanh" in kind)]


@pytest.fixture(scope="module")
def emulated():
    """All emulated CPUs at work at once, by name, and the kinds that they run."""
    kinds = emulated_kinds()
    processes = {cpu: started(EMULATOR, "-cpu", cpu, kinds=kinds) for cpu in CPUS}
    yield processes, kinds
    for process in processes.values():
        process.kill()
        process.wait()


def test_this_cpu_comes_to_the_record_s_bytes():
    assert digests(started(kinds=[])) == GOLDEN


@pytest.mark.emulated
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not shutil.which(EMULATOR), reason=f"{EMULATOR} is missing (Debian and Ubuntu: qemu-user)")
@pytest.mark.skipif(not kernels.X86_64, reason="emulates x86-64 from x86-64")
@pytest.mark.parametrize("cpu", CPUS)
def test_an_emulated_cpu_comes_to_the_record_s_bytes(emulated, cpu):
    processes, kinds = emulated
    assert digests(processes[cpu]) == {kind: GOLDEN[kind] for kind in kinds}
