"""A small Bybit behind a `Send`: one account, its orders executed at once at a price the test sets.

It checks signatures and clocks, keeps orders, executions, positions and their stops, and answers by the documented
forms. `faults` go before: what the next requests to a path meet with.
"""

from __future__ import annotations

import hmac
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from core.timeframe import to_ms
from exchanges.wire import Answer, NoAnswer, Request
from tests.fakes.loop_clock import LoopClock

KEY, SECRET = "canary-key-4711", "canary-secret-0815"
SYMBOL = "BTCUSDT"
FEE = Decimal("0.001")
PUBLIC = ("/v5/market/",)

Fault = Callable[["FakeBybit", Request], Answer]


class FakeBybit:
    """`ahead`: by how much the venue's clock is ahead of the process clock."""

    def __init__(self, clock: LoopClock, *, ahead: timedelta = timedelta(0)) -> None:
        self.clock = clock
        self.ahead = ahead
        self.price = Decimal(60_000)
        self.fills = Decimal(1_000_000)
        """How much of each order the book takes."""
        self.fee_currency = ""
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.signed_at: list[int] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.forgotten: set[str] = set()
        """Client ids that look-ups of orders no longer, or not yet, find."""
        self.executions: list[dict[str, Any]] = []
        self.size = Decimal(0)
        self.entry = Decimal(0)
        self.position_idx = 0
        self.stops = {"stopLoss": "", "takeProfit": ""}
        self.margin_mode = "ISOLATED_MARGIN"
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.damage: Callable[[Request, Answer], Answer] | None = None
        """What becomes of every answer on its way."""
        self.headers: dict[str, str] = {}

    async def __call__(self, request: Request, *, timeout_s: float) -> Answer:
        assert timeout_s > 0
        sent = dict(parse_qsl(request.query)) | (json.loads(request.body) if request.body else {})
        self.asked.append((request.path, sent))
        if self.faults[request.path]:
            return self.faults[request.path].pop(0)(self, request)
        answer = self.answer(request)
        return answer if self.damage is None else self.damage(request, answer)

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def answer(self, request: Request) -> Answer:
        """As without faults."""
        sent = dict(parse_qsl(request.query)) | (json.loads(request.body) if request.body else {})
        refused = None if request.path.startswith(PUBLIC) else self._unwelcome(request)
        code, result = refused or _ANSWERS[request.path](self, sent)
        message = {"retCode": code, "retMsg": "OK" if code == 0 else f"refused {code}", "result": result}
        body = json.dumps(message | {"retExtInfo": {}, "time": self.now_ms()}).encode()
        return Answer(status=200, headers=self.headers, body=body)

    def now_ms(self) -> int:
        return to_ms(self.clock.now() + self.ahead)

    def _unwelcome(self, request: Request) -> tuple[int, Any] | None:
        headers = dict(request.headers)
        at, window = headers["X-BAPI-TIMESTAMP"], headers["X-BAPI-RECV-WINDOW"]
        self.signed_at.append(int(at))
        text = f"{at}{KEY}{window}{request.query}".encode() + request.body
        if headers["X-BAPI-SIGN"] != hmac.new(SECRET.encode(), text, "sha256").hexdigest():
            return 10004, {}
        if not self.now_ms() - int(window) <= int(at) < self.now_ms() + 1000:
            return 10002, {}
        return None

    def create(self, sent: dict[str, Any]) -> tuple[int, Any]:
        client_id = sent["orderLinkId"]
        if client_id in self.orders:
            return 110072, {}
        sign = 1 if sent["side"] == "Buy" else -1
        quantity = Decimal(sent["qty"])
        taken = min(quantity, self.fills)
        if sent.get("reduceOnly"):
            if self.size * sign >= 0:
                return 110017, {}
            quantity = min(quantity, abs(self.size))
            taken = min(taken, quantity)
        rests = sent["orderType"] == "Limit"
        taken = Decimal(0) if rests else taken
        row = {
            "symbol": sent["symbol"],
            "orderId": f"venue-{len(self.orders) + 1}",
            "orderLinkId": client_id,
            "side": sent["side"],
            "qty": str(quantity),
            "orderType": sent["orderType"],
            "timeInForce": sent.get("timeInForce", "IOC"),
            "cumExecQty": str(taken),
            "orderStatus": "New" if rests else "Filled" if taken == quantity else "Cancelled",
            "rejectReason": "EC_NoError" if rests or taken == quantity else "EC_NoImmediateQtyToFill",
            "createdTime": str(self.now_ms()),
        }
        self.orders[client_id] = row
        if taken:
            self.execute(row, taken)
            self.stops.update({name: sent[name] for name in self.stops if name in sent})
        return 0, {"orderId": row["orderId"], "orderLinkId": client_id}

    def execute(self, row: dict[str, Any], quantity: Decimal, **changes: Any) -> dict[str, Any]:
        """One execution of `row` at the price; it moves the position."""
        execution = {
            "symbol": row["symbol"],
            "execId": f"exec-{len(self.executions) + 1}",
            "orderId": row["orderId"],
            "orderLinkId": row["orderLinkId"],
            "side": row["side"],
            "execPrice": str(self.price),
            "execQty": str(quantity),
            "execTime": str(self.now_ms()),
            "execType": "Trade",
            "execFee": str(quantity * self.price * FEE),
            "feeCurrency": self.fee_currency,
            "orderQty": row["qty"],
        }
        self.executions.insert(0, execution | changes)
        self.size += quantity if row["side"] == "Buy" else -quantity
        self.entry = self.price
        if not self.size:
            self.stops = {"stopLoss": "", "takeProfit": ""}
        return self.executions[0]

    def cancel(self, sent: dict[str, Any]) -> tuple[int, Any]:
        row = self.orders.get(sent["orderLinkId"])
        if row is None or row["orderStatus"] not in ("New", "PartiallyFilled"):
            return 110001, {}
        row |= {"orderStatus": "Cancelled", "cancelType": "CancelByUser"}
        return 0, {"orderId": row["orderId"], "orderLinkId": row["orderLinkId"]}

    def order_list(self, sent: dict[str, Any]) -> tuple[int, Any]:
        rows = [row for row in self.orders.values() if row["orderLinkId"] not in self.forgotten]
        if "orderLinkId" in sent:
            rows = [row for row in rows if row["orderLinkId"] == sent["orderLinkId"]]
        elif "openOnly" in sent:
            rows = [row for row in rows if row["orderStatus"] in ("New", "PartiallyFilled")]
        return 0, {"list": rows, "nextPageCursor": "again" if rows and "cursor" not in sent else ""}

    def execution_list(self, sent: dict[str, Any]) -> tuple[int, Any]:
        """Newest first, two a page."""
        start, end = int(sent.get("startTime", 0)), int(sent.get("endTime", 2**60))
        assert end - start <= 7 * 86_400_000 or "endTime" not in sent
        rows = [
            row
            for row in self.executions
            if start <= int(row["execTime"]) <= end
            and sent.get("orderLinkId", row["orderLinkId"]) == row["orderLinkId"]
            and sent.get("execType", row["execType"]) == row["execType"]
        ]
        if not sent.get("cursor", "0").isdigit():
            return 10001, {}
        first = int(sent.get("cursor", 0))
        cursor = str(first + 2) if first + 2 < len(rows) else ""
        return 0, {"list": rows[first : first + 2], "nextPageCursor": cursor}

    def position_list(self, sent: dict[str, Any]) -> tuple[int, Any]:
        side = "Buy" if self.size > 0 else "Sell" if self.size < 0 else ""
        row = {"symbol": SYMBOL, "positionIdx": self.position_idx, "side": side, "size": str(abs(self.size))}
        row |= {"avgPrice": str(self.entry), "leverage": "10", "liqPrice": ""} | self.stops
        return 0, {"list": [row], "nextPageCursor": ""}

    def set_stops(self, sent: dict[str, Any]) -> tuple[int, Any]:
        if not self.size:
            return 10001, {}
        stop = Decimal(sent.get("stopLoss", "0"))
        if stop and (self.price - stop) * self.size <= 0:
            return 110093, {}
        self.stops.update({name: sent[name] for name in self.stops if name in sent})
        return 0, {}


def _instruments(fake: FakeBybit, sent: dict[str, Any]) -> tuple[int, Any]:
    lot = {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "100", "maxMktOrderQty": "50"}
    row = {"symbol": SYMBOL, "status": "Trading", "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.10"}}
    row["lotSizeFilter"] = lot | {"minNotionalValue": "5"}
    return 0, {"list": [row] if sent["symbol"] == SYMBOL else []}


def _risk_limits(fake: FakeBybit, sent: dict[str, Any]) -> tuple[int, Any]:
    row = {
        "id": 1,
        "symbol": SYMBOL,
        "riskLimitValue": "2000000",
        "maintenanceMargin": "0.005",
        "maxLeverage": "100.00",
    }
    return 0, {"category": "linear", "list": [row], "nextPageCursor": ""}


def _wallet(fake: FakeBybit, sent: dict[str, Any]) -> tuple[int, Any]:
    coin = {
        "coin": "USDT",
        "walletBalance": "1000",
        "totalPositionIM": "100",
        "totalOrderIM": "",
        "locked": "1",
    }
    return 0, {"list": [{"totalAvailableBalance": "", "coin": [coin]}]}


def _time(fake: FakeBybit, sent: dict[str, Any]) -> tuple[int, Any]:
    return 0, {"timeSecond": str(fake.now_ms() // 1000), "timeNano": str(fake.now_ms() * 1_000_000)}


_ANSWERS: dict[str, Callable[[FakeBybit, dict[str, Any]], tuple[int, Any]]] = {
    "/v5/order/create": FakeBybit.create,
    "/v5/order/cancel": FakeBybit.cancel,
    "/v5/order/realtime": FakeBybit.order_list,
    "/v5/order/history": FakeBybit.order_list,
    "/v5/execution/list": FakeBybit.execution_list,
    "/v5/position/list": FakeBybit.position_list,
    "/v5/position/trading-stop": FakeBybit.set_stops,
    "/v5/position/set-leverage": lambda fake, sent: (110043, {}),
    "/v5/position/switch-mode": lambda fake, sent: (110025, {}),
    "/v5/account/set-margin-mode": lambda fake, sent: (0, {"reasons": []}),
    "/v5/account/info": lambda fake, sent: (0, {"marginMode": fake.margin_mode}),
    "/v5/account/wallet-balance": _wallet,
    "/v5/market/instruments-info": _instruments,
    "/v5/market/risk-limit": _risk_limits,
    "/v5/market/tickers": lambda fake, sent: (0, {"list": [{"symbol": sent["symbol"], "lastPrice": "1.25"}]}),
    "/v5/market/time": _time,
    "/v5/user/query-api": lambda fake, sent: (0, {"readOnly": 0, "permissions": {"Wallet": ["Withdraw"]}}),
}


def lost(*, timed_out: bool, sent: bool, acted: bool = False) -> Fault:
    """No answer; with `acted` the venue did what it was asked."""

    def fault(fake: FakeBybit, request: Request) -> Answer:
        if acted:
            fake.answer(request)
        raise NoAnswer("the line is gone", timed_out=timed_out, sent=sent)

    return fault


def says(status: int, body: bytes, headers: dict[str, str] | None = None) -> Fault:
    return lambda fake, request: Answer(status=status, headers=headers or {}, body=body)


def refuses(code: int, text: str = "", *, status: int = 200) -> Fault:
    return says(status, json.dumps({"retCode": code, "retMsg": text, "result": {}}).encode())


def truncated(share: float) -> Fault:
    """The order is created, the answer cut off."""

    def fault(fake: FakeBybit, request: Request) -> Answer:
        whole = fake.answer(request).body
        return Answer(status=200, headers={}, body=whole[: int(len(whole) * share)])

    return fault
