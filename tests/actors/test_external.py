"""Signals from outside through the whole application: between candles, once each, through the same gates."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from actors.messages import RowsChanged, SignalsSent
from actors.runtime.spec import StopMode
from core.definition import StrategyDefinition, StrategyKind
from core.external_signal import ExternalSignal, SentSignal
from core.ids import RunId, StrategyId, UserId
from core.order import Leg
from core.run import RunCommand, TradingMode
from core.signal import Action, Signal
from schema.desk import ReviseStrategy
from schema.external import Accepted, NewSignal
from schema.records import TickRow
from tests.actors.world import OPEN_LIMITS, World

SEEDS = pytest.mark.parametrize("seed", [None, *range(6)])


def external(world: World) -> StrategyDefinition:
    definition = StrategyDefinition(
        id=StrategyId(world.id()),
        owner_id=UserId("owner"),
        name="alerts",
        template="external",
        kind=StrategyKind.EXTERNAL,
        parameters={},
        symbol=world.symbols[0],
        timeframe=world.timeframe,
    )
    world.memory.create_strategy(definition)
    return definition


def send(world: World, strategy: StrategyDefinition, action: Action, **fields: Any) -> ExternalSignal:
    """Stored, and this process has heard of it."""
    signal = store(world, strategy, action, **fields)
    world.system.ref("external").tell(SignalsSent())
    return signal


def store(
    world: World, strategy: StrategyDefinition, action: Action, *, key: str | None = None, **fields: Any
) -> ExternalSignal:
    new = NewSignal(
        id=world.id(),
        strategy_id=strategy.id,
        user_id=strategy.owner_id,
        key=key or str(world.id()),
        received_at=world.clock.now(),
        sent=SentSignal(signal=Signal(action=action), **fields),
    )
    receipt = world.memory.receive_signal(new)
    assert isinstance(receipt, Accepted), receipt
    return receipt.signal


def outcome(world: World, run: RunId, signal: ExternalSignal) -> tuple[str, str | None] | None:
    found: list[TickRow] = world.memory.ticks(run_id=run, slot=signal.slot)
    assert len(found) <= 1, "I1: one row per run and slot"
    return (found[0].status.value, found[0].reason) if found else None


def started(path: str = "u-u-", **fields: Any) -> tuple[World, StrategyDefinition]:
    world = World(path, **fields)
    strategy = external(world)
    return world, strategy


def between(world: World, index: int, seconds: float = 17.4) -> datetime:
    """So long into the candle after number `index`."""
    at = world.slot(index) + timedelta(seconds=seconds)
    world.to(at)
    return at


@SEEDS
def test_a_signal_between_two_candles_enters_and_exits_on_paper_at_the_price_known_then(
    seed: int | None,
) -> None:
    """The candle that runs has opened at the close of the one before: that is known, its close is not."""
    world, strategy = started(seed=seed)
    run = world.run(strategy=strategy)
    sent_at = between(world, 0)
    entry = send(world, strategy, Action.LONG)
    world.wait(1)
    assert outcome(world, run, entry) == ("ok", None)
    assert entry.slot == sent_at.replace(microsecond=0)
    held = world.position(run)
    assert held.quantity > 0
    assert held.entry_price == Decimal(1010), "candle 1 opened there"
    between(world, 2)
    exit_ = send(world, strategy, Action.EXIT_LONG)
    world.wait(2)
    assert outcome(world, run, exit_) == ("ok", None)
    assert world.position(run).is_flat
    assert [leg for leg, *_ in world.legs(run)] == [Leg.ENTRY, Leg.EXIT]


@SEEDS
def test_a_flip_exits_first_and_enters_in_the_same_slot(seed: int | None) -> None:
    world, strategy = started(seed=seed)
    run = world.run(strategy=strategy)
    between(world, 0)
    send(world, strategy, Action.LONG)
    between(world, 1)
    flip = send(world, strategy, Action.SHORT)
    world.wait(2)
    assert outcome(world, run, flip) == ("ok", None)
    assert world.position(run).quantity < 0
    assert [(order.leg, order.slot) for order in world.orders(run)[1:]] == [
        (Leg.EXIT, flip.slot),
        (Leg.ENTRY, flip.slot),
    ]


@SEEDS
def test_an_exit_passes_a_shut_gate_and_an_entry_does_not(seed: int | None) -> None:
    """I7: the one trade of the day is spent by the entry."""
    world, strategy = started(seed=seed, limits=replace(OPEN_LIMITS, max_trades_per_day=1))
    run = world.run(strategy=strategy)
    between(world, 0)
    send(world, strategy, Action.LONG)
    between(world, 1)
    exit_ = send(world, strategy, Action.EXIT_LONG)
    world.wait(2)
    assert outcome(world, run, exit_) == ("ok", None)
    assert world.position(run).is_flat
    again = send(world, strategy, Action.LONG)
    world.wait(2)
    assert outcome(world, run, again) == ("blocked", "max_trades")


def test_i8_the_kill_switch_blocks_what_comes_from_outside_too() -> None:
    world, strategy = started()
    run = world.run(strategy=strategy)
    between(world, 0)
    world.memory.set_kill_switch(on=True, reason="drill")
    signal = send(world, strategy, Action.LONG)
    world.wait(2)
    assert outcome(world, run, signal) == ("blocked", "kill_switch")


@pytest.mark.parametrize(
    ("collar", "expected", "opens"),
    [
        ({"min_price": Decimal(1010), "max_price": Decimal(1010)}, ("ok", None), True),
        ({"min_price": Decimal("1010.1")}, ("blocked", "outside_collar"), False),
        ({"max_price": Decimal("1009.9")}, ("blocked", "outside_collar"), False),
    ],
    ids=["on both ends", "below", "above"],
)
def test_an_entry_opens_inside_its_collar_alone(
    collar: dict[str, Decimal], expected: tuple[str, str | None], opens: bool
) -> None:
    world, strategy = started()
    run = world.run(strategy=strategy)
    between(world, 0)
    signal = send(world, strategy, Action.LONG, **collar)
    world.wait(1)
    assert outcome(world, run, signal) == expected
    assert world.position(run).is_flat is not opens


@pytest.mark.parametrize("action", [Action.EXIT_LONG, Action.SHORT])
def test_what_is_held_is_closed_at_any_price_and_a_collar_bars_the_entry_of_a_flip_alone(
    action: Action,
) -> None:
    world, strategy = started()
    run = world.run(strategy=strategy)
    between(world, 0)
    send(world, strategy, Action.LONG)
    between(world, 1)
    send(world, strategy, action, max_price=Decimal(1))
    world.wait(2)
    assert world.position(run).is_flat
    assert [leg for leg, *_ in world.legs(run)] == [Leg.ENTRY, Leg.EXIT]


@SEEDS
def test_i1_heard_of_again_and_again_it_is_acted_upon_once(seed: int | None) -> None:
    world, strategy = started(seed=seed)
    run = world.run(strategy=strategy)
    between(world, 0)
    signal = send(world, strategy, Action.LONG)
    for _ in range(5):
        world.system.ref("external").tell(SignalsSent())
    world.wait(3)
    world.system.ref("external").tell(SignalsSent())
    world.wait(15)
    assert outcome(world, run, signal) == ("ok", None)
    assert len(world.placed()) == 1
    assert len([tick for tick in world.ticks(run) if tick.source.value == "external"]) == 1


@SEEDS
def test_two_in_one_second_are_told_one_after_the_other(seed: int | None) -> None:
    world, strategy = started(seed=seed)
    run = world.run(strategy=strategy)
    between(world, 0)
    entry = send(world, strategy, Action.LONG)
    exit_ = send(world, strategy, Action.EXIT_LONG)
    assert exit_.slot == entry.slot + timedelta(seconds=1)
    world.wait(5)
    assert (outcome(world, run, entry), outcome(world, run, exit_)) == (("ok", None), ("ok", None))
    assert world.position(run).is_flat
    assert len(world.memory.trades(run_id=run)) == 1


def test_every_active_run_of_the_strategy_is_told_and_one_evaluation_is_written() -> None:
    """I20"""
    world, strategy = started()
    runs = [world.run(user, strategy=strategy) for user in ("ann", "bob", "cid")]
    paused = world.run("dan", strategy=strategy, active=False)
    between(world, 0)
    signal = send(world, strategy, Action.LONG)
    world.wait(2)
    assert signal.runs == 3
    assert [outcome(world, run, signal) for run in runs] == [("ok", None)] * 3
    assert outcome(world, paused, signal) is None
    assert world.evaluations() == [signal.slot]


def test_two_strategies_from_outside_never_share_an_evaluation() -> None:
    world, strategy = started()
    other = external(world)
    mine, theirs = world.run(strategy=strategy), world.run("bob", strategy=other)
    between(world, 0)
    send(world, strategy, Action.LONG)
    send(world, other, Action.SHORT)
    world.wait(2)
    assert world.position(mine).quantity > 0 > world.position(theirs).quantity
    assert len(world.evaluations()) == 2


def test_no_slot_of_a_timeframe_claims_such_a_run() -> None:
    world, strategy = started()
    run = world.run(strategy=strategy)
    world.play()
    assert world.ticks(run) == []


def test_a_run_that_publishes_signals_alone_passes_it_on_and_orders_nothing() -> None:
    world, strategy = started()
    run = world.run(strategy=strategy, signals=True)
    between(world, 0)
    send(world, strategy, Action.LONG)
    world.wait(2)
    assert world.status(run).trading_mode is TradingMode.SIGNALS
    [event] = world.events(run, "signal")
    assert (event.payload["signal"], world.placed()) == ("long", [])


# -- what is not heard in time --------------------------------------------------------------------


def test_what_was_received_before_the_process_died_is_acted_upon_by_the_next_one() -> None:
    world, strategy = started()
    run = world.run(strategy=strategy)
    between(world, 0)
    signal = store(world, strategy, Action.LONG)
    world.end(StopMode.NOW)
    world.wait_dead(10)
    world.begin()
    world.wait(1)
    assert outcome(world, run, signal) == ("ok", None)
    assert world.position(run).quantity > 0


def test_i9_what_nobody_heard_in_time_is_recorded_as_expired_and_never_acted_upon() -> None:
    world, strategy = started("u-u-u-")
    run = world.run(strategy=strategy)
    between(world, 0)
    signal = store(world, strategy, Action.LONG)
    world.end(StopMode.NOW)
    world.wait_dead(30)
    world.begin()
    world.wait(1)
    assert outcome(world, run, signal) == ("missed", "expired")
    world.wait(60)
    assert world.placed() == []
    assert world.memory.signals_due([run]) == []


def test_a_run_that_was_paused_before_it_heard_has_it_on_record() -> None:
    world, strategy = started("u-u-u-")
    run = world.run(strategy=strategy)
    between(world, 0)
    signal = store(world, strategy, Action.LONG)
    world.memory.command(run, RunCommand.PAUSE, by="ann")
    world.wait(45)
    assert outcome(world, run, signal) == ("missed", "not_active")
    assert world.placed() == []


def test_the_senders_own_deadline_counts_where_it_is_the_shorter_one() -> None:
    world, strategy = started("u-u-u-")
    run = world.run(strategy=strategy)
    at = between(world, 0)
    world.store.down.add("claim")
    signal = send(world, strategy, Action.LONG, expires_at=at + timedelta(seconds=4))
    world.wait(5)
    world.store.down.clear()
    world.wait(12)
    assert outcome(world, run, signal) == ("missed", "expired")


def test_a_database_that_is_away_for_a_while_only_delays_it() -> None:
    world, strategy = started("u-u-u-")
    run = world.run(strategy=strategy)
    between(world, 0)
    world.store.down.update(("signals_due", "claim"))
    signal = send(world, strategy, Action.LONG)
    world.wait(5)
    world.store.down.clear()
    world.wait(11)
    assert outcome(world, run, signal) == ("ok", None)
    assert world.position(run).quantity > 0


@SEEDS
def test_i1_i18_a_claim_whose_answer_is_lost_ends_interrupted_and_is_not_made_again(seed: int | None) -> None:
    """Nobody knows who won it; the slot has its row when its lease is over."""
    world, strategy = started("u-u-u-", seed=seed)
    run = world.run(strategy=strategy)
    between(world, 0)
    world.store.lost_answers.append("claim")
    signal = send(world, strategy, Action.LONG)
    world.wait(200)
    assert outcome(world, run, signal) == ("error", "interrupted")
    assert world.placed() == []
    assert world.memory.signals_due([run]) == []


def test_what_was_sent_to_an_earlier_version_of_the_strategy_opens_nothing() -> None:
    world, strategy = started("u-u-u-")
    run = world.run(strategy=strategy)
    between(world, 0)
    signal = store(world, strategy, Action.LONG)
    world.memory.arrange(ReviseStrategy(definition=replace(strategy, version=2, name="renamed")))
    world.wait(11)
    assert outcome(world, run, signal) == ("blocked", "settings_changed")
    send(world, replace(strategy, version=2), Action.LONG)
    world.wait(2)
    assert world.position(run).quantity > 0


@pytest.mark.parametrize(("entry", "said"), [(Action.LONG, "exit_long"), (Action.SHORT, "exit_short")])
def test_close_closes_whichever_side_each_run_holds(entry: Action, said: str) -> None:
    world, strategy = started()
    run = world.run(strategy=strategy)
    between(world, 0)
    send(world, strategy, entry)
    between(world, 1)
    close = send(world, strategy, Action.EXIT_LONG, closes=True)
    world.wait(2)
    assert outcome(world, run, close) == ("ok", None)
    assert world.position(run).is_flat
    assert world.ticks(run)[-1].signal == said


# -- whatever dies between ------------------------------------------------------------------------

STEPS = ("signals_due", "claim", "settle", "may_send", "report")


class Killed(BaseException):
    """The process ends where it stands."""


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_i1_i3_a_process_killed_around_any_of_its_steps_leaves_one_row_and_one_order_at_most(
    step: str, carried_out: bool
) -> None:
    """Killed before or after what it asked of the store; another begins 5 s later, in time for the signal."""
    world, strategy = started("u-u-u-u-")
    run = world.run(strategy=strategy)
    between(world, 0)

    def killed(*args: Any, **kwargs: Any) -> None:
        del vars(world.store)[step]
        if carried_out:
            getattr(world.memory, step)(*args, **kwargs)
        raise Killed

    vars(world.store)[step] = killed
    signal = send(world, strategy, Action.LONG)
    with pytest.raises(Killed):
        world.wait(1)
    world.system.vanish()
    world.wait_dead(5)
    world.begin()
    world.wait(200)
    told = step == "signals_due" or (step, carried_out) == ("claim", False)
    written = (step, carried_out) == ("report", True)
    assert outcome(world, run, signal) == (("ok", None) if told or written else ("error", "interrupted"))
    assert len(world.placed()) == (1 if told or step == "report" else 0)
    assert world.memory.signals_due([run]) == []


def test_i20_a_run_told_after_a_pause_adds_to_the_one_evaluation() -> None:
    """While it was paused nothing was owed to anybody here."""
    world, strategy = started()
    first, second = (world.run(user, strategy=strategy) for user in ("ann", "bob"))
    between(world, 0)
    signal = store(world, strategy, Action.LONG)
    for command in (RunCommand.PAUSE, RunCommand.RESUME):
        world.memory.command(second, command, by="bob")
        world.system.ref("runs").tell(RowsChanged())
        world.wait(1)
        for _ in range(2):
            world.system.ref("external").tell(SignalsSent())
            world.wait(3)
    assert [outcome(world, run, signal) for run in (first, second)] == [("ok", None)] * 2
    assert world.evaluations() == [signal.slot]
