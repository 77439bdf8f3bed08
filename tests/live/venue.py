"""A venue at the real time: Binance's documented candle endpoints over HTTP, prices that only rise."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from core.timeframe import Timeframe


def price(at_ms: int) -> float:
    """Of every symbol: a thousandth more each minute."""
    return at_ms // 60_000 / 1_000


def kline(open_ms: int, step_ms: int) -> list[object]:
    opened, closed = price(open_ms), price(open_ms + step_ms - 60_000)
    low, high = min(opened, closed), max(opened, closed)
    cells = [str(value) for value in (opened, high, low, closed, 500.0)]
    return [open_ms, *cells, open_ms + step_ms - 1, "1.0", 7, "250.0", "0.5", "0"]


class RisingVenue(ThreadingHTTPServer):
    """Closed candles and the one still forming, up to this moment; `asked` holds the paths with their queries."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Face)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Face(BaseHTTPRequestHandler):
    server: RisingVenue

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.asked.append(self.path)
        now_ms = int(time.time() * 1_000)
        if url.path == "/fapi/v1/time":
            self._answer({"serverTime": now_ms})
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        step_ms = Timeframe.parse(query["interval"]).ms
        limit = int(query["limit"])
        last = min(int(query.get("endTime", now_ms)), now_ms) // step_ms * step_ms
        start = query.get("startTime")
        first = last - (limit - 1) * step_ms if start is None else -(-int(start) // step_ms) * step_ms
        self._answer([kline(at, step_ms) for at in range(first, last + 1, step_ms)][:limit])

    def _answer(self, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def rising_venue() -> Iterator[RisingVenue]:
    server = RisingVenue()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join(timeout=5)
        server.server_close()
