"""The ledger's transaction on PostgreSQL: a batch at once, or one operation after another, each in a savepoint."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from core.errors import Reason, RunnerError
from core.ids import ClientOrderId
from core.risk import RiskLimits
from schema.ledger import BeforeSend, send_refusal, settle_one
from schema.ops import LedgerOp, LedgerResult, OpRefused
from schema.pg_batch import NotLoaded, settle_batch
from schema.pg_database import Connection, Months, refusal
from schema.pg_prefetch import Wanted
from schema.pg_rows import as_type, many
from schema.pg_tx import PgTx
from schema.witness import witness

_before_send = as_type(BeforeSend)


def settle(
    connection: Connection, months: Months, default_limits: RiskLimits, ops: Sequence[LedgerOp]
) -> list[LedgerResult]:
    """Answers in the order asked. Users take turns by id, each one's operations in their order (decision 10)."""
    seen = witness.mark()
    try:
        return settle_batch(connection, months, default_limits, ops)
    except (NotLoaded, psycopg.IntegrityError, psycopg.DataError):
        connection.rollback()
        witness.back_to(seen)
        months.forget()
    tx = PgTx(connection, months, default_limits)
    wanted = Wanted(ops)
    wanted.locate(connection)
    results: dict[int, LedgerResult] = {}
    for index in sorted(range(len(ops)), key=lambda index: wanted.owner(ops[index])):
        results[index] = _savepoint(connection, tx, ops[index])
    return [results[index] for index in range(len(ops))]


def may_send(connection: Connection, asked: Sequence[tuple[ClientOrderId, int]]) -> list[Reason | None]:
    """Re-read before the first byte, in one statement: nothing is locked, so nothing is waited for."""
    rows = many(connection, "may_send", {"ids": [client_order_id for client_order_id, _ in asked]})
    found = {row["client_order_id"]: _before_send(row) for row in rows}
    return [send_refusal(found.get(client_order_id), fence=fence) for client_order_id, fence in asked]


def _savepoint(connection: Connection, tx: PgTx, op: LedgerOp) -> LedgerResult:
    try:
        with connection.transaction():
            return settle_one(tx, op)
    except RunnerError as error:
        tx.undone()
        return OpRefused(sentence=str(error))
    except psycopg.IntegrityError as error:
        tx.undone()
        # A constraint or trigger caught what the rules let through; the savepoint is undone.
        return OpRefused(sentence=f"the database refuses this: {refusal(error)}")
