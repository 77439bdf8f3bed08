"""What an administrator changes on one process reaches the others, by a hint and without it."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Iterator
from datetime import timedelta

import pytest

from actors.config_keeper import PASS_S, ConfigChanged
from actors.launch import config_keeper
from actors.runtime.deterministic import VirtualClock
from actors.runtime.spec import Supervision
from actors.runtime.system import ActorSystem
from core.ids import UserId
from core.live_settings import LiveSettings
from core.risk import RiskLimits
from schema.notify import PgNotifier
from schema.pg import PgStore
from tests.actors.candles import START
from tests.facade.world import make_settings
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]
ROOT = UserId("root")


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=2)
    yield opened
    opened.close()


def test_a_process_takes_what_is_stored_at_its_start_at_a_hint_and_at_each_pass(store: PgStore) -> None:
    live = LiveSettings(make_settings())
    system = ActorSystem.deterministic(VirtualClock(START), None, sink=lambda *report: None)
    store.config.put({"MAX_LEVERAGE": "7"}, by=ROOT)
    system.start([config_keeper(live, store)], Supervision())
    assert system.virtual is not None
    system.virtual.run_until(START + timedelta(seconds=1))
    assert live.now.max_leverage == 7
    store.config.put({"MAX_LEVERAGE": "8"}, by=ROOT)
    system.ref("config").tell(ConfigChanged())
    system.virtual.run_until(START + timedelta(seconds=2))
    assert live.now.max_leverage == 8
    store.config.put({"MAX_LEVERAGE": None}, by=ROOT)
    system.virtual.run_until(START + timedelta(seconds=PASS_S + 2))
    assert live.now.max_leverage == 10


def test_a_change_is_announced_to_all_processes(store: PgStore, database: Database) -> None:
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    notifier = PgNotifier(database.service_dsn)
    notifier.listen(["config"], lambda channel, payload: heard.put(payload))
    try:
        asked = 0
        while heard.empty():  # until it listens
            asked += 1
            notifier.notify("config", "listening?")
            with contextlib.suppress(queue.Empty):
                heard.put(heard.get(timeout=0.05))
            assert asked < 400
        store.config.put({"MAX_LEVERAGE": "7"}, by=ROOT)
        while heard.get(timeout=10) != "":
            pass
    finally:
        notifier.close()
