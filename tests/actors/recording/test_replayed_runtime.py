"""In a replay time is read where it was read, and nowhere else."""

from __future__ import annotations

from actors.recording.replayed_runtime import (
    ReplayedClock,
    ReplayedEffects,
    ReplayedTimers,
    replayed_system,
)
from tests.actors.candles import START


def test_a_report_takes_none_of_a_turns_readings() -> None:
    """A process that stops tells actors that are gone already; the evaluation measured next is recorded too."""
    clock = ReplayedClock(START)
    system = replayed_system(clock, ReplayedEffects(), ReplayedTimers())
    clock.turn(START, [1.0, 2.5])
    system.reports.dead_letter("run:1", "TickDue", "stopped")
    system.reports.failure("run:1", ValueError())
    assert (clock.monotonic(), clock.monotonic()) == (1.0, 2.5)
