"""Makes the wanted stops and target stand for a position: at Bybit they are the position's own and end with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

import msgspec

from core.market import Rounding, SymbolRules
from core.position import ZERO, OrderSide, Side
from core.protection import Protection, Trailing, on_grid
from exchanges.base import VenuePosition
from exchanges.bybit import parse, requests
from exchanges.bybit.calls import Calls
from exchanges.bybit.wire import Page, PositionRow
from exchanges.errors import Refusal, Rejected

_POSITIONS: Final = msgspec.json.Decoder(Page[PositionRow])


async def protect(
    calls: Calls, symbol: str, wanted: Protection, rules_of: Callable[[str], Awaitable[SymbolRules]]
) -> Protection:
    """What stands afterwards: the stop first, then the trailing stop, then the target. Raises ExchangeError."""
    row, held = await _held(calls, symbol)
    if row is None or held is None:
        return Protection()
    opened_by = OrderSide.BUY if held.quantity > 0 else OrderSide.SELL
    rules = await rules_of(symbol)
    target = on_grid(wanted, opened_by, rules)
    try:
        if held.stop_loss != target.stop_loss:
            await _set(calls, row, requests.Stops(stop_loss=target.stop_loss or ZERO))
        await _trail(calls, row, held, target.trailing, rules)
        if held.take_profit != target.take_profit:
            await _set(calls, row, requests.Stops(take_profit=target.take_profit or ZERO))
    except Rejected as error:
        if error.refusal is Refusal.WOULD_TRIGGER or (await _held(calls, symbol))[1] is not None:
            raise
    _, held = await _held(calls, symbol)
    if held is None:
        return Protection()
    trailing = None
    if held.trail is not None and target.trailing is not None:
        trailing = msgspec.structs.replace(target.trailing, measure=held.trail)
    return Protection(stop_loss=held.stop_loss, take_profit=held.take_profit, trailing=trailing)


async def _trail(
    calls: Calls, row: PositionRow, held: VenuePosition, wanted: Trailing | None, rules: SymbolRules
) -> None:
    """The venue keeps a distance, that of the activation price, and does not tell that price again.

    It refuses an activation that the market has reached: then the stop trails at once.
    """
    distance = ZERO if wanted is None else max(rules.price(wanted.distance, Rounding.DOWN), rules.tick_size)
    if (held.trail or ZERO) == distance:
        return
    if wanted is not None and wanted.best is None:
        try:
            await _set(calls, row, requests.NO_STOPS, distance, wanted.activation_price)
            return
        except Rejected as error:
            if error.refusal is not Refusal.WOULD_TRIGGER:
                raise
    await _set(calls, row, requests.NO_STOPS, distance)


async def _held(calls: Calls, symbol: str) -> tuple[PositionRow | None, VenuePosition | None]:
    """The open position of a symbol, as the venue has it and as it is read."""
    page = await calls.ask(requests.positions(symbol=symbol), _POSITIONS)
    for row in page.rows:
        held = parse.position(row)
        if held is not None:
            return row, held
    return None, None


async def _set(
    calls: Calls,
    row: PositionRow,
    stops: requests.Stops,
    trail_distance: Decimal | None = None,
    activation_price: Decimal | None = None,
) -> None:
    hedge_side = None if row.position_idx == 0 else Side.LONG if row.position_idx == 1 else Side.SHORT
    await calls.change(
        requests.set_position_stops(
            symbol=row.symbol,
            stops=stops,
            hedge_side=hedge_side,
            trail_distance=trail_distance,
            activation_price=activation_price,
        )
    )
