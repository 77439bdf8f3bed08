"""Trouble on private streams: events twice, out of order, or lost."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec


class StreamFault(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of events that come twice, that come after the next one, and that never come."""

    duplicate: float = 0.0
    reorder: float = 0.0
    lose: float = 0.0
    seed: int = 0


class StreamTrouble:
    def __init__(self) -> None:
        self.set(StreamFault())

    def set(self, fault: StreamFault) -> None:
        self._fault = fault
        self._draw = random.Random(fault.seed)  # noqa: S311 trouble that can be repeated
        self._held: dict[int, bytes] = {}

    def pass_on(self, receiver: int, frame: bytes, send: Callable[[bytes], None]) -> None:
        fault, draw = self._fault, self._draw
        if fault.lose and draw.random() < fault.lose:
            return
        if fault.reorder and receiver not in self._held and draw.random() < fault.reorder:
            self._held[receiver] = frame
            return
        send(frame)
        held = self._held.pop(receiver, None)
        if held is not None:
            send(held)
        if fault.duplicate and draw.random() < fault.duplicate:
            send(frame)
