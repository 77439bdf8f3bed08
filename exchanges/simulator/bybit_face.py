"""Bybit v5 linear: REST checks and dispatch; routes and streams are in the files beside.

Order of the checks: ban, address budget, key, time, signature, right to trade, the account's budget of a second,
then the call itself. HTTP 200 says nothing: retCode decides. Documents: v5 guide, error codes, rate limit rules.
"""

from __future__ import annotations

from typing import Any

import msgspec

from exchanges.simulator import (
    bybit_account,
    bybit_lookups,
    bybit_market,
    bybit_orders,
    bybit_positions,
)
from exchanges.simulator.bybit_books import Books
from exchanges.simulator.bybit_call import Call, check_key, check_signature, check_time, parameters
from exchanges.simulator.bybit_codes import (
    ACCESS_TOO_FREQUENT,
    NO_PERMISSION,
    TOO_MANY_VISITS,
    VenueError,
    refusal,
)
from exchanges.simulator.bybit_limits import BybitLimits, Spent
from exchanges.simulator.bybit_private_stream import PrivateStreams
from exchanges.simulator.bybit_routes import Route, Routes
from exchanges.simulator.bybit_streams import PublicStreams
from exchanges.simulator.bybit_words import MADE_UP
from exchanges.simulator.engine import Engine
from exchanges.simulator.http_server import HttpReply, HttpRequest
from exchanges.simulator.limits import Limits
from exchanges.simulator.model import Refused
from exchanges.simulator.stream_faults import StreamTrouble
from exchanges.simulator.venue import Manners
from exchanges.simulator.web_socket import Socket

MANNERS = Manners(
    ids_unique_forever=True,
    ends_unfillable=True,
    reduce_only_in_hedge=True,
    open_orders_max=500,
    conditionals_max=1000,
    name_of=lambda origin, order_id: f"{MADE_UP}{origin}-{order_id}",
)
PRIVATE_PATH = "/v5/private"
_encode = msgspec.json.Encoder().encode
_Headers = tuple[tuple[str, str], ...]


class _Named(msgspec.Struct, rename="camel"):
    order_link_id: str = ""


_named = msgspec.json.Decoder(_Named)


class BybitFace:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._limits = BybitLimits()
        self.limits: Limits = self._limits
        self.trouble = StreamTrouble()
        books = Books(engine)
        self.users = PrivateStreams(engine, books, self.trouble)
        self.markets = PublicStreams(engine)
        self._routes: Routes = {
            **bybit_market.routes(engine),
            **bybit_orders.routes(engine, books),
            **bybit_lookups.routes(engine, books),
            **bybit_positions.routes(engine, books),
            **bybit_account.routes(engine),
        }

    # -- Face

    def answer(self, request: HttpRequest) -> HttpReply:
        now = self.engine.now_ms
        has_body_on_read = request.method == "GET" and bool(request.body)
        if self._limits.is_banned(now) or not self._limits.spend(1, now) or has_body_on_read:
            return HttpReply(status=403, body=ACCESS_TOO_FREQUENT, content_type="text/plain")
        route = self._routes.get((request.method, request.path))
        if route is None:
            return self._reply(10017, "Route not found.", {}, status=404)
        headers: _Headers = ()
        try:
            call = Call(params=parameters(request))
            if route.is_signed:
                headers = self._identify(request, call, route)
            result = route.handler(call)
        except Refused as refused:
            return self._error(refusal(refused.reason, refused.detail), headers)
        except VenueError as error:
            return self._error(error, headers)
        return self._reply(0, "OK", result, headers=headers)

    def key_of(self, request: HttpRequest) -> str:
        return request.headers.get("x-bapi-api-key", "")

    def client_id_of(self, request: HttpRequest) -> str:
        try:
            if request.method == "GET":
                return str(parameters(request).get("orderLinkId", ""))
            return _named.decode(request.body).order_link_id
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""

    def open_socket(self, request: HttpRequest, socket: Socket) -> bool:
        if request.path == PRIVATE_PATH:
            self.users.open(socket)
            return True
        return self.markets.open(request.path, socket)

    def pulse(self) -> None:
        self.users.pulse()
        self.markets.pulse()

    def drop_sockets(self, *, private_only: bool) -> None:
        self.users.drop()
        if not private_only:
            self.markets.drop()

    # -- checks

    def _identify(self, request: HttpRequest, call: Call, route: Route) -> _Headers:
        """Who calls and what is left of their second. Raises VenueError."""
        key = check_key(request, self.engine.key)
        check_time(request, self.engine.clock)
        check_signature(request, key)
        if (route.writes and not key.trade) or not key.read:
            raise VenueError(*NO_PERMISSION)
        call.key, call.account_of = key, self.engine.account(key.account)
        spent = self._limits.spend_call(
            key.account, route.group, is_order=route.is_order, now_ms=self.engine.now_ms
        )
        if spent.is_over:
            raise _OverLimit(spent)
        return _limit_headers(spent)

    # -- answers

    def _error(self, error: VenueError, headers: _Headers) -> HttpReply:
        if isinstance(error, _OverLimit):
            headers = _limit_headers(error.spent)
        return self._reply(error.code, error.message, error.result, status=error.status, headers=headers)

    def _reply(
        self, code: int, message: str, result: Any, *, status: int = 200, headers: _Headers = ()
    ) -> HttpReply:
        envelope = {
            "retCode": code,
            "retMsg": message,
            "result": result,
            "retExtInfo": {},
            "time": self.engine.now_ms,
        }
        return HttpReply(status=status, body=_encode(envelope), headers=headers)


class _OverLimit(VenueError):
    def __init__(self, spent: Spent) -> None:
        super().__init__(*TOO_MANY_VISITS)
        self.spent = spent


def _limit_headers(spent: Spent) -> _Headers:
    if not spent.limit:
        return ()
    return (
        ("X-Bapi-Limit", str(spent.limit)),
        ("X-Bapi-Limit-Status", str(spent.left)),
        ("X-Bapi-Limit-Reset-Timestamp", str(spent.reset_at_ms)),
    )
