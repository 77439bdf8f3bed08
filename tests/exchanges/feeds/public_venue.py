"""A stand-in for Binance's public candle endpoints: a real HTTP server with the documented answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from core.candles import CandleColumns, aggregate
from core.timeframe import Timeframe, to_ms
from tests.core.candle_cases import START, generated

CANDLES = generated(4000)
NOW_MS = to_ms(START) + 3500 * 60_000 + 30_000


class Venue(ThreadingHTTPServer):
    """Serves CANDLES as perpetual's and spot's klines, at the venue's time NOW_MS; `answers` come first, once each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Face)
        self.asked: list[dict[str, str]] = []
        self.answers: list[tuple[int, bytes]] = []
        self.served = {"1m": CANDLES, "5m": aggregate(CANDLES, Timeframe.M1, Timeframe.M5)}
        self.delay_s = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, bytes]:
        if path in ("/fapi/v1/time", "/api/v3/time"):
            return 200, json.dumps({"serverTime": NOW_MS}).encode()
        if query["symbol"] == "BTCUSDT":
            return 200, self.klines(query)
        return 400, b'{"code":-1121,"msg":"Invalid symbol."}'

    def klines(self, query: dict[str, str]) -> bytes:
        """Ascending rows that open in [startTime, endTime], at most `limit`, the newest one still open."""
        columns = self.served[query["interval"]]
        newest = columns.between(int(query["startTime"]), min(int(query["endTime"]), NOW_MS) + 1)
        return json.dumps(rows(newest.part(0, int(query["limit"])), Timeframe(query["interval"]))).encode()


AnyVenue = TypeVar("AnyVenue", bound=Venue)


class _Face(BaseHTTPRequestHandler):
    server: Venue

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        self.server.asked.append({"path": url.path, **query})
        time.sleep(self.server.delay_s)
        if self.server.answers:
            status, body = self.server.answers.pop(0)
        else:
            status, body = self.server.answer(url.path, query)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def rows(columns: CandleColumns, timeframe: Timeframe = Timeframe.M1) -> list[list[object]]:
    return [
        [
            candle.open_time_ms,
            *(repr(value) for value in candle.row()[1:6]),
            candle.open_time_ms + timeframe.ms - 1,
            "1.0",
            7,
            repr(candle.taker_buy_volume),
            "0.5",
            "0",
        ]
        for candle in columns
    ]


@contextmanager
def running() -> Iterator[Venue]:
    with served(Venue()) as venue:
        yield venue


@contextmanager
def served(server: AnyVenue) -> Iterator[AnyVenue]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()
