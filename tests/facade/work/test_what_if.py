"""What-if: orders that a change would have added, removed or resized, before it is saved."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from core.ids import UserId
from facade.routes.what_if import MAX_RUNS
from schema.jobs import JobId
from schema.pg import PgStore
from tests.facade.work.conftest import DAYS, FIRST, SERIES, some_candles
from tests.facade.world import SmallRunner, as_user, go_live

ALICE = as_user("alice")
NOW = FIRST + timedelta(days=DAYS)


@pytest.fixture
def strategy(http: TestClient, store: PgStore, runner: SmallRunner) -> str:
    """Alice's active run, and candles to replay it over."""
    store.market.store(SERIES, some_candles())
    runner.now = NOW
    body = {
        "symbol": "BTCUSDT",
        "timeframe": "5m",
        "strategyParams": {"rsi_period": 7},
        "orderSizePct": "50",
        "initialCapitalUsdt": "1000",
        "stopLossPct": "1",
    }
    made = http.post("/api/strategies", json=body, headers=ALICE).json()
    assert http.post(f"/api/runs/{made['runId']}/start", headers=ALICE).status_code == 200
    return str(made["id"])


def outcome(http: TestClient, path: str, body: dict[str, Any]) -> Any:
    answer = http.post(path, json=body, headers=ALICE)
    assert answer.status_code == 202, answer.text
    id_ = answer.json()["job"]["id"]
    for _ in range(3):
        done = http.get(f"/api/jobs/{id_}?waitSec=10", headers=ALICE).json()
        if done["job"]["state"] != "running":
            break
    assert done["job"]["state"] == "done", done
    return done["result"]


def test_settings_that_stay_change_no_order(http: TestClient, strategy: str) -> None:
    told = outcome(http, f"/api/strategies/{strategy}/what-if", {"days": 3})
    assert told["counts"] == {"added": 0, "removed": 0, "resized": 0}
    assert told["before"] == told["after"]
    assert told["before"]["orders"] > 4
    assert (told["runs"], told["leftOut"]) == (1, 0)


def test_half_the_size_resizes_every_order_and_neither_adds_nor_removes(
    http: TestClient, strategy: str
) -> None:
    told = outcome(http, f"/api/strategies/{strategy}/what-if", {"days": 3, "orderSizePct": "25"})
    assert (told["counts"]["added"], told["counts"]["removed"]) == (0, 0)
    assert told["counts"]["resized"] == told["before"]["orders"] == told["after"]["orders"] > 0
    for each in told["resized"]:
        was, is_now = (float(each[side]["quantity"]) for side in ("before", "after"))
        assert is_now == pytest.approx(was / 2, rel=0.2)
    assert [each["slot"] for each in told["resized"]] == sorted(each["slot"] for each in told["resized"])
    # Nothing was saved.
    shown = http.get(f"/api/strategies/{strategy}", headers=ALICE).json()
    assert (shown["version"], shown["runs"][0]["orderSizePct"]) == (1, "50")


def test_one_side_removes_the_orders_of_the_other(http: TestClient, strategy: str) -> None:
    told = outcome(http, f"/api/strategies/{strategy}/what-if", {"days": 3, "direction": "long"})
    assert told["counts"]["removed"] > 0
    assert {each["side"] for each in told["removed"] if each["leg"] == "entry"} == {"sell"}
    assert all(each["after"] is None for each in told["removed"])


def test_tighter_limits_remove_what_they_would_have_blocked(http: TestClient, strategy: str) -> None:
    told = outcome(http, "/api/risk/what-if", {"days": 3, "maxTradesPerDay": 1})
    assert told["counts"]["removed"] > 0
    assert told["after"]["trades"] < told["before"]["trades"]
    assert told["after"]["blocked"]["max_trades"] > told["before"]["blocked"].get("max_trades", 0)
    # At most one entry a day: three whole days and the ends of the range.
    assert told["after"]["trades"] <= 4


def test_runs_that_are_not_replayed_are_counted(client: TestClient, store: PgStore) -> None:
    """Those beyond MAX_RUNS, and one on another venue than most."""
    for number in range(MAX_RUNS + 3):
        made = go_live(client, "alice", name=f"n{number}", venue="bybit" if number == 0 else "binance")
        assert client.post(f"/api/runs/{made['runId']}/start", headers=ALICE).status_code == 200
    asked = client.post("/api/risk/what-if", json={}, headers=ALICE).json()["job"]["id"]
    job = store.jobs.one(UserId("alice"), JobId(UUID(asked)))
    assert job is not None
    assert (len(job.params["before"]["runs"]), job.params["left_out"]) == (MAX_RUNS, 3)


def test_a_change_of_symbol_needs_its_candles(http: TestClient, store: PgStore, strategy: str) -> None:
    body = {"days": 2, "symbol": "ETHUSDT"}
    answer = http.post(f"/api/strategies/{strategy}/what-if", json=body, headers=ALICE).json()
    failed = http.get(f"/api/jobs/{answer['job']['id']}?waitSec=10", headers=ALICE).json()["job"]
    assert failed["state"] == "failed"
    assert "There are no candles of ETHUSDT stored" in failed["error"]


def test_a_foreign_private_strategy_is_404_and_no_run_is_no_question(http: TestClient, strategy: str) -> None:
    """I12."""
    path = f"/api/strategies/{strategy}/what-if"
    assert http.post(path, json={}, headers=as_user("bob")).status_code == 404
    asked = http.post("/api/risk/what-if", json={}, headers=as_user("bob")).json()["job"]["id"]
    told = http.get(f"/api/jobs/{asked}?waitSec=10", headers=as_user("bob")).json()["job"]
    assert told["state"] == "failed"
    assert told["error"].startswith("You have no active run")
