"""Health, readiness and metrics: true, told to whom they are for, and the same few series however many tenants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from actors.tally import Tally
from core.ids import RunId, UserId
from core.run import RunCommand
from facade.metrics import METRICS, table
from schema.pg import PgStore
from schema.pg_published import Receiver
from schema.records import SlotReport, TickRow, TickStatus
from tests.facade.world import (
    ADMIN,
    START,
    WORKER,
    SmallRunner,
    as_user,
    bearer,
    client_of,
    go_live,
    make_settings,
)

TOKEN = "a-metrics-token-of-the-tests"
ASKED = ("/metrics", "/api/health")
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


@pytest.fixture
def http(runner: SmallRunner) -> Iterator[TestClient]:
    with client_of(runner, make_settings(METRICS_TOKEN=TOKEN)) as opened:
        yield opened


def families(client: TestClient) -> dict[str, dict[tuple[str, ...], float]]:
    text = client.get("/metrics").text
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_numbers_are_told_to_this_machine_the_token_and_administrators_alone() -> None:
    settings = make_settings(METRICS_TOKEN=TOKEN)
    near, far = (
        client_of(SmallRunner(None), settings, address=each) for each in ("127.0.0.1", "203.0.113.5")
    )
    for path in ASKED:
        for client, headers, status in (
            (far, {}, 401),
            (far, bearer(TOKEN + "x"), 401),
            (far, as_user("alice"), 403),
            (near, as_user("alice"), 403),
            (near, {"X-Forwarded-For": "203.0.113.5"}, 401),
            (near, {"Host": "evil.example.com"}, 401),
        ):
            assert client.get(path, headers=headers).status_code == status, (path, headers)
    open_to_nobody_far = client_of(SmallRunner(None), make_settings(), address="203.0.113.5")
    assert open_to_nobody_far.get("/metrics", headers=bearer("")).status_code == 401


def test_they_are_told_to_who_may_hear_them(runner: SmallRunner) -> None:
    settings = make_settings(METRICS_TOKEN=TOKEN)
    near, far = (client_of(runner, settings, address=each) for each in ("127.0.0.1", "203.0.113.5"))
    for path in ASKED:
        for client, headers in ((near, {}), (far, bearer(TOKEN)), (far, ADMIN)):
            assert client.get(path, headers=headers).status_code == 200, (path, headers)


def test_ticks_signals_and_cycles_are_counted_as_they_become_durable(
    http: TestClient, runner: SmallRunner, store: PgStore
) -> None:
    run_id = RunId(go_live(http, "alice")["runId"])
    store.command(run_id, RunCommand.START, by="alice")
    http.post(f"/api/runs/{run_id}/execute-tick", headers=as_user("alice"))
    told = http.get("/api/health").json()
    assert (told["cycles_completed"], told["errors_encountered"], told["ticks"]) == (1, 0, {"ok": 1})
    assert told["last_cycle_duration"] == told["avg_cycle_duration"] == pytest.approx(0.04)
    assert told["counts"]["runs"] == {"active": 1}
    seen = families(http)
    assert seen["runner_ticks"] == {("ok",): 1.0}
    assert seen["runner_mailbox_length"][("scheduler",)] == 2.0
    assert seen["runner_actor_restarts"][("journal",)] == 3.0
    assert seen["runner_venue_weight"] == {("fapi.binance.com",): 120.0}
    assert seen["runner_venue_backoff_seconds"] == {("fapi.binance.com",): 1.5}
    assert seen["runner_open_orders"][("unknown",)] == 0.0


def test_a_cycle_is_a_slot_and_lasts_to_its_last_row() -> None:
    tally = Tally()

    def tick(minute: int, after_ms: int, status: TickStatus, signal: str = "hold") -> TickRow:
        slot = START + timedelta(minutes=minute)
        ended = slot + timedelta(milliseconds=after_ms)
        run_id, user = RunId(RUN), UserId("alice")
        return TickRow(
            run_id=run_id,
            user_id=user,
            slot=slot,
            status=status,
            signal=signal,
            scheduled_at=slot,
            finished_at=ended,
            worker=WORKER,
        )

    tally.written(SlotReport(ticks=(tick(0, 100, TickStatus.OK), tick(0, 300, TickStatus.ERROR))))
    tally.written(SlotReport(ticks=(tick(0, 500, TickStatus.OK, "long"),)))
    tally.written(SlotReport(ticks=(tick(1, 100, TickStatus.OK), tick(0, 900, TickStatus.OK))))
    tally.written(SlotReport(ticks=(tick(1, 200, TickStatus.BLOCKED),)))
    told = tally.read()
    assert (told.cycles, told.last_cycle_s, told.cycle_s) == (2, pytest.approx(0.2), pytest.approx(1.1))
    assert (told.signals, told.ticks) == (1, {"ok": 4, "error": 1, "blocked": 1})


RUN = "00000000-0000-0000-0000-000000000001"


def test_health_names_what_is_wrong(http: TestClient, runner: SmallRunner, store: PgStore) -> None:
    assert http.get("/api/health").json()["problems"] == ["fapi.binance.com takes nothing for 2 s"]
    store.set_kill_switch(on=True, reason="test")
    runner.up = False
    with client_of(runner) as fresh:
        told = fresh.get("/api/health").json()
    assert told["status"] == "down"
    assert {"ledger is not up", "the global kill switch is on"} <= set(told["problems"])


def test_without_the_database_health_answers_and_readiness_is_denied() -> None:
    runner = SmallRunner(None)
    client = client_of(runner)
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["checks"]["database"]) == (503, False)
    told = client.get("/api/health")
    assert (told.status_code, told.json()["status"], told.json()["database"]) == (200, "down", "down")
    assert families(client)["runner_database_up"] == {(): 0.0}


def test_readiness_asks_the_database_itself(runner: SmallRunner, store: PgStore) -> None:
    client = client_of(runner)
    assert client.get("/readyz").status_code == 200
    store.database.close()
    fresh = client_of(runner)
    assert fresh.get("/readyz").json()["checks"]["database"] is False


def test_series_do_not_grow_with_tenants(http: TestClient) -> None:
    """Label cardinality: nothing that names a user, a run, a strategy or a symbol."""
    before = families(http)
    for number in range(4):
        go_live(http, f"user-{number}")
    with client_of(http.app.state.services.runner) as fresh:  # type: ignore[attr-defined]
        after = families(fresh)
    grown = {name for name in after if len(after[name]) > len(before[name])}
    assert grown <= {"runner_runs"}  # a status that no run had before
    assert {label for each in METRICS for label in each.labels} <= {
        "status",
        "state",
        "quantile",
        "actor",
        "reason",
        "host",
        "receiver",
    }


def test_health_says_whether_those_who_are_told_signals_take_them(
    runner: SmallRunner, store: PgStore
) -> None:
    settings = make_settings(REDIS_HOST="127.0.0.1", INFLUX_URL="http://127.0.0.1:8086")
    for receiver in Receiver:
        store.published.enter(receiver)
        store.published.take(receiver, "w1")
    store.published.failed(Receiver.REDIS, "w1", "Redis did not take it (ConnectionError)")
    with client_of(runner, settings) as client:
        health = client.get("/api/health").json()
        assert (health["redis"], health["influxdb"], health["status"]) == ("down", "ok", "degraded")
        assert (
            "redis does not take signals, 0 wait: Redis did not take it (ConnectionError)"
            in health["problems"]
        )
        assert families(client)["runner_signal_receiver_failing"] == {("influxdb",): 0.0, ("redis",): 1.0}
    with client_of(runner) as client:
        assert client.get("/api/health").json()["redis"] == "off"


def test_the_page_lists_every_metric_and_no_other() -> None:
    made = re.search(r"<!-- metrics[^>]*-->\n(.*)<!-- /metrics -->", PAGE.read_text(), re.DOTALL)
    assert made is not None
    assert made[1] == table()
    assert len({each.name for each in METRICS}) == len(METRICS)
