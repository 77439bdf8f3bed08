"""Stored candles over HTTP, and their download within the weight all processes share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import psycopg
import pytest
from starlette.testclient import TestClient

from actors.sandbox.host import Limits
from core.market import Market, Series
from core.timeframe import Timeframe
from facade.work.manager import Workers
from schema.pg import PgStore
from tests.core.candle_cases import START
from tests.exchanges.feeds.public_venue import CANDLES, Venue, running
from tests.facade.world import SmallRunner, as_user, client_of
from tests.schema.conftest import Database

ALICE = as_user("alice")
SERIES = Series(venue="binance", market=Market.PERP, symbol="BTCUSDT", timeframe=Timeframe.M1)
NAMED = "symbol=btcusdt&timeframe=1m"


def at(minute: int) -> str:
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def venue() -> Iterator[Venue]:
    with running() as server:
        yield server


@pytest.fixture
def filling(database: Database, store: PgStore, runner: SmallRunner, venue: Venue) -> Iterator[TestClient]:
    made = Workers(
        store.jobs, dsn=database.service_dsn, worker="tests", rest={"binance": venue.url}, sandbox=Limits()
    )
    made.start()
    with client_of(runner, job_added=made.poke) as opened:
        yield opened
    made.stop()


def test_candles_come_page_by_page_and_holes_are_named(client: TestClient, store: PgStore) -> None:
    store.market.store(SERIES, CANDLES.part(0, 10))
    store.market.store(SERIES, CANDLES.part(13, 20))
    seen, cursor = [], ""
    while cursor is not None:
        path = f"/api/market-data/candles?{NAMED}&from={at(0)}&to={at(18)}&limit=7{cursor}"
        page = client.get(path, headers=ALICE).json()
        seen += [candle["openTime"] for candle in page["candles"]]
        cursor = f"&cursor={page['nextCursor']}" if page["nextCursor"] else None
    assert seen == [at(minute) for minute in (*range(10), *range(13, 18))]

    covered = client.get(f"/api/market-data/coverage?{NAMED}&from={at(0)}&to={at(60)}", headers=ALICE).json()
    assert covered["candles"] == 17
    assert covered["stretches"] == [
        {"from": at(0), "to": at(10), "candles": 10},
        {"from": at(13), "to": at(20), "candles": 7},
    ]
    assert covered["holes"] == [{"from": at(10), "to": at(13), "missing": 3}]
    assert not covered["cut"]


@pytest.mark.parametrize(("market", "path"), [(Market.PERP, "/fapi/v1"), (Market.SPOT, "/api/v3")])
def test_a_backfill_fills_the_holes_within_the_shared_weight(
    filling: TestClient, store: PgStore, database: Database, venue: Venue, market: Market, path: str
) -> None:
    store.market.store(msgspec.structs.replace(SERIES, market=market), CANDLES.part(100, 200))
    asked = {"symbol": "BTCUSDT", "timeframe": "1m", "market": market, "from": at(0), "to": at(1_000)}
    answer = filling.post("/api/market-data/backfill", json=asked, headers=ALICE)
    assert answer.status_code == 202, answer.text
    job = answer.json()["job"]
    done = filling.get(f"/api/jobs/{job['id']}?waitSec=10", headers=ALICE).json()
    assert done["job"]["state"] == "done", done
    assert (done["job"]["done"], done["job"]["total"]) == (900, 900)
    assert done["result"] == {"missing": 900, "added": 900, "absent": 0}
    assert {each["path"] for each in venue.asked} == {f"{path}/time", f"{path}/klines"}
    for held in Market:
        query = f"{NAMED}&market={held}&from={at(0)}&to={at(1_000)}"
        covered = filling.get(f"/api/market-data/coverage?{query}", headers=ALICE).json()
        assert covered["candles"] == (1_000 if held is market else 0), "the other market is another series"
    with psycopg.connect(database.owner_dsn) as connection:
        rows = connection.execute("SELECT host, used FROM venue_budgets").fetchall()
    assert [host.split(":")[0] for host, _ in rows] == ["127.0.0.1"]
    assert rows[0][1] > 0


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"symbol": "DOGEUSDT"}, 422, "SYMBOL_NOT_ALLOWED"),
        ({"to": at(0)}, 400, "BAD_REQUEST"),
        ({"from": "2020-01-01T00:00:00Z"}, 400, "BAD_REQUEST"),
        ({"from": "0001-01-01T00:00:00Z"}, 400, "BAD_REQUEST"),
        ({"venue": "kraken"}, 400, "BAD_REQUEST"),
        ({"market": "coin"}, 400, "BAD_REQUEST"),
        ({"venue": "bybit", "market": "spot"}, 400, "BAD_REQUEST"),
    ],
)
def test_what_cannot_be_filled_is_refused(
    client: TestClient, change: dict[str, str], status: int, code: str
) -> None:
    asked = {"symbol": "BTCUSDT", "timeframe": "1m", "from": at(0), "to": at(10)} | change
    answer = client.post("/api/market-data/backfill", json=asked, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
