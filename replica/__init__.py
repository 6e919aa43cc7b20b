"""Replica: every experiment of five course reports on MNIST and CIFAR-10, run again.

In Python, from any folder of a clone: `load(name)` a trained variant, `variants()` and `claims()` as DataFrames.
"""

import io
import locale
import os
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from replica.common import kernels

kernels.pin()

# The project's files are UTF-8, where the user's locale may say Latin-1 or GBK.
if locale.getencoding().upper() != "UTF-8":
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
for _stream in (sys.stdout, sys.stderr):
    if isinstance(_stream, io.TextIOWrapper) and _stream.encoding.lower() != "utf-8":
        _stream.reconfigure(errors="replace")  # what it can't show, is no reason to end


_GRACE = 5.0  # seconds in which a stage that was told to end has put away what it began


def _interrupt(*_: object) -> None:
    """Raise KeyboardInterrupt in a stage, and end it also where a library's import swallows that."""
    late = threading.Timer(_GRACE, os._exit, [130])
    late.daemon = True
    late.start()
    raise KeyboardInterrupt


def _untold(kind: type[BaseException], *error: Any) -> None:
    """A stage that was told to end says nothing: DVC, or `replica repro`, says which it was."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, *error)


if "DVC_STAGE" in os.environ:
    _code = Path(__file__).parent
    if Path("replica/__init__.py").exists() and not _code.samefile("replica"):  # PYTHONSAFEPATH, in another's .venv
        sys.exit(
            f"error: {_code}: this stage's code, where dvc.lock would record that of {Path.cwd()}/replica; "
            "unset PYTHONSAFEPATH, or activate the project's own .venv"
        )
    sys.excepthook = _untold
    for _number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(_number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(_number, _interrupt)

__all__ = ["claims", "load", "variants"]


def __getattr__(name: str) -> Any:
    """The functions of `replica.commands.api`, imported when first asked for: stages need neither them nor pandas."""
    if name in __all__:
        return getattr(import_module("replica.commands.api"), name)
    raise AttributeError(f"module 'replica' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
