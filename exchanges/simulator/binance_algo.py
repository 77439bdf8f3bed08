"""Conditional orders of the Binance face: since 2025-12-09 an interface of their own, algoOrder."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from exchanges.simulator.binance_call import Call
from exchanges.simulator.binance_codes import VenueError, refusal
from exchanges.simulator.binance_orders import client_id_of, position_side_of, side_of, window
from exchanges.simulator.binance_routes import Routes, signed, trading
from exchanges.simulator.binance_words import TIMES_IN_FORCE, conditional_json
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import (
    Conditional,
    ConditionalRequest,
    Order,
    Reason,
    Refused,
    Side,
    TimeInForce,
    TriggerBy,
    TriggerKind,
)

_KINDS = {
    "STOP": TriggerKind.STOP,
    "STOP_MARKET": TriggerKind.STOP,
    "TAKE_PROFIT": TriggerKind.TAKE_PROFIT,
    "TAKE_PROFIT_MARKET": TriggerKind.TAKE_PROFIT,
    "TRAILING_STOP_MARKET": TriggerKind.TRAILING,
}
_WORKING = {"CONTRACT_PRICE": TriggerBy.LAST, "MARK_PRICE": TriggerBy.MARK}
_CALLBACK = (Decimal("0.1"), Decimal(20))


def routes(engine: Engine) -> Routes:
    algo = BinanceAlgo(engine)
    return {
        ("POST", "/fapi/v1/algoOrder"): trading(algo.place, 0, orders=1),
        ("GET", "/fapi/v1/algoOrder"): signed(algo.query),
        ("DELETE", "/fapi/v1/algoOrder"): trading(algo.cancel),
        ("GET", "/fapi/v1/openAlgoOrders"): signed(algo.open_orders, without_symbol=40),
        ("GET", "/fapi/v1/allAlgoOrders"): signed(algo.all_orders, 5),
        ("DELETE", "/fapi/v1/algoOpenOrders"): trading(algo.cancel_all),
    }


class BinanceAlgo:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made_up = 0

    def place(self, call: Call) -> dict[str, Any]:
        placed = self._engine.place_conditional(call.account, self._request(call))
        return conditional_json(placed, self._real(call, placed))

    def query(self, call: Call) -> dict[str, Any]:
        return self._json(call, self._find(call, -2013, "Order does not exist."))

    def cancel(self, call: Call) -> dict[str, Any]:
        found = self._find(call, -2011, "Unknown order sent.")
        try:
            self._engine.cancel_conditional(found)
        except Refused as refused:
            raise refusal(refused.reason) from None
        # This one endpoint sends its code as text.
        return {
            "algoId": found.conditional_id,
            "clientAlgoId": found.request.client_id,
            "code": "200",
            "msg": "success",
        }

    def cancel_all(self, call: Call) -> dict[str, Any]:
        self._engine.cancel_conditionals(call.account, self._symbol(call))
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._symbol(call) if "symbol" in call.params else None
        return [self._json(call, c) for c in self._engine.open_conditionals(call.account, symbol)]

    def all_orders(self, call: Call) -> list[dict[str, Any]]:
        symbol = self._symbol(call)
        first, (since, until) = call.number("algoId"), window(call, self._engine.now_ms)
        found = [c for c in self._engine.all_conditionals(call.account) if c.request.symbol == symbol]
        if first is not None:
            found = [c for c in found if c.conditional_id >= first]
        else:
            found = [c for c in found if since <= c.created_ms <= until]
        return [self._json(call, c) for c in found[-call.limit(500, 1000) :]]

    # -- inside

    def _request(self, call: Call) -> ConditionalRequest:
        if call.text("algoType") != "CONDITIONAL":
            raise VenueError(-1130, "Data sent for parameter 'algoType' is not valid.")
        symbol, side, word = self._symbol(call), side_of(call), call.text("type")
        kind = _KINDS.get(word)
        if kind is None:
            raise VenueError(-1116, "Invalid orderType.")
        working = _WORKING.get(call.params.get("workingType", "CONTRACT_PRICE"))
        if working is None:
            raise VenueError(-4031, "Invalid parameter working type")
        closes = call.flag("closePosition")
        _check_close(call, word, closes=closes)
        is_trailing = kind is TriggerKind.TRAILING
        tif = call.params.get("timeInForce", "GTC")
        if tif not in TIMES_IN_FORCE:
            raise VenueError(-1115, "Invalid timeInForce.")
        self._made_up += 1
        return ConditionalRequest(
            symbol=symbol,
            side=side,
            kind=kind,
            client_id=client_id_of(call, "clientAlgoId", f"algo_{self._made_up:020d}"),
            rises=(side is Side.BUY) == (kind is not TriggerKind.TAKE_PROFIT),
            quantity=None if closes else call.decimal("quantity"),
            trigger_price=None if is_trailing else _above_zero(call.decimal("triggerPrice")),
            limit_price=call.decimal("price") if word in ("STOP", "TAKE_PROFIT") else None,
            tif=TIMES_IN_FORCE[tif] if word in ("STOP", "TAKE_PROFIT") else TimeInForce.GTC,
            callback_pct=_callback(call) if is_trailing else None,
            activation_price=call.optional_decimal("activatePrice") if is_trailing else None,
            by=working,
            close_position=closes,
            reduce_only=call.flag("reduceOnly"),
            position_side=position_side_of(call),
        )

    def _find(self, call: Call, code: int, words: str) -> Conditional:
        number, client_id = call.number("algoId"), call.params.get("clientAlgoId")
        if number is None and client_id is None:
            raise VenueError(
                -1102, "Param 'clientAlgoId' or 'algoId' must be sent, but both were empty/null!"
            )
        found = self._engine.conditional(call.account, conditional_id=number, client_id=client_id)
        if found is None:
            raise VenueError(code, words)
        return found

    def _json(self, call: Call, conditional: Conditional) -> dict[str, Any]:
        return conditional_json(conditional, self._real(call, conditional), is_query=True)

    def _real(self, call: Call, conditional: Conditional) -> Order | None:
        return call.account.by_id.get(conditional.order_id or 0)

    def _symbol(self, call: Call) -> str:
        symbol = call.text("symbol")
        if symbol not in self._engine.market.instruments:
            raise VenueError(-1121, "Invalid symbol.")
        return symbol


def _check_close(call: Call, word: str, *, closes: bool) -> None:
    if "stopPrice" in call.params or "activationPrice" in call.params:
        raise VenueError(-1104, "Not all sent parameters were read.")
    if call.account.hedge and "reduceOnly" in call.params:
        raise refusal(Reason.REDUCE_ONLY_IN_HEDGE)
    if not closes:
        return
    if word not in ("STOP_MARKET", "TAKE_PROFIT_MARKET"):
        raise VenueError(-1106, "Parameter 'closeposition' sent when not required.")
    if "quantity" in call.params:
        raise VenueError(-4137, "Quantity must be zero with closePosition equals true")
    if "reduceOnly" in call.params:
        raise VenueError(-1106, "Parameter 'reduceonly' sent when not required.")


def _callback(call: Call) -> Decimal:
    rate = call.decimal("callbackRate")
    least, most = _CALLBACK
    if not least <= rate <= most:
        raise VenueError(-1130, "Data sent for parameter 'callbackRate' is not valid.")
    return rate


def _above_zero(price: Decimal) -> Decimal:
    if price <= 0:
        raise VenueError(-4006, "Stop price less than zero.")
    return price
