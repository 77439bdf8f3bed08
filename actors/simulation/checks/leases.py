"""Slots and leases: each slot won once, one lease at a time, fences that only rise (I1, I5, I6, I9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from actors.simulation.checks.findings import Findings
from core.clock import Clock
from core.ids import RunId
from schema.records import Claim, TickRow, TickStatus

EARLY = timedelta(seconds=5)


class LeaseCheck:
    """`steps`: the timeframe of each run. Asked thousands of times a day: sentences are made only when needed."""

    def __init__(self, findings: Findings, clock: Clock, steps: dict[RunId, timedelta]) -> None:
        self._findings = findings
        self._clock = clock
        self._steps = steps
        self._highest = 0
        self._leases: dict[RunId, tuple[int, float]] = {}
        self.last_slot: dict[RunId, datetime] = {}
        self._rows: dict[tuple[RunId, datetime], TickRow] = {}

    def claimed(self, slot: datetime, ttl_s: float, claims: Sequence[Claim]) -> None:
        now = self._clock.now()
        late = now - slot
        for claim in claims:
            run, last = claim.run_id, self.last_slot.get(claim.run_id)
            if last is not None and slot <= last:
                self._findings.broken("I1", f"run {run}: slot {slot} was claimed again after {last}")
            if not -EARLY <= late < self._steps[run]:
                seconds = late.total_seconds()
                self._findings.broken(
                    "I9", f"run {run}: slot {slot} was claimed {seconds:g} s after it closed"
                )
            self.last_slot[run] = slot
            self.acquired(run, claim.fence, ttl_s)

    def acquired(self, run: RunId, fence: int, ttl_s: float) -> None:
        now_s = self._clock.monotonic()
        if fence <= self._highest:
            self._findings.broken("I6", f"run {run}: fence {fence} does not rise above {self._highest}")
        self._highest = max(self._highest, fence)
        held = self._leases.get(run)
        if held is not None and now_s < held[1]:
            self._findings.broken(
                "I5", f"run {run}: a lease under fence {fence} while {held[0]} still held one"
            )
        self._leases[run] = (fence, now_s + ttl_s)

    def released(self, run: RunId, fence: int) -> None:
        held = self._leases.get(run)
        if held is not None and held[0] == fence:
            self._leases[run] = (fence, float("-inf"))

    def holds(self, run: RunId, fence: int) -> bool:
        held = self._leases.get(run)
        return held is not None and held[0] == fence and self._clock.monotonic() < held[1]

    def stored(self, row: TickRow) -> None:
        """The row that now stands for (run, slot)."""
        first = self._rows.setdefault((row.run_id, row.slot), row)
        if first is not row:
            self._findings.broken(
                "I1", f"run {row.run_id}: the row of slot {row.slot} was written a second time"
            )
        if row.status is TickStatus.MISSED and row.signal is not None:
            self._findings.broken("I9", f"run {row.run_id}: missed {row.slot} was evaluated")

    def row(self, run: RunId, slot: datetime) -> TickRow | None:
        return self._rows.get((run, slot))
