"""Every template on the fast path, over weeks of generated and recorded candles, against the actors."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from actors.backtest import BacktestRequest, ReplayPath, run_backtest
from core.risk import RiskLimits
from core.run import Direction, RunSettings
from core.timeframe import Timeframe
from exchanges.feeds.base import CandleSource
from exchanges.feeds.files import FolderCandles
from exchanges.feeds.generator import GeneratedMarket
from tests.actors.fast_path.cases import Case, assert_equal, both
from tests.conftest import recorded_data_folder
from tests.core.templates import ARRAY_TEMPLATES

SYMBOL = "BTCUSDT"
DAYS = int(os.environ.get("RUNNER_FAST_PATH_DAYS", "8"))

ORIGINS = ["generated", pytest.param("recorded", marks=pytest.mark.requires_recorded_data)]

SETTINGS = {
    "long, gates": (RunSettings(direction=Direction.LONG), RiskLimits()),
    "both, leverage, stop and target, no gates": (
        RunSettings(leverage=10, stop_loss_pct=Decimal("0.7"), take_profit_pct=Decimal("1.1")),
        None,
    ),
}


def source_of(origin: str) -> tuple[CandleSource, datetime]:
    if origin == "generated":
        return GeneratedMarket(11), datetime(2026, 2, 1, tzinfo=UTC)
    folder = recorded_data_folder()
    assert folder is not None
    source = FolderCandles(folder)
    coverage = source.coverage(SYMBOL, Timeframe.M5)
    assert coverage is not None
    return source, coverage.start


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("template", ARRAY_TEMPLATES)
@pytest.mark.parametrize("origin", ORIGINS)
def test_every_template_comes_to_the_same_on_both_paths(origin: str, template: str, settings: str) -> None:
    source, start = source_of(origin)
    run, limits = SETTINGS[settings]
    request = BacktestRequest(
        template=template,
        symbol=SYMBOL,
        timeframe=Timeframe.M15,
        start=start,
        end=start + timedelta(days=DAYS),
        settings=run,
        limits=limits,
        slippage_pct=Decimal("0.01"),
    )
    fast, actors = both(Case(request=request, source=source))
    assert fast.trades or fast.open_position
    assert_equal(fast, actors)


def test_what_only_the_actors_follow_is_replayed_by_them_and_said() -> None:
    """An exit larger than the candle's volume is tried again and again; the fast path leaves that alone."""
    request = BacktestRequest(
        template="sma_trend",
        symbol=SYMBOL,
        timeframe=Timeframe.M15,
        start=datetime(2026, 2, 1, tzinfo=UTC),
        end=datetime(2026, 2, 3, tzinfo=UTC),
        settings=RunSettings(capital=Decimal(100_000_000)),
        limits=None,
    )
    result = run_backtest(request, GeneratedMarket(11))
    assert result.path is ReplayPath.ACTORS
    assert result.path_reason is not None
    assert "not filled whole" in result.path_reason
