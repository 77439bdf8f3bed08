"""A venue that repeats in each answer what it was asked, key included, gets none of it into an error or a log (I13)."""

from __future__ import annotations

import json
import logging
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from core.connection import Environment, Venue
from core.ids import ClientOrderId
from core.redact import Secret
from exchanges.base import LiveExchange
from exchanges.credentials import Credentials
from exchanges.errors import ExchangeError
from exchanges.venues import Address, Venues
from tests import live_loop
from tests.canaries import KEYS, SECRETS, scan_all

ANSWERS = (
    (400, -1102),
    (401, -2015),
    (400, -2014),
    (403, 0),
    (429, -1003),
    (500, -1000),
    (503, 0),
    (200, 10003),
)


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        key = self.headers.get("X-MBX-APIKEY") or self.headers.get("X-BAPI-API-KEY")
        asked = f"{key} {self.path} {dict(self.headers)}"  # the key first: long texts are cut off
        status, code = self.server.answer
        said = {
            "code": code,
            "msg": asked,
            "retCode": code or 10001,
            "retMsg": asked,
            "result": {},
            "time": 0,
        }
        body = json.dumps(said).encode() if code else asked.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Not into the tests' output."""


@pytest.fixture(scope="module")
def echo() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def failures(venue: Venue, url: str, number: int) -> list[BaseException]:
    """What each kind of question to the venue raises. Keys as venues make them: letters and digits alone."""
    credentials = Credentials(key=Secret(KEYS[number]), secret=Secret(SECRETS[number]))
    there = Address(rest=url, ws=url.replace("http", "ws"), rights=url)
    raised: list[BaseException] = []
    for ask in (
        LiveExchange.connect,
        LiveExchange.key_rights,
        LiveExchange.balance,
        LiveExchange.positions,
        lambda exchange: exchange.find("BTCUSDT", ClientOrderId("x" * 31)),
        lambda exchange: exchange.cancel("BTCUSDT", ClientOrderId("x" * 31)),
    ):
        venues = Venues(clock=WallClock(), given={venue: there})
        exchange = venues.open(
            venue, Environment.LIVE, tenant="t", account="a", unseal=lambda: credentials, on_news=print
        )
        try:
            await getattr(exchange, ask.__name__)() if ask.__name__ != "<lambda>" else await ask(exchange)
        except ExchangeError as error:
            raised.append(error)
        finally:
            await venues.close()
    return raised


@pytest.mark.parametrize("venue", list(Venue))
@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_i13_what_a_venue_repeats_goes_no_further(
    echo: Any, caplog: pytest.LogCaptureFixture, venue: Venue, number: int
) -> None:
    caplog.set_level(logging.DEBUG)
    echo.answer = ANSWERS[number]
    url = f"http://127.0.0.1:{echo.server_address[1]}"
    raised = live_loop.run(failures(venue, url, number % 3 * 2))
    assert raised
    told = [(type(error).__name__, "".join(traceback.format_exception(error))) for error in raised]
    told += [("repr", repr(vars(error))) for error in raised]
    told.append(("log", caplog.text))
    assert scan_all(told) == []
