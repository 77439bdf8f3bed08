"""The installation on PostgreSQL: market time, kill switches, processes."""

from __future__ import annotations

from datetime import datetime

from core.errors import RunnerError
from core.ids import AccountId, NodeId
from schema.ledger import PLATFORM_USER, switch_payload
from schema.pg_database import Connection
from schema.pg_rows import as_type, changed, many, one, value
from schema.pg_tx import PgTx
from schema.records import ClockSettings, Node, Platform


def clock(connection: Connection) -> ClockSettings:
    row = one(connection, "clock")
    assert row is not None
    return as_type(ClockSettings)(row)


def set_clock(
    connection: Connection, *, at: datetime | None, rate: float | None, ceiling: datetime | None
) -> ClockSettings:
    if not value(connection, "lock_settings"):
        raise RunnerError("market time can only be set in a demo database")
    changed(connection, "set_clock", {"at": at, "rate": rate, "ceiling": ceiling})
    return clock(connection)


def mark_demo(connection: Connection, *, start: datetime, rate: float) -> ClockSettings:
    if not value(connection, "lock_settings") and not changed(
        connection, "mark_demo", {"start": start, "rate": rate}
    ):
        raise RunnerError("this database holds runs and cannot become a demo")
    return clock(connection)


def platform(connection: Connection) -> Platform:
    row = one(connection, "platform")
    assert row is not None
    return as_type(Platform)(row)


def set_kill_switch(
    connection: Connection, tx: PgTx, *, on: bool, reason: str, account_id: AccountId | None
) -> None:
    """Waits for intents that have read the switch; whoever asks after the commit sees it (I8)."""
    named = {"on": on, "reason": reason if on else None}
    if account_id is None:
        user_id = PLATFORM_USER if changed(connection, "set_kill_switch", named) else None
    else:
        user_id = value(connection, "set_account_kill_switch", named | {"account_id": account_id})
        if user_id is None and one(connection, "account", {"id": account_id}) is None:
            raise RunnerError(f"there is no account {account_id}")
    if user_id is not None:
        payload = switch_payload(on=on, reason=reason, account_id=str(account_id) if account_id else None)
        tx.append_event(user_id=user_id, run_id=None, type="risk_block", at=tx.now(), payload=payload)


def beat(connection: Connection, node_id: NodeId, version: str, *, within_s: float) -> list[Node]:
    changed(connection, "beat", {"id": node_id, "version": version})
    return [as_type(Node)(row) for row in many(connection, "live_nodes", {"within_s": within_s})]


def leave(connection: Connection, node_id: NodeId) -> None:
    changed(connection, "leave", {"id": node_id})
