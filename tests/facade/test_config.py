"""Settings over HTTP: shown with their origin, changed while the service runs, on every process, with an event."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from starlette.testclient import TestClient

from core.ids import UserId
from core.live_settings import LiveSettings
from schema.ledger import PLATFORM_USER
from schema.pg import PgStore
from tests.facade.world import ADMIN, SECRET, SmallRunner, as_user, client_of, make_settings

PATH = "/api/config"


def setting(answer: Any, name: str) -> tuple[str, str, str | None]:
    (row,) = [each for each in answer.json()["settings"] if each["name"] == name]
    return row["value"], row["origin"], row["waiting"]


def change(client: TestClient, **values: object) -> Any:
    return client.patch(PATH, json={"values": values}, headers=ADMIN)


def test_settings_are_shown_with_value_and_origin_secrets_masked(client: TestClient) -> None:
    answer = client.get(PATH, headers=ADMIN)
    assert setting(answer, "MAX_LEVERAGE") == ("10", "default", None)
    assert setting(answer, "ENABLE_STRATEGY_RUNNER") == ("true", "environment", None)
    assert SECRET not in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert client.get(PATH, headers=as_user("ann")).status_code == 403
    assert client.patch(PATH, json={"values": {"MAX_LEVERAGE": 5}}, headers=as_user("ann")).status_code == 403


def test_a_change_is_in_force_at_once_with_an_event_and_can_be_taken_back(
    client: TestClient, store: PgStore
) -> None:
    answer = change(client, MAX_LEVERAGE=5, RETENTION_DAYS=30)
    assert answer.status_code == 200, answer.text
    assert setting(answer, "MAX_LEVERAGE") == ("5", "administrator", None)
    assert setting(answer, "RETENTION_DAYS") == ("400", "default", "30")
    assert answer.json()["needsRestart"] == ["RETENTION_DAYS"]
    body = {"symbol": "BTCUSDT", "timeframe": "5m", "leverage": 6}
    run_id = client.post("/api/strategies", json=body, headers=as_user("ann")).json()["runId"]
    refusal = client.post(f"/api/runs/{run_id}/start", headers=as_user("ann"))
    assert (refusal.status_code, refusal.json()["code"]) == (422, "LEVERAGE_TOO_HIGH")
    assert setting(change(client, MAX_LEVERAGE=None), "MAX_LEVERAGE") == ("10", "default", None)
    change(client, MAX_LEVERAGE=None)
    told = [e.payload for e in store.events(user_id=PLATFORM_USER) if e.type == "config.updated"]
    assert [(each["name"], each.get("before"), each.get("after")) for each in told] == [
        ("MAX_LEVERAGE", None, "5"),
        ("RETENTION_DAYS", None, "30"),
        ("MAX_LEVERAGE", "5", None),
    ]
    assert {each["by"] for each in told} == {"root"}


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"MAX_LEVERAGE": 0}, 400),
        ({"MAX_LEVERAGE": "many"}, 400),
        ({"DAILY_MAX_LOSS_USDT": "-5", "MAX_LEVERAGE": 3}, 400),
        ({"NO_SUCH": 1}, 400),
        ({}, 400),
        ({"JWT_SECRET": "mine"}, 422),
        ({"DATABASE_URL": "postgres://x"}, 422),
        ({"ENABLE_RUNNER_ADMIN_ENDPOINTS": True}, 422),
        ({"WEBHOOK_ALLOW_PRIVATE": True, "MAX_LEVERAGE": 3}, 422),
    ],
)
def test_what_cannot_be_or_may_not_is_refused_whole(
    client: TestClient, store: PgStore, values: dict[str, object], status: int
) -> None:
    assert change(client, **values).status_code == status
    assert store.config.overrides() == {}
    assert [e for e in store.events(user_id=PLATFORM_USER) if e.type == "config.updated"] == []


def test_i7_a_tighter_platform_limit_tightens_users_own_but_not_what_an_administrator_gave(
    runner: SmallRunner, store: PgStore
) -> None:
    live = LiveSettings(make_settings())
    live.on_change(lambda now: store.use_limits(now.risk_limits()))
    with client_of(runner, live=live) as client:
        ann, bob, cid = (as_user(name) for name in ("ann", "bob", "cid"))
        client.put("/api/risk", json={"dailyMaxLossUsdt": "40", "maxTradesPerDay": 5}, headers=ann)
        client.put("/api/risk", json={"userId": "bob", "dailyMaxLossUsdt": "80"}, headers=ADMIN)
        assert change(client, DAILY_MAX_LOSS_USDT="30").status_code == 200
        limits = [store.risk(UserId(name)).limits for name in ("ann", "bob", "cid")]
        assert [each.daily_max_loss_usdt for each in limits] == [Decimal(30), Decimal(80), Decimal(30)]
        assert limits[0].max_trades_per_day == 5
        assert client.put("/api/risk", json={"dailyMaxLossUsdt": "31"}, headers=cid).status_code == 422
        assert client.get("/api/risk", headers=bob).json()["limits"]["dailyMaxLossUsdt"] == "80"
