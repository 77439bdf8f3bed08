"""Strategies put to work: on paper or a connection, by hand, by schedule or at every close."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from core.ids import AccountId, UserId
from schema.pg import PgStore
from schema.records import Account, AccountKind
from tests.facade.world import SmallRunner, as_user, client_of, go_live, make_settings

ALICE, BOB = as_user("alice"), as_user("bob")
NOBODYS = "00000000-0000-0000-0000-0000000000aa"
NEW = {"symbol": "BTCUSDT", "timeframe": "5m", "strategyTemplate": "ema_cross"}


def strategy_of(client: TestClient, **body: Any) -> str:
    given = {"symbol": "BTCUSDT", "timeframe": "5m", "strategyTemplate": "ema_cross", **body}
    answer = client.post("/api/strategies", json=given, headers=ALICE)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_both_forms_make_a_paper_run_of_that_bankroll(client: TestClient, store: PgStore) -> None:
    strategy = strategy_of(client)
    body = {"tradingMode": "paper", "paperBankrollUsd": 2500, "executionMode": "AUTO", "autoStart": True}
    for path, more in (
        ("/api/strategies/deploy", {"strategyId": strategy}),
        (f"/api/strategies/{strategy}/deploy", {}),
        ("/api/strategies/deploy", NEW),
    ):
        answer = client.post(path, json={**body, **more}, headers=ALICE)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        assert (made["status"], made["tradingMode"], made["executionMode"]) == ("active", "paper", "AUTO")
        account = store.account(AccountId(made["run"]["accountId"]))
        assert account is not None
        assert (account.balance, account.user_id, account.kind) == (2500, "alice", AccountKind.PORTFOLIO)
        assert made["run"]["initialCapitalUsdt"] == "2500"
        if more is not NEW:
            assert made["strategyId"] == strategy


def test_without_auto_start_it_is_a_draft_that_may_be_started(client: TestClient) -> None:
    made = client.post("/api/strategies/deploy", json=NEW, headers=ALICE).json()
    assert made["status"] == "draft"
    started = client.post(f"/api/runs/{made['runId']}/start", headers=ALICE).json()
    assert (started["status"], started["tradingMode"]) == ("active", "paper")


def test_a_manual_run_ticks_by_execute_tick_only(
    client: TestClient, runner: SmallRunner, store: PgStore
) -> None:
    """Invariants §5: start answers 409; it is active from the deployment on, and after a pause once it is resumed."""
    made = client.post(
        "/api/strategies/deploy", json={**NEW, "executionMode": "MANUAL"}, headers=ALICE
    ).json()
    run = f"/api/runs/{made['runId']}"
    assert (made["status"], made["run"]["nextSlotAt"]) == ("active", None)
    for path in (f"{run}/start", f"/api/strategies/{made['strategyId']}/start"):
        answer = client.post(path, headers=ALICE)
        assert (answer.status_code, answer.json()["code"]) == (409, "ILLEGAL_STATE")
    assert client.put(f"{run}/status", json={"status": "active"}, headers=ALICE).status_code == 409
    assert client.post(f"{run}/execute-tick", headers=ALICE).json()["status"] == "ok"
    assert store.pending(runner.now) == 0
    assert client.post(f"{run}/pause", headers=ALICE).status_code == 200
    assert client.post(f"{run}/execute-tick", headers=ALICE).status_code == 409
    assert client.post(f"{run}/start", headers=ALICE).status_code == 409
    assert client.post(f"{run}/resume", headers=ALICE).json()["status"] == "active"


@pytest.mark.parametrize(
    ("body", "mode", "schedule", "timeframe"),
    [
        ({"schedule": "*/15 * * * *"}, "SCHEDULED", "*/15 * * * *", "5m"),
        ({"schedule": "1h"}, "SCHEDULED", "0 * * * *", "5m"),
        ({"executionMode": "SCHEDULED"}, "SCHEDULED", "*/5 * * * *", "5m"),
        ({"executionMode": "AUTO", "schedule": "*/5 * * * *"}, "AUTO", None, "5m"),
        ({"timeframe": None, "schedule": "*/15 * * * *"}, "SCHEDULED", "*/15 * * * *", "15m"),
        ({}, "AUTO", None, "5m"),
    ],
)
def test_a_schedule_chooses_among_the_slots_of_the_timeframe(
    client: TestClient, body: dict[str, Any], mode: str, schedule: str | None, timeframe: str
) -> None:
    """Decision 4."""
    made = client.post("/api/strategies/deploy", json={**NEW, **body}, headers=ALICE).json()
    assert (made["executionMode"], made["run"]["schedule"]) == (mode, schedule)
    shown = client.get(f"/api/strategies/{made['strategyId']}", headers=ALICE).json()
    assert shown["timeframe"] == timeframe


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"schedule": "*/7 * * * *"}, "nearest"),
        ({"schedule": "every day"}, "every day"),
        ({"executionMode": "AUTO", "schedule": "0 * * * *"}, "schedule"),
        ({"executionMode": "auto"}, "executionMode"),
        ({"paperBankrollUsd": 99}, "paperBankrollUsd"),
        ({"paperBankrollUsd": 1_000_001}, "paperBankrollUsd"),
        ({"paperBankrollUsd": "NaN"}, "paperBankrollUsd"),
        ({"tradingMode": "live"}, "connectionId"),
        ({"tradingMode": "signals"}, "tradingMode"),
        ({"connectionId": NOBODYS}, "connectionId"),
        ({"symbol": None}, "symbol"),
        ({"timeframe": None}, "timeframe"),
        ({"strategyId": NOBODYS}, "strategyTemplate"),
        ({"riskPct": 1}, "riskPct"),
        ({"autoStart": "yes"}, "autoStart"),
    ],
)
def test_what_cannot_be_deployed_is_400_and_makes_nothing(
    client: TestClient, change: dict[str, Any], named: str
) -> None:
    answer = client.post("/api/strategies/deploy", json={**NEW, **change}, headers=ALICE)
    assert answer.status_code == 400, answer.text
    assert named in answer.json()["error"]
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []


def test_a_preflight_that_fails_makes_nothing(client: TestClient, store: PgStore) -> None:
    """I15, and the kill switch, before anything is written."""
    for body in ({"autoStart": True}, {"executionMode": "MANUAL"}):
        answer = client.post(
            "/api/strategies/deploy", json={**NEW, **body, "symbol": "DOGEUSDT"}, headers=ALICE
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "SYMBOL_NOT_ALLOWED")
    store.set_kill_switch(on=True, reason="drill")
    answer = client.post("/api/strategies/deploy", json={**NEW, "autoStart": True}, headers=ALICE)
    assert answer.status_code == 423
    assert client.get("/api/strategies", headers=ALICE).json()["strategies"] == []
    assert client.post("/api/strategies/deploy", json=NEW, headers=ALICE).status_code == 201


def test_a_disabled_runner_deploys_drafts_only(client: TestClient, runner: SmallRunner) -> None:
    disabled = client_of(runner, make_settings(ENABLE_STRATEGY_RUNNER="false"))
    answer = disabled.post("/api/strategies/deploy", json={**NEW, "autoStart": True}, headers=ALICE)
    assert (answer.status_code, answer.json()["code"]) == (503, "RUNNER_DISABLED")
    assert disabled.post("/api/strategies/deploy", json=NEW, headers=ALICE).status_code == 201


def test_accounts_are_the_callers_own_and_of_the_kind_that_is_asked_for(
    client: TestClient, store: PgStore
) -> None:
    """I12."""
    strategy = strategy_of(client, visibility="public")
    connection = Account(
        id=AccountId(UUID(int=77)),
        user_id=UserId("bob"),
        name="keys",
        kind=AccountKind.CONNECTION,
        venue="binance",
    )
    store.create_account(connection)
    portfolio = go_live(client, "bob", symbol="ETHUSDT")["run"]["accountId"]
    path = f"/api/strategies/{strategy}/deploy"
    live = client.post(path, json={"tradingMode": "live", "connectionId": str(connection.id)}, headers=BOB)
    assert (live.status_code, live.json()["tradingMode"]) == (201, "live")
    paper = client.post(path, json={"portfolioId": portfolio}, headers=BOB)
    assert (paper.status_code, paper.json()["run"]["accountId"]) == (201, portfolio)
    for body in (
        {"tradingMode": "live", "connectionId": portfolio},
        {"portfolioId": str(connection.id)},
        {"portfolioId": NOBODYS},
    ):
        assert client.post(path, json=body, headers=BOB).status_code == 404
        assert client.post(path, json=body, headers=ALICE).status_code == 404


def test_somebody_elses_private_strategy_is_not_there_to_deploy(client: TestClient) -> None:
    """I12."""
    private = strategy_of(client)
    for strategy in (private, NOBODYS):
        assert client.post(f"/api/strategies/{strategy}/deploy", json={}, headers=BOB).status_code == 404
        body = {"strategyId": strategy}
        assert client.post("/api/strategies/deploy", json=body, headers=BOB).status_code == 404


def test_a_repeat_under_the_same_key_deploys_once(client: TestClient) -> None:
    headers = {**ALICE, "Idempotency-Key": "deploy-0001"}
    made = [
        client.post("/api/strategies/deploy", json=NEW, headers=headers).json()["runId"] for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(client.get("/api/strategies", headers=ALICE).json()["strategies"]) == 1
