"""What `bench streams` measures on: a service whose every slot is like every other, and its ticks.

The market rises in one minute and falls in the next. One run in TRADING turns its position in every slot, at a
profit, so that no risk gate ends it; the others hold. So a slot's ticks wait for as many orders in any stretch, and
what differs between stretches is what else goes on.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import numpy as np

from actors.demo import demo_of
from actors.demo_source import demo_source
from bin.drill.node import Node, settings_of
from bin.drill.world import LOOSE, Templates, make_world
from core.candles import CandleColumns
from core.errors import RunnerError
from core.market import Market, Series
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.archive import store_columns
from facade.settings_file import load_settings
from facade.tokens import issue
from schema.embedded import EmbeddedPostgres
from schema.migrate import migrate
from schema.pg import PgStore

SECRET: Final = "a-secret-of-this-measurement-alone-0123456789"  # noqa: S105 (of a service that ends with it)
USERS: Final = 10
STARTED_WITHIN_S: Final = 90.0
STOPPED_WITHIN_S: Final = 40.0
TIMEOUT_S: Final = 20.0
SPEED: Final = 60.0
"""A slot a second: what comes between one close and the next is not measured."""
LEASE_S: Final = 120.0
BEFORE_MIDNIGHT: Final = timedelta(hours=20)
FIRST_DAY: Final = datetime(2026, 1, 5, tzinfo=UTC)
DAYS: Final = 4
SERIES: Final = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M1)
TRADING: Final = 20
"""One run in so many trades."""
TEMPLATES: Final[Templates] = (
    ("sma_trend", {"period": 4}),
    *(
        ("rsi_oversold_overbought", {"rsi_oversold": 1.0 + number / 10, "rsi_overbought": 99.0})
        for number in range(TRADING - 1)
    ),
)


class Ticks(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch: milliseconds from the candle to the end of each tick, and what it cost.

    `held` ends when it is decided, `traded` when the last of its orders is filled and booked. `cpu_s` is processor time
    of the service in `seconds`, without its database.
    """

    held: list[float]
    traded: list[float]
    seconds: float
    cpu_s: float

    @property
    def all(self) -> list[float]:
        return self.held + self.traded


class Service:
    """One process that ticks."""

    def __init__(self, address: str, pid: int) -> None:
        self.address = address
        self._pid = pid

    def stretch(self, seconds: float) -> Ticks:
        """RunnerError where nothing ticked meanwhile, or no run traded."""
        began, began_s, cpu_s = self._market_time(), time.monotonic(), self.cpu_s()
        time.sleep(seconds)
        cpu_s, took_s = self.cpu_s() - cpu_s, time.monotonic() - began_s
        ended = self._market_time()
        rows = [row for row in self._rows(began) if began < _time(row["slot"]) < ended]
        took = [row for row in rows if row["status"] == "ok" and row["latencyMs"] is not None]
        held = [float(row["latencyMs"]) for row in took if row["signal"] == "hold"]
        traded = [
            float(row["latencyMs"]) for row in took if row["signal"] != "hold" and row["reason"] is None
        ]
        if not held or not traded:
            raise RunnerError("No run traded while it was measured; give it more --seconds.")
        return Ticks(held=held, traded=traded, seconds=took_s, cpu_s=cpu_s)

    def cpu_s(self) -> float:
        """Processor seconds of the process so far."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _market_time(self) -> datetime:
        return _time(self._get("/api/runner/status")["marketTime"])

    def _rows(self, since: datetime) -> Iterator[dict[str, Any]]:
        cursor = ""
        asked = since.isoformat().replace("+00:00", "Z")
        while True:
            after = f"&cursor={cursor}" if cursor else ""
            page = self._get(f"/api/runner/tick-runs?limit=200&since={asked}{after}")
            yield from page["ticks"]
            cursor = page["nextCursor"] or ""
            if not cursor:
                return

    def _get(self, path: str) -> dict[str, Any]:
        line = connect(self.address)
        try:
            line.request("GET", path, headers=reader_headers(0))
            answer = line.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise RunnerError(f"{path} answered {answer.status}: {body[:200]!r}")
            found: dict[str, Any] = json.loads(body)
            return found
        finally:
            line.close()


@contextmanager
def service(runs: int) -> Iterator[Service]:
    """One process with so many one-minute runs."""
    with tempfile.TemporaryDirectory(prefix="bench-streams-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        data = folder / "candles"
        store_columns(market(), SERIES, data)
        with EmbeddedPostgres(folder / "postgres") as server:
            migrate(server.owner_dsn)
            settings = settings_of(server.service_dsn, folder, LEASE_S) | {
                "JWT_SECRET": SECRET,
                "RUNNER_RATE_LIMIT_USER": "0",
                "RUNNER_RATE_LIMIT_ADDRESS": "0",
            }
            say(f"Creating {runs:,} runs …")
            store = PgStore(server.service_dsn, default_limits=LOOSE, worker="bench")
            try:
                demo = demo_of(demo_source(data, folder, load_settings(environ=settings)).candles)
                make_world(
                    store,
                    demo,
                    runs=runs,
                    speed=SPEED,
                    before_midnight=BEFORE_MIDNIGHT,
                    templates=TEMPLATES,
                    limits=(LOOSE,),
                )
            finally:
                store.close()
            node = Node(1, folder, settings, SPEED, data=data)
            node.start(renamed=False)
            try:
                yield Service(_address(node), node.pid or 0)
            finally:
                node.stop(STOPPED_WITHIN_S)


def market() -> CandleColumns:
    """Whoever buys after a rise and sells after a fall buys at 50,000 and sells at 50,200."""
    count = DAYS * 24 * 60
    opened = to_ms(FIRST_DAY) + np.arange(count) * 60_000.0
    rises = np.arange(count) % 2 == 1
    opens = np.where(rises, 50_200.0, 50_000.0)  # it follows a candle that fell, or one that rose
    closes = np.where(rises, 50_400.0, 49_800.0)
    volume = np.full(count, 10_000.0)
    highs, lows = np.maximum(opens, closes), np.minimum(opens, closes)
    return CandleColumns(np.array([opened, opens, highs, lows, closes, volume, volume / 2]))


def connect(address: str) -> http.client.HTTPConnection:
    parts = urlsplit(address)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S)


def reader_headers(number: int) -> dict[str, str]:
    """Administrators, so that each stream holds everything; several, as one may have so many streams."""
    token = issue(
        secret=SECRET,
        user_id=f"reader-{number % USERS}",
        admin=True,
        now=datetime.now(UTC),
        ttl=timedelta(hours=1),
    )
    return {"Authorization": f"Bearer {token}"}


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _address(node: Node) -> str:
    patience_until = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < patience_until:
        if node.ended is not None:
            break
        if node.address is not None:
            return node.address
        time.sleep(0.2)
    raise RunnerError(f"The demo did not start: {node.log.read_text()[-500:]}")
