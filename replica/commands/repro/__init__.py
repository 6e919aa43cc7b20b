"""`replica repro --jobs N`: DVC's own stages, bookkeeping and dvc.lock, with the commands run side by side.

See docs/repro.md.
"""

from replica.commands.repro.driver import reproduce

__all__ = ["reproduce"]
