"""Positions of the Bybit face: list, closed PnL, leverage, position mode, and the stops a position carries.

The engine has one position mode an account, so a switch for one symbol switches all of them.
"""

from __future__ import annotations

from decimal import Decimal
from itertools import count
from typing import Any

import msgspec

from exchanges.simulator.account import Account
from exchanges.simulator.bybit_books import Books
from exchanges.simulator.bybit_call import Call
from exchanges.simulator.bybit_codes import (
    LEVERAGE_AS_BEFORE,
    MODE_AS_BEFORE,
    MODE_HAS_ORDERS,
    MODE_HAS_POSITION,
    NO_POSITION,
    NOT_MODIFIED,
    PARTIAL_TOO_BIG,
    POSITION_IDX,
    TOO_MANY_PARTIAL_STOPS,
    VenueError,
    wrong,
)
from exchanges.simulator.bybit_lookups import page, window
from exchanges.simulator.bybit_orders import check_stop, linear_symbol, trigger_by
from exchanges.simulator.bybit_routes import Routes, ordering, reading
from exchanges.simulator.bybit_words import CATEGORY, INDICES, MADE_UP, money, optional, text
from exchanges.simulator.engine import Engine
from exchanges.simulator.filters import check_price, check_quantity
from exchanges.simulator.model import (
    ZERO,
    Conditional,
    ConditionalRequest,
    Position,
    PositionSide,
    Reason,
    Refused,
    Side,
    TriggerBy,
    TriggerKind,
)

PARTIAL_STOPS_MAX = 20
_PAGE_MAX, _POSITIONS_MAX = 100, 200
_MODES = {0: False, 3: True}
_HEDGED = (PositionSide.LONG, PositionSide.SHORT)


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A stop to stand; no price and no distance: none of its kind."""

    kind: TriggerKind
    price: Decimal | None = None
    by: TriggerBy = TriggerBy.LAST
    distance: Decimal | None = None
    activation: Decimal | None = None

    def stands(self, standing: Conditional | None) -> bool:
        if standing is None:
            return self.price is None and self.distance is None
        request = standing.request
        return (self.price, self.by, self.distance, self.activation) == (
            request.trigger_price,
            request.by,
            request.callback_distance,
            request.activation_price,
        )


def routes(engine: Engine, books: Books) -> Routes:
    positions = BybitPositions(engine, books)
    return {
        ("GET", "/v5/position/list"): reading(positions.held, "position"),
        ("GET", "/v5/position/closed-pnl"): reading(positions.closed_pnl, "closed-pnl"),
        ("POST", "/v5/position/set-leverage"): ordering(positions.set_leverage, "set-leverage"),
        ("POST", "/v5/position/switch-mode"): ordering(positions.switch_mode, "switch-mode"),
        ("POST", "/v5/position/trading-stop"): ordering(positions.trading_stop, "trading-stop"),
    }


def position_row(
    engine: Engine, account: Account, position: Position, *, entry_name: str = "avgPrice"
) -> dict[str, Any]:
    """`entry_name`: the stream has another name for the entry price than the list."""
    symbol, quantity = position.symbol, position.quantity
    mark = engine.marks[symbol]
    instrument = engine.market.instruments[symbol]
    stops = {kind: standing(engine, account, position, kind) for kind in TriggerKind}
    stop, target = stops[TriggerKind.STOP], stops[TriggerKind.TAKE_PROFIT]
    trail = stops[TriggerKind.TRAILING]
    entry = money(position.entry_price) if quantity else "0"
    margin = money(account.position_margin(position, mark))
    maintenance = money(instrument.maintenance(abs(quantity) * mark))
    is_isolated = account.is_isolated(symbol)
    bust = (position.cost - position.margin) / quantity if quantity and is_isolated else None
    liquidation = engine.liquidation_price(account, position)
    return {
        "category": CATEGORY,
        "positionIdx": INDICES[position.side],
        "riskId": 1,
        "riskLimitValue": text(instrument.tiers[0].cap),
        "symbol": symbol,
        "side": "" if not quantity else "Buy" if quantity > 0 else "Sell",
        "size": text(abs(quantity)) if quantity else "0",
        entry_name: entry,
        "breakEvenPrice": "",
        "positionValue": money(abs(position.cost)),
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if quantity else 0,
        "leverage": str(account.leverage_of(symbol)),
        "positionBalance": money(position.margin),
        "markPrice": text(mark),
        "liqPrice": "" if liquidation is None else money(liquidation),
        "bustPrice": "" if bust is None else money(max(bust, ZERO)),
        "positionIM": margin,
        "positionIMByMp": margin,
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "tpslMode": "Full",
        "takeProfit": "" if target is None else optional(target.request.trigger_price),
        "stopLoss": "" if stop is None else optional(stop.request.trigger_price),
        "trailingStop": "0" if trail is None else optional(trail.request.callback_distance),
        "unrealisedPnl": money(position.unrealised(mark)),
        "curRealisedPnl": money(position.realised),
        "cumRealisedPnl": money(position.realised),
        "seq": position.updated_ms,
        "isReduceOnly": False,
        "sessionAvgPrice": "",
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(position.opened_ms),
        "updatedTime": str(position.updated_ms),
    }


def standing(engine: Engine, account: Account, position: Position, kind: TriggerKind) -> Conditional | None:
    """The stop of that kind for all of a position."""
    found = engine.of_position(account, position)
    return next((c for c in found if c.request.kind is kind and c.request.close_position), None)


class BybitPositions:
    def __init__(self, engine: Engine, books: Books) -> None:
        self._engine = engine
        self._books = books
        self._made_up = count(1)

    def held(self, call: Call) -> dict[str, Any]:
        """Of a symbol its one row, in hedge mode two; of a coin what is open."""
        account, engine = call.account, self._engine
        if call.text("category") != CATEGORY:
            raise wrong("category")
        if call.optional("symbol") is not None:
            symbol = linear_symbol(call, engine)
            sides = _HEDGED if account.hedge else (PositionSide.BOTH,)
            shown = [account.position(symbol, side) for side in sides]
        elif call.optional("settleCoin") is not None or call.optional("baseCoin") is not None:
            shown = list(account.open_positions())
        else:
            raise wrong("symbol")
        rows = [(len(shown) - number, position) for number, position in enumerate(shown)]
        limit = call.limit(20, _POSITIONS_MAX)
        return page(rows, call, limit, lambda position: position_row(engine, account, position))

    def closed_pnl(self, call: Call) -> dict[str, Any]:
        """Net of the fees of opening and closing."""
        if call.text("category") != CATEGORY:
            raise wrong("category")
        symbol, (since, until) = call.optional("symbol"), window(call, self._engine.now_ms)
        found = [
            (each.serial, each)
            for each in self._books.closed[call.account.name].values()
            if symbol in (None, each.symbol) and since <= each.updated_ms <= until
        ]
        return page(found, call, call.limit(50, _PAGE_MAX), lambda each: each.row())

    def set_leverage(self, call: Call) -> dict[str, Any]:
        account, symbol = call.account, linear_symbol(call, self._engine)
        buy, sell = call.decimal("buyLeverage"), call.decimal("sellLeverage")
        if buy != sell or buy % 1:
            raise wrong("buyLeverage")
        if int(buy) == account.leverage_of(symbol):
            raise VenueError(*LEVERAGE_AS_BEFORE)
        self._engine.set_leverage(account, symbol, int(buy))
        return {}

    def switch_mode(self, call: Call) -> dict[str, Any]:
        mode = call.number("mode")
        if mode not in _MODES:
            raise wrong("mode")
        if call.optional("symbol") is not None:
            linear_symbol(call, self._engine)
        elif call.optional("coin") is None:
            raise wrong("symbol")
        try:
            self._engine.set_hedge(call.account, _MODES[mode])
        except Refused as refused:
            words = {
                Reason.ALREADY_SO: MODE_AS_BEFORE,
                Reason.HAS_POSITION: MODE_HAS_POSITION,
                Reason.HAS_ORDERS: MODE_HAS_ORDERS,
            }
            raise VenueError(*words[refused.reason]) from None
        return {}

    def trading_stop(self, call: Call) -> dict[str, Any]:
        """Nothing is changed unless all of it can be."""
        account, symbol = call.account, linear_symbol(call, self._engine)
        mode = call.text("tpslMode")
        if mode not in ("Full", "Partial"):
            raise wrong("tpslMode")
        if call.number("positionIdx") is None:
            raise wrong("positionIdx")
        side = call.position_side()
        if account.hedge != (side is not PositionSide.BOTH):
            raise VenueError(10001, POSITION_IDX)
        position = account.position(symbol, side)
        if not position.quantity:
            raise VenueError(10001, NO_POSITION)
        if mode == "Partial":
            self._add_partial(call, position)
        else:
            self._set_full(call, position)
        return {}

    # -- stops of a whole position

    def _set_full(self, call: Call, position: Position) -> None:
        engine, account = self._engine, call.account
        wanted = self._wanted(call, position)
        changed = [each for each in wanted if not each.stands(standing(engine, account, position, each.kind))]
        if not changed:
            raise VenueError(*NOT_MODIFIED)
        for each in changed:
            try:
                engine.set_stop(
                    account,
                    position,
                    each.kind,
                    each.price,
                    by=each.by,
                    callback_distance=each.distance,
                    activation_price=each.activation,
                )
            except Refused as refused:
                if refused.reason is not Reason.ACTIVATION_PRICE:
                    raise
                where = "higher" if position.quantity > 0 else "lower"
                base = engine.last[position.symbol]
                said = (
                    f"ActivePrice:{each.activation:f} should be {where} than base_price:{base:f}??LastPrice"
                )
                raise VenueError(10001, said) from None

    def _wanted(self, call: Call, position: Position) -> tuple[_Wanted, ...]:
        """The trailing stop first: only the engine can refuse it. "0" clears, omission keeps."""
        instrument = self._engine.market.instruments[position.symbol]
        wanted = []
        if "trailingStop" in call.params or "activePrice" in call.params:
            distance = call.optional_decimal("trailingStop")
            trail = standing(self._engine, call.account, position, TriggerKind.TRAILING)
            if distance is None:
                distance = trail.request.callback_distance if trail is not None else None
            if distance is None or distance % instrument.tick:
                raise wrong("trailingStop")
            active = call.optional_decimal("activePrice") or None
            if active is not None:
                check_price(instrument, active)
            kind = TriggerKind.TRAILING
            wanted.append(
                _Wanted(kind=kind, distance=distance, activation=active) if distance else _Wanted(kind=kind)
            )
        for kind, name, by_name in (
            (TriggerKind.STOP, "stopLoss", "slTriggerBy"),
            (TriggerKind.TAKE_PROFIT, "takeProfit", "tpTriggerBy"),
        ):
            price = call.optional_decimal(name)
            if price is None:
                continue
            by = trigger_by(call, by_name)
            if price:
                self._check(position, name, price, by)
            wanted.append(_Wanted(kind=kind, price=price, by=by) if price else _Wanted(kind=kind))
        return tuple(wanted)

    def _check(self, position: Position, name: str, price: Decimal, by: TriggerBy) -> None:
        symbol = position.symbol
        check_price(self._engine.market.instruments[symbol], price)
        base = (self._engine.marks if by is TriggerBy.MARK else self._engine.last)[symbol]
        opened_by = Side.BUY if position.quantity > 0 else Side.SELL
        check_stop(f"{name[0].upper()}{name[1:]}", price, opened_by, base, by)

    # -- stops of a part

    def _add_partial(self, call: Call, position: Position) -> None:
        engine, account = self._engine, call.account
        requests = []
        for kind, name, short in (
            (TriggerKind.STOP, "stopLoss", "sl"),
            (TriggerKind.TAKE_PROFIT, "takeProfit", "tp"),
        ):
            price = call.optional_decimal(name)
            if price is None:
                continue
            if not price:
                raise wrong(name)
            by = trigger_by(call, f"{short}TriggerBy")
            self._check(position, name, price, by)
            requests.append(self._partial(call, position, kind, price, by, short))
        if not requests or len({request.quantity for request in requests}) > 1:
            raise wrong("tpSize or slSize")
        parts = [c for c in engine.of_position(account, position) if not c.request.close_position]
        if len(parts) + len(requests) > PARTIAL_STOPS_MAX:
            raise VenueError(*TOO_MANY_PARTIAL_STOPS)
        for request in requests:
            engine.place_conditional(account, request)

    def _partial(
        self, call: Call, position: Position, kind: TriggerKind, price: Decimal, by: TriggerBy, short: str
    ) -> ConditionalRequest:
        held = abs(position.quantity)
        size = call.optional_decimal(f"{short}Size") or held
        limit = None
        if call.optional(f"{short}OrderType") == "Limit":
            limit = call.decimal(f"{short}LimitPrice")
        instrument = self._engine.market.instruments[position.symbol]
        check_quantity(instrument, size, is_market=limit is None)
        if limit is not None:
            check_price(instrument, limit)
        if size > held:
            raise VenueError(*PARTIAL_TOO_BIG)
        closes = Side.SELL if position.quantity > 0 else Side.BUY
        return ConditionalRequest(
            symbol=position.symbol,
            side=closes,
            kind=kind,
            client_id=f"{MADE_UP}part-{next(self._made_up)}",
            rises=(closes is Side.BUY) == (kind is TriggerKind.STOP),
            quantity=size,
            trigger_price=price,
            limit_price=limit,
            by=by,
            reduce_only=True,
            position_side=position.side,
            of_position=True,
        )
