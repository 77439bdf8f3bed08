"""Events: every change with its event in the same commit, numbers without a gap, repeats silent (I11, I17)."""

from __future__ import annotations

from collections.abc import Sequence

from actors.simulation.checks.findings import Findings
from core.ids import RunId, UserId
from schema.records import Event


class EventCheck:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._seq: dict[RunId | UserId, int] = {}
        self._last_id = 0

    def appended(self, events: Sequence[Event]) -> None:
        for event in events:
            owner: RunId | UserId = event.user_id if event.run_id is None else event.run_id
            expected = self._seq.get(owner, 0) + 1
            self._findings.unless(
                event.seq == expected,
                "I11",
                f"{owner}: event {event.type} has number {event.seq}, not {expected}",
            )
            self._findings.unless(event.id > self._last_id, "I11", f"event {event.id} is not the newest")
            self._seq[owner] = event.seq
            self._last_id = event.id

    def changed(
        self, kind: str, key: str, events: Sequence[Event], *, field: str = "client_order_id"
    ) -> None:
        """A change that must have left the event `kind` about `key` in the same commit."""
        there = any(event.type == kind and event.payload.get(field) == key for event in events)
        self._findings.unless(there, "I11", f"{key}: changed without its event {kind}")

    def repeated(self, key: str, kind: str, events: Sequence[Event], *, field: str, told: int) -> None:
        """News told before: `told` events of `kind` about it may stand in this commit, not more."""
        count = sum(event.type == kind and event.payload.get(field) == key for event in events)
        self._findings.unless(count <= told, "I17", f"{key}: told again, it left {count} events {kind}")
