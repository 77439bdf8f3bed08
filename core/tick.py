"""One run in one slot, from claim to tick row: which legs to trade, and what follows each piece of news.

The actor that carries a tick asks `begin` once and `advance` for every answer; both are pure. Legs go one after
the other: exit first, reduce-only; the entry only once the position is flat (design.md).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from core.backoff import Backoff
from core.errors import Reason
from core.ids import OrderKey, client_order_id
from core.market import SymbolRules
from core.order import Leg, Order, OrderKind, OrderStatus
from core.position import ZERO, OrderSide, Position, Side
from core.run import Run
from core.signal import Action, Signal
from core.sizing import Money, size_entry
from core.timeframe import entry_deadline

MAX_ATTEMPTS = 5
"""Attempts at one leg within one tick; an exit that still is not flat is taken up by the next slot."""

RETRY = Backoff(min_s=1.0, max_s=8.0)

_NEVER = datetime.max.replace(tzinfo=UTC)
_ANSWERED = frozenset(
    {
        OrderStatus.SUBMITTED,
        OrderStatus.PARTIAL,
        OrderStatus.FILLED,
        OrderStatus.CANCELED,
        OrderStatus.EXPIRED,
    }
)
# Looked up once: an enum's member costs more than the comparison it is for.
_LONG, _SHORT, _HOLD, _EXIT_LONG, _EXIT_SHORT = (
    Action.LONG,
    Action.SHORT,
    Action.HOLD,
    Action.EXIT_LONG,
    Action.EXIT_SHORT,
)
_LONG_SIDE, _SHORT_SIDE, _ENTRY, _EXIT = Side.LONG, Side.SHORT, Leg.ENTRY, Leg.EXIT
_OPENS = {_LONG: _LONG_SIDE, _SHORT: _SHORT_SIDE}
_FAULTS = frozenset({Reason.LEASE_LOST, Reason.STORE_UNAVAILABLE, Reason.OPEN_LEG, Reason.HALTED})
"""Refusals that no rule of the user's asked for: the tick is an error, not blocked."""


class TickEnd(StrEnum):
    OK = "ok"
    SKIPPED = "skipped"
    BLOCKED = "blocked"
    ERROR = "error"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a step may look at. `price`: the last close as money; `blocked`: why entries are refused now.

    `expires_at`: from when on nothing is begun any more, where the signal itself says so.
    """

    run: Run
    position: Position
    money: Money
    rules: SymbolRules
    price: Decimal
    signal: Signal
    slot: datetime
    now: datetime
    blocked: Reason | None = None
    expires_at: datetime | None = None

    @property
    def entry_deadline(self) -> datetime:
        """Until when an entry's intent may commit."""
        return min(entry_deadline(self.slot), self.expires_at or _NEVER)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Legs to trade in order; without any, `end` and `reason` are the tick's."""

    legs: tuple[Leg, ...] = ()
    end: TickEnd = TickEnd.OK
    reason: Reason | None = None


class Working(msgspec.Struct, frozen=True, kw_only=True):
    """A tick at work on a leg. `order`: the leg's latest committed attempt, which may be one before `attempt`.

    `waiting`: for the next attempt. `venue_answered`: the venue took an order of this tick.
    """

    legs: tuple[Leg, ...]
    attempt: int = 1
    order: Order | None = None
    waiting: bool = False
    acted: bool = False
    venue_answered: bool = False
    venue_failure: str | None = None

    @property
    def leg(self) -> Leg:
        return self.legs[0]


class Propose(msgspec.Struct, frozen=True, tag=True):
    """Have the risk ledger commit this order."""

    order: Order
    deadline: datetime


class Submit(msgspec.Struct, frozen=True, tag=True):
    """Hand a committed order to its connection."""

    order: Order


class RetryAfter(msgspec.Struct, frozen=True, tag=True):
    """Propose the next attempt in this many seconds."""

    seconds: float


class GiveUp(msgspec.Struct, frozen=True, tag=True):
    """No further attempt at this order's leg: what it reserved is given back."""

    order: Order


class Finish(msgspec.Struct, frozen=True, tag=True):
    """The tick row."""

    end: TickEnd
    reason: str | None = None


TickEffect = Propose | Submit | RetryAfter | GiveUp | Finish


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The ledger refused the intent."""

    reason: Reason


class Moved(msgspec.Struct, frozen=True, tag=True):
    """The order of the leg has been settled in this state."""

    order: Order
    failure: str | None = None
    """The venue failure that counts against the run, if this news is one."""


class RetryDue(msgspec.Struct, frozen=True, tag=True):
    """The wait before the next attempt is over."""


class OutOfTime(msgspec.Struct, frozen=True, tag=True):
    """Trust in the lease, or the patience for an answer, has run out."""


TickNews = Order | Refused | Moved | RetryDue | OutOfTime
"""An `Order` as news: the ledger committed the intent."""

Step = tuple[Working | None, tuple[TickEffect, ...]]
"""The tick as it now stands, None where no leg was to be traded, and what to do. `Finish` ends it."""


def effective_action(action: Action, run: Run) -> Action:
    """The action after the direction filter: a side the run may not open still closes the other."""
    if action is _LONG and not run.settings.direction.allows(_LONG_SIDE):
        return _EXIT_SHORT
    if action is _SHORT and not run.settings.direction.allows(_SHORT_SIDE):
        return _EXIT_LONG
    return action


def plan(*, run: Run, position: Position, signal: Signal, blocked: Reason | None) -> Plan:
    """The legs a signal means for this position. `blocked`: exits pass, entries do not."""
    action = effective_action(signal.action, run)
    if action is _HOLD:
        return Plan()
    wanted = _OPENS.get(action)
    if wanted is None:
        held = _LONG_SIDE if action is _EXIT_LONG else _SHORT_SIDE
        if position.side is held:
            return Plan(legs=(_EXIT,))
        filtered = action is not signal.action
        return Plan(reason=Reason.DIRECTION if filtered else Reason.NOTHING_TO_EXIT)
    if position.side is wanted:
        return Plan(reason=Reason.ALREADY_OPEN)
    legs = () if position.is_flat else (_EXIT,)
    if blocked is None:
        return Plan(legs=(*legs, _ENTRY))
    return Plan(legs=legs) if legs else Plan(end=TickEnd.BLOCKED, reason=blocked)


def begin(facts: Facts) -> Step:
    """The first step after a signal: propose the first leg, or finish."""
    planned = plan(run=facts.run, position=facts.position, signal=facts.signal, blocked=facts.blocked)
    if not planned.legs:
        return None, (Finish(planned.end, planned.reason),)
    return _propose(Working(legs=planned.legs), facts)


def resume_exit(facts: Facts, *, attempt: int) -> Step:
    """Take up an exit that an earlier tick could not finish: exits are tried until flat (invariants §4)."""
    return _propose(Working(legs=(Leg.EXIT,), attempt=attempt), facts)


def owed_attempt(working: Working, position: Position) -> int | None:
    """The attempt at an exit that a tick ending here leaves to be made; None: there is none.

    An exit that was never tried is not owed, and one of unknown fate is resolved before anything else is tried.
    """
    order = working.order
    if working.leg is not Leg.EXIT or position.is_flat:
        return None
    if order is None:
        return working.attempt if working.attempt > 1 else None
    if order.status is OrderStatus.UNKNOWN:
        return None
    return max(working.attempt, order.attempt + 1)


def advance(working: Working, news: TickNews, facts: Facts) -> Step:
    """What follows `news` about the leg at work. Answers about other orders must not be passed in."""
    match news:
        case Order():
            if working.order is not None and working.order.client_order_id == news.client_order_id:
                return working, ()
            return msgspec.structs.replace(working, order=news), (Submit(news),)
        case Refused():
            return _finish(working, refused_end(news.reason, acted=working.acted), news.reason)
        case RetryDue():
            return _retry_due(working, facts)
        case OutOfTime():
            return _out_of_time(working)
        case Moved():
            return _moved(working, news, facts)


def _retry_due(working: Working, facts: Facts) -> Step:
    if not working.waiting:
        return working, ()
    working = msgspec.structs.replace(working, waiting=False)
    if working.leg is Leg.EXIT and facts.position.is_flat:
        return _leg_done(working, facts)  # the venue closed it meanwhile
    return _propose(working, facts)


def refused_end(reason: Reason, *, acted: bool) -> TickEnd:
    """How a tick ends whose leg was refused; `acted`: after another leg of it was filled."""
    if reason in _FAULTS:
        return TickEnd.ERROR
    harmless = acted or reason is Reason.NOTHING_TO_EXIT
    return TickEnd.OK if harmless else TickEnd.BLOCKED


def _moved(working: Working, news: Moved, facts: Facts) -> Step:
    order = news.order
    working = msgspec.structs.replace(
        working,
        order=order,
        acted=working.acted or order.filled_quantity > 0,
        venue_answered=working.venue_answered or order.status in _ANSWERED,
        venue_failure=working.venue_failure or news.failure,
    )
    if working.waiting and not _is_over(working, facts):
        return working, ()  # told again, or late: the next attempt has its timer
    match order.status:
        case OrderStatus.INTENT | OrderStatus.SUBMITTED | OrderStatus.PARTIAL:
            return working, ()
        case OrderStatus.UNKNOWN:
            return _finish(working, TickEnd.ERROR, Reason.UNKNOWN_ORDER)
        case OrderStatus.FILLED:
            return _leg_done(working, facts)
        case OrderStatus.REJECTED | OrderStatus.NOT_PLACED | OrderStatus.EXPIRED | OrderStatus.CANCELED:
            return _leg_ended_short(working, order, facts)


def _is_over(working: Working, facts: Facts) -> bool:
    """Whether a late fill made the attempt that is waited for superfluous."""
    assert working.order is not None
    return facts.position.is_flat if working.leg is Leg.EXIT else working.order.filled_quantity > 0


def _leg_done(working: Working, facts: Facts) -> Step:
    if working.leg is Leg.EXIT and not facts.position.is_flat:
        return _retry(working, facts)
    rest = working.legs[1:]
    if not rest:
        return _finish(working, TickEnd.OK, None)
    return _propose(msgspec.structs.replace(working, legs=rest, attempt=1, order=None, waiting=False), facts)


def _leg_ended_short(working: Working, order: Order, facts: Facts) -> Step:
    """The attempt ended with less than it asked for: an exit tries again, an entry only if never placed."""
    if working.leg is Leg.EXIT and not facts.position.is_flat:
        return _retry(working, facts)
    if working.leg is Leg.EXIT:
        return _leg_done(working, facts)
    if order.filled_quantity:
        return _leg_done(working, facts)
    if order.status is OrderStatus.NOT_PLACED and order.reason == Reason.QUEUE_FULL:
        # More attempts would only add to what there is too much of already.
        return _finish(working, refused_end(Reason.QUEUE_FULL, acted=working.acted), Reason.QUEUE_FULL)
    if order.status is OrderStatus.NOT_PLACED:
        return _retry(working, facts)
    end = TickEnd.ERROR if order.status is OrderStatus.REJECTED else TickEnd.OK
    return _finish(working, end, order.reason or Reason.NOT_FILLED)


def _retry(working: Working, facts: Facts) -> Step:
    wait_s = RETRY.delay_s(working.attempt - 1, 0.0)
    too_late = working.leg is Leg.ENTRY and facts.now + timedelta(seconds=wait_s) > facts.entry_deadline
    if working.attempt >= MAX_ATTEMPTS or too_late:
        reason = Reason.ADAPTER_ERROR if working.venue_failure else Reason.NOT_FILLED
        return _finish(working, TickEnd.ERROR, reason)
    waiting = msgspec.structs.replace(working, attempt=working.attempt + 1, waiting=True)
    return waiting, (RetryAfter(wait_s),)


def _out_of_time(working: Working) -> Step:
    order = working.order
    if order is not None and not order.is_terminal:
        return _finish(working, TickEnd.OK, "order_working")
    return _finish(working, TickEnd.ERROR, Reason.LEASE_LOST)


def _finish(working: Working, end: TickEnd, reason: str | None) -> Step:
    finish = Finish(end, None if reason is None else str(reason))
    order = working.order
    unfilled = order is not None and order.is_terminal and order.filled_quantity == 0 and order.reserved
    return working, ((GiveUp(order), finish) if order is not None and unfilled else (finish,))


def _propose(working: Working, facts: Facts) -> Step:
    drafted = _draft(working, facts)
    if isinstance(drafted, Reason):
        return _finish(working, refused_end(drafted, acted=working.acted), drafted)
    deadline = min(facts.run.strategy.timeframe.exit_deadline(facts.slot), facts.expires_at or _NEVER)
    if working.leg is Leg.ENTRY:
        deadline = facts.entry_deadline
    elif working.attempt > 1:
        deadline = _NEVER  # later attempts of an exit go on (decision 21)
    return working, (Propose(drafted, deadline),)


def _draft(working: Working, facts: Facts) -> Order | Reason:
    run, signal, position = facts.run, facts.signal, facts.position
    assert run.account_id is not None
    exiting = working.leg is Leg.EXIT
    leverage = run.settings.leverage
    if exiting:
        side = OrderSide.SELL if position.quantity > 0 else OrderSide.BUY
        quantity = facts.rules.quantity(position.size)
        if quantity == 0:
            return Reason.BELOW_MIN_QUANTITY
    else:
        sized = size_entry(
            settings=run.settings, signal=signal, price=facts.price, money=facts.money, rules=facts.rules
        )
        if isinstance(sized, Reason):
            return sized
        side = OrderSide.BUY if signal.action is Action.LONG else OrderSide.SELL
        quantity, leverage = sized.quantity, sized.leverage
    key = OrderKey(run_id=run.id, slot=facts.slot, leg=working.leg, attempt=working.attempt)
    return Order(
        client_order_id=client_order_id(key),
        run_id=run.id,
        user_id=run.user_id,
        account_id=run.account_id,
        symbol=run.strategy.symbol,
        slot=facts.slot,
        leg=working.leg,
        attempt=working.attempt,
        side=side,
        kind=OrderKind.MARKET,
        quantity=quantity,
        reference_price=facts.price,
        reduce_only=exiting,
        leverage=leverage,
        stop_loss=None if exiting else signal.stop_loss,
        take_profit=None if exiting else signal.take_profit,
        stop_loss_pct=None if exiting else run.settings.stop_loss_pct,
        take_profit_pct=None if exiting else run.settings.take_profit_pct,
        trailing_callback_pct=None if exiting else run.settings.trailing_callback_pct,
        trailing_activation_pct=ZERO if exiting else run.settings.trailing_activation_pct,
    )
