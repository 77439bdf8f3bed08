"""The ledger's transaction on PostgreSQL: a savepoint for each operation, users in id order (decision 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import assert_never

import psycopg

from core.errors import Reason, RunnerError
from core.ids import ClientOrderId, UserId
from core.order import Order
from schema.ledger import send_refusal, settle_one
from schema.ops import (
    EndLeg,
    ExpirePause,
    LedgerOp,
    LedgerResult,
    ObserveFill,
    ObserveFunding,
    ObserveOrder,
    OpRefused,
    ProposeIntent,
    SimulateTrade,
)
from schema.pg_database import SQL, Connection, refusal
from schema.pg_rows import as_type, one, optional
from schema.pg_tx import PgTx

_NOBODY = UserId("")


def settle(connection: Connection, tx: PgTx, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
    """Answers in the order asked. Operations of one user keep their order; users take turns by id."""
    order = range(len(ops))
    if len(ops) > 1:
        owners = _owners(connection, ops)
        order_by_user = sorted(order, key=owners.__getitem__)
    else:
        order_by_user = list(order)
    results: dict[int, LedgerResult] = {}
    for index in order_by_user:
        results[index] = _savepoint(connection, tx, ops[index])
    return [results[index] for index in order]


def may_send(connection: Connection, client_order_id: ClientOrderId, *, fence: int) -> Reason | None:
    """Re-read before the first byte: nothing is locked, so nothing is waited for."""
    named = {"client_order_id": client_order_id, "fence": fence}
    order = optional(one(connection, "order", named), as_type(Order))
    row = connection.execute(SQL["may_send"], named).fetchone()
    lease_holds, switched_off = (False, True) if row is None else (row[1], row[2])
    return send_refusal(order, fence=fence, lease_holds=lease_holds, switched_off=switched_off)


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


def _owners(connection: Connection, ops: Sequence[LedgerOp]) -> list[UserId]:
    """Whose rows each operation locks. Unknown ones come first and are refused by the ledger."""
    order_ids = {op.client_order_id for op in ops if isinstance(op, ObserveOrder | EndLeg | ObserveFill)}
    run_ids = {op.run_id for op in ops if isinstance(op, ObserveFill | ObserveFunding)}
    owners: dict[object, UserId] = {}
    for query, ids in (("order_owners", order_ids - {None}), ("run_owners", run_ids - {None})):
        if ids:
            owners |= connection.execute(SQL[query], {"ids": list(ids)}).fetchall()
    return [_owner(op, owners) for op in ops]


def _owner(op: LedgerOp, owners: Mapping[object, UserId]) -> UserId:
    match op:
        case ProposeIntent():
            return op.order.user_id
        case SimulateTrade() | ExpirePause():
            return op.user_id
        case ObserveOrder() | EndLeg():
            return owners.get(op.client_order_id, _NOBODY)
        case ObserveFill():
            return owners.get(op.client_order_id or op.run_id, _NOBODY)
        case ObserveFunding():
            return owners.get(op.run_id, _NOBODY)
        case _:
            assert_never(op)
