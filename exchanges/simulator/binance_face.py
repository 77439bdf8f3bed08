"""Binance USDⓈ-M futures: REST checks and dispatch; routes and streams are in the files beside.

Order of the checks as the venue makes them: ban, address budget, key, signature, time, right to trade, order
budget, then the call itself. Documents: derivatives/usds-margined-futures general-info and error-code.
"""

from __future__ import annotations

from email.utils import formatdate

import msgspec

from exchanges.simulator import (
    binance_account,
    binance_algo,
    binance_market,
    binance_orders,
    binance_settings,
)
from exchanges.simulator.binance_call import Call, check_key, check_signature, check_time, parameters
from exchanges.simulator.binance_codes import (
    BANNED,
    TOO_MANY_ORDERS,
    TOO_MANY_REQUESTS,
    VenueError,
    refusal,
)
from exchanges.simulator.binance_routes import Route, Routes, Security, keyed
from exchanges.simulator.binance_streams import MarketStreams
from exchanges.simulator.binance_user_stream import UserStreams
from exchanges.simulator.binance_words import venue_id
from exchanges.simulator.engine import Engine
from exchanges.simulator.http_server import HttpReply, HttpRequest
from exchanges.simulator.limits import Limits
from exchanges.simulator.model import Refused
from exchanges.simulator.stream_faults import StreamTrouble
from exchanges.simulator.venue import Key, Manners
from exchanges.simulator.web_socket import Socket

MANNERS = Manners(name_of=venue_id)
_CLIENT_IDS = ("newClientOrderId", "clientAlgoId", "origClientOrderId")
_encode = msgspec.json.Encoder().encode


class BinanceFace:
    def __init__(self, engine: Engine, limits: Limits | None = None) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self.trouble = StreamTrouble()
        self.users = UserStreams(engine, self.trouble)
        self.markets = MarketStreams(engine)
        self._routes: Routes = {
            **binance_market.routes(engine, self.limits),
            **binance_orders.routes(engine),
            **binance_algo.routes(engine),
            **binance_account.routes(engine, self.limits),
            **binance_settings.routes(engine),
            ("POST", "/fapi/v1/listenKey"): keyed(self.users.start),
            ("PUT", "/fapi/v1/listenKey"): keyed(self.users.keep_alive),
            ("DELETE", "/fapi/v1/listenKey"): keyed(self.users.end),
        }
        self._paths = {path for _, path in self._routes}

    # -- Face

    def answer(self, request: HttpRequest) -> HttpReply:
        now, limits = self.engine.now_ms, self.limits
        if limits.is_banned(now):
            return self._banned(now)
        route = self._routes.get((request.method, request.path))
        if route is None:
            return _unrouted(is_known=request.path in self._paths)
        call = Call(params=parameters(request))
        try:
            if not limits.spend(route.weight(call), now):
                return self._over_weight(now)
            if route.security is not Security.NONE:
                self._identify(request, call, route)
            document = route.handler(call)
        except Refused as refused:
            return self._error(refusal(refused.reason, refused.detail), call)
        except VenueError as error:
            return self._error(error, call)
        return HttpReply(body=_encode(document), headers=self._headers(call))

    def key_of(self, request: HttpRequest) -> str:
        return request.headers.get("x-mbx-apikey", "")

    def client_id_of(self, request: HttpRequest) -> str:
        params = parameters(request)
        return next((params[name] for name in _CLIENT_IDS if name in params), "")

    def open_socket(self, request: HttpRequest, socket: Socket) -> bool:
        if request.path.startswith("/private/"):
            return self.users.open(request, socket)
        return self.markets.open(request, socket)

    def pulse(self) -> None:
        self.users.pulse()
        self.markets.pulse()

    def drop_sockets(self, *, private_only: bool) -> None:
        self.users.drop()
        if not private_only:
            self.markets.drop()

    # -- checks

    def _identify(self, request: HttpRequest, call: Call, route: Route) -> None:
        key = check_key(request, self.engine.key)
        call.key, call.account_of = key, self.engine.account(key.account)
        if route.security is Security.KEY:
            return
        check_time(call.params, self.engine.clock)
        check_signature(request, key)
        if route.security is Security.TRADE:
            self._may_trade(key, call, route)

    def _may_trade(self, key: Key, call: Call, route: Route) -> None:
        if not key.trade:
            raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
        orders = route.orders(call)
        if orders:
            call.orders = self.limits.spend_orders(key.account, orders, self.engine.now_ms)
            if call.orders is None:
                limit = self.limits.ceilings.orders_10s
                raise VenueError(-1015, TOO_MANY_ORDERS.format(limit=limit, span="10 SECOND"), 429)

    # -- answers

    def _headers(self, call: Call) -> tuple[tuple[str, str], ...]:
        used = (("x-mbx-used-weight-1m", str(self.limits.used_weight)),)
        if call.orders is None:
            return used
        in_10s, in_1m = call.orders
        return (*used, ("x-mbx-order-count-10s", str(in_10s)), ("x-mbx-order-count-1m", str(in_1m)))

    def _error(self, error: VenueError, call: Call) -> HttpReply:
        reply = _error_reply(error.status, error.code, error.message)
        reply.headers = self._headers(call)
        return reply

    def _over_weight(self, now_ms: int) -> HttpReply:
        if self.limits.is_banned(now_ms):
            return self._banned(now_ms)
        reply = _error_reply(429, -1003, TOO_MANY_REQUESTS.format(limit=self.limits.ceilings.weight))
        left_ms = (60_000 - now_ms % 60_000) / max(self.engine.clock.rate, 1e-9)
        reply.headers = (
            ("retry-after", str(max(1, -int(-left_ms // 1000)))),
            ("x-mbx-used-weight-1m", str(self.limits.used_weight)),
        )
        return reply

    def _banned(self, now_ms: int) -> HttpReply:
        until = self.limits.banned_until_ms
        reply = _error_reply(418, -1003, BANNED.format(until=until))
        left_ms = (until - now_ms) / max(self.engine.clock.rate, 1e-9)
        reply.headers = (
            ("retry-after", str(max(1, -int(-left_ms // 1000)))),
            ("date", formatdate(now_ms / 1000, usegmt=True)),
        )
        return reply


def _unrouted(*, is_known: bool) -> HttpReply:
    if is_known:
        return _error_reply(405, -1000, "Method not allowed")
    return HttpReply(
        status=404, body=b"<html><body><h1>404 Not Found</h1></body></html>", content_type="text/html"
    )


def _error_reply(status: int, code: int, message: str) -> HttpReply:
    return HttpReply(status=status, body=_encode({"code": code, "msg": message}))
