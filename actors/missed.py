"""What a venue executed while nobody listened: asked for until it answers. Part of a Connection, in its turns.

News goes to who is connected; a fill during a crash is learnt only by asking. Repeats are dropped by their trade ids.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from actors.runtime.behaviour import Context
from core.lookup import LOOK_EVERY_S
from exchanges.base import Exchange, Execution

TIMEOUT_S = 10.0


class CatchUp(msgspec.Struct, frozen=True):
    """Time to ask what was executed in a symbol since then."""

    symbol: str
    since: datetime


class CaughtUp(msgspec.Struct, frozen=True):
    """`executions` None: the venue did not answer."""

    catch_up: CatchUp
    executions: tuple[Execution, ...] | None


class Missed:
    """`book` takes each execution to the ledger."""

    __slots__ = ("_book", "_ctx")

    def __init__(self, ctx: Context, book: Callable[[Execution], None]) -> None:
        self._ctx = ctx
        self._book = book

    def ask(self, venue: Exchange, catch_up: CatchUp) -> None:
        self._ctx.run(
            venue.executions(catch_up.symbol, catch_up.since),
            lambda executions: CaughtUp(catch_up, tuple(executions)),
            lambda _: CaughtUp(catch_up, None),
            timeout_s=TIMEOUT_S,
        )

    def answered(self, caught: CaughtUp) -> None:
        if caught.executions is None:
            self._ctx.after(LOOK_EVERY_S, caught.catch_up)
            return
        for execution in caught.executions:
            self._book(execution)
