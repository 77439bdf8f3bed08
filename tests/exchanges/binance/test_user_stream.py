"""The account's news: in order, converted, without a silent gap, and coming again whatever ends the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.ids import protection_id
from core.order import Leg, OrderStatus
from core.redact import Secret
from exchanges.base import Execution, FundingPaid, MarginMode, News, OrderNews, PositionMode, StreamGap
from exchanges.binance.adapter import BinanceExchange
from exchanges.binance.user_stream import KEEP_AGAIN_S, KEEP_EVERY_S, MAX_WAITING, OVERLAP, RESTART_S
from exchanges.credentials import Credentials
from exchanges.errors import Unreachable
from tests.exchanges.binance.kit import SYMBOL, order
from tests.exchanges.binance.test_codes import answer
from tests.exchanges.binance.test_private import changed
from tests.fakes.binance import KEY, SECRET, FakeBinance
from tests.fakes.loop_clock import START, LoopClock, until

OURS = order(START).client_order_id


class HandStream:
    """A stream the test speaks through."""

    def __init__(self, **given: Any) -> None:
        self.name: str = given["name"]
        self.url: Callable[[], Awaitable[str]] = given["url"]
        self.say: Callable[[bytes], None] = given["on_message"]
        self.opened: Callable[[Any], None] = given["on_open"]
        self.is_open = False
        self.drops = 0
        self.ended = asyncio.Event()

    async def run(self) -> None:
        await self.url()
        self.is_open = True
        self.opened(None)
        await self.ended.wait()
        raise ValueError("a fault of ours")

    def drop(self) -> None:
        self.drops += 1


class Room:
    def __init__(self) -> None:
        self.clock = LoopClock()
        self.venue = FakeBinance(self.clock)
        self.news: list[News] = []
        self.streams: list[HandStream] = []
        keys = Credentials(key=Secret(KEY), secret=Secret(SECRET))
        self.exchange = BinanceExchange(
            send=self.venue,
            unseal=lambda: keys,
            clock=self.clock,
            sleep=self.clock.sleep,
            on_news=self.news.append,
            make_stream=self.make_stream,
            ws_url="wss://example.test/",
        )

    def make_stream(self, **given: Any) -> HandStream:
        self.streams.append(HandStream(**given))
        return self.streams[-1]

    @property
    def stream(self) -> HandStream:
        return self.streams[-1]

    async def told(self, count: int) -> list[News]:
        await until(lambda: len(self.news) >= count, what=f"{count} news, not {self.news}")
        return self.news


def followed(scene: Callable[[Room], Awaitable[None]]) -> None:
    """Runs `scene` while the account is followed."""

    async def run() -> None:
        room = Room()
        following = asyncio.ensure_future(room.exchange.follow())
        try:
            await until(lambda: room.exchange.is_streaming, what="the stream")
            await room.told(1)
            await scene(room)
            assert not following.done()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        assert following.cancelled()
        assert not room.exchange.is_streaming

    asyncio.run(run())


def test_the_stream_is_the_private_one_of_a_listen_key_and_begins_with_a_gap() -> None:
    async def scene(room: Room) -> None:
        url = await room.stream.url()
        assert url == (
            "wss://example.test/private/ws?listenKey=listen-key-1"
            "&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/ALGO_UPDATE"
        )
        assert room.news == [StreamGap(since=None)]
        room.stream.opened(START)
        assert (await room.told(2))[1] == StreamGap(since=START - OVERLAP)

    followed(scene)


def test_a_gap_is_told_in_venue_time() -> None:
    async def scene(room: Room) -> None:
        room.venue.skew_ms = 30_000
        await room.exchange.connect()
        room.stream.opened(START)
        assert (await room.told(2))[1] == StreamGap(since=START + timedelta(seconds=30) - OVERLAP)

    followed(scene)


def test_executions_are_told_before_their_orders_end_though_a_price_must_be_asked_for_first() -> None:
    async def scene(room: Room) -> None:
        room.stream.say(changed("order_update_trade", c=OURS, N="BNB", n="0.0001", X="FILLED"))
        room.stream.say(changed("order_update_new", c=OURS, X="CANCELED"))
        _, execution, filled, canceled = await room.told(4)
        assert isinstance(execution, Execution)
        assert (execution.client_order_id, execution.fill.commission) == (OURS, Decimal("0.06"))
        assert isinstance(filled, OrderNews)
        assert isinstance(canceled, OrderNews)
        assert (filled.status, canceled.status) == (OrderStatus.FILLED, OrderStatus.CANCELED)

    followed(scene)


def test_a_stop_that_fires_is_told_as_a_stop_by_its_own_id_and_by_the_order_it_became() -> None:
    stop = protection_id("stop_loss", START, 1)

    async def scene(room: Room) -> None:
        room.stream.say(changed("algo_update_triggered", s=SYMBOL, caid=stop, ai="777"))
        room.stream.say(changed("order_update_trade", c="venue-made", i=777, t=1))
        room.stream.say(changed("order_update_trade", c=stop, i=778, t=2))
        room.stream.say(changed("order_update_trade", c="web_1", i=779, t=3))
        told = [one.venue_leg for one in (await room.told(4))[1:] if isinstance(one, Execution)]
        assert told == [Leg.STOP_LOSS, Leg.STOP_LOSS, Leg.MANUAL]

    followed(scene)


def test_funding_is_told_from_the_books_which_alone_name_its_id() -> None:
    async def scene(room: Room) -> None:
        at = room.venue.now_ms()
        room.venue.income = [
            {
                "symbol": SYMBOL,
                "incomeType": "FUNDING_FEE",
                "income": "-0.5",
                "asset": "USDT",
                "time": at,
                "tranId": 9,
            }
        ]
        room.stream.say(
            json.dumps({"e": "ACCOUNT_UPDATE", "T": at, "E": at, "a": {"m": "FUNDING_FEE"}}).encode()
        )
        told = (await room.told(2))[1]
        assert isinstance(told, FundingPaid)
        assert (told.symbol, told.amount, told.funding_id) == (SYMBOL, Decimal("-0.5"), "f9")

    followed(scene)


@pytest.mark.parametrize(
    "message",
    [
        b"<html>",
        changed("order_update_trade", L="NaN"),
        changed("order_update_trade", X="STRANGE", c=OURS, x="NEW"),
        changed("order_update_calculated", t=0),
        changed("order_update_trade", N="NOBODYS", n="1"),
    ],
)
def test_what_cannot_be_told_is_a_gap_and_what_comes_after_it_is_told(message: bytes) -> None:
    async def scene(room: Room) -> None:
        room.stream.say(message)
        room.stream.say(changed("order_update_new", c=OURS))
        gap, news = (await room.told(3))[1:]
        assert isinstance(gap, StreamGap)
        assert gap.since is not None
        assert isinstance(news, OrderNews)

    followed(scene)


def test_messages_nobody_took_up_are_bounded_and_end_in_a_gap() -> None:
    async def scene(room: Room) -> None:
        for trade_id in range(1, MAX_WAITING + 2):
            room.stream.say(changed("order_update_trade", t=trade_id) if trade_id == 1 else b"{}")
        assert (await room.told(2))[1] == StreamGap(since=None)

    followed(scene)


def test_the_listen_key_is_renewed_every_half_hour_and_sooner_after_a_failure() -> None:
    async def scene(room: Room) -> None:
        await room.clock.pass_sleep(KEEP_EVERY_S)
        await until(lambda: room.venue.asked("PUT", "/fapi/v1/listenKey"), what="the renewal")
        room.venue.fail("PUT", "/fapi/v1/listenKey", answer(502, ""))
        await room.clock.pass_sleep(KEEP_EVERY_S)
        await room.clock.pass_sleep(KEEP_AGAIN_S)
        await room.clock.asleep(KEEP_EVERY_S)
        assert len(room.venue.asked("PUT", "/fapi/v1/listenKey")) == 3
        assert room.stream.drops == 0

    followed(scene)


def test_a_listen_key_that_is_gone_begins_the_stream_anew() -> None:
    async def scene(room: Room) -> None:
        gone = answer(400, {"code": -1125, "msg": "This listenKey does not exist."})
        room.venue.fail("PUT", "/fapi/v1/listenKey", gone)
        await room.clock.pass_sleep(KEEP_EVERY_S)
        await until(lambda: room.stream.drops == 1, what="the drop after the renewal")
        room.stream.say(b'{"e":"listenKeyExpired","E":1}')
        await until(lambda: room.stream.drops == 2, what="the drop after the message")

    followed(scene)


def test_i4_an_order_the_stream_has_told_of_is_not_absent_while_look_ups_lag() -> None:
    """I4."""

    async def scene(room: Room) -> None:
        assert await room.exchange.find(SYMBOL, OURS) is None
        room.stream.say(changed("order_update_new", c=OURS))
        await room.told(2)
        with pytest.raises(Unreachable):
            await room.exchange.find(SYMBOL, OURS)

    followed(scene)


def test_leverage_that_somebody_changed_is_set_again() -> None:
    async def scene(room: Room) -> None:
        async def configure() -> None:
            await room.exchange.configure(
                SYMBOL, leverage=5, margin_mode=MarginMode.ISOLATED, position_mode=PositionMode.ONE_WAY
            )

        await configure()
        room.venue.leverage[SYMBOL] = 25
        await configure()
        assert room.venue.leverage[SYMBOL] == 25
        room.stream.say(json.dumps({"e": "ACCOUNT_CONFIG_UPDATE", "ac": {"s": SYMBOL, "l": 25}}).encode())
        room.stream.say(changed("order_update_new", c=OURS))
        await room.told(2)
        await configure()
        assert room.venue.leverage[SYMBOL] == 5
        room.venue.leverage[SYMBOL] = 30
        room.stream.opened(START)
        await room.told(3)
        await configure()
        assert room.venue.leverage[SYMBOL] == 5

    followed(scene)


def test_a_fault_of_ours_is_logged_and_the_stream_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(room: Room) -> None:
        room.stream.ended.set()
        await room.clock.pass_sleep(RESTART_S)
        await until(lambda: len(room.streams) == 2 and room.exchange.is_streaming, what="another stream")
        assert (await room.told(2))[1] == StreamGap(since=None)

    followed(scene)
    assert "user_stream_faulted error=ValueError" in caplog.text


def test_i13_what_is_logged_names_no_key(caplog: pytest.LogCaptureFixture) -> None:
    """I13."""
    caplog.set_level("DEBUG")

    async def scene(room: Room) -> None:
        room.venue.fail("PUT", "/fapi/v1/listenKey", answer(502, "listen-key-1"))
        await room.clock.pass_sleep(KEEP_EVERY_S)
        await room.clock.asleep(KEEP_AGAIN_S)
        room.stream.say(b"listen-key-1")
        await room.told(2)

    followed(scene)
    for secret in (KEY, SECRET, "listen-key-1"):
        assert secret not in caplog.text
