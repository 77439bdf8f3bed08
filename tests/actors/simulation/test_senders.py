"""Signals from outside under faults: what a run is owed has one row each, whatever fails on the way."""

from __future__ import annotations

from collections import Counter

from actors.simulation.world import World
from schema.records import TickSource


def test_i1_i9_each_run_that_is_owed_a_signal_has_one_row_of_it_whatever_fails() -> None:
    """Acted upon, refused by a gate, expired or cut off: all of it comes up, and nothing is passed over."""
    owed, came_to = 0, Counter[str]()
    for seed in range(100, 106):
        world = World(seed, days=0.1, users=2)
        assert world.play().found == []
        owed += sum(
            signal.runs for known in world.store.tables.external.values() for signal in known.values()
        )
        rows = [tick for row in world.store.tables.runs.values() for tick in row.ticks.values()]
        came_to.update(tick.status.value for tick in rows if tick.source is TickSource.EXTERNAL)
        still_owed = sum(map(len, world.store.tables.owed.values()))
        assert still_owed <= len(world.people.runs), "of the last moments alone"
    assert owed - came_to.total() in range(len(world.people.runs))
    assert {"ok", "blocked", "missed", "error"} <= set(came_to)
