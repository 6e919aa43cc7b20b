"""An entry of params.yaml, added or replaced in the form DVC writes, with every other line left as it is."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML

from replica.common import parameters
from replica.common.errors import UserError

FILE = Path("params.yaml")


def plain(what: str, text: str) -> None:
    """Refuse a text that would come back as something else: DVC writes `no` without quotes, and it is read as false."""
    if yaml.load(dumped([text], 2), parameters.Loader) != [text]:
        raise UserError(f"{what}: YAML takes that name for another thing than a text; use another")


def put(section: str, name: str, entry: dict[str, Any]) -> None:
    """Add `section.name` behind the section's other entries, or replace it where it stands.

    Raises
    ------
    UserError
        Where the file is of a form that a block cannot be put into.
    """
    before = FILE.read_text()
    after = inserted(before, section, name, entry)
    expected = parameters.read(FILE)
    expected[section] = {**expected[section], name: entry}
    try:
        good = yaml.load(after, parameters.Loader) == expected
    except yaml.YAMLError:
        good = False
    if not good:
        raise UserError(f"{FILE}: {section} is not written as a block, a line a key; write it so, and try again")
    part = FILE.with_name(f".{FILE.name}")
    part.write_text(after)
    os.replace(part, FILE)  # noqa: PTH105


def inserted(text: str, section: str, name: str, entry: dict[str, Any]) -> str:
    """The file's text with the entry in it."""
    whole, lines = YAML().load(text), text.splitlines(keepends=True)
    entries = whole[section]
    column = next(iter(entries.lc.data.values()))[1]
    block = dumped({section: {name: entry}}, column).partition("\n")[2]
    begins = {key: place[0] for key, place in entries.lc.data.items()}
    ends = sorted([*begins.values(), *(place[0] for place in whole.lc.data.values()), len(lines)])
    last = begins.get(name, max(begins.values()))
    stop = next(line for line in ends if line > last)
    while not lines[stop - 1].strip() or lines[stop - 1].lstrip().startswith("#"):
        stop -= 1  # what stands before the next entry belongs to that
    start = begins.get(name, stop)
    head = "".join(lines[:start])
    return head + "\n" * (not head.endswith("\n")) + block + "".join(lines[stop:])


def dumped(value: Any, indent: int) -> str:
    """As DVC writes it, which is as ruamel does."""
    dumper, text = YAML(), io.StringIO()
    dumper.map_indent = indent
    dumper.dump(value, text)
    return text.getvalue()
