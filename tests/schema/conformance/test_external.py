"""Signals from outside: stored once, owed to each active run until its slot has its row."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

import pytest
from msgspec.structs import replace

from core.definition import StrategyDefinition, StrategyKind
from core.external_signal import DEADLINE, ExternalSignal, SentSignal
from core.ids import RunId, StrategyId, UserId
from core.run import Run, RunCommand
from core.signal import Action, Signal
from core.timeframe import Timeframe
from schema.external import (
    KEPT,
    Accepted,
    CameTooLate,
    KeyTaken,
    NewSignal,
    NoSuchStrategy,
    Receipt,
    TooFast,
)
from schema.records import Ask, SlotReport, TickRow, TickSource, TickStatus
from tests.schema.conformance.world import START, TTL_S, World

SECOND = timedelta(seconds=1)


def external(world: World, kind: StrategyKind = StrategyKind.EXTERNAL) -> StrategyDefinition:
    strategy = StrategyDefinition(
        id=StrategyId(world.id()),
        owner_id=UserId("olga"),
        name="alerts",
        template=kind.value,
        kind=kind,
        parameters={},
        symbol="BTCUSDT",
        timeframe=Timeframe.M1,
    )
    world.store.create_strategy(strategy)
    return strategy


def receive(
    world: World,
    strategy: StrategyDefinition,
    key: str = "key-0001",
    *,
    at: datetime = START,
    user: str | None = None,
    within: timedelta = DEADLINE,
    other_keys: tuple[str, ...] = (),
    **fields: Any,
) -> Receipt:
    new = NewSignal(
        id=uuid5(strategy.id, f"{key}{at}"),
        strategy_id=strategy.id,
        user_id=UserId(user or strategy.owner_id),
        key=key,
        received_at=at,
        within=within,
        other_keys=other_keys,
        sent=SentSignal(signal=Signal(action=Action.LONG, stop_loss=Decimal("900.5")), **fields),
    )
    return world.store.receive_signal(new)


def accepted(receipt: Receipt) -> ExternalSignal:
    assert isinstance(receipt, Accepted), receipt
    return receipt.signal


def idle(world: World, strategy: StrategyDefinition, user: str = "ann") -> Run:
    run = Run(
        id=RunId(world.id()), user_id=UserId(user), strategy=strategy, account_id=world.account(user).id
    )
    world.store.create_run(run)
    return run


def active(world: World, strategy: StrategyDefinition, user: str = "ann") -> Run:
    return world.store.command(idle(world, strategy, user).id, RunCommand.START, by=user)


def claimed(world: World, run: Run, slot: datetime) -> bool:
    ask = Ask(slot=slot, source=TickSource.EXTERNAL, at=slot)
    return bool(world.store.claim([run.id], slot=slot, owner="node-1", ttl_s=TTL_S, ask=ask))


def ticks(world: World, run: Run) -> list[tuple[str, str | None]]:
    return [(tick.status.value, tick.reason) for tick in world.store.ticks(run_id=run.id)]


def test_a_signal_is_owed_to_every_active_run_and_comes_back_as_it_was_sent(world: World) -> None:
    strategy = external(world)
    runs = [active(world, strategy, user) for user in ("ann", "bob")]
    unstarted = idle(world, strategy, "cid")
    signal = accepted(receive(world, strategy, max_price=Decimal("1010.50")))
    assert (signal.slot, signal.expires_at, signal.runs) == (START, START + 30 * SECOND, 2)
    assert signal.sent.max_price == Decimal("1010.50")
    [due] = world.store.signals_due([*(run.id for run in runs), unstarted.id])
    assert due.signal == signal
    assert due.run_ids == tuple(sorted(run.id for run in runs))


def test_the_same_key_again_is_the_same_signal_and_with_another_body_refused(world: World) -> None:
    strategy = external(world)
    run = active(world, strategy)
    first = accepted(receive(world, strategy))
    again = receive(world, strategy, at=START + timedelta(minutes=5))
    assert again == Accepted(signal=first, repeated=True)
    assert receive(world, strategy, max_price=Decimal(1)) == KeyTaken()
    other = external(world)
    assert isinstance(receive(world, other), Accepted), "a key counts for its strategy alone"
    [due] = world.store.signals_due([run.id])
    assert due.signal == first


def test_under_another_key_of_it_it_is_the_signal_of_less_than_a_minute_apart(world: World) -> None:
    strategy = external(world)
    first = accepted(receive(world, strategy, "minute-0"))
    near, far = (START + each * SECOND for each in (59, 60))
    beside = ("minute-0", "minute-2")
    again = receive(world, strategy, "minute-1", other_keys=beside, at=near)
    assert again == Accepted(signal=first, repeated=True)
    next_ = accepted(receive(world, strategy, "minute-1", other_keys=beside, at=far))
    assert (next_.key, next_.slot) == ("minute-1", far)
    overtaken = receive(world, strategy, "minute-0.5", other_keys=("minute-1",), at=far - SECOND)
    assert overtaken == Accepted(signal=next_, repeated=True), "it came first and was stored second"
    unknown = receive(world, strategy, "minute-9", other_keys=("minute-8",), at=far + SECOND)
    assert isinstance(unknown, Accepted)
    assert not unknown.repeated


@pytest.mark.parametrize(("within_s", "lasts_s"), [(7, 7), (30, 30), (31, 30)])
def test_it_may_be_acted_upon_for_as_long_as_is_said_and_no_longer_than_any(
    world: World, within_s: int, lasts_s: int
) -> None:
    signal = accepted(receive(world, external(world), within=within_s * SECOND))
    assert signal.expires_at == START + lasts_s * SECOND


def test_what_may_not_be_acted_upon_at_all_comes_too_late_unless_it_had_come(world: World) -> None:
    strategy = external(world)
    first = accepted(receive(world, strategy))
    assert receive(world, strategy, within=0 * SECOND) == Accepted(signal=first, repeated=True)
    assert receive(world, strategy, "key-0002", within=0 * SECOND) == CameTooLate()


def test_several_in_a_second_have_seconds_of_their_own_until_they_come_too_fast(world: World) -> None:
    strategy = external(world)
    slots = [accepted(receive(world, strategy, f"key-000{n}")).slot for n in range(6)]
    assert slots == [START + n * SECOND for n in range(6)]
    assert receive(world, strategy, "key-0009") == TooFast()
    assert isinstance(receive(world, strategy, "key-0009", at=START + SECOND), Accepted)


def test_what_comes_late_or_from_anybody_else_is_not_stored(world: World) -> None:
    strategy = external(world)
    assert receive(world, strategy, expires_at=START) == CameTooLate()
    assert receive(world, strategy, user="mallory") == NoSuchStrategy()
    assert receive(world, external(world, StrategyKind.TEMPLATE)) == NoSuchStrategy()
    assert receive(world, replace(strategy, id=StrategyId(UUID(int=99)))) == NoSuchStrategy()
    assert accepted(receive(world, strategy)).slot == START


def test_runs_are_told_their_earliest_signal_first_and_none_that_has_its_row(world: World) -> None:
    strategy = external(world)
    run = active(world, strategy)
    first, second = (accepted(receive(world, strategy, f"key-000{n}")) for n in (1, 2))
    assert [due.signal for due in world.store.signals_due([run.id])] == [first]
    claim = world.store.claim([run.id], slot=first.slot, owner="node-1", ttl_s=TTL_S)[0]
    row = TickRow(
        run_id=run.id,
        user_id=run.user_id,
        slot=first.slot,
        status=TickStatus.OK,
        scheduled_at=first.slot,
        finished_at=first.slot,
        source=TickSource.EXTERNAL,
        fence=claim.fence,
    )
    world.store.report(SlotReport(ticks=(row,)))
    assert [due.signal for due in world.store.signals_due([run.id])] == [second]
    world.store.settle_signals(now=START)
    assert [due.signal for due in world.store.signals_due([run.id])] == [second]
    assert ticks(world, run) == [("ok", None)]


@pytest.mark.parametrize(("paused", "reason"), [(False, "expired"), (True, "not_active")])
def test_what_expired_unclaimed_has_its_row_and_is_claimed_by_nobody_any_more(
    world: World, paused: bool, reason: str
) -> None:
    """I1, I9"""
    strategy = external(world)
    run = active(world, strategy)
    signal = accepted(receive(world, strategy))
    if paused:
        world.store.command(run.id, RunCommand.PAUSE, by="ann")
    assert world.store.settle_signals(now=signal.expires_at - SECOND) == []
    [row] = world.store.settle_signals(now=signal.expires_at)
    assert (row.slot, row.source, row.fence) == (signal.slot, TickSource.EXTERNAL, 0)
    assert ticks(world, run) == [("missed", reason)]
    assert world.store.settle_signals(now=signal.expires_at) == []
    assert world.store.signals_due([run.id]) == []
    if paused:
        world.store.command(run.id, RunCommand.RESUME, by="ann")
    assert not claimed(world, run, signal.slot)
    assert claimed(world, run, signal.slot + SECOND)


def test_a_claimed_signal_never_expires_and_one_cut_off_is_interrupted(world: World) -> None:
    strategy = external(world)
    run = active(world, strategy)
    signal = accepted(receive(world, strategy))
    assert claimed(world, run, signal.slot)
    late = signal.expires_at + timedelta(minutes=10)
    assert world.store.settle_signals(now=late) == []
    world.expire_leases(0)
    assert world.store.settle_signals(now=late) == [], "whoever claimed it may have traded"
    [cut_off] = world.store.close_interrupted(older_than_s=0.0)
    assert (cut_off.source, cut_off.asked_at) == (TickSource.EXTERNAL, signal.slot)
    assert world.store.settle_signals(now=late) == []
    assert ticks(world, run) == [("error", "interrupted")]
    assert world.store.signals_due([run.id]) == []


def test_what_expired_is_not_closed_over_an_earlier_signal_that_may_still_be_claimed(world: World) -> None:
    """Slots are claimed in their order: with the later one closed, nobody could claim the earlier any more."""
    strategy = external(world)
    run = active(world, strategy)
    first = accepted(receive(world, strategy, "key-0001"))
    second = accepted(receive(world, strategy, "key-0002", expires_at=START + 2 * SECOND))
    assert world.store.settle_signals(now=second.expires_at) == []
    assert claimed(world, run, first.slot)
    world.expire_leases(0)
    world.store.close_interrupted(older_than_s=0.0)
    assert [row.slot for row in world.store.settle_signals(now=second.expires_at)] == [second.slot]
    third = accepted(receive(world, strategy, "key-0003"))
    fourth = accepted(receive(world, strategy, "key-0004", expires_at=START + 2 * SECOND))
    both = world.store.settle_signals(now=third.expires_at)
    assert [row.slot for row in both] == [third.slot, fourth.slot]


def test_a_lease_row_that_is_gone_keeps_nothing_owed_for_ever(world: World) -> None:
    strategy = external(world)
    run = active(world, strategy)
    signal = accepted(receive(world, strategy))
    world.forget_lease(run.id)
    assert len(world.store.settle_signals(now=signal.expires_at)) == 1
    assert ticks(world, run) == [("missed", "expired")]


def test_a_signal_is_forgotten_long_after_it_is_settled(world: World) -> None:
    strategy = external(world)
    active(world, strategy)
    signal = accepted(receive(world, strategy))
    later = START + KEPT + SECOND
    world.store.settle_signals(now=later)
    world.store.settle_signals(now=later)
    assert accepted(receive(world, strategy, at=later)).slot != signal.slot


def test_no_candle_makes_such_a_run_pending(world: World) -> None:
    active(world, external(world))
    assert world.store.pending(START + timedelta(minutes=1)) == 0
