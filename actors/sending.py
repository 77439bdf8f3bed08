"""Orders of one account from their place in its queue to the venue's answer. Part of a Connection, in its turns.

What is known not to have been placed is said so; whatever else fails after the first byte is looked up (I4).
"""

from __future__ import annotations

from collections.abc import Callable

from actors.bookings import Bookings, counted_failure
from actors.live.account import LiveAccount
from actors.live.news import Prepared, PrepareFailed
from actors.open_fate import OpenFates
from actors.permit import Permit, Permits
from actors.runtime.behaviour import Context
from actors.venue_calls import PaperVenue, Placed, PlaceFailed
from core.errors import Reason
from core.ids import ClientOrderId
from core.order import NotPlaced, Order, OutcomeUnknown, Rejected
from core.order_queue import OrderQueue
from core.run import RunSettings
from exchanges import errors as venue_errors
from exchanges.base import OrderReport
from exchanges.errors import ErrorKind

PLACE_TIMEOUT_S = 15.0
"""Longer than a venue's own patience for a price or an answer, so that its error is heard before ours is made."""


class Sending:
    """`venue` is where they go; `live` is told of each where that is beyond this process.

    `placed` hears in which symbol the venue took one, `failed` that it took none or did not answer, `idle` that no
    order is out any more, `outdated` that the venue holds less than our rows say.
    """

    __slots__ = (
        "_bookings",
        "_ctx",
        "_failed",
        "_fates",
        "_idle",
        "_out",
        "_outdated",
        "_permits",
        "_placed",
        "_places",
        "live",
        "venue",
    )

    def __init__(
        self,
        ctx: Context,
        permits: Permits,
        bookings: Bookings,
        fates: OpenFates,
        *,
        placed: Callable[[str], None],
        failed: Callable[[], None],
        idle: Callable[[], None],
        outdated: Callable[[], None],
    ) -> None:
        self.venue: PaperVenue | None = None
        self.live: LiveAccount | None = None
        self._ctx = ctx
        self._bookings = bookings
        self._fates = fates
        self._placed = placed
        self._failed = failed
        self._idle = idle
        self._outdated = outdated
        self._permits = permits
        self._places = OrderQueue()
        # From asking to send to the venue's answer, with the symbol.
        self._out: dict[ClientOrderId, str] = {}

    @property
    def is_busy(self) -> bool:
        """Whether any order is out."""
        return bool(self._out)

    def __contains__(self, client_order_id: ClientOrderId) -> bool:
        return client_order_id in self._out

    def is_busy_in(self, symbol: str) -> bool:
        return symbol in self._out.values()

    def admit(self, order: Order) -> bool:
        """Whether it has just got its place; not one that is told twice, and one without a place is not placed."""
        if order.client_order_id in self._places:
            return False
        admitted = self._places.admit(order)
        if not admitted:
            self._bookings.observe(order, NotPlaced(Reason.QUEUE_FULL))
        return admitted

    def submit(self, order: Order, settings: RunSettings) -> None:
        """An order that has its place."""
        self._bookings.belongs(order.symbol, order.run_id, order.user_id)
        self._out[order.client_order_id] = order.symbol
        if self.live is None:
            self._send(order)
            return
        refusal = self.live.refusal(order)
        if refusal is not None:
            self._came_to_nothing(order, refusal)
            return
        preparation = self.live.preparation(order, settings)
        if preparation is None:
            self._send(order)
            return
        self._ctx.run(
            preparation,
            lambda _: Prepared(order),
            lambda error: PrepareFailed(order, error),
            timeout_s=PLACE_TIMEOUT_S,
        )

    def handle(self, answer: Prepared | PrepareFailed | Placed | PlaceFailed) -> None:
        match answer:
            case Placed():
                self._reported(answer.order, answer.report)
            case PlaceFailed():
                self._came_to_nothing(answer.order, answer.error)
            case _:
                self._prepared(answer)

    def _prepared(self, answer: Prepared | PrepareFailed) -> None:
        """Nothing of the order has left yet: what failed here was not placed."""
        if isinstance(answer, Prepared):
            if self.live is not None:
                self.live.venue.prepared(answer.order.symbol)
            self._send(answer.order)
            return
        error = answer.error
        if not isinstance(error, venue_errors.NotPlaced | venue_errors.Rejected):
            kind = error.kind if isinstance(error, venue_errors.ExchangeError) else ErrorKind.TIMEOUT
            error = venue_errors.NotPlaced(kind, "the symbol could not be set")
        self._came_to_nothing(answer.order, error)

    def _send(self, order: Order) -> None:
        assert self.venue is not None
        if self.live is not None:
            self.live.sending(order)
        self._ctx.run(
            self.venue.place(order, Permit(order, self._permits, self._ctx.clock)),
            lambda report: Placed(order, report),
            lambda error: PlaceFailed(order, error),
            timeout_s=PLACE_TIMEOUT_S,
        )

    def _reported(self, order: Order, report: OrderReport) -> None:
        self._bookings.report(order, report)
        self._placed(order.symbol)
        self._answered(order)

    def _came_to_nothing(self, order: Order, error: Exception) -> None:
        if isinstance(error, venue_errors.ExchangeError) and error.alert:
            self._ctx.system.reports.alert(self._ctx.name, "venue_answer", str(error))
        match error:
            case venue_errors.NotPlaced():
                if self.live is not None:
                    self.live.never_placed(order)
                why = error.reason if isinstance(error, venue_errors.Withheld) else error.kind.value
                self._bookings.observe(order, NotPlaced(why), failure=counted_failure(error))
            case venue_errors.Rejected():
                self._bookings.observe(order, Rejected(error.refusal.value), failure=counted_failure(error))
                if error.refusal is venue_errors.Refusal.REDUCE_ONLY:
                    self._outdated()
            case _:
                # A timeout, a bug of ours, anything else after the first byte: nobody knows (I4).
                kind = error.kind.value if isinstance(error, venue_errors.ExchangeError) else "timeout"
                self._bookings.observe(order, OutcomeUnknown(kind), failure=kind)
                self._fates.later(order)
        self._failed()
        self._answered(order)

    def _answered(self, order: Order) -> None:
        self._out.pop(order.client_order_id, None)
        self._places.leave(order.client_order_id)
        if self.live is not None:
            self.live.sent(order)
        if not self._out:
            self._idle()
