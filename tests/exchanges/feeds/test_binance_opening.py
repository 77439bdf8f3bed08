"""The opening price of a slot's candle, asked of the venue while that candle is still forming."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from core.candles import Candle
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.binance_public import BinancePublic
from exchanges.feeds.public_candles import OPENING_POLL_S
from exchanges.feeds.public_rest import FeedError
from tests.exchanges.feeds.public_venue import CANDLES, Venue, rows, running

MINUTE = timedelta(minutes=1)
# Row 3499 has closed and row 3500 is forming, at some moment of the test's choice.
FORMING = CANDLES.candle(3_500)
SLOT = from_ms(FORMING.open_time_ms)


class Asked:
    """One question to a real server; instead of pauses the market goes on by one answer."""

    def __init__(self, venue: Venue, *answers: tuple[int, bytes]) -> None:
        venue.answers = list(answers)
        self.pauses: list[float] = []
        self.venue = venue

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def opening(self, timeout_s: float = 3.0) -> Candle | None:
        async def ask() -> Candle | None:
            feed = BinancePublic(self.venue.url, sleep=self.sleep)
            try:
                return await feed.opening("BTCUSDT", Timeframe.M1, SLOT, timeout_s)
            finally:
                await feed.aclose()

        return asyncio.run(ask())


def answer(*indexes: int) -> tuple[int, bytes]:
    """The documented array form: one array per candle, oldest first, the last one still open."""
    return 200, json.dumps(
        [row for index in indexes for row in rows(CANDLES.part(index, index + 1))]
    ).encode()


def test_it_is_the_open_of_the_forming_candle_with_the_volume_of_the_last_closed_one() -> None:
    """The forming candle's own volume is a moment old; how much could trade is told by the one before."""
    with running() as venue:
        asked = Asked(venue, answer(3_499, 3_500))
        found = asked.opening()
    assert found is not None
    assert (found.open_time_ms, found.open) == (FORMING.open_time_ms, FORMING.open)
    assert found.volume == CANDLES.candle(3_499).volume
    assert asked.pauses == []
    assert venue.asked == [{"path": "/fapi/v1/klines", "symbol": "BTCUSDT", "interval": "1m", "limit": "2"}]


def test_it_is_asked_for_again_until_the_candle_has_opened() -> None:
    with running() as venue:
        asked = Asked(venue, answer(3_498, 3_499), answer(3_498, 3_499), answer(3_499, 3_500))
        found = asked.opening()
    assert found is not None
    assert found.open_time_ms == FORMING.open_time_ms
    assert asked.pauses == [OPENING_POLL_S, OPENING_POLL_S]


def test_a_later_candle_stands_for_a_minute_without_one() -> None:
    with running() as venue:
        found = Asked(venue, answer(3_499, 3_502)).opening()
    assert found is not None
    assert from_ms(found.open_time_ms) == SLOT + 2 * MINUTE


@pytest.mark.parametrize("stale", [answer(3_498, 3_499), answer()])
def test_none_when_it_has_not_opened_within_the_timeout(stale: tuple[int, bytes]) -> None:
    with running() as venue:
        asked = Asked(venue, *[stale] * 20)
        assert asked.opening(timeout_s=2.0) is None
        assert len(venue.asked) == 2.0 / OPENING_POLL_S


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (200, b"<html>maintenance</html>", "cannot be read"),
        (200, b'{"code":0}', "cannot be read"),
        (200, b"[[1,2,3]]", "cannot be read"),
        (200, json.dumps([["x", *["1"] * 11]]).encode(), "cannot be read"),
        (
            200,
            json.dumps([[FORMING.open_time_ms, "one", *["1"] * 4, 1, "1", 1, "1", "1", "0"]]).encode(),
            "cannot",
        ),
        (400, b'{"code":-1121,"msg":"Invalid symbol."}', "Invalid symbol"),
        (429, b'{"code":-1003,"msg":"Too many requests."}', "refused"),
        (503, b"", "refused"),
    ],
)
def test_an_answer_that_cannot_be_used_is_a_failure_of_the_market_data(
    status: int, body: bytes, why: str
) -> None:
    """Never counted against a run, and not asked again here: the order has its own deadline."""
    with running() as venue:
        asked = Asked(venue, (status, body))
        with pytest.raises(FeedError, match=why):
            asked.opening()
        assert len(venue.asked) == 1


def test_a_price_that_cannot_be_is_refused() -> None:
    """Non-finite or negative numbers enter no arithmetic (invariants §7)."""
    for price in ("NaN", "Infinity", "-1", "0"):
        row = [FORMING.open_time_ms, price, *["1"] * 4, FORMING.open_time_ms + 59_999, "1", 1, "1", "1", "0"]
        with running() as venue:
            asked = Asked(venue, (200, json.dumps([row]).encode()))
            with pytest.raises(FeedError):
                asked.opening()


def test_a_venue_that_cannot_be_reached_is_a_failure_of_the_market_data() -> None:
    with running() as venue:
        asked = Asked(venue)
    with pytest.raises(FeedError, match="could not be reached"):
        asked.opening()
