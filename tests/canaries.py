"""Canaries: made-up secrets that are let through everything; `bin/traces.py` finds any trace of them (I13)."""

from __future__ import annotations

import string
from collections.abc import Iterable
from random import Random
from typing import Final

from bin.traces import PIECE, Scanner, Trace, forms_of

__all__ = ["CANARIES", "KEYS", "PIECE", "SECRETS", "Trace", "forms_of", "scan", "scan_all"]

_PLAIN: Final = string.ascii_letters + string.digits
_AWKWARD: Final = _PLAIN + "+/=!#$%&?.~'\"\\|<>[]_-"
"""With what makes encodings differ: characters that URLs, JSON and shells escape."""


def _made(what: str, number: int) -> str:
    return "".join(Random(f"{what} {number}").choices(_AWKWARD if number % 2 else _PLAIN, k=39 + number))


KEYS: Final = tuple(_made("key", number) for number in range(6))
SECRETS: Final = tuple(_made("secret", number) for number in range(6))
CANARIES: Final = (*KEYS, *SECRETS)
_SCANNER: Final = Scanner(CANARIES)


def scan(where: str, text: str | bytes) -> list[Trace]:
    """Every canary and form of which `text` holds a piece, once each."""
    return _SCANNER.scan(where, text)


def scan_all(texts: Iterable[tuple[str, str]]) -> list[Trace]:
    return [trace for where, text in texts for trace in scan(where, text)]
