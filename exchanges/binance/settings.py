"""Modes and leverage of an account: read first, set where they differ, remembered."""

from __future__ import annotations

from typing import Final

from core.order import Order
from core.position import OrderSide, Side
from exchanges.base import MarginMode, PositionMode
from exchanges.binance import requests
from exchanges.binance.codes import Doing
from exchanges.binance.line import Line, form
from exchanges.binance.signing import Call
from exchanges.binance.wire import AccountConfig, Done, LeverageSet, SymbolConfig
from exchanges.error_class import ErrorClass
from exchanges.errors import OutcomeUnknown, Refusal, Rejected, Unreachable

_ALREADY: Final = frozenset({ErrorClass.OK_ALREADY})
_MARGIN_MODES: Final = {"ISOLATED": MarginMode.ISOLATED, "CROSSED": MarginMode.CROSS}


class Settings:
    """What is remembered is forgotten where the venue says that somebody changed it."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._hedge: bool | None = None
        self._symbols: dict[str, tuple[MarginMode, int]] = {}

    async def hedge(self) -> bool:
        """Whether the account holds longs and shorts side by side."""
        if self._hedge is None:
            await self.read()
        return bool(self._hedge)

    async def read(self) -> AccountConfig:
        config = await self._line.ask(requests.account_config(), form(AccountConfig), "the account's modes")
        self._hedge = config.dual_side_position
        return config

    def forget_all(self) -> None:
        """Somebody may have changed anything while nobody heard of it."""
        self._hedge = None
        self._symbols.clear()

    def forget(self, symbol: str | None = None) -> None:
        """Of a symbol, or (None) the modes of the account."""
        if symbol is None:
            self._hedge = None
        else:
            self._symbols.pop(symbol, None)

    async def leverage(self, symbol: str) -> int:
        return (await self._config(symbol)).leverage

    async def apply(
        self, symbol: str, *, leverage: int, margin_mode: MarginMode, position_mode: PositionMode
    ) -> None:
        """Raises Rejected where the venue refuses, Unreachable where it cannot be known: asking again is harmless."""
        hedge = position_mode is PositionMode.HEDGE
        if await self.hedge() is not hedge:
            await self._set(requests.set_position_mode(hedge=hedge), Done, "the position mode")
            self._hedge = hedge
        if self._symbols.get(symbol) == (margin_mode, leverage):
            return
        config = await self._config(symbol)
        if _MARGIN_MODES.get(config.margin_type.upper()) is not margin_mode:
            await self._set(
                requests.set_margin_mode(symbol, margin_mode), Done, f"the margin mode of {symbol}"
            )
        if config.leverage != leverage:
            await self._set(requests.set_leverage(symbol, leverage), LeverageSet, f"the leverage of {symbol}")
        self._symbols[symbol] = (margin_mode, leverage)

    async def _config(self, symbol: str) -> SymbolConfig:
        call = requests.symbol_config(symbol)
        rows = await self._line.ask(call, form(list[SymbolConfig]), f"the settings of {symbol}")
        for row in rows:
            if row.symbol == symbol:
                return row
        raise Rejected(Refusal.UNKNOWN_SYMBOL, f"Binance names no settings of {symbol}.")

    async def _set(self, call: Call, wire: type[Done] | type[LeverageSet], what: str) -> None:
        try:
            await self._line.attempt(call, form(wire), what, doing=Doing.CHANGING, allowed=_ALREADY)
        except OutcomeUnknown as lost:
            raise Unreachable(lost.kind, str(lost)) from None


def position_side(order: Order, *, hedge: bool) -> Side | None:
    """The position an order works on in hedge mode: an entry opens its own side, an exit closes the other."""
    if not hedge:
        return None
    buys = order.side is OrderSide.BUY
    return Side.LONG if buys is not order.reduce_only else Side.SHORT
