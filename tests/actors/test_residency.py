"""Rows of the database become run actors, and stay in step with them."""

from __future__ import annotations

from actors.messages import run_name
from actors.run_rows import MAX_BATCH, Loaded
from core.ids import RunId
from tests.actors.world import World


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
