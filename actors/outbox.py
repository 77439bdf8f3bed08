"""Orders of one account from being asked for to their first byte. Part of a Connection, in its turns.

One re-read of switch, lease and order is under way at a time; what comes meanwhile shares the next one, closing
orders first. So there is one statement for however many orders wait, and none of them is re-read early.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from actors.runtime.behaviour import Context
from actors.venue_calls import Permissions
from core.errors import Reason
from core.ids import ClientOrderId
from core.order import Order
from core.order_queue import OrderQueue
from schema.store import Store

MOST_AT_ONCE: Final = 64
"""Orders of one re-read: what it permits has to leave within a second of it."""


class Outbox:
    """`send` an order that may be, as the re-read made at some process time says; `withhold` one that may not."""

    __slots__ = ("_asking", "_ctx", "_queue", "_send", "_store", "_withhold")

    def __init__(
        self,
        ctx: Context,
        store: Store,
        *,
        send: Callable[[Order, float], None],
        withhold: Callable[[Order, Reason], None],
    ) -> None:
        self._ctx = ctx
        self._store = store
        self._send = send
        self._withhold = withhold
        self._queue = OrderQueue()
        self._asking = False

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._queue

    def admit(self, order: Order) -> bool:
        """Whether there is a place for it, which it has until it `left`."""
        return self._queue.admit(order)

    def ready(self, order: Order) -> None:
        """Nothing but permission is missing."""
        self._queue.line_up(order.client_order_id)
        self._ask()

    def left(self, client_order_id: ClientOrderId) -> None:
        """The venue has answered, or is not asked."""
        self._queue.leave(client_order_id)

    def answered(self, permissions: Permissions) -> None:
        self._asking = False
        for order, refusal in zip(permissions.orders, permissions.refusals, strict=True):
            if refusal is None:
                self._send(order, permissions.asked_at_s)
            else:
                self._withhold(order, refusal)
        self._ask()

    def _ask(self) -> None:
        orders = () if self._asking else self._queue.take(MOST_AT_ONCE)
        if not orders:
            return
        self._asking = True
        store, asked_at_s = self._store, self._ctx.clock.monotonic()
        asked = [(order.client_order_id, order.fence) for order in orders]
        unheard = [Reason.STORE_UNAVAILABLE] * len(orders)
        self._ctx.call(
            lambda: store.may_send(asked),
            lambda refusals: Permissions(orders, refusals, asked_at_s),
            lambda _: Permissions(orders, unheard, asked_at_s),
            urgent=True,
        )
