"""Fetch one dataset's files, verified, into data/raw: `python -m stages.download DATASET`."""

import shutil
from pathlib import Path

from replica.common import stage
from replica.datasets import kinds


def main(name: str) -> None:
    kind, declared = kinds.declared(name)
    folder, part = Path("data/raw", name), Path("data/raw", f".{name}")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        kind.fetch(name, declared, part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


if __name__ == "__main__":
    stage.run(main)
