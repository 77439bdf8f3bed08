"""What runs without an actor have left open: orders whose fate is not known, positions with their stop and target.

Part of the supervisor of runs, in its turns. Its connection has to take that up, as no run will ask for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from datetime import datetime

import msgspec

from actors.runtime.behaviour import Context
from core.ids import RunId
from core.order import Order
from core.run import Run
from schema.store import Store


class LeftOpen(msgspec.Struct, frozen=True):
    """Of a run without an actor: its open orders, and when the position it holds was opened, if it does."""

    run: Run
    orders: tuple[Order, ...]
    since: datetime | None


class ReadLeftOpen(msgspec.Struct, frozen=True):
    """See what this run, whose actor has ended for good, has left open."""

    run_id: RunId


class LeftOpenRead(msgspec.Struct, frozen=True):
    left_open: list[LeftOpen]


class LeftOpenReader:
    """For the run that has just been stopped. Orders alone: its position is followed already.

    `failed`: the message that has another told to us once more, a little later.
    """

    def __init__(
        self,
        ctx: Context,
        store: Store,
        *,
        take_up: Callable[[Sequence[LeftOpen]], None],
        failed: Callable[[object], object],
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._take_up = take_up
        self._failed = failed

    def handle(self, message: ReadLeftOpen | LeftOpenRead) -> None:
        if isinstance(message, LeftOpenRead):
            self._take_up(message.left_open)
            return
        store, run_id = self._store, message.run_id

        def read() -> LeftOpenRead:
            run, orders = store.run(run_id), tuple(store.open_orders(run_id=run_id))
            return LeftOpenRead([LeftOpen(run, orders, None)] if run is not None and orders else [])

        self._ctx.call(read, lambda answer: answer, lambda _: self._failed(message))


def left_open(store: Store, resident: Set[RunId]) -> list[LeftOpen]:
    """Of all runs but these."""
    since = {each.run_id: each.position.opened_at for each in store.open_positions()}
    orders: dict[RunId, list[Order]] = {}
    for order in store.open_orders():
        orders.setdefault(order.run_id, []).append(order)
    runs = [store.run(run_id) for run_id in sorted({*since, *orders} - resident)]
    return [
        LeftOpen(run, tuple(orders.get(run.id, ())), since.get(run.id)) for run in runs if run is not None
    ]
