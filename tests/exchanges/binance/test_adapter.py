"""Orders on Binance: sent once as committed, and concluded from no further than the answer allows (invariants §4)."""

from __future__ import annotations

import asyncio
import json
import traceback
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.order import Leg, OrderKind, OrderStatus
from core.position import OrderSide
from exchanges.binance.instruments import Instruments
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
from exchanges.wire import Answer, NoAnswer, Request, unconditional
from tests.canaries import scan
from tests.exchanges.binance.kit import ORDER, SYMBOL, TRADES, Kit, Streaming, later, order
from tests.exchanges.binance.test_codes import answer
from tests.exchanges.conformance.venue import START
from tests.fakes.binance import KEY, SECRET

SENT_LOST = NoAnswer("read timed out", timed_out=True, sent=True)
RESET = NoAnswer("connection reset", timed_out=False, sent=True)
REFUSED = NoAnswer("connection refused", timed_out=False, sent=False)
NEVER_LEFT = NoAnswer("connect timed out", timed_out=True, sent=False)


@pytest.fixture
def kit() -> Kit:
    return Kit()


def test_i2_the_order_leaves_as_it_was_committed(kit: Kit) -> None:
    """I2: `sign_ts` and client id unchanged, however late it leaves."""
    sent = order(kit.clock.at)
    later(kit, 3)
    kit.run(kit.exchange.place(sent, unconditional))
    (params,) = kit.venue.asked("POST", ORDER)
    assert params == {
        "symbol": SYMBOL,
        "side": "BUY",
        "type": "MARKET",
        "quantity": "0.1",
        "newClientOrderId": sent.client_order_id,
        "newOrderRespType": "RESULT",
        "recvWindow": "5000",
        "timestamp": str(int(START.timestamp() * 1000)),
    }


def test_a_market_order_reports_its_executions(kit: Kit) -> None:
    report = kit.place()
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.1"))
    (told,) = report.executions
    assert (told.client_order_id, told.venue_leg) == (report.client_order_id, None)
    assert (told.fill.price, told.fill.commission) == (Decimal(1000), Decimal("0.0005"))
    assert told.fill.executed_at == START


def test_while_news_streams_executions_are_left_to_it_except_of_an_order_that_ended_early(kit: Kit) -> None:
    kit.exchange._stream._stream = Streaming()
    assert kit.place().executions == ()
    kit.venue.fills_up_to = Decimal("0.04")
    report = kit.place(attempt=2)
    assert (report.status, report.filled_quantity) == (OrderStatus.EXPIRED, Decimal("0.04"))
    assert sum(e.fill.quantity for e in report.executions) == report.filled_quantity


def test_an_exit_cut_to_what_there_was_to_reduce_reports_its_executions(kit: Kit) -> None:
    kit.place()
    kit.exchange._stream._stream = Streaming()
    report = kit.place(leg=Leg.EXIT, side=OrderSide.SELL, quantity=Decimal("0.3"))
    assert (report.status, report.filled_quantity) == (OrderStatus.FILLED, Decimal("0.1"))
    assert sum(e.fill.quantity for e in report.executions) == Decimal("0.1")


def test_trades_the_venue_lists_late_are_looked_for_again(kit: Kit) -> None:
    kit.venue.fail("GET", TRADES, Answer(status=200, headers={}, body=b"[]"))
    report = kit.place()
    assert len(report.executions) == 1
    assert kit.asked("GET", TRADES) == 2


@pytest.mark.parametrize("failure", [SENT_LOST, answer(502, "<html>"), answer(200, '[{"id":1')])
def test_an_order_that_stands_is_no_error_because_its_trades_cannot_be_read(
    kit: Kit, failure: Answer | NoAnswer
) -> None:
    kit.venue.fail("GET", TRADES, failure)
    report = kit.place()
    assert (report.status, report.executions) == (OrderStatus.FILLED, ())


@pytest.mark.parametrize(
    ("failure", "error", "kind"),
    [
        (SENT_LOST, OutcomeUnknown, ErrorKind.TIMEOUT),
        (RESET, OutcomeUnknown, ErrorKind.CONNECTION),
        (REFUSED, NotPlaced, ErrorKind.CONNECTION),
        (NEVER_LEFT, NotPlaced, ErrorKind.CONNECTION),
        (answer(200, "<html>"), OutcomeUnknown, ErrorKind.UNPARSABLE),
        (
            answer(200, {"code": -2019, "msg": "Margin is insufficient."}),
            OutcomeUnknown,
            ErrorKind.UNPARSABLE,
        ),
        (answer(408, ""), OutcomeUnknown, ErrorKind.SERVER),
        (answer(502, "bad gateway"), OutcomeUnknown, ErrorKind.SERVER),
        (
            answer(503, "Unknown error, please check your request or try again later."),
            OutcomeUnknown,
            ErrorKind.SERVER,
        ),
        (answer(400, {"code": -1006, "msg": "Execution status unknown."}), OutcomeUnknown, ErrorKind.SERVER),
        (answer(400, {"code": -1007, "msg": "Timeout"}), OutcomeUnknown, ErrorKind.SERVER),
        (answer(400, {"code": -4116, "msg": "duplicated"}), OutcomeUnknown, ErrorKind.DUPLICATE_ID),
        (answer(503, "Service Unavailable."), NotPlaced, ErrorKind.BUSY),
        (answer(503, {"code": -1008, "msg": "overloaded"}), NotPlaced, ErrorKind.BUSY),
        (answer(429, {"code": -1003, "msg": "Too many requests"}), RateLimited, ErrorKind.RATE_LIMIT),
        (answer(418, {"code": -1003, "msg": "banned until 1793577600000"}), Banned, ErrorKind.BANNED),
        (answer(403, "<html>"), Banned, ErrorKind.BANNED),
        (answer(401, {"code": -2015, "msg": "Invalid API-key"}), AuthFailed, ErrorKind.AUTH),
        (answer(400, {"code": -2019, "msg": "Margin is insufficient."}), Rejected, ErrorKind.REJECTED),
        (answer(400, {"code": -9999, "msg": "never heard of"}), Rejected, ErrorKind.REJECTED),
    ],
)
def test_i4_each_end_of_a_placement_leads_to_its_conclusion(
    kit: Kit, failure: Answer | NoAnswer, error: type[ExchangeError], kind: ErrorKind
) -> None:
    """I4."""
    kit.venue.fail("POST", ORDER, failure)
    with pytest.raises(ExchangeError) as raised:
        kit.place()
    assert type(raised.value) is error
    assert raised.value.kind is kind
    assert kit.asked("POST", ORDER) == 1


@given(cut=st.integers(1, 400))
def test_i4_a_truncated_answer_to_a_placement_is_of_unknown_outcome(cut: int) -> None:
    """I4."""
    kit = Kit()
    body = json.dumps(kit.venue._order({"side": "BUY", "type": "MARKET", "quantity": "0.1"}, "x")).encode()
    kit.venue.fail("POST", ORDER, Answer(status=200, headers={}, body=body[: max(0, len(body) - cut)]))
    with pytest.raises(OutcomeUnknown) as raised:
        kit.place()
    assert raised.value.kind is ErrorKind.UNPARSABLE


def test_an_answer_with_another_orders_id_or_impossible_numbers_is_of_unknown_outcome(kit: Kit) -> None:
    row = {
        "symbol": SYMBOL,
        "orderId": 1,
        "clientOrderId": "other",
        "status": "NEW",
        "side": "BUY",
        "type": "MARKET",
    }
    for fields in ({"origQty": "0.1", "executedQty": "0"}, {"origQty": "0.1", "executedQty": "0.2"}):
        kit.venue.fail("POST", ORDER, answer(200, {**row, **fields}))
        with pytest.raises(OutcomeUnknown) as raised:
            kit.place(attempt=len(kit.venue.requests) + 1)
        assert raised.value.kind is ErrorKind.UNPARSABLE


def test_i3_an_order_whose_answer_was_lost_is_found_and_not_sent_again(kit: Kit) -> None:
    """I3: the venue would fill the same id a second time once the first is filled."""
    sent = order(kit.clock.at)
    kit.venue.fail("POST", ORDER, SENT_LOST, after_acting=True)
    with pytest.raises(OutcomeUnknown):
        kit.run(kit.exchange.place(sent, unconditional))
    found = kit.run(kit.exchange.find(SYMBOL, sent.client_order_id))
    assert found is not None
    assert (found.status, len(found.executions)) == (OrderStatus.FILLED, 1)
    assert kit.run(kit.exchange.place(sent, unconditional)) == found
    assert kit.asked("POST", ORDER) == 1


def test_i3_what_was_refused_before_a_byte_left_may_be_sent_under_its_id(kit: Kit) -> None:
    sent = order(kit.clock.at)
    kit.venue.fail("POST", ORDER, REFUSED)
    with pytest.raises(NotPlaced):
        kit.run(kit.exchange.place(sent, unconditional))
    assert kit.run(kit.exchange.place(sent, unconditional)).status is OrderStatus.FILLED


def test_i3_an_order_sent_and_not_to_be_seen_stays_unknown(kit: Kit) -> None:
    sent = order(kit.clock.at)
    kit.venue.fail("POST", ORDER, SENT_LOST)
    with pytest.raises(OutcomeUnknown):
        kit.run(kit.exchange.place(sent, unconditional))
    with pytest.raises(OutcomeUnknown) as raised:
        kit.run(kit.exchange.place(sent, unconditional))
    assert raised.value.kind is ErrorKind.DUPLICATE_ID
    assert kit.asked("POST", ORDER) == 1


def test_a_refused_time_stamp_reads_the_clock_and_leaves_the_new_attempt_to_the_caller(kit: Kit) -> None:
    kit.venue.skew_ms = 60_000
    with pytest.raises(ClockSkew) as raised:
        kit.place()
    assert raised.value.resynced
    assert not raised.value.counts
    assert kit.asked("POST", ORDER) == 1
    assert kit.exchange.venue_now() == kit.clock.at + timedelta(seconds=60)
    again = order(kit.exchange.venue_now(), attempt=2)
    assert kit.run(kit.exchange.place(again, unconditional)).status is OrderStatus.FILLED


def test_a_time_stamp_refused_while_the_clock_cannot_be_read_counts(kit: Kit) -> None:
    kit.run(kit.exchange.connect())
    kit.venue.skew_ms = 60_000
    kit.venue.fail("GET", "/fapi/v1/time", answer(502, ""))
    with pytest.raises(ClockSkew) as raised:
        kit.place()
    assert raised.value.counts


def test_a_read_with_a_refused_time_stamp_is_repeated_once(kit: Kit) -> None:
    kit.venue.skew_ms = 60_000
    assert kit.run(kit.exchange.balance()).balance == Decimal("9000.5")
    assert kit.asked("GET", "/fapi/v3/balance") == 2
    skewed = answer(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."})
    for _ in range(2):
        kit.venue.fail("GET", "/fapi/v3/balance", skewed)
    with pytest.raises(ClockSkew) as raised:
        kit.run(kit.exchange.balance())
    assert raised.value.alert


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (SENT_LOST, ErrorKind.TIMEOUT),
        (REFUSED, ErrorKind.CONNECTION),
        (answer(502, ""), ErrorKind.SERVER),
        (answer(503, "Service Unavailable."), ErrorKind.BUSY),
        (answer(200, "<html>"), ErrorKind.UNPARSABLE),
    ],
)
def test_a_read_without_an_answer_says_nothing_about_the_state(
    kit: Kit, failure: Answer | NoAnswer, kind: ErrorKind
) -> None:
    sent = order(kit.clock.at)
    kit.venue.fail("GET", ORDER, failure)
    with pytest.raises(Unreachable) as raised:
        kit.run(kit.exchange.find(SYMBOL, sent.client_order_id))
    assert raised.value.kind is kind


def test_absence_is_said_only_where_no_trade_speaks_against_it(kit: Kit) -> None:
    sent = order(kit.clock.at)
    assert kit.run(kit.exchange.find(SYMBOL, sent.client_order_id)) is None
    assert kit.asked("GET", TRADES) == 1
    kit.run(kit.exchange.place(sent, unconditional))
    gone = answer(400, {"code": -2013, "msg": "Order does not exist."})
    kit.venue.fail("GET", ORDER, gone)
    found = kit.run(kit.exchange.find(SYMBOL, sent.client_order_id))
    assert found is not None
    assert (found.status, found.filled_quantity, len(found.executions)) == (
        OrderStatus.FILLED,
        Decimal("0.1"),
        1,
    )


def test_an_order_the_venue_has_told_of_is_not_absent_because_it_is_not_listed(kit: Kit) -> None:
    sent = order(kit.clock.at)
    kit.run(kit.exchange.place(sent, unconditional))
    gone = answer(400, {"code": -2013, "msg": "Order does not exist."})
    for _ in range(2):
        kit.venue.fail("GET", ORDER, gone)
    with pytest.raises(Unreachable):
        kit.run(kit.exchange.find(SYMBOL, sent.client_order_id))


def test_a_limit_order_rests_is_listed_and_canceled_once(kit: Kit) -> None:
    sent = order(kit.clock.at, kind=OrderKind.LIMIT, price=Decimal(900))
    assert kit.run(kit.exchange.place(sent, unconditional)).status is OrderStatus.SUBMITTED
    (resting,) = kit.run(kit.exchange.open_orders(SYMBOL))
    assert resting.client_order_id == sent.client_order_id
    kit.venue.trade(int(resting.venue_order_id), Decimal("0.04"), Decimal(900))
    (partly,) = kit.run(kit.exchange.open_orders(SYMBOL))
    assert (partly.status, len(partly.executions)) == (OrderStatus.PARTIAL, 1)
    canceled = kit.run(kit.exchange.cancel(SYMBOL, sent.client_order_id))
    assert canceled is not None
    assert (canceled.status, canceled.filled_quantity) == (OrderStatus.CANCELED, Decimal("0.04"))
    assert kit.run(kit.exchange.cancel(SYMBOL, sent.client_order_id)) == canceled
    assert kit.run(kit.exchange.cancel(SYMBOL, order(kit.clock.at, attempt=9).client_order_id)) is None


def test_a_cancel_without_an_answer_is_of_unknown_outcome(kit: Kit) -> None:
    kit.venue.fail("DELETE", ORDER, SENT_LOST)
    with pytest.raises(OutcomeUnknown):
        kit.run(kit.exchange.cancel(SYMBOL, order(kit.clock.at).client_order_id))


@pytest.mark.parametrize(
    ("changes", "refusal", "sent"),
    [
        ({"quantity": Decimal(0)}, Refusal.MIN_QUANTITY, 0),
        ({"quantity": Decimal("NaN")}, Refusal.MIN_QUANTITY, 0),
        ({"kind": OrderKind.LIMIT}, Refusal.PRICE, 0),
        ({"price": Decimal(9)}, Refusal.PRICE, 0),
        ({"sign_ts": None}, Refusal.MALFORMED, 0),
        ({"quantity": Decimal("0.0001")}, Refusal.STEP_SIZE, 1),
        ({"symbol": "NONEUSDT"}, Refusal.UNKNOWN_SYMBOL, 1),
        ({"leg": Leg.EXIT, "side": OrderSide.SELL}, Refusal.REDUCE_ONLY, 1),
    ],
)
def test_a_refusal_names_its_rule(kit: Kit, changes: dict[str, object], refusal: Refusal, sent: int) -> None:
    with pytest.raises(Rejected) as raised:
        kit.place(**changes)
    assert raised.value.refusal is refusal
    assert kit.asked("POST", ORDER) == sent


def test_filters_are_kept_and_read_anew_after_one_refused_an_order(kit: Kit) -> None:
    info = ("GET", "/fapi/v1/exchangeInfo")
    for _ in range(3):
        assert kit.run(kit.exchange.rules(SYMBOL)).tick_size == Decimal("0.1")
    assert kit.asked(*info) == 1
    with pytest.raises(Rejected):
        kit.place(quantity=Decimal("0.0001"))
    kit.venue.fail(*info, answer(502, ""))
    assert kit.run(kit.exchange.rules(SYMBOL)).tick_size == Decimal("0.1")
    kit.run(kit.exchange.rules(SYMBOL))
    assert kit.asked(*info) == 3
    with pytest.raises(Rejected) as raised:
        kit.run(kit.exchange.rules("NONEUSDT"))
    assert raised.value.refusal is Refusal.UNKNOWN_SYMBOL


def test_accounts_that_begin_together_read_one_list_of_filters() -> None:
    kits = [Kit() for _ in range(3)]
    shared = Instruments(kits[0].clock)
    answers: list[Decimal] = []

    async def all_at_once() -> None:
        for one in kits:
            one.exchange._instruments = shared
            one.exchange._line._send = slow
        rules = await asyncio.gather(*(one.exchange.rules(SYMBOL) for one in kits))
        answers.extend(one.tick_size for one in rules)

    async def slow(request: Request, *, timeout_s: float) -> Answer:
        await asyncio.sleep(0)
        return await kits[0].venue(request, timeout_s=timeout_s)

    asyncio.run(all_at_once())
    assert answers == [Decimal("0.1")] * 3
    assert kits[0].asked("GET", "/fapi/v1/exchangeInfo") == 1


def test_in_hedge_mode_an_order_names_the_position_it_works_on(kit: Kit) -> None:
    kit.venue.hedge = True
    kit.run(kit.exchange.connect())
    kit.place()
    kit.place(leg=Leg.EXIT, side=OrderSide.SELL)
    assert [p.get("positionSide") for p in kit.venue.asked("POST", ORDER)] == ["LONG", "LONG"]
    assert all("reduceOnly" not in p for p in kit.venue.asked("POST", ORDER))


def test_a_mode_that_somebody_changed_is_read_again_after_the_refusal(kit: Kit) -> None:
    kit.run(kit.exchange.connect())
    kit.venue.hedge = True
    with pytest.raises(Rejected) as raised:
        kit.place()
    assert raised.value.refusal is Refusal.MODE
    assert kit.place(attempt=2).status is OrderStatus.FILLED


def test_i18_keys_that_cannot_be_opened_send_nothing(kit: Kit) -> None:
    """I18."""
    kit.run(kit.exchange.connect())

    def sealed() -> None:
        raise NoAnswer("the vault is shut", timed_out=False, sent=False)

    kit.exchange._line._unseal = sealed  # type: ignore[assignment]
    with pytest.raises(AuthFailed):
        kit.place()
    assert kit.asked("POST", ORDER) == 0


def test_i13_keys_are_opened_for_each_signed_request(kit: Kit) -> None:
    """I13."""
    kit.place()
    assert kit.unsealed == sum("timestamp" in params for _, _, params in kit.venue.requests)


@pytest.mark.parametrize(
    "failure",
    [
        answer(400, {"code": -1022, "msg": f"Signature of {SECRET} is not valid."}),
        answer(401, {"code": -2015, "msg": f"Invalid API-key {KEY}, IP, or permissions for action."}),
        answer(502, f"<html>POST /fapi/v1/order?apiKey={KEY}</html>"),
        answer(403, f"<html>{KEY}</html>"),
        answer(200, f'{{"clientOrderId": "{SECRET}"}}'),
        SENT_LOST,
        REFUSED,
    ],
)
def test_i13_no_error_shows_a_key_even_where_the_venue_repeats_it(
    kit: Kit, failure: Answer | NoAnswer
) -> None:
    """I13."""
    kit.venue.fail("POST", ORDER, failure)
    with pytest.raises(ExchangeError) as raised:
        kit.place()
    shown = [str(raised.value), repr(raised.value), *traceback.format_exception(raised.value)]
    assert scan("error", "".join(shown)) == []
    assert raised.value.__cause__ is None
