"""A demo on generated candles has a spot market, too: drawn when somebody looks at it, the same in every round."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np

from actors.demo_source import GENERATED, GENERATED_START, demo_source
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.base import candles_of
from exchanges.feeds.looped import LoopedSource
from tests.facade.world import make_settings

DAY = timedelta(days=1)


def test_a_generated_demo_has_spot_beside_its_perpetuals(tmp_path: Path) -> None:
    (tmp_path / "demo" / f"{GENERATED}-before").mkdir(parents=True)  # it has begun without the venue
    made = demo_source(None, tmp_path, make_settings(SYMBOL_WHITELIST="BTCUSDT"))
    assert made.kind == GENERATED
    looped = LoopedSource(made.candles, (GENERATED_START, GENERATED_START + DAY))
    rounds = []
    for market in Market:
        series = Series(venue=made.candles.venue, market=market, symbol="BTCUSDT", timeframe=Timeframe.M5)
        first, again = (
            candles_of(looped, series, start, start + DAY) for start in (looped.start, looped.start + DAY)
        )
        assert len(first) == len(again) == 288
        assert np.array_equal(first.data[1:], again.data[1:])
        rounds.append(first)
    perpetual, spot = rounds
    assert not np.array_equal(perpetual.taker_buy_volume, spot.taker_buy_volume)
    assert np.abs(spot.close / perpetual.close - 1).max() < 0.001
