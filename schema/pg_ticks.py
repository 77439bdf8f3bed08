"""The trigger ledger on PostgreSQL: tick rows as they are listed and counted, and the asks that lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from core.ids import RunId
from schema.pg_database import SQL, Connection, Months
from schema.pg_rows import as_type, many
from schema.records import LostAsk, LostTrigger, TickPlace, TickRow, TickSource, TickStatus


def ticks(
    connection: Connection,
    *,
    run_id: RunId | None,
    status: str | None,
    since: datetime | None,
    slot: datetime | None,
    source: TickSource | None,
    before: TickPlace | None,
    limit: int,
) -> list[TickRow]:
    named: dict[str, object] = {"run_id": run_id, "status": status, "since": since, "slot": slot}
    before_slot, before_run = (None, None) if before is None else before
    named |= {"before_slot": before_slot, "before_run": before_run, "limit": limit}
    named["source"] = None if source is None else str(source)
    read = as_type(TickRow)
    return [read(row) for row in many(connection, "list_ticks", named)]


def slot_counts(connection: Connection, slot: datetime) -> dict[TickStatus, int]:
    rows = connection.execute(SQL["slot_counts"], {"slot": slot}).fetchall()
    return {TickStatus(status): count for status, count in rows}


def note_lost(connection: Connection, months: Months, asks: Sequence[LostAsk]) -> None:
    months.cover(connection, {lost.ask.slot for lost in asks})
    with connection.cursor() as cursor:
        cursor.executemany(SQL["insert_lost_triggers"], [_fields(lost) for lost in asks])


def lost_triggers(connection: Connection, ticks: Sequence[TickRow]) -> dict[TickPlace, list[LostTrigger]]:
    named = {
        "run_ids": [tick.run_id for tick in ticks],
        "slots": [tick.slot for tick in ticks],
        "sources": [str(tick.source) for tick in ticks],
        "nodes": [tick.worker for tick in ticks],
    }
    found: defaultdict[TickPlace, list[LostTrigger]] = defaultdict(list)
    read = as_type(LostTrigger)
    for row in many(connection, "list_lost_triggers", named):
        found[row["slot"], row["run_id"]].append(read(row))
    return dict(found)


def _fields(lost: LostAsk) -> dict[str, object]:
    ask = lost.ask
    return {
        "run_ids": list(lost.run_ids),
        "slot": ask.slot,
        "source": str(ask.source),
        "asked_at": ask.at,
        "node": lost.node,
    }
