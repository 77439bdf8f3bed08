"""What the journal writes on PostgreSQL: tick rows by COPY, executions, signals; and slots that were cut off."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import isnan, nan

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from core.candles import Candle
from core.errors import Reason, RunnerError
from core.ids import RunId
from core.market import Series
from core.signal import Action
from core.timeframe import from_ms, to_ms
from schema.ledger import signal_payload
from schema.pg_database import SQL, Connection, Months
from schema.pg_evaluated import evaluated
from schema.pg_rows import Row, changed, fields, many, plain_json, value
from schema.pg_ticks import note_lost
from schema.records import CandleRow, SlotReport, TickRow, TickSource, TickStatus

_COPY_FROM_ROWS = 100
"""Below this many rows one INSERT is quicker than a COPY (docs: platform §2)."""

_COPY_TYPES = (
    *("uuid", "text", "timestamptz", "text", "text", "text", "text"),
    *("timestamptz", "timestamptz", "float8", "text", "int8", "timestamptz", "text", "uuid"),
)
_HOLD = Action.HOLD.value


def report(connection: Connection, months: Months, given: SlotReport) -> int:
    """Tick rows, leases by fence, executions, signals with their events; how many tick rows were new."""
    new: Sequence[TickRow] = ()
    if given.ticks:
        months.cover(connection, {tick.slot for tick in given.ticks})
        new = _store(connection, given.ticks)
        _finish(connection, given.ticks)
    if given.executions:
        with connection.cursor() as cursor:
            cursor.executemany(SQL["insert_execution"], [fields(row) for row in given.executions])
    if given.candles:
        with connection.cursor() as cursor:
            cursor.executemany(SQL["insert_candle"], [candle_fields(row) for row in given.candles])
    if given.lost:
        note_lost(connection, months, given.lost)
    evaluated(connection, months, given)
    _publish(connection, months, [tick for tick in new if tick.signal not in (None, _HOLD)])
    return len(new)


def candles(connection: Connection, series: Series, *, since: datetime, limit: int) -> list[Candle]:
    named = series_fields(series) | {"since": since, "limit": limit}
    return [candle_of(row) for row in many(connection, "list_candles", named)]


def close_interrupted(connection: Connection, months: Months, *, older_than_s: float) -> list[TickRow]:
    """Claimed slots whose lease ran out without a tick row become `interrupted`, never evaluated again."""
    return _close(connection, months, many(connection, "interrupted_slots", {"older_than_s": older_than_s}))


def close_abandoned(
    connection: Connection, months: Months, run_ids: Sequence[RunId], slot: datetime
) -> list[RunId]:
    """Those of the runs whose last slot, before `slot`, was cut off and is closed now."""
    rows = many(connection, "abandoned_slots", {"run_ids": list(run_ids), "slot": slot})
    _close(connection, months, rows)
    return [row["run_id"] for row in rows]


def _close(connection: Connection, months: Months, rows: Sequence[Row]) -> list[TickRow]:
    ticks = [
        TickRow(
            run_id=row["run_id"],
            user_id=row["user_id"],
            slot=row["slot"],
            status=TickStatus.ERROR,
            reason=Reason.INTERRUPTED.value,
            scheduled_at=row["slot"],
            source=TickSource(row["source"] or TickSource.TIMER),
            asked_at=row["asked_at"],
            finished_at=row["now"],
            worker=row["owner"],
            fence=row["fence"],
        )
        for row in rows
    ]
    if not ticks:
        return []
    months.cover(connection, {tick.slot for tick in ticks})
    new = insert_ticks(connection, ticks)
    _finish(connection, ticks)
    return list(new)


def series_fields(series: Series) -> dict[str, object]:
    return {
        "venue": series.venue,
        "market": series.market.value,
        "symbol": series.symbol,
        "timeframe": series.timeframe.value,
    }


def candle_fields(row: CandleRow) -> dict[str, object]:
    candle = row.candle
    taker_buy = None if isnan(candle.taker_buy_volume) else candle.taker_buy_volume
    return series_fields(row.series) | {
        "open_time": from_ms(candle.open_time_ms),
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "volume": candle.volume,
        "taker_buy_volume": taker_buy,
    }


def candle_of(row: Row) -> Candle:
    taker_buy = row["taker_buy_volume"]
    return Candle(
        open_time_ms=to_ms(row["open_time"]),
        open=row["open"],
        high=row["high"],
        low=row["low"],
        close=row["close"],
        volume=row["volume"],
        taker_buy_volume=nan if taker_buy is None else taker_buy,
    )


def _store(connection: Connection, rows: Sequence[TickRow]) -> Sequence[TickRow]:
    """The rows that were new. Claims make repeats rare, so COPY is tried first and undone where it meets one."""
    if len(rows) < _COPY_FROM_ROWS:
        return insert_ticks(connection, rows)
    try:
        with connection.transaction():
            _copy(connection, rows)
    except psycopg.errors.UniqueViolation:
        return insert_ticks(connection, rows)
    return rows


def _copy(connection: Connection, rows: Sequence[TickRow]) -> None:
    with connection.cursor() as cursor, cursor.copy(SQL["copy_ticks"]) as copy:
        copy.set_types(_COPY_TYPES)
        for row in rows:
            copy.write_row(
                (
                    row.run_id,
                    row.user_id,
                    row.slot,
                    str(row.status),
                    row.signal,
                    row.reason,
                    str(row.source),
                    row.scheduled_at,
                    row.finished_at,
                    row.latency_ms,
                    row.worker,
                    row.fence,
                    row.asked_at,
                    row.request_id,
                    row.evaluation,
                )
            )


def insert_ticks(connection: Connection, rows: Sequence[TickRow]) -> Sequence[TickRow]:
    """The rows that were new."""
    stored = connection.execute(SQL["insert_ticks"], {"ticks": _json(rows)}).fetchall()
    if len(stored) == len(rows):
        return rows
    new = set(stored)
    by_key = {(row.run_id, row.slot): row for row in reversed(rows)}
    return [row for key, row in by_key.items() if key in new]


def _finish(connection: Connection, rows: Sequence[TickRow]) -> None:
    """Each run's newest row ends its lease and says what its tick came to. Missed slots had neither."""
    newest: dict[RunId, TickRow] = {}
    for row in rows:
        known = newest.get(row.run_id)
        if known is None or (row.status is not TickStatus.MISSED, row.slot) >= (
            known.status is not TickStatus.MISSED,
            known.slot,
        ):
            newest[row.run_id] = row
    finished = [row for row in newest.values() if row.status is not TickStatus.MISSED]
    if changed(connection, "finish_ticks", {"ticks": _json(finished)}) < len(newest):
        run_ids = list(newest)
        if value(connection, "known_runs", {"run_ids": run_ids}) < len(run_ids):
            raise RunnerError("a tick was reported for a run that does not exist")


def _json(rows: Sequence[TickRow]) -> str:
    return msgspec.json.encode(rows).decode()


def _publish(connection: Connection, months: Months, rows: Sequence[TickRow]) -> None:
    """Signals other than hold, each once, with its event."""
    if not rows:
        return
    columns = {
        "run_id": [row.run_id for row in rows],
        "slot": [row.slot for row in rows],
        "action": [row.signal for row in rows],
        "score": [row.score for row in rows],
        "said": [None if row.said is None else Jsonb(msgspec.to_builtins(row.said)) for row in rows],
    }
    inserted = connection.execute(SQL["insert_signals"], columns).fetchall()
    stored = {(run_id, slot): about for run_id, slot, *about in inserted}
    told = [row for row in rows if (row.run_id, row.slot) in stored]
    now = value(connection, "market_now")
    months.cover(connection, [now])
    payloads = [signal_payload(row, *stored[row.run_id, row.slot]) for row in told]
    named = {
        "user_id": [row.user_id for row in told],
        "run_id": [row.run_id for row in told],
        "payload": [Jsonb(plain_json(payload)) for payload in payloads],
        "at": now,
    }
    if told:
        changed(connection, "insert_signal_events", named)
