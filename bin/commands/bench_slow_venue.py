"""What runs notice of other runs' slow venue: the whole actor system over the store in memory, one slot at a time.

Every tenth run trades at a venue that takes its time to answer, as many of the others at one that does not, the rest
hold. Measured is when the others' slots end, beside the same slot with both venues prompt, taken twice as often so
that the spread between equal measurements is known (decision 36).
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from time import monotonic
from typing import Any, Final
from uuid import UUID

from actors.feed import HeldFeed, rules_of
from actors.market_clock import MarketClock
from actors.runtime.system import ActorSystem
from actors.service import DB_WORKERS
from actors.system import Options, Parts, start
from core.candles import CandleColumns
from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.indicators import RSI
from core.market import Market, Series
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunSettings
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.generator import GeneratedMarket
from exchanges.paper.book import Opening
from schema.memory import MemoryStore
from schema.records import Account, SlotReport, TickRow

SLOW_S: Final = 0.2
SHARE: Final = 10
"""One run in so many trades at the slow venue, and one at the prompt one."""
HOLDING_STRATEGIES: Final = 20
WARM_UP_SLOT: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SLOT: Final = WARM_UP_SLOT + timedelta(minutes=1)
HISTORY: Final = timedelta(days=1)
DROP: Final = 0.97
CLAIM_LEAD: Final = timedelta(seconds=0.5)
AHEAD: Final = timedelta(seconds=0.7)
TIMEOUT_S: Final = 60.0


def measure(*, runs: int, rounds: int) -> dict[str, Any]:
    """Medians over `rounds` of the other runs' 99th percentile, ms; the last is the spread of equal measurements."""
    prompt_ms, slow_ms = [], []
    for _ in range(rounds):
        prompt_ms.append(_p99_ms(runs, 0.0))
        slow_ms.append(_p99_ms(runs, SLOW_S))
        prompt_ms.append(_p99_ms(runs, 0.0))
    return {
        "slowVenueRuns": runs,
        "slowVenueP99Ms": round(statistics.median(slow_ms), 1),
        "promptVenueP99Ms": round(statistics.median(prompt_ms), 1),
        "slowVenueP99Ratio": round(statistics.median(slow_ms) / statistics.median(prompt_ms), 2),
        "promptVenueSpread": round(max(prompt_ms) / min(prompt_ms), 2),
    }


def _p99_ms(runs: int, slow_s: float) -> float:
    world = _World(runs, slow_s)
    try:
        world.play(WARM_UP_SLOT)
        rows = world.play(SLOT)
    finally:
        world.system.stop()
    others = [row for row in rows if row.run_id not in world.at_slow_venue]
    late = [row for row in rows if row.run_id in world.at_slow_venue and row.latency_ms >= slow_s * 1_000]
    if len(late) != len(world.at_slow_venue) or any(row.status != "ok" for row in rows):
        raise RunnerError("Not every run traded as planned, so there is nothing to report.")
    return statistics.quantiles([row.latency_ms for row in others], n=100)[98]


class _SeenStore(MemoryStore):
    """The store in memory, which tells when rows arrive."""

    def __init__(self, clock: _ProcessTime) -> None:
        super().__init__(clock, RiskLimits())
        self.rows: list[TickRow] = []
        self.changed = threading.Condition()

    def report(self, report: SlotReport) -> int:
        new = super().report(report)
        with self.changed:
            self.rows.extend(report.ticks)
            self.changed.notify_all()
        return new


class _ProcessTime:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self.now()).total_seconds())


class _TwoVenues(HeldFeed):
    """Orders in the first symbol wait `slow_s` for their price, the others do not."""

    def __init__(self, source: ColumnSource, slow_s: float) -> None:
        super().__init__(source, (WARM_UP_SLOT - HISTORY, SLOT))
        self._slow_s = slow_s

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        if self._slow_s and symbol == self.symbols()[0]:
            await asyncio.sleep(self._slow_s)
        return await super().opening(symbol, at, timeout_s)


class _World:
    def __init__(self, runs: int, slow_s: float) -> None:
        self.store = _SeenStore(_ProcessTime())
        self.store.mark_demo(start=WARM_UP_SLOT - timedelta(seconds=10), rate=0.0)
        source = _market()
        self.at_slow_venue = _seed(self.store, _definitions(source), runs)
        self._runs = runs
        self.clock = MarketClock(self.store.clock(), monotonic)
        self.system = ActorSystem.live(self.clock, db_workers=DB_WORKERS)
        feed = _TwoVenues(source, slow_s)
        options = Options(
            node=NodeId("bench"), version="bench", worker="bench", poll_s=0.0, claim_lead=CLAIM_LEAD
        )
        start(self.system, Parts(store=self.store, feed=feed, rules=rules_of(feed, {}), options=options))

    def play(self, slot: datetime) -> list[TickRow]:
        """Let time run over `slot` until all its rows are there; those rows."""
        store = self.store
        store.rows.clear()
        self._turn(at=slot - AHEAD, rate=1.0)
        with store.changed:
            if not store.changed.wait_for(lambda: len(store.rows) >= self._runs, TIMEOUT_S):
                raise RunnerError(f"{len(store.rows):,} of {self._runs:,} runs had ticked in time.")
        self._turn(rate=0.0)
        return list(store.rows)

    def _turn(self, **given: Any) -> None:
        self.clock.update(self.store.set_clock(**given))
        self.system.timers.wake()


def _market() -> ColumnSource:
    """Generated minutes; the first two symbols fall in the minute that closes at SLOT."""
    generated = GeneratedMarket(1)
    series = {}
    for number, symbol in enumerate(generated.symbols()):
        columns = generated.candles(symbol, Timeframe.M1, WARM_UP_SLOT - HISTORY, SLOT + timedelta(minutes=2))
        key = Series(venue=generated.venue, market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1)
        series[key] = _fallen(columns) if number < 2 else columns
    return ColumnSource(origin=generated.origin, venue=generated.venue, series=series)


def _fallen(columns: CandleColumns) -> CandleColumns:
    data = columns.data.copy()
    at = int(columns.open_time.searchsorted(to_ms(SLOT - Timeframe.M1.delta)))
    data[4, at] = round(data[4, at] * DROP, 1)
    data[3, at] = min(data[3, at], data[4, at])
    return CandleColumns(data)


def _definitions(source: ColumnSource) -> list[StrategyDefinition]:
    """One that goes long at SLOT in each of the first two symbols, and others that hold."""
    symbols = source.symbols()
    plan = [(symbols[0], _level(source, symbols[0])), (symbols[1], _level(source, symbols[1]))]
    plan += [(symbols[n % len(symbols)], n / 1_000) for n in range(1, HOLDING_STRATEGIES + 1)]
    return [
        StrategyDefinition(
            id=StrategyId(UUID(int=number + 1)),
            owner_id=UserId("bench"),
            name=f"RSI {number}",
            template="rsi_oversold_overbought",
            parameters={"rsi_period": 14, "rsi_oversold": level, "rsi_overbought": 99.9},
            symbol=symbol,
            timeframe=Timeframe.M1,
            venue=source.venue,
            market=Market.PERP.value,
        )
        for number, (symbol, level) in enumerate(plan)
    ]


def _level(source: ColumnSource, symbol: str) -> float:
    """Between the RSI of the warm-up slot and that of the fallen candle after it."""
    rsi = RSI(source.candles(symbol, Timeframe.M1, WARM_UP_SLOT - HISTORY, SLOT).close, 14)
    return float(rsi[-2] + rsi[-1]) / 2


def _seed(store: MemoryStore, definitions: Sequence[StrategyDefinition], runs: int) -> frozenset[RunId]:
    """Runs of users of their own, the kinds evenly mixed; those at the slow venue."""
    for definition in definitions:
        store.create_strategy(definition)
    slow, prompt, *holding = definitions
    at_slow_venue = set()
    for number in range(runs):
        user, id_ = UserId(f"user-{number}"), UUID(int=(1 << 64) + number)
        definition = {0: slow, SHARE // 2: prompt}.get(number % SHARE, holding[number % len(holding)])
        account = Account(id=AccountId(id_), user_id=user, name="bench")
        store.create_account(account)
        settings = RunSettings(order_size_pct=Decimal(10))
        store.create_run(
            Run(id=RunId(id_), user_id=user, strategy=definition, account_id=account.id, settings=settings)
        )
        store.command(RunId(id_), RunCommand.START, by="bench")
        if definition is slow:
            at_slow_venue.add(RunId(id_))
    return frozenset(at_slow_venue)
