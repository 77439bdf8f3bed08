"""Windows of another venue than the strategy's own, through the whole application: Bybit's candles beside Binance's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from actors.backtest import BacktestRequest, run_backtest
from actors.feed import LiveFeed
from actors.messages import RowsChanged, TickRequested
from actors.sandbox.warm import WarmSandbox
from core.candles import Candle, CandleColumns
from core.definition import StrategyDefinition, StrategyKind
from core.errors import RunnerError
from core.ids import StrategyId, UserId
from core.market import Market, Series
from core.strategies.declaration import declared_code
from core.timeframe import Timeframe, to_ms
from exchanges.binance.market_feed import BinanceCandles
from exchanges.feeds.archive import store_columns
from exchanges.feeds.base import CandleSource, ColumnSource, NoCandles, candles_of
from exchanges.feeds.candle_streams import CandleStreams
from exchanges.feeds.files import FolderCandles, file_source
from exchanges.feeds.generator import GeneratedMarket
from exchanges.feeds.live_candles import LiveCandles
from exchanges.feeds.looped import LoopedSource
from schema.records import TickRow
from tests.actors.candles import START, SYMBOL
from tests.actors.test_further_windows import BASE, BOTH, executions
from tests.actors.world import World
from tests.core.strategies.graph.cases import graph, node
from tests.exchanges.feeds.streamed import Rest, candle
from tests.fakes.loop_clock import LoopClock

DEARER = 10.0
BEFORE = timedelta(hours=2)
HOURS = timedelta(hours=3)
PYTHON = """
LOOKBACK = 3
WINDOWS = {"there": {"venue": "bybit"}, "quarters": {"venue": "bybit", "timeframe": "15m", "lookback": 2}}

def strategy(context):
    there, quarters = context.extra.there, context.extra.quarters
    return {"action": "long" if there[-1].close > context.price else "short",
            "indicators": {"apart": there[-1].close - context.price, "opened": there[-1].open_time,
                           "quarter": quarters[-1].close}}
"""
WINDOWS = {"there": {"venue": "bybit"}, "quarters": {"venue": "bybit", "timeframe": "15m", "lookback": 2}}
GRAPH = msgspec.json.encode(
    graph(
        [
            node("here", "data_source"),
            node("there", "data_source", venue="bybit"),
            node("dearer", "compare", op=">"),
            node("cheaper", "compare", op="<"),
            node("end", "orchestrator"),
        ],
        "there.close > dearer.a",
        "here.close > dearer.b",
        "there.close > cheaper.a",
        "here.close > cheaper.b",
        "dearer > end.entry_long",
        "cheaper > end.entry_short",
    )
).decode()
SOURCES = {
    StrategyKind.PYTHON: declared_code(PYTHON, {"LOOKBACK": 3, "WINDOWS": WINDOWS}).source(),
    StrategyKind.GRAPH: GRAPH,
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[WarmSandbox]:
    with WarmSandbox() as started:
        yield started


def series(venue: str, timeframe: Timeframe = BASE) -> Series:
    return Series(venue=venue, market=Market.PERP, symbol=SYMBOL, timeframe=timeframe)


def drawn(venue: str, until: timedelta = HOURS) -> CandleColumns:
    return candles_of(GeneratedMarket(5), series(venue), START - BEFORE, START + until)


def held(until: timedelta = HOURS, *, venue: str = "binance", **more: CandleColumns) -> ColumnSource:
    columns = {each: drawn(each, until) for each in ("binance", "bybit")} | more
    return ColumnSource(
        origin="drawn",
        venue=venue,
        series={series(each): columns[each] for each in columns if len(columns[each])},
    )


def world_of(source: CandleSource, kind: StrategyKind, sandbox: WarmSandbox, *, replayed: bool) -> World:
    own = candles_of(source, series(source.venue), START - BEFORE, START + HOURS)
    world = World("", timeframe=BASE, columns=own, replayed=replayed)
    world.candles, world.code = source, sandbox.ask
    definition = StrategyDefinition(
        id=StrategyId(world.id()),
        owner_id=UserId("owner"),
        name="two venues",
        template=kind.value,
        parameters={},
        symbol=SYMBOL,
        timeframe=BASE,
        kind=kind,
        source=SOURCES[kind],
        venue=source.venue,
    )
    world.memory.create_strategy(definition)
    world.run("bob", strategy=definition)
    return world


def ticks(world: World) -> list[TickRow]:
    return [row for what, answer in world.calls if what == "store.report" for row in answer[0][0].ticks]


def told(world: World) -> list[tuple[datetime, str | None, Mapping[str, float]]]:
    world.to(START + timedelta(minutes=50, seconds=30))
    return [(row.slot, row.action, dict(row.indicators)) for row in executions(world)]


@pytest.mark.parametrize("kind", SOURCES)
def test_i10_another_venues_window_is_the_same_live_and_in_replay_and_ends_at_the_slot(
    sandbox: WarmSandbox, kind: StrategyKind
) -> None:
    """I10: at every slot what that venue's candles say that closed there; a cut future changes nothing before it."""
    live = told(world_of(held(), kind, sandbox, replayed=False))
    assert told(world_of(held(), kind, sandbox, replayed=True)) == live
    assert told(world_of(held(timedelta(hours=1)), kind, sandbox, replayed=True)) == live
    assert len(live) == 10
    here, there = drawn("binance"), drawn("bybit")
    for slot, action, indicators in live:
        at = here.open_time == to_ms(slot) - BASE.ms
        apart = (there.close[at] - here.close[at])[0]
        equal = "short" if kind is StrategyKind.PYTHON else "hold"
        assert action == ("long" if apart > 0 else "short" if apart < 0 else equal), slot
        if kind is StrategyKind.PYTHON:
            assert indicators["apart"] == apart
            assert indicators["opened"] == to_ms(slot) - BASE.ms
    assert {"long", "short"} <= {action for _, action, _ in live}


@pytest.mark.parametrize("kind", SOURCES)
def test_i10_a_run_at_the_other_venue_has_those_candles_as_its_own(
    sandbox: WarmSandbox, kind: StrategyKind
) -> None:
    """The same content on the same candles by another name, and nothing of Binance's."""
    world = world_of(held(venue="bybit", binance=drawn("binance").part(0, 0)), kind, sandbox, replayed=False)
    assert [slot for slot, _, _ in told(world)] == [START + BASE.delta * number for number in range(1, 11)]
    if kind is StrategyKind.PYTHON:
        assert {indicators["apart"] for _, _, indicators in told(world)} == {0.0}


def late(source: ColumnSource, world: World, delay_s: int) -> None:
    """The candle that closes at the first slot comes that much later."""
    beside, closes = source.in_venue("bybit"), START + BASE.delta
    assert beside is not None
    given = beside.candles

    def candles(symbol: str, timeframe: Timeframe, start: datetime, end: datetime) -> CandleColumns:
        found = given(symbol, timeframe, start, end)
        if world.clock.now() >= closes + timedelta(seconds=delay_s):
            return found
        return found.between(0, to_ms(closes) - timeframe.ms)

    beside.candles = candles  # type: ignore[method-assign]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(("delay_s", "outcome"), [(3, ("ok", None)), (60, ("skipped", "no_candles"))])
def test_i9_another_venues_late_candle_is_waited_for_until_the_candle_deadline_and_named_then(
    sandbox: WarmSandbox, kind: StrategyKind, delay_s: int, outcome: tuple[str, str | None]
) -> None:
    source = held()
    world = world_of(source, kind, sandbox, replayed=False)
    late(source, world, delay_s)
    world.to(START + BASE.delta + timedelta(seconds=40))
    [run] = [run.id for run in world.memory.runs()]
    [(_, status, reason)] = world.outcomes(run)
    assert (status, reason if status != "ok" else None) == outcome
    [row] = executions(world)
    named = "perp BTCUSDT 5m of bybit"
    assert (row.status.value, row.error) == (("success", None) if status == "ok" else ("skipped", named)), (
        "the history names the series"
    )
    [tick] = ticks(world)
    assert tick.evaluation is not None
    assert tick.evaluation.hex == row.evaluation_key[:32]


def test_i20_a_slot_whose_further_candles_came_too_late_is_evaluated_for_who_asks_then(
    sandbox: WarmSandbox,
) -> None:
    """I20: it left a row, and no evaluation that a later asker would be told."""
    source = held()
    world = world_of(source, StrategyKind.GRAPH, sandbox, replayed=False)
    late(source, world, 60)
    world.to(START + BASE.delta * 2 + timedelta(seconds=20))
    [strategy] = [run.strategy for run in world.memory.runs()]
    operators = world.run("ann", strategy=strategy)
    world.system.ref("runs").tell(RowsChanged())
    world.wait(5)
    world.system.ref("scheduler").tell(TickRequested(run_id=operators, slot=START + BASE.delta))
    world.wait(30)
    skipped, _, done = executions(world)
    assert (skipped.status.value, skipped.reason, done.status.value) == ("skipped", "no_candles", "success")
    assert skipped.slot == done.slot
    named = [tick.evaluation.hex for tick in ticks(world) if tick.slot == done.slot and tick.evaluation]
    assert named == [row.evaluation_key[:32] for row in (skipped, done)]


class Rested(LiveFeed):
    """Over REST alone."""

    async def follow(self) -> None:
        """Nobody hears the streams."""


class WorldClock(LoopClock):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def now(self) -> datetime:
        return self._world.clock.now()


class Up(Rest):
    """Dearer with every candle."""

    def _candle(self, number: int, timeframe: Timeframe) -> Candle:
        price = 1_000.0 + number % 100 + self._dearer
        return candle(number, timeframe, price=price)


class Binance(Up):
    venue, name = "binance", "Binance"


class Bybit(Up):
    venue, name = "bybit", "Bybit"


@pytest.mark.parametrize(("own", "apart"), [("binance", DEARER), ("bybit", 0.0)])
@pytest.mark.parametrize("kind", SOURCES)
def test_a_live_process_looks_at_the_other_venues_public_candles_without_an_account_there(
    sandbox: WarmSandbox, kind: StrategyKind, own: str, apart: float
) -> None:
    """The feed of a live process, over both venues."""
    world = world_of(held(venue=own), kind, sandbox, replayed=False)
    clock = WorldClock(world)
    streams = CandleStreams(BinanceCandles("ws://127.0.0.1:1"), clock=clock, sleep=clock.sleep)
    rests = Binance(clock), Bybit(clock, dearer=DEARER)
    world.live_feed = Rested([LiveCandles(rest, streams) for rest in rests], (SYMBOL,))
    rows = told(world)
    assert len(rows) == 10
    assert {row.error for row in executions(world)} == {None}
    assert all(rest.asked > 0 for rest in rests if rest.venue in (own, "bybit"))
    if kind is StrategyKind.PYTHON:
        assert {indicators["apart"] for _, _, indicators in rows} == {apart}


@BOTH
def test_another_venues_window_that_is_too_short_skips_the_slot_and_is_named(
    sandbox: WarmSandbox, replayed: bool
) -> None:
    young = drawn("bybit").between(to_ms(START), to_ms(START + HOURS))
    world = world_of(held(bybit=young), StrategyKind.PYTHON, sandbox, replayed=replayed)
    world.to(START + BASE.delta + timedelta(seconds=30))
    assert [row.reason for row in executions(world)] == ["too_few_candles"]
    [row] = executions(world)
    assert row.error is not None
    assert row.error.startswith("perp BTCUSDT 5m of bybit: 1 candles of 3, enough from ")


@pytest.mark.parametrize("kind", SOURCES)
def test_a_replay_without_the_other_venues_candles_says_which_are_missing(kind: StrategyKind) -> None:
    request = BacktestRequest(
        template=kind.value, kind=kind, source=SOURCES[kind], symbol=SYMBOL, timeframe=BASE, limits=None
    )
    only = ColumnSource(origin="drawn", venue="binance", series={series("binance"): drawn("binance")})
    with pytest.raises(RunnerError, match="no candles of BTCUSDT of bybit beside these, drawn"):
        run_backtest(request, only)


# -- sources ----------------------------------------------------------------------------------------


def folder(tmp_path: Path) -> FolderCandles:
    for venue in ("binance", "bybit"):
        store_columns(drawn(venue), series(venue), tmp_path)
    return FolderCandles(tmp_path)


def files(tmp_path: Path) -> CandleSource:
    folder(tmp_path)
    return file_source(sorted(tmp_path.glob("*.csv*")), symbol=SYMBOL)


@pytest.mark.parametrize("of", [lambda _: held(), folder, files], ids=["columns", "folder", "files"])
def test_every_held_source_tells_venues_apart(of: Callable[[Path], CandleSource], tmp_path: Path) -> None:
    source = of(tmp_path)
    assert source.venue == "binance"
    for venue in ("binance", "bybit"):
        found = candles_of(source, series(venue), START, START + HOURS)
        assert np.array_equal(found.data, drawn(venue).between(to_ms(START), to_ms(START + HOURS)).data)
    quarters = candles_of(source, series("bybit", Timeframe.M15), START, START + HOURS)
    assert len(quarters) == 12
    for absent in (
        series("kraken"),
        replace(series("bybit"), symbol="ETHUSDT"),
        replace(series("bybit"), market=Market.SPOT),
    ):
        with pytest.raises(NoCandles, match=f"no (spot )?candles of {absent.symbol}"):
            candles_of(source, absent, START, START + HOURS)


def test_a_demo_that_starts_over_has_the_other_venue_in_every_round() -> None:
    span = (START, START + timedelta(days=1))
    looped = LoopedSource(held(timedelta(days=1)), span)
    for round_ in (0, 1):
        later = looped.period * round_
        found = candles_of(looped, series("bybit"), START + later, START + later + HOURS)
        assert np.array_equal(found.close, drawn("bybit").between(to_ms(START), to_ms(START + HOURS)).close)


def test_a_generated_market_has_its_prices_at_every_venue_a_little_apart_and_however_it_is_cut() -> None:
    market = GeneratedMarket(5)
    own = candles_of(market, series(GeneratedMarket.VENUE), START, START + HOURS).close
    for venue in ("binance", "bybit"):
        whole = candles_of(market, series(venue), START - timedelta(days=1), START + HOURS)
        part = candles_of(GeneratedMarket(5), series(venue), START, START + HOURS)
        assert np.array_equal(part.data, whole.part(len(whole) - len(part), len(whole)).data)
        apart = np.abs(part.close / own - 1)
        assert 0 < apart.max() < 0.002
    assert market.in_venue("kraken") is None
