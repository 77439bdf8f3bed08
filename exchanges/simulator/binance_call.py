"""One Binance REST call: its parameters, and the checks of key, signature and time before it is acted on."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from hashlib import sha256
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from exchanges.simulator.account import Account
from exchanges.simulator.binance_codes import (
    AHEAD,
    OUTSIDE_WINDOW,
    VenueError,
    invalid,
    missing,
)
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.http_server import HttpRequest
from exchanges.simulator.venue import Key

_AHEAD_MS = 1000
_WINDOW_MS = 5000
_WINDOW_MAX_MS = 60_000
_MARK = "signature="


class Call(msgspec.Struct, kw_only=True):
    """`key` and `account` are there when the route asks for a key; parameters are text, decoded."""

    params: dict[str, str]
    key: Key | None = None
    account_of: Account | None = None
    orders: tuple[int, int] | None = None

    @property
    def account(self) -> Account:
        assert self.account_of is not None
        return self.account_of

    def text(self, name: str) -> str:
        """Raises VenueError when it is missing or empty."""
        value = self.params.get(name)
        if not value:
            raise missing(name)
        return value

    def decimal(self, name: str) -> Decimal:
        value = self.optional_decimal(name)
        if value is None:
            raise missing(name)
        return value

    def optional_decimal(self, name: str) -> Decimal | None:
        value = self.params.get(name)
        if value is None:
            return None
        try:
            number = Decimal(value)
        except InvalidOperation:
            raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.") from None
        if not number.is_finite():
            raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
        return number

    def number(self, name: str) -> int | None:
        value = self.params.get(name)
        if value is None:
            return None
        if not value.isdigit():
            raise VenueError(-1100, f"Illegal characters found in parameter '{name}'.")
        return int(value)

    def limit(self, default: int, most: int) -> int:
        value = self.number("limit")
        if value is None:
            return default
        if not 1 <= value <= most:
            raise invalid("limit")
        return value

    def flag(self, name: str) -> bool:
        return self.params.get(name, "false").lower() == "true"


Handler = Callable[[Call], Any]


def parameters(request: HttpRequest) -> dict[str, str]:
    """Of query and form body together; decoded once."""
    if request.params is not None:
        return request.params
    found = request.params = {}
    for part in (request.query, request.body.decode("latin-1")):
        if part:
            for pair in part.split("&"):
                name, _, value = pair.partition("=")
                found[name] = unquote_plus(value) if "%" in value or "+" in value else value
    return found


def check_key(request: HttpRequest, key_of: Callable[[str], Key | None]) -> Key:
    name = request.headers.get("x-mbx-apikey")
    if not name:
        raise VenueError(-2014, "API-key format invalid.", 401)
    key = key_of(name)
    if key is None:
        raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    return key


def check_signature(request: HttpRequest, key: Key) -> None:
    """HMAC-SHA256 of exactly the bytes that came, without the signature, which must be the last parameter."""
    query, body = request.query, request.body
    if _MARK in query:
        query, signature = _split(query)
    else:
        text, signature = _split(body.decode("latin-1"))
        body = text.encode("latin-1")
    if not signature:
        raise missing("signature")
    expected = hmac.digest(key.secret, query.encode("latin-1") + body, sha256).hex()
    if not hmac.compare_digest(expected, signature):
        raise VenueError(-1022, "Signature for this request is not valid.")


def check_time(params: dict[str, str], clock: VenueClock) -> None:
    """The window is the client's time, so it is as many times longer as the venue's time runs faster."""
    stamp = params.get("timestamp")
    if stamp is None or not stamp.isdigit():
        raise missing("timestamp")
    window = params.get("recvWindow", str(_WINDOW_MS))
    if not window.isdigit() or int(window) > _WINDOW_MAX_MS:
        raise invalid("recvWindow")
    now = clock.now_ms()
    if int(stamp) >= now + clock.wire_ms(_AHEAD_MS):
        raise VenueError(-1021, AHEAD)
    if now - int(stamp) > clock.wire_ms(int(window)):
        raise VenueError(-1021, OUTSIDE_WINDOW)


def _split(text: str) -> tuple[str, str]:
    before, mark, signature = text.rpartition(_MARK)
    if not mark:
        return text, ""
    return before.removesuffix("&"), signature
