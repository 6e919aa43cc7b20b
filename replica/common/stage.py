"""How every stage starts: one optional ITEM on the command line, one line on stderr for a user's mistake."""

from __future__ import annotations

import sys
from collections.abc import Callable

from replica.common.errors import UserError


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's words; a `UserError` becomes `error: …` and exit status 1."""
    try:
        main(*sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
