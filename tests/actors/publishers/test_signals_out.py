"""Signals outside, with real servers that die: in order, none twice, none beyond its time, and no tick waits."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from actors.market_clock import MarketClock
from actors.publishers.signals_out import signal_publishers
from actors.runtime.process_time import process_s
from actors.runtime.spec import StopMode
from actors.runtime.system import ActorSystem
from core.ids import RunId
from core.published_signal import Said
from core.risk import RiskLimits
from core.run import RunCommand
from schema.pg import PgStore
from schema.pg_published import ReceiverState
from schema.records import Ask, SlotReport, TickRow, TickSource, TickStatus
from tests.actors.publishers.servers import (
    Heard,
    Valkey,
    eventually,
    frozen,
    influxdb,
    thawed,
    valkey,
    victoria_metrics,
)
from tests.facade.world import START, WORKER, SmallRunner, client_of, go_live, make_settings
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]

MINUTE = timedelta(minutes=1)
SAID = Said(price=Decimal("64000.5"), size_factor=Decimal("1.5"), confidence=0.8, reason="RSI 27 < 30")


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=6)
    yield opened
    opened.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path) as started:
        started.open()
        yield started


def a_run(store: PgStore, symbol: str = "BTCUSDT", user: str = "alice") -> RunId:
    with client_of(SmallRunner(store)) as http:
        run_id = RunId(UUID(go_live(http, user, symbol=symbol, timeframe="1m")["runId"]))
    store.command(run_id, RunCommand.START, by=user)
    return run_id


def say(store: PgStore, run_id: RunId, minute: int, signal: str = "long") -> None:
    slot = START + minute * MINUTE
    (claim,) = store.claim(
        [run_id], slot=slot, owner=WORKER, ttl_s=120, ask=Ask(slot=slot, source=TickSource.TIMER, at=slot)
    )
    tick = TickRow(
        run_id=run_id,
        user_id=claim.user_id,
        slot=slot,
        status=TickStatus.OK,
        signal=signal,
        score=7.5,
        said=SAID,
        scheduled_at=slot,
        finished_at=slot,
        worker=WORKER,
        fence=claim.fence,
    )
    store.report(SlotReport(ticks=(tick,)))


@contextmanager
def telling(store: PgStore, worker: str = "w1", **settings: str) -> Iterator[None]:
    system = ActorSystem.live(MarketClock(store.clock(), process_s), db_workers=2)
    given = {"SIGNAL_COOLDOWN_MINUTES": "0", "WORKER_ID": worker, **settings}
    system.start(signal_publishers(make_settings(**given), store.published))
    try:
        yield
    finally:
        assert system.stop(StopMode.DRAIN)


def at(server: Valkey, **more: str) -> dict[str, str]:
    return {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port), **more}


def state(store: PgStore, name: str) -> ReceiverState:
    return next(each for each in store.published.states() if each.name == name)


def known(store: PgStore) -> Callable[[], bool]:
    return lambda: bool(store.published.states())


def told_ids(store: PgStore) -> list[str]:
    rows = store.published.page(symbol=None, withheld_only=False, limit=200, before_id=None)
    return [str(row.content.signal_id) for row in reversed(rows)]


def heard_ids(heard: Heard) -> list[str]:
    return [json.loads(each)["signal_id"] for each in heard.messages]


def test_a_signal_is_a_message_and_a_key_that_ends_with_it_in_the_one_form(
    store: PgStore, server: Valkey
) -> None:
    run_id = a_run(store)
    heard = Heard(server, "squeezeflow:signals")
    heard.listen()
    with telling(store, **at(server, SIGNAL_TTL_SECONDS="60")):
        eventually(known(store))
        say(store, run_id, 1)
        eventually(lambda: len(heard.messages) == 1)
        said: dict[str, Any] = json.loads(heard.messages[0])
        assert json.loads(server.client().get("squeezeflow:signal:BTC")) == said
        assert 0 < server.client().pttl("squeezeflow:signal:BTC") <= 60_000
        assert server.client().keys("squeezeflow:signal:*") == [b"squeezeflow:signal:BTC"]
        del said["signal_id"], said["timestamp"], said["strategy"]
        assert said == {
            "symbol": "BTC",
            "action": "LONG",
            "score": 7.5,
            "position_size_factor": 1.5,
            "leverage": None,
            "entry_price": 64000.5,
            "ttl": 60,
            "confidence": 0.8,
            "reasoning": "RSI 27 < 30",
            "service": "strategy-runner",
        }
        say(store, run_id, 2, "exit_long")
        eventually(lambda: len(heard.messages) == 2)
        assert json.loads(server.client().get("squeezeflow:signal:BTC"))["action"] == "CLOSE"


def test_a_receiver_is_asked_whether_it_is_there_as_often_as_the_setting_says(
    store: PgStore, server: Valkey
) -> None:
    """At the default of 30 s a second question comes after the test has given up."""
    server.client().config_resetstat()
    with telling(store, HEALTH_CHECK_INTERVAL="1", **at(server)):
        eventually(lambda: _pings(server) >= 3)


def _pings(server: Valkey) -> int:
    return int(server.client().info("commandstats").get("cmdstat_ping", {"calls": 0})["calls"])


def test_redis_killed_mid_run_hears_all_in_order_and_none_twice(store: PgStore, server: Valkey) -> None:
    """Of the one signal that was under way when it died, the channel may not have heard; the key has it."""
    run_id = a_run(store)
    heard = Heard(server, "squeezeflow:signals")
    heard.listen()
    with telling(store, **at(server)):
        eventually(known(store))
        speaker = threading.Thread(target=lambda: [say(store, run_id, minute) for minute in range(1, 41)])
        speaker.start()
        eventually(lambda: len(heard.messages) >= 5)
        server.kill()
        speaker.join()
        for minute in range(41, 61):
            say(store, run_id, minute)
        server.start()
        heard.listen()
        server.open()
        eventually(lambda: state(store, "redis").sent == 60)
    ids, expected = heard_ids(heard), told_ids(store)
    assert len(expected) == 60
    assert len(set(ids)) == len(ids) >= 59
    assert ids == [each for each in expected if each in set(ids)]
    assert json.loads(server.client().get("squeezeflow:signal:BTC"))["signal_id"] == expected[-1]


def test_a_signal_is_told_within_its_time_or_not_at_all(store: PgStore, server: Valkey) -> None:
    """The server is away, and once hangs with the command in its buffer, until the signals have expired."""
    run_id = a_run(store)
    heard = Heard(server, "squeezeflow:signals")
    heard.listen()
    with telling(store, **at(server, SIGNAL_TTL_SECONDS="1")):
        eventually(known(store))
        server.kill()
        for minute in (1, 2, 3):
            say(store, run_id, minute)
        until_s = process_s() + 1.1
        eventually(lambda: process_s() > until_s)
        server.start()
        heard.listen()
        server.open()
        eventually(lambda: state(store, "redis").expired == 3)
        frozen(server)
        say(store, run_id, 4)
        until_s = process_s() + 1.1
        eventually(lambda: process_s() > until_s)
        thawed(server)
        eventually(lambda: state(store, "redis").expired == 4)
        say(store, run_id, 5)
        eventually(lambda: state(store, "redis").sent == 1)
    assert heard_ids(heard) == told_ids(store)[-1:]
    assert state(store, "redis").lost == 0


def test_a_process_that_ends_between_any_two_messages_goes_on_where_it_was_and_tells_none_twice(
    store: PgStore, server: Valkey
) -> None:
    run_id = a_run(store)
    heard = Heard(server, "squeezeflow:signals")
    heard.listen()
    settings = make_settings(SIGNAL_COOLDOWN_MINUTES="0", WORKER_ID="w1", **at(server))
    for life in range(3):
        system = ActorSystem.live(MarketClock(store.clock(), process_s), db_workers=2)
        system.start(signal_publishers(settings, store.published))
        eventually(known(store))
        for minute in range(20):
            say(store, run_id, 1 + 20 * life + minute)
        eventually(lambda: len(heard.messages) > 20 * life)  # noqa: B023 - looked at within this turn
        assert system.stop()
    with telling(store, "w1", **at(server)):
        eventually(lambda: len(heard.messages) >= 60)
    assert heard_ids(heard) == told_ids(store)


def test_of_two_processes_one_tells_and_the_other_goes_on_where_it_ended(
    store: PgStore, server: Valkey
) -> None:
    run_id = a_run(store)
    heard = Heard(server, "squeezeflow:signals")
    heard.listen()
    with telling(store, "w2", **at(server)):
        with telling(store, "w1", **at(server)):
            eventually(known(store))
            for minute in range(1, 11):
                say(store, run_id, minute)
            eventually(lambda: len(heard.messages) == 10)
        say(store, run_id, 11)
        eventually(lambda: len(heard.messages) == 11)
    assert heard_ids(heard) == told_ids(store)


def test_runs_that_share_a_strategys_signal_are_one_signal_and_withheld_ones_are_kept_with_why(
    store: PgStore, server: Valkey
) -> None:
    runs = {symbol: a_run(store, symbol) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")}
    foreign = a_run(store, "BTCUSDT", "mallory")
    limits = {"SIGNAL_COOLDOWN_MINUTES": "15", "MAX_CONCURRENT_SIGNALS": "2", "SIGNAL_USERS": "alice"}
    with telling(store, **at(server, **limits)):
        eventually(known(store))
        said = [("BTCUSDT", "long"), ("BTCUSDT", "short"), ("ETHUSDT", "long"), ("SOLUSDT", "long")]
        say(store, foreign, 1)
        for minute, (symbol, signal) in enumerate([*said, ("BTCUSDT", "exit_long"), ("SOLUSDT", "short")]):
            say(store, runs[symbol], minute + 2, signal)
        eventually(lambda: state(store, "redis").sent == 4)
    page = store.published.page(symbol=None, withheld_only=False, limit=50, before_id=None)
    assert [(row.content.symbol, row.content.action.value, row.withheld) for row in reversed(page)] == [
        ("BTC", "LONG", None),
        ("BTC", "SHORT", "cooldown"),
        ("ETH", "LONG", None),
        ("SOL", "LONG", "too_many_alive"),
        ("BTC", "CLOSE", None),
        ("SOL", "SHORT", None),
    ]


def points(url: str) -> list[list[Any]]:
    asked = {"db": "signals", "q": "SELECT signal_id, symbol, strategy FROM strategy_signals", "epoch": "ns"}
    results = httpx.get(f"{url}/query", params=asked).json()["results"]
    return list(results[0]["series"][0]["values"]) if "series" in results[0] else []


def test_influxdb_killed_mid_run_has_every_signal_once_and_in_order(store: PgStore, tmp_path: Path) -> None:
    run_id = a_run(store)
    with (
        influxdb(tmp_path) as (server, url),
        telling(store, INFLUX_URL=url, INFLUX_DATABASE="signals"),
    ):
        eventually(known(store))
        for minute in range(1, 21):
            say(store, run_id, minute)
        eventually(lambda: state(store, "influxdb").sent > 0)
        server.kill()
        for minute in range(21, 41):
            say(store, run_id, minute)
        server.start()
        eventually(lambda: state(store, "influxdb").sent == 40)
        assert [row[1] for row in points(url)] == told_ids(store)


def test_the_writing_of_version_2_is_taken(store: PgStore, tmp_path: Path) -> None:
    run_id = a_run(store)
    with (
        victoria_metrics(tmp_path) as (_, url),
        telling(store, INFLUX_URL=url, INFLUX_BUCKET="signals", INFLUX_ORG="o", INFLUX_TOKEN="t"),
    ):
        eventually(known(store))
        say(store, run_id, 1)
        eventually(lambda: state(store, "influxdb").sent == 1)
        asked = {"match[]": "strategy_signals_entry_price"}
        httpx.get(f"{url}/internal/force_flush")
        eventually(lambda: bool(httpx.get(f"{url}/api/v1/export", params=asked).text))
        (line,) = httpx.get(f"{url}/api/v1/export", params=asked).text.splitlines()
        assert json.loads(line)["values"] == [64000.5]
        assert json.loads(line)["metric"]["symbol"] == "BTC"
