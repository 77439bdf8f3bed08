"""Budgets of venue hosts among the processes of one database, for the event loop of this one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from contextlib import suppress
from datetime import datetime

from exchanges.budgets import Share
from exchanges.limits import Limits
from schema.pg_venue_budgets import PgVenueBudgets
from schema.store import StoreUnavailable


class SharedVenueBudgets:
    """`exchanges.budgets.SharedBudget` over the database's rows, on a thread of `executor`."""

    def __init__(self, rows: PgVenueBudgets, executor: Executor) -> None:
        self._rows = rows
        self._executor = executor
        self._bans: Mapping[str, datetime] = {}

    async def take(self, host: str, limits: Limits, wanted: int) -> Share:
        def take() -> Share:
            taken = self._rows.take(
                host, wanted=wanted, weight=limits.shared_weight, window_s=limits.shared_window_s
            )
            return Share(weight=taken.granted, ends_in_s=taken.ends_in_s, banned_until=taken.banned_until)

        return await asyncio.get_running_loop().run_in_executor(self._executor, take)

    async def ban(self, host: str, until: datetime) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._rows.ban, host, until)

    def banned_until(self, host: str) -> datetime | None:
        return self._bans.get(host)

    def read_bans(self) -> None:
        """Learn what others have met, on any thread; where it cannot be read now, a ban comes with the next share."""
        with suppress(StoreUnavailable):
            self._bans = self._rows.bans()
