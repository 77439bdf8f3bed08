"""Connection: one account at one venue. Sends committed orders, books what the venue says, follows its candles.

Before the first byte the kill switch, the lease and the order itself are re-read. Everything the venue reports goes
to the RiskLedger; what it did not answer is looked up until there is evidence, never sent again (I4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from actors.followed import Followed
from actors.messages import (
    Barrier,
    CandleClosed,
    CandlesTold,
    ReadAgain,
    Reconciled,
    ReconcileRun,
    Record,
    SubmitOrder,
    SyncVenue,
    run_name,
)
from actors.missed import CatchUp, CaughtUp, Missed
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import StopMode
from actors.venue_calls import (
    LookedUp,
    LookUp,
    MakeVenue,
    NewsHeard,
    PaperVenue,
    Permission,
    PermissionOutdated,
    Placed,
    PlaceFailed,
    RestoreAgain,
    Restored,
    RestoreFailed,
    VenueState,
    WhilePermitted,
)
from core.backoff import Backoff
from core.errors import Reason
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.lookup import LOOK_EVERY_S, Absences, absent
from core.order import (
    Acknowledged,
    Canceled,
    Expired,
    NotPlaced,
    Order,
    OrderEvent,
    OrderKind,
    OrderStatus,
    OutcomeUnknown,
    Rejected,
)
from exchanges import errors as venue_errors
from exchanges.base import Execution, FundingPaid, News, OrderNews, OrderReport, StreamGap
from exchanges.feeds.base import FundingRate
from schema.ops import ENDED_BY_RESTART, LedgerOp, ObserveFill, ObserveFunding, ObserveOrder
from schema.records import AccountKind
from schema.store import Store

PLACE_TIMEOUT_S = 15.0
"""Longer than a venue's own patience for a price or an answer, so that its error is heard before ours is made."""
LOOK_UP_TIMEOUT_S = 10.0
MAX_STASHED = 1_000
RELOAD = Backoff(min_s=0.2, max_s=5.0)


_NEVER_ACKNOWLEDGED = frozenset({OrderStatus.INTENT, OrderStatus.UNKNOWN})
_END_EVENTS: dict[OrderStatus, type[Canceled] | type[Expired] | type[Rejected]] = {
    OrderStatus.CANCELED: Canceled,
    OrderStatus.EXPIRED: Expired,
    OrderStatus.REJECTED: Rejected,
}


class Connection(Behaviour):
    __slots__ = (
        "_account_id",
        "_draining",
        "_followed",
        "_in_hand",
        "_looking",
        "_make_venue",
        "_missed",
        "_news",
        "_outdated",
        "_pushes",
        "_ready",
        "_restores",
        "_run_of",
        "_sending",
        "_settled",
        "_stashed",
        "_store",
        "_user_id",
        "_venue",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        account_id: AccountId,
        store: Store,
        make_venue: MakeVenue,
        funding: Callable[[str], Sequence[FundingRate]],
    ) -> None:
        super().__init__(ctx)
        self._account_id = account_id
        self._store = store
        self._make_venue = make_venue
        self._followed = Followed(ctx, funding)
        self._venue: PaperVenue | None = None
        self._ready = False
        self._restores = 0
        self._draining = False
        self._sending: set[ClientOrderId] = set()  # between the re-read and the venue's answer
        self._stashed: deque[object] = deque()
        # What the venue pushed: on the event loop, or from within a call of ours, which then books it (`_in_hand`).
        self._news: deque[News] = deque()
        self._in_hand = False
        self._pushes = False
        self._user_id: UserId | None = None
        # Whether rows are known to hold all that was told before; whether another process has moved them on.
        self._settled = False
        self._outdated = False
        self._missed = Missed(ctx, self._book)
        self._run_of: dict[str, tuple[RunId, UserId]] = {}
        self._looking: set[ClientOrderId] = set()

    def started(self) -> None:
        self._restore()

    def draining(self) -> None:
        """Orders under way end recorded (I16)."""
        self._draining = True
        if not self._sending:
            self.ctx.stop()

    def receive(self, message: object) -> None:
        match message:
            case Restored():
                self._restored(message)
            case RestoreFailed():
                self.ctx.after(RELOAD.delay_s(self._restores, 0.0), RestoreAgain())
                self._restores += 1
            case RestoreAgain():
                self._settled = True
                self._restore()
            case _ if not self._ready:
                self._stash(message)
            case SubmitOrder():
                self._submit(message.order)
            case Permission():
                self._permitted(message)
            case Placed():
                self._placed(message.order, message.report)
            case PlaceFailed():
                self._place_failed(message.order, message.error)
            case CandleClosed() | CandlesTold():
                self._candles_told(message)
            case SyncVenue():
                self._followed.sync(message)
            case ReconcileRun():
                self._reconcile(message)
            case LookUp():
                self._look_up(message)
            case LookedUp():
                self._looked_up(message)
            case ReadAgain():
                self._read_again()
            case NewsHeard() | CatchUp() | CaughtUp():
                self._hear_venue(message)
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    def _stash(self, message: object) -> None:
        if len(self._stashed) < MAX_STASHED:
            self._stashed.append(message)
        elif isinstance(message, SubmitOrder):
            event = NotPlaced("the connection is not ready")
            self._observe(message.order, event, failure="connection")

    # -- start ----------------------------------------------------------------------------------

    def _restore(self) -> None:
        store, account_id = self._store, self._account_id

        def read() -> Restored:
            account = store.account(account_id)
            if account is None:
                return Restored(None)
            state = VenueState(
                account=account,
                positions=tuple(store.open_positions(account_id=account_id)),
                open_orders=tuple(store.open_orders(account_id=account_id)),
            )
            if account.kind is AccountKind.PORTFOLIO:
                return Restored(state)
            theirs = store.runs(user_id=account.user_id)
            return Restored(state, tuple(run for run in theirs if run.account_id == account_id))

        self.ctx.call(read, lambda restored: restored, RestoreFailed)

    def _restored(self, restored: Restored) -> None:
        state = restored.state
        if state is None:
            raise LookupError(f"there is no account {self._account_id}")
        self._user_id = state.account.user_id
        if self.ctx.incarnation > 1 and not self._settled:
            self._read_again()  # an earlier life may have told the ledger what is not in the rows yet
            return
        self._followed.venue = state.account.venue
        self._pushes = state.account.kind is not AccountKind.PORTFOLIO
        self._venue = self._make_venue(state, self._hear)
        for run in restored.runs:
            self._run_of[run.strategy.symbol] = (run.id, run.user_id)
        for position in state.positions:
            self._run_of[position.symbol] = (position.run_id, position.user_id)
        about_to_send = {m.order.client_order_id for m in self._stashed if isinstance(m, SubmitOrder)}
        for order in state.open_orders:
            self._run_of[order.symbol] = (order.run_id, order.user_id)
            if order.client_order_id in about_to_send:
                continue
            if self._pushes:
                self._look_up(LookUp(order, Absences()))
            else:
                self._end_on_paper(order)
        for position in state.positions:
            self._miss_nothing(position.symbol, position.position.opened_at)
        self._followed.leave_all()
        for symbol, quiet in sorted(self._venue.following().items()):
            changed = (held.updated_at for held in state.positions if held.symbol == symbol)
            self._followed.watch(symbol, min(changed, default=self.ctx.clock.now()), quiet)
        self._ready = True
        stashed, self._stashed = self._stashed, deque()
        for message in stashed:
            self.receive(message)

    def _read_again(self) -> None:
        """Build the account anew from its rows, behind everything told to the ledger so far, once no order is out."""
        self._outdated = bool(self._sending)
        if self._outdated or self._user_id is None or (self._pushes and self._ready):
            return
        self._ready = False
        barrier = Barrier(user_id=self._user_id, reply_to=self.ctx.name, answer=RestoreAgain())
        self.ctx.tell("risk_ledger", barrier)

    def _end_on_paper(self, order: Order) -> None:
        """Decision 28: what was not answered was not placed, what had not filled at market never will."""
        if order.status in _NEVER_ACKNOWLEDGED:
            self._observe(order, NotPlaced(ENDED_BY_RESTART))
        elif order.kind is OrderKind.MARKET:
            self._observe(order, Expired(ENDED_BY_RESTART))

    # -- sending --------------------------------------------------------------------------------

    def _submit(self, order: Order) -> None:
        if order.client_order_id in self._sending:
            return  # told twice
        self._run_of[order.symbol] = (order.run_id, order.user_id)
        self._sending.add(order.client_order_id)
        store, asked_at_s = self._store, self.ctx.clock.monotonic()
        self.ctx.call(
            lambda: store.may_send(order.client_order_id, fence=order.fence),
            lambda refusal: Permission(order, refusal, asked_at_s),
            lambda _: Permission(order, Reason.STORE_UNAVAILABLE, asked_at_s),
        )

    def _permitted(self, permission: Permission) -> None:
        order = permission.order
        if permission.refusal is not None:
            self._observe(order, NotPlaced(str(permission.refusal)))
            self._answered(order)
            return
        assert self._venue is not None
        self.ctx.run(
            WhilePermitted(self._venue.place(order), self.ctx.clock, permission.asked_at_s),
            lambda report: Placed(order, report),
            lambda error: PlaceFailed(order, error),
            timeout_s=PLACE_TIMEOUT_S,
        )

    def _placed(self, order: Order, report: OrderReport) -> None:
        self._book_report(order, report)
        self._book_news()
        self._follow(order.symbol)
        self._answered(order)

    def _answered(self, order: Order) -> None:
        self._sending.discard(order.client_order_id)
        if self._sending:
            return
        if self._draining:
            self.ctx.stop()
        elif self._outdated:
            self._read_again()

    def _place_failed(self, order: Order, error: Exception) -> None:
        match error:
            case PermissionOutdated():
                self._observe(order, NotPlaced("permission_outdated"))
            case venue_errors.NotPlaced():
                self._observe(order, NotPlaced(error.kind.value), failure=_failure(error))
            case venue_errors.Rejected():
                self._observe(order, Rejected(error.refusal.value), failure=_failure(error))
                self._outdated |= error.refusal is venue_errors.Refusal.REDUCE_ONLY
            case _:
                # A timeout, a bug of ours, anything else after the first byte: nobody knows (I4).
                kind = error.kind.value if isinstance(error, venue_errors.ExchangeError) else "timeout"
                self._observe(order, OutcomeUnknown(kind), failure=kind)
                self._looking.add(order.client_order_id)
                self.ctx.after(LOOK_EVERY_S, LookUp(order, Absences()))
        self._book_news()
        self._answered(order)

    # -- what the venue says --------------------------------------------------------------------

    def _book_report(self, order: Order, report: OrderReport) -> None:
        self._observe(order, Acknowledged(report.venue_order_id))
        for execution in report.executions:
            self._book(execution)
        ended = _END_EVENTS.get(report.status)
        if ended is not None:
            self._observe(order, ended(report.reason or report.status.value))

    def _hear(self, news: News) -> None:
        """What the venue pushes, from whichever thread it comes."""
        self._news.append(news)
        if not self._in_hand:
            self.ctx.self_ref.tell(NewsHeard())

    def _hear_venue(self, message: NewsHeard | CatchUp | CaughtUp) -> None:
        assert self._venue is not None
        match message:
            case NewsHeard():
                self._book_news()
            case CatchUp():
                self._missed.ask(self._venue, message)
            case CaughtUp():
                self._missed.answered(message)

    def _book_news(self) -> None:
        news = self._news
        while news:
            self._book(news.popleft())

    def _book(self, news: News) -> None:
        if isinstance(news, StreamGap):
            for symbol in sorted(self._run_of):
                self._miss_nothing(symbol, news.since)
            return
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
        self.ctx.tell("risk_ledger", Record(user_id=user_id, op=op, reply_to=run_name(run_id)))

    def _observe(self, order: Order, event: OrderEvent, *, failure: str | None = None) -> None:
        # What was not placed may be tried again: its run, not this observation, ends the leg.
        again = isinstance(event, NotPlaced)
        op = ObserveOrder(client_order_id=order.client_order_id, event=event, no_further_attempt=not again)
        record = Record(user_id=order.user_id, op=op, reply_to=run_name(order.run_id), failure=failure)
        self.ctx.tell("risk_ledger", record)

    # -- candles --------------------------------------------------------------------------------

    def stopping(self, mode: StopMode) -> None:
        self._followed.leave_all()

    def _follow(self, symbol: str) -> None:
        """Take candles of a symbol while something of ours in it can be touched by them."""
        assert self._venue is not None
        following = self._venue.following()
        if symbol in following:
            self._followed.watch(symbol, self.ctx.clock.now(), following[symbol])
        else:
            self._followed.leave(symbol)

    def _candles_told(self, told: CandleClosed | CandlesTold) -> None:
        if isinstance(told, CandleClosed):
            self._apply(told)
        self._followed.applied(told)
        if isinstance(told, CandleClosed):
            self._follow(told.symbol)

    def _apply(self, closed: CandleClosed) -> None:
        assert self._venue is not None
        symbol = closed.symbol
        self._in_hand = True
        self._venue.apply_candle(symbol, closed.candle, closed.timeframe)
        for funding in self._followed.funding_due(closed):
            mark = Decimal(repr(closed.candle.close))
            self._venue.apply_funding(symbol, funding.at, rate=funding.rate, mark=mark)
        self._in_hand = False
        self._book_news()

    # -- orders whose fate is open --------------------------------------------------------------

    def _miss_nothing(self, symbol: str, since: datetime | None) -> None:
        """What traded in a symbol since then may have been told to nobody."""
        if self._pushes and since is not None:
            self._hear_venue(CatchUp(symbol, since))

    def _reconcile(self, ask: ReconcileRun) -> None:
        symbol = ask.run.strategy.symbol
        self._run_of[symbol] = (ask.run.id, ask.run.user_id)
        self._miss_nothing(symbol, ask.since)
        for order in ask.orders:
            if order.client_order_id not in self._looking:
                self._look_up(LookUp(order, Absences()))
        barrier = Barrier(user_id=ask.run.user_id, reply_to=run_name(ask.run.id), answer=Reconciled())
        self.ctx.tell("risk_ledger", barrier)

    def _look_up(self, look_up: LookUp) -> None:
        order = look_up.order
        self._looking.add(order.client_order_id)
        assert self._venue is not None
        self.ctx.run(
            self._venue.find(order.symbol, order.client_order_id),
            lambda report: LookedUp(look_up, report),
            lambda _: LookedUp(look_up, None, failed=True),
            timeout_s=LOOK_UP_TIMEOUT_S,
        )

    def _looked_up(self, found: LookedUp) -> None:
        order = found.look_up.order
        if found.report is not None:
            self._looking.discard(order.client_order_id)
            self._book_report(order, found.report)
            self._follow(order.symbol)
            return
        absences = found.look_up.absences
        if not found.failed:
            looked = absent(order, absences, venue_now=self.ctx.clock.now())
            absences = looked.absences
            if looked.final:
                self._looking.discard(order.client_order_id)
                sent = order.status not in _NEVER_ACKNOWLEDGED
                self._observe(order, Expired("absent") if sent else NotPlaced("absent"))
                return
        self.ctx.after(LOOK_EVERY_S, LookUp(order, absences))


def _failure(error: venue_errors.ExchangeError) -> str | None:
    """The failure that counts against the run, if it does; an exit that a stop forestalled is none."""
    if isinstance(error, venue_errors.Rejected) and error.refusal is venue_errors.Refusal.REDUCE_ONLY:
        return None
    return error.kind.value if error.counts else None
