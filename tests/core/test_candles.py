"""Candle windows: closed, ascending, unique, gap-free, and never changed behind a reader's back (I10)."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.candles import (
    Appended,
    Candle,
    CandleColumns,
    CandleView,
    CandleWindow,
    Gap,
    NotYet,
    TooFew,
    aggregate,
    check,
    empty,
)
from core.errors import ImpossibleVenueData, RunnerError
from core.timeframe import Timeframe, to_ms
from tests.core.candle_cases import START, candle, columns_of, generated, slot_of

M5 = Timeframe.M5


def window_of(indexes: list[int], capacity: int = 50) -> CandleWindow:
    window = CandleWindow(M5, capacity)
    for index in indexes:
        window.append(candle(index, 100.0 + index))
    return window


def test_i10_a_view_ends_at_its_slot_whatever_came_after() -> None:
    view = window_of(list(range(20))).view(slot_of(9), 5)
    assert isinstance(view, CandleView)
    assert view.slot == slot_of(9)
    assert view.close.tolist() == [105, 106, 107, 108, 109]


def test_i10_a_slot_whose_candle_has_not_arrived_is_not_yet() -> None:
    window = window_of([0, 1, 2])
    assert window.view(slot_of(3), 2) == NotYet(last_close=slot_of(2))
    assert CandleWindow(M5, 5).view(slot_of(0), 1) == NotYet(last_close=None)


def test_i10_a_hole_inside_the_window_is_a_gap_until_the_lookback_has_passed() -> None:
    window = window_of([0, 1, 2, 3, 6, 7, 8])
    resumed = Gap(resumed_at=slot_of(5))
    assert isinstance(window.view(slot_of(3), 3), CandleView)
    assert window.view(slot_of(4), 3) == resumed
    assert window.view(slot_of(5), 3, 1) == resumed
    assert window.view(slot_of(7), 3, 1) == resumed
    after = window.view(slot_of(8), 3)
    assert isinstance(after, CandleView)
    assert after.close.tolist() == [106, 107, 108]


def test_at_the_start_of_history_a_shorter_view_is_enough() -> None:
    window = window_of(list(range(6)))
    assert window.view(slot_of(2), 5) == TooFew(have=3, need=5)
    assert window.view(slot_of(2), 5, 4) == TooFew(have=3, need=4)
    view = window.view(slot_of(3), 5, 4)
    assert isinstance(view, CandleView)
    assert len(view) == 4


def test_after_eviction_the_window_no_longer_begins_where_history_does() -> None:
    window = window_of(list(range(12)), capacity=10)
    assert len(window) == 10
    assert window.view(slot_of(4), 5, 1) == TooFew(have=3, need=1)
    assert window.view(slot_of(0), 1) == TooFew(have=0, need=1)
    with pytest.raises(RunnerError, match="cannot show"):
        window.view(slot_of(11), 11)


def test_a_time_between_slots_is_refused() -> None:
    window = window_of([0, 1, 2])
    with pytest.raises(RunnerError, match="no 5m slot"):
        window.view(slot_of(1).replace(minute=11), 1)


@pytest.mark.parametrize(
    ("offered", "outcome"),
    [
        (candle(3, 103.0), Appended.ADDED),
        (candle(5, 105.0), Appended.ADDED_AFTER_GAP),
        (candle(2, 102.0), Appended.DUPLICATE),
        (candle(1, 101.0), Appended.DUPLICATE),
        (candle(2, 102.5), Appended.CONFLICT),
        (candle(2, 102.0, volume=2.0), Appended.CONFLICT),
        (candle(-1, 99.0), Appended.OUT_OF_ORDER),
    ],
)
def test_i10_what_becomes_of_an_offered_candle(offered: Candle, outcome: Appended) -> None:
    window = window_of([0, 1, 2])
    before = window.columns.data.copy()
    assert window.append(offered) is outcome
    assert np.array_equal(window.columns.data[:, :3], before, equal_nan=True)


def test_a_candle_for_the_hole_is_out_of_order() -> None:
    assert window_of([0, 3]).append(candle(1)) is Appended.OUT_OF_ORDER


IMPOSSIBLE = {
    "low above open": {"open": 99.0, "low": 99.5},
    "high below close": {"high": 99.0, "low": 98.0, "open": 98.0},
    "price of zero": {"open": 0.0, "high": 0.0, "low": 0.0, "close": 0.0},
    "negative price": {"low": -1.0},
    "NaN close": {"close": math.nan},
    "infinite high": {"high": math.inf},
    "negative volume": {"volume": -1.0},
    "NaN volume": {"volume": math.nan},
    "infinite volume": {"volume": math.inf},
    "more taker buys than volume": {"taker_buy_volume": 1.5},
    "negative taker buys": {"taker_buy_volume": -0.5},
}


@pytest.mark.parametrize("changes", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_a_candle_that_cannot_be_enters_no_window(changes: dict[str, float]) -> None:
    window = window_of([0, 1])
    bad = candle(2, 100.0, **changes)
    with pytest.raises(ImpossibleVenueData):
        window.append(bad)
    with pytest.raises(ImpossibleVenueData):
        window.load(CandleColumns.of([candle(0), candle(1), bad]))
    assert len(window) == 2


@pytest.mark.parametrize("indexes", [[0, 2, 1], [0, 0], [1, 0]])
def test_i10_ranges_that_do_not_ascend_are_refused(indexes: list[int]) -> None:
    with pytest.raises(ImpossibleVenueData):
        check(CandleColumns.of([candle(index) for index in indexes]), M5)


def test_a_candle_off_its_boundary_is_refused() -> None:
    with pytest.raises(ImpossibleVenueData):
        CandleWindow(Timeframe.H1, 5).append(candle(1))


def test_views_are_read_only() -> None:
    view = window_of([0, 1, 2]).view(slot_of(2), 2)
    assert isinstance(view, CandleView)
    with pytest.raises(ValueError, match="read-only"):
        view.close[0] = 1.0


def test_a_loaded_range_answers_as_an_appended_one_and_takes_more() -> None:
    appended = window_of([0, 1, 2, 3, 6, 7, 8])
    loaded = CandleWindow(M5, 50)
    loaded.load(appended.columns)
    assert loaded.append(candle(9, 109.0)) is appended.append(candle(9, 109.0))
    for index in range(10):
        assert same(loaded.view(slot_of(index), 3, 1), appended.view(slot_of(index), 3, 1))


def test_a_price_keeps_its_shortest_decimal() -> None:
    price = float(generated(3).close[0])
    assert float(Decimal(repr(price))) == price


def same(one: object, other: object) -> bool:
    if isinstance(one, CandleView) and isinstance(other, CandleView):
        return np.array_equal(one.data, other.data, equal_nan=True)
    return one == other


@settings(max_examples=60)
@given(
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 1, 1, 2, 5]), min_size=1, max_size=120),
    capacity=st.integers(3, 40),
    lookback=st.integers(1, 12),
)
def test_i10_any_view_is_what_a_plain_search_finds_and_never_changes(
    steps: list[int], capacity: int, lookback: int
) -> None:
    window = CandleWindow(M5, capacity)
    offered: list[int] = []
    handed_out: list[tuple[CandleView, list[float]]] = []
    index = 0
    lookback = min(lookback, capacity)
    for step in steps:
        index += step
        window.append(candle(index, 100.0 + index))
        offered.append(index)
        kept = offered[-capacity:]
        view = window.view(slot_of(index), lookback)
        wanted = list(range(index - lookback + 1, index + 1))
        assert isinstance(view, CandleView) is (wanted == kept[-lookback:])
        if isinstance(view, CandleView):
            assert view.close.tolist() == [100.0 + at for at in wanted]
            handed_out.append((view, view.close.tolist()))
    assert all(view.close.tolist() == closes for view, closes in handed_out)
    assert window.columns.close.tolist() == [100.0 + at for at in offered[-capacity:]]


def test_aggregation_uses_whole_candles_only() -> None:
    minutes = columns_of([100.0, 101, 99, 102, 103, 104, 100, 98, 97, 99, 105, 106])
    built = aggregate(minutes, Timeframe.M1, M5)
    assert len(built) == 2
    assert built.open_time.tolist() == [to_ms(START), to_ms(START) + M5.ms]
    assert built.open.tolist() == [100.0, 103.0]
    assert built.close.tolist() == [103.0, 99.0]
    assert built.high.tolist() == [minutes.high[:5].max(), minutes.high[5:10].max()]
    assert built.low.tolist() == [minutes.low[:5].min(), minutes.low[5:10].min()]
    assert built.volume.tolist() == [5.0, 5.0]
    assert built.taker_buy_volume.tolist() == [2.5, 2.5]


def test_i10_one_missing_minute_leaves_the_larger_candle_out() -> None:
    minutes = columns_of([100.0] * 15)
    holed = CandleColumns.joined([minutes.part(0, 7), minutes.part(8, 15)])
    built = aggregate(holed, Timeframe.M1, M5)
    assert built.open_time.tolist() == [to_ms(START), to_ms(START) + 2 * M5.ms]


def test_aggregation_refuses_what_does_not_divide() -> None:
    with pytest.raises(RunnerError, match="cannot be built"):
        aggregate(empty(), Timeframe.M3, M5)
    with pytest.raises(RunnerError, match="cannot be built"):
        aggregate(empty(), Timeframe.H1, M5)


@pytest.mark.parametrize("target", [Timeframe.M10, Timeframe.H1, Timeframe.D1])
def test_aggregating_in_two_steps_equals_one(target: Timeframe) -> None:
    minutes = generated(3 * 1440)
    direct = aggregate(minutes, Timeframe.M1, target)
    stepped = aggregate(aggregate(minutes, Timeframe.M1, M5), M5, target)
    assert np.array_equal(direct.data[:5], stepped.data[:5])
    assert np.allclose(direct.data[5:], stepped.data[5:], rtol=1e-12)
    check(direct, target)


def test_an_aggregate_without_taker_volume_has_none() -> None:
    data = columns_of([100.0] * 5).data.copy()
    data[6] = math.nan
    assert math.isnan(aggregate(CandleColumns(data), Timeframe.M1, M5).taker_buy_volume[0])


def test_a_range_is_cut_by_open_time() -> None:
    columns = columns_of([100.0] * 10)
    first = to_ms(START)
    cut = columns.between(first + 60_000, first + 4 * 60_000)
    assert cut.open_time.tolist() == [first + 60_000, first + 120_000, first + 180_000]
    assert [held.open_time_ms for held in cut] == cut.open_time.tolist()
