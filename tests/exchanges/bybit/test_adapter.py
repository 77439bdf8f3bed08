"""The Bybit adapter against a small venue: what it sends, what it concludes, and what it never does."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.ids import ClientOrderId
from core.order import Leg, OrderKind, OrderStatus
from exchanges.bybit.adapter import TOLD_S
from exchanges.errors import (
    AuthFailed,
    Banned,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.wire import unconditional
from tests.exchanges.bybit.account import Account, open_position, order, run, sent
from tests.fakes.bybit import KEY, SECRET, SYMBOL, Fault, lost, refuses, says, truncated
from tests.fakes.loop_clock import START

D = Decimal
CREATE = "/v5/order/create"


def test_a_market_order_reports_what_it_became() -> None:
    account = Account()
    report = run(account.exchange.place(order(), unconditional))
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, D("0.1"))
    (execution,) = report.executions
    assert execution.client_order_id == report.client_order_id == order().client_order_id
    assert (execution.fill.price, execution.fill.commission) == (D(60_000), D(6))
    assert account.fake.paths() == [CREATE, "/v5/order/realtime", "/v5/execution/list"]


def test_i2_the_time_stamp_of_the_intent_is_signed_unchanged() -> None:
    account = Account()
    account.clock.move(2.5)
    run(account.exchange.place(order(), unconditional))
    assert account.fake.signed_at[0] == int(START.timestamp() * 1000)


def test_an_order_without_a_time_stamp_is_not_sent() -> None:
    account = Account()
    with pytest.raises(Rejected):
        run(account.exchange.place(order(sign_ts=None), unconditional))
    assert account.fake.asked == []


def test_what_the_book_does_not_take_expires() -> None:
    account = Account()
    account.fake.fills = D("0.04")
    report = run(account.exchange.place(order(), unconditional))
    assert (report.status, report.filled_quantity) == (OrderStatus.EXPIRED, D("0.04"))
    assert report.reason == "EC_NoImmediateQtyToFill"


def test_an_order_not_yet_listed_is_reported_as_acknowledged() -> None:
    account = Account()
    account.fake.forgotten.add(order().client_order_id)
    report = run(account.exchange.place(order(), unconditional))
    assert (report.status, report.venue_order_id) == (OrderStatus.SUBMITTED, "venue-1")


@pytest.mark.parametrize(
    "fault", [lost(timed_out=True, sent=True), refuses(10016), refuses(10006), says(502, b"<html>")]
)
def test_i3_a_failed_look_up_leaves_the_acknowledged_order_acknowledged(fault: Fault) -> None:
    account = Account()
    account.fake.faults["/v5/order/realtime"] = [fault]
    assert run(account.exchange.place(order(), unconditional)).status is OrderStatus.SUBMITTED
    assert len(sent(account, CREATE)) == 1


STOPS = {"stop_loss_pct": D(1), "take_profit": D("63000.07")}


def test_an_entry_carries_its_protection_on_the_grid() -> None:
    """A stop moves toward the entry, a target never past the wanted price."""
    account = Account()
    run(account.exchange.place(order(reference_price=D("60000.55"), **STOPS), unconditional))
    (entry,) = sent(account, CREATE)
    assert (entry["stopLoss"], entry["takeProfit"]) == ("59400.60", "63000.00")
    assert entry["tpslMode"] == "Full"


def test_i15_an_exit_is_reduce_only_and_carries_no_protection() -> None:
    account = Account()
    open_position(account)
    run(account.exchange.place(order(Leg.EXIT, **STOPS), unconditional))
    (exit_,) = sent(account, CREATE)
    assert exit_["reduceOnly"] is True
    assert "stopLoss" not in exit_
    assert account.fake.size == 0


def test_an_exit_the_venue_cuts_to_the_position_is_filled_with_less() -> None:
    account = Account()
    open_position(account, quantity=D("0.06"))
    report = run(account.exchange.place(order(Leg.EXIT), unconditional))
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, D("0.06"))


def test_filters_that_cannot_be_read_leave_the_order_unsent() -> None:
    account = Account()
    account.fake.faults["/v5/market/instruments-info"] = [lost(timed_out=True, sent=True)]
    with pytest.raises(NotPlaced) as failed:
        run(account.exchange.place(order(**STOPS), unconditional))
    assert failed.value.kind is ErrorKind.TIMEOUT
    assert sent(account, CREATE) == []


@pytest.mark.parametrize(
    ("fault", "error", "kind"),
    [
        (lost(timed_out=False, sent=False), NotPlaced, ErrorKind.CONNECTION),
        (lost(timed_out=True, sent=False), NotPlaced, ErrorKind.CONNECTION),
        (lost(timed_out=True, sent=True), OutcomeUnknown, ErrorKind.TIMEOUT),
        (lost(timed_out=False, sent=True), OutcomeUnknown, ErrorKind.CONNECTION),
        (says(500, b"oops"), OutcomeUnknown, ErrorKind.SERVER),
        (says(502, b"<html>Bad gateway</html>"), OutcomeUnknown, ErrorKind.SERVER),
        (says(408, b""), OutcomeUnknown, ErrorKind.SERVER),
        (says(200, b"<html>"), OutcomeUnknown, ErrorKind.UNPARSABLE),
        (says(200, b""), OutcomeUnknown, ErrorKind.UNPARSABLE),
        (says(200, b'{"retCode":0,"retMsg":"OK"}'), OutcomeUnknown, ErrorKind.UNPARSABLE),
        (says(200, b'{"retCode":0,"result":{"orderId":7}}'), OutcomeUnknown, ErrorKind.UNPARSABLE),
        (refuses(10000), OutcomeUnknown, ErrorKind.SERVER),
        (refuses(10016), OutcomeUnknown, ErrorKind.SERVER),
        (refuses(110072), OutcomeUnknown, ErrorKind.DUPLICATE_ID),
        (refuses(10014), OutcomeUnknown, ErrorKind.DUPLICATE_ID),
        (refuses(429), NotPlaced, ErrorKind.BUSY),
        (says(429, b""), NotPlaced, ErrorKind.BUSY),
        (refuses(10006), RateLimited, ErrorKind.RATE_LIMIT),
        (says(403, b"access too frequent"), Banned, ErrorKind.BANNED),
        (refuses(10002), ClockSkew, ErrorKind.CLOCK),
        (refuses(10003), AuthFailed, ErrorKind.AUTH),
        (says(401, b""), AuthFailed, ErrorKind.AUTH),
        (refuses(110007), Rejected, ErrorKind.REJECTED),
        (refuses(123456), Rejected, ErrorKind.REJECTED),
        (refuses(110043), Rejected, ErrorKind.REJECTED),
        (refuses(123456, status=500), OutcomeUnknown, ErrorKind.SERVER),
        (says(404, b""), Rejected, ErrorKind.REJECTED),
    ],
)
def test_i4_a_failed_placement_concludes_what_the_table_says_and_sends_once(
    fault: Fault, error: type[ExchangeError], kind: ErrorKind
) -> None:
    account = Account()
    account.fake.faults[CREATE] = [fault]
    with pytest.raises(error) as failed:
        run(account.exchange.place(order(), unconditional))
    assert (type(failed.value), failed.value.kind) == (error, kind)
    assert len(sent(account, CREATE)) == 1


@given(st.floats(0, 0.999))
def test_i4_a_truncated_answer_to_a_placement_is_of_unknown_outcome(share: float) -> None:
    account = Account()
    account.fake.faults[CREATE] = [truncated(share)]
    with pytest.raises(OutcomeUnknown):
        run(account.exchange.place(order(), unconditional))
    assert run(account.exchange.find(SYMBOL, order().client_order_id)).status is OrderStatus.FILLED


def test_i4_an_order_whose_answer_was_lost_is_found_by_its_id() -> None:
    account = Account()
    account.fake.faults[CREATE] = [lost(timed_out=True, sent=True, acted=True)]
    with pytest.raises(OutcomeUnknown):
        run(account.exchange.place(order(), unconditional))
    found = run(account.exchange.find(SYMBOL, order().client_order_id))
    assert (found.status, found.filled_quantity) == (OrderStatus.FILLED, D("0.1"))


@pytest.mark.parametrize("alert", [True, False])
def test_an_answer_outside_the_tables_raises_an_alert(alert: bool) -> None:
    account = Account()
    account.fake.faults[CREATE] = [refuses(123456 if alert else 110007)]
    with pytest.raises(Rejected) as failed:
        run(account.exchange.place(order(), unconditional))
    assert failed.value.alert is alert


def test_a_limit_resets_when_the_headers_say() -> None:
    account = Account()
    reset = {"x-bapi-limit-reset-timestamp": str(account.fake.now_ms() + 1500)}
    account.fake.faults[CREATE] = [says(200, b'{"retCode":10006,"retMsg":""}', reset)]
    with pytest.raises(RateLimited) as failed:
        run(account.exchange.place(order(), unconditional))
    assert failed.value.retry_after_s == 1.5


def test_a_ban_lasts_ten_minutes_of_process_time() -> None:
    account = Account(ahead=timedelta(hours=1))
    run(account.exchange.connect())
    account.fake.faults[CREATE] = [says(403, b"access too frequent")]
    with pytest.raises(Banned) as failed:
        run(account.exchange.place(order(), unconditional))
    assert failed.value.until == START + timedelta(minutes=10)


@pytest.mark.parametrize("answers", [True, False])
def test_after_a_clock_error_the_venues_clock_is_read_and_nothing_sent_again(answers: bool) -> None:
    account = Account(ahead=timedelta(seconds=30))
    if not answers:
        account.fake.faults["/v5/market/time"] = [says(502, b"")]
    with pytest.raises(ClockSkew) as failed:
        run(account.exchange.place(order(), unconditional))
    assert (failed.value.resynced, failed.value.counts) == (answers, not answers)
    assert len(sent(account, CREATE)) == 1
    assert account.exchange.venue_now() - START == timedelta(seconds=30 if answers else 0)


def test_the_venues_clock_is_read_as_of_the_middle_of_the_call() -> None:
    account = Account(ahead=timedelta(seconds=-7))

    def slow(fake: Any, request: Any) -> Any:
        account.clock.move(2)
        answer = fake.answer(request)
        account.clock.move(2)
        return answer

    account.fake.faults["/v5/market/time"] = [slow]
    run(account.exchange.connect())
    assert account.exchange.venue_now() - account.clock.now() == timedelta(seconds=-7)


def test_a_read_repairs_the_clock_and_asks_once_more() -> None:
    account = Account(ahead=timedelta(seconds=30))
    assert run(account.exchange.balance()).balance == 1000
    assert account.fake.paths().count("/v5/account/wallet-balance") == 2


def test_a_refused_filter_makes_the_rules_be_read_anew() -> None:
    account = Account()
    for _ in range(2):
        run(account.exchange.rules(SYMBOL))
    account.fake.faults[CREATE] = [refuses(110094)]
    with pytest.raises(Rejected) as failed:
        run(account.exchange.place(order(), unconditional))
    assert failed.value.refusal is Refusal.MIN_NOTIONAL
    run(account.exchange.rules(SYMBOL))
    assert account.fake.paths().count("/v5/market/instruments-info") == 2


def test_a_symbol_the_venue_does_not_trade_is_refused() -> None:
    with pytest.raises(Rejected) as failed:
        run(Account().exchange.rules("NOPEUSDT"))
    assert failed.value.refusal is Refusal.UNKNOWN_SYMBOL


def test_an_order_is_absent_only_when_all_three_lists_know_nothing_of_it() -> None:
    account = Account()
    assert run(account.exchange.find(SYMBOL, order().client_order_id)) is None
    assert account.fake.paths() == ["/v5/order/realtime", "/v5/order/history", "/v5/execution/list"]


def test_an_order_known_by_its_executions_alone_is_found() -> None:
    account = Account()
    account.fake.forgotten.add(order().client_order_id)
    run(account.exchange.place(order(), unconditional))
    found = run(account.exchange.find(SYMBOL, order().client_order_id))
    assert (found.status, found.filled_quantity, found.venue_order_id) == (
        OrderStatus.FILLED,
        D("0.1"),
        "venue-1",
    )


@pytest.mark.parametrize("fault", [None, refuses(110072), says(200, b'{"retCode":0,"result":{}}')])
def test_i4_an_acknowledged_order_is_not_absent_while_look_ups_lag(fault: Fault | None) -> None:
    account = Account()
    account.fake.faults[CREATE] = [] if fault is None else [fault]
    with suppress(OutcomeUnknown):
        run(account.exchange.place(order(), unconditional))
    account.fake.forgotten.add(order().client_order_id)
    account.fake.executions.clear()
    with pytest.raises(Unreachable):
        run(account.exchange.find(SYMBOL, order().client_order_id))
    account.clock.move(TOLD_S)
    assert run(account.exchange.find(SYMBOL, order().client_order_id)) is None


def test_i4_an_order_older_than_the_lists_reach_by_themselves_is_looked_for_in_its_own_weeks() -> None:
    account = Account()
    run(account.exchange.place(order(), unconditional))
    account.fake.forgotten.add(order().client_order_id)
    account.clock.move(10 * 86_400)
    account.fake.asked.clear()
    found = run(account.exchange.find(SYMBOL, order().client_order_id))
    assert found.status is OrderStatus.FILLED
    for path in ("/v5/order/history", "/v5/execution/list"):
        first, *rest = sent(account, path)
        assert int(first["startTime"]) <= START.timestamp() * 1000 <= int(first["endTime"])
        assert len(rest) == 1


@pytest.mark.parametrize("path", ["/v5/order/realtime", "/v5/order/history", "/v5/execution/list"])
@pytest.mark.parametrize(
    "fault",
    [
        lost(timed_out=True, sent=True),
        refuses(110025),
        says(200, b'{"retCode":0,"result":{}}'),
        says(200, b'{"retCode":0,"result":{"list":null}}'),
        says(200, b'{"retCode":0}'),
    ],
)
def test_i4_a_list_that_does_not_answer_is_not_absence(path: str, fault: Fault) -> None:
    account = Account()
    account.fake.faults[path] = [fault]
    with pytest.raises((Unreachable, Rejected)):
        run(account.exchange.find(SYMBOL, order().client_order_id))


LIMIT = {"kind": OrderKind.LIMIT, "price": D(59_000)}


def test_a_resting_order_is_listed_and_cancelled_by_its_id() -> None:
    account = Account()
    resting = run(account.exchange.place(order(**LIMIT), unconditional))
    assert resting.status is OrderStatus.SUBMITTED
    listed = run(account.exchange.open_orders(SYMBOL))
    assert [report.client_order_id for report in listed] == [order().client_order_id]
    ended = run(account.exchange.cancel(SYMBOL, order().client_order_id))
    assert (ended.status, ended.reason) == (OrderStatus.CANCELED, "CancelByUser")
    assert run(account.exchange.open_orders(SYMBOL)) == []


def test_a_cancel_leaves_an_ended_order_as_it_ended_and_knows_none_that_never_was() -> None:
    account = Account()
    open_position(account)
    assert run(account.exchange.cancel(SYMBOL, order().client_order_id)).status is OrderStatus.FILLED
    assert run(account.exchange.cancel(SYMBOL, ClientOrderId("nobody"))) is None


ECHO = json.dumps({"retCode": 10001, "retMsg": f"bad [{KEY}] sign[{'ab' * 32}]"}).encode()


@pytest.mark.parametrize(
    "fault",
    [
        says(200, ECHO),
        says(400, ECHO[:-3]),
        refuses(10004, f"origin_string[1{KEY}5000]"),
        refuses(10010, KEY),
    ],
)
@pytest.mark.parametrize("call", [lambda it: it.place(order(), unconditional), lambda it: it.balance()])
def test_i13_no_error_holds_a_key_or_a_signature_the_venue_echoes(
    fault: Fault, call: Callable[[Any], Any]
) -> None:
    account = Account()
    for path in (CREATE, "/v5/account/wallet-balance"):
        account.fake.faults[path] = [fault]
    with pytest.raises(ExchangeError) as failed:
        run(call(account.exchange))
    error: BaseException | None = failed.value
    while error is not None:
        shown = f"{error} {error!r} {error.args}"
        assert KEY not in shown
        assert SECRET not in shown
        assert "ab" * 32 not in shown
        error = error.__cause__ or error.__context__
