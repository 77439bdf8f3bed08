"""Signals from outside on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from core.definition import StrategyKind
from core.external_signal import ExternalSignal, SentSignal, expiry_of, slot_of
from core.ids import RunId, StrategyId, UserId
from schema.external import (
    CLEARED_AT_ONCE,
    KEPT,
    SETTLED_AT_ONCE,
    Accepted,
    CameTooLate,
    DueSignal,
    KeyTaken,
    NewSignal,
    NoSuchStrategy,
    Receipt,
    TooFast,
    missed_row,
)
from schema.pg_database import Connection, Database, Months
from schema.pg_journal import insert_ticks
from schema.pg_rows import Row, changed, many, one, value
from schema.records import TickRow


def receive(connection: Connection, new: NewSignal) -> Receipt:
    """The signal as it is stored now; the strategy's row orders those who send at once."""
    strategy = one(connection, "lock_external_strategy", {"strategy_id": new.strategy_id})
    if (
        strategy is None
        or strategy["owner_id"] != new.user_id
        or strategy["kind"] != StrategyKind.EXTERNAL.value
    ):
        return NoSuchStrategy()
    key = {"strategy_id": new.strategy_id, "key": new.key}
    before = one(connection, "external_signal_of_key", key) or _beside(connection, new)
    if before is not None:
        same = before["content"] == new.sent.content
        return Accepted(signal=_signal(before), repeated=True) if same else KeyTaken()
    expires_at = expiry_of(new.received_at, new.sent, new.within)
    if expires_at is None:
        return CameTooLate()
    slot = slot_of(new.received_at, value(connection, "last_external_slot", key))
    if slot is None:
        return TooFast()
    signal = ExternalSignal(
        id=new.id,
        strategy_id=new.strategy_id,
        user_id=new.user_id,
        strategy_version=strategy["latest_version"],
        key=new.key,
        received_at=new.received_at,
        slot=slot,
        expires_at=expires_at,
        sent=new.sent,
        runs=0,
    )
    named = {name: getattr(signal, name) for name in signal.__struct_fields__ if name not in ("sent", "runs")}
    runs = value(connection, "insert_external_signal", named | {"content": new.sent.content})
    return Accepted(signal=msgspec.structs.replace(signal, runs=runs))


def _beside(connection: Connection, new: NewSignal) -> Row | None:
    """The same signal under another key of it."""
    for key in new.other_keys:
        found = one(connection, "external_signal_of_key", {"strategy_id": new.strategy_id, "key": key})
        if found is not None and new.came_at(found["received_at"]):
            return found
    return None


def due(connection: Connection, run_ids: Sequence[RunId]) -> list[DueSignal]:
    rows = many(connection, "due_external_signals", {"run_ids": list(run_ids)})
    return [DueSignal(signal=_signal(row), run_ids=tuple(row["run_ids"])) for row in rows]


def settle(connection: Connection, months: Months, now: datetime) -> list[TickRow]:
    """What expired unheard has its rows; what is settled is owed no more, what is old is forgotten."""
    named = {"now": now, "limit": SETTLED_AT_ONCE}
    changed(connection, "restore_lock_rows", {})
    rows = [_expired(row, now) for row in many(connection, "overdue_deliveries", named)]
    new: Sequence[TickRow] = ()
    if rows:
        months.cover(connection, {row.slot for row in rows})
        new = insert_ticks(connection, rows)
        closed = {"run_ids": [row.run_id for row in rows], "slots": [row.slot for row in rows]}
        changed(connection, "close_overdue_slots", closed)
    changed(connection, "delete_settled_deliveries", {"limit": CLEARED_AT_ONCE})
    changed(connection, "delete_old_external_signals", {"before": now - KEPT, "limit": SETTLED_AT_ONCE})
    return list(new)


class PgExternal:
    """What HTTP asks beyond the store's protocol. Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def sent_to(
        self, strategy_id: StrategyId, user_id: UserId, *, limit: int, before: datetime | None
    ) -> list[ExternalSignal]:
        """Newest slot first; `before`: only what follows that slot."""
        named = {"strategy_id": strategy_id, "user_id": user_id, "limit": limit, "before": before}
        rows = self._database.read(lambda connection: many(connection, "external_signals_of", named))
        return [_signal(row) for row in rows]


def _expired(row: Row, now: datetime) -> TickRow:
    return missed_row(
        row["run_id"],
        row["user_id"],
        slot=row["slot"],
        received_at=row["received_at"],
        active=row["active"],
        now=now,
    )


def _signal(row: Row) -> ExternalSignal:
    sent = msgspec.json.decode(row["content"], type=SentSignal)
    return msgspec.convert({**row, "sent": sent}, ExternalSignal)
