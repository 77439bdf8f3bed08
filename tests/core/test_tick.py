"""The decisions of one tick: which legs, which attempts, and how it ends."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from core.errors import Reason
from core.order import Leg, Order, OrderStatus
from core.position import FLAT, OrderSide, Position
from core.run import Direction
from core.signal import Action
from core.tick import (
    MAX_ATTEMPTS,
    Facts,
    Finish,
    GiveUp,
    Moved,
    OutOfTime,
    Propose,
    Refused,
    RetryAfter,
    RetryDue,
    Step,
    Submit,
    TickEnd,
    TickNews,
    Working,
    advance,
    begin,
    effective_action,
    owed_attempt,
    plan,
    resume_exit,
)
from tests.core.tick_cases import SLOT, facts, held, run

LONG, SHORT, HOLD = Action.LONG, Action.SHORT, Action.HOLD
EXIT_LONG, EXIT_SHORT = Action.EXIT_LONG, Action.EXIT_SHORT
EXIT, ENTRY = Leg.EXIT, Leg.ENTRY


@pytest.mark.parametrize(
    ("action", "direction", "expected"),
    [
        (LONG, Direction.BOTH, LONG),
        (SHORT, Direction.BOTH, SHORT),
        (SHORT, Direction.LONG, EXIT_LONG),
        (LONG, Direction.LONG, LONG),
        (LONG, Direction.SHORT, EXIT_SHORT),
        (SHORT, Direction.SHORT, SHORT),
        (EXIT_LONG, Direction.SHORT, EXIT_LONG),
        (HOLD, Direction.LONG, HOLD),
    ],
)
def test_a_side_the_run_may_not_open_still_closes_the_other(
    action: Action, direction: Direction, expected: Action
) -> None:
    assert effective_action(action, run(direction=direction)) is expected


@pytest.mark.parametrize(
    ("quantity", "action", "legs", "reason"),
    [
        ("0", LONG, (ENTRY,), None),
        ("0", SHORT, (ENTRY,), None),
        ("0", HOLD, (), None),
        ("0", EXIT_LONG, (), Reason.NOTHING_TO_EXIT),
        ("0", EXIT_SHORT, (), Reason.NOTHING_TO_EXIT),
        ("1", LONG, (), Reason.ALREADY_OPEN),
        ("1", SHORT, (EXIT, ENTRY), None),
        ("1", HOLD, (), None),
        ("1", EXIT_LONG, (EXIT,), None),
        ("1", EXIT_SHORT, (), Reason.NOTHING_TO_EXIT),
        ("-1", LONG, (EXIT, ENTRY), None),
        ("-1", SHORT, (), Reason.ALREADY_OPEN),
        ("-1", EXIT_LONG, (), Reason.NOTHING_TO_EXIT),
        ("-1", EXIT_SHORT, (EXIT,), None),
    ],
)
def test_position_and_action_name_the_legs(
    quantity: str, action: Action, legs: tuple[Leg, ...], reason: Reason | None
) -> None:
    planned = plan(run=run(), position=held(quantity), signal=facts(action).signal, blocked=None)
    assert (planned.legs, planned.end, planned.reason) == (legs, TickEnd.OK, reason)


@pytest.mark.parametrize(
    ("quantity", "action", "legs", "end"),
    [
        ("0", LONG, (), TickEnd.BLOCKED),
        ("1", SHORT, (EXIT,), TickEnd.OK),
        ("1", EXIT_LONG, (EXIT,), TickEnd.OK),
        ("1", LONG, (), TickEnd.OK),
        ("0", HOLD, (), TickEnd.OK),
    ],
)
def test_under_a_gate_exits_pass_and_entries_do_not(
    quantity: str, action: Action, legs: tuple[Leg, ...], end: TickEnd
) -> None:
    planned = plan(run=run(), position=held(quantity), signal=facts(action).signal, blocked=Reason.DAILY_LOSS)
    assert (planned.legs, planned.end) == (legs, end)


def test_a_filtered_side_without_a_position_names_the_direction() -> None:
    planned = plan(run=run(direction=Direction.LONG), position=FLAT, signal=facts(SHORT).signal, blocked=None)
    assert planned.reason is Reason.DIRECTION


# -- attempts ----------------------------------------------------------------------------------------


def proposed(step: Step) -> tuple[Working, Propose]:
    working, [effect] = step
    assert working is not None
    assert isinstance(effect, Propose)
    return working, effect


def committed(step: Step, given_: Facts) -> tuple[Working, Order]:
    working, propose = proposed(step)
    order = replace(propose.order, reserved=propose.order.leg is ENTRY, fence=1)
    after, effects = advance(working, order, given_)
    assert after is not None
    assert effects == (Submit(order),)
    return after, order


def ended(order: Order, status: OrderStatus, filled: Decimal = Decimal(0)) -> Order:
    value = filled * order.reference_price
    return replace(order, status=status, filled_quantity=filled, filled_value=value, reason="why")


def test_an_entry_is_proposed_until_30_s_after_the_slot_and_a_first_exit_until_the_next() -> None:
    _, entry = proposed(begin(facts(LONG)))
    assert entry.deadline == SLOT + timedelta(seconds=30)
    assert not entry.order.reduce_only
    _, exit_ = proposed(begin(facts(EXIT_LONG, "1")))
    assert exit_.deadline == SLOT + timedelta(minutes=1)
    assert (exit_.order.reduce_only, exit_.order.quantity) == (True, Decimal(1))
    _, later = proposed(resume_exit(facts(EXIT_LONG, "1"), attempt=6))
    assert later.deadline > SLOT + timedelta(days=36_500)
    assert later.order.attempt == 6


def test_a_flip_enters_only_once_flat_and_only_after_its_exit() -> None:
    given_ = facts(SHORT, "1")
    working, order = committed(begin(given_), given_)
    assert (order.leg, order.side) == (EXIT, OrderSide.SELL)
    flat = replace(given_, position=FLAT)
    step = advance(working, Moved(ended(order, OrderStatus.FILLED, Decimal(1))), flat)
    working, entry = committed(step, flat)
    assert (entry.leg, entry.side, entry.attempt) == (ENTRY, OrderSide.SELL, 1)
    _, effects = advance(working, Moved(ended(entry, OrderStatus.FILLED, entry.quantity)), flat)
    assert effects == (Finish(TickEnd.OK),)


def test_an_exit_that_filled_but_left_something_open_is_tried_again_before_any_entry() -> None:
    given_ = facts(SHORT, "150")  # the venue takes 100 in one market order
    working, order = committed(begin(given_), given_)
    assert order.quantity == 100
    rest = replace(given_, position=held("50"))
    after, effects = advance(working, Moved(ended(order, OrderStatus.FILLED, Decimal(100))), rest)
    assert effects == (RetryAfter(1.0),)
    assert after is not None
    working, propose = proposed(advance(after, RetryDue(), rest))
    assert (propose.order.leg, propose.order.attempt, propose.order.quantity) == (EXIT, 2, Decimal(50))


@pytest.mark.parametrize(
    ("leg", "status", "effect"),
    [
        (ENTRY, OrderStatus.NOT_PLACED, RetryAfter(1.0)),
        (ENTRY, OrderStatus.REJECTED, Finish(TickEnd.ERROR, "why")),
        (ENTRY, OrderStatus.EXPIRED, Finish(TickEnd.OK, "why")),
        (ENTRY, OrderStatus.CANCELED, Finish(TickEnd.OK, "why")),
        (ENTRY, OrderStatus.UNKNOWN, Finish(TickEnd.ERROR, "unknown_order")),
        (EXIT, OrderStatus.NOT_PLACED, RetryAfter(1.0)),
        (EXIT, OrderStatus.REJECTED, RetryAfter(1.0)),
        (EXIT, OrderStatus.EXPIRED, RetryAfter(1.0)),
        (EXIT, OrderStatus.UNKNOWN, Finish(TickEnd.ERROR, "unknown_order")),
    ],
)
def test_entries_are_tried_again_only_when_never_placed_and_i4_the_unknown_never(
    leg: Leg, status: OrderStatus, effect: RetryAfter | Finish
) -> None:
    given_ = facts(LONG) if leg is ENTRY else facts(EXIT_LONG, "1")
    working, order = committed(begin(given_), given_)
    _, effects = advance(working, Moved(ended(order, status)), given_)
    assert effects[-1] == effect
    assert [e for e in effects if isinstance(e, RetryAfter | Finish)] == [effect]


def test_an_entry_without_a_place_in_the_queue_ends_its_tick_and_an_exit_tries_again() -> None:
    given_ = facts(LONG)
    working, order = committed(begin(given_), given_)
    full = replace(ended(order, OrderStatus.NOT_PLACED), reason="queue_full")
    _, effects = advance(working, Moved(full), given_)
    assert effects == (GiveUp(full), Finish(TickEnd.BLOCKED, "queue_full"))
    leaving = facts(EXIT_LONG, "1")
    working, order = committed(begin(leaving), leaving)
    full = replace(ended(order, OrderStatus.NOT_PLACED), reason="queue_full")
    _, effects = advance(working, Moved(full), leaving)
    assert effects == (RetryAfter(1.0),)


def test_a_partly_filled_entry_ends_the_leg_without_another_attempt() -> None:
    given_ = facts(LONG)
    working, order = committed(begin(given_), given_)
    part = ended(order, OrderStatus.EXPIRED, Decimal("0.5"))
    _, effects = advance(working, Moved(part), replace(given_, position=held("0.5")))
    assert effects == (Finish(TickEnd.OK),)


@pytest.mark.parametrize(("late_s", "again"), [(28.9, True), (29.1, False)])
def test_an_entry_is_not_tried_again_past_its_deadline(late_s: float, again: bool) -> None:
    given_ = facts(LONG)
    working, order = committed(begin(given_), given_)
    late = replace(given_, now=SLOT + timedelta(seconds=late_s))
    _, effects = advance(working, Moved(ended(order, OrderStatus.NOT_PLACED)), late)
    assert isinstance(effects[-1], RetryAfter if again else Finish)
    if not again:
        assert isinstance(effects[0], GiveUp), "what it reserved is given back"


@pytest.mark.parametrize(
    ("reason", "end"),
    [
        (Reason.MAX_TRADES, TickEnd.BLOCKED),
        (Reason.KILL_SWITCH, TickEnd.BLOCKED),
        (Reason.LATE_ENTRY, TickEnd.BLOCKED),
        (Reason.LEASE_LOST, TickEnd.ERROR),
        (Reason.STORE_UNAVAILABLE, TickEnd.ERROR),
        (Reason.NOTHING_TO_EXIT, TickEnd.OK),
    ],
)
def test_a_refusal_by_a_rule_blocks_and_one_by_a_fault_is_an_error(reason: Reason, end: TickEnd) -> None:
    given_ = facts(LONG)
    working, _ = proposed(begin(given_))
    _, effects = advance(working, Refused(reason), given_)
    assert effects == (Finish(end, reason.value),)


def test_news_told_twice_send_nothing_twice() -> None:
    given_ = facts(LONG)
    working, order = committed(begin(given_), given_)
    assert advance(working, order, given_) == (working, ())
    missed = Moved(ended(order, OrderStatus.NOT_PLACED))
    waiting, effects = advance(working, missed, given_)
    assert effects == (RetryAfter(1.0),)
    assert waiting is not None
    assert advance(waiting, missed, given_)[1] == ()
    again, effects = advance(waiting, RetryDue(), given_)
    assert again is not None
    assert len(effects) == 1
    assert advance(again, RetryDue(), given_)[1] == ()


def test_an_exit_waiting_for_its_next_attempt_is_done_once_the_venue_closed_the_position() -> None:
    given_ = facts(EXIT_LONG, "1")
    working, order = committed(begin(given_), given_)
    waiting, _ = advance(working, Moved(ended(order, OrderStatus.NOT_PLACED)), given_)
    assert waiting is not None
    assert advance(waiting, RetryDue(), replace(given_, position=FLAT))[1] == (Finish(TickEnd.OK),)


def test_a_tick_out_of_time_leaves_a_working_order_to_its_observations() -> None:
    given_ = facts(LONG)
    working, _ = proposed(begin(given_))
    assert advance(working, OutOfTime(), given_)[1] == (Finish(TickEnd.ERROR, "lease_lost"),)
    working, _ = committed(begin(given_), given_)
    assert advance(working, OutOfTime(), given_)[1] == (Finish(TickEnd.OK, "order_working"),)


@pytest.mark.parametrize(
    ("status", "attempt", "position", "owed"),
    [
        (OrderStatus.NOT_PLACED, 5, "1", 6),
        (OrderStatus.REJECTED, 2, "1", 3),
        (OrderStatus.EXPIRED, 1, "0.5", 2),
        (OrderStatus.UNKNOWN, 1, "1", None),
        (OrderStatus.NOT_PLACED, 5, "0", None),
    ],
)
def test_an_unfinished_exit_is_owed_its_next_attempt(
    status: OrderStatus, attempt: int, position: str, owed: int | None
) -> None:
    given_ = facts(EXIT_LONG, "1")
    working, order = committed(begin(given_), given_)
    tried = replace(working, attempt=attempt, order=replace(order, attempt=attempt, status=status))
    assert owed_attempt(tried, held(position)) == owed


def test_a_refused_later_attempt_is_still_owed_and_an_exit_never_tried_is_not() -> None:
    given_ = facts(EXIT_LONG, "1")
    working, _ = proposed(begin(given_))
    assert owed_attempt(working, given_.position) is None
    working, _ = proposed(resume_exit(given_, attempt=6))
    assert owed_attempt(working, given_.position) == 6
    working, _ = proposed(begin(facts(LONG)))
    assert owed_attempt(working, FLAT) is None


# -- laws --------------------------------------------------------------------------------------------

STATUSES = st.sampled_from(sorted(set(OrderStatus) - {OrderStatus.INTENT}))


class Venue:
    """A venue and ledger that answer as Hypothesis says, and check what they are asked."""

    def __init__(self, given_: Facts, draw: st.DataObject) -> None:
        self.facts = given_
        self.draw = draw
        self.outstanding = 0
        self.proposals: list[Order] = []
        self.finished = 0

    def news(self, working: Working, waiting: bool) -> TickNews:
        choices: list[TickNews] = [OutOfTime()]
        if waiting:
            choices = [RetryDue(), RetryDue(), RetryDue(), OutOfTime()]
        elif working.order is None or working.order.attempt < working.attempt:
            choices = [self.proposals[-1]] * 6 + [Refused(Reason.MAX_TRADES), OutOfTime()]
        else:
            choices = [Moved(self.moved(working.order))]
        return self.draw.draw(st.sampled_from(choices))

    def moved(self, order: Order) -> Order:
        status = self.draw.draw(STATUSES)
        share = self.draw.draw(st.sampled_from([Decimal(0), Decimal("0.5"), Decimal(1)]))
        if status is OrderStatus.FILLED:
            share = Decimal(1)
        elif status in (OrderStatus.NOT_PLACED, OrderStatus.REJECTED, OrderStatus.SUBMITTED):
            share = Decimal(0)
        filled = max(order.filled_quantity, order.quantity * share)
        if order.leg is EXIT:
            left = self.facts.position.size - (filled - order.filled_quantity)
            sign = 1 if self.facts.position.quantity > 0 else -1
            self.facts = replace(self.facts, position=held(str(left * sign)) if left else FLAT)
        return ended(order, status, filled)


@given(
    st.data(),
    st.sampled_from([LONG, SHORT, EXIT_LONG, EXIT_SHORT]),
    st.sampled_from(["0", "1", "-1", "150"]),
)
def test_whatever_the_venue_answers_a_tick_keeps_its_promises(
    draw: st.DataObject, action: Action, quantity: str
) -> None:
    """Legs in order, never an entry while not flat, bounded attempts, one proposal at a time, one end."""
    venue = Venue(facts(action, quantity), draw)
    step = begin(venue.facts)
    waiting = False
    for _ in range(100):
        working, effects = step
        for effect in effects:
            if isinstance(effect, Propose):
                check_proposal(venue, effect.order, venue.facts.position)
            elif isinstance(effect, Finish):
                venue.finished += 1
        waiting = working is not None and working.waiting
        if venue.finished or working is None:
            break
        step = advance(working, venue.news(working, waiting), venue.facts)
    assert venue.finished == 1, "it ends, and once"
    ids = [order.client_order_id for order in venue.proposals]
    assert len(ids) == len(set(ids))


def check_proposal(venue: Venue, order: Order, position: Position) -> None:
    if order.leg is ENTRY:
        assert position.is_flat, "never an entry while not flat"
    else:
        assert order.reduce_only
        assert order.quantity <= position.size
        assert not any(known.leg is ENTRY for known in venue.proposals), "the exit comes first"
    assert order.attempt <= MAX_ATTEMPTS
    earlier = [known for known in venue.proposals if known.leg is order.leg]
    assert order.attempt == len(earlier) + 1
    venue.proposals.append(order)
