"""A POST under an idempotency key: carried out once, answered as often as it is asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from starlette.testclient import TestClient

from core.ids import UserId
from facade.access import Access
from facade.app import INTERFACE
from facade.endpoint import Call, route
from facade.schemas.form import Answer
from schema.idempotency import Asked, Attempt
from schema.pg import PgStore
from schema.pg_idempotency import PgIdempotency
from schema.store import StoreUnavailable
from tests.facade.world import ADMIN, SmallRunner, as_user, client_of, go_live, make_settings
from tests.schema.conftest import Database

BODY = {"symbol": "BTCUSDT", "timeframe": "5m", "initial_capital_usdt": 1000}
KEY = "a-key-of-ann-0001"
WITHOUT_KEY = {
    "/api/runner/cron": "a scheduler's: the slot is the key",
    "/api/cron/strategies": "a scheduler's: the slot is the key",
    "/api/cron/strategy-executor": "a scheduler's: the slot is the key",
    "/api/connections/{id}/test": "asks the venue and makes nothing",
    "/api/convert": "asks a model and keeps nothing",
    "/api/strategies/{id}/alert-key": "makes another secret each time; an answer kept would hold one",
    "/api/alerts": "a chart service's, which sets no header: what the alert says is its key",
}
"""POSTs on which a key does not hold, and why."""


def keyed(user: str = "ann", key: str = KEY) -> dict[str, str]:
    return as_user(user) | {"Idempotency-Key": key}


def strategies(client: TestClient, user: str = "ann") -> list[Any]:
    listed: list[Any] = client.get("/api/strategies", headers=as_user(user)).json()["strategies"]
    return listed


class Dying(PgIdempotency):
    """A process that dies between what it did and the answer it would have kept; as dead at once."""

    def finish(self, asked: Asked, attempt: Attempt, *, status: int, answer: bytes) -> None:
        raise StoreUnavailable("this process is no more")


class RunnerWithKeys(SmallRunner):
    def __init__(self, store: PgStore, keys: PgIdempotency) -> None:
        super().__init__(store)
        self._keys = keys

    @property
    def idempotency(self) -> PgIdempotency:
        return self._keys


@pytest.fixture
def dying(store: PgStore) -> Iterator[TestClient]:
    with client_of(RunnerWithKeys(store, Dying(store.database, busy_s=0))) as opened:
        yield opened


def test_every_post_of_a_named_caller_takes_a_key_unless_a_reason_stands_here() -> None:
    posts = [each.operation for each in INTERFACE if each.operation.method == "POST"]
    assert {each.path for each in posts if not each.idempotent} <= set(WITHOUT_KEY)


def test_the_same_request_under_its_key_is_answered_again_and_made_once(client: TestClient) -> None:
    first = client.post("/api/strategies", json=BODY, headers=keyed())
    again = client.post("/api/strategies", json=BODY, headers=keyed())
    assert (first.status_code, again.status_code) == (201, 201)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.headers["Cache-Control"] == "no-store"
    assert again.json()["requestId"] == again.headers["X-Request-Id"] != first.json()["requestId"]
    assert again.json() | {"requestId": ""} == first.json() | {"requestId": ""}
    assert len(strategies(client)) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/strategies", BODY | {"timeframe": "15m"}),
        ("/api/strategies?name=", BODY),
        ("/api/runs/00000000-0000-4000-8000-000000000000/start", {}),
    ],
)
def test_the_key_of_another_request_is_422(client: TestClient, path: str, body: Any) -> None:
    client.post("/api/strategies", json=BODY, headers=keyed())
    other = client.post(path, json=body, headers=keyed())
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(strategies(client)) == 1


def test_keys_are_each_users_own(client: TestClient) -> None:
    """I12."""
    mine = client.post("/api/strategies", json=BODY, headers=keyed("ann"))
    theirs = client.post("/api/strategies", json=BODY, headers=keyed("bob"))
    assert mine.json()["id"] != theirs.json()["id"]
    assert "Idempotency-Replayed" not in theirs.headers


@pytest.mark.parametrize("key", ["", "short", "x" * 65, "with space 1", "nul\x7fbyte-key", "ключ-ключ"])
def test_a_key_of_another_form_is_400(client: TestClient, key: str) -> None:
    headers = {**as_user("ann"), "Idempotency-Key": key}
    refused = client.post("/api/strategies", json=BODY, headers={k: v.encode() for k, v in headers.items()})
    assert (refused.status_code, refused.json()["details"][0]["field"]) == (400, "Idempotency-Key")


def test_a_request_that_was_refused_does_not_use_its_key_up(client: TestClient) -> None:
    for body in ({"nonsense": 1}, {**BODY, "exchange_connection_id": "00000000-0000-4000-8000-000000000000"}):
        refused = client.post("/api/strategies", json=body, headers=keyed())
        assert refused.status_code in (400, 404)
    assert client.post("/api/strategies", json=BODY, headers=keyed()).status_code == 201


def test_of_many_at_once_with_one_key_one_is_carried_out(client: TestClient) -> None:
    begin = threading.Barrier(8)

    def ask(_: int) -> Any:
        begin.wait(10)
        return client.post("/api/strategies", json=BODY, headers=keyed())

    with ThreadPoolExecutor(8) as callers:
        answers = list(callers.map(ask, range(8)))
    made = [each for each in answers if each.status_code == 201]
    busy = [each for each in answers if each.status_code == 409]
    assert len(made) + len(busy) == 8
    assert len({each.json()["id"] for each in made}) == 1
    assert len([each for each in made if "Idempotency-Replayed" not in each.headers]) == 1
    assert {(each.json()["code"], each.headers["Retry-After"]) for each in busy} <= {
        ("IDEMPOTENCY_KEY_IN_USE", "1")
    }
    assert len(strategies(client)) == 1


@pytest.mark.parametrize("body", [BODY, {"symbol": "BTCUSDT", "timeframe": "5m"}])
def test_what_was_made_before_a_crash_is_met_again_not_made_again(
    dying: TestClient, client: TestClient, body: dict[str, Any]
) -> None:
    first = dying.post("/api/strategies", json=body, headers=keyed()).json()
    repeated = client.post("/api/strategies", json=body, headers=keyed())
    assert repeated.status_code == 201
    made = ("id", "strategy", "runId")
    assert [repeated.json()[name] for name in made] == [first[name] for name in made]
    assert len(strategies(client)) == 1


def test_an_attempt_that_died_before_it_made_anything_is_carried_out_by_the_repeat(
    store: PgStore, client: TestClient
) -> None:
    class Away(SmallRunner):
        """Begins under the key, then finds no database for the rest."""

        @property
        def idempotency(self) -> PgIdempotency:
            return store.idempotency

    with client_of(Away(None)) as half:
        assert half.post("/api/strategies", json=BODY, headers=keyed()).status_code == 503
    assert strategies(client) == []
    made = client.post("/api/strategies", json=BODY, headers=keyed())
    assert (made.status_code, "Idempotency-Replayed" in made.headers) == (201, False)


def test_a_tick_repeated_after_a_crash_is_the_tick_of_the_first_attempts_slot(
    dying: TestClient, client: TestClient, runner: SmallRunner
) -> None:
    made = go_live(client, "ann")
    client.post(f"/api/runs/{made['runId']}/start", headers=as_user("ann"))
    first = dying.post("/api/runner/execute-tick", json={"strategyRunId": made["runId"]},
                       headers=ADMIN | {"Idempotency-Key": KEY}).json()  # fmt: skip
    runner.now += timedelta(minutes=10)
    again = client.post("/api/runner/execute-tick", json={"strategyRunId": made["runId"]},
                        headers=ADMIN | {"Idempotency-Key": KEY}).json()  # fmt: skip
    assert (again["slot"], again["tickId"]) == (first["slot"], first["tickId"])


def test_a_simulated_trade_repeated_after_a_crash_is_booked_once(store: PgStore, runner: SmallRunner) -> None:
    """The ledger knows its id, as the answer that was never kept cannot tell."""
    settings = make_settings(ENABLE_RUNNER_ADMIN_ENDPOINTS="true")
    body, headers = {"userId": "ann", "pnlDeltaUsdt": "-10"}, ADMIN | {"Idempotency-Key": KEY}
    booked = []
    for each in (RunnerWithKeys(store, Dying(store.database, busy_s=0)), runner):
        with client_of(each, settings) as client:
            answer = client.post("/api/runner/simulate-trade-result", json=body, headers=headers)
            booked.append(answer.json()["realizedPnlUsdt"])
    assert booked == ["-10", "-10"]
    assert store.risk(UserId("ann")).state.day(runner.now).trades == 1


def test_keys_are_forgotten_after_a_day_and_are_then_another_requests(
    client: TestClient, database: Database
) -> None:
    first = client.post("/api/strategies", json=BODY, headers=keyed())
    client.post("/api/strategies", json=BODY | {"timeframe": "15m"}, headers=keyed(key="another-key-1"))
    with psycopg.connect(database.owner_dsn, connect_timeout=5) as connection:
        connection.execute("UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'")
    other = client.post("/api/strategies", json=BODY | {"timeframe": "1h"}, headers=keyed())
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]
    with psycopg.connect(database.owner_dsn, connect_timeout=5) as connection:
        assert connection.execute("SELECT count(*) FROM idempotency_keys").fetchone() == (1,)


def test_a_route_without_a_caller_or_an_answer_of_ours_can_keep_nothing() -> None:
    async def handler(call: Call) -> Answer:
        """Do it."""
        return Answer()

    with pytest.raises(TypeError, match="nothing to keep"):
        route("POST", "/api/x", handler, Access.ANYONE, idempotent=True)
