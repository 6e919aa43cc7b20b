"""YAML as DVC reads it, and no more of it than parameters need.

DVC reads by ruamel.yaml, which is YAML 1.2: `010` is ten, `yes` and `1:30` are texts. PyYAML's loader, in C and twice
as fast, is YAML 1.1: here it resolves scalars by DVC's rules, so that a file has one meaning.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from replica.common.errors import UserError

LARGEST = 2_000_000  # characters; a thousand variants take a tenth
DEEPEST = 50  # collections within each other
LONGEST = 100  # digits of a whole number; Python writes none of more than 4,300
MOST = 250_000  # values, those that an alias repeats counted each time
MERGE = "tag:yaml.org,2002:merge"
UNNAMED = '"<unicode string>", '
DIFFERS = {"bool", "int", "float"}  # what YAML 1.1 and 1.2 see differently


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's fastest safe loader with YAML 1.2's scalars; a key that stands twice is refused."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in DIFFERS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: dict[Any, yaml.ScalarNode] = {}  # by value: 1, 01 and 0x1 are one key
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"line {node.start_mark.line + 1}: {str(node.value)[:50]!r} is no mapping")
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                first = seen.setdefault(key.value if key.tag == MERGE else self.construct_object(key), key)
                if first is not key:
                    other = "" if first.value == key.value else f" as {first.value}"
                    raise UserError(
                        f"{key.value}: stands on line {first.start_mark.line + 1}{other} "
                        f"and on line {key.start_mark.line + 1}; leave one of them"
                    )
        return super().construct_mapping(node, deep)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:  # whatever PyYAML trips over
            if not isinstance(node, yaml.ScalarNode):
                raise
            reason = f": {error}" if isinstance(error, ValueError) else ""  # such as a month of 1 to 12
            raise UserError(
                f"line {node.start_mark.line + 1}: {node.value[:50]!r} is no {node.tag.rpartition(':')[2]}{reason}"
            ) from None

    def integer(self, node: yaml.ScalarNode) -> int:
        text = self.construct_scalar(node).replace("_", "")
        digits = text.lstrip("+-")
        if len(digits) > LONGEST:
            raise ValueError(f"more than {LONGEST} digits")
        base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 10)
        value = int(digits if base == 10 else digits[2:], base)
        return -value if text.startswith("-") else value


for kind, pattern, first in (
    ("bool", r"(true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("int", r"([-+]?0b[01_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+)", "-+0123456789"),
    (
        "float",
        r"([-+]?([0-9][0-9_]*)\.[0-9_]*([eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
        r"|[-+]?\.[0-9_]+([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))",
        "-+0123456789.",
    ),
):
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^{pattern}$"), list(first))
Loader.add_constructor("tag:yaml.org,2002:int", Loader.integer)


def load(text: str, where: str) -> Any:
    """The value of a YAML text.

    Parameters
    ----------
    where
        The file's name, for what is wrong with it.

    Raises
    ------
    UserError
        With one line: where the text is not YAML, has a key twice, or is larger or deeper than parameters can be.
    """
    if len(text) > LARGEST:
        raise UserError(f"{where}: {len(text):,} characters; allowed: {LARGEST:,}")
    try:
        bounded(text)
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: not YAML: {' '.join(str(error).replace(UNNAMED, '').split())[:300]}") from None
    except UserError as error:
        raise UserError(f"{where}: {error}") from None
    except (ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:  # a date of month 13
        raise UserError(f"{where}: a value that YAML's rules do not allow: {error}") from None


def bounded(text: str) -> None:
    """Refuse what is too deep, or too large, if only by its aliases, before anything recurses into it.

    Raises
    ------
    UserError
        With where it is.
    """
    sizes: dict[str, int] = {}  # of what has an anchor
    opened: list[tuple[str | None, int]] = []  # each open collection's anchor, and the values before it
    count, words = 0, ""
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in (anchor for anchor, _ in opened):
                raise UserError(f"line {event.start_mark.line + 1}: *{event.anchor} stands inside itself")
            count, words = count + sizes.get(event.anchor, 0), ", by its aliases"
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if len(opened) > DEEPEST:
            raise UserError(f"line {event.start_mark.line + 1}: more than {DEEPEST} collections within each other")
        if count > MOST:
            raise UserError(f"line {event.start_mark.line + 1}: more than {MOST:,} values{words}")
