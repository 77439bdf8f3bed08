"""Trailing stops: of one position the best price only ever betters, so that the stop never loosens."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from actors.simulation.checks.findings import Findings
from core.ids import RunId
from core.position import Position


class TrailCheck:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._best: dict[RunId, tuple[datetime, Decimal]] = {}

    def held(self, run_id: RunId, position: Position, best: Decimal | None) -> None:
        """A row as it was just committed."""
        opened_at = position.opened_at
        known = self._best.get(run_id)
        if known is not None and known[0] == opened_at:
            worse = best is None or (best - known[1]) * position.quantity < 0
            said = f"run {run_id}: its stop trailed {known[1]} and now trails {best}"
            self._findings.unless(not worse, "protection", said)
        if best is not None and opened_at is not None:
            self._best[run_id] = (opened_at, best)
