"""The private stream: on a real WebSocket, and its messages in the promised order."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.order import Leg, OrderStatus
from core.timeframe import to_ms
from exchanges.base import Execution, FundingPaid, Listener, News, OrderNews, StreamGap
from exchanges.bybit.private import MAX_ORDERS, SUBSCRIBE, Teller, heard
from exchanges.errors import Unreachable
from tests.exchanges.bybit.account import Account, order
from tests.exchanges.kept_stream import case
from tests.exchanges.stream_venue import StreamVenue, streaming
from tests.fakes.bybit import KEY, SECRET, SYMBOL
from tests.fakes.loop_clock import START, until

D = Decimal
START_MS = to_ms(START)
ID = order().client_order_id


def order_row(**changes: Any) -> dict[str, Any]:
    row = {
        "category": "linear",
        "symbol": SYMBOL,
        "orderId": "v1",
        "orderLinkId": ID,
        "side": "Buy",
        "qty": "0.1",
    }
    row |= {"orderStatus": "Filled", "cumExecQty": "0.1", "createdTime": str(START_MS)}
    return row | changes


def execution_row(**changes: Any) -> dict[str, Any]:
    row = {"category": "linear", "symbol": SYMBOL, "orderId": "v1", "orderLinkId": ID, "side": "Buy"}
    row |= {"execId": "x1", "execPrice": "60000", "execQty": "0.1", "execType": "Trade", "execFee": "6"}
    return row | {"execTime": str(START_MS)} | changes


def message(topic: str, *rows: dict[str, Any]) -> str:
    return json.dumps({"topic": topic, "creationTime": START_MS, "data": rows})


def told(teller: Teller, topic: str, *rows: dict[str, Any]) -> list[News]:
    return teller.tell(heard(message(topic, *rows).encode(), {}))


def kinds(news: list[News]) -> list[type]:
    return [type(one) for one in news]


def opened() -> Teller:
    teller = Teller()
    teller.opened(START)
    return teller


def test_an_orders_news_waits_for_the_executions_it_counts() -> None:
    teller = opened()
    assert told(teller, "order.linear", order_row()) == []
    assert kinds(told(teller, "execution.linear", execution_row(execQty="0.04"))) == [Execution]
    rest = execution_row(execQty="0.06", execId="x2")
    assert kinds(told(teller, "execution.linear", rest)) == [Execution, OrderNews]


def test_an_execution_told_twice_counts_once() -> None:
    teller = opened()
    told(teller, "order.linear", order_row())
    half = execution_row(execQty="0.05")
    assert kinds(told(teller, "execution.linear", half, half)) == [Execution, Execution]


def test_news_of_an_order_with_its_executions_told_comes_at_once() -> None:
    teller = opened()
    told(teller, "execution.linear", execution_row())
    (news,) = told(teller, "order.linear", order_row())
    assert news == OrderNews(
        symbol=SYMBOL, client_order_id=ID, venue_order_id="v1", status=OrderStatus.FILLED, reason=None
    )


def test_an_order_from_before_the_stream_is_a_gap_since_its_creation() -> None:
    teller = Teller()
    teller.opened(START + timedelta(seconds=1))
    assert told(teller, "order.linear", order_row()) == [StreamGap(since=START)]


def test_what_waits_is_bounded_and_what_is_dropped_is_a_gap() -> None:
    teller = opened()
    rows = [order_row(orderId=f"v{number}") for number in range(MAX_ORDERS + 1)]
    assert told(teller, "order.linear", *rows) == [StreamGap(since=START)]


def test_others_orders_are_no_news_but_their_executions_are() -> None:
    teller = opened()
    assert told(teller, "order.linear", order_row(orderLinkId="somebody")) == []
    (execution,) = told(teller, "execution.linear", execution_row(orderLinkId="", stopOrderType="StopLoss"))
    assert isinstance(execution, Execution)
    assert execution.venue_leg is Leg.STOP_LOSS


def test_funding_is_news_of_its_own() -> None:
    (paid,) = told(opened(), "execution.linear", execution_row(execType="Funding", execFee="0.5"))
    assert paid == FundingPaid(symbol=SYMBOL, funding_id="x1", amount=D("-0.5"), at=START)


def test_a_commission_without_a_price_is_a_gap() -> None:
    """REST asks for the price, and tells the execution then."""
    body = message("execution.linear", execution_row(feeCurrency="MNT")).encode()
    assert Teller().tell(heard(body, {})) == [StreamGap(since=START)]
    (execution,) = Teller().tell(heard(body, {"MNT": D(2)}))
    assert isinstance(execution, Execution)
    assert execution.fill.commission == 12


@given(st.permutations(["o1", "o2", "x1", "x2", "x3"]))
def test_however_the_topics_race_executions_are_told_before_the_order_that_counts_them(
    arrivals: list[str],
) -> None:
    """An order that fills in three parts, with news after the first and after the last of them."""
    messages = {
        "o1": ("order.linear", order_row(orderStatus="PartiallyFilled", cumExecQty="0.02")),
        "o2": ("order.linear", order_row()),
        "x1": ("execution.linear", execution_row(execQty="0.02", execId="x1")),
        "x2": ("execution.linear", execution_row(execQty="0.03", execId="x2")),
        "x3": ("execution.linear", execution_row(execQty="0.05", execId="x3")),
    }
    teller, filled, statuses = opened(), D(0), []
    for arrival in arrivals:
        topic, row = messages[arrival]
        for news in told(teller, topic, row):
            if isinstance(news, Execution):
                filled += news.fill.quantity
            elif isinstance(news, OrderNews):
                statuses.append(news.status)
                assert filled >= (D("0.1") if news.status is OrderStatus.FILLED else D("0.02"))
    assert filled == D("0.1")
    assert OrderStatus.FILLED in statuses


@asynccontextmanager
async def followed(
    *, refuse: bool = False, on_news: Listener | None = None
) -> AsyncIterator[tuple[Account, StreamVenue]]:
    async with streaming() as venue:
        account = Account(stream_url=venue.url, on_news=on_news)
        venue.answers = Answers(account, refuse=refuse)
        following = asyncio.create_task(account.exchange.follow())
        try:
            yield account, venue
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


class Answers(dict[str, list[str]]):
    """The venue's answers to a login, whose signature is checked, and to a subscription."""

    def __init__(self, account: Account, *, refuse: bool) -> None:
        super().__init__()
        self._account = account
        self._refuse = refuse

    def get(self, text: str, default: Any = None) -> Any:
        asked = json.loads(text)
        if asked["op"] == "auth":
            key, expires, signature = asked["args"]
            expected = hmac.new(SECRET.encode(), f"GET/realtime{expires}".encode(), "sha256").hexdigest()
            good = (key, signature) == (KEY, expected) and expires > self._account.fake.now_ms()
            good = good and not self._refuse
            return [
                json.dumps({"op": "auth", "success": good, "retCode": 0 if good else 10003, "retMsg": ""})
            ]
        return [json.dumps({"op": asked["op"], "success": True, "ret_msg": "", "conn_id": "c"})]


@case
async def test_it_logs_in_subscribes_tells_a_gap_and_then_news() -> None:
    async with followed() as (account, venue):
        await until(lambda: account.exchange.is_streaming, what="a stream")
        assert account.news == [StreamGap(since=None)]
        assert venue.texts(0)[1:] == [SUBSCRIBE]
        await venue.tell(message("execution.linear", execution_row()))
        await venue.tell(message("order.linear", order_row()))
        await until(lambda: len(account.news) == 3, what="an execution and its order")
        assert kinds(account.news[1:]) == [Execution, OrderNews]
    assert not account.exchange.is_streaming


@case
async def test_i4_an_order_the_stream_has_told_of_is_not_absent_while_look_ups_lag() -> None:
    """I4."""
    async with followed() as (account, venue):
        assert await account.exchange.find(SYMBOL, ID) is None
        await until(lambda: account.exchange.is_streaming, what="a stream")
        await venue.tell(message("order.linear", order_row(orderStatus="New", cumExecQty="0")))
        await until(lambda: len(account.news) == 2, what="an order")
        with pytest.raises(Unreachable):
            await account.exchange.find(SYMBOL, ID)


@case
async def test_after_a_lost_connection_a_gap_is_told_since_the_last_sign_of_life() -> None:
    async with followed() as (account, venue):
        await until(lambda: account.exchange.is_streaming, what="a stream")
        account.clock.move(300.0)
        venue.connections[0].transport.abort()
        await until(lambda: len(account.news) == 2, what="a second gap")
        assert account.news == [StreamGap(since=None), StreamGap(since=START)]


@case
async def test_a_message_that_cannot_be_used_is_a_gap_and_the_stream_goes_on() -> None:
    async with followed() as (account, venue):
        await until(lambda: account.exchange.is_streaming, what="a stream")
        for text in ("{", message("execution.linear", execution_row(execQty="-1")), '{"success":false}'):
            await venue.tell(text)
        await venue.tell(message("execution.linear", execution_row()))
        await until(lambda: len(account.news) == 5, what="three gaps and an execution")
        assert kinds(account.news[1:]) == [StreamGap] * 3 + [Execution]


@case
async def test_a_refused_login_is_tried_again_and_never_streams() -> None:
    async with followed(refuse=True) as (account, venue):
        await until(lambda: len(venue.connections) >= 1 and not venue.standing, what="a refused login")
        assert not account.exchange.is_streaming
        assert account.news == []


@case
async def test_it_pings_in_the_venues_words() -> None:
    async with followed() as (account, venue):
        await until(lambda: account.exchange.is_streaming, what="a stream")
        await account.clock.pass_sleep(10.0)
        await until(lambda: '{"op":"ping"}' in venue.texts(0), what="a ping")


@case
async def test_a_listener_that_fails_does_not_end_the_following() -> None:
    failing = [RuntimeError("a fault of ours")]
    heard_since: list[News] = []

    def listen(news: News) -> None:
        if failing:
            raise failing.pop()
        heard_since.append(news)

    async with followed(on_news=listen) as (account, _):
        await account.clock.pass_sleep(5.0)
        await until(lambda: account.exchange.is_streaming, what="a second stream")
        assert heard_since == [StreamGap(since=None)]
