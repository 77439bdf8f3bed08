"""A market's trades in order, each once; what is lost is told with its bounds, never passed over."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.public_trade import PublicTrade
from exchanges.feeds.trade_series import MAX_HELD, CountedTrades, NamedTrades, TradeSeries

T0 = 1_700_000_000_000
STEP_MS = 500


def trade(number: int, *, ahead_ms: int = 0) -> PublicTrade:
    """Quantity 2**number at the whole of its half second: the sum names the trades that are in it."""
    at_ms = T0 + number * STEP_MS + ahead_ms
    bit = Decimal(2) ** (number % 30)
    return PublicTrade("S", number, at_ms, Decimal(1), bit, taker_bought=True, trade_id=f"id{number}")


def made(kind: type[TradeSeries]) -> TradeSeries:
    return kind(lambda: T0 + 10**9)


def heard(series: TradeSeries) -> list[int]:
    """Numbers of the trades that entered sums, of the first 30; each could be in it only once."""
    told = series.flow.columns(T0, T0 + 86_400_000)
    total = int(told.buy.sum()) // 10**8
    numbers = [number for number in range(30) if total >> number & 1]
    assert int(told.trades.sum()) == len(numbers)
    return numbers


def incomplete(series: TradeSeries, last: int) -> set[int]:
    """Seconds before that of trade `last` that are not whole; the first one never is."""
    told = series.flow.columns(T0, T0 + last * STEP_MS // 1_000 * 1_000)
    return {number for number, complete in enumerate(told.complete.tolist()) if not complete}


BOTH = pytest.mark.parametrize("kind", [CountedTrades, NamedTrades])


@BOTH
def test_a_trade_told_twice_as_at_a_rollover_counts_once(kind: type[TradeSeries]) -> None:
    series = made(kind)
    for number in (0, 1, 1, 2, 0, 2, 3):
        series.told(trade(number))
    assert heard(series) == [0, 1, 2, 3]
    assert not series.missing


@BOTH
def test_what_rest_knows_closes_the_gap_in_order(kind: type[TradeSeries]) -> None:
    series = made(kind)
    series.told(trade(0))
    series.told(trade(1))
    series.reopened()
    for number in (6, 7):
        series.told(trade(number))
    assert series.missing
    assert heard(series) == [0, 1], "what is behind the loss waits"
    assert series.answered([trade(number) for number in range(2 if kind is CountedTrades else 0, 8)])
    assert (heard(series), series.missing) == (list(range(8)), False)
    series.told(trade(8))
    assert incomplete(series, 8) == {0}


@BOTH
def test_what_rest_no_longer_has_is_a_gap_with_its_bounds(kind: type[TradeSeries]) -> None:
    series = made(kind)
    for number in range(4):
        series.told(trade(number))
    series.reopened()
    series.told(trade(12))
    assert series.answered([trade(number) for number in range(10, 13)])
    series.told(trade(16))
    series.give_up()
    assert heard(series) == [0, 1, 2, 3, 10, 11, 12, 16]
    assert incomplete(series, 12) == {0, 1, 2, 3, 4, 5}, "from the last one known to the first one after"


@BOTH
def test_an_answer_that_lags_behind_the_stream_is_asked_for_again(kind: type[TradeSeries]) -> None:
    series = made(kind)
    series.told(trade(0))
    series.reopened()
    series.told(trade(5))
    assert not series.answered([trade(0), trade(1)] if kind is NamedTrades else [trade(1)])
    assert series.missing
    assert series.answered([trade(number) for number in range(1 if kind is CountedTrades else 0, 6)])
    assert heard(series) == list(range(6))


@BOTH
def test_giving_up_leaves_a_gap_and_goes_on_behind_it(kind: type[TradeSeries]) -> None:
    series = made(kind)
    series.told(trade(1))
    series.reopened()
    series.give_up()
    assert series.missing, "nothing has come behind it: it may still be filled"
    series.told(trade(8))
    series.give_up()
    assert not series.missing
    series.told(trade(9))
    assert heard(series) == [1, 8, 9]
    assert incomplete(series, 9) == {0, 1, 2, 3}


def test_a_market_that_was_silent_while_the_stream_was_away_has_lost_nothing() -> None:
    series = made(CountedTrades)
    series.reopened()
    assert not series.missing, "it has not begun"
    series.told(trade(0))
    series.reopened()
    assert series.missing
    assert series.answered([])
    assert not series.missing


def test_where_trades_are_only_named_an_answer_is_believed_once_it_meets_the_stream() -> None:
    """It may have been made before the stream began anew."""
    series = made(NamedTrades)
    series.told(trade(0))
    series.reopened()
    assert series.answered([trade(0)])
    assert series.missing
    series.told(trade(2))
    assert series.answered([trade(0), trade(1), trade(2)])
    assert not series.missing
    assert heard(series) == [0, 1, 2]


def test_what_is_lost_between_two_new_beginnings_is_missed_as_well() -> None:
    series = made(NamedTrades)
    series.told(trade(0))
    for heard_then in (2, 4):
        series.reopened()
        series.told(trade(heard_then))
    assert series.answered([trade(number) for number in range(5)])
    assert not series.missing
    assert heard(series) == [0, 1, 2, 3, 4]


def test_giving_up_before_a_second_new_beginning_leaves_what_is_lost_behind_it_missing() -> None:
    series = made(NamedTrades)
    series.told(trade(0))
    series.reopened()
    series.told(trade(2))
    series.reopened()
    series.give_up()
    assert series.missing
    series.told(trade(4))
    assert series.answered([trade(2), trade(3), trade(4)])
    assert heard(series) == [0, 2, 3, 4]


@BOTH
def test_no_more_trades_wait_than_the_bound(kind: type[TradeSeries]) -> None:
    series = made(kind)
    series.told(trade(0))
    series.reopened()
    for number in range(10, 11 + MAX_HELD):
        series.told(trade(number))
    assert not series.missing
    assert int(series.flow.columns(T0, T0 + 86_400_000).trades.sum()) == MAX_HELD + 2


@BOTH
def test_a_trade_that_cannot_be_enters_no_sum_and_its_second_is_not_whole(kind: type[TradeSeries]) -> None:
    series = made(kind)
    for number in range(4):
        series.told(trade(number))
    series.told(trade(4, ahead_ms=10**10))
    for number in range(5, 9):
        series.told(trade(number))
    assert heard(series) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert incomplete(series, 8) == {0, 1, 2}, "up to the next that is usable"


def test_a_jump_in_the_numbers_is_a_loss_though_the_stream_stood() -> None:
    series = made(CountedTrades)
    for number in (0, 1, 4):
        series.told(trade(number))
    assert series.missing
    series.told(trade(3))
    assert series.answered([trade(2), trade(3)])
    assert heard(series) == [0, 1, 2, 3, 4]


def test_a_page_that_begins_long_after_what_is_known_is_a_gap_where_trades_are_only_named() -> None:
    series = made(NamedTrades)
    series.told(trade(0))
    series.reopened()
    series.told(trade(7))
    assert series.answered([trade(6), trade(7)])
    assert heard(series) == [0, 6, 7]
    series.told(trade(8))
    assert incomplete(series, 8) == {0, 1, 2, 3}


@given(st.data(), st.booleans())
def test_law_whatever_is_lost_repeated_and_answered_nothing_is_summed_twice_or_taken_for_whole(
    data: st.DataObject, is_counted: bool
) -> None:
    """Seconds said to be whole hold exactly their trades."""
    series = made(CountedTrades if is_counted else NamedTrades)
    at, by_stream = 0, list[int]()
    for _ in range(data.draw(st.integers(1, 12))):
        match data.draw(st.sampled_from(["told", "lost", "repeated", "answered", "gave_up"])):
            case "told" if at < 29:
                series.told(trade(at))
                by_stream.append(at)
                at += 1
            case "lost":
                at = min(29, at + data.draw(st.integers(1, 6)))
                series.reopened()
            case "repeated" if by_stream:
                series.told(trade(data.draw(st.sampled_from(by_stream))))
            case "answered" if series.missing and series.last is not None:
                last = series.last.number
                # Up to now, or as far as it lags; as far back as it reaches.
                end = max(last, at - data.draw(st.integers(0, 2)))
                first = last + 1 if is_counted else max(0, end - data.draw(st.integers(1, 12)))
                series.answered([trade(number) for number in range(first, end)])
            case "gave_up":
                series.give_up()
            case _:
                pass
    told = series.flow.columns(T0, T0 + 20_000)
    heard(series)
    for second in range(20):
        if told.complete[second]:
            assert int(told.trades[second]) == 2, second
