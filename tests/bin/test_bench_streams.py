"""What `bench streams` stands on: slots that are all alike, and ratios that say how far chance goes."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import numpy as np
import pytest

from bin.commands.bench_streams_world import TEMPLATES, TRADING, market
from bin.commands.bench_stretches import compared, percentile, twice_the_same
from core.candles import CandleColumns
from core.parameters import check_parameters
from core.signal import Action
from core.strategies import template
from core.strategies.template import Template
from core.strategy import ACTION_CODES, ActionCodes


def signals_of(candles: CandleColumns, name: str, given: Mapping[str, object]) -> ActionCodes:
    strategy = template(name)
    assert isinstance(strategy, Template)
    return strategy.signals(candles, check_parameters(strategy.specs, given))


def test_one_strategy_turns_at_every_slot_at_a_profit_and_the_others_hold() -> None:
    candles = market()
    trading, *holding = [signals_of(candles, name, given)[250:] for name, given in TEMPLATES]
    assert len(holding) == TRADING - 1
    turns = trading != np.roll(trading, 1)
    assert turns[1:].all()
    assert set(trading) == {ACTION_CODES[Action.LONG], ACTION_CODES[Action.SHORT]}
    assert not any(codes.any() for codes in holding)
    opens = candles.open[251:]  # where an order of a slot is filled
    bought, sold = (
        opens[trading[:-1] == ACTION_CODES[Action.LONG]],
        opens[trading[:-1] == ACTION_CODES[Action.SHORT]],
    )
    assert max(bought) * 1.002 < min(sold)  # more than both fees and slippage


@pytest.mark.parametrize(("share", "is_"), [(0.5, 5.0), (0.99, 10.0), (0.1, 1.0), (1.0, 10.0)])
def test_a_percentile_is_the_smallest_figure_that_share_does_not_exceed(share: float, is_: float) -> None:
    assert percentile([float(number) for number in (3, 1, 2, 10, 9, 8, 7, 6, 5, 4)], share) == is_


def stretches(seed: int, *, times: float = 1.0) -> list[list[float]]:
    random = Random(seed)
    return [[times * random.lognormvariate(0.0, 0.3) for _ in range(100)] for _ in range(16)]


def test_the_same_twice_has_one_between_its_ends_and_what_is_slower_lies_beyond_them() -> None:
    alone = stretches(1)
    same, slower = compared(stretches(2), alone), compared(stretches(2, times=1.5), alone)
    assert same.low < 1.0 < same.high
    assert slower.low > 1.3
    by_chance = twice_the_same(alone)
    assert by_chance.low < 1.0 < by_chance.high < slower.low
