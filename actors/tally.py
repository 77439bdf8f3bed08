"""What a process has done since it started, for whoever watches it: counted a batch at a time, never in a tick."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from schema.ops import FillSettled, IntentCommitted, LedgerResult, OrderMoved
from schema.records import SlotReport, TickRow


class Tallied(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of this process. A cycle is a slot in which runs of this process ticked; its duration reaches from the
    slot to its last tick row.
    """

    ticks: Mapping[str, int]
    evaluations: Mapping[str, int]
    evaluation_s: float
    signals: int
    orders: Mapping[str, int]
    cycles: int
    cycle_s: float
    last_cycle_s: float | None
    last_slot: datetime | None


class Tally:
    """Written by the journal and the risk ledger, each its own part; read by anybody, at any time."""

    def __init__(self) -> None:
        self._ticks: Counter[str] = Counter()
        self._evaluations: Counter[str] = Counter()
        self._evaluation_s = 0.0
        self._signals = 0
        self._orders: Counter[str] = Counter()
        self._cycles = 0
        self._cycle_s = 0.0
        self._slot: datetime | None = None
        self._slot_s = 0.0

    def written(self, report: SlotReport) -> None:
        """A batch that is durable."""
        if report.executions:
            self._evaluations.update(str(row.status) for row in report.executions)
            self._evaluation_s += sum(row.duration_ms for row in report.executions) / 1_000
        if report.ticks:
            self._ticks.update(str(row.status) for row in report.ticks)
            self._signals += sum(1 for row in report.ticks if row.signal not in (None, "hold"))
            self._cycle(report.ticks)

    def settled(self, result: LedgerResult) -> None:
        """An operation that is durable: an order that came to another state by it is counted there."""
        match result:
            case IntentCommitted(order=order) | OrderMoved(order=order, changed=True):
                self._orders[str(order.status)] += 1
            case FillSettled(order=order, duplicate=False) if order is not None:
                self._orders[str(order.status)] += 1

    def read(self) -> Tallied:
        return Tallied(
            ticks=dict(self._ticks),
            evaluations=dict(self._evaluations),
            evaluation_s=self._evaluation_s,
            signals=self._signals,
            orders=dict(self._orders),
            cycles=self._cycles,
            cycle_s=self._cycle_s,
            last_cycle_s=self._slot_s if self._cycles else None,
            last_slot=self._slot,
        )

    def _cycle(self, ticks: Sequence[TickRow]) -> None:
        """Rows come in the order ticks ended, so the last one says how far the slot is."""
        last = ticks[-1]
        if self._slot is None or last.slot > self._slot:
            self._slot, self._slot_s = last.slot, 0.0
            self._cycles += 1
        if last.slot == self._slot:
            took_s = max(0.0, (last.finished_at - last.slot).total_seconds())
            self._cycle_s += max(0.0, took_s - self._slot_s)
            self._slot_s = max(took_s, self._slot_s)
