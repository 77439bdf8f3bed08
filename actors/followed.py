"""The symbols a connection takes candles of, how far each has come, and who waits for that. Part of a Connection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from actors.messages import Barrier, CandleClosed, SyncVenue, Unwatch, VenueSynced, Watch, run_name
from actors.runtime.behaviour import Context
from exchanges.feeds.base import FundingRate


class Followed:
    """`venue`: whose candles they are."""

    __slots__ = ("_applied", "_ctx", "_funding", "_syncs", "venue")

    def __init__(self, ctx: Context, funding: Callable[[str], Sequence[FundingRate]]) -> None:
        self.venue = ""
        self._ctx = ctx
        self._funding = funding
        self._applied: dict[str, datetime] = {}
        self._syncs: dict[str, list[SyncVenue]] = {}

    def watch(self, symbol: str, since: datetime) -> None:
        """Take its candles from `since` on; those closed already come first."""
        if symbol in self._applied:
            return
        self._applied[symbol] = since
        watch = Watch(venue=self.venue, symbol=symbol, watcher=self._ctx.name, since=since)
        self._ctx.tell("market_data", watch)

    def leave(self, symbol: str) -> None:
        """Nothing of ours can be touched by its candles any more."""
        if self._applied.pop(symbol, None) is not None:
            self._ctx.tell("market_data", Unwatch(venue=self.venue, symbol=symbol, watcher=self._ctx.name))
            self._answer(symbol, None)

    def leave_all(self) -> None:
        for symbol in list(self._applied):
            self.leave(symbol)

    def applied(self, closed: CandleClosed) -> None:
        """The venue has seen this candle; whoever waited for it is answered."""
        if closed.symbol in self._applied:
            self._applied[closed.symbol] = closed.close_time
        self._answer(closed.symbol, closed.close_time)

    def funding_due(self, closed: CandleClosed) -> Sequence[FundingRate]:
        """Rates settled at this candle's close; venues stamp them some milliseconds late, so minutes count."""
        rates = self._funding(closed.symbol)
        opened, minute = closed.close_time - closed.timeframe.delta, timedelta(minutes=1)
        first = bisect_left(rates, opened + minute, key=attrgetter("at"))
        last = bisect_left(rates, closed.close_time + minute, key=attrgetter("at"))
        return rates[first:last]

    def sync(self, sync: SyncVenue) -> None:
        """Answer once everything up to the slot has been applied."""
        symbol = sync.run.strategy.symbol
        reached = self._applied.get(symbol)
        if reached is None or reached >= sync.slot:
            self._pass_barrier(sync)
        else:
            self._syncs.setdefault(symbol, []).append(sync)

    def _answer(self, symbol: str, reached: datetime | None) -> None:
        waiting = self._syncs.pop(symbol, [])
        for sync in waiting:
            if reached is None or reached >= sync.slot:
                self._pass_barrier(sync)
            else:
                self._syncs.setdefault(symbol, []).append(sync)

    def _pass_barrier(self, sync: SyncVenue) -> None:
        """Behind everything booked so far, through the ledger's queue of this user."""
        name = run_name(sync.run.id)
        barrier = Barrier(user_id=sync.run.user_id, reply_to=name, answer=VenueSynced(slot=sync.slot))
        self._ctx.tell("risk_ledger", barrier)
