"""Who has seen which bytes on which CPU: the records in witnesses/, and what sets a machine apart from them."""

from __future__ import annotations

import platform
import re
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from replica.commands.git import git
from replica.commands.verify.record import Record
from replica.common import files, kernels
from replica.report.witnesses import FOLDER, SAME, named, parsed

LIBRARIES = (
    "tensorflow", "tensorflow-cpu", "keras", "numpy", "scipy", "scikit-learn", "scikit-image", "matplotlib", "pillow",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """This machine: the CPU, the C library, the system's kernel, Python and the libraries that decide bytes."""
    cpu = kernels.cpu()
    versions: dict[str, str] = {}
    for name in LIBRARIES:
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "cpu": {
            "name": cpu.name, "vendor": cpu.vendor, "family": cpu.family, "model": cpu.model,
            "flags": list(cpu.flags), "emulated": cpu.emulated,
        },
        "libc": " ".join(platform.libc_ver()) or platform.system(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": versions,
    }  # fmt: skip


def slug(cpu: dict[str, Any]) -> str:
    """A CPU as a file's name: `amd-epyc-7763-64-core-processor-25-1`, `…-emulated`."""
    kind = f"{cpu['name']} {cpu['family']} {cpu['model']}" + (" emulated" if cpu["emulated"] else "")
    text = re.sub(r"\((R|TM)\)", "", kind, flags=re.I)
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unknown"


def committed(root: Path) -> list[dict[str, Any]]:
    """The records that HEAD has, by file name."""
    names = git(root, "ls-tree", "--name-only", "HEAD", "--", f"{FOLDER}/").splitlines()
    return [parsed(git(root, "show", f"HEAD:{name}"), name) for name in names if name.endswith(".json")]


def write(root: Path, found: dict[str, Any], who: str | None) -> Path:
    """Write the record of a verification: no seconds, no dates, so that the same outcome is the same file."""
    file = Path(root, FOLDER, f"{slug(found['machine']['cpu'])}.json")
    files.write_json({**({"who": who} if who else {}), **found}, file)
    return file


def holds(witness: dict[str, Any], record: Record) -> bool:
    """Whether what it saw is what dvc.lock records now."""
    return all(
        witness["digests"].get(name, {}).get(path) == md5
        for name in witness["digests"]
        for path, md5 in record.outs(name).items()
    )


def current(witness: dict[str, Any], record: Record) -> bool:
    """Whether what it saw as the same bytes is what dvc.lock records now."""
    return witness["outcome"] == SAME and holds(witness, record)


def listings(seen: list[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """The files of each folder of models, by the folder's MD5."""
    found = {}
    for witness in seen:
        for outs in witness["digests"].values():
            for path, md5 in outs.items():
                if md5.endswith(".dir"):
                    found[md5] = {
                        name.removeprefix(f"{path}/"): value
                        for name, value in outs.items()
                        if name.startswith(f"{path}/")
                    }
    return found


def apart(here: dict[str, Any], seen: list[dict[str, Any]]) -> list[str]:
    """What this machine has that none of the witnesses has, and lacks that all of them have; a line each."""
    if not seen:
        return []
    theirs = [witness["machine"] for witness in seen]
    flags = [set(machine["cpu"]["flags"]) for machine in theirs]
    own = set(here["cpu"]["flags"])
    lines = [f"CPU: {named(here['cpu'])}, none of theirs"]
    if any(named(here["cpu"]) == named(machine["cpu"]) for machine in theirs):
        lines = []
    for word, names in (("lacks", set.intersection(*flags) - own), ("alone has", own - set.union(*flags))):
        if names:
            lines.append(f"CPU: {word} {', '.join(sorted(names))}")
    for key in ("libc", "os", "python"):
        if here[key] not in (values := sorted({machine[key] for machine in theirs})):
            lines.append(f"{key}: {here[key]}; theirs {', '.join(values)}")
    for name, version in here["libraries"].items():
        values = sorted({machine["libraries"].get(name, "none") for machine in theirs})
        if version not in values:
            lines.append(f"{name}: {version}; theirs {', '.join(values)}")
    return lines
