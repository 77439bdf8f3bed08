"""The watch looks every quarter of a minute; what it finds is written, logged, and told once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from actors.launch import alert_watch
from actors.runtime.deterministic import VirtualClock
from actors.runtime.spec import Supervision
from actors.runtime.system import ActorSystem
from core.ids import UserId
from core.live_settings import LiveSettings
from core.risk import RiskLimits
from schema.ops import SimulateTrade
from schema.pg import PgStore
from tests.actors.candles import START
from tests.facade.world import make_settings
from tests.schema.conftest import Database, admin, copies, database, database_url, template_database

__all__ = ["admin", "copies", "database", "database_url", "template_database"]


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    opened = PgStore(database.service_dsn, default_limits=RiskLimits(), worker="test", pool_size=2)
    yield opened
    opened.close()


def test_what_is_wrong_is_found_by_the_next_look_and_logged_once(store: PgStore) -> None:
    store.settle([SimulateTrade(user_id=UserId("ann"), delta=Decimal(-50))])
    reports: list[tuple[str, Mapping[str, object]]] = []
    system = ActorSystem.deterministic(VirtualClock(START), None, sink=lambda *report: reports.append(report))
    system.start([alert_watch(LiveSettings(make_settings()), store)], Supervision())
    assert system.virtual is not None
    for looks in (0, 1, 4):
        system.virtual.run_until(START + timedelta(seconds=15 * looks + 1))
        found = [each.subject for each in store.alerts.latest(open_only=True, limit=9)]
        assert found == (["ann"] if looks else [])
    assert [fields["what"] for action, fields in reports if action == "alert"] == ["daily_loss"]
