"""RetentionKeeper: every hour has what is older than RETENTION_DAYS taken out, a piece at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from actors.runtime.behaviour import Behaviour, Context
from schema.pg_retention import Retired
from schema.store import StoreUnavailable

FIRST_S: Final = 60.0
PASS_S: Final = 3_600.0
PAUSE_S: Final = 0.5
"""Between two pieces, so that ticks and requests have the database meanwhile."""
MAX_STEPS: Final = 2_000
"""In one pass; the next goes on."""


class Pass(msgspec.Struct, frozen=True):
    """See whether anything is older than is kept; `done` pieces were in this pass."""

    done: int = 0


class Stepped(msgspec.Struct, frozen=True):
    retired: Retired
    done: int


class Failed(msgspec.Struct, frozen=True):
    error: Exception


class RetentionKeeper(Behaviour):
    __slots__ = ("_step", "_told")

    def __init__(self, ctx: Context, *, step: Callable[[], Retired], told: Callable[[Retired], None]) -> None:
        """`step` blocks; `told` hears of each month that was dropped."""
        super().__init__(ctx)
        self._step = step
        self._told = told

    def started(self) -> None:
        self.ctx.after(FIRST_S, Pass(), every=PASS_S)

    def receive(self, message: object) -> None:
        match message:
            case Pass():
                done = message.done + 1
                self.ctx.call(self._step, lambda retired: Stepped(retired, done), Failed)
            case Stepped():
                if message.retired.month is not None:
                    self._told(message.retired)
                if message.retired.more and message.done < MAX_STEPS:
                    self.ctx.after(PAUSE_S, Pass(message.done))
            case Failed():
                if not isinstance(message.error, StoreUnavailable):
                    raise message.error
                # The database is away, or a month's table in use: the next pass goes on.
            case _:
                raise TypeError(f"retention cannot handle {type(message).__name__}")
