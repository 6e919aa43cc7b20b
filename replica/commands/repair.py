"""What a kill can leave of DVC's own files, found and put right: a dvc.lock cut short, an rwlock that is empty.

DVC writes both in place. A dvc.lock that is cut between two entries is valid YAML with fewer stages, which later runs
keep so. An entry that the last commit holds is restored as it stands there: DVC believes none that its files do not
bear out, so that a restored one says "unchanged" of what still holds, and nothing of what does not.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from replica.common.errors import UserError

LOCK, RWLOCK = Path("dvc.lock"), Path(".dvc/tmp/rwlock")
ENTRY = re.compile(r"^  (?=[^\s#])(.+):\n", re.M)  # a stage's first line, as DVC writes it
UNFILLED = re.compile(r"^ {2,6}\S.*:\n\Z", re.M)  # DVC's own keys have a value; a parameter, further in, may be null
START = "schema: '2.0'\nstages:\n"


def repair(declared: dict[str, Any]) -> list[str]:
    """Put right what is broken in the working folder; return a line for each thing that was.

    Nothing is touched while another process has DVC's lock: what looks cut short is then being written.

    Parameters
    ----------
    declared
        params.yaml and datasets.yaml, for the names of the stages.
    """
    if not Path(".dvc").is_dir():
        return []
    mended = restored(LOCK.read_text(errors="replace"), committed(), stages(declared)) if LOCK.is_file() else None
    spoilt = RWLOCK.is_file() and not is_json(RWLOCK)
    if mended is None and not spoilt:
        return []
    told = []
    with dvc_locked() as ours:
        if not ours:
            return []
        if RWLOCK.is_file() and not is_json(RWLOCK):
            RWLOCK.unlink()
            told.append(f"{RWLOCK}: cut short by a kill; removed")
        again = restored(LOCK.read_text(errors="replace"), committed(), stages(declared)) if LOCK.is_file() else None
        if again is not None:
            text, names = again
            if not text:
                LOCK.unlink()
                return [*told, f"{LOCK}: cut short by a kill, and no entry is left; removed"]
            with tempfile.NamedTemporaryFile("w", dir=".", prefix=f".{LOCK}.", delete=False) as part:
                part.write(text)
            Path(part.name).chmod(LOCK.stat().st_mode)
            Path(part.name).replace(LOCK)
            told.append(f"{LOCK}: cut short by a kill; restored from HEAD what it lacked: {counted(names)}")
    return told


def counted(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{len(names)} stages ({shown}{', …' if len(names) > 3 else ''})" if names else "no stage"


def is_json(file: Path) -> bool:
    try:
        json.loads(file.read_text())
    except ValueError:
        return False
    except OSError:  # gone meanwhile
        return True
    return True


def committed() -> str:
    """dvc.lock as the last commit has it; empty where there is none."""
    done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout


def stages(declared: dict[str, Any]) -> set[str]:
    """The names of the stages that dvc.yaml declares, those of a `foreach` over the parameters among them."""
    found = set()
    try:
        content = yaml.safe_load(Path("dvc.yaml").read_text())["stages"]
        for name, stage in content.items():
            if "foreach" not in stage:
                found.add(name)
            elif isinstance(stage["foreach"], str):
                items = declared.get(stage["foreach"].strip("${}")) or {}
                found |= {f"{name}@{item}" for item in items}
            else:
                found |= {f"{name}@{item}" for item in stage["foreach"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):  # DVC says what is wrong with it
        return set()
    return found


def entries(text: str) -> dict[str, str]:
    """The stages' names and texts, in their order."""
    found = list(ENTRY.finditer(text))
    cuts = [*(place.start() for place in found), len(text)]
    return {place[1].strip("'\""): text[cuts[at] : cuts[at + 1]] for at, place in enumerate(found)}


def restored(text: str, before: str, names: set[str]) -> tuple[str, list[str]] | None:
    """A lock file that is cut short made whole, and the names of the stages put back; None where nothing is missing.

    The text is empty where no entry is left: DVC refuses a file without one.

    Parameters
    ----------
    text, before
        The file, and the committed one.
    names
        The declared stages; of others an entry may be gone on purpose. Nothing is done without any: until dvc.yaml can
        be read, no committed entry could be put back.
    """
    here, known = entries(text), entries(before)
    torn = text[-1:] != "\n" or START.startswith(text)
    lost = [name for name in known if name in names and name not in here]
    begin = text[: ENTRY.search(text).start()] if here else START  # type: ignore[union-attr]
    last = next(reversed(here), "")
    if here and here[last] != known.get(last):
        torn |= known.get(last, "").startswith(here[last]) or bool(UNFILLED.search(here[last]))
        if torn:
            del here[last]  # the cut went through it
            lost += [last] if last in known else []
    if not names or not (lost or torn):
        return None
    whole = {name: here.get(name, known[name]) for name in known if name in here or name in names} | here
    return begin + "".join(whole.values()) if whole else "", lost


@contextmanager
def dvc_locked() -> Iterator[bool]:
    """Hold DVC's lock within the block; false where another process has it."""
    import zc.lockfile

    file = Path(".dvc/tmp/lock")
    file.parent.mkdir(exist_ok=True)
    try:
        lock = zc.lockfile.LockFile(os.fspath(file))
    except zc.lockfile.LockError:
        yield False
        return
    try:
        yield True
    finally:
        lock.close()


def mend(declared: dict[str, Any]) -> None:
    """Repair, and say on standard error what that was."""
    for line in repair(declared):
        print(line, file=sys.stderr)


def report(declared: dict[str, Any]) -> None:
    """`replica repair`: say what was put right.

    Raises
    ------
    UserError
        Where something is broken and another process has DVC's lock.
    """
    for line in (told := repair(declared)):
        print(line)
    if told:
        return
    with dvc_locked() as ours:
        if not ours:
            raise UserError(".dvc/tmp/lock: another DVC process has it; run this again when that has ended")
    print("nothing to repair")
