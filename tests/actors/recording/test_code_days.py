"""A day on which a strategy is code is replayed to the same, without running the code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from msgspec.structs import replace

from actors.recording.day import Day
from actors.recording.entries import TurnEntry
from actors.recording.recording import Recording, find_recording
from actors.sandbox.host import Limits
from actors.sandbox.pool import Pool
from actors.strategy_watch import Shadows
from core.definition import StrategyKind
from core.ids import StrategyId
from core.strategies.code import StrategyCode
from schema.desk import ReviseStrategy
from tests.actors.recording.demo_day import LIMITS, DemoDay, WallClock, WitnessedStore
from tests.actors.recording.test_recorded_days import assert_identical

FOLLOWS = """
def strategy(context):
    closes = [candle["close"] for candle in context["candles"]]
    print("seen", len(closes))
    if context["position"] is None:
        return {"action": "long", "indicators": {"last": closes[-1]}} if closes[-1] > closes[0] else "hold"
    return "exit_long" if closes[-1] < closes[0] else "hold"
"""
FAILS = "def strategy(context):\n    return 1 / (context['candles'][-1]['close'] - context['candles'][-1]['close'])\n"


@pytest.fixture
def pool() -> Iterator[Pool]:
    opened = Pool(Limits(), workers=1)
    opened.start()
    opened.zygote()  # its canaries are over
    yield opened
    opened.close()


def test_a_day_of_strategies_in_python_replays_to_identical_orders_events_and_ticks(
    pool: Pool, tmp_path: Path
) -> None:
    def coded(day: DemoDay) -> None:
        for number, text in ((1, FOLLOWS), (4, FAILS)):
            strategy = day.store.strategy(StrategyId(UUID(int=200 + number)))
            assert strategy is not None
            code = StrategyCode(text=text, lookback=2, min_candles=2, uses_position=True)
            revised = replace(
                strategy,
                version=2,
                kind=StrategyKind.PYTHON,
                template="python",
                source=code.source(),
                parameters={},
            )
            day.store.arrange(ReviseStrategy(definition=revised))

    shadows = Shadows(again=pool.shadow, share_pct=100.0)
    store = WitnessedStore(WallClock(), LIMITS)
    day = DemoDay(store, tmp_path, before=coded, code=pool.ask, shadows=shadows, rate=1_200.0)
    day.let_run(15)
    recording = Recording(find_recording(tmp_path))
    verdict = Day(recording).play()
    assert_identical(verdict)
    own = day.store.orders(run_id=day.runs[0], limit=100)
    assert len(own) >= 2
    turns = [each for each in recording.entries() if isinstance(each, TurnEntry)]
    for name in ("judge", "judge_again"):
        assert sum(call.name == name for turn in turns for call in turn.calls) > 5
