"""Signals from outside over HTTP: who may send them, once each, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from core.ids import RunId
from core.run import RunCommand
from schema.pg import PgStore
from tests.facade.world import START, SmallRunner, as_user, client_of, go_live, make_settings

LONG = {"idempotencyKey": "alert-0001", "action": "long"}


@pytest.fixture
def http(runner: SmallRunner) -> Iterator[TestClient]:
    with client_of(runner) as opened:
        yield opened


@pytest.fixture
def made(http: TestClient, store: PgStore) -> Any:
    """Alice's strategy of kind external, and a run of it that is active."""
    made = go_live(http, "alice", type="external", name="alerts")
    store.command(RunId(made["runId"]), RunCommand.START, by="alice")
    return made


def send(http: TestClient, strategy_id: str, user: str = "alice", **body: Any) -> Any:
    given = {key: value for key, value in {**LONG, **body}.items() if value is not None}
    return http.post(f"/api/strategies/{strategy_id}/signals", json=given, headers=as_user(user))


def test_a_strategy_of_kind_external_is_created_and_validated(http: TestClient, made: Any) -> None:
    assert (made["strategy"]["type"], made["strategy"]["template"]) == ("external", "external")
    answer = http.post("/api/strategies/validate", json={"type": "external"}, headers=as_user("alice"))
    assert (answer.json()["ok"], answer.json()["evaluations"]) == (True, 0)
    deployed = http.post(
        "/api/strategies/deploy",
        json={"type": "external", "symbol": "ETHUSDT", "timeframe": "5m", "autoStart": True},
        headers=as_user("alice"),
    )
    assert deployed.status_code == 201, deployed.text
    assert deployed.json()["run"]["nextSlotAt"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"code": "def strategy(context): ..."}, "code"),
        ({"nodeGraph": {"nodes": [], "edges": []}}, "nodeGraph"),
        ({"strategyParams": {"period": 3}}, "params"),
        ({"executionMode": "MANUAL"}, "executionMode"),
        ({"executionMode": "SCHEDULED"}, "executionMode"),
    ],
)
def test_what_evaluates_candles_is_refused_beside_type_external(
    http: TestClient, body: dict[str, Any], field: str
) -> None:
    given = {"type": "external", "symbol": "BTCUSDT", "timeframe": "5m", **body}
    answer = http.post("/api/strategies/deploy", json=given, headers=as_user("alice"))
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == field


def test_a_signal_is_stored_and_every_process_hears_of_it(
    http: TestClient, runner: SmallRunner, made: Any
) -> None:
    runner.now = START + timedelta(seconds=17.4)
    answer = send(http, made["id"], stopLoss="59000.5", minPrice=60000, maxPrice="61000", score=7)
    assert answer.status_code == 202, answer.text
    signal = answer.json()["signal"]
    assert answer.json()["repeated"] is False
    assert (signal["slot"], signal["runs"], signal["action"]) == ("2026-03-10T12:00:17Z", 1, "long")
    assert signal["expiresAt"] == "2026-03-10T12:00:47.400000Z"
    assert runner.signals_sent == 1
    [due] = runner.store.signals_due([RunId(UUID(made["runId"]))])
    assert str(due.signal.id) == signal["id"]
    listed = http.get(f"/api/strategies/{made['id']}/signals", headers=as_user("alice")).json()
    assert listed["signals"] == [signal]


def test_the_same_key_is_one_signal_and_409_with_another_body(http: TestClient, made: Any) -> None:
    first = send(http, made["id"]).json()
    again = send(http, made["id"])
    assert (again.status_code, again.json()["repeated"]) == (202, True)
    assert again.json()["signal"] == first["signal"]
    other = send(http, made["id"], action="short")
    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    by_header = {**as_user("alice"), "Idempotency-Key": "header-0001"}
    path = f"/api/strategies/{made['id']}/signals"
    answers = [
        http.post(path, json={**LONG, "idempotencyKey": "alert-0002"}, headers=by_header) for _ in range(2)
    ]
    assert answers[0].json()["signal"] == answers[1].json()["signal"]
    assert len(http.get(path, headers=as_user("alice")).json()["signals"]) == 2


@pytest.mark.parametrize(
    ("said", "shown", "closes"),
    [
        ("BUY", "long", False),
        ("sell", "short", False),
        ("EXIT_SHORT", "exit_short", False),
        ("Close", "close", True),
    ],
)
def test_what_charts_say_is_read_as_its_equal(
    http: TestClient, made: Any, store: PgStore, said: str, shown: str, closes: bool
) -> None:
    assert send(http, made["id"], action=said).json()["signal"]["action"] == shown
    [due] = store.signals_due([RunId(UUID(made["runId"]))])
    assert due.signal.sent.closes is closes


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"idempotencyKey": "short"}, 400, "BAD_REQUEST"),
        ({"idempotencyKey": None}, 400, "BAD_REQUEST"),
        ({"idempotencyKey": "alert-0001\n"}, 400, "BAD_REQUEST"),
        ({"idempotencyKey": 64 * "a" + "\n"}, 400, "BAD_REQUEST"),
        ({"action": "hold"}, 400, "BAD_REQUEST"),
        ({"action": "maybe"}, 400, "BAD_SIGNAL"),
        ({"stopLoss": "-1"}, 400, "BAD_SIGNAL"),
        ({"stopLoss": "1e999999"}, 400, "BAD_SIGNAL"),
        ({"stopLoss": "1e-999999999"}, 400, "BAD_SIGNAL"),
        ({"takeProfit": "1e300"}, 400, "BAD_SIGNAL"),
        ({"score": 11}, 400, "BAD_SIGNAL"),
        ({"leverage": 0}, 400, "BAD_SIGNAL"),
        ({"minPrice": "2", "maxPrice": "1"}, 400, "BAD_REQUEST"),
        ({"minPrice": "0"}, 400, "BAD_REQUEST"),
        ({"maxPrice": "1e999999"}, 400, "BAD_REQUEST"),
        ({"maxPrice": "NaN"}, 400, "BAD_REQUEST"),
        ({"stopLoss": "1." + "1" * 20_000}, 400, "BAD_SIGNAL"),
        ({"expiresAt": START.isoformat()}, 422, "SIGNAL_EXPIRED"),
        ({"price": "1"}, 400, "BAD_REQUEST"),
    ],
)
def test_what_cannot_be_acted_upon_is_refused_and_not_stored(
    http: TestClient, made: Any, body: dict[str, Any], status: int, code: str
) -> None:
    answer = send(http, made["id"], **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert http.get(f"/api/strategies/{made['id']}/signals", headers=as_user("alice")).json()["signals"] == []


def test_more_than_one_a_second_is_told_when_to_come_again(http: TestClient, made: Any) -> None:
    answers = [send(http, made["id"], idempotencyKey=f"alert-{number:04}") for number in range(7)]
    assert [answer.status_code for answer in answers] == [202] * 6 + [429]
    assert answers[-1].headers["Retry-After"] == "1"


def test_i12_only_the_owner_sends_and_anybody_else_meets_what_is_not_there(
    http: TestClient, made: Any, store: PgStore
) -> None:
    """A subscriber as little as a stranger, behind the wall of what others may read."""
    shown = {"visibility": "public"}
    assert (
        http.patch(f"/api/strategies/{made['id']}", json=shown, headers=as_user("alice")).status_code == 200
    )
    subscribed = {"capital": 1000}
    path = f"/api/strategies/{made['id']}/subscribe"
    assert http.post(path, json=subscribed, headers=as_user("bob")).status_code == 201
    foreign, missing = send(http, made["id"], "bob"), send(http, str(uuid4()), "bob")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["error"] == missing.json()["error"]
    assert http.get(f"/api/strategies/{made['id']}/signals", headers=as_user("bob")).status_code == 404
    assert send(http, made["id"]).json()["signal"]["runs"] == 2, "the owner's own run and the subscriber's"


def test_a_strategy_that_evaluates_candles_takes_no_signals(http: TestClient) -> None:
    strategy_id = go_live(http, "alice")["id"]
    answer = send(http, strategy_id)
    assert (answer.status_code, answer.json()["code"]) == (409, "NOT_EXTERNAL")


def test_nothing_is_accepted_that_nobody_would_act_upon(runner: SmallRunner) -> None:
    with client_of(runner, make_settings(ENABLE_STRATEGY_RUNNER="false")) as http:
        answer = send(http, go_live(http, "alice", type="external")["id"])
        assert (answer.status_code, answer.json()["code"]) == (503, "RUNNER_DISABLED")


def test_it_cannot_be_ticked_or_replayed_and_is_told_why(http: TestClient, made: Any) -> None:
    tick = http.post(f"/api/runs/{made['runId']}/execute-tick", headers=as_user("alice"))
    assert (tick.status_code, tick.json()["code"]) == (409, "TICKS_AT_SIGNALS")
    asked = {"type": "external", "symbol": "BTCUSDT", "timeframe": "5m"}
    backtest = http.post("/api/backtests", json=asked, headers=as_user("alice"))
    what_if = http.post(f"/api/strategies/{made['id']}/what-if", json={"days": 1}, headers=as_user("alice"))
    for answer in (backtest, what_if):
        assert answer.status_code == 400
        assert "come from outside" in answer.json()["error"]
