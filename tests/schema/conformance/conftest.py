"""The same suite over both stores. `world` is a fresh one, its market time standing at START."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pytest

from core.ids import RunId
from core.risk import RiskLimits
from tests.schema.conformance.world import START, World, memory_world


@pytest.fixture(params=["memory", "postgres"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    yield from _built(request, demo=True)


@pytest.fixture(params=["memory", "postgres"])
def fresh(request: pytest.FixtureRequest) -> Iterator[World]:
    """A store whose market time is not yet anybody's: not marked demo, and `set_now` without effect."""
    yield from _built(request, demo=False)


def _built(request: pytest.FixtureRequest, *, demo: bool) -> Iterator[World]:
    if request.param == "memory":
        yield memory_world()
        return
    with _postgres_world(request, demo=demo) as built:
        yield built


@contextmanager
def _postgres_world(request: pytest.FixtureRequest, *, demo: bool) -> Iterator[World]:
    import psycopg

    pg = pytest.importorskip("schema.pg")
    database = request.getfixturevalue("database")
    store = pg.PgStore(database.service_dsn, pool_size=2, default_limits=RiskLimits(), worker="node-1")
    with psycopg.connect(database.owner_dsn, autocommit=True, connect_timeout=10) as owner:

        def set_now(at: datetime) -> None:
            if demo:
                store.set_clock(at=at, ceiling=at)

        def expire_leases(seconds: float) -> None:
            owner.execute(
                "UPDATE strategy_locks SET locked_until = least(locked_until, clock_timestamp())"
                " - make_interval(secs => %s)",
                [1 + seconds],
            )

        def forget_lease(run_id: RunId) -> None:
            owner.execute("DELETE FROM strategy_locks WHERE run_id = %s", [run_id])

        try:
            if demo:
                store.mark_demo(start=START, rate=0.0)
            yield World(store, set_now=set_now, expire_leases=expire_leases, forget_lease=forget_lease)
        finally:
            store.close()
