"""Public streams of the Bybit face: candles, trades and tickers, linear and spot."""

from __future__ import annotations

from typing import Any

import msgspec

from exchanges.simulator.bybit_market import INTERVALS, BybitMarket, trade_side
from exchanges.simulator.bybit_socket import Command, answer, command_of
from exchanges.simulator.bybit_words import money, text
from exchanges.simulator.engine import Engine
from exchanges.simulator.market import Bar
from exchanges.simulator.tape import MINUTE_MS, QUARTER_MS
from exchanges.simulator.web_socket import Socket, text_frame

PATHS = {"/v5/public/linear": False, "/v5/public/spot": True}
SPOT_TOPICS_MAX = 10
_BEHIND_MAX = 1500
_encode = msgspec.json.Encoder().encode


class _Stream(msgspec.Struct, kw_only=True, eq=False):
    """One topic and who hears it; `at_ms`: told up to there."""

    topic: str
    kind: str
    interval: str
    symbol: str
    is_spot: bool
    at_ms: int
    sockets: dict[int, Socket] = msgspec.field(default_factory=dict)


class PublicStreams:
    """Each topic is made once, whoever and however many hear it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._market = BybitMarket(engine)
        self._streams: dict[tuple[bool, str], _Stream] = {}
        self._sockets: dict[int, Socket] = {}

    def open(self, path: str, socket: Socket) -> bool:
        if path not in PATHS:
            return False
        self._sockets[id(socket)] = socket
        socket.on_lost = lambda: self._forget(socket)
        socket.on_text = lambda said: self._command(PATHS[path], socket, said)
        return True

    def pulse(self) -> None:
        now = self._engine.now_ms
        for stream in self._streams.values():
            since, stream.at_ms = stream.at_ms, now
            if not stream.sockets or since > now:  # nobody hears it, or time was set back
                continue
            for told in self._due(stream, since, now):
                frame = text_frame(_encode(told))
                for socket in list(stream.sockets.values()):
                    socket.send(frame)

    def drop(self) -> None:
        for socket in list(self._sockets.values()):
            socket.abort()

    # -- commands

    def _command(self, is_spot: bool, socket: Socket, said: bytes) -> None:
        command = command_of(said)
        if command is None:
            self._say(socket, answer(None, False, "Invalid request"))
        elif command.op == "ping":
            self._say(socket, answer(command, True, "pong"))
        elif command.op == "subscribe":
            self._subscribe(is_spot, socket, command)
        elif command.op == "unsubscribe":
            for topic in command.args:
                stream = self._streams.get((is_spot, str(topic)))
                if stream is not None:
                    stream.sockets.pop(id(socket), None)
            self._say(socket, answer(command, True, ""))
        else:
            self._say(socket, answer(command, False, f"op {command.op} not supported"))

    def _subscribe(self, is_spot: bool, socket: Socket, command: Command) -> None:
        """All of its topics or none."""
        streams = []
        if is_spot and len(command.args) > SPOT_TOPICS_MAX:
            self._say(socket, answer(command, False, f"args size >{SPOT_TOPICS_MAX}"))
            return
        for topic in command.args:
            stream = self._stream(is_spot, str(topic))
            if stream is None:
                self._say(socket, answer(command, False, f"Invalid topic: {topic}"))
                return
            streams.append(stream)
        self._say(socket, answer(command, True, ""))
        for stream in streams:
            self._streams[is_spot, stream.topic] = stream
            stream.sockets[id(socket)] = socket
            if stream.kind == "tickers":
                snapshot = self._ticker(stream, self._engine.now_ms, "snapshot")
                socket.send(text_frame(_encode(snapshot)))

    def _stream(self, is_spot: bool, topic: str) -> _Stream | None:
        known = self._streams.get((is_spot, topic))
        if known is not None:
            return known
        kind, _, rest = topic.partition(".")
        interval, symbol = "", rest
        if kind == "kline":
            interval, _, symbol = rest.partition(".")
        is_kind = kind in ("publicTrade", "tickers") or (kind == "kline" and interval in INTERVALS)
        if not is_kind or symbol not in self._engine.market.instruments:
            return None
        return _Stream(
            topic=topic,
            kind=kind,
            interval=interval,
            symbol=symbol,
            is_spot=is_spot,
            at_ms=self._engine.now_ms,
        )

    # -- what is due

    def _due(self, stream: _Stream, since: int, now: int) -> list[dict[str, Any]]:
        if stream.kind == "publicTrade":
            return self._trades(stream, since, now)
        if since // QUARTER_MS == now // QUARTER_MS:  # no price moves within one
            return []
        if stream.kind == "kline":
            return self._klines(stream, since, now)
        kind = "snapshot" if stream.is_spot else "delta"
        return [self._ticker(stream, now, kind)]

    def _klines(self, stream: _Stream, since: int, now: int) -> list[dict[str, Any]]:
        """Every candle that closed since, confirmed; then the open one."""
        span, market = INTERVALS[stream.interval] * MINUTE_MS, self._engine.market
        present = now // span * span
        first = max(since // span * span, present - _BEHIND_MAX * span)
        told = []
        for at in range(first, present + 1, span):
            bar = market.bar(stream.symbol, span, at, now)
            at_ms = bar.close_ms + 1 if bar.is_closed else now
            row = _kline(stream.interval, bar, at_ms)
            told.append({"topic": stream.topic, "type": "snapshot", "ts": at_ms, "data": [row]})
        return told

    def _trades(self, stream: _Stream, since: int, now: int) -> list[dict[str, Any]]:
        """A message a millisecond that had any, as they happened."""
        first = max(since + 1, now - _BEHIND_MAX * QUARTER_MS)
        by_time: dict[int, list[dict[str, Any]]] = {}
        for trade in self._engine.market.public_trades(stream.symbol, first, now):
            by_time.setdefault(trade.at_ms, []).append(
                {
                    "T": trade.at_ms,
                    "s": stream.symbol,
                    "S": trade_side(trade),
                    "v": text(trade.quantity),
                    "p": text(trade.price),
                    "L": "PlusTick",
                    "i": str(trade.trade_id),
                    "BT": False,
                    "seq": trade.trade_id,
                }
            )
        return [
            {"topic": stream.topic, "type": "snapshot", "ts": at, "data": rows}
            for at, rows in by_time.items()
        ]

    def _ticker(self, stream: _Stream, now: int, kind: str) -> dict[str, Any]:
        """A delta has the fields that move."""
        row = self._market.ticker(stream.symbol, is_spot=stream.is_spot)
        if kind == "delta":
            row = {name: row[name] for name in ("symbol", *_MOVING)}
        return {"topic": stream.topic, "type": kind, "data": row, "cs": now, "ts": now}

    def _say(self, socket: Socket, document: dict[str, Any]) -> None:
        socket.send(text_frame(_encode(document)))

    def _forget(self, socket: Socket) -> None:
        self._sockets.pop(id(socket), None)
        for stream in self._streams.values():
            stream.sockets.pop(id(socket), None)


_MOVING = ("lastPrice", "markPrice", "indexPrice", "bid1Price", "ask1Price", "fundingRate", "nextFundingTime")


def _kline(interval: str, bar: Bar, at_ms: int) -> dict[str, Any]:
    return {
        "start": bar.open_ms,
        "end": bar.close_ms,
        "interval": interval,
        "open": text(bar.open),
        "close": text(bar.close),
        "high": text(bar.high),
        "low": text(bar.low),
        "volume": text(bar.volume),
        "turnover": money(bar.quote_volume),
        "confirm": bar.is_closed,
        "timestamp": at_ms,
    }
