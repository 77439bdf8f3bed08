"""One market's trades put in order: each once, and what is lost found out. Pure.

A venue either counts its trades without a hole, then a jump tells of lost ones, or only names them, then they may have
been lost wherever the stream began anew. In both cases what is heard behind a possible loss is held back until REST
has told what lies between, or cannot.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from core.errors import ImpossibleVenueData
from core.public_trade import PublicTrade
from core.trade_flow import TradeFlow

MAX_HELD: Final = 5_000
"""Trades that wait behind what is missing; with one more it is given up."""
KNOWN_IDS: Final = 4_000
"""Trades by which a repetition is known where they are not counted: four pages of REST."""

_log: Final = logging.getLogger("exchanges.market")


class TradeSeries(ABC):
    """`missing`: trades beyond `last` may be lost, and REST is to be asked."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self.flow = TradeFlow(now_ms)
        self.last: PublicTrade | None = None
        self.missing = False
        self._held: list[PublicTrade] = []
        self._is_marred = False

    @abstractmethod
    def told(self, trade: PublicTrade) -> None:
        """By the stream."""

    @abstractmethod
    def answered(self, rows: Sequence[PublicTrade]) -> bool:
        """What REST told, oldest first; whether there is nothing more to ask for now."""

    @abstractmethod
    def _is_repeated(self, trade: PublicTrade) -> bool: ...

    def reopened(self) -> None:
        """The stream begins anew: it was away since `last`."""
        self.missing = self.missing or self.last is not None

    def give_up(self) -> None:
        """What is missing does not come any more, as far as anything has come behind it."""
        if self._held:
            self._lost_until(self._held[0].at_ms)
            self._release()

    def _hold(self, trade: PublicTrade) -> None:
        self._held.append(trade)
        if len(self._held) > MAX_HELD:
            self.give_up()

    def _release(self) -> None:
        held, self._held = self._held, []
        self.missing = False
        for trade in held:
            if self._held or not self._is_repeated(trade):
                self._follows(trade)

    def _follows(self, trade: PublicTrade) -> None:
        """One that was held, now that nothing is missing before it."""
        self._take(trade)

    def _lost_until(self, at_ms: int) -> None:
        if self.last is not None:
            from_ms = min(self.last.at_ms, at_ms)
            self.flow.lost(from_ms, at_ms)
            _log.warning("market_trades_lost symbol=%s from_ms=%d to_ms=%d", self.last.symbol, from_ms, at_ms)

    def _take(self, trade: PublicTrade) -> None:
        try:
            self.flow.add(trade)
        except ImpossibleVenueData as error:
            # It enters no sum, and neither does what it should have been: a gap, up to the next that is usable.
            self._is_marred = self.last is not None
            at_ms = self.last.at_ms if self.last is not None else 1
            self.last = msgspec.structs.replace(trade, at_ms=at_ms)
            _log.warning("market_trade_unusable symbol=%s error=%s", trade.symbol, error)
            return
        if self._is_marred:
            self._is_marred = False
            self._lost_until(trade.at_ms)
        self.last = trade


class CountedTrades(TradeSeries):
    """Numbers without a hole."""

    def told(self, trade: PublicTrade) -> None:
        last = self.last
        if last is None or trade.number == last.number + 1:
            self._take(trade)
            if self.missing:
                self._release()  # nothing was lost after all, or the stream has told it late
        elif trade.number > last.number:
            self.missing = True
            self._hold(trade)

    def answered(self, rows: Sequence[PublicTrade]) -> bool:
        for row in rows:
            if not self._is_repeated(row):
                if not self._is_next(row):
                    self._lost_until(row.at_ms)  # the venue has them no longer
                self._take(row)
        if self._held and not self._is_repeated(self._held[0]) and not self._is_next(self._held[0]):
            return False
        self._release()
        return not self.missing

    def _follows(self, trade: PublicTrade) -> None:
        if self._held or not self._is_next(trade):
            self.missing = True
            self._held.append(trade)
        else:
            self._take(trade)

    def give_up(self) -> None:
        if self._held:
            self._lost_until(self._held[0].at_ms)
            self._take(self._held.pop(0))
            self._release()

    def _is_next(self, trade: PublicTrade) -> bool:
        return self.last is None or trade.number == self.last.number + 1

    def _is_repeated(self, trade: PublicTrade) -> bool:
        return self.last is not None and trade.number <= self.last.number


class NamedTrades(TradeSeries):
    """Names only; REST tells the newest trades, however many were missed."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        super().__init__(now_ms)
        self._known: set[str] = set()
        self._order: deque[str] = deque()
        # Held as well, each behind a further new beginning of the stream: between them, too, some may be lost.
        self._later: list[list[PublicTrade]] = []

    def reopened(self) -> None:
        super().reopened()
        if self._held and (not self._later or self._later[-1]):
            self._later.append([])

    def told(self, trade: PublicTrade) -> None:
        if trade.trade_id in self._known:
            return
        if self.missing:
            self._hold(trade)
        else:
            self._take(trade)

    def answered(self, rows: Sequence[PublicTrade]) -> bool:
        ids = [row.trade_id for row in rows]
        first, end = 0, len(rows)
        if self._held:
            if self._held[0].trade_id not in ids:
                return False  # it lags behind the stream, or reaches back less than that
            end = ids.index(self._held[0].trade_id)
        if self.last is not None:
            if self.last.trade_id in ids:
                first = ids.index(self.last.trade_id) + 1
            elif rows and rows[0].at_ms > self.last.at_ms:
                self._lost_until(rows[0].at_ms)
            else:
                return False
        for row in rows[first:end]:
            if not self._is_repeated(row):
                self._take(row)
        if self._held:
            self._release()
            return self.answered(rows) if self._held else True
        # Else an answer may lag, and nothing shows it: it is asked for once more when the stream has told a trade.
        return True

    def _hold(self, trade: PublicTrade) -> None:
        (self._later[-1] if self._later else self._held).append(trade)
        while len(self._held) + sum(map(len, self._later)) > MAX_HELD:
            self.give_up()

    def _release(self) -> None:
        super()._release()
        if self._later:
            self._held, self.missing = self._later.pop(0), True

    def _is_repeated(self, trade: PublicTrade) -> bool:
        return trade.trade_id in self._known

    def _take(self, trade: PublicTrade) -> None:
        super()._take(trade)
        known, order, name = self._known, self._order, trade.trade_id
        known.add(name)
        order.append(name)
        if len(order) > KNOWN_IDS:
            known.discard(order.popleft())
