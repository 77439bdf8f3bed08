"""All the venue knows of its accounts, for a comparison to the last cent. Decimals are text."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from exchanges.simulator.account import Account
from exchanges.simulator.engine import Engine
from exchanges.simulator.model import Conditional, Order, Position


def ledger(engine: Engine, name: str | None = None) -> dict[str, Any]:
    accounts = [a for a in engine.accounts if name in (None, a.name)]
    return {"at": engine.now_ms, "accounts": {a.name: _account(engine, a) for a in accounts}}


def _account(engine: Engine, account: Account) -> dict[str, Any]:
    return {
        "opening": text(account.opening_balance()),
        "wallet": {asset: text(amount) for asset, amount in account.wallet.items()},
        "unrealised": text(account.unrealised(engine.marks)),
        "hedge": account.hedge,
        "positions": [_position(engine, account, p) for p in account.open_positions()],
        "orders": [_order(order) for order in account.by_id.values()],
        "conditionals": [_conditional(c) for c in engine.all_conditionals(account)],
        "trades": _rows(account.trades),
        "income": _rows(account.income),
    }


def _rows(records: Iterable[msgspec.Struct]) -> list[Any]:
    return [msgspec.to_builtins(record) for record in records]


def _position(engine: Engine, account: Account, position: Position) -> dict[str, Any]:
    return {
        "symbol": position.symbol,
        "side": position.side,
        "quantity": text(position.quantity),
        "entry_price": text(position.entry_price),
        "cost": text(position.cost),
        "margin": text(position.margin),
        "realised": text(position.realised),
        "isolated": account.is_isolated(position.symbol),
        "leverage": account.leverage_of(position.symbol),
        "unrealised": text(position.unrealised(engine.marks[position.symbol])),
    }


def _order(order: Order) -> dict[str, Any]:
    request = order.request
    return {
        "order_id": order.order_id,
        "client_id": request.client_id,
        "symbol": request.symbol,
        "side": request.side,
        "kind": request.kind,
        "position_side": request.position_side,
        "reduce_only": request.reduce_only,
        "quantity": text(order.quantity),
        "filled": text(order.filled),
        "average_price": text(order.average_price),
        "fees": text(order.fees),
        "status": order.status,
        "reason": order.reason,
        "origin": order.origin,
        "conditional_id": order.conditional_id,
        "created_ms": order.created_ms,
        "updated_ms": order.updated_ms,
    }


def _conditional(conditional: Conditional) -> dict[str, Any]:
    return {
        "conditional_id": conditional.conditional_id,
        "order_id": conditional.order_id,
        "status": conditional.status,
        "reason": conditional.reason,
        "created_ms": conditional.created_ms,
        "triggered_ms": conditional.triggered_ms,
        **msgspec.to_builtins(conditional.request),
    }


def text(amount: Decimal) -> str:
    """Plain, never with an exponent."""
    return f"{amount:f}"
