"""Binance's public candles, fetched from a real HTTP server that answers in the documented form."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from core.candles import aggregate
from core.timeframe import Timeframe
from exchanges.feeds.binance_public import PAGE, BinancePublic
from exchanges.feeds.public_rest import MAX_RETRIES, FeedError
from tests.core.candle_cases import START
from tests.exchanges.feeds.public_venue import CANDLES, NOW_MS, Venue, rows, running


@pytest.fixture
def venue() -> Iterator[Venue]:
    with running() as server:
        yield server


def ask(
    venue: Venue,
    question: Callable[[BinancePublic], Coroutine[Any, Any, Any]],
    pauses: list[float] | None = None,
) -> Any:
    async def sleep(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    async def run() -> Any:
        source = BinancePublic(venue.url, sleep=sleep)
        try:
            return await question(source)
        finally:
            await source.aclose()

    return asyncio.run(run())


def minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


def test_a_range_is_fetched_in_pages_and_complete(venue: Venue) -> None:
    end = START + minutes(3100)
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, end))
    assert np.array_equal(fetched.data, CANDLES.part(0, 3100).data)
    pages = [asked for asked in venue.asked if asked["path"] == "/fapi/v1/klines"]
    assert [page["limit"] for page in pages] == [str(PAGE), str(PAGE), "100"]


def test_i10_the_candle_that_is_still_open_is_left_out(venue: Venue) -> None:
    end = START + minutes(4000)
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, end))
    assert len(fetched) == 3500
    assert fetched.open_time[-1] + Timeframe.M1.ms <= NOW_MS


def test_i10_a_row_beyond_the_asked_range_is_left_out(venue: Venue) -> None:
    venue.answers = [
        (200, json.dumps({"serverTime": NOW_MS}).encode()),
        (200, json.dumps(rows(CANDLES.part(0, 4))).encode()),
    ]
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, START + minutes(3)))
    assert len(fetched) == 3


def test_ten_minutes_are_built_from_five(venue: Venue) -> None:
    start, end = START + minutes(5), START + minutes(100)
    fetched = ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M10, start, end))
    assert {asked["interval"] for asked in venue.asked if "interval" in asked} == {"5m"}
    whole = aggregate(CANDLES.part(10, 100), Timeframe.M1, Timeframe.M10)
    assert np.allclose(fetched.data, whole.data, rtol=1e-12)


def test_a_fetched_range_is_a_source(venue: Venue) -> None:
    end = START + minutes(600)
    source = ask(venue, lambda feed: feed.source(("BTCUSDT",), Timeframe.M5, START, end))
    assert source.origin == "Binance public candles"
    assert len(source.candles("BTCUSDT", Timeframe.H1, START, end)) == 10


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_read_is_repeated_at_most_twice(venue: Venue, status: int) -> None:
    pauses: list[float] = []
    venue.answers = [(status, b"")] * MAX_RETRIES
    ask(venue, lambda source: source.server_time(), pauses)
    assert len(venue.asked) == 1 + MAX_RETRIES
    assert pauses == [0.5, 1.0]
    venue.asked.clear()
    venue.answers = [(status, b"try later")] * (1 + MAX_RETRIES)
    with pytest.raises(FeedError, match=f"with {status}: try later"):
        ask(venue, lambda source: source.server_time())
    assert len(venue.asked) == 1 + MAX_RETRIES


@pytest.mark.parametrize("status", [301, 400, 403, 418, 451])
def test_a_refusal_is_not_repeated(venue: Venue, status: int) -> None:
    venue.answers = [(status, b"no")]
    with pytest.raises(FeedError, match=f"with {status}"):
        ask(venue, lambda source: source.server_time())
    assert len(venue.asked) == 1


def test_an_unknown_symbol_is_one_sentence(venue: Venue) -> None:
    with pytest.raises(FeedError, match="Invalid symbol"):
        ask(venue, lambda source: source.candles("NOPEUSDT", Timeframe.M1, START, START + minutes(5)))


good = rows(CANDLES.part(0, 3))


@pytest.mark.parametrize(
    "payload",
    [
        b"<html>",
        b"{}",
        b"[[1,2]]",
        json.dumps([good[0], good[0]]).encode(),
        json.dumps([good[1], good[0]]).encode(),
        json.dumps([[*good[0][:2], "0.1", *good[0][3:]]]).encode(),
        json.dumps([[*good[0][:2], "abc", *good[0][3:]]]).encode(),
        json.dumps([[*good[0][:5], "-5", *good[0][6:]]]).encode(),
        json.dumps([[good[0][0], "NaN", *good[0][2:]]]).encode(),
    ],
)
def test_an_answer_that_cannot_be_is_refused(venue: Venue, payload: bytes) -> None:
    venue.answers = [(200, json.dumps({"serverTime": NOW_MS}).encode()), (200, payload)]
    with pytest.raises(FeedError, match="cannot be"):
        ask(venue, lambda source: source.candles("BTCUSDT", Timeframe.M1, START, START + minutes(3)))


def test_reachable_answers_within_its_time(venue: Venue) -> None:
    assert ask(venue, lambda source: source.reachable(2.0)) is True
    venue.answers = [(503, b"")]
    assert ask(venue, lambda source: source.reachable(2.0)) is False
    venue.delay_s = 0.05
    began = time.perf_counter()
    assert ask(venue, lambda source: source.reachable(0.01)) is False
    assert time.perf_counter() - began < 1.0


def test_a_venue_that_is_away_is_one_sentence() -> None:
    with Venue() as gone:
        pass
    with pytest.raises(FeedError, match="could not be reached"):
        ask(gone, lambda source: source.server_time())
    assert ask(gone, lambda source: source.reachable(1.0)) is False
