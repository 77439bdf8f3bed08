"""A day on which a strategy looks at another venue's candles is replayed to the same, those that are missing too."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec
from msgspec.structs import replace

from actors.feed import HeldFeed
from actors.recording.day import Day
from actors.recording.entries import TurnEntry
from actors.recording.recording import Recording, find_recording
from core.definition import StrategyKind
from core.ids import StrategyId
from core.market import Market, Series
from core.timeframe import Timeframe
from exchanges.feeds.base import ColumnSource
from schema.desk import ReviseStrategy
from tests.actors.candles import scripted
from tests.actors.recording.demo_day import LIMITS, PATH, DemoDay, WallClock, WitnessedStore
from tests.actors.recording.test_recorded_days import assert_identical
from tests.core.strategies.graph.cases import graph, node


def two_venues() -> ColumnSource:
    """Bybit has one of the two symbols, a little above and below in turn."""
    here, there = scripted(PATH), scripted(PATH, price=1_005.0, step=9.0)
    held = {("binance", "BTCUSDT"): here, ("binance", "ETHUSDT"): here, ("bybit", "BTCUSDT"): there}
    series = {
        Series(venue=venue, market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1): columns
        for (venue, symbol), columns in held.items()
    }
    return ColumnSource(origin="scripted", venue="binance", series=series)


def looking_at_bybit(day: DemoDay) -> None:
    """Ann's strategies, on the symbol that Bybit has and on the one it has not."""
    nodes = [node("here", "data_source"), node("there", "data_source", venue="bybit")]
    nodes += [
        node("dearer", "compare", op=">"),
        node("cheaper", "compare", op="<"),
        node("end", "orchestrator"),
    ]
    edges = [
        "there.close > dearer.a",
        "here.close > dearer.b",
        "there.close > cheaper.a",
        "here.close > cheaper.b",
    ]
    text = msgspec.json.encode(graph(nodes, *edges, "dearer > end.entry_long", "cheaper > end.entry_short"))
    for number in (1, 2):
        strategy = day.store.strategy(StrategyId(UUID(int=200 + number)))
        assert strategy is not None
        revised = replace(
            strategy,
            version=2,
            kind=StrategyKind.GRAPH,
            template="graph",
            source=text.decode(),
            parameters={},
        )
        day.store.arrange(ReviseStrategy(definition=revised))


def test_a_day_with_another_venues_windows_replays_to_identical_orders_events_and_ticks(
    tmp_path: Path,
) -> None:
    day = DemoDay(
        WitnessedStore(WallClock(), LIMITS),
        tmp_path,
        before=looking_at_bybit,
        make_feed=lambda _, span, clock: HeldFeed(two_venues(), span),
    )
    day.let_run(2)
    recording = Recording(find_recording(tmp_path))
    assert_identical(Day(recording).play())
    turns = [each for each in recording.entries() if isinstance(each, TurnEntry)]
    assert any(each.type == "FetchFailed" for each in turns)
    assert day.store.orders(run_id=day.runs[0], limit=100)
    reasons = {
        (str(tick.status), str(tick.reason)) for tick in day.store.ticks(run_id=day.runs[1], limit=100)
    }
    assert ("skipped", "no_candles") in reasons
