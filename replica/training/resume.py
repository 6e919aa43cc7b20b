"""Where a training stands, so that one that was killed goes on from there, and ends in the bytes of a whole one.

Beside the run's folder lies `.seed-N.npz` while it trains: the state after an epoch (weights, the optimizer's and the
generators'; the order of images follows from the seed and the epoch), the history, the seconds. It is written beside
and renamed, and is good for the run's fingerprint alone.
"""

from __future__ import annotations

import json
import sys
import time
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from replica.training.trainer import Rows, Trainer

EVERY = 10.0  # seconds of training at least between two savings: what is quick is never saved
SHARE = 0.01  # of the time at most goes into saving


class Reached(NamedTuple):
    """After which epoch, its rows and those before, the seconds that went into it, the trainer's state."""

    epoch: int
    history: Rows
    seconds: float
    state: list[np.ndarray]


class Resume:
    """Saves and finds where the run of a folder stands; `mark` is its fingerprint."""

    def __init__(self, run: Path, mark: str) -> None:
        self.file, self.mark = run.with_name(f".{run.name}.npz"), mark
        self.next = time.monotonic() + EVERY

    def found(self) -> Reached | None:
        """What an earlier process has reached; None where nothing of this fingerprint is whole."""
        try:
            with np.load(self.file) as saved:
                told = json.loads(str(saved["told"]))
                if told["mark"] != self.mark:
                    return None
                state = [saved[f"state-{number}"] for number in range(told["arrays"])]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Reached(told["epoch"], [tuple(row) for row in told["history"]], told["seconds"], state)

    def save(self, trainer: Trainer, history: Rows, seconds: float) -> None:
        """Write where it stands after the newest epoch of `history`, where that is due.

        What cannot be written is a warning, once: the training itself loses nothing.
        """
        began = time.monotonic()
        if began < self.next:
            return
        state = trainer.state()
        told = {"mark": self.mark, "epoch": history[-1][0], "seconds": seconds, "arrays": len(state)}
        part = self.file.with_suffix(".part")
        try:
            with part.open("wb") as out:
                arrays: dict[str, Any] = {f"state-{number}": array for number, array in enumerate(state)}
                np.savez(out, told=np.array(json.dumps({**told, "history": history})), **arrays)
            part.replace(self.file)
        except OSError as error:
            print(f"warning: {part}: {error.strerror}; a kill would begin this run anew", file=sys.stderr)
            self.next = float("inf")
            return
        ended = time.monotonic()
        self.next = ended + max(EVERY, (ended - began) / SHARE)


def clear(folder: Path) -> None:
    """Remove what the savings of all runs in a folder have left: its runs are whole."""
    for file in (*folder.glob(".seed-*.npz"), *folder.glob(".seed-*.part")):
        file.unlink()
