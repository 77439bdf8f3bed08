"""Signed Bybit calls of tests, and waiting for what the venue has only acknowledged."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx

from tests.exchanges.simulator.running import RunningVenue

T = TypeVar("T")
WAIT_S = 5.0


def eventually(look: Callable[[], T], is_right: Callable[[T], object] = bool) -> T:
    """What a look-up says once it is right; the last one when it never is."""
    until = time.monotonic() + WAIT_S
    while True:
        seen = look()
        if is_right(seen) or time.monotonic() > until:
            return seen


def sign(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


class BybitClient:
    """Of one account; headers may be given wrong on purpose."""

    def __init__(self, venue: RunningVenue) -> None:
        self.venue = venue
        self.account = venue.key.removeprefix("key-")

    def call(
        self, method: str, path: str, params: dict[str, Any], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        venue = self.venue
        query = urlencode(params) if method == "GET" else ""
        body = b"" if method == "GET" else json.dumps(params).encode()
        stamp, window = str(venue.now()), "5000"
        if headers:
            stamp = headers.get("X-BAPI-TIMESTAMP", stamp)
            window = headers.get("X-BAPI-RECV-WINDOW", window)
        signed = {
            "X-BAPI-API-KEY": venue.key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": window,
            "X-BAPI-SIGN": sign(venue.secret, stamp + venue.key + window + query + body.decode()),
        }
        address = f"{path}?{query}" if query else path
        return venue.http.request(method, address, content=body, headers={**signed, **(headers or {})})

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return dict(self.call("GET", path, {"category": "linear", **params}).json())

    def post(self, path: str, **params: Any) -> dict[str, Any]:
        return dict(self.call("POST", path, {"category": "linear", "symbol": "BTCUSDT", **params}).json())

    def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        answer = self.get(path, **params)
        assert answer["retCode"] == 0, answer
        return list(answer["result"]["list"])

    def order(self, **params: Any) -> dict[str, Any]:
        """A market order to buy 0.01 BTC, or what `params` make of it."""
        plain = {"side": "Buy", "orderType": "Market", "qty": "0.01", "positionIdx": 0}
        return self.post("/v5/order/create", **{**plain, **params})

    def found(self, order_id: str) -> dict[str, Any]:
        """The order, once look-ups show it."""
        rows = eventually(lambda: self.rows("/v5/order/realtime", symbol="BTCUSDT", orderId=order_id))
        return rows[0]

    def placed(self, **params: Any) -> dict[str, Any]:
        answer = self.order(**params)
        assert answer["retCode"] == 0, answer
        return self.found(answer["result"]["orderId"])

    def position(self) -> dict[str, Any]:
        return self.rows("/v5/position/list", symbol="BTCUSDT")[0]
