"""Train one job of `rerun`, told as JSON on standard input: `python -m replica.commands.assignment.worker`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from replica.common import kernels, stage


def train(job: dict[str, Any]) -> None:
    """Train in the folder of the job's data, which is the working folder while it lasts."""
    kernels.use(job["settings"]["kernels"])
    from replica.training import experiment  # TensorFlow chooses its kernels as it is imported

    before = Path.cwd()
    os.chdir(job["data"])
    try:
        experiment.train(job["title"], job["settings"], Path(job["folder"]))
    finally:
        os.chdir(before)


if __name__ == "__main__":
    stage.run(lambda: train(json.load(sys.stdin)))
