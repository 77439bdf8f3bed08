"""A whole process trades at DEBUG with canary keys over real wires, and leaves no trace of them anywhere (I13)."""

from __future__ import annotations

import gzip
import logging
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from actors.feed import HeldFeed
from actors.key_probe import keys_of
from actors.key_ring import KeyRing
from actors.launch import key_keeper
from actors.live.access import LiveAccess
from actors.market_clock import MarketClock
from actors.recording.recorder import Recorder
from actors.runtime.process_time import process_s
from actors.service import Service
from actors.system import Options, Parts
from bin.logging_setup import log_error
from core.definition import StrategyDefinition
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.run import Run, RunCommand, RunSettings, TradingMode
from core.timeframe import Timeframe
from exchanges.simulator.clock import VenueClock
from exchanges.stand_in import StandIns
from exchanges.venues import Venues
from facade.live import LiveRunner
from schema.notify import PgNotifier
from schema.pg import PgStore
from tests.actors.candles import START, SYMBOL, rules, scripted, source
from tests.actors.live_wire.world import PLACES, ThreadedVenue
from tests.actors.world import OPEN_LIMITS
from tests.canaries import KEYS, SECRETS, scan_all
from tests.facade.life import ANN, Life, say_all, structured_logs
from tests.facade.world import WORKER, client_of
from tests.schema.conftest import Database
from tests.schema.test_vault import master, vault_of

__all__ = ["structured_logs"]
RATE = 20.0
RUN = RunId(UUID(int=7))


@pytest.fixture(params=["binance", "bybit"])
def venue(request: pytest.FixtureRequest) -> Iterator[ThreadedVenue]:
    made = ThreadedVenue(
        *PLACES[request.param],
        venue_clock=VenueClock(process_s, at_ms=round(START.timestamp() * 1000), rate=0.0),
    )
    made.set_price(1000.0)
    made.allow("main", 4)
    yield made
    made.close()


def test_i13_trading_at_debug_leaves_no_trace_of_the_keys(
    venue: ThreadedVenue,
    store: PgStore,
    database: Database,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    structured_logs: None,
) -> None:
    say_all(caplog)
    vault = vault_of(master("m1", 1))
    keys = keys_of(store, vault, venue.given)
    service = _service(venue, store, database, keys, KeyRing(store.connections, vault), tmp_path)
    store.set_clock(rate=RATE, ceiling=START)
    with client_of(LiveRunner(service, store, speed=RATE), keys=keys, error_log=log_error) as http:  # type: ignore[arg-type]
        life = Life(http)
        given = {"name": "main", "venue": venue.name.value, "apiKey": KEYS[0], "apiSecret": SECRETS[0]}
        life.ask("POST", "", 201, json=given)
        connection = life.ask("GET", "", 200)["connections"][0]  # type: ignore[index]
        path = f"/{connection['id']}"  # type: ignore[index]
        _run(store, AccountId(UUID(connection["id"])))  # type: ignore[index]
        service.start()
        try:
            _until(lambda: any(held.standing_stop is not None for held in store.open_positions()))
            _trouble(venue, life, path)
            for what in (
                "/api/strategies",
                f"/api/runs/{RUN}",
                "/api/runner/status",
                "/api/overview",
                "/healthz",
            ):
                answer = http.get(what, headers=ANN)
                life.said.append((what, f"{answer.status_code} {answer.headers}\n{answer.text}"))
            assert "order_fill" in {event.type for event in store.events(limit=1000)}
        finally:
            assert service.stop()
    life.note_dump(database.owner_dsn)
    life.said += [("event", str(msgspec.json.encode(each))) for each in store.events(limit=1000)]
    life.said += [(f"log of {each.name}", repr(each.__dict__)) for each in caplog.records]
    life.said += list(_recorded(tmp_path))
    life.said += [("stdout and stderr", "".join(capfd.readouterr()))]
    assert len(list(_recorded(tmp_path))) > 1
    assert scan_all(life.said) == []


def _service(
    venue: ThreadedVenue, store: PgStore, database: Database, keys: Any, ring: KeyRing, folder: Path
) -> Service:
    clock = MarketClock(store.clock(), process_s)
    columns = scripted("u" * 6 + "-" * 100)
    feed = HeldFeed(source(columns), (START, START + timedelta(minutes=106)))
    access = LiveAccess(ring, store.connections, Venues(clock=clock, given=venue.given, only_given=True))
    options = Options(node=NodeId(WORKER), version="1", worker=WORKER, poll_s=1.0, safety_s=1.0)
    parts = Parts(
        store=store,
        feed=feed,
        rules=rules(),
        options=options,
        venues=access.venues_over,
        read_connection=access.read,
    )
    return Service(
        parts=parts,
        clock=clock,
        notifier=PgNotifier(database.service_dsn),
        sink=lambda action, fields: logging.getLogger("sink").warning("%s %s", action, dict(fields)),
        recorder=Recorder(folder, limits=OPEN_LIMITS, sink=lambda action, fields: None),
        more=[key_keeper(keys, ring)],
        stand_ins=StandIns([address.rest for address in venue.given.values()]),
    )


def _run(store: PgStore, account_id: AccountId) -> None:
    strategy = StrategyDefinition(
        id=StrategyId(UUID(int=8)),
        owner_id=UserId("ann"),
        name="canary",
        template="sma_trend",
        parameters={"period": 2},
        symbol=SYMBOL,
        timeframe=Timeframe.M1,
    )
    store.create_strategy(strategy)
    store.set_limits(UserId("ann"), OPEN_LIMITS)
    settings = RunSettings(order_size_pct=Decimal(10), stop_loss_pct=Decimal(5))
    run = Run(
        id=RUN,
        user_id=UserId("ann"),
        strategy=strategy,
        account_id=account_id,
        trading_mode=TradingMode.LIVE,
        settings=settings,
    )
    store.create_run(run)
    store.command(RUN, RunCommand.START, by="ann")


def _trouble(venue: ThreadedVenue, life: Life, path: str) -> None:
    """The venue repeats what it was sent, cuts, refuses and forgets; the keys are tested and changed meanwhile."""
    said = f"no: {KEYS[0]} {SECRETS[0]}"
    for body in (
        f'{{"code":-2015,"msg":"{said}"}}',
        f'{{"retCode":10003,"retMsg":"{said}","result":{{}}}}',
        said,
    ):
        for status in (400, 401, 500, 200):
            venue.fault("instead", status=status, body=body, times=1)
    venue.fault("drop_sockets", private_only=True)
    time.sleep(0.6)
    venue.control("DELETE", "faults")
    venue.fault("instead", status=401, body=said, times=2)
    life.ask("POST", f"{path}/test", 200)
    venue.control("DELETE", "faults")
    life.ask("POST", f"{path}/rotate", 200, json={"apiKey": KEYS[4], "apiSecret": SECRETS[4]})
    venue.fault("drop_sockets", private_only=True)
    time.sleep(0.6)


def _recorded(folder: Path) -> Iterator[tuple[str, str]]:
    """The recording of the process, unpacked."""
    for path in folder.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            yield (
                path.name,
                (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode(errors="replace"),
            )


def _until(so: Callable[[], Any], within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while not so():
        assert time.monotonic() < end
        time.sleep(0.05)
