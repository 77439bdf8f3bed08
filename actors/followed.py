"""The symbols a connection takes candles of, how far each has come, and who waits for that. Part of a Connection."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from actors.messages import (
    Barrier,
    CandleClosed,
    CandlesTold,
    SyncVenue,
    ToldAll,
    Unwatch,
    VenueSynced,
    Watch,
    run_name,
)
from actors.runtime.behaviour import Context
from core.quiet import ANY_PRICE, Quiet
from exchanges.feeds.base import FundingRate

_LATE = timedelta(minutes=1)
_stamp = attrgetter("at")


class Followed:
    """`venue`: whose candles they are."""

    __slots__ = ("_applied", "_ctx", "_funding", "_syncs", "_watches", "venue")

    def __init__(self, ctx: Context, funding: Callable[[str], Sequence[FundingRate]]) -> None:
        self.venue = ""
        self._ctx = ctx
        self._funding = funding
        self._applied: dict[str, datetime] = {}
        self._watches: dict[str, Watch] = {}
        self._syncs: dict[str, list[SyncVenue]] = {}

    def watch(self, symbol: str, since: datetime, quiet: Quiet | None) -> None:
        """Take its candles from `since` on; those closed already come first. At `quiet` prices they change nothing.

        Told again, it goes on from where it is, with what matters now.
        """
        since = self._applied.setdefault(symbol, since)
        due, before = self._next_funding(symbol, since), self._watches.get(symbol)
        if before is not None and before.quiet == quiet and before.due == due:
            return
        name = self._ctx.name
        watch = Watch(venue=self.venue, symbol=symbol, watcher=name, since=since, quiet=quiet, due=due)
        self._watches[symbol] = watch
        self._ctx.tell("market_data", watch)

    def leave(self, symbol: str) -> None:
        """Nothing of ours can be touched by its candles any more."""
        if self._applied.pop(symbol, None) is not None:
            del self._watches[symbol]
            self._ctx.tell("market_data", Unwatch(venue=self.venue, symbol=symbol, watcher=self._ctx.name))
            self._answer(symbol, None)

    def leave_all(self) -> None:
        for symbol in list(self._applied):
            self.leave(symbol)

    def applied(self, reached: CandleClosed | CandlesTold) -> None:
        """The venue has seen every candle up to this one that it must; whoever waited for it is answered."""
        if reached.symbol in self._applied:
            self._applied[reached.symbol] = reached.close_time
        self._answer(reached.symbol, reached)

    def funding_due(self, closed: CandleClosed) -> Sequence[FundingRate]:
        """Rates settled at this candle's close; venues stamp them some milliseconds late, so minutes count."""
        rates = self._funding(closed.symbol)
        opened = closed.close_time - closed.timeframe.delta
        first = bisect_left(rates, opened + _LATE, key=_stamp)
        last = bisect_left(rates, closed.close_time + _LATE, key=_stamp)
        return rates[first:last]

    def _next_funding(self, symbol: str, since: datetime) -> datetime | None:
        """The first candle to close after this moment settles the next funding."""
        rates = self._funding(symbol)
        place = bisect_left(rates, since + _LATE, key=_stamp)
        return rates[place].at - _LATE if place < len(rates) else None

    def sync(self, sync: SyncVenue) -> None:
        """Answer once everything up to the slot has been applied."""
        symbol = sync.run.strategy.symbol
        reached = self._applied.get(symbol)
        if reached is None or reached >= sync.slot or self._is_quiet(symbol, sync.slot):
            self._pass_barrier(sync)
        else:
            self._syncs.setdefault(symbol, []).append(sync)
            ask = ToldAll(venue=self.venue, symbol=symbol, watcher=self._ctx.name, until=sync.slot)
            self._ctx.tell("market_data", ask)

    def _is_quiet(self, symbol: str, slot: datetime) -> bool:
        """Whether no candle up to that slot can change anything, whatever its prices."""
        watch = self._watches[symbol]
        return watch.quiet == ANY_PRICE and (watch.due is None or slot <= watch.due)

    def _answer(self, symbol: str, reached: CandleClosed | CandlesTold | None) -> None:
        """A slot between two candles has seen what it must with the last one that closed before it."""
        waiting = self._syncs.pop(symbol, [])
        for sync in waiting:
            if reached is None or reached.close_time >= reached.timeframe.floor(sync.slot):
                self._pass_barrier(sync)
            else:
                self._syncs.setdefault(symbol, []).append(sync)

    def _pass_barrier(self, sync: SyncVenue) -> None:
        """Behind everything booked so far, through the ledger's queue of this user."""
        name = run_name(sync.run.id)
        barrier = Barrier(user_id=sync.run.user_id, reply_to=name, answer=VenueSynced(slot=sync.slot))
        self._ctx.tell("risk_ledger", barrier)
