"""`PgCandles`: the stored candles as market data, of everybody; read in ranges, each with a bound."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import isnan
from typing import Any, Final

import msgspec
import numpy as np

from core.candles import COLUMNS, Candle, CandleColumns
from core.market import Series
from core.timeframe import from_ms
from schema.pg_database import SQL, Connection, Database
from schema.pg_journal import candle_of, series_fields
from schema.pg_rows import many, one

AT_ONCE: Final = 100_000
"""Candles of one statement: well below what a statement may take."""
STORED_AT_ONCE: Final = 20_000
MAX_STRETCHES: Final = 1_000
_HEADER_BYTES: Final = 19
_TRAILER_BYTES: Final = 2
_ROW: Final = np.dtype(
    [("count", ">i2"), *(f for name in COLUMNS for f in ((f"{name}_n", ">i4"), (name, ">f8")))]
)


class StoredStretch(msgspec.Struct, frozen=True, kw_only=True):
    """Candles without a hole; `first` and `last` are the times at which they open."""

    first: datetime
    last: datetime
    candles: int


class CandleEnds(msgspec.Struct, frozen=True, kw_only=True):
    """When the first and the last candle open; both None where there is none."""

    first: datetime | None
    last: datetime | None


class PgCandles:
    def __init__(self, database: Database) -> None:
        self._database = database

    def ends(self, series: Series, start: datetime, until: datetime) -> CandleEnds:
        """Of candles that open in [start, until)."""
        row = self._database.read(
            lambda connection: one(connection, "candle_ends", _named(series, start, until))
        )
        return msgspec.convert(row, CandleEnds)

    def page(self, series: Series, start: datetime, until: datetime, limit: int) -> list[Candle]:
        """Oldest first."""
        named = _named(series, start, until) | {"limit": limit}
        rows = self._database.read(lambda connection: many(connection, "candle_page", named))
        return [candle_of(row) for row in rows]

    def stretches(self, series: Series, start: datetime, until: datetime) -> list[StoredStretch]:
        """What there is without a hole, oldest first; at most MAX_STRETCHES + 1."""
        named = _named(series, start, until)
        named |= {"step_s": series.timeframe.ms / 1000, "limit": MAX_STRETCHES + 1}
        rows = self._database.read(lambda connection: many(connection, "candle_stretches", named))
        return [msgspec.convert(row, StoredStretch) for row in rows]

    def columns(self, series: Series, start: datetime, until: datetime) -> CandleColumns:
        """All that open in [start, until), a statement for each AT_ONCE that there could be."""
        parts = []
        for begin, end in _spans(start, until, series.timeframe.delta * AT_ONCE):
            named = _named(series, begin, end)
            parts.append(self._database.read(lambda connection, named=named: _copied(connection, named)))  # type: ignore[misc]
        return CandleColumns.joined(parts) if parts else _columns(b"")

    def store(self, series: Series, columns: CandleColumns) -> None:
        """All of them or none; those that are there already stay."""
        parts = [
            _stored(series, columns.part(first, first + STORED_AT_ONCE))
            for first in range(0, len(columns), STORED_AT_ONCE)
        ]

        def store(connection: Connection) -> None:
            for part in parts:
                connection.execute(SQL["insert_candles"], part)

        if parts:
            self._database.run(store)


def _named(series: Series, start: datetime, until: datetime) -> dict[str, Any]:
    return series_fields(series) | {"start": start, "until": until}


def _stored(series: Series, columns: CandleColumns) -> dict[str, Any]:
    plain = {name: getattr(columns, name).tolist() for name in COLUMNS}
    plain["open_time"] = [from_ms(int(at)) for at in plain["open_time"]]
    plain["taker_buy_volume"] = [None if isnan(each) else each for each in plain["taker_buy_volume"]]
    return series_fields(series) | plain


def _spans(start: datetime, until: datetime, step: timedelta) -> Iterator[tuple[datetime, datetime]]:
    while start < until:
        yield start, min(start + step, until)
        start += step


def _copied(connection: Connection, named: dict[str, Any]) -> CandleColumns:
    with connection.cursor() as cursor, cursor.copy(SQL["copy_candles"], named) as copy:
        return _columns(b"".join(bytes(part) for part in copy))


def _columns(copied: bytes) -> CandleColumns:
    """From PostgreSQL's binary COPY: each row its count of fields, each field its length before its bytes."""
    body = copied[_HEADER_BYTES:-_TRAILER_BYTES]
    rows = np.frombuffer(body, dtype=_ROW)
    return CandleColumns(np.array([rows[name] for name in COLUMNS], dtype=np.float64))
