"""Fetch one dataset's files, verified, into data/raw, but those it has: `python -m stages.download DATASET`."""

import shutil
import signal
import sys
from pathlib import Path

from replica.common import stage
from replica.datasets import kinds


def main(name: str) -> None:
    kind, declared = kinds.declared(name)
    folder, part, old = (Path("data/raw", each) for each in (name, f".{name}", f".{name}.old"))
    if old.exists() and not folder.exists():  # killed between the two renames below
        old.rename(folder)
    for rest in (part, old):
        shutil.rmtree(rest, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        kind.fetch(name, declared, part, folder)
    except BaseException:
        shutil.rmtree(part)
        raise
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


if __name__ == "__main__":
    for told in (signal.SIGTERM, signal.SIGHUP):  # as Ctrl-C: temporary folders go
        signal.signal(told, lambda number, _: sys.exit(128 + number))
    stage.run(main)
