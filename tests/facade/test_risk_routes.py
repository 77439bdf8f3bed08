"""Risk over HTTP: state, limits, why entries are blocked; tighter by the user, looser by an administrator."""

from __future__ import annotations

from decimal import Decimal

import pytest
from starlette.testclient import TestClient

from core.ids import UserId
from core.risk import RiskLimits
from schema.ops import SimulateTrade
from schema.pg import PgStore
from schema.records import Event
from tests.facade.world import ADMIN, SmallRunner, as_user, client_of

ANN, BOB = as_user("ann"), as_user("bob")
ANN_ID = UserId("ann")


def lose(store: PgStore, delta: str) -> None:
    store.settle([SimulateTrade(user_id=ANN_ID, delta=Decimal(delta))])


def events_of(store: PgStore, type: str) -> list[Event]:
    return [event for event in store.events(user_id=ANN_ID) if event.type == type]


def test_a_user_without_a_history_sees_the_platforms_limits_and_no_block(client: TestClient) -> None:
    risk = client.get("/api/risk", headers=ANN).json()
    assert (risk["userId"], risk["day"], risk["tradesCount"]) == ("ann", "2026-03-10", 0)
    assert (risk["blockedReason"], risk["blockedUntil"], risk["ownLimits"]) == (None, None, False)
    assert risk["limits"] == risk["ceiling"]
    assert (risk["limits"]["dailyMaxLossUsdt"], risk["limits"]["pauseDurationMin"]) == ("50", "1440")


def test_why_entries_are_blocked_and_until_when_is_told(client: TestClient, store: PgStore) -> None:
    lose(store, "-50")
    risk = client.get("/api/risk", headers=ANN).json()
    assert (risk["blockedReason"], risk["blockedUntil"]) == ("paused", "2026-03-11T12:00:00Z")
    assert (risk["isPaused"], risk["pausedReason"], risk["realizedPnlUsdt"]) == (True, "daily_loss", "-50")


def test_i7_a_user_tightens_and_the_gate_reads_it_at_once(client: TestClient, store: PgStore) -> None:
    lose(store, "-20")
    answer = client.put(
        "/api/risk", json={"dailyMaxLossUsdt": "20", "cooldownAfterTradeSec": 60}, headers=ANN
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["limits"]["dailyMaxLossUsdt"], answer.json()["ownLimits"]) == ("20", True)
    assert answer.json()["blockedReason"] == "daily_loss"
    assert store.risk(ANN_ID).blocked == "daily_loss"
    (event,) = events_of(store, "risk.limits.updated")
    assert event.payload["by"] == "ann"
    assert (
        event.payload["before"]["daily_max_loss_usdt"],
        event.payload["after"]["daily_max_loss_usdt"],
    ) == (
        "50",
        "20",
    )


def test_a_user_goes_back_up_to_the_ceiling_and_not_beyond(client: TestClient, store: PgStore) -> None:
    assert client.put("/api/risk/limits", json={"maxTradesPerDay": 3}, headers=ANN).status_code == 200
    assert client.put("/api/risk/limits", json={"maxTradesPerDay": 20}, headers=ANN).status_code == 200
    refusal = client.put("/api/risk", json={"maxTradesPerDay": 21, "pauseDurationMin": 10}, headers=ANN)
    assert (refusal.status_code, refusal.json()["code"]) == (422, "LIMIT_TOO_LOOSE")
    assert {each["field"] for each in refusal.json()["details"]} == {"maxTradesPerDay", "pauseDurationMin"}
    assert store.risk(ANN_ID).limits == RiskLimits()
    assert len(events_of(store, "risk.limits.updated")) == 2


def test_an_administrator_loosens_and_the_user_may_tighten_again(client: TestClient, store: PgStore) -> None:
    body = {"userId": "ann", "dailyMaxLossUsdt": "200"}
    assert client.put("/api/risk", json=body, headers=ADMIN).json()["ceiling"]["dailyMaxLossUsdt"] == "200"
    assert store.risk(ANN_ID).limits.daily_max_loss_usdt == 200
    assert client.put("/api/risk", json={"dailyMaxLossUsdt": "150"}, headers=ANN).status_code == 200
    assert client.put("/api/risk", json={"dailyMaxLossUsdt": "201"}, headers=ANN).status_code == 422
    assert client.get("/api/risk?userId=ann", headers=ADMIN).json()["limits"]["dailyMaxLossUsdt"] == "150"
    assert [event.payload["by"] for event in events_of(store, "risk.limits.updated")] == ["root", "ann"]


def test_the_same_limits_again_are_no_event(client: TestClient, store: PgStore) -> None:
    for _ in range(2):
        client.put("/api/risk", json={"maxTradesPerDay": 5}, headers=ANN)
    assert len(events_of(store, "risk.limits.updated")) == 1


def test_i12_only_an_administrator_names_another_user(client: TestClient, store: PgStore) -> None:
    assert client.get("/api/risk?userId=ann", headers=BOB).status_code == 403
    assert (
        client.put("/api/risk", json={"userId": "ann", "maxTradesPerDay": 1}, headers=BOB).status_code == 403
    )
    assert client.post("/api/risk/ann/resume", headers=BOB).status_code == 403
    assert store.risk(ANN_ID).limits == RiskLimits()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dailyMaxLossUsdt": "0"}, "dailyMaxLossUsdt"),
        ({"dailyMaxLossUsdt": "NaN"}, "dailyMaxLossUsdt"),
        ({"dailyMaxLossUsdt": "Infinity"}, "dailyMaxLossUsdt"),
        ({"maxTradesPerDay": -1}, "maxTradesPerDay"),
        ({"maxConsecutiveLosses": 0}, "maxConsecutiveLosses"),
        ({"cooldownAfterTradeSec": -1}, "cooldownAfterTradeSec"),
        ({"pauseDurationMin": "0.5"}, "pauseDurationMin"),
        ({"maxTrades": 1}, "maxTrades"),
    ],
)
def test_limits_that_cannot_be_are_named_by_their_field(
    client: TestClient, body: dict[str, object], field: str
) -> None:
    refusal = client.put("/api/risk", json=body, headers=ADMIN)
    assert refusal.status_code == 400, refusal.text
    assert refusal.json()["details"][0]["field"] == field


@pytest.fixture
def paused(client: TestClient, store: PgStore) -> TestClient:
    for _ in range(3):
        lose(store, "-1")
    assert client.get("/api/risk", headers=ANN).json()["pausedReason"] == "consecutive_losses"
    return client


def test_an_administrator_ends_a_pause_once_with_an_event(paused: TestClient, store: PgStore) -> None:
    for _ in range(2):
        answer = paused.post("/api/risk/ann/resume", headers=ADMIN)
        assert answer.status_code == 200, answer.text
    risk = answer.json()
    assert (risk["isPaused"], risk["consecutiveLosses"]) == (False, 0)
    assert risk["blockedReason"] == "cooldown"  # the trade of this moment
    resumed = [e for e in events_of(store, "risk_block") if e.payload["action"] == "resumed"]
    assert [event.payload["by"] for event in resumed] == ["root"]


def test_i7_a_resume_does_not_lift_a_days_loss(client: TestClient, store: PgStore) -> None:
    lose(store, "-60")
    risk = client.post("/api/risk/ann/resume", headers=ADMIN).json()
    assert (risk["isPaused"], risk["blockedReason"]) == (False, "daily_loss")
    assert risk["blockedUntil"] == "2026-03-11T00:00:00Z"


def test_a_resume_that_nobody_answers_is_a_504(paused: TestClient, runner: SmallRunner) -> None:
    runner.deaf = True
    assert paused.post("/api/risk/ann/resume", headers=ADMIN).status_code == 504


def test_a_restart_keeps_both_sets_of_limits(store: PgStore, runner: SmallRunner) -> None:
    with client_of(runner) as first:
        first.put("/api/risk", json={"userId": "ann", "maxTradesPerDay": 40}, headers=ADMIN)
        first.put("/api/risk", json={"maxTradesPerDay": 30}, headers=ANN)
    with client_of(runner) as second:
        risk = second.get("/api/risk", headers=ANN).json()
    assert (risk["limits"]["maxTradesPerDay"], risk["ceiling"]["maxTradesPerDay"]) == (30, 40)
