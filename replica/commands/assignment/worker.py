"""Train the jobs of `rerun`, a line of JSON each on standard input, and say of each, as JSON, what went wrong, or null.

`python -m replica.commands.assignment.worker`; it ends with its input.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from replica.common import kernels
from replica.common.errors import UserError, told


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


def attempt(job: dict[str, Any]) -> str | None:
    """Train, and return the one line that went wrong."""
    try:
        train(job)
    except UserError as error:
        return str(error).splitlines()[0]
    except Exception as error:  # whatever a student's network makes of TensorFlow: the next job is another's
        lines = (told(error) or f"{type(error).__name__}: {error}").splitlines()
        return f"{job['title']}: {lines[0][:300]}"
    return None


def main() -> None:
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # progress
        for line in sys.stdin:
            print(json.dumps(attempt(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
