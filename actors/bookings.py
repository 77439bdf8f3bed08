"""What a venue said, told to the risk ledger. Part of a Connection, in its turns."""

from __future__ import annotations

from typing import Final

from actors.messages import Record, run_name
from actors.open_fate import NEVER_ACKNOWLEDGED
from actors.runtime.behaviour import Context
from core.ids import AccountId, RunId, UserId
from core.order import (
    Acknowledged,
    Canceled,
    Expired,
    NotPlaced,
    Order,
    OrderEvent,
    OrderKind,
    OrderStatus,
    Rejected,
)
from exchanges import errors as exchange_errors
from exchanges.base import Execution, FundingPaid, OrderNews, OrderReport, TrailMoved
from schema.ops import ENDED_BY_RESTART, LedgerOp, ObserveFill, ObserveFunding, ObserveOrder, ObserveTrail

NOTHING_TO_REDUCE: Final = "nothing left to reduce"
_END_EVENTS: dict[OrderStatus, type[Canceled] | type[Expired] | type[Rejected]] = {
    OrderStatus.CANCELED: Canceled,
    OrderStatus.EXPIRED: Expired,
    OrderStatus.REJECTED: Rejected,
}


class Bookings:
    """Bounded by the symbols of the account: one run trades each (decision 13)."""

    __slots__ = ("_account_id", "_ctx", "_run_of")

    def __init__(self, ctx: Context, account_id: AccountId) -> None:
        self._ctx = ctx
        self._account_id = account_id
        self._run_of: dict[str, tuple[RunId, UserId]] = {}

    def belongs(self, symbol: str, run_id: RunId, user_id: UserId) -> None:
        """Whose run trades the symbol on this account."""
        self._run_of[symbol] = (run_id, user_id)

    def news(self, news: Execution | FundingPaid | OrderNews | TrailMoved) -> None:
        owner = self._run_of.get(news.symbol)
        if owner is None:
            return  # nothing of ours was ever in this symbol
        run_id, user_id = owner
        op: LedgerOp
        match news:
            case Execution():
                op = ObserveFill(
                    account_id=self._account_id,
                    symbol=news.symbol,
                    fill=news.fill,
                    client_order_id=news.client_order_id,
                    run_id=run_id,
                    venue_leg=news.venue_leg,
                    opened_at=news.opened_at,
                )
            case FundingPaid():
                op = ObserveFunding(
                    account_id=self._account_id,
                    symbol=news.symbol,
                    run_id=run_id,
                    funding_id=news.funding_id,
                    amount=news.amount,
                    at=news.at,
                )
            case OrderNews():
                ended = _END_EVENTS.get(news.status)
                if ended is None:
                    return
                event = ended(news.reason or news.status.value)
                op = ObserveOrder(client_order_id=news.client_order_id, event=event)
            case TrailMoved():
                op = ObserveTrail(
                    account_id=self._account_id,
                    symbol=news.symbol,
                    run_id=run_id,
                    opened_at=news.opened_at,
                    best=news.best,
                    at=news.at,
                )
                self._ctx.tell("risk_ledger", Record(user_id=user_id, op=op))  # no news to the run
                return
        self._ctx.tell("risk_ledger", Record(user_id=user_id, op=op, reply_to=run_name(run_id)))

    def report(self, order: Order, report: OrderReport) -> None:
        self.observe(order, Acknowledged(report.venue_order_id))
        for execution in report.executions:
            self.news(execution)
        ended = _END_EVENTS.get(report.status)
        if ended is not None:
            self.observe(order, ended(report.reason or report.status.value))
        elif report.status is OrderStatus.FILLED and report.filled_quantity < order.quantity:
            # Bybit cuts a reduce-only order to what there is to reduce, and calls the rest filled.
            self.observe(order, Expired(NOTHING_TO_REDUCE))

    def end_on_paper(self, order: Order) -> None:
        """Of an earlier life (decision 28): unanswered it was not placed, at market it will never fill."""
        if order.status in NEVER_ACKNOWLEDGED:
            self.observe(order, NotPlaced(ENDED_BY_RESTART))
        elif order.kind is OrderKind.MARKET:
            self.observe(order, Expired(ENDED_BY_RESTART))

    def observe(self, order: Order, event: OrderEvent, *, failure: str | None = None) -> None:
        # What was not placed may be tried again: its run, not this observation, ends the leg.
        again = isinstance(event, NotPlaced)
        op = ObserveOrder(client_order_id=order.client_order_id, event=event, no_further_attempt=not again)
        record = Record(user_id=order.user_id, op=op, reply_to=run_name(order.run_id), failure=failure)
        self._ctx.tell("risk_ledger", record)


def counted_failure(error: exchange_errors.ExchangeError) -> str | None:
    """The failure that counts against the run, if it does; an exit that a stop forestalled is none."""
    if isinstance(error, exchange_errors.Rejected) and error.refusal is exchange_errors.Refusal.REDUCE_ONLY:
        return None
    return error.kind.value if error.counts else None
