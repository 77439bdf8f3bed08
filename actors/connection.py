"""Connection: one account at one venue. Sends committed orders, books what the venue says, follows its candles.

Before the first byte the kill switch, the lease and the order itself are re-read. Everything the venue reports goes
to the RiskLedger; what it did not answer is looked up until there is evidence, never sent again (I4).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal

from actors.bookings import Bookings
from actors.followed import Followed
from actors.live.account import LiveAccount, LiveParts
from actors.live.news import LiveNews, LookSettled, Prepared, PrepareFailed
from actors.live.venue import LiveVenue
from actors.messages import (
    Barrier,
    CandleClosed,
    CandlesTold,
    ReadAgain,
    Reconciled,
    ReconcileRun,
    Recorded,
    SubmitOrder,
    SyncVenue,
    run_name,
)
from actors.missed import CatchUp, CaughtUp, Missed
from actors.open_fate import OpenFates
from actors.permit import Permits
from actors.runtime.behaviour import Behaviour, Context
from actors.runtime.spec import StopMode
from actors.sending import Sending
from actors.venue_calls import (
    LookedUp,
    LookUp,
    MakeVenue,
    NewsHeard,
    PaperVenue,
    Placed,
    PlaceFailed,
    RestoreAgain,
    Restored,
    RestoreFailed,
    VenueState,
)
from core.backoff import Backoff
from core.ids import AccountId, UserId
from core.order import Order
from exchanges.base import News, OrderReport, ProtectionMoved, StreamGap
from exchanges.feeds.base import FundingRate
from schema.records import Account, AccountKind
from schema.store import Store

MAX_STASHED = 1_000
"""Messages kept while the rows are read; orders beyond them by their places (`core/order_queue.py`)."""
RELOAD = Backoff(min_s=0.2, max_s=5.0)


class Connection(Behaviour):
    __slots__ = (
        "_account_id",
        "_bookings",
        "_draining",
        "_fates",
        "_followed",
        "_in_hand",
        "_live",
        "_live_parts",
        "_make_venue",
        "_missed",
        "_news",
        "_outdated",
        "_pushes",
        "_ready",
        "_restores",
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
        permits: Permits,
        make_venue: MakeVenue,
        funding: Callable[[str], Sequence[FundingRate]],
        live: LiveParts,
    ) -> None:
        super().__init__(ctx)
        self._account_id = account_id
        self._store = store
        self._make_venue = make_venue
        self._live_parts = live
        self._live: LiveAccount | None = None
        self._followed = Followed(ctx, funding)
        self._venue: PaperVenue | None = None
        self._ready = False
        self._restores = 0
        self._draining = False
        self._stashed: deque[object] = deque()
        # What the venue pushed: on the event loop, or from within a call of ours, which then books it (`_in_hand`).
        self._news: deque[News] = deque()
        self._in_hand = False
        self._pushes = False
        self._user_id: UserId | None = None
        # Whether rows are known to hold all that was told before; whether another process has moved them on.
        self._settled = False
        self._outdated = False
        self._bookings = Bookings(ctx, account_id)
        self._missed = Missed(ctx, self._bookings.news)
        self._fates = OpenFates(ctx, found=self._found, ended=self._bookings.observe)
        self._sending = Sending(
            ctx,
            permits,
            self._bookings,
            self._fates,
            placed=self._placed,
            failed=self._book_news,
            idle=self._idle,
            outdated=self._read_again,
        )

    def started(self) -> None:
        self._restore()

    def draining(self) -> None:
        """Orders under way end recorded (I16); what has not begun goes back to the gateway."""
        self._draining = True
        while self._stashed:
            self._hand_back(self._stashed.popleft())
        if not self._sending.is_busy:
            self.ctx.stop()

    def _hand_back(self, message: object) -> None:
        if isinstance(message, SubmitOrder | SyncVenue | ReconcileRun):
            self.ctx.tell("gateway", message)

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
            case SubmitOrder() | SyncVenue() | ReconcileRun() if self._draining:
                self._hand_back(message)
            case SubmitOrder():
                self._take(message)
            case _ if not self._ready:
                if len(self._stashed) < MAX_STASHED:
                    self._stashed.append(message)
            case Prepared() | PrepareFailed() | Placed() | PlaceFailed():
                self._sending.handle(message)
            case CandleClosed() | CandlesTold():
                self._candles_told(message)
            case SyncVenue():
                self._followed.sync(message)
            case ReconcileRun():
                self._reconcile(message)
            case LookUp() | LookedUp():
                self._fates.handle(message)
            case ReadAgain():
                self._read_again()
            case NewsHeard() | CatchUp() | CaughtUp():
                self._hear_venue(message)
            case LiveNews() | LookSettled() | Recorded():
                self._live_told(message)
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    # -- start ----------------------------------------------------------------------------------

    def _restore(self) -> None:
        store, account_id, live = self._store, self._account_id, self._live_parts

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
            live.read(account_id)
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
        self._venue = self._fates.venue = self._sending.venue = self._make_venue(state, self._hear)
        if isinstance(self._venue, LiveVenue):
            self._begin_live(state.account, self._venue, [run.strategy.symbol for run in restored.runs])
        for run in restored.runs:
            self._bookings.belongs(run.strategy.symbol, run.id, run.user_id)
        for position in state.positions:
            self._bookings.belongs(position.symbol, position.run_id, position.user_id)
        about_to_send = {m.order.client_order_id for m in self._stashed if isinstance(m, SubmitOrder)}
        for order in state.open_orders:
            self._bookings.belongs(order.symbol, order.run_id, order.user_id)
            if order.client_order_id in about_to_send:
                continue
            if self._pushes:
                self._fates.take((order,))
            else:
                self._bookings.end_on_paper(order)
        for position in state.positions:
            self._miss_nothing(position.symbol, position.position.opened_at)
        self._followed.leave_all()
        for symbol, quiet in sorted(self._venue.following().items()):
            changed = (held.updated_at for held in state.positions if held.symbol == symbol)
            self._followed.watch(symbol, min(changed, default=self.ctx.clock.now()), quiet)
        self._ready = True
        stashed, self._stashed = self._stashed, deque()
        for message in stashed:
            if isinstance(message, SubmitOrder):
                self._go_on_with(message)
            else:
                self.receive(message)

    def _read_again(self) -> None:
        """Build the account anew from its rows, behind everything told to the ledger so far, once no order is out."""
        if self._live is not None:
            self._live.look_soon()
            return
        self._outdated = self._sending.is_busy
        if self._outdated or self._user_id is None or (self._pushes and self._ready):
            return
        self._ready = False
        barrier = Barrier(user_id=self._user_id, reply_to=self.ctx.name, answer=RestoreAgain())
        self.ctx.tell("risk_ledger", barrier)

    # -- sending --------------------------------------------------------------------------------

    def _take(self, submit: SubmitOrder) -> None:
        if self._sending.admit(submit.order):
            self._go_on_with(submit)

    def _go_on_with(self, submit: SubmitOrder) -> None:
        """Of an order that has its place; what came before it while the account was not ready goes before it."""
        if self._ready:
            self._sending.submit(submit.order, submit.settings)
        else:
            self._stashed.append(submit)

    def _placed(self, symbol: str) -> None:
        self._book_news()
        self._follow(symbol)

    def _idle(self) -> None:
        if self._draining:
            self.ctx.stop()
        elif self._outdated:
            self._read_again()

    # -- a venue beyond this process ------------------------------------------------------------

    def _begin_live(self, account: Account, venue: LiveVenue, symbols: Sequence[str]) -> None:
        self._live = self._sending.live = LiveAccount(
            self.ctx,
            account,
            venue,
            store=self._store,
            parts=self._live_parts,
            symbols=symbols,
            book=self._book,
            unsettled=self._look_for,
            send=lambda order: self._take(SubmitOrder(order=order)),
            busy=self._sending.is_busy_in,
        )
        self._fates.by_clock_of(venue.exchange.venue_now)

    def _live_told(self, message: LiveNews | LookSettled | Recorded) -> None:
        if self._live is None:
            return  # of an account this one followed before
        if isinstance(message, Recorded):
            self._live.answered(message.result)
        else:
            self._live.receive(message)

    def _look_for(self, orders: Sequence[Order]) -> None:
        self._fates.take(order for order in orders if order.client_order_id not in self._sending)

    # -- what the venue says --------------------------------------------------------------------

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
        if not isinstance(news, StreamGap | ProtectionMoved):
            self._bookings.news(news)
        elif self._live is not None:
            self._live.heard(news)

    # -- candles --------------------------------------------------------------------------------

    def stopping(self, mode: StopMode) -> None:
        self._followed.leave_all()
        if self._live is not None:
            self._live.close()

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

    def _found(self, order: Order, report: OrderReport) -> None:
        self._bookings.report(order, report)
        self._follow(order.symbol)

    def _miss_nothing(self, symbol: str, since: datetime | None) -> None:
        """What traded in a symbol since then may have been told to nobody."""
        if self._pushes and since is not None:
            self._hear_venue(CatchUp(symbol, since))

    def _reconcile(self, ask: ReconcileRun) -> None:
        symbol = ask.run.strategy.symbol
        self._bookings.belongs(symbol, ask.run.id, ask.run.user_id)
        if self._live is not None:
            self._live.trades(symbol, ask.run.id)
        self._miss_nothing(symbol, ask.since)
        self._fates.take(ask.orders)
        barrier = Barrier(user_id=ask.run.user_id, reply_to=run_name(ask.run.id), answer=Reconciled())
        self.ctx.tell("risk_ledger", barrier)
