"""What must hold when a seed is over, on a seed that is sound and then has one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from actors.simulation.checks.ending import EndingCheck
from actors.simulation.world import SETTLING, World
from core.order import OrderStatus
from schema.records import AccountKind


def played() -> World:
    """A short seed with orders at both kinds of account, over and sound."""
    world = World(3, days=0.03, users=1)
    result = world.play()
    assert result.found == []
    assert any(account_id in world.venue.engines for account_id, _, _ in world.watch.booked)
    return world


def fill_lost(world: World) -> None:
    fills = world.store.tables.fills
    [key, *_] = [key for key in fills if key[0] in world.venue.engines]
    del fills[key]


def balance_moved(world: World) -> None:
    row = next(iter(world.store.tables.accounts.values()))
    row.account = replace(row.account, balance=row.account.balance + Decimal("0.01"))


def order_open(world: World) -> None:
    orders = world.store.tables.orders
    each = next(reversed(orders.values()))
    left = replace(each, status=OrderStatus.UNKNOWN)
    orders[each.client_order_id] = left
    world.store.tables.runs[each.run_id].open_orders[each.client_order_id] = left


def trade_counted(world: World) -> None:
    model = next(iter(world.watch.risk.users.values()))
    model.trades[world.clock.now().date()] = model.trades.get(world.clock.now().date(), 0) + 1


@pytest.mark.parametrize(
    ("invariant", "change"),
    [("I3", fill_lost), ("I7", balance_moved), ("I4", order_open), ("I7", trade_counted)],
)
def test_i3_i4_i7_what_is_lost_open_or_miscounted_at_the_end_is_named(
    invariant: str, change: Callable[[World], None]
) -> None:
    world = played()
    ending = EndingCheck(world.watch, world.store, world.venue, world.people)
    ending.settled()
    assert world.watch.findings.found == []
    change(world)
    ending.settled()
    assert invariant in {finding.invariant for finding in world.watch.findings.found}


def test_i1_a_run_that_did_not_tick_in_the_calm_is_named() -> None:
    world = played()
    ending = EndingCheck(world.watch, world.store, world.venue, world.people)
    first, last = world.ceased + SETTLING, world.end - timedelta(minutes=2)
    ending.all_ticked(first, last)
    assert world.watch.findings.found == []
    ending.all_ticked(first, last + timedelta(hours=1))
    assert {finding.invariant for finding in world.watch.findings.found} == {"I1"}
    assert AccountKind.CONNECTION in {account.kind for account in world.people.accounts}
