"""A small Binance in memory: one account, one price at a time, answered as a `Send` answers.

It checks key, signature and time stamp, keeps orders, conditional orders, trades, position, settings and income, and
fails where a test says so. No matching: market orders fill at once at `price`, limit orders rest until `trade`.
"""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from core.clock import Clock
from core.timeframe import to_ms
from exchanges.wire import Answer, NoAnswer, Request
from tests.canaries import KEYS, SECRETS
from tests.exchanges.fixtures import entries

KEY, SECRET = KEYS[0], SECRETS[0]
Failure = Answer | NoAnswer
Params = dict[str, str]


class Refused(Exception):
    def __init__(self, code: int, msg: str, status: int = 400) -> None:
        super().__init__(msg)
        self.answer = Answer(status=status, headers={}, body=json.dumps({"code": code, "msg": msg}).encode())


class FakeBinance:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.skew_ms = 0
        self.price = Decimal(1000)
        self.prices = {"BNBUSDT": "600.00"}
        self.commission = ("USDT", Decimal("0.0005"))
        self.fills_up_to: Decimal | None = None
        self.requests: list[tuple[str, str, Params]] = []
        self.orders: list[dict[str, Any]] = []
        self.algos: list[dict[str, Any]] = []
        self.trades: list[dict[str, Any]] = []
        self.income: list[dict[str, Any]] = []
        self.position = Decimal(0)
        self.hedge = False
        self.leverage = {"BTCUSDT": 20}
        self.margin = {"BTCUSDT": "CROSSED"}
        self.restrictions: dict[str, Any] = {
            "ipRestrict": True, "enableReading": True, "enableFutures": True, "enableWithdrawals": False,
        }  # fmt: skip
        self._failures: dict[tuple[str, str], deque[tuple[Failure, bool]]] = {}
        self._ids = 100
        self.watch: Callable[[], None] = lambda: None

    def fail(self, method: str, path: str, failure: Failure, *, after_acting: bool = False) -> None:
        """The next request of this kind gets this instead of its answer."""
        self._failures.setdefault((method, path), deque()).append((failure, after_acting))

    def forgive(self) -> None:
        """No request fails any more."""
        self._failures.clear()

    def asked(self, method: str, path: str) -> list[Params]:
        return [params for of, at, params in self.requests if (of, at) == (method, path)]

    async def __call__(self, request: Request, *, timeout_s: float) -> Answer:
        assert timeout_s > 0
        params = self._verified(request)
        self.requests.append((request.method, request.path, params))
        planned = self._failures.get((request.method, request.path))
        failure, after = planned.popleft() if planned else (None, False)
        answer = self._answer(request, params) if failure is None or after else None
        self.watch()
        if isinstance(failure, NoAnswer):
            raise failure
        got = failure or answer
        assert got is not None
        return got

    def trade(self, order_id: int, quantity: Decimal, price: Decimal | None = None) -> None:
        """A resting order trades."""
        self._fill(next(o for o in self.orders if o["orderId"] == order_id), quantity, price or self.price)

    def foreign(self, client_id: str, side: str, quantity: Decimal) -> dict[str, Any]:
        """Somebody else's market order on the account: by hand, a liquidation, a stop that fired."""
        order = self._order({"side": side, "type": "MARKET", "quantity": str(quantity)}, client_id)
        self._fill(order, quantity, self.price)
        return order

    def _verified(self, request: Request) -> Params:
        raw = request.query or request.body.decode()
        signed = dict(parse_qsl(raw, keep_blank_values=True))
        if request.headers and dict(request.headers)["X-MBX-APIKEY"] != KEY:
            raise AssertionError("the request shows another key")
        payload, found, signature = raw.rpartition("&signature=")
        if found:
            assert hmac.new(SECRET.encode(), payload.encode(), "sha256").hexdigest() == signature
            del signed["signature"]
        return signed

    def _answer(self, request: Request, params: Params) -> Answer:
        route = self._routes().get((request.method, request.path))
        if route is None:
            return Answer(status=404, headers={}, body=b"<html>")
        try:
            if "timestamp" in params:
                late = self.now_ms() - int(params["timestamp"])
                if not -1000 < late <= int(params["recvWindow"]):
                    raise Refused(-1021, "Timestamp for this request is outside of the recvWindow.")
            return Answer(status=200, headers={}, body=json.dumps(route(params), default=str).encode())
        except Refused as refused:
            return refused.answer

    def now_ms(self, at: datetime | None = None) -> int:
        return to_ms(at or self.clock.now()) + self.skew_ms

    def _routes(self) -> dict[tuple[str, str], Callable[[Params], Any]]:
        return {
            ("GET", "/fapi/v1/time"): lambda _: {"serverTime": self.now_ms()},
            ("GET", "/fapi/v1/exchangeInfo"): lambda _: entries("binance", "exchange_info")[
                "exchange_info_live_trimmed"
            ]["payload"],
            ("GET", "/fapi/v2/ticker/price"): self._ticker,
            ("POST", "/fapi/v1/order"): self._place,
            ("GET", "/fapi/v1/order"): self._one,
            ("DELETE", "/fapi/v1/order"): self._cancel,
            ("GET", "/fapi/v1/openOrders"): lambda p: [
                o for o in self.orders if o["status"] in ("NEW", "PARTIALLY_FILLED")
            ],
            ("GET", "/fapi/v1/userTrades"): self._user_trades,
            ("POST", "/fapi/v1/algoOrder"): self._place_algo,
            ("GET", "/fapi/v1/algoOrder"): self._algo,
            ("DELETE", "/fapi/v1/algoOrder"): self._cancel_algo,
            ("GET", "/fapi/v1/openAlgoOrders"): lambda _: [a for a in self.algos if a["algoStatus"] == "NEW"],
            ("GET", "/fapi/v1/allAlgoOrders"): lambda _: self.algos,
            ("GET", "/fapi/v3/positionRisk"): lambda _: self._positions(),
            ("GET", "/fapi/v3/balance"): lambda _: [
                {"asset": "BNB", "balance": "1", "availableBalance": "1"},
                {"asset": "USDT", "balance": "9000.5", "availableBalance": "8000"},
            ],
            ("GET", "/fapi/v1/income"): lambda p: [
                row for row in self.income if row["time"] >= int(p["startTime"])
            ],
            ("GET", "/fapi/v1/accountConfig"): lambda _: {
                "canTrade": True, "dualSidePosition": self.hedge, "multiAssetsMargin": False,
            },
            ("GET", "/fapi/v1/symbolConfig"): lambda p: [
                {"symbol": s, "marginType": self.margin[s], "leverage": self.leverage[s]}
                for s in self.leverage if s == p["symbol"]
            ],
            ("POST", "/fapi/v1/positionSide/dual"): self._set_hedge,
            ("POST", "/fapi/v1/marginType"): self._set_margin,
            ("POST", "/fapi/v1/leverage"): self._set_leverage,
            ("POST", "/fapi/v1/listenKey"): lambda _: {"listenKey": "listen-key-1"},
            ("PUT", "/fapi/v1/listenKey"): lambda _: {"listenKey": "listen-key-1"},
            ("GET", "/sapi/v1/account/apiRestrictions"): lambda _: self.restrictions,
        }  # fmt: skip

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids

    def _ticker(self, params: Params) -> Any:
        if params["symbol"] not in self.prices:
            raise Refused(-1121, "Invalid symbol.")
        return {"symbol": params["symbol"], "price": self.prices[params["symbol"]]}

    def _order(self, params: Params, client_id: str) -> dict[str, Any]:
        order = {
            "symbol": params.get("symbol", "BTCUSDT"), "orderId": self._next_id(), "clientOrderId": client_id,
            "status": "NEW", "side": params["side"], "type": params["type"], "origQty": params["quantity"],
            "executedQty": "0", "price": params.get("price", "0"), "updateTime": self.now_ms(),
            "reduceOnly": params.get("reduceOnly") == "true", "positionSide": params.get("positionSide", "BOTH"),
        }  # fmt: skip
        self.orders.append(order)
        return order

    def _place(self, params: Params) -> Any:
        if params["symbol"] != "BTCUSDT":
            raise Refused(-1121, "Invalid symbol.")
        if self.hedge is not ("positionSide" in params):
            raise Refused(-4061, "Order's position side does not match user's setting.")
        quantity, sign = Decimal(params["quantity"]), 1 if params["side"] == "BUY" else -1
        if quantity % Decimal("0.001"):
            raise Refused(-1111, "Precision is over the maximum defined for this asset.")
        if params.get("reduceOnly") and self.position * sign >= 0:
            raise Refused(-2022, "ReduceOnly Order is rejected.")
        open_ids = [o["clientOrderId"] for o in self.orders if o["status"] == "NEW"]
        if params["newClientOrderId"] in open_ids:
            raise Refused(-4116, "clientOrderId is duplicated")
        order = self._order(params, params["newClientOrderId"])
        if params["type"] == "MARKET":
            fills = quantity if self.fills_up_to is None else min(quantity, self.fills_up_to)
            cut = params.get("reduceOnly") == "true" and fills > abs(self.position)
            if cut:
                fills = abs(self.position)
            if fills:
                self._fill(order, fills, self.price)
            if fills < quantity:
                order["status"] = "FILLED" if cut else "EXPIRED"
        return order

    def _fill(self, order: dict[str, Any], quantity: Decimal, price: Decimal) -> None:
        executed = Decimal(order["executedQty"]) + quantity
        order["executedQty"] = str(executed)
        order["status"] = "FILLED" if executed == Decimal(order["origQty"]) else "PARTIALLY_FILLED"
        self.position += quantity if order["side"] == "BUY" else -quantity
        asset, commission = self.commission
        self.trades.append({
            "symbol": order["symbol"], "id": self._next_id(), "orderId": order["orderId"], "side": order["side"],
            "price": str(price), "qty": str(quantity), "commission": str(commission), "commissionAsset": asset,
            "time": self.now_ms(), "maker": order["type"] == "LIMIT",
        })  # fmt: skip

    def _one(self, params: Params) -> Any:
        for order in reversed(self.orders):
            if params.get("origClientOrderId") == order["clientOrderId"] or params.get("orderId") == str(
                order["orderId"]
            ):
                return order
        raise Refused(-2013, "Order does not exist.")

    def _cancel(self, params: Params) -> Any:
        for order in self.orders:
            if params["origClientOrderId"] == order["clientOrderId"] and order["status"] in (
                "NEW",
                "PARTIALLY_FILLED",
            ):
                order["status"] = "CANCELED"
                return order
        raise Refused(-2011, "Unknown order sent.")

    def _user_trades(self, params: Params) -> Any:
        start, end = int(params.get("startTime", 0)), int(params.get("endTime", 1 << 60))
        assert end - start < 7 * 86_400_000 or "startTime" not in params
        rows = [
            row for row in self.trades
            if params.get("orderId") in (None, str(row["orderId"]))
            and start <= row["time"] <= end and row["id"] >= int(params.get("fromId", 0))
        ]  # fmt: skip
        return rows[: int(params["limit"])]

    def _place_algo(self, params: Params) -> Any:
        stop, closes_long = params["type"] == "STOP_MARKET", params["side"] == "SELL"
        trigger = Decimal(params["triggerPrice"])
        passed = trigger >= self.price if stop is closes_long else trigger <= self.price
        if passed:
            raise Refused(-2021, "Order would immediately trigger.")
        row = {
            "algoId": self._next_id(), "clientAlgoId": params["clientAlgoId"], "algoStatus": "NEW",
            "orderType": params["type"], "symbol": params["symbol"], "side": params["side"],
            "quantity": params.get("quantity", ""), "triggerPrice": params["triggerPrice"],
            "closePosition": params.get("closePosition") == "true", "reduceOnly": params.get("reduceOnly") == "true",
            "positionSide": params.get("positionSide", "BOTH"), "actualOrderId": "", "activatePrice": "",
        }  # fmt: skip
        self.algos.append(row)
        return row

    def _algo(self, params: Params) -> Any:
        for row in self.algos:
            if row["clientAlgoId"] == params["clientAlgoId"]:
                return row
        raise Refused(-2013, "Order does not exist.")

    def _cancel_algo(self, params: Params) -> Any:
        row = self._algo(params)
        if row["algoStatus"] != "NEW":
            raise Refused(-2011, "Unknown order sent.")
        row["algoStatus"] = "CANCELED"
        return {"algoId": row["algoId"], "clientAlgoId": row["clientAlgoId"], "code": "200", "msg": "success"}

    def _positions(self) -> Any:
        side = "BOTH" if not self.hedge else "LONG" if self.position > 0 else "SHORT"
        row = {
            "symbol": "BTCUSDT", "positionAmt": str(self.position), "entryPrice": str(self.price),
            "positionSide": side, "liquidationPrice": "0",
        }  # fmt: skip
        return [row] if self.position else []

    def _set_hedge(self, params: Params) -> Any:
        self.hedge = params["dualSidePosition"] == "true"
        return {"code": 200, "msg": "success"}

    def _set_margin(self, params: Params) -> Any:
        if self.margin[params["symbol"]] == params["marginType"]:
            raise Refused(-4046, "No need to change margin type.")
        if self.position:
            raise Refused(-4048, "Margin type cannot be changed if there exists position.")
        self.margin[params["symbol"]] = params["marginType"]
        return {"code": 200, "msg": "success"}

    def _set_leverage(self, params: Params) -> Any:
        leverage = int(params["leverage"])
        if not 1 <= leverage <= 125:
            raise Refused(-4028, f"Leverage {leverage} is not valid")
        self.leverage[params["symbol"]] = leverage
        return {"symbol": params["symbol"], "leverage": leverage, "maxNotionalValue": "1000000"}
