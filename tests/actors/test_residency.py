"""Rows of the database become run actors, and stay in step with them."""

from __future__ import annotations

from itertools import count

import pytest

from actors.messages import AccountsHere, RowsChanged, StandDown, run_name
from actors.prepared import series_of
from actors.run_rows import MAX_BATCH, Loaded
from actors.runs import WHOLE_EVERY_S, RowRead
from core.ids import NodeId, RunId, UserId
from core.order import OrderStatus
from core.residency import home
from core.run import RunCommand
from core.timeframe import Timeframe
from tests.actors.candles import START, SYMBOL
from tests.actors.world import LIVE, World


def reads(world: World) -> list[list[RunId]]:
    return [args[0] for what, (args, _, _) in world.calls if what == "store.run_starts"]


def test_runs_that_start_together_read_their_rows_together() -> None:
    world = World("--")
    strategy = world.strategy()
    runs = {world.run(strategy=strategy) for _ in range(MAX_BATCH + 100)}
    world.to_slot(0)
    asked = reads(world)
    assert len(asked) <= 4
    assert max(len(each) for each in asked) <= MAX_BATCH
    assert sorted(run_id for each in asked for run_id in each) == sorted(runs)
    assert {world.tick(run_id, 0) for run_id in runs} == {("ok", None)}


def test_rows_that_could_not_be_read_are_asked_for_again() -> None:
    world = World("--")
    runs = [world.run() for _ in range(3)]
    world.store.down.add("run_starts")
    world.to_slot(0, plus_s=-25)
    assert reads(world) == []
    world.store.down.clear()
    world.to_slot(0)
    assert [world.tick(run_id, 0) for run_id in runs] == [("ok", None)] * 3


def test_what_was_read_for_an_actors_life_before_is_not_believed() -> None:
    """Else a restarted run might start from a row that is older than its own question."""
    world = World("--")
    run = world.run()
    world.to_slot(0, plus_s=-20)
    world.crash(run_name(run))
    world.wait(2)
    assert len(reads(world)) == 2
    world.system.ref(run_name(run)).tell(Loaded(life=1, heard=0, start=None))
    world.to_slot(0)
    assert world.tick(run, 0) == ("ok", None)
    assert len(reads(world)) == 2  # else it would have ended, and begun anew


def test_a_run_that_is_not_there_ends() -> None:
    world = World("--")
    run = world.run()
    world.store.before["run_starts"] = lambda: world.memory.tables.runs.pop(run)
    world.to_slot(0, plus_s=-20)
    assert not world.is_alive(run)


def passes(world: World) -> list[tuple[bool, int]]:
    """Of each reading of rows whether it was of all, and how many runs it told of."""
    return [
        (args[0] is None, len(answer.runs))
        for what, (args, _, answer) in world.calls
        if what == "store.runs_since"
    ]


def test_all_rows_are_read_once_and_then_what_has_changed() -> None:
    world = World("----")
    runs = [world.run() for _ in range(5)]
    world.to_slot(1)
    assert passes(world)[0] == (True, 5)
    assert set(passes(world)[1:]) == {(False, 0)}
    before = len(passes(world))
    world.memory.command(runs[2], RunCommand.PAUSE, by="ann")
    world.to_slot(2)
    assert [count for _, count in passes(world)[before:]].count(1) == 1
    assert [world.tick(run_id, 2) for run_id in runs] == [("ok", None)] * 2 + [None] + [("ok", None)] * 2


def test_a_change_whose_hint_was_lost_is_found_by_the_next_pass() -> None:
    world = World("---")
    run = world.run()
    world.to_slot(0)
    world.memory.command(run, RunCommand.STOP, by="ann")
    assert world.is_alive(run)
    world.wait(LIVE.poll_s)
    assert not world.is_alive(run)
    world.memory.command(run, RunCommand.START, by="ann")
    world.wait(LIVE.poll_s)
    assert world.is_alive(run)
    world.to_slot(2)
    assert world.tick(run, 2) == ("ok", None)


def test_a_pass_that_failed_leaves_what_changed_to_the_next() -> None:
    world = World("---")
    run = world.run()
    world.to_slot(0)
    world.memory.command(run, RunCommand.STOP, by="ann")
    world.store.lost_answers.append("runs_since")
    world.wait(LIVE.poll_s + 2)
    assert not world.is_alive(run)


def test_all_rows_are_read_again_now_and_then_and_never_about_a_slot() -> None:
    """What no change tells of is found all the same; a pass over all rows would hold a slot up."""
    world = World("-" * 14, begin=False)
    run, gone = world.run(), world.run()
    world.wait_dead(30)  # polls fall on each minute's first second
    world.begin()
    world.memory.tables.runs.pop(gone)
    seconds = []
    for _ in range(int(WHOLE_EVERY_S * 2) + 60):
        before = len(passes(world))
        world.wait(1)
        if any(whole for whole, _ in passes(world)[before:]):
            seconds.append((world.clock.now() - START).total_seconds() % 60)
    assert seconds == [10, 10]
    assert world.is_alive(run)
    assert not world.is_alive(gone)


def test_candles_of_the_last_run_that_looks_at_them_are_left_by_a_pass_over_all_rows() -> None:
    world = World("-" * 45, symbols=(SYMBOL, "ETHUSDT"), begin=False)
    shared, other = world.strategy(), world.strategy(symbol="ETHUSDT")
    runs = [world.run(strategy=shared), world.run(strategy=shared)]
    world.run(strategy=other)
    world.begin()
    own = [series_of(strategy) for strategy in (shared, other)]

    def held() -> set[str]:
        return {series.symbol for series in own if world.parts.windows.get(series) is not None}

    for run in runs:
        world.wait(int(WHOLE_EVERY_S * 2) + 60)
        assert held() == {SYMBOL, "ETHUSDT"}
        world.memory.command(run, RunCommand.STOP, by="ann")
    world.wait(int(WHOLE_EVERY_S * 2) + 60)
    assert held() == {"ETHUSDT"}


def test_a_run_wanted_again_while_its_actor_ends_comes_back_at_once() -> None:
    world = World("---")
    run = world.run()
    world.to_slot(0)
    stopped = world.memory.command(run, RunCommand.STOP, by="ann")
    started = world.memory.command(run, RunCommand.START, by="ann")
    for each in (stopped, started):
        world.system.ref("runs").tell(RowRead(run=each))
    world.wait(1)
    assert world.is_alive(run)
    world.to_slot(1)
    assert world.tick(run, 1) == ("ok", None)


@pytest.mark.parametrize(("frozen_s", "times"), [(2.0, 0), (LIVE.node_live_s + 30, 1)])
def test_i4_who_was_silent_for_so_long_that_others_took_over_reads_its_runs_anew(
    frozen_s: float, times: int
) -> None:
    """They may have left an order of unknown fate, which nobody else follows once the runs are back here."""
    world = World("-----", timeframe=Timeframe.M15)
    run = world.run("cid")
    another = NodeId("another")
    assert home(UserId("cid"), [another, LIVE.node]) == LIVE.node

    def minute_with_another() -> None:
        for _ in range(12):
            world.memory.beat(another, "1")
            world.wait(5)

    world.to_slot(0, plus_s=10)
    minute_with_another()
    before = len(reads(world))
    world.wait_dead(frozen_s)  # its actors stand still
    minute_with_another()
    assert reads(world)[before:] == [[run]] * times


def moved_away(world: World) -> RunId:
    """A run that ticks here, whose user's home another process is once it beats."""
    another = NodeId("another")
    user = next(f"user-{n}" for n in range(99) if home(UserId(f"user-{n}"), [another, LIVE.node]) == another)
    run = world.run(user)
    world.to_slot(0, plus_s=30)
    assert world.is_alive(run)
    return run


def test_i1_a_run_whose_user_moved_stays_until_the_slot_that_was_claimed_here_is_decided() -> None:
    """Its actor ended before the tick would leave the slot cut off, and the run locked for the rest of a lease."""
    world = World("----")
    run = moved_away(world)
    world.to_slot(1, plus_s=-1)  # claimed, and waiting for its candle
    world.memory.beat(NodeId("another"), "1")
    world.system.ref("runs").tell(RowsChanged())
    world.to_slot(1, plus_s=5)
    assert world.tick(run, 1) == ("ok", None)
    assert world.is_alive(run)
    for second in range(10, 45, 5):
        world.memory.beat(NodeId("another"), "1")
        world.to_slot(1, plus_s=second)
    assert not world.is_alive(run)


def test_a_run_whose_user_moved_between_slots_goes_at_once() -> None:
    world = World("----")
    run = moved_away(world)
    world.memory.beat(NodeId("another"), "1")
    world.system.ref("runs").tell(RowsChanged())
    world.wait(2)
    assert not world.is_alive(run)


def test_i16_who_stands_down_decides_what_it_has_claimed_and_claims_nothing_more() -> None:
    world = World("----")
    run = world.run()
    world.to_slot(1, plus_s=-1)
    for name in ("scheduler", "runs"):
        world.system.ref(name).tell(StandDown())
    world.to_slot(1, plus_s=1)
    assert world.tick(run, 1) == ("ok", None)
    assert [node.id for node in world.memory.beat(NodeId("another"), "1")] == ["another"]
    world.to_slot(2, plus_s=30)
    assert world.tick(run, 2) is None
    assert [node.id for node in world.memory.beat(NodeId("another"), "1")] == ["another"], "it beats no more"


@pytest.mark.parametrize("path", ["ud-", "-u-"])
def test_i16_a_tick_whose_account_is_handed_over_meanwhile_ends_with_its_orders(path: str) -> None:
    """Whenever word comes that others follow the account: what is asked of it is held until it may begin anew."""
    for turns in count():
        world = World(path, seed=1)
        run = world.run()
        world.to_slot(1, plus_s=-1)
        assert world.system.virtual is not None
        for _ in range(turns):
            world.system.virtual.step()
        if world.tick(run, 1) is not None:
            break
        world.system.ref("gateway").tell(AccountsHere(account_ids=frozenset()))
        world.to_slot(1, plus_s=20)
        assert world.tick(run, 1) == ("ok", None), turns
        assert world.orders(run)[-1].status is OrderStatus.FILLED, turns
    assert turns > 20
