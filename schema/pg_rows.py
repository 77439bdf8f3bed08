"""Rows of PostgreSQL as the program's values, and values as the parameters of named queries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from core.definition import StrategyDefinition
from core.errors import Reason
from core.position import Position
from core.risk import DayRisk, RiskLimits, RiskState
from core.run import Run, RunSettings
from schema.pg_database import SQL, Connection
from schema.records import OpenPosition

T = TypeVar("T")
Row = dict[str, Any]

_SETTINGS = RunSettings.__struct_fields__
_POSITION = Position.__struct_fields__


def one(connection: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> Row | None:
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        return cursor.execute(SQL[query], parameters).fetchone()


def many(connection: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> list[Row]:
    with connection.cursor(row_factory=dict_row, binary=True) as cursor:
        return cursor.execute(SQL[query], parameters).fetchall()


def value(connection: Connection, query: str, parameters: Mapping[str, Any] | None = None) -> Any:
    """The one column of the one row."""
    row = connection.execute(SQL[query], parameters).fetchone()
    return None if row is None else row[0]


def changed(connection: Connection, query: str, parameters: Mapping[str, Any]) -> int:
    """How many rows the statement wrote."""
    return connection.execute(SQL[query], parameters).rowcount


def uuid_array(ids: Iterable[UUID]) -> str:
    """As the parameter of a `uuid[]`: psycopg would turn to each of them alone."""
    return f"{{{','.join(map(str, ids))}}}"


def optional(row: Row | None, read: Callable[[Row], T]) -> T | None:
    return None if row is None else read(row)


def as_type(kind: type[T]) -> Callable[[Row], T]:
    """Reads a row whose columns are named like the struct's fields; other columns are left out."""
    return lambda row: msgspec.convert(row, kind)


def definition_of(row: Row) -> StrategyDefinition:
    """Texts of code are long and a strategy's runs many: there is one of each, for as long as anybody holds it."""
    return msgspec.convert(row | {"source": sys.intern(row.get("source", ""))}, StrategyDefinition)


def run_of(row: Row) -> Run:
    """A row of the view `run_rows`."""
    return runs_of([row])[0]


def runs_of(rows: Sequence[Row], known: Sequence[StrategyDefinition] = ()) -> list[Run]:
    """Rows of the view `run_rows`; runs on one strategy share its definition, the known one where there is one."""
    definitions: dict[tuple[Any, int], StrategyDefinition] = {(each.id, each.version): each for each in known}
    runs = []
    for row in rows:
        key = row["strategy_id"], row["strategy_version"]
        strategy = definitions.get(key)
        if strategy is None:
            strategy = definitions[key] = definition_of(row | {"id": key[0], "version": key[1]})
        settings = {name: row[name] for name in _SETTINGS}
        runs.append(msgspec.convert(row | {"strategy": strategy, "settings": settings}, Run))
    return runs


def run_parameters(run: Run) -> Row:
    settings = fields(run.settings)
    return settings | fields(run) | {"strategy_id": run.strategy.id}


def position_of(row: Row) -> OpenPosition:
    return msgspec.convert(row | {"position": {name: row[name] for name in _POSITION}}, OpenPosition)


def position_parameters(held: OpenPosition) -> Row:
    return fields(held.position) | fields(held)


def risk_of(row: Row | None, days: list[Row]) -> RiskState:
    by_day: dict[date, DayRisk] = {
        day["day"]: DayRisk(pnl=day["realized_pnl_usdt"], trades=day["trades_count"]) for day in days
    }
    if row is None:
        return RiskState(days=by_day)
    reason = row["paused_reason"]
    return RiskState(
        days=by_day,
        streak=row["streak"],
        last_trade_at=row["last_trade_at"],
        paused_until=row["paused_until"],
        paused_reason=None if reason is None else Reason(reason),
    )


def limits_of(row: Row | None, default: RiskLimits) -> RiskLimits:
    return default if row is None else msgspec.convert(row, RiskLimits)


def fields(struct: msgspec.Struct) -> Row:
    """A struct's fields as parameters; enums go as their text, mappings as JSON, nested structs not at all."""
    named: Row = {}
    for name in struct.__struct_fields__:
        content = getattr(struct, name)
        if isinstance(content, Mapping):
            named[name] = Jsonb(plain_json(content))
        elif isinstance(content, str):
            named[name] = str(content)
        elif not isinstance(content, msgspec.Struct):
            named[name] = content
    return named


def plain_json(content: Mapping[str, Any]) -> Any:
    """What JSON can say of a mapping: decimals as text, times in ISO 8601, NaN as null."""
    return msgspec.json.decode(msgspec.json.encode(dict(content), enc_hook=_encode))


def json_rows(rows: Sequence[Any]) -> str:
    """Rows or structs for `json_to_recordset`, which takes the columns it names."""
    return msgspec.json.encode(rows, enc_hook=_encode).decode()


def _encode(content: Any) -> Any:
    if isinstance(content, Decimal):
        return str(content)
    if isinstance(content, Mapping):
        return dict(content)
    raise NotImplementedError(f"{type(content).__name__} in a payload")
