"""A live account beside its Connection's orders: the way to the venue, protection, and reconciliation.

The venue is truth for fills and positions, the rows for what was decided. A look compares both: at the start, after
every gap of the stream and every steal, and every two minutes; while no stream tells news, every `POLL_S`. It books
what was executed or paid unheard, has the fate of open orders looked up, and notes by how much the venue holds
something else (drift), which is never fought. Told twice, it changes nothing (I17). Part of a Connection, in its turns.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from actors.live.closer import Closer
from actors.live.known import VenueKnowledge
from actors.live.look import LOOK_TIMEOUT_S, look
from actors.live.news import (
    CheckDue,
    CloseDue,
    CloseLease,
    ConnectAgain,
    Connected,
    ConnectFailed,
    DoubtDue,
    FollowAgain,
    FollowEnded,
    LiveNews,
    LookDue,
    LookFailed,
    LookSettled,
    OwnRows,
    PositionSettled,
    ProtectAgain,
    ProtectFailed,
    ProtectionStands,
    Released,
    RowsAfter,
    RulesRead,
    Swept,
    VenueLook,
)
from actors.live.protector import Protector
from actors.live.venue import LiveVenue
from actors.messages import Barrier, Record, StrategyFaulted
from actors.runtime.behaviour import Context
from core.backoff import Backoff
from core.breaker import RUN_MOST, Trailing
from core.errors import ImpossibleVenueData, Reason
from core.ids import AccountId, ClientOrderId, RunId, UserId
from core.order import Leg, Order
from core.run import MissingStop, RunSettings
from exchanges.base import News, ProtectionMoved, StreamGap
from exchanges.errors import ErrorKind, Halted, NotPlaced
from exchanges.feeds.market_marks import MarketMarks
from schema.ops import IntentCommitted, IntentRefused, LedgerResult, ObserveBalance, ObservePosition
from schema.records import Account, OpenPosition
from schema.store import Store

LOOK_EVERY = 12
"""Checks from one look to the next: two minutes live."""
DOUBT_S = 1.0
"""From a stop or target that moved to the look at it, unless it was our own doing or goes with the position."""
POLL_S = 5.0
"""While the private stream is away."""
AGAIN_S = 2.0
"""Until a difference between rows and venue is looked at once more, before it counts as drift."""
FIRST_LOOK_BACK = timedelta(hours=24)
OVERLAP = timedelta(minutes=2)
"""A look asks again for the end of what the one before has seen: venues list late."""
JUST_NOW = timedelta(seconds=5)
"""What was executed so short a time ago may be in the balance, or not yet."""
CONNECT_TIMEOUT_S = 20.0
FOREVER_S = 10 * 365 * 86_400.0
RETRY = Backoff(min_s=0.5, max_s=30.0)


class LiveParts(msgspec.Struct, frozen=True, kw_only=True):
    """What all live accounts of the process share; `worker` and `lease_s` as for a tick.

    `check_s`: how often an account sees to itself while its stream is open. `read`: an account's own rows, before its
    venue is made; it blocks. `marks` are told what accounts hold.
    """

    knowledge: VenueKnowledge
    worker: str
    lease_s: float
    check_s: float
    read: Callable[[AccountId], None] = lambda account_id: None
    marks: MarketMarks | None = None


class LiveAccount:
    """`book` takes news of the venue to the ledger, `unsettled` orders to be looked up, `send` a committed order.

    `busy`: whether an order in the symbol is on its way, so that what the venue holds is about to change.
    """

    def __init__(
        self,
        ctx: Context,
        account: Account,
        venue: LiveVenue,
        *,
        store: Store,
        parts: LiveParts,
        symbols: Sequence[str],
        book: Callable[[News], None],
        unsettled: Callable[[Sequence[Order]], None],
        send: Callable[[Order], None],
        busy: Callable[[str], bool],
    ) -> None:
        self._ctx = ctx
        self._account_id: AccountId = account.id
        self._user_id: UserId = account.user_id
        self.venue = venue
        self._exchange = exchange = venue.exchange
        self._store = store
        self._knowledge = knowledge = parts.knowledge
        self._check_s = parts.check_s
        self._orders_of: dict[RunId, Trailing] = {}
        self._on_its_way: set[ClientOrderId] = set()
        self._symbols = set(symbols)
        self._marks, self._venue_name = parts.marks, account.venue
        self._held: frozenset[str] = frozenset()
        self._book = book
        self._unsettled = unsettled
        self._busy = busy
        self.connected = False
        self._failures = 0
        self._looking = False
        self._look_again = False
        self._looked_at_s = float("-inf")
        self._seen_until: datetime | None = None  # venue time up to which executions are known
        self._heard: dict[str, int] = {}
        self._heard_at_look: dict[str, int] = {}
        self._look: VenueLook | None = None
        self._run_of: dict[str, RunId] = {}
        self._moved: dict[tuple[str, Leg], ProtectionMoved] = {}
        self._odd: dict[str, tuple[Decimal, Decimal]] = {}  # differences seen once: venue's and ours
        self._noted: set[str] = set()
        self._swept: set[str] = set()
        self._closer = Closer(
            ctx,
            account.id,
            store,
            owner=parts.worker,
            lease_s=parts.lease_s,
            knowledge=knowledge,
            send=send,
        )
        self._policies: dict[RunId, MissingStop] = {}
        self._protector = Protector(
            ctx,
            account.id,
            exchange,
            policy=lambda run_id: self._policies.get(run_id, MissingStop.REPAIR),
            close=self._closer.begin,
        )
        self._connect()

    def receive(self, news: LiveNews | LookSettled) -> None:
        match news:
            case Connected() | ConnectFailed() | ConnectAgain() | FollowEnded() | FollowAgain() | RulesRead():
                self._on_the_way(news)
            case (
                CheckDue()
                | LookDue()
                | DoubtDue()
                | OwnRows()
                | VenueLook()
                | LookFailed()
                | LookSettled()
                | RowsAfter()
            ):
                self._look_goes_on(news)
            case PositionSettled():
                self._heard[news.symbol] = self._heard.get(news.symbol, 0) + 1
                self._holds(self._held - {news.symbol} | ({news.symbol} if news.position.quantity else set()))
                self._protector.settled(news)
            case ProtectionStands() | Swept() | ProtectFailed() | ProtectAgain():
                self._protector.handle(news)
            case CloseDue():
                self._closer.due(news.symbol, self._protector.guarded(news.symbol))
            case CloseLease():
                self._closer.leased(news, self._protector.guarded(news.symbol))
            case Released():
                pass

    def answered(self, result: LedgerResult) -> None:
        """Of the ledger, to what this account itself proposed."""
        if isinstance(result, IntentCommitted | IntentRefused):
            self._closer.answered(result)
        if isinstance(result, IntentRefused) and result.reason is Reason.NOTHING_TO_EXIT:
            self._look_now()  # others closed what is known here, perhaps while this process stood still

    def trades(self, symbol: str, run_id: RunId) -> None:
        """A run of the account trades this symbol."""
        self._run_of[symbol] = run_id
        if symbol not in self._symbols or self._knowledge.rules(self._account_id, symbol) is None:
            self._symbols.add(symbol)
            if self.connected:
                self._read_rules((symbol,))

    def preparation(self, order: Order, settings: RunSettings) -> Coroutine[Any, Any, None] | None:
        """What has to be set at the venue before `order`; an entry brings its run's settings."""
        if order.leg is Leg.ENTRY:
            self._policies[order.run_id] = settings.missing_stop
        return self.venue.preparation(order, settings)

    def refusal(self, order: Order) -> NotPlaced | None:
        """Why nothing is sent now: no way to the venue yet, or the run sends more than anybody who is well."""
        if not self.connected:
            return NotPlaced(ErrorKind.CONNECTION, "the venue has not been reached yet")
        sent = self._orders_of.get(order.run_id)
        if sent is None or sent.count(self._ctx.clock.now()) < RUN_MOST:
            return None
        detail = f"breaker: more than {RUN_MOST} orders within a minute"
        self._ctx.tell("runs", StrategyFaulted(run_id=order.run_id, detail=detail))
        return Halted(detail)

    def sending(self, order: Order) -> None:
        """It is on its way to its first byte."""
        self._on_its_way.add(order.client_order_id)
        self._orders_of.setdefault(order.run_id, Trailing()).add(self._ctx.clock.now())

    def never_placed(self, order: Order) -> None:
        if order.client_order_id in self._on_its_way:
            self._orders_of[order.run_id].take_back()

    def sent(self, order: Order) -> None:
        """The venue has answered, or will not."""
        self._on_its_way.discard(order.client_order_id)

    def look_soon(self) -> None:
        """News may have been missed: the stream has begun anew, or another process had the account."""
        self.venue.forget_settings()
        self._swept.clear()
        self._look_now()

    def _look_now(self) -> None:
        if self._looking:
            self._look_again = True
        elif self.connected:
            self._start_look()

    def heard(self, news: StreamGap | ProtectionMoved) -> None:
        """Of the private stream, what is no news of an order or of money."""
        if isinstance(news, StreamGap):
            self.look_soon()
        elif self._protector.doubts(news):
            if not self._moved:
                self._ctx.after(DOUBT_S, DoubtDue())
            self._moved[news.symbol, news.leg] = news

    def close(self) -> None:
        """With its actor: the stream ends, the connections are given back."""
        self._holds(frozenset())
        self._ctx.run(
            self._exchange.close(), lambda _: Released(), lambda _: Released(), timeout_s=CONNECT_TIMEOUT_S
        )

    def _holds(self, symbols: frozenset[str]) -> None:
        if symbols != self._held and self._marks is not None:
            self._marks.hold(self._venue_name, str(self._account_id), symbols)
        self._held = symbols

    # -- the way there --------------------------------------------------------------------------

    def _on_the_way(
        self, news: Connected | ConnectFailed | ConnectAgain | FollowEnded | FollowAgain | RulesRead
    ) -> None:
        match news:
            case Connected():
                self._connected(news)
            case ConnectFailed():
                self._ctx.after(RETRY.delay_s(self._failures, 0.0), ConnectAgain())
                self._failures += 1
            case ConnectAgain():
                self._connect()
            case FollowEnded():
                self._ctx.after(RETRY.min_s, FollowAgain())
            case FollowAgain():
                self._follow()
            case RulesRead():
                for rules in news.rules:
                    self._knowledge.learn_rules(self._account_id, rules)

    def _connect(self) -> None:
        exchange, clock = self._exchange, self._ctx.clock

        async def connect() -> Connected:
            await exchange.connect()
            return Connected(exchange.venue_now(), clock.now())

        self._ctx.run(connect(), lambda done: done, ConnectFailed, timeout_s=CONNECT_TIMEOUT_S)

    def _connected(self, news: Connected) -> None:
        self._failures = 0
        self.connected = True
        self._knowledge.learn_clock(self._account_id, news.venue_now - news.at)
        self._read_rules(tuple(sorted(self._symbols)))
        self._follow()
        self._check_again()
        self._start_look()

    def _follow(self) -> None:
        self._ctx.run(self._exchange.follow(), lambda _: FollowEnded(None), FollowEnded, timeout_s=FOREVER_S)

    def _read_rules(self, symbols: Sequence[str]) -> None:
        exchange = self._exchange

        async def read() -> RulesRead:
            return RulesRead(tuple([await exchange.rules(symbol) for symbol in symbols]))

        self._ctx.run(read(), lambda read: read, lambda _: RulesRead(()), timeout_s=CONNECT_TIMEOUT_S)

    # -- a look ---------------------------------------------------------------------------------

    def _look_goes_on(
        self, news: CheckDue | LookDue | DoubtDue | OwnRows | VenueLook | LookFailed | LookSettled | RowsAfter
    ) -> None:
        match news:
            case CheckDue():
                self._check()
            case DoubtDue():
                moved, self._moved = self._moved, {}
                if any(map(self._protector.doubts, moved.values())):
                    self._look_now()
            case LookDue():
                if not self._looking:
                    self._start_look()
            case OwnRows():
                self._rows_read(news)
            case VenueLook():
                self._looked(news)
            case LookFailed():
                self._look_failed(news.error)
            case LookSettled():
                self._read_after()
            case RowsAfter():
                self._compare(news.positions)

    def _check_again(self) -> None:
        """One timer a check, as most accounts are quiet most of the time."""
        wait_s = self._check_s if self._exchange.is_streaming else min(POLL_S, self._check_s)
        self._ctx.after(wait_s, CheckDue())

    def _check(self) -> None:
        self._check_again()
        self._knowledge.learn_clock(self._account_id, self._exchange.venue_now() - self._ctx.clock.now())
        unread = [s for s in sorted(self._symbols) if self._knowledge.rules(self._account_id, s) is None]
        if unread:
            self._read_rules(unread)
        if self._looking:
            return
        quiet_s = self._ctx.clock.monotonic() - self._looked_at_s
        if quiet_s >= LOOK_EVERY * self._check_s or not self._exchange.is_streaming:
            self._start_look()

    def _start_look(self) -> None:
        self._looking, self._look_again = True, False
        self._looked_at_s = self._ctx.clock.monotonic()
        self._heard_at_look = dict(self._heard)
        store, account_id, user_id = self._store, self._account_id, self._user_id

        def read() -> OwnRows:
            runs = tuple(run for run in store.runs(user_id=user_id) if run.account_id == account_id)
            positions = tuple(store.open_positions(account_id=account_id))
            return OwnRows(runs, positions, tuple(store.open_orders(account_id=account_id)))

        self._ctx.call(read, lambda rows: rows, LookFailed)

    def _look_failed(self, error: Exception) -> None:
        """Numbers that cannot be enter no arithmetic: who trades on them is halted (invariants §7)."""
        if isinstance(error, ImpossibleVenueData):
            for run_id in sorted(set(self._run_of.values())):
                self._ctx.tell("runs", StrategyFaulted(run_id=run_id, detail=f"venue: {error}"))
        self._end_look(POLL_S)

    def _rows_read(self, rows: OwnRows) -> None:
        for run in rows.runs:
            self.trades(run.strategy.symbol, run.id)
            self._policies[run.id] = run.settings.missing_stop
        # What was settled while the rows were read is newer than they are.
        moved = {
            symbol for symbol, count in self._heard.items() if count != self._heard_at_look.get(symbol, 0)
        }
        self._holds(frozenset(held.symbol for held in rows.positions) - moved | self._held & moved)
        for symbol in self._protector.known_open() - {held.symbol for held in rows.positions} - moved:
            self._protector.forget(symbol)
        for held in rows.positions:
            self.trades(held.symbol, held.run_id)
            if held.symbol not in moved:
                self._protector.settled(settled_of(held))
        self._unsettled(rows.orders)
        self._ctx.run(
            look(
                self._exchange,
                tuple(sorted(self._symbols)),
                since=self._since(rows),
                asked_at=self._ctx.clock.now(),
            ),
            lambda seen: seen,
            LookFailed,
            timeout_s=LOOK_TIMEOUT_S,
        )

    def _since(self, rows: OwnRows) -> datetime:
        """From when on the venue is asked: nothing before it can be news."""
        if self._seen_until is not None:
            return self._seen_until - OVERLAP
        opened = [held.position.opened_at for held in rows.positions if held.position.opened_at is not None]
        ordered = [order.created_at for order in rows.orders if order.created_at is not None]
        return min([self._exchange.venue_now() - FIRST_LOOK_BACK, *opened, *ordered])

    def _looked(self, seen: VenueLook) -> None:
        self._look = seen
        for execution in seen.executions:
            self._book(execution)
        for paid in seen.funding:
            self._book(paid)
        self._ctx.tell(
            "risk_ledger", Barrier(user_id=self._user_id, reply_to=self._ctx.name, answer=LookSettled())
        )

    def _read_after(self) -> None:
        store, account_id = self._store, self._account_id
        self._ctx.call(
            lambda: RowsAfter(tuple(store.open_positions(account_id=account_id))),
            lambda rows: rows,
            LookFailed,
        )

    def _compare(self, rows: Sequence[OpenPosition]) -> None:
        seen = self._look
        assert seen is not None
        self._seen_until = seen.venue_now
        ours = {held.symbol: held for held in rows}
        theirs = {position.symbol: position for position in seen.positions}
        doubtful, moving = (
            False,
            any(each.fill.executed_at >= seen.venue_now - JUST_NOW for each in seen.executions),
        )
        for symbol, run_id in sorted(self._run_of.items()):
            if self._heard.get(symbol, 0) != self._heard_at_look.get(symbol, 0) or self._busy(symbol):
                moving = True
                continue  # it moved while we looked
            held, there = ours.get(symbol), theirs.get(symbol)
            mine = held.position.quantity if held is not None else Decimal(0)
            quantity = there.quantity if there is not None else Decimal(0)
            if quantity == mine:
                self._odd.pop(symbol, None)
                if symbol not in self._noted or (held is not None and held.drift):
                    self._note(symbol, run_id, quantity)
                    self._noted.add(symbol)
                if there is not None:
                    self._protector.seen(there)
                elif symbol not in self._swept:
                    self._swept.add(symbol)
                    self._protector.sweep(symbol, run_id, self._user_id)
            elif self._odd.get(symbol) == (quantity, mine):
                self._note(symbol, run_id, quantity)
                self._noted.discard(symbol)
            else:
                self._odd[symbol] = (quantity, mine)
                doubtful = True
        if not moving and not doubtful:
            op = ObserveBalance(account_id=self._account_id, user_id=self._user_id, balance=seen.balance)
            self._ctx.tell("risk_ledger", Record(user_id=self._user_id, op=op))
        self._end_look(AGAIN_S if doubtful else None)

    def _note(self, symbol: str, run_id: RunId, quantity: Decimal) -> None:
        op = ObservePosition(account_id=self._account_id, symbol=symbol, run_id=run_id, quantity=quantity)
        self._ctx.tell("risk_ledger", Record(user_id=self._user_id, op=op))

    def _end_look(self, again_s: float | None = None) -> None:
        self._looking, self._look = False, None
        if self._look_again:
            self._start_look()
        elif again_s is not None:
            self._ctx.after(again_s, LookDue())


def settled_of(held: OpenPosition) -> PositionSettled:
    """What its row says of a position, as if a fill had just been settled."""
    return PositionSettled(
        held.run_id,
        held.user_id,
        held.symbol,
        held.position,
        held.protection,
    )
