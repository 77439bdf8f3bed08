"""Public streams of the Binance face: klines, trades, mark prices and the best prices, by routed address only."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, unquote

import msgspec

from exchanges.simulator.binance_market import INTERVALS, agg_trade_json, spot_words
from exchanges.simulator.binance_user_stream import keep_open
from exchanges.simulator.binance_words import money, plain
from exchanges.simulator.engine import Engine
from exchanges.simulator.http_server import HttpRequest
from exchanges.simulator.market import FUNDING_MS, Bar
from exchanges.simulator.tape import MINUTE_MS, QUARTER_MS
from exchanges.simulator.web_socket import Socket, text_frame

STREAMS_MAX = 1024
_BARS_MAX = 1500
_MARK_EVERY_MS = {"markPrice": 3000, "markPrice@1s": 1000}
# Route → streams it delivers. An address without a route is taken and stays silent, like the venue's since 2026-04-23.
_ROUTES = {
    "market": ("kline_", "aggTrade", "markPrice"),
    "public": ("bookTicker", "depth"),
    "spot": ("aggTrade",),
}
_encode = msgspec.json.Encoder().encode


class _Stream(msgspec.Struct, kw_only=True, eq=False):
    """One stream and who hears it; `at_ms`: told up to there."""

    name: str
    symbol: str
    kind: str
    is_spot: bool
    at_ms: int
    raw: dict[int, Socket] = {}
    wrapped: dict[int, Socket] = {}


class MarketStreams:
    """Each stream is made once, whoever and however many hear it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._streams: dict[tuple[str, str], _Stream] = {}
        self._sockets: dict[int, Socket] = {}

    def open(self, request: HttpRequest, socket: Socket) -> bool:
        """`/market/ws/<stream>[/<stream>…]`, `/market/ws` to subscribe later, `/market/stream?streams=a/b`."""
        parts = request.path.strip("/").split("/", 2)
        route = parts[0] if parts[0] in _ROUTES else ""
        form = parts[1] if route and len(parts) > 1 else parts[0]
        if form not in ("ws", "stream"):
            return False
        rest = request.path.split(f"/{form}", 1)[1].strip("/")
        is_wrapped = form == "stream"
        names = unquote(rest) if not is_wrapped else parse_qs(request.query).get("streams", [""])[0]
        self._sockets[id(socket)] = socket
        socket.on_lost = lambda: self._forget(socket)
        socket.on_text = lambda text: self._command(route, socket, text, is_wrapped=is_wrapped)
        self._subscribe(route, socket, [name for name in names.split("/") if name], is_wrapped=is_wrapped)
        return True

    def pulse(self) -> None:
        now = self._engine.now_ms
        keep_open(list(self._sockets.values()), now, self._engine.clock.wire_ms(1))
        for stream in self._streams.values():
            if stream.at_ms > now:
                stream.at_ms = now
            for told in self._due(stream, now):
                self._tell(stream, told)

    def drop(self) -> None:
        for socket in list(self._sockets.values()):
            socket.abort()

    # -- subscriptions

    def _command(self, route: str, socket: Socket, text: bytes, *, is_wrapped: bool) -> None:
        try:
            command = msgspec.json.decode(text)
            method, names, number = command["method"], command.get("params", []), command.get("id")
        except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
            socket.send(text_frame(b'{"error":{"code":2,"msg":"Invalid request: not a command"}}'))
            return
        result = None
        if method == "SUBSCRIBE":
            self._subscribe(route, socket, names, is_wrapped=is_wrapped)
        elif method == "UNSUBSCRIBE":
            for name in names:
                stream = self._streams.get((route, name))
                if stream is not None:
                    stream.raw.pop(id(socket), None)
                    stream.wrapped.pop(id(socket), None)
        elif method == "LIST_SUBSCRIPTIONS":
            result = [s.name for s in self._streams.values() if id(socket) in {**s.raw, **s.wrapped}]
        socket.send(text_frame(_encode({"result": result, "id": number})))

    def _subscribe(self, route: str, socket: Socket, names: list[str], *, is_wrapped: bool) -> None:
        for name in names[:STREAMS_MAX]:
            symbol, _, kind = name.partition("@")
            known = symbol.upper() in self._engine.market.instruments
            if not known or not kind.startswith(_ROUTES.get(route, ("-",))) or not _is_kind(kind):
                continue
            stream = self._streams.get((route, name))
            if stream is None:
                stream = self._streams[route, name] = _Stream(
                    name=name,
                    symbol=symbol.upper(),
                    kind=kind,
                    is_spot=route == "spot",
                    at_ms=self._engine.now_ms,
                )
            if not stream.raw and not stream.wrapped:
                stream.at_ms = self._engine.now_ms
            (stream.wrapped if is_wrapped else stream.raw)[id(socket)] = socket

    def _forget(self, socket: Socket) -> None:
        self._sockets.pop(id(socket), None)
        for stream in self._streams.values():
            stream.raw.pop(id(socket), None)
            stream.wrapped.pop(id(socket), None)

    # -- what is due

    def _due(self, stream: _Stream, now: int) -> list[dict[str, Any]]:
        if not stream.raw and not stream.wrapped:
            return []
        since, stream.at_ms = stream.at_ms, now
        if stream.kind.startswith("kline_"):
            return self._klines(stream, since, now)
        if stream.kind == "aggTrade":
            return self._trades(stream, since, now)
        every = _MARK_EVERY_MS.get(stream.kind, QUARTER_MS)
        if since // every == now // every:
            return []
        return [self._mark(stream, now) if stream.kind in _MARK_EVERY_MS else self._book(stream, now)]

    def _klines(self, stream: _Stream, since: int, now: int) -> list[dict[str, Any]]:
        """Every candle that closed since, final; then the open one if the price could have moved."""
        word = stream.kind.removeprefix("kline_")
        span, market = INTERVALS[word] * MINUTE_MS, self._engine.market
        if since // QUARTER_MS == now // QUARTER_MS:
            return []
        present = now // span * span
        first = max(since // span * span, present - _BARS_MAX * span)
        bars = [market.bar(stream.symbol, span, at, now) for at in range(first, present + 1, span)]
        return [_kline(stream.symbol, word, bar, bar.close_ms + 1 if bar.is_closed else now) for bar in bars]

    def _trades(self, stream: _Stream, since: int, now: int) -> list[dict[str, Any]]:
        first = max(since + 1, now - _BARS_MAX * QUARTER_MS)
        told = []
        for trade in self._engine.market.public_trades(stream.symbol, first, now):
            words = {"e": "aggTrade", "E": trade.at_ms, "s": stream.symbol, **agg_trade_json(trade), "st": 1}
            told.append(spot_words(words) if stream.is_spot else words)
        return told

    def _mark(self, stream: _Stream, now: int) -> dict[str, Any]:
        mark = money(self._engine.marks[stream.symbol])
        return {
            "e": "markPriceUpdate",
            "E": now,
            "s": stream.symbol,
            "p": mark,
            "i": money(self._engine.last[stream.symbol]),
            "P": mark,
            "r": money(self._engine.market.funding_rate(stream.symbol, now)),
            "ap": mark,
            "T": (now // FUNDING_MS + 1) * FUNDING_MS,
            "st": 1,
        }

    def _book(self, stream: _Stream, now: int) -> dict[str, Any]:
        last = self._engine.last[stream.symbol]
        tick = self._engine.market.instruments[stream.symbol].tick
        return {
            "e": "bookTicker",
            "u": now,
            "E": now,
            "T": now,
            "s": stream.symbol,
            "ps": stream.symbol,
            "b": plain(last - tick),
            "B": "5",
            "a": plain(last),
            "A": "5",
            "st": 1,
        }

    def _tell(self, stream: _Stream, told: dict[str, Any]) -> None:
        if stream.raw:
            frame = text_frame(_encode(told))
            for socket in list(stream.raw.values()):
                socket.send(frame)
        if stream.wrapped:
            frame = text_frame(_encode({"stream": stream.name, "data": told}))
            for socket in list(stream.wrapped.values()):
                socket.send(frame)


def _is_kind(kind: str) -> bool:
    if kind.startswith("kline_"):
        return kind.removeprefix("kline_") in INTERVALS
    return kind in ("aggTrade", "markPrice", "markPrice@1s", "bookTicker")


def _kline(symbol: str, word: str, bar: Bar, at_ms: int) -> dict[str, Any]:
    return {
        "e": "kline",
        "E": at_ms,
        "s": symbol,
        "k": {
            "t": bar.open_ms,
            "T": bar.close_ms,
            "s": symbol,
            "i": word,
            "f": bar.open_ms // QUARTER_MS * 2,
            "L": bar.open_ms // QUARTER_MS * 2 + bar.trades,
            "o": plain(bar.open),
            "c": plain(bar.close),
            "h": plain(bar.high),
            "l": plain(bar.low),
            "v": plain(bar.volume),
            "n": bar.trades,
            "x": bar.is_closed,
            "q": f"{bar.quote_volume:.5f}",
            "V": plain(bar.taker_volume),
            "Q": f"{bar.taker_quote_volume:.5f}",
            "B": "0",
        },
    }
