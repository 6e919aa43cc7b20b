"""The one error a user may see: a line that says what is wrong, where, and what would be right."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Collection
from difflib import SequenceMatcher, get_close_matches

MACHINE = {  # what the machine refuses, no program's mistake
    errno.ENOSPC: "free some space, and run it again",
    errno.EDQUOT: "free some space, and run it again",
    errno.EROFS: "make it writable, and run it again",
    errno.EACCES: "make it yours, and run it again",
    errno.EPERM: "make it yours, and run it again",
    errno.ENOTDIR: "a file stands where a folder must; move it away, and run it again",
    errno.EEXIST: "a file stands where a folder must; move it away, and run it again",
    errno.EISDIR: "a folder stands where a file must; move it away, and run it again",
    errno.EIO: "look after the disk, and run it again",
    errno.EMFILE: "allow more open files (ulimit -n), and run it again",
    errno.ENOMEM: "allow more memory (ulimit -v), or run fewer at once (--jobs)",
}
MAP = "failed to map segment"  # of a library, under `ulimit -v`
WHOLE = "nothing of this is recorded as done, and what was recorded before is whole"


class UserError(Exception):
    """A mistake in the input. Its message is shown as it stands, without a traceback."""


def plain(line: str) -> str:
    """A line whose characters a terminal shows, and neither obeys nor hides: the others as Python writes them."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in line)


def shown(message: object) -> str:
    """What stderr gets of an error: `error: …`, a line for each of the message's."""
    return "\n".join(f"error: {plain(line)}" for line in str(message).split("\n"))


def nearest(name: object, names: Collection[str]) -> str:
    """`did you mean …? `, where a name is near."""
    near = get_close_matches(str(name), names, 1)
    return f"did you mean {near[0]}? " if near else ""


def listed(name: object, names: Collection[str], most: int = 30, shown: int = 5) -> str:
    """Names for a message, all up to `most`; of more the `shown` that are nearest to `name`, and how many others."""
    if len(names) <= most:
        return ", ".join(names) or "none"
    near = sorted(names, key=lambda each: -SequenceMatcher(None, each, str(name)).ratio())[:shown]
    return f"{', '.join(near)} and {len(names) - shown} others"


def told(error: Exception) -> str | None:
    """What a machine has refused, in a line: path, reason, what is whole, what would help; None: something else.

    HDF5's errors name the reason in their text alone, TensorFlow's and the linker's are of their own kinds.
    """
    number = getattr(error, "errno", None)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or MAP in str(error):
        number = errno.ENOMEM
    elif (
        number is None
        and isinstance(error, OSError | RuntimeError)
        and (found := re.search(r"errno = (\d+)", str(error)))
    ):
        number = int(found[1])
    if number not in MACHINE:
        return None
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if name is None and (found := re.search(r"(?:filename|name) = '([^']+)'", str(error))):
        name = found[1]
    place = f"{os.path.relpath(os.fsdecode(name))}: " if isinstance(name, str | bytes | os.PathLike) else ""
    return f"{place}{os.strerror(number)}; {WHOLE}; {MACHINE[number]}"
