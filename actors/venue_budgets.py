"""Budgets of venue hosts among the processes of one database, for the event loop of this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from datetime import datetime

from exchanges.budgets import Share
from exchanges.limits import Limits
from schema.pg_venue_budgets import BANS_CHANNEL, PgVenueBudgets
from schema.store import Notifier, StoreUnavailable


class SharedVenueBudgets:
    """`exchanges.budgets.SharedBudget` over the database's rows, on a thread of `executor`."""

    def __init__(self, rows: PgVenueBudgets, executor: Executor) -> None:
        self._rows = rows
        self._executor = executor

    async def take(self, host: str, limits: Limits, wanted: int) -> Share:
        def take() -> Share:
            taken = self._rows.take(
                host, wanted=wanted, weight=limits.shared_weight, window_s=limits.shared_window_s
            )
            return Share(weight=taken.granted, ends_in_s=taken.ends_in_s, banned_until=taken.banned_until)

        return await asyncio.get_running_loop().run_in_executor(self._executor, take)

    async def ban(self, host: str, until: datetime) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._rows.ban, host, until)

    def follow_bans(
        self,
        notifier: Notifier,
        loop: asyncio.AbstractEventLoop,
        heed: Callable[[Mapping[str, datetime]], None],
    ) -> None:
        """Tell `heed`, on the loop, what bans there are whenever one is noted, until the notifier is closed.

        A hint that cannot be followed now is not lost: the ban comes with the next share.
        """

        def heard(channel: str, payload: str) -> None:
            try:
                bans = self._rows.bans()
            except StoreUnavailable:
                return
            loop.call_soon_threadsafe(heed, bans)

        notifier.listen([BANS_CHANNEL], heard)
