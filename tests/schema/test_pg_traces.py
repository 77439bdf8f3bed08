"""What a trace and a reading of the installation are made of, on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from schema.ops import IntentCommitted
from schema.pg import PgStore
from schema.records import Ask, TickSource
from tests.schema.conftest import Database
from tests.schema.pg_world import MINUTE, START, entry, fill_of, make_run, open_store, stand_at, tick_of


@pytest.fixture
def store(database: Database) -> Iterator[PgStore]:
    store = open_store(database.service_dsn, pool_size=2)
    stand_at(store, START)
    yield store
    store.close()


def test_a_tick_led_to_its_own_slots_orders_with_their_fills(store: PgStore) -> None:
    run, other = make_run(store, "ann"), make_run(store, "bob")
    ask = Ask(slot=START, source=TickSource.TIMER, at=START)
    claims = store.claim([run.id, other.id], slot=START, owner="node-1", ttl_s=60, ask=ask)
    fences = {claim.run_id: claim.fence for claim in claims}
    committed, _ = store.settle([entry(run, fences[run.id]), entry(other, fences[other.id])])
    assert isinstance(committed, IntentCommitted)
    store.settle([fill_of(committed.order, "100")])
    led = store.traces.led_to([tick_of(run, 1, START), tick_of(other, 1, START + MINUTE)])
    (order,) = led.orders
    assert (order.run_id, order.fills, order.first_fill) == (run.id, 1, START)
    assert led.strategies == {run.id: run.strategy.id, other.id: other.strategy.id}
    seen = store.observations.read()
    assert (seen.runs, seen.orders) == ({"active": 2}, {"intent": 1})
    assert (seen.open_positions, seen.unprotected_positions, seen.kill_switch) == (1, 0, False)
    times = store.observations.times()
    assert times.transactions > 0
    assert times.failures == times.retries == 0
