"""Balance and positions of a connection, asked of its venue over real wires, and its stored curve."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from actors.key_probe import keys_of
from actors.runtime.process_time import process_s
from actors.venue_numbers import FRESH_S, FreshNumbers, VenueNumbers
from core.ids import AccountId
from exchanges.base import Balance
from exchanges.simulator.clock import VenueClock
from exchanges.venues import Address
from facade.limits import NUMBER_READS_PER_WINDOW, Attempts
from schema.connections import Connection
from schema.pg import PgStore
from tests.actors.candles import START
from tests.actors.live_wire.world import PLACES, ThreadedVenue
from tests.canaries import KEYS, SECRETS
from tests.facade.world import SmallRunner, as_user, client_of
from tests.schema.test_vault import master, vault_of

ANN, BOB = as_user("ann"), as_user("bob")
VAULT = vault_of(master("m1", 1))
PATHS = ("balance", "positions", "equity")


@pytest.fixture(params=["binance", "bybit"])
def venue(request: pytest.FixtureRequest) -> Iterator[ThreadedVenue]:
    clock = VenueClock(process_s, at_ms=round(START.timestamp() * 1000), rate=0.0)
    made = ThreadedVenue(*PLACES[request.param], venue_clock=clock)
    made.set_price(1000.0)
    made.allow("main", 1)
    yield made
    made.close()


@pytest.fixture
def http(store: PgStore, runner: SmallRunner, venue: ThreadedVenue) -> Iterator[TestClient]:
    keys = keys_of(store, VAULT, venue.given)
    with client_of(runner, keys=keys) as opened:
        yield opened


def added(http: TestClient, venue: ThreadedVenue) -> str:
    body = {"name": "main", "venue": venue.name.value, "apiKey": KEYS[0], "apiSecret": SECRETS[0]}
    answer = http.post("/api/connections", json=body, headers=ANN)
    assert answer.status_code == 201, answer.text
    return f"/api/connections/{answer.json()['connection']['id']}"


def test_the_venue_is_asked_and_when_it_is_away_it_is_said(
    http: TestClient, venue: ThreadedVenue, store: PgStore, runner: SmallRunner
) -> None:
    path = added(http, venue)
    answer = http.get(f"{path}/balance", headers=ANN)
    assert answer.status_code == 200, answer.text
    assert float(answer.json()["balanceUsdt"]) == float(answer.json()["availableUsdt"]) > 0
    assert http.get(f"{path}/positions", headers=ANN).json()["positions"] == []
    assert http.get(f"{path}/equity", headers=ANN).json()["points"] == []
    for name in PATHS:
        assert http.get(f"{path}/{name}", headers=BOB).status_code == 404
        assert http.get(f"/api/connections/{uuid4()}/{name}", headers=ANN).status_code == 404
    nowhere = {venue.name: Address(rest="http://127.0.0.1:9", ws="ws://127.0.0.1:9")}
    with client_of(runner, keys=keys_of(store, VAULT, nowhere)) as cut_off:
        refusal = cut_off.get(f"{path}/balance", headers=ANN)
    assert (refusal.status_code, refusal.json()["code"]) == (503, "VENUE_UNAVAILABLE")
    assert SECRETS[0] not in refusal.text


def test_a_user_asks_venues_for_numbers_only_so_often(http: TestClient, venue: ThreadedVenue) -> None:
    path = added(http, venue)
    reads: Attempts = http.app.state.services.number_reads  # type: ignore[attr-defined]
    for _ in range(NUMBER_READS_PER_WINDOW):
        reads.tried("ann")
    refusal = http.get(f"{path}/balance", headers=ANN)
    assert refusal.status_code == 429
    assert int(refusal.headers["Retry-After"]) <= 60


async def _once(fresh: FreshNumbers, connection: Connection) -> None:
    await fresh(connection, lambda: None)  # type: ignore[arg-type, return-value]


def test_what_was_asked_just_now_is_not_asked_again() -> None:
    now_s, asked = [0.0], []
    connection: Any = type("Named", (), {"id": AccountId(UUID(int=1))})()

    async def read(connection: Connection, unseal: Any) -> VenueNumbers:
        asked.append(connection.id)
        return VenueNumbers(balance=Balance(balance=1, available=1), positions=(), read_at=START)  # type: ignore[arg-type]

    fresh = FreshNumbers(read, lambda: now_s[0])
    for at_s in (0.0, FRESH_S - 0.001, FRESH_S):
        now_s[0] = at_s
        asyncio.run(_once(fresh, connection))
    assert len(asked) == 2
