"""What the journal writes of evaluations beside their rows: whom they reached late, prints, warnings."""

from __future__ import annotations

from typing import Final

from psycopg.types.json import Jsonb

from core.strategy_warning import StrategyWarning
from schema.ledger.payloads import WARNING, warning_payload
from schema.pg_database import SQL, Connection, Months
from schema.pg_rows import changed, fields, plain_json, value
from schema.records import SlotReport

PRINTS_KEPT: Final = 100
"""Of each strategy, the newest."""


def evaluated(connection: Connection, months: Months, given: SlotReport) -> None:
    """Told twice it changes nothing."""
    if given.reached:
        with connection.cursor() as cursor:
            cursor.executemany(SQL["add_reached"], [fields(row) for row in given.reached])
    if given.printed:
        with connection.cursor() as cursor:
            cursor.executemany(SQL["insert_print"], [fields(row) for row in given.printed])
        strategy_ids = list({row.strategy_id for row in given.printed})
        changed(connection, "forget_prints", {"strategy_ids": strategy_ids, "kept": PRINTS_KEPT})
    for warning in given.warnings:
        _warn(connection, months, warning)


def _warn(connection: Connection, months: Months, warning: StrategyWarning) -> None:
    """With the event that tells its author, where it is the first of its kind."""
    if value(connection, "insert_warning", fields(warning)) is None:
        return
    now = value(connection, "market_now")
    months.cover(connection, [now])
    told = {"user_id": warning.user_id, "run_id": None, "type": WARNING, "at": now}
    changed(connection, "append_event", told | {"payload": Jsonb(plain_json(warning_payload(warning)))})
