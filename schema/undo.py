"""How rows in memory become again what they were: transactions of the memory store, operations of a batch."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Any = object()


class Undo:
    """What to do, backwards, so that a transaction never was."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], object]] = []

    def mark(self) -> int:
        return len(self._steps)

    def back_to(self, mark: int) -> None:
        while len(self._steps) > mark:
            self._steps.pop()()

    def then(self, step: Callable[[], object]) -> None:
        self._steps.append(step)

    def set_attribute(self, row: object, name: str, value: object) -> None:
        old = getattr(row, name)
        setattr(row, name, value)
        self._steps.append(lambda: setattr(row, name, old))

    def set_item(self, mapping: MutableMapping[K, V], key: K, value: V) -> None:
        old = mapping.get(key, _ABSENT)
        mapping[key] = value
        if old is _ABSENT:
            self._steps.append(lambda: mapping.pop(key))
        else:
            self._steps.append(lambda: mapping.__setitem__(key, old))

    def remove_item(self, mapping: MutableMapping[K, V], key: K) -> None:
        if key in mapping:
            old = mapping.pop(key)
            self._steps.append(lambda: mapping.__setitem__(key, old))

    def append(self, rows: list[V], row: V) -> None:
        rows.append(row)
        self._steps.append(rows.pop)
