"""Decode, check and write one dataset as compact arrays: `python -m stages.preprocess DATASET`."""

import shutil
from pathlib import Path

from replica.common import stage
from replica.datasets import checks, kinds, processed


def main(name: str) -> None:
    kind, declared = kinds.declared(name)
    arrays = kinds.decode(name, kind, declared, Path("data/raw", name))
    checks.check(name, declared, arrays)
    folder = Path("data/processed", name)
    folder.mkdir(parents=True, exist_ok=True)
    processed.write(folder, name, declared, arrays)
    pictures = Path("plots/datasets")
    pictures.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "sample.png", pictures / f"{name}.png")


if __name__ == "__main__":
    stage.run(main)
