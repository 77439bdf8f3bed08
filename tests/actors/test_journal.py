"""When the journal writes: once rows have stopped coming, and after a bounded wait even if they have not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from actors.journal import FLUSH_AFTER_S, MOST_WAITS, Journal, JournalBuffer
from actors.runtime import ActorSystem, ChildSpec, VirtualClock
from core.risk import RiskLimits
from schema.memory import MemoryStore
from schema.records import SlotReport
from tests.actors.simulation.checks.parts import row

START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


class NotingStore(MemoryStore):
    """Notes after how many milliseconds how many rows were written."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, RiskLimits())
        self._process_clock = clock
        self.written: list[tuple[int, int]] = []

    def report(self, report: SlotReport) -> None:
        self.written.append((round(self._process_clock.monotonic() * 1_000), len(report.ticks)))


def written(rows_at_ms: list[int]) -> list[tuple[int, int]]:
    """Each row is added at such a time."""
    clock = VirtualClock(START)
    store, buffer = NotingStore(clock), JournalBuffer()
    system = ActorSystem.deterministic(clock)
    system.start([ChildSpec(id="journal", factory=lambda ctx: Journal(ctx, store=store, buffer=buffer))])
    assert system.virtual is not None
    tick = row()
    for number, at_ms in enumerate(rows_at_ms):
        system.virtual.run_until(START + timedelta(milliseconds=at_ms))
        buffer.ticked(replace(tick, fence=number + 1))
    system.virtual.run_until(START + timedelta(seconds=2))
    return store.written


@pytest.mark.parametrize(
    ("rows_at_ms", "expected"),
    [
        ([0], [(20, 1)]),
        ([0, 5, 10], [(40, 3)]),
        ([0, 15, 35, 55], [(80, 4)]),
        ([0, 30], [(20, 1), (50, 1)]),
    ],
)
def test_a_batch_is_written_once_no_row_has_come_for_a_while(
    rows_at_ms: list[int], expected: list[tuple[int, int]]
) -> None:
    assert written(rows_at_ms) == expected


def test_a_batch_waits_no_longer_than_its_bound() -> None:
    first, rows = written(list(range(0, 1_000, 5)))[0]
    assert first == round(FLUSH_AFTER_S * (MOST_WAITS + 1) * 1_000)
    assert rows > 40
