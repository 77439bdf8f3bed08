"""Events: every change with its event in the same commit, numbers without a gap, repeats silent (I11, I17)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from actors.simulation.checks.findings import Findings
from core.ids import RunId, UserId
from schema.ops import FillSettled, LedgerOp, LedgerResult, ObserveFill, OrderMoved
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

    def settled(
        self, ops: Sequence[LedgerOp], results: Sequence[LedgerResult], events: Sequence[Event]
    ) -> None:
        """What was told again leaves nothing: a commit has no more events than there is news in it."""
        news: Counter[tuple[str, str, str]] = Counter()
        repeats: list[tuple[str, str, str]] = []
        for op, result in zip(ops, results, strict=True):
            key: tuple[str, str, str]
            if isinstance(result, OrderMoved):
                key, new = ("order_update", "client_order_id", result.order.client_order_id), result.changed
            elif isinstance(result, FillSettled) and isinstance(op, ObserveFill):
                key, new = ("order_fill", "trade_id", op.fill.trade_id), not result.duplicate
            else:
                continue
            news[key] += new
            if not new:
                repeats.append(key)
        for kind, field, value in repeats:
            count = sum(event.type == kind and event.payload.get(field) == value for event in events)
            self._findings.unless(
                count <= news[kind, field, value],
                "I17",
                f"{value}: told again, it left {count} events {kind}",
            )
