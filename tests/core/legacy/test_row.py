"""A row of an older deployment as strategy and settings, or the reason why not."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from core.errors import RunnerError
from core.legacy.columns import Table, columns_of
from core.legacy.row import Raw, defined, raw_row, settings, was_active
from core.run import Direction, SizeBy
from core.timeframe import Timeframe

GOOD = {"id": 1, "user_id": "u", "strategy_template": "rsi", "symbol": "BTCUSDT", "timeframe": "5m"}


def read(**columns: Any) -> Raw:
    row = GOOD | columns
    return raw_row(Table(name="bots", columns=columns_of(row)), row)


def take_over(columns: dict[str, Any]) -> None:
    raw = read(**columns)
    was_active(raw)
    defined(raw)
    settings(raw)


@pytest.mark.parametrize("spelled", ["BTCUSDT", "btcusdt", "BTC_USDT", "BTC/USDT", "BTC/USDT:USDT"])
@pytest.mark.parametrize("timeframe", ["60", "1h", "1H"])
def test_symbols_and_timeframes_are_read_in_every_spelling(spelled: str, timeframe: str) -> None:
    what = defined(read(symbol=spelled, timeframe=timeframe))
    assert (what.symbol, what.timeframe) == ("BTCUSDT", Timeframe.H1)


@pytest.mark.parametrize(
    ("columns", "params", "wanted"),
    [
        ({"strategy_template": "RSI-Strategy"}, {"rsiPeriod": "21"}, {"rsi_period": 21}),
        ({"strategy_template": "Bollinger Bands"}, '{"period": 30}', {"period": 30}),
        ({"strategy_template": "emaCrossover"}, {"params": {"fast_period": 5}}, {"fast_period": 5}),
    ],
)
def test_templates_and_their_parameters_are_read(
    columns: dict[str, Any], params: object, wanted: dict[str, int]
) -> None:
    given = defined(read(**columns, strategy_params=params)).parameters
    assert wanted.items() <= given.items()


def test_what_stands_in_the_json_counts_behind_the_columns() -> None:
    row = {
        "id": 7,
        "userId": "u",
        "template": "sma",
        "symbol": "ETHUSDT",
        "config": {"symbol": "BTCUSDT", "interval": "15", "period": 50, "leverage": "3x", "tpPct": "2.5%"},
    }
    raw = raw_row(Table(name="bots", columns=columns_of(row)), row)
    what, how = defined(raw), settings(raw)
    assert (what.symbol, what.timeframe, what.parameters) == ("ETHUSDT", Timeframe.M15, {"period": 50})
    assert (how.leverage, how.take_profit_pct) == (3, Decimal("2.5"))


def test_percentages_and_sizes_are_taken_over() -> None:
    how = settings(
        read(
            order_size_pct=Decimal("12.5"),
            initial_capital_usdt=2_500,
            stop_loss_pct=1.5,
            risk_pct="0.5",
            direction="LONG_ONLY",
            margin_type="CROSSED",
            take_profit_pct=0,
        )
    )
    assert (how.order_size_pct, how.capital, how.risk_pct) == (Decimal("12.5"), 2_500, Decimal("0.5"))
    assert (how.size_by, how.stop_loss_pct, how.take_profit_pct) == (SizeBy.RISK, Decimal("1.5"), None)
    assert (how.direction, how.margin_mode) == (Direction.LONG, "cross")


@pytest.mark.parametrize(
    ("columns", "active"),
    [
        ({"status": "running"}, True),
        ({"status": "ACTIVE"}, True),
        ({"is_active": True}, True),
        ({"running": "t"}, True),
        ({"status": "inactive"}, False),
        ({"is_active": False}, False),
        ({"status": "stopped", "is_active": True}, False),
        ({}, False),
        ({"status": None, "is_active": True, "is_deleted": False}, True),
    ],
)
def test_running_and_is_active_are_active_and_the_rest_is_not(columns: dict[str, Any], active: bool) -> None:
    assert was_active(read(**columns)) is active


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"strategy_template": "python"}, "There is no template 'python'"),
        ({"strategy_template": None}, "names no strategy template"),
        ({"symbol": "BTC-PERP!"}, "is not a symbol"),
        ({"symbol": "BTC/USDT:BTC"}, "is not a symbol"),
        ({"timeframe": "1M"}, "is not a timeframe"),
        ({"timeframe": None}, "has no timeframe"),
        ({"strategy_params": {"magic": 3}}, "There is no parameter 'magic'"),
        ({"strategy_params": "{"}, "are not JSON"),
        ({"strategy_params": [1]}, "no JSON object"),
        ({"leverage": "2.5"}, "no whole number"),
        ({"leverage": 126}, "does not lie in"),
        ({"order_size_pct": 101}, "does not lie in"),
        ({"order_size_pct": -1}, "does not lie in"),
        ({"capital": "NaN"}, "does not lie in"),
        ({"capital": "much"}, "is no number"),
        ({"direction": "sideways"}, "is not one of both"),
        ({"risk_pct": 1}, "has no stop_loss_pct"),
        ({"stop_loss": 95_000}, "may be a price or a percentage"),
        ({"status": "haunted"}, "is not known"),
        ({"status": "archived"}, "was archived there"),
        ({"deleted_at": "2025-01-01"}, "was deleted"),
    ],
)
def test_what_cannot_be_taken_over_says_why(columns: dict[str, Any], reason: str) -> None:
    with pytest.raises(RunnerError) as refusal:
        take_over(columns)
    assert reason in str(refusal.value)
