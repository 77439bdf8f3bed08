"""The runner's endpoints: cron, operator ticks, status, simulation, kill switch, actors."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from starlette.testclient import TestClient

from core.ids import RunId, UserId
from core.risk import RiskLimits
from facade.bridge import Waits
from schema.pg import PgStore
from schema.records import SlotReport, TickRow, TickStatus
from tests.facade.world import ADMIN, START, WORKER, SmallRunner, as_user, client_of, go_live, make_settings
from tests.schema.conftest import Database

ALICE = as_user("alice")


def start_run(client: TestClient, user: str = "alice", **body: Any) -> str:
    created = go_live(client, user, **body)
    assert client.post(f"/api/runs/{created['runId']}/start", headers=as_user(user)).status_code == 200
    return str(created["runId"])


def test_cron_runs_everything_due_and_sums_it_up(client: TestClient) -> None:
    for timeframe in ("1m", "5m", "1h"):
        start_run(client, timeframe=timeframe)
    answer = client.post("/api/runner/cron", headers=ADMIN).json()
    assert answer["ok"]
    assert answer["summary"] == {"processed": 3, "ran": 3, "skipped": 0, "blocked": 0, "errors": 0}
    assert answer["notes"] == []
    assert answer["ranAt"] == "2026-03-10T12:00:00Z"
    assert {"startedAt", "finishedAt"} <= set(answer)


def test_cron_again_changes_nothing(client: TestClient, store: PgStore) -> None:
    """I1: at most one evaluated tick per run and slot, whoever asks how often."""
    start_run(client)
    first = client.post("/api/runner/cron", headers=ADMIN).json()
    again = client.post("/api/cron/strategies", headers=ADMIN).json()
    assert first["summary"] == again["summary"]
    assert len(store.ticks()) == 1


@pytest.mark.parametrize(
    ("offset_s", "due"), [(-5.001, False), (-5, True), (0, True), (5, True), (5.001, False)]
)
def test_cron_is_due_from_5_s_before_to_the_grace_after(
    client: TestClient, runner: SmallRunner, offset_s: float, due: bool
) -> None:
    start_run(client)
    runner.now = START + timedelta(seconds=offset_s)
    runner.deaf = not due
    answer = client.post("/api/runner/cron", headers=ADMIN).json()
    assert answer["summary"]["processed"] == (1 if due else 0)


def test_cron_answers_in_time_and_names_what_is_undecided(runner: SmallRunner) -> None:
    """Decision 11, with its two seconds shortened."""
    client = client_of(runner, waits=Waits(cron_answer_s=0.1))
    start_run(client)
    runner.deaf = True
    runner.now = START + timedelta(seconds=3)
    began = time.monotonic()
    answer = client.post("/api/runner/cron", headers=ADMIN).json()
    assert time.monotonic() - began < 2
    assert answer["summary"]["processed"] == 1
    assert answer["summary"]["ran"] == 0
    assert "1 of 1 runs were not decided" in answer["notes"][0]


def test_cron_tells_what_it_knows_where_the_next_reading_does_not_end(database: Database) -> None:
    """Decision 11: a database that has become slow does not keep the caller."""
    gate = threading.Event()

    class SlowAfterOne(PgStore):
        readings = 0

        def pending(self, slot: datetime) -> int:
            self.readings += 1
            assert self.readings == 1 or gate.wait(30)
            return super().pending(slot)

    store = SlowAfterOne(database.service_dsn, default_limits=RiskLimits(), worker=WORKER)
    store.mark_demo(start=START - timedelta(minutes=1), rate=1.0)
    store.set_clock(at=START, ceiling=START)
    runner = SmallRunner(store)
    with client_of(runner, waits=Waits(cron_answer_s=0.1)) as client:
        start_run(client)
        runner.deaf = True
        runner.now = START + timedelta(seconds=3)
        answer = client.post("/api/runner/cron", headers=ADMIN).json()
        gate.set()
    store.close()
    assert store.readings == 2
    assert answer["summary"]["processed"] == 1
    assert "1 of 1 runs were not decided" in answer["notes"][0]


def test_execute_tick_answers_with_the_tick_and_repeats_it(client: TestClient, runner: SmallRunner) -> None:
    """I1"""
    run_id = start_run(client)
    runner.now = START + timedelta(seconds=77)
    answer = client.post("/api/runner/execute-tick", json={"strategyRunId": run_id}, headers=ADMIN)
    assert answer.status_code == 200
    tick = answer.json()
    assert (tick["status"], tick["signal"], tick["reason"], tick["latencyMs"]) == ("ok", "hold", None, 1.25)
    assert tick["slot"] == "2026-03-10T12:00:00Z"
    again = client.post(f"/api/runs/{run_id}/execute-tick", headers=ALICE).json()
    assert again["tickId"] == tick["tickId"]
    listed = client.get("/api/runner/tick-runs", headers=ADMIN).json()["ticks"]
    assert [(each["tickId"], each["source"]) for each in listed] == [(tick["tickId"], "operator")]


def test_only_an_active_run_ticks(client: TestClient) -> None:
    run_id = go_live(client, "alice")["runId"]
    for answer in (
        client.post("/api/runner/execute-tick", json={"strategyRunId": run_id}, headers=ADMIN),
        client.post(f"/api/runs/{run_id}/execute-tick", headers=ALICE),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "NOT_ACTIVE")


def test_nobody_ticking_is_504(runner: SmallRunner) -> None:
    client = client_of(runner, waits=Waits(tick_s=0.1))
    run_id = start_run(client)
    runner.deaf = True
    answer = client.post("/api/runner/execute-tick", json={"strategyRunId": run_id}, headers=ADMIN)
    assert (answer.status_code, answer.json()["code"]) == (504, "TIMEOUT")


def test_a_run_that_is_not_is_404(client: TestClient) -> None:
    body = {"strategyRunId": "00000000-0000-0000-0000-0000000000aa"}
    assert client.post("/api/runner/execute-tick", json=body, headers=ADMIN).status_code == 404


def test_tick_runs_are_filtered(client: TestClient, runner: SmallRunner) -> None:
    run_id, other = start_run(client), start_run(client, "bob")
    client.post("/api/runner/cron", headers=ADMIN)
    runner.now = START + timedelta(minutes=5)
    client.post(f"/api/runs/{run_id}/execute-tick", headers=ALICE)

    def count(**params: str) -> int:
        return len(client.get("/api/runner/tick-runs", params=params, headers=ADMIN).json()["ticks"])

    assert count() == 3
    assert count(runId=run_id) == 2
    assert count(runId=other) == 1
    assert count(status="ok") == 3
    assert count(status="blocked") == 0
    assert count(since="2026-03-10T12:05:00Z") == 1
    assert count(limit="1") == 1
    assert count(source="cron") == 2
    assert count(source="operator") == 1
    assert count(source="candle") == 0


def test_tick_runs_tell_who_asked_first_and_who_lost_i1(client: TestClient, runner: SmallRunner) -> None:
    run_id = start_run(client)
    client.post("/api/runner/cron", headers=ADMIN)
    runner.execute_tick(RunId(UUID(run_id)), START)
    [tick] = client.get("/api/runner/tick-runs", headers=ADMIN).json()["ticks"]
    assert (tick["source"], tick["askedAt"], tick["lateMs"]) == ("cron", "2026-03-10T12:00:00.500000Z", 500)
    assert tick["lostTriggers"] == [
        {"source": "operator", "node": "node-1", "askedAt": "2026-03-10T12:00:00.500000Z", "lateMs": 500}
    ]


def test_a_missed_slot_has_nobody_who_asked(client: TestClient, runner: SmallRunner) -> None:
    run_id = start_run(client)
    missed = TickRow(
        run_id=RunId(UUID(run_id)),
        user_id=UserId("alice"),
        slot=START,
        status=TickStatus.MISSED,
        reason="down",
        scheduled_at=START,
        finished_at=START,
    )
    runner.store.report(SlotReport(ticks=(missed,)))
    [tick] = client.get("/api/runner/tick-runs", headers=ADMIN).json()["ticks"]
    assert (tick["reason"], tick["askedAt"], tick["lateMs"], tick["lostTriggers"]) == ("down", None, None, [])


def test_tick_runs_come_in_pages(client: TestClient, runner: SmallRunner) -> None:
    for user in ("alice", "bob", "carol"):
        start_run(client, user)
    for minutes in (0, 5):
        runner.now = START + timedelta(minutes=minutes)
        client.post("/api/runner/cron", headers=ADMIN)
    url = "/api/runner/tick-runs"
    whole = client.get(url, headers=ADMIN).json()
    assert (len(whole["ticks"]), whole["nextCursor"]) == (6, None)
    paged, cursor = [], None
    for size in (2, 2, 2):
        params = {"limit": "2", "status": "ok"} | ({"cursor": cursor} if cursor else {})
        page = client.get(url, params=params, headers=ADMIN).json()
        assert len(page["ticks"]) == size
        paged += page["ticks"]
        cursor = page["nextCursor"]
    assert (paged, cursor) == (whole["ticks"], None)


@pytest.mark.parametrize("query", ["cursor=mine", "source=nobody", "cursor=MjAyNi0wMS0wMVQwMDowMDowMA=="])
def test_a_cursor_or_source_of_the_callers_making_is_400(client: TestClient, query: str) -> None:
    answer = client.get(f"/api/runner/tick-runs?{query}", headers=ADMIN)
    assert answer.status_code == 400
    assert answer.json()["details"][0]["field"] == query.partition("=")[0]


def test_status_shows_the_runner_at_a_glance(client: TestClient) -> None:
    start_run(client)
    client.post("/api/runner/cron", headers=ADMIN)
    answer = client.get("/api/runner/status", headers=ADMIN).json()
    assert answer["enabled"] is True
    assert (answer["activeStrategies"], answer["lastTickStatus"], answer["blockedUsersCount"]) == (1, "ok", 0)
    assert answer["candles"] == [
        {
            "symbol": "BTCUSDT",
            "timeframe": "5m",
            "strategies": 1,
            "runs": 1,
            "nextSlot": "2026-03-10T12:05:00Z",
        }
    ]
    assert answer["nodes"][0]["id"] == "node-1"
    assert answer["actors"] == {
        "total": 3,
        "restarts": 3,
        "mailboxLength": 3,
        "byState": {"running": 2, "restarting": 1},
    }
    assert set(answer["slotLagMs"]) == {"p50", "p99"}
    assert "lastBlockedReasons" in answer


def test_simulation_is_there_only_when_enabled_and_pauses_at_the_daily_loss(
    client: TestClient, runner: SmallRunner
) -> None:
    """I7: −50 pauses, −49.99 does not."""
    body = {"userId": "alice", "pnlDeltaUsdt": "-49.99"}
    assert client.post("/api/runner/simulate-trade-result", json=body, headers=ADMIN).status_code == 404
    enabled = client_of(runner, make_settings(ENABLE_RUNNER_ADMIN_ENDPOINTS="true"))
    first = enabled.post("/api/runner/simulate-trade-result", json=body, headers=ADMIN).json()
    assert (first["isPaused"], first["realizedPnlUsdt"], first["tradesCount"]) == (False, "-49.99", 1)
    assert (first["consecutiveLosses"], first["blockedReason"]) == (1, "cooldown")
    second = enabled.post(
        "/api/runner/simulate-trade-result", json={"userId": "alice", "pnlDeltaUsdt": -0.01}, headers=ADMIN
    ).json()
    assert (second["isPaused"], second["pausedReason"], second["blockedReason"]) == (
        True,
        "daily_loss",
        "paused",
    )
    assert second["pausedUntil"] == "2026-03-11T12:00:00Z"
    other = enabled.post(
        "/api/runner/simulate-trade-result", json={"userId": "bob", "pnlDeltaUsdt": 1}, headers=ADMIN
    ).json()
    assert (other["isPaused"], other["consecutiveLosses"]) == (False, 0)


@pytest.mark.parametrize("delta", ["NaN", "Infinity", "-1e12", "0.0000000000001", True, None, "x"])
def test_an_impossible_delta_is_400(runner: SmallRunner, delta: Any) -> None:
    enabled = client_of(runner, make_settings(ENABLE_RUNNER_ADMIN_ENDPOINTS="true"))
    body = {"userId": "alice", "pnlDeltaUsdt": delta}
    assert enabled.post("/api/runner/simulate-trade-result", json=body, headers=ADMIN).status_code == 400


def test_a_ledger_that_does_not_answer_is_504(runner: SmallRunner) -> None:
    runner.deaf = True
    enabled = client_of(runner, make_settings(ENABLE_RUNNER_ADMIN_ENDPOINTS="true"))
    body = {"userId": "alice", "pnlDeltaUsdt": "1"}
    assert enabled.post("/api/runner/simulate-trade-result", json=body, headers=ADMIN).status_code == 504


def test_the_kill_switch_turns_both_ways(client: TestClient, store: PgStore, runner: SmallRunner) -> None:
    on = client.put("/api/runner/kill-switch", json={"on": True, "reason": "drill"}, headers=ADMIN).json()
    assert (on["on"], on["reason"]) == (True, "drill")
    assert store.platform().kill_switch
    again = client.put(
        "/api/runner/kill-switch", json={"on": True, "reason": "once more"}, headers=ADMIN
    ).json()
    assert (again["on"], again["reason"]) == (True, "drill"), "the answer says what stands"
    assert client.get("/api/runner/status", headers=ADMIN).json()["killSwitchReason"] == "drill"
    assert client.put("/api/runner/kill-switch", json={"on": False}, headers=ADMIN).json()["on"] is False
    assert not store.platform().kill_switch
    assert runner.hints == 3


def test_actors_are_shown_as_a_tree(client: TestClient) -> None:
    roots = client.get("/api/runner/actors", headers=ADMIN).json()["actors"]
    journal = roots[0]["children"][1]
    assert journal == {
        "name": "journal",
        "state": "restarting",
        "mailboxLength": 1,
        "restarts": 3,
        "lastError": "ValueError",
        "children": [],
    }
