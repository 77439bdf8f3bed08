"""Orders whose fate is open: looked up at the venue until there is evidence, never sent again (I4).

Part of a Connection, in its turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from actors.runtime.behaviour import Context
from actors.venue_calls import LookedUp, LookUp
from core.ids import ClientOrderId
from core.lookup import LOOK_EVERY_S, Absences, absent
from core.order import Expired, NotPlaced, Order, OrderEvent, OrderStatus
from exchanges.base import Exchange, OrderReport

LOOK_UP_TIMEOUT_S = 10.0

NEVER_ACKNOWLEDGED = frozenset({OrderStatus.INTENT, OrderStatus.UNKNOWN})


class OpenFates:
    """`found` takes what the venue has of an order, `ended` what follows from its final absence.

    `venue_now`: the venue's time, by which absence becomes final.
    """

    __slots__ = ("_ctx", "_ended", "_found", "_looking", "_venue_now", "venue")

    def __init__(
        self,
        ctx: Context,
        *,
        found: Callable[[Order, OrderReport], None],
        ended: Callable[[Order, OrderEvent], None],
    ) -> None:
        self._ctx = ctx
        self._found = found
        self._ended = ended
        self._looking: set[ClientOrderId] = set()
        self._venue_now: Callable[[], datetime] = ctx.clock.now
        self.venue: Exchange | None = None

    def by_clock_of(self, venue_now: Callable[[], datetime]) -> None:
        self._venue_now = venue_now

    def take(self, orders: Iterable[Order]) -> None:
        """Look for those nobody looks for yet."""
        for order in orders:
            if order.client_order_id not in self._looking:
                self._look_up(LookUp(order, Absences()))

    def later(self, order: Order) -> None:
        """Its outcome has just become unknown: news may still come."""
        self._looking.add(order.client_order_id)
        self._ctx.after(LOOK_EVERY_S, LookUp(order, Absences()))

    def handle(self, message: LookUp | LookedUp) -> None:
        if isinstance(message, LookUp):
            self._look_up(message)
        else:
            self._looked_up(message)

    def _look_up(self, look_up: LookUp) -> None:
        order = look_up.order
        self._looking.add(order.client_order_id)
        assert self.venue is not None
        self._ctx.run(
            self.venue.find(order.symbol, order.client_order_id),
            lambda report: LookedUp(look_up, report),
            lambda _: LookedUp(look_up, None, failed=True),
            timeout_s=LOOK_UP_TIMEOUT_S,
        )

    def _looked_up(self, answer: LookedUp) -> None:
        order = answer.look_up.order
        if answer.report is not None:
            self._looking.discard(order.client_order_id)
            self._found(order, answer.report)
            return
        absences = answer.look_up.absences
        if not answer.failed:
            looked = absent(order, absences, venue_now=self._venue_now())
            absences = looked.absences
            if looked.final:
                self._looking.discard(order.client_order_id)
                sent = order.status not in NEVER_ACKNOWLEDGED
                self._ended(order, Expired("absent") if sent else NotPlaced("absent"))
                return
        self._ctx.after(LOOK_EVERY_S, LookUp(order, absences))
