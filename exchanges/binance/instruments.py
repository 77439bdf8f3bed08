"""The venue's filters, kept an hour: one list of about a megabyte for all symbols, shared by all accounts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from core.clock import Clock
from core.market import SymbolRules
from exchanges.binance.filters import instruments
from exchanges.binance.line import Line
from exchanges.binance.public import get_instruments
from exchanges.errors import ExchangeError, Refusal, Rejected

KEPT_S: Final = 3600.0
LIST_TIMEOUT_S: Final = 15.0


class Instruments:
    """One per host: the test environments have filters of their own."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rules: Mapping[str, SymbolRules] = {}
        self._good_until_s = float("-inf")
        # Accounts that begin together wait for one list.
        self._reading = asyncio.Lock()

    async def rules(self, symbol: str, line: Line) -> SymbolRules:
        """Raises Rejected for a symbol the venue does not trade. An old list serves while no new one can be had."""
        async with self._reading:
            if self._clock.monotonic() >= self._good_until_s:
                await self._read(symbol, line)
        found = self._rules.get(symbol)
        if found is None:
            raise Rejected(Refusal.UNKNOWN_SYMBOL, f"Binance does not trade {symbol}.")
        return found

    async def _read(self, symbol: str, line: Line) -> None:
        try:
            self._rules = await line.ask(
                get_instruments(), instruments, "its instruments", timeout_s=LIST_TIMEOUT_S
            )
            self._good_until_s = self._clock.monotonic() + KEPT_S
        except ExchangeError:
            if symbol not in self._rules:
                raise

    def expire(self) -> None:
        """A filter refused an order: the list is read anew before the next."""
        self._good_until_s = float("-inf")
