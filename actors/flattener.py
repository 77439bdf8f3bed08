"""Flattener: closes positions somebody wants closed, reduce-only, each attempt under the run's lease, until flat.

The request is a row, so that it outlives this process; the process whose gateway follows the account takes it up. The
intent is committed as any other is (I2), leg `flatten`. An operator's alone passes the kill switches (I8); that of the
run's owner waits until they are off. What the run does meanwhile, or in which status it is, does not matter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from actors.live.known import VenueKnowledge
from actors.messages import FlattenHere, FlattensAsked, FlattenWanted, Record, Recorded, SubmitOrder
from actors.runtime.behaviour import Behaviour, Context
from core.errors import Reason
from core.ids import MAX_ATTEMPTS, OrderKey, client_order_id
from core.order import Leg, Order, OrderKind
from core.timeframe import Timeframe
from schema.flattens import Flatten, FlattenOutcome, FlattenStore
from schema.ops import IntentCommitted, IntentRefused, ProposeIntent, closing_side
from schema.records import AccountKind, OpenPosition
from schema.store import Store

NAME: Final = "flattener"
POLL_S: Final = 10.0
AGAIN_S: Final = 1.0
"""Until what could not be decided now is looked at again."""
TRY_EVERY_S: Final = 15.0
"""From one order to the next of a position: four a minute stay below what halts a run (core/breaker.py)."""
LEASE_KEPT_S: Final = 2.0
"""How long an order may take until its lease has been re-read; longer, and the run's own slots wait for nothing."""
PAPER_LEAD: Final = timedelta(seconds=5)
"""A paper account fills at the next opening, and waits ten seconds for it."""
RECENT_ORDERS: Final = 50
"""Of a run, in which the entry is found that opened what is to be closed."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Work:
    """A request this process has taken up."""

    __slots__ = ("attempt", "fence", "flatten", "next_at", "next_try_s", "on_paper", "opened_at")

    def __init__(self, flatten: Flatten) -> None:
        self.flatten = flatten
        self.attempt = 0
        self.fence: int | None = None
        self.on_paper: bool | None = None  # not known before the first look
        self.opened_at: datetime | None = None  # of the position, once it is known to be what is meant
        # The next order is not made before both: market time on paper, process seconds at a venue.
        self.next_at = flatten.asked_at
        self.next_try_s = float("-inf")


class Poll(msgspec.Struct, frozen=True):
    """Read which requests are under way."""


class Found(msgspec.Struct, frozen=True):
    flattens: Sequence[Flatten]


class Due(msgspec.Struct, frozen=True):
    """Time to look at the position of this request."""

    id: UUID


class Looked(msgspec.Struct, frozen=True):
    """The position that was to be closed, as its row is; None: it is, or not open yet where an entry is `on_its_way`.
    `fence` None: no attempt now.
    """

    id: UUID
    held: OpenPosition | None
    on_its_way: bool
    fence: int | None
    on_paper: bool


class Failed(msgspec.Struct, frozen=True):
    """The store did not answer about this request, or about which there are."""

    id: UUID | None


class Done(msgspec.Struct, frozen=True):
    """Nothing further follows."""


class Flattener(Behaviour):
    __slots__ = ("_knowledge", "_lease_s", "_owner", "_rows", "_store", "_work")

    def __init__(
        self,
        ctx: Context,
        *,
        rows: FlattenStore,
        store: Store,
        knowledge: VenueKnowledge,
        worker: str,
        lease_s: float,
    ) -> None:
        super().__init__(ctx)
        self._rows = rows
        self._store = store
        self._knowledge = knowledge
        self._owner = f"{worker}:flatten"
        self._lease_s = lease_s
        self._work: dict[UUID, Work] = {}  # bounded by what `FlattenStore.open` answers

    def started(self) -> None:
        self.ctx.after(0.0, FlattensAsked())
        self.ctx.after(POLL_S, Poll(), every=POLL_S)

    def receive(self, message: object) -> None:
        match message:
            case Poll() | FlattensAsked():
                self.ctx.call(self._rows.open, Found, lambda _: Failed(None))
            case Found():
                self._found(message.flattens)
            case FlattenHere():
                self._take_up(message.flatten)
            case Due():
                self._look(message.id)
            case Looked():
                self._looked(message)
            case Recorded():
                self._recorded(message)
            case Failed():
                if message.id is not None:
                    self.ctx.after(AGAIN_S, Due(message.id))
            case Done():
                pass
            case _:
                raise TypeError(f"{NAME} cannot handle {type(message).__name__}")

    def _found(self, flattens: Sequence[Flatten]) -> None:
        """Those ended elsewhere are let go of; those nobody here works on are offered to whoever has the account."""
        under_way = {flatten.id for flatten in flattens}
        for gone in [id for id in self._work if id not in under_way]:
            del self._work[gone]
        for flatten in flattens:
            if flatten.id in self._work:
                self._work[flatten.id].flatten = flatten  # an operator may have made it theirs
            else:
                self.ctx.tell("gateway", FlattenWanted(flatten=flatten))

    def _take_up(self, flatten: Flatten) -> None:
        if flatten.id not in self._work:
            self._work[flatten.id] = Work(flatten)
            self.ctx.self_ref.tell(Due(flatten.id))

    def _look(self, id: UUID) -> None:
        work = self._work.get(id)
        if work is None:
            return
        store, flatten, owner, ttl_s, kept = self._store, work.flatten, self._owner, self._lease_s, work.fence
        work.fence = None
        wanted, known = work.on_paper is not None and self._may_try(work), work.opened_at

        def entries() -> _Entries:
            return _Entries(store.orders(run_id=flatten.run_id, limit=RECENT_ORDERS), flatten.asked_at)

        def look() -> Looked:
            if kept is not None:
                store.release([(flatten.run_id, kept)])
            # Orders first: what has filled by then is in the positions read after it. And once more behind these: which
            # entry opened one is known by then, also of one that filled between.
            on_its_way = entries().on_its_way
            positions = store.open_positions(account_id=flatten.account_id)
            then = entries()
            held = next((each for each in positions if _is_meant(each, flatten, then, known)), None)
            account = store.account(flatten.account_id)
            fence = None
            if held is not None and wanted:
                fence = store.acquire(flatten.run_id, owner=owner, ttl_s=ttl_s)
            on_paper = account is None or account.kind is AccountKind.PORTFOLIO
            return Looked(id, held, on_its_way, fence, on_paper)

        self.ctx.call(look, lambda looked: looked, lambda _: Failed(id))

    def _may_try(self, work: Work) -> bool:
        clock = self.ctx.clock
        return clock.now() >= work.next_at if work.on_paper else clock.monotonic() >= work.next_try_s

    def _wait(self, work: Work, *, on_paper: bool) -> None:
        """Until the moment of the first order, then a little at a time: what was ordered may have closed it."""
        due = Due(work.flatten.id)
        if work.on_paper is None:
            work.on_paper = on_paper
            if on_paper:
                work.next_at = _before_a_close(self.ctx.clock.now())
            if self._may_try(work):
                self.ctx.self_ref.tell(due)
                return
        if on_paper and not work.attempt and not self._may_try(work):
            self.ctx.at(work.next_at, due)
        else:
            self.ctx.after(AGAIN_S, due)

    def _looked(self, looked: Looked) -> None:
        work = self._work.get(looked.id)
        if work is None:
            return  # a lease that was taken for it runs out by itself
        work.fence = looked.fence
        if looked.held is None:
            if looked.on_its_way:
                self.ctx.after(AGAIN_S, Due(looked.id))
            else:
                self._end(work, FlattenOutcome.FLAT)
            return
        work.opened_at = looked.held.position.opened_at
        if looked.fence is None:
            self._wait(work, on_paper=looked.on_paper)
            return
        if work.attempt >= MAX_ATTEMPTS:
            self._end(work, FlattenOutcome.GIVEN_UP)
            return
        order = self._order(work, looked.held, looked.fence)
        if order is None:
            self.ctx.after(AGAIN_S, Due(looked.id))
            return
        work.attempt += 1
        ahead = self._knowledge.ahead(order.account_id)
        why = {"reason": "flatten", "by": work.flatten.asked_by}
        operators = work.flatten.by_operator
        propose = ProposeIntent(
            order=order, deadline=_NEVER, why=why, venue_ahead=ahead, by_operator=operators
        )
        self.ctx.tell("risk_ledger", Record(user_id=order.user_id, op=propose, reply_to=self.ctx.name))

    def _recorded(self, recorded: Recorded) -> None:
        op = recorded.op
        if not isinstance(op, ProposeIntent):
            return
        work = next((each for each in self._work.values() if each.flatten.run_id == op.order.run_id), None)
        result = recorded.result
        committed = isinstance(result, IntentCommitted)
        if isinstance(result, IntentCommitted):
            self.ctx.tell("gateway", SubmitOrder(order=result.order))
        if work is None:
            return
        switched_off = isinstance(result, IntentRefused) and result.reason is Reason.KILL_SWITCH
        if switched_off:
            work.attempt -= 1  # no row was made of it, and a switch may stay on for days
        if committed or switched_off:
            work.next_try_s = self.ctx.clock.monotonic() + TRY_EVERY_S
            work.next_at = _before_a_close(self.ctx.clock.now() + PAPER_LEAD)
        self.ctx.after(LEASE_KEPT_S if committed else AGAIN_S, Due(work.flatten.id))

    def _end(self, work: Work, outcome: FlattenOutcome) -> None:
        del self._work[work.flatten.id]
        store, rows, flatten, fence = self._store, self._rows, work.flatten, work.fence

        def end() -> None:
            if fence is not None:
                store.release([(flatten.run_id, fence)])
            rows.end(flatten.id, outcome)

        # Where this fails the row stays open, and the next pass takes it up again.
        self.ctx.call(end, lambda _: Done(), lambda _: Done())

    def _order(self, work: Work, held: OpenPosition, fence: int) -> Order | None:
        """None: the venue's filters are not known yet, or the rest is smaller than it takes."""
        flatten, quantity = work.flatten, held.position.size
        if not work.on_paper:
            rules = self._knowledge.rules(flatten.account_id, flatten.symbol)
            quantity = quantity * 0 if rules is None else rules.quantity(quantity)
        if not quantity:
            return None
        slot = flatten.asked_at.replace(microsecond=0)
        key = OrderKey(run_id=flatten.run_id, slot=slot, leg=Leg.FLATTEN, attempt=work.attempt + 1)
        return Order(
            client_order_id=client_order_id(key),
            run_id=flatten.run_id,
            user_id=flatten.user_id,
            account_id=flatten.account_id,
            symbol=flatten.symbol,
            slot=slot,
            leg=Leg.FLATTEN,
            attempt=work.attempt + 1,
            side=closing_side(held.position),
            kind=OrderKind.MARKET,
            quantity=quantity,
            reference_price=held.position.entry_price,
            reduce_only=True,
            fence=fence,
        )


class _Entries:
    """Of a run's newest orders: whether an entry is still on its way that was before the close was asked, and whether
    the last that filled was.
    """

    def __init__(self, newest_first: Sequence[Order], asked_at: datetime) -> None:
        entries = [order for order in newest_first if order.leg is Leg.ENTRY]
        before = [each for each in entries if each.created_at is not None and each.created_at <= asked_at]
        self.on_its_way = any(not each.is_terminal for each in before)
        filled = next((each for each in entries if each.filled_quantity), None)
        self.opened_before = filled in before


def _is_meant(held: OpenPosition, flatten: Flatten, entries: _Entries, known: datetime | None) -> bool:
    """What the run has entered since is not what was to be closed; `known`: when what is meant was opened."""
    opened_at = held.position.opened_at
    if held.run_id != flatten.run_id or opened_at is None:
        return False
    return opened_at == known or opened_at <= flatten.asked_at or entries.opened_before


def _before_a_close(now: datetime) -> datetime:
    """`now`, or else PAPER_LEAD before the next candle of a minute closes."""
    return max(now, Timeframe.M1.next_close(now) - PAPER_LEAD)
