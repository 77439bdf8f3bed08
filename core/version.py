"""Which version this is, and how two compare."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"


def is_older(version: str, minimum: str) -> bool:
    """Whether `version` comes before `minimum`; both dotted whole numbers, others count as 0."""
    return _numbers(version) < _numbers(minimum)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))
