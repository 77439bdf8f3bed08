"""What Bybit's public answers and stream messages say beyond the recorded ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ImpossibleVenueData, RunnerError
from core.timeframe import Timeframe
from exchanges.bybit import public
from exchanges.bybit.wire import FundingRateRow, RiskTier, Ticker
from tests.exchanges.fixtures import entries

KLINE = entries("bybit", "ws_market")["kline"]["payload"]
TRADE = entries("bybit", "ws_market")["public_trade"]["payload"]


def message(payload: dict[str, Any], **changes: Any) -> bytes:
    """Without spaces, as the venue writes it."""
    told = payload | {"data": [payload["data"][0] | changes]}
    return json.dumps(told, separators=(",", ":")).encode()


def test_a_candle_is_told_once_it_is_confirmed() -> None:
    assert public.closed_candles(message(KLINE)) == []
    (candle,) = public.closed_candles(message(KLINE, confirm=True))
    assert candle.row()[:6] == (1672324800000, 16649.5, 16677, 16608, 16677, 2.081)


def test_of_two_candles_in_a_message_the_closed_one_is_told() -> None:
    row = KLINE["data"][0]
    both = KLINE | {"data": [row | {"confirm": True}, row | {"start": row["start"] + 300_000}]}
    told = json.dumps(both, separators=(",", ":")).encode()
    assert [candle.open_time_ms for candle in public.closed_candles(told)] == [row["start"]]


@pytest.mark.parametrize("changes", [{"open": "x"}, {"volume": ""}])
def test_a_closed_candle_with_a_number_that_is_none_cannot_be(changes: dict[str, str]) -> None:
    with pytest.raises(ImpossibleVenueData):
        public.closed_candles(message(KLINE, confirm=True, **changes))


@pytest.mark.parametrize("changes", [{"p": "-1"}, {"v": "NaN"}, {"S": "Neither"}, {"T": 5}])
def test_a_trade_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ImpossibleVenueData):
        public.stream_trades(message(TRADE, **changes))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused_by_name(body: bytes) -> None:
    for read in (public.closed_candles, public.stream_trades, public.candle_columns):
        try:
            read(body)
        except RunnerError:
            continue


def test_topics_are_named_as_the_venue_does() -> None:
    assert public.kline_topic("BTCUSDT", Timeframe.H4) == "kline.240.BTCUSDT"
    assert public.trade_topic("BTCUSDT") == "publicTrade.BTCUSDT"


def test_funding_rates_come_oldest_first() -> None:
    rows = [
        FundingRateRow(symbol="S", funding_rate="-0.0002", funding_rate_timestamp="1672041600000"),
        FundingRateRow(symbol="S", funding_rate="0.0001", funding_rate_timestamp="1672012800000"),
    ]
    rates = public.funding_rates(rows)
    assert [rate.rate for rate in rates] == [Decimal("0.0001"), Decimal("-0.0002")]
    assert rates[0].at == datetime(2022, 12, 26, tzinfo=UTC)


def test_leverage_tiers_come_smallest_first() -> None:
    rows = [
        RiskTier(symbol="S", risk_limit_value="4000000", max_leverage="50", maintenance_margin="0.01"),
        RiskTier(symbol="S", risk_limit_value="2000000", max_leverage="100.00", maintenance_margin=""),
    ]
    tiers = public.leverage_tiers(rows)
    assert [(tier.up_to, tier.max_leverage) for tier in tiers] == [(2000000, 100), (4000000, 50)]
    assert [tier.maintenance_rate for tier in tiers] == [None, Decimal("0.01")]


def test_a_mark_price_that_is_absent_is_not_0() -> None:
    with pytest.raises(ImpossibleVenueData):
        public.mark_price(Ticker(symbol="S", mark_price=""))
