"""Sums by second: exact, bounded to a day, and each known to be whole or not."""

from __future__ import annotations

import csv
import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ImpossibleVenueData
from core.public_trade import PublicTrade, check_trade
from core.trade_flow import FURTHEST_AHEAD_MS, SPAN_S, UNITS, TradeFlow

T0 = 1_700_000_000_000
FAR = T0 * 2


def trade(at_ms: int, quantity: str = "1", *, price: str = "10", bought: bool = True) -> PublicTrade:
    return PublicTrade("BTCUSDT", 0, at_ms, Decimal(price), Decimal(quantity), bought)


def flow(*trades: PublicTrade, now_ms: int = FAR) -> TradeFlow:
    made = TradeFlow(lambda: now_ms)
    for each in trades:
        made.add(each)
    return made


def test_a_second_holds_what_takers_bought_and_sold_in_it() -> None:
    told = flow(
        trade(T0, "0.1"),
        trade(T0 + 1_000, "0.00000001", price="28165.47"),
        trade(T0 + 1_400, "2", bought=False, price="3"),
        trade(T0 + 1_999, "0.5", price="4.25"),
        trade(T0 + 3_000),
    ).columns(T0 + 1_000, T0 + 3_000)
    assert told.first_ms == T0 + 1_000
    assert told.buy.tolist() == [50_000_001, 0]
    assert told.sell.tolist() == [2 * UNITS, 0]
    assert told.buy_quote.tolist() == [212_528_165, 0]  # 2.125 + 0.0002816547, rounded there once
    assert told.sell_quote.tolist() == [6 * UNITS, 0]
    assert told.delta.tolist() == [50_000_001 - 2 * UNITS, 0]
    assert told.price.tolist() == [425_000_000, 425_000_000], "it stands where nobody trades"
    assert told.trades.tolist() == [3, 0]
    assert told.is_whole


def test_the_first_and_the_latest_second_are_not_whole_and_what_lies_outside_is_unknown() -> None:
    told = flow(trade(T0 + 1_500), trade(T0 + 3_500)).columns(T0, T0 + 6_000)
    assert told.complete.tolist() == [False, False, True, False, False, False]
    assert told.trades.tolist() == [0, 1, 0, 1, 0, 0]


def test_silence_makes_the_latest_second_whole() -> None:
    made = flow(trade(T0 + 500), trade(T0 + 1_500))
    made.quiet_until(T0 + 3_999)
    assert made.columns(T0, T0 + 5_000).complete.tolist() == [False, True, True, False, False]


def test_a_gap_leaves_every_second_it_touches_incomplete_for_good() -> None:
    made = flow(*(trade(T0 + 1_000 * number) for number in range(4)))
    made.lost(T0 + 3_900, T0 + 5_100)
    for number in range(5, 9):
        made.add(trade(T0 + 1_000 * number + 500))
    complete = made.columns(T0, T0 + 9_000).complete.tolist()
    assert complete == [False, True, True, False, False, False, True, True, False]


def test_a_trade_told_late_is_added_to_its_own_second() -> None:
    made = flow(trade(T0), trade(T0 + 2_000), trade(T0 + 1_999, "5"), trade(T0 + 2_001, "3"))
    assert made.columns(T0, T0 + 3_000).buy.tolist() == [UNITS, 5 * UNITS, 4 * UNITS]


def test_a_day_is_kept_and_what_is_older_is_gone() -> None:
    made = flow(trade(T0), trade(T0 + 1_000, "7"), trade(T0 + 1_000 * SPAN_S, "2"))
    told = made.columns(T0, T0 + 1_000 * (SPAN_S + 1))
    assert len(told.buy) == SPAN_S
    assert (told.first_ms, told.buy[0], told.buy[-1]) == (T0 + 1_000, 7 * UNITS, 2 * UNITS)
    made.add(trade(T0 + 1_000 * (SPAN_S + 1)))
    assert not made.columns(T0, T0 + 2_000).buy.any()
    made.add(trade(T0))  # older than is kept
    assert made.columns(T0 + 2_000, T0 + 1_000 * (SPAN_S + 2)).trades.sum() == 2


def test_a_trade_of_the_far_future_cannot_be_and_moves_nothing() -> None:
    made = flow(trade(T0), now_ms=T0)
    made.add(trade(T0 + FURTHEST_AHEAD_MS))
    with pytest.raises(ImpossibleVenueData):
        made.add(trade(T0 + FURTHEST_AHEAD_MS + 1_000))
    assert made.columns(T0, T0 + 1_000).buy.tolist() == [UNITS]


def test_a_volume_no_market_can_have_makes_its_second_incomplete() -> None:
    made = flow(trade(T0), trade(T0 + 1_000, "9E11"), trade(T0 + 2_000), trade(T0 + 3_000))
    told = made.columns(T0 + 1_000, T0 + 3_000)
    assert (told.buy.tolist(), told.complete.tolist()) == ([0, UNITS], [False, True])


@pytest.mark.parametrize(
    "changes",
    [{"price": "0"}, {"price": "-1"}, {"price": "NaN"}, {"price": "sNaN"}, {"quantity": "Infinity"},
     {"quantity": "1E12"}, {"quantity": "0"}, {"at_ms": 0}, {"at_ms": 10**15}],
)  # fmt: skip
def test_a_trade_with_numbers_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ImpossibleVenueData):
        check_trade(trade(**{"at_ms": T0, **changes}))


@given(
    st.lists(
        st.tuples(
            st.integers(0, 5_000), st.decimals("0.00000001", 1000, places=8), st.booleans(), st.booleans()
        ),
        min_size=1,
        max_size=60,
    )
)
def test_law_columns_are_the_exact_sums_of_the_trades_however_often_they_are_looked_at(
    drawn: list[tuple[int, Decimal, bool, bool]],
) -> None:
    made, expected, at_ms = flow(), dict[int, int](), T0
    for after_ms, quantity, bought, is_looked_at in drawn:
        at_ms += after_ms
        made.add(trade(at_ms, str(quantity), bought=bought))
        second = at_ms // 1_000
        expected[second] = expected.get(second, 0) + int(quantity * UNITS) * (1 if bought else -1)
        if is_looked_at:
            made.columns(T0, at_ms)
    told = made.columns(T0, at_ms + 1_000)
    assert {T0 // 1_000 + number: delta for number, delta in enumerate(told.delta.tolist()) if delta} == {
        second: delta for second, delta in expected.items() if delta
    }
    assert told.trades.sum() == len(drawn)


@pytest.mark.requires_recorded_data
@pytest.mark.parametrize("number", range(5))
def test_recorded_tapes_give_the_reference_cvd(number: int, recorded_data: Path) -> None:
    """To the last decimal, minute by minute, with each minute's last price and count."""
    case = json.loads((recorded_data / "reference_cvd.json").read_text())["tick_cases"][number]
    made = TradeFlow(lambda: FAR)
    with gzip.open(recorded_data / case["file"], "rt") as file:
        for row in csv.DictReader(file):
            if row.get("exec_type", "") not in ("", "MARKET", None):
                continue
            at_ms = int(row.get("time") or row["transact_time"])
            quantity, bought = Decimal(row.get("qty") or row["quantity"]), row["is_buyer_maker"] == "false"
            made.add(PublicTrade("S", 0, at_ms, Decimal(row["price"]), quantity, bought))
    for bucket in case["buckets_1m"]:
        told = made.columns(bucket["open_time"], bucket["open_time"] + 60_000)
        assert Decimal(int(told.delta.sum())) / UNITS == Decimal(bucket["delta"])
        assert Decimal(int(told.buy.sum())) / UNITS == Decimal(bucket["taker_buy_volume"])
        assert Decimal(int(told.price[-1])) / UNITS == Decimal(bucket["close"])
        assert told.trades.sum() == bucket["trades"]
