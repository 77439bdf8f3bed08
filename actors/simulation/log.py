"""What happened, in order: hashed always, so that a seed has one hash, and told line by line on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

from actors.runtime.deterministic import VirtualClock

_ENCODER = msgspec.json.Encoder(decimal_format="string", uuid_format="canonical")


class EventLog:
    """Everything committed to the store and everything the venue heard, as it happened."""

    def __init__(self, clock: VirtualClock, trace: Callable[[str], None] | None = None) -> None:
        self._clock = clock
        self._hash = hashlib.sha256()
        self._trace = trace

    def add(self, what: str, value: Any) -> None:
        encoded = _ENCODER.encode((self._clock.us, what, value))
        self._hash.update(encoded)
        if self._trace is not None:
            self.note(what, encoded[18 + len(what) :].decode().rstrip("]"))

    def note(self, what: str, text: str) -> None:
        """A line for the reader of a trace; no part of the hash."""
        if self._trace is not None:
            self._trace(f"{self._clock.now():%m-%d %H:%M:%S.%f} {what:<14} {text}")

    def hexdigest(self) -> str:
        return self._hash.hexdigest()
