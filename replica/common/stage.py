"""How every stage starts: one optional ITEM on the command line, one line on stderr for what a user can mend.

A stage ends with what started it: with DVC or with `replica repro`, however that ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path

from replica.common import processes
from replica.common.errors import UserError, shown, told


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's words; what a user can mend becomes `error: …` and exit status 1."""
    processes.follow()
    words = sys.argv[1:]
    try:
        wanted = signature(main)
        wanted.bind(*words)
    except TypeError:
        names = " ".join(wanted.parameters).upper() or "nothing"
        sys.exit(shown(f"stages.{Path(sys.argv[0]).stem}: got {' '.join(words) or 'nothing'}; expected: {names}"))
    try:
        main(*words)
    except UserError as error:
        sys.exit(shown(error))
    except Exception as error:
        if (line := told(error)) is None:
            raise
        sys.exit(shown(line))
