"""Volume delta from candles and from seconds of trades: the same, and the reference's to the last digit."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.candles import CandleColumns, check
from core.public_trade import PublicTrade
from core.timeframe import Timeframe
from core.trade_flow import UNITS, TradeFlow
from core.volume_delta import candles_of_seconds, cumulative_delta, volume_delta
from exchanges.feeds.candle_file import read_candle_file

T0 = 1_767_225_600_000
FAR = 10**14
MINUTE_MS = 60_000


def trade(at_ms: int, quantity: str = "1", *, bought: bool = True, price: str = "100") -> PublicTrade:
    return PublicTrade("BTCUSDT", 0, at_ms, Decimal(price), Decimal(quantity), bought)


def flow_of(*trades: PublicTrade) -> TradeFlow:
    flow = TradeFlow(lambda: FAR)
    flow.add(trade(T0 - 2_000))  # so that the first whole second lies before the trades looked at
    for each in trades:
        flow.add(each)
    return flow


def made(flow: TradeFlow, start_ms: int, end_ms: int) -> CandleColumns:
    return candles_of_seconds(flow.columns(start_ms, end_ms), Timeframe.M1)


def test_candles_are_made_of_whole_seconds_alone() -> None:
    flow = flow_of(
        trade(T0 + 500, "3", price="101"),
        trade(T0 + 59_000, "1", bought=False, price="99"),
        trade(T0 + 61_000, "2"),
        trade(T0 + 200_000),
    )
    flow.lost(T0 + 130_000, T0 + 131_000)
    candles = made(flow, T0 - MINUTE_MS, T0 + 4 * MINUTE_MS)
    assert candles.open_time.tolist() == [T0, T0 + MINUTE_MS], (
        "not the one with a hole, nor the one still open"
    )
    check(candles, Timeframe.M1)
    assert [candles.candle(0).open, candles.candle(0).low, candles.candle(0).close] == [101.0, 99.0, 99.0]
    assert (candles.volume.tolist(), candles.taker_buy_volume.tolist()) == ([4.0, 2.0], [3.0, 2.0])
    assert (volume_delta(candles) / UNITS).tolist() == [2.0, 2.0]


def test_less_than_a_candle_is_none() -> None:
    assert len(made(flow_of(trade(T0)), T0, T0 + 59_000)) == 0


def test_where_nothing_is_told_of_takers_there_is_no_delta() -> None:
    candles = np.array([[T0], [1.0], [1.0], [1.0], [1.0], [5.0], [np.nan]])
    assert np.isnan(volume_delta(CandleColumns(candles))).all()


@given(
    st.lists(
        st.tuples(st.integers(0, 40_000), st.decimals("0.00000001", 1000, places=8), st.booleans()),
        min_size=1,
        max_size=40,
    )
)
def test_law_both_forms_tell_the_same_delta_by_candle(drawn: list[tuple[int, Decimal, bool]]) -> None:
    trades, expected, at_ms = [], dict[int, Decimal](), T0
    for after_ms, quantity, bought in drawn:
        at_ms += after_ms
        trades.append(trade(at_ms, str(quantity), bought=bought))
        opened = at_ms - at_ms % MINUTE_MS
        expected[opened] = expected.get(opened, Decimal(0)) + (quantity if bought else -quantity)
    end_ms = at_ms - at_ms % MINUTE_MS
    candles = made(flow_of(*trades), T0 - MINUTE_MS, end_ms)
    assert candles.open_time.tolist() == list(range(T0, end_ms, MINUTE_MS))
    told = [Decimal(int(delta)) / UNITS for delta in volume_delta(candles)]
    assert told == [expected.get(int(at), Decimal(0)) for at in candles.open_time]


@pytest.mark.requires_recorded_data
@pytest.mark.parametrize("number", range(4))
def test_recorded_candles_give_the_reference_cvd(number: int, recorded_data: Path) -> None:
    """To the last decimal, candle by candle."""
    case = json.loads((recorded_data / "reference_cvd.json").read_text())["bar_cases"][number]
    candles = read_candle_file(recorded_data / case["file"]).columns.part(case["row_start"], case["row_end"])
    deltas, cvd = volume_delta(candles), cumulative_delta(candles)
    for place, (opened, delta, running) in enumerate(case["rows"]):
        assert candles.open_time[place] == opened
        assert Decimal(int(deltas[place])) / UNITS == Decimal(delta)
        assert Decimal(repr(float(cvd[place]))) == Decimal(running)


@pytest.mark.requires_recorded_data
@pytest.mark.parametrize("number", range(5))
def test_recorded_tapes_become_candles_with_the_reference_cvd(number: int, recorded_data: Path) -> None:
    """The whole minutes of each tape, through the same function as history's candles."""
    case = json.loads((recorded_data / "reference_cvd.json").read_text())["tick_cases"][number]
    flow = TradeFlow(lambda: FAR)
    with gzip.open(recorded_data / case["file"], "rt") as file:
        for row in csv.DictReader(file):
            if row.get("exec_type", "") not in ("", "MARKET", None):
                continue
            quantity, bought = Decimal(row.get("qty") or row["quantity"]), row["is_buyer_maker"] == "false"
            at_ms = int(row.get("time") or row["transact_time"])
            flow.add(PublicTrade("S", 0, at_ms, Decimal(row["price"]), quantity, bought))
    buckets = case["buckets_1m"][1:-1]  # the first and the last may be partial
    candles = made(flow, buckets[0]["open_time"] - MINUTE_MS, buckets[-1]["open_time"] + 2 * MINUTE_MS)
    deltas = dict(zip(candles.open_time.tolist(), volume_delta(candles).tolist(), strict=True))
    for bucket in buckets:
        assert Decimal(int(deltas[bucket["open_time"]])) / UNITS == Decimal(bucket["delta"])
