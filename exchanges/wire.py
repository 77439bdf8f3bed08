"""One HTTP exchange with a venue: what a request costs and is for, what came back, and what no answer means."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import IntEnum
from typing import Protocol

import msgspec

from core.errors import RunnerError


class Purpose(IntEnum):
    """What a request is for; under a short budget the lower number goes first."""

    CLOSING = 0
    """Reduces risk: exits, protective stops, cancels."""
    LOOK_UP = 1
    """Settles the fate of an order, a position or a balance."""
    ENTRY = 2
    READ = 3
    """Market data, instruments, history."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a request uses up: weight of the host and address, orders of the account."""

    weight: int = 1
    orders: int = 0
    purpose: Purpose = Purpose.READ


Leave = Callable[[], Awaitable[None]]
"""Asked for just before the first byte, once nothing else is waited for; raises Withheld where it must not leave."""


async def unconditional() -> None:
    """The leave of an order that no row stands behind."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes on the wire, below the host's base URL.

    `query` is percent-encoded, without the question mark; what is signed is exactly these bytes. Headers, query and
    body are not printed: they hold the key and the signature.
    """

    method: str
    path: str
    query: str = ""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    cost: Cost
    leave: Leave | None = None

    def __repr__(self) -> str:
        return f"<{self.method} {self.path}>"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP answer of any status; header names in lower case, `body` undecoded and whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoAnswer(RunnerError):
    """No whole answer came. `timed_out`: within its time; `sent`: some of the request may have reached the venue."""

    def __init__(self, sentence: str, *, timed_out: bool, sent: bool) -> None:
        super().__init__(sentence)
        self.timed_out = timed_out
        self.sent = sent


class Send(Protocol):
    """One tenant's way to one host, through its budgets."""

    async def __call__(self, request: Request, *, timeout_s: float) -> Answer:
        """Raises NoAnswer; RateLimited or Banned (`exchanges.errors`) where a budget refuses before any byte left."""
        ...
