"""What a day left behind in a store, as values that can be compared and hashed.

Left out are ids and counters that start anew in a replay, fences, and times the database gave (decision 29).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.recording.canonical import normal, text
from actors.recording.entries import Outcome
from schema.records import Event
from schema.snapshot import Snapshot
from schema.store import Store

PAGE = 1_000
MAX_ORDERS = 10_000
"""Orders of one run compared, the newest."""
MAX_TICKS = 2_000_000

_LEFT_OUT = frozenset(
    {
        "id",
        "seq",
        "at",
        "fence",
        "sign_ts",
        "created_at",
        "finished_at",
        "last_trade_at",
        "paused_until",
        "until",
        "latency_ms",
        "blocked",
        # An event's comes with the transaction, not with what the store was asked: of that nothing is recorded.
        "request_id",
    }
)


def outcome_of(store: Store, snapshot: Snapshot, since: datetime, first_event: int) -> Outcome:
    """Orders, events, risk states and tick rows of all runs since the process began."""
    known = {order.client_order_id for order in snapshot.orders}
    runs = sorted(store.runs(), key=lambda run: run.id)
    orders = [
        order
        for run in runs
        if run.account_id is not None
        for order in reversed(store.orders(run_id=run.id, limit=MAX_ORDERS))
        if order.client_order_id in known or (order.created_at is not None and order.created_at >= since)
    ]
    users = sorted({run.user_id for run in runs})
    # A tick's row on PostgreSQL keeps neither; the signal's event, which is compared too, does.
    ticks = [replace(tick, score=None, said=None) for tick in store.ticks(since=since, limit=MAX_TICKS)]
    return Outcome(
        orders=_plain(sorted(orders, key=lambda order: order.client_order_id)),
        events=_plain(sorted(_events(store, first_event), key=_stream)),
        risk=_plain([store.risk(user) for user in users]),
        ticks=_plain(sorted(ticks, key=lambda tick: (tick.slot, tick.run_id))),
    )


def hashes(outcome: Outcome) -> dict[str, str]:
    """One for each kind of row."""
    return {
        name: blake2b(
            msgspec.json.encode(getattr(outcome, name), order="deterministic"), digest_size=16
        ).hexdigest()
        for name in outcome.__struct_fields__
    }


def _events(store: Store, after_id: int) -> Iterator[Event]:
    while page := store.events(after_id=after_id, limit=PAGE):
        yield from page
        after_id = page[-1].id


def _stream(event: Event) -> tuple[str, str, int]:
    """Events are ordered within their run, or their user; between them no order is promised."""
    return event.user_id, str(event.run_id or ""), event.seq


def _plain(rows: list[Any]) -> list[Any]:
    return [_stripped(normal(text(row))) for row in rows]


def _stripped(value: Any) -> Any:
    if isinstance(value, list):
        return [_stripped(each) for each in value]
    if isinstance(value, dict):
        return {key: _stripped(each) for key, each in value.items() if key not in _LEFT_OUT}
    return value
