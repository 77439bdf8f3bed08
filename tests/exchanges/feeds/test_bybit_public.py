"""Bybit's public candles, fetched from a real HTTP server that answers in the documented form."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core.candles import CandleColumns, aggregate
from core.timeframe import Timeframe, from_ms
from exchanges.feeds.bybit_public import BybitPublic
from exchanges.feeds.public_candles import OPENING_POLL_S
from exchanges.feeds.public_rest import MAX_RETRIES, FeedError
from tests.core.candle_cases import START
from tests.exchanges.feeds.bybit_venue import LISTED, BybitVenue, rows, running, wrapped
from tests.exchanges.feeds.public_venue import CANDLES, NOW_MS, Venue

MINUTE = timedelta(minutes=1)
TIME = (200, wrapped({"timeSecond": "0", "timeNano": str(NOW_MS * 1_000_000)}))


@pytest.fixture
def venue() -> Iterator[BybitVenue]:
    with running() as server:
        yield server


def ask(
    venue: Venue,
    question: Callable[[BybitPublic], Coroutine[Any, Any, Any]],
    pauses: list[float] | None = None,
) -> Any:
    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    async def run() -> Any:
        source = BybitPublic(venue.url, sleep=sleep)
        try:
            return await question(source)
        finally:
            await source.aclose()

    return asyncio.run(run())


def without_takers(columns: CandleColumns) -> np.ndarray[Any, Any]:
    """The venue does not say what takers bought."""
    return columns.data[:-1]


def test_a_range_that_begins_within_a_candle_misses_none_between_its_pages(venue: BybitVenue) -> None:
    start, end = START + 1300 * MINUTE + timedelta(seconds=30), START + 3400 * MINUTE
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, start, end))
    assert np.array_equal(without_takers(fetched), without_takers(CANDLES.part(1301, 3400)))


def test_a_range_is_fetched_in_pages_oldest_first_and_complete(venue: BybitVenue) -> None:
    start, end = START + 1300 * MINUTE, START + 3400 * MINUTE
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, start, end))
    assert np.array_equal(without_takers(fetched), without_takers(CANDLES.part(1300, 3400)))
    assert np.isnan(fetched.taker_buy_volume).all()
    pages = [asked for asked in venue.asked if asked["path"] == "/v5/market/kline"]
    assert [page["limit"] for page in pages] == ["1000", "1000", "100"]
    assert {(page["category"], page["interval"]) for page in pages} == {("linear", "1")}


def test_what_comes_after_an_empty_page_before_the_listing_is_fetched(venue: BybitVenue) -> None:
    end = START + 3000 * MINUTE
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, end))
    assert np.array_equal(without_takers(fetched), without_takers(CANDLES.part(LISTED, 3000)))


def test_i10_the_candle_that_is_still_open_is_left_out(venue: BybitVenue) -> None:
    start, end = START + 3000 * MINUTE, START + 4000 * MINUTE
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, start, end))
    assert len(fetched) == 500
    assert fetched.open_time[-1] + Timeframe.M1.ms <= NOW_MS


def test_i10_a_row_beyond_the_asked_range_is_left_out(venue: BybitVenue) -> None:
    venue.answers = [TIME, (200, wrapped({"list": rows(CANDLES.part(0, 4))}))]
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, START + 3 * MINUTE))
    assert len(fetched) == 3


def test_ten_minutes_are_built_from_five(venue: BybitVenue) -> None:
    start, end = START + 1205 * MINUTE, START + 1300 * MINUTE
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M10, start, end))
    assert {asked["interval"] for asked in venue.asked if "interval" in asked} == {"5"}
    whole = aggregate(CANDLES.part(1210, 1300), Timeframe.M1, Timeframe.M10)
    assert np.allclose(without_takers(fetched), without_takers(whole), rtol=1e-12)


def test_a_fetched_range_is_a_source(venue: BybitVenue) -> None:
    start, end = START + 1200 * MINUTE, START + 1800 * MINUTE
    source = ask(venue, lambda feed: feed.source(("BTCUSDT",), Timeframe.M5, start, end))
    assert (source.origin, source.venue) == ("Bybit public candles", "bybit")
    assert len(source.candles("BTCUSDT", Timeframe.H1, start, end)) == 10


@pytest.mark.parametrize(
    "trouble", [(429, b""), (502, b""), (200, wrapped({}, 10006)), (200, wrapped({}, 10016))]
)
def test_a_read_is_repeated_at_most_twice(venue: BybitVenue, trouble: tuple[int, bytes]) -> None:
    pauses: list[float] = []
    venue.answers = [trouble] * MAX_RETRIES
    ask(venue, lambda source: source.server_time(), pauses)
    assert len(venue.asked) == 1 + MAX_RETRIES
    assert pauses == [0.5, 1.0]
    venue.answers = [trouble] * (1 + MAX_RETRIES)
    with pytest.raises(FeedError, match=r"refused /v5/market/time with \d+: "):
        ask(venue, lambda source: source.server_time())


@pytest.mark.parametrize("trouble", [(403, b"access too frequent"), (404, b""), (200, wrapped({}, 10001))])
def test_a_refusal_is_not_repeated(venue: BybitVenue, trouble: tuple[int, bytes]) -> None:
    venue.answers = [trouble]
    with pytest.raises(FeedError):
        ask(venue, lambda source: source.server_time())
    assert len(venue.asked) == 1


def test_an_unknown_symbol_is_one_sentence(venue: BybitVenue) -> None:
    with pytest.raises(FeedError, match="10001: params error: Symbol Is Invalid"):
        ask(venue, lambda source: source.candles("NOPEUSDT", Timeframe.M1, START, START + 5 * MINUTE))


good = rows(CANDLES.part(0, 3))


@pytest.mark.parametrize(
    "payload",
    [
        wrapped({"list": [[1, 2]]}),
        wrapped({"list": [good[0], good[0]]}),
        wrapped({"list": list(reversed(good))}),
        wrapped({"list": [[*good[0][:2], "0.1", *good[0][3:]]]}),
        wrapped({"list": [[*good[0][:2], "abc", *good[0][3:]]]}),
        wrapped({"list": [[*good[0][:5], "-5", *good[0][6:]]]}),
        wrapped({"list": [[good[0][0], "NaN", *good[0][2:]]]}),
    ],
)
def test_an_answer_that_cannot_be_is_refused(venue: BybitVenue, payload: bytes) -> None:
    venue.answers = [TIME, (200, payload)]
    with pytest.raises(FeedError, match="cannot be"):
        ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, START + 3 * MINUTE))


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"", wrapped({"timeNano": "soon"})])
def test_a_time_that_cannot_be_read_is_one_sentence(venue: BybitVenue, body: bytes) -> None:
    venue.answers = [(200, body)]
    with pytest.raises(FeedError, match="cannot be read"):
        ask(venue, lambda source: source.server_time())


def test_the_opening_is_the_forming_candle_with_the_volume_of_the_last_closed_one(
    venue: BybitVenue,
) -> None:
    forming = CANDLES.candle(3500)
    pauses: list[float] = []
    venue.answers = [(200, wrapped({"list": rows(CANDLES.part(3498, 3500))}))]
    at = from_ms(forming.open_time_ms)
    found = ask(venue, lambda source: source.opening("BTCUSDT", Timeframe.M1, at, 3.0), pauses)
    assert (found.open_time_ms, found.open) == (forming.open_time_ms, forming.open)
    assert found.volume == CANDLES.candle(3499).volume
    assert pauses == [OPENING_POLL_S]


def test_an_opening_that_does_not_come_is_none(venue: BybitVenue) -> None:
    at = from_ms(NOW_MS) + MINUTE
    assert ask(venue, lambda source: source.opening("BTCUSDT", Timeframe.M1, at, 1.0)) is None


def test_reachable_says_whether_the_venue_answers(venue: BybitVenue) -> None:
    assert ask(venue, lambda source: source.reachable(2.0)) is True
    venue.answers = [(503, b"")]
    assert ask(venue, lambda source: source.reachable(2.0)) is False


def test_a_venue_that_is_away_is_one_sentence() -> None:
    with Venue() as gone:
        pass
    with pytest.raises(FeedError, match="Bybit could not be reached"):
        ask(gone, lambda source: source.server_time())
