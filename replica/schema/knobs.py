"""What a network leaves to its variants: `$name` in it, and where such a knob is stated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def references(value: Any) -> set[str]:
    """The names of all `$name` inside."""
    if isinstance(value, dict | list):
        return set().union(*map(references, value.values() if isinstance(value, dict) else value))
    return {value[1:]} if isinstance(value, str) and value.startswith("$") else set()


def sources(lines: str, whole: dict[str, Any], where: str, said: Mapping[str, str]) -> str:
    """Error lines that begin with the knob of an entry, where a `$name` of the network is what they are about."""

    def knobs(value: Any, place: str) -> Iterable[tuple[str, str]]:
        if isinstance(value, dict):
            for key, item in value.items():
                yield from knobs(item, f"{place}.{key}")
        elif isinstance(value, str) and value.startswith("$"):
            yield place, f"{where}.{value[1:]}"

    of = {place: knob for key, start in said.items() for place, knob in knobs(whole.get(key), f"{start}.{key}")}
    found = []
    for line in lines.splitlines():
        place, colon, rest = line.partition(": ")
        found.append((of.get(place, place) if rest.startswith("got ") else place) + colon + rest)
    return "\n".join(found)
