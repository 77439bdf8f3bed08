"""One Bybit REST call: its parameters, and the checks of key, signature and time before it is acted on."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from exchanges.simulator.account import Account
from exchanges.simulator.bybit_codes import (
    OUTSIDE_WINDOW,
    POSITION_IDX,
    UNKNOWN_KEY,
    WRONG_SIGNATURE,
    VenueError,
    wrong,
)
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.http_server import HttpRequest
from exchanges.simulator.model import PositionSide
from exchanges.simulator.venue import Key

AHEAD_MS = 1000
_WINDOW_MS = "5000"
_INDICES = {"0": PositionSide.BOTH, "1": PositionSide.LONG, "2": PositionSide.SHORT}
_FLAGS = {True: True, "true": True, False: False, "false": False}


class Call(msgspec.Struct, kw_only=True):
    """`key` and `account` are there when the route is signed. Parameters of a query are text, of a body as sent."""

    params: dict[str, Any]
    key: Key | None = None
    account_of: Account | None = None

    @property
    def account(self) -> Account:
        assert self.account_of is not None
        return self.account_of

    def optional(self, name: str) -> str | None:
        """Text, or None where it is absent or empty. Raises VenueError."""
        value = self.params.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise wrong(name)
        return value

    def text(self, name: str) -> str:
        value = self.optional(name)
        if value is None:
            raise wrong(name)
        return value

    def decimal(self, name: str) -> Decimal:
        value = self.optional_decimal(name)
        if value is None:
            raise wrong(name)
        return value

    def optional_decimal(self, name: str) -> Decimal | None:
        """Prices and quantities are text on this venue."""
        value = self.optional(name)
        if value is None:
            return None
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise wrong(name) from None
        if not number.is_finite() or number < 0:
            raise wrong(name)
        return number

    def number(self, name: str) -> int | None:
        """A number, which may be written as text."""
        value = self.params.get(name)
        if value is None or value == "":
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit():
            return int(value)
        raise wrong(name)

    def limit(self, default: int, most: int) -> int:
        value = self.number("limit")
        return default if value is None else min(max(value, 1), most)

    def flag(self, name: str) -> bool:
        value = self.params.get(name)
        if value is None:
            return False
        if not isinstance(value, bool | str) or value not in _FLAGS:
            raise wrong(name)
        return _FLAGS[value]

    def position_side(self) -> PositionSide:
        """By positionIdx; without one the position of one-way mode."""
        index = self.number("positionIdx")
        found = _INDICES.get("0" if index is None else str(index))
        if found is None:
            raise VenueError(10001, POSITION_IDX)
        return found


Handler = Callable[[Call], Any]


def parameters(request: HttpRequest) -> dict[str, Any]:
    """Of the query of a read, of the JSON body of a write. Raises VenueError."""
    if request.method == "GET":
        return query_parameters(request.query)
    try:
        found = msgspec.json.decode(request.body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = None
    if not isinstance(found, dict):
        raise VenueError(10001, "params error: the body is not JSON")
    return found


def query_parameters(query: str) -> dict[str, Any]:
    found = {}
    for pair in query.split("&"):
        name, mark, value = pair.partition("=")
        if mark:
            found[name] = unquote_plus(value) if "%" in value or "+" in value else value
    return found


def check_key(request: HttpRequest, key_of: Callable[[str], Key | None]) -> Key:
    headers = request.headers
    if not headers.get("x-bapi-api-key") or "x-bapi-sign" not in headers:
        raise VenueError(10003, "Authentication headers are missing.", status=401)
    key = key_of(headers["x-bapi-api-key"])
    if key is None:
        raise VenueError(*UNKNOWN_KEY)
    return key


def check_time(request: HttpRequest, clock: VenueClock) -> None:
    """The window is the client's time, so it is as many times longer as the venue's time runs faster."""
    stamp = request.headers.get("x-bapi-timestamp", "")
    window = request.headers.get("x-bapi-recv-window", _WINDOW_MS)
    if not stamp.isdigit() or not window.isdigit():
        raise VenueError(*OUTSIDE_WINDOW)
    now = clock.now_ms()
    if not now - clock.wire_ms(int(window)) <= int(stamp) < now + clock.wire_ms(AHEAD_MS):
        raise VenueError(*OUTSIDE_WINDOW)


def check_signature(request: HttpRequest, key: Key) -> None:
    """HMAC-SHA256 of time, key, window and exactly the bytes of the query or of the body."""
    headers = request.headers
    head = headers["x-bapi-timestamp"] + key.key + headers.get("x-bapi-recv-window", _WINDOW_MS)
    signed = request.query.encode("latin-1") if request.method == "GET" else request.body
    if not is_signature(headers["x-bapi-sign"], head.encode() + signed, key):
        raise VenueError(*WRONG_SIGNATURE)


def is_signature(signature: str, signed: bytes, key: Key) -> bool:
    return hmac.compare_digest(hmac.digest(key.secret, signed, sha256).hex().encode(), signature.encode())
