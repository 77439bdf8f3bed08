"""The ledger's operations in memory: one after another, each undone by itself where it is refused."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import Reason, RunnerError
from core.ids import ClientOrderId
from schema.ledger import PASSES_SWITCH, BeforeSend, send_refusal, settle_one
from schema.memory_tables import Tables
from schema.memory_tx import MemoryTx
from schema.ops import LedgerOp, LedgerResult, OpRefused


def settle(tx: MemoryTx, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
    """Answers in the order asked."""
    return [_savepoint(tx, op) for op in ops]


def may_send(tables: Tables, tx: MemoryTx, asked: Sequence[tuple[ClientOrderId, int]]) -> list[Reason | None]:
    return [send_refusal(_before_send(tables, tx, order_id), fence=fence) for order_id, fence in asked]


def _savepoint(tx: MemoryTx, op: LedgerOp) -> LedgerResult:
    mark = tx.undo.mark()
    try:
        return settle_one(tx, op)
    except RunnerError as error:
        tx.undo.back_to(mark)
        return OpRefused(sentence=str(error))


def _before_send(tables: Tables, tx: MemoryTx, client_order_id: ClientOrderId) -> BeforeSend | None:
    order = tx.order(client_order_id)
    if order is None:
        return None
    account = tables.accounts[order.account_id].account
    return BeforeSend(
        status=order.status,
        passes_switch=bool(tables.whys[client_order_id].get(PASSES_SWITCH)),
        fence=order.fence,
        lease_holds=tx.lease_holds(order.run_id, order.fence),
        switched_off=tables.kill_switch or account.kill_switch,
    )
