"""What may be concluded when a venue fails: never more than is so, and no order of one id twice (I3, I4)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from core.protection import Protection
from exchanges.base import OrderReport
from exchanges.errors import (
    Banned,
    ClockSkew,
    ExchangeError,
    OutcomeUnknown,
    RateLimited,
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.wire import unconditional
from tests.canaries import KEYS, SECRETS, scan
from tests.exchanges.conformance.simulated_venue import SimulatedVenue
from tests.exchanges.conformance.venue import START, SYMBOL, order

D = Decimal
UNKNOWN_503 = "Unknown error, please check your request or try again later."


def placements(live: SimulatedVenue, since: int = 0) -> int:
    return live.requests("POST", since).count(live.traits.order_path)


def fails(live: SimulatedVenue, kind: str, **fields: Any) -> None:
    """The next order meets this fault."""
    live.configure()
    live.fault(kind, method="POST", path=live.traits.order_path, **fields)


@pytest.mark.parametrize(
    ("fault", "acted"),
    [
        ({"kind": "drop_after"}, True),
        ({"kind": "truncate", "bytes": 25}, True),
        ({"kind": "truncate", "bytes": 0}, True),
        ({"kind": "afterwards", "status": 503, "body": UNKNOWN_503}, True),
        ({"kind": "afterwards", "status": 500, "body": ""}, True),
        ({"kind": "afterwards", "status": 504, "body": "<html>gateway time-out</html>"}, True),
        ({"kind": "afterwards", "status": 200, "body": "{"}, True),
        ({"kind": "afterwards", "status": 200, "body": "<html>maintenance</html>"}, True),
        ({"kind": "drop_before"}, False),
        ({"kind": "instead", "status": 503, "body": UNKNOWN_503}, False),
        ({"kind": "instead", "status": 502, "body": ""}, False),
    ],
)
def test_i4_an_outcome_nobody_knows_is_looked_up_and_never_sent_again(
    live: SimulatedVenue, fault: dict[str, Any], acted: bool
) -> None:
    fails(live, **fault)
    sent = order(live)
    with pytest.raises(OutcomeUnknown):
        live.run(live.exchange.place(sent, unconditional))
    if acted:
        report = live.found(sent)
        assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, sent.quantity)
        assert [e.client_order_id for e in report.executions] == [sent.client_order_id]
    else:
        assert live.run(live.exchange.find(SYMBOL, sent.client_order_id)) is None
    assert placements(live) == 1
    assert live.created(sent.client_order_id) == int(acted)


def test_an_order_that_was_reported_is_never_absent_while_look_ups_lag(live: SimulatedVenue) -> None:
    live.configure()
    live.fault("lookup_lag", seconds=60)
    sent = order(live, kind=OrderKind.LIMIT, price=D(900))
    live.run(live.exchange.place(sent, unconditional))

    def told() -> OrderReport | None:
        try:
            found = live.run(live.exchange.find(SYMBOL, sent.client_order_id))
        except Unreachable:
            return None
        assert found is not None
        return found

    assert told() is None
    live.control("DELETE", "faults")
    assert live.found(sent).status is OrderStatus.SUBMITTED


@pytest.mark.parametrize("kind", ["drop_after", "drop_before"])
def test_i3_a_stop_whose_outcome_nobody_knows_stands_once_in_the_end(live: SimulatedVenue, kind: str) -> None:
    live.place(order(live))
    live.fault(kind, method="POST", path=live.traits.stop_path)
    wanted = Protection(stop_loss=D(950))
    for _ in range(2):
        try:
            assert live.run(live.exchange.protect(SYMBOL, wanted)) == wanted
        except ExchangeError:
            continue
        break
    assert live.stands() == {"stop": D(950)}


def test_a_cancel_whose_outcome_nobody_knows_says_so_and_may_be_asked_again(live: SimulatedVenue) -> None:
    sent = order(live, kind=OrderKind.LIMIT, price=D(900))
    live.place(sent)
    live.fault("drop_after", contains=sent.client_order_id)
    with pytest.raises((OutcomeUnknown, Unreachable)):
        live.run(live.exchange.cancel(SYMBOL, sent.client_order_id))
    canceled = live.run(live.exchange.cancel(SYMBOL, sent.client_order_id))
    assert canceled is not None
    assert canceled.status is OrderStatus.CANCELED


@pytest.mark.parametrize("wrong", [timedelta(0), timedelta(hours=3), timedelta(hours=-3)])
def test_a_ban_stops_every_account_until_it_is_over_and_not_longer(
    live: SimulatedVenue, wrong: timedelta
) -> None:
    """Also where this computer's clock is wrong by more than the ban lasts."""
    live.clock.wrong = wrong
    live.run(live.exchange.connect())
    live.configure()
    live.allow("other", 2)
    other = live.open(2)
    live.run(other.connect())
    live.fault("ban", seconds=90)
    with pytest.raises(Banned):
        live.run(live.exchange.place(order(live), unconditional))
    seen = live.seen()
    for exchange in (live.exchange, other):
        with pytest.raises(Banned):
            live.run(exchange.balance())
    assert live.requests(since=seen) == []
    live.slot = START + timedelta(minutes=30)
    live.time_is(live.slot)
    assert live.place(order(live)).status is OrderStatus.FILLED


def test_an_account_over_its_budget_places_nothing_and_says_how_long_to_wait(live: SimulatedVenue) -> None:
    live.configure()
    live.control("PUT", "limits", {"weight": 0, "orders_10s": 10, "orders_1m": 0})

    def place_too_many() -> None:
        for attempt in range(1, 13):
            low = order(live, attempt=attempt, kind=OrderKind.LIMIT, price=D(900))
            live.run(live.exchange.place(low, unconditional))

    with pytest.raises(RateLimited) as raised:
        place_too_many()
    assert raised.value.retry_after_s >= 0
    assert len(live.account.orders) <= 10


def test_a_time_stamp_outside_the_window_places_nothing_and_the_clock_is_read_again(
    live: SimulatedVenue,
) -> None:
    live.configure()
    late = order(live, sign_ts=START - timedelta(seconds=20))
    with pytest.raises(ClockSkew) as raised:
        live.run(live.exchange.place(late, unconditional))
    assert raised.value.resynced
    assert not raised.value.counts
    assert live.held() == 0
    assert live.place(order(live, attempt=2)).status is OrderStatus.FILLED


def test_a_clock_that_jumped_is_read_once_and_no_read_fails_for_it(live: SimulatedVenue) -> None:
    live.run(live.exchange.balance())
    live.clock.wrong = timedelta(seconds=-40)
    seen = live.seen()
    for _ in range(3):
        live.run(live.exchange.balance())
    entries = [entry.path for entry in live.server.journal.since(seen)]
    assert sum(path in live.traits.clock_paths for path in entries) == 1
    assert abs(live.exchange.venue_now() - START) < timedelta(seconds=1)


def test_a_read_that_failed_says_nothing_and_changes_nothing(live: SimulatedVenue) -> None:
    live.place(order(live))
    for fault in (
        {"kind": "drop_after"},
        {"kind": "instead", "status": 500},
        {"kind": "truncate", "bytes": 9},
    ):
        live.fault(**fault, method="GET", times=2)  # type: ignore[arg-type]
        with pytest.raises(Unreachable):
            live.run(live.exchange.positions())
        live.control("DELETE", "faults")
    assert [held.quantity for held in live.run(live.exchange.positions())] == [D("0.1")]


def test_i15_an_exit_sent_anew_after_one_of_unknown_outcome_opens_nothing(live: SimulatedVenue) -> None:
    live.place(order(live))
    fails(live, "drop_after")
    with pytest.raises(OutcomeUnknown):
        live.run(live.exchange.place(order(live, leg=Leg.EXIT, side=OrderSide.SELL), unconditional))
    with pytest.raises(Rejected) as raised:
        live.run(
            live.exchange.place(order(live, leg=Leg.EXIT, side=OrderSide.SELL, attempt=2), unconditional)
        )
    assert raised.value.refusal is Refusal.REDUCE_ONLY
    assert live.held() == 0


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500, 503])
def test_i13_no_error_repeats_what_the_venue_quotes_of_the_keys(live: SimulatedVenue, status: int) -> None:
    """`live.run` looks for traces of them in every traceback."""
    live.configure()
    quoted = f"no key {KEYS[0]}, nor secret {SECRETS[0]}"
    for body in (f'{{"code":-2015,"msg":"{quoted}"}}', f'{{"retCode":10005,"retMsg":"{quoted}"}}', quoted):
        live.fault("instead", status=status, body=body, times=2)
        with pytest.raises(ExchangeError) as raised:
            live.run(live.exchange.place(order(live), unconditional))
        assert not scan("the error", f"{raised.value!r} {raised.value.args}")
        live.control("DELETE", "faults")
        live.new_process()
