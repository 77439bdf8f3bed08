"""The first thing that went differently, and what it was decided on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from actors.recording.canonical import normal


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """`where` is a path in the two values, whose leaves are `recorded` and `replayed`. `inputs`: what the run's
    tick was decided on, as far as the replay had come to know it.
    """

    what: str
    at: datetime
    entry: int
    actor: str | None = None
    where: str = ""
    recorded: Any = None
    replayed: Any = None
    slot: str | None = None
    run_id: str | None = None
    user_id: str | None = None
    strategy: str | None = None
    inputs: Mapping[str, Any] = {}
    late: bool = False


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    where: str
    recorded: Any
    replayed: Any
    around: tuple[Any, ...]
    """The objects on the way to the leaf, outermost first, as replayed or else as recorded."""


def first_leaf(recorded: bytes, replayed: bytes) -> Leaf:
    """Where two values part, depth first."""
    return _leaf(normal(recorded), normal(replayed), "", ())


def _leaf(recorded: Any, replayed: Any, where: str, around: tuple[Any, ...]) -> Leaf:
    inside = (*around, replayed if replayed is not None else recorded)
    if isinstance(recorded, dict) and isinstance(replayed, dict):
        for key in (*recorded, *(key for key in replayed if key not in recorded)):
            if recorded.get(key) != replayed.get(key):
                return _leaf(recorded.get(key), replayed.get(key), f"{where}.{key}".lstrip("."), inside)
    if isinstance(recorded, list) and isinstance(replayed, list):
        for index in range(max(len(recorded), len(replayed))):
            one, other = _at(recorded, index), _at(replayed, index)
            if one != other:
                return _leaf(one, other, f"{where}[{index}]", inside)
    return Leaf(where=where, recorded=recorded, replayed=replayed, around=inside)


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def named_in(values: tuple[Any, ...], key: str) -> str | None:
    """The value of `key` nearest to the leaf; within the innermost object that has it anywhere."""
    for value in reversed(values):
        found = _find(value, key)
        if found is not None:
            return found
    return None


def _find(value: Any, key: str) -> str | None:
    if isinstance(value, dict):
        if isinstance(value.get(key), str):
            return str(value[key])
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            found = _find(each, key)
            if found is not None:
                return found
    return None
