"""Traces of secrets: a scanner that finds any piece of them in whatever a program left behind (I13).

A trace is the text itself, as it is or escaped, its base64 (at each of the three alignments), its hexadecimal or its
URL-encoding, or any piece of 12 characters of one of those; in hexadecimal capitals count as small letters.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import msgspec
import numpy as np
import numpy.typing as npt

PIECE: Final = 12

_HEX_RUN: Final = re.compile(rb"[0-9A-Fa-f]{12,}")
_AT_ONCE: Final = 1 << 20


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Where a secret was found, which (its number), and in what form; never the text around it."""

    where: str
    canary: int
    form: str


class Scanner:
    """Looks for these secrets, each longer than a piece."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._pieces: dict[bytes, tuple[int, str]] = {}
        self._beginnings = np.zeros(1 << 24, dtype=bool)
        for number, secret in enumerate(secrets):
            for form, text in forms_of(secret).items():
                for start in range(len(text) - PIECE + 1):
                    self._pieces.setdefault(text[start : start + PIECE].encode(), (number, form))
        for piece in self._pieces:
            self._beginnings[_hashed(np.frombuffer(piece[:4], np.uint8))] = True

    def scan(self, where: str, text: str | bytes) -> list[Trace]:
        """Every secret and form of which `text` holds a piece, once each."""
        raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
        found = {}
        lower = _HEX_RUN.sub(lambda run: run[0].lower(), raw)
        for read in (raw,) if lower == raw else (raw, lower):
            for hit in self._hits(read):
                found[hit] = Trace(where=where, canary=hit[0], form=hit[1])
        return list(found.values())

    def _hits(self, data: bytes) -> Iterator[tuple[int, str]]:
        """Few places begin as a piece does: only those are compared."""
        for begin in range(0, len(data) - PIECE + 1, _AT_ONCE):
            part = data[begin : begin + _AT_ONCE + PIECE - 1]
            for start in np.flatnonzero(self._beginnings[_hashed(np.frombuffer(part, np.uint8))]).tolist():
                hit = self._pieces.get(part[start : start + PIECE])
                if hit is not None:
                    yield hit


def forms_of(secret: str) -> Mapping[str, str]:
    """What a secret looks like once something has encoded it, by name of the form."""
    raw = secret.encode()
    forms = {"raw": secret, "hex": raw.hex(), "url": quote(secret, safe="")}
    forms |= {"json": json.dumps(secret)[1:-1], "repr": repr(secret)[1:-1]}
    for shift in range(3):
        # What depends on the bytes before and behind is cut off: the rest is the same wherever the secret stands.
        whole = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        forms[f"base64/{shift}"] = whole[(0, 2, 3)[shift] : len(whole) - 1]
        forms[f"base64url/{shift}"] = forms[f"base64/{shift}"].replace("+", "-").replace("/", "_")
    return forms


def _hashed(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """A number below 2^24 for every four bytes in a row."""
    words = data.astype(np.uint32)
    mixed = words[:-3] * np.uint32(0x9E3779B1) + words[1:-2] * np.uint32(0x85EBCA6B)
    mixed += words[2:-1] * np.uint32(0xC2B2AE35) + words[3:] * np.uint32(0x27D4EB2F)
    return mixed >> np.uint32(8)
