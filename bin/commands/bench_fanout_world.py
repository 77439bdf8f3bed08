"""What `bench fanout` measures on: candles, strategies and runs of which one in a hundred gets a signal, and where
the boundary, the orders and the rows are seen.

All strategies read their RSI between levels it does not reach, each with levels of its own, so that every one is an
evaluation. The first strategy's level lies between the RSI of the warm-up slot and that of the measured one, whose
candle falls by DROP: its runs, and no others, go long in the measured slot.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from time import monotonic
from typing import Any, Final
from uuid import UUID

import msgspec

from actors.feed import HeldFeed
from core.candles import CandleColumns
from core.definition import StrategyDefinition
from core.ids import AccountId, RunId, StrategyId, UserId
from core.indicators import RSI
from core.market import Market, Series
from core.risk import RiskLimits
from core.run import Run, RunSettings, RunStatus
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import ColumnSource
from exchanges.feeds.generator import GeneratedMarket
from exchanges.paper.book import Opening
from schema import pg_records
from schema.ops import LedgerOp, LedgerResult, ProposeIntent
from schema.pg import PgStore
from schema.pg_database import Connection
from schema.records import Account, RunStart, SlotReport, TickRow
from schema.store import Store

WARM_UP_SLOT: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SLOT: Final = WARM_UP_SLOT + timedelta(minutes=1)
HISTORY: Final = timedelta(days=1)
AFTERWARDS: Final = timedelta(minutes=30)
GENERATOR_SEED: Final = 1
DROP: Final = 0.97
TRADING_SHARE: Final = 100
"""One run in so many gets a signal (decision 30)."""
SEEDERS: Final = 4
SEEDED_AT_ONCE: Final = 250
_CALLS: Final = frozenset(
    name for name, method in vars(Store).items() if callable(method) and not name.startswith("_")
)
OWNER: Final = UserId("bench")


class Call(msgspec.Struct, frozen=True):
    """A call of the store: when it began and ended, and how much it was about."""

    name: str
    began_s: float
    ended_s: float
    size: int


OUTAGE_ORDERS: Final = 1_000
"""More than a run tries in a slot."""


class Seen(msgspec.Struct, kw_only=True):
    """Moments on the monotonic clock and rows, as the store and the venue saw them; lists only grow."""

    loaded: list[RunId] = []
    placed_s: list[float] = []
    proposed_s: list[float] = []
    stored_s: list[float] = []
    ticks: list[TickRow] = []
    evaluations: int = 0
    boundary_s: float = 0.0
    calls: list[Call] = []
    changed: threading.Condition = msgspec.field(default_factory=threading.Condition)


class SeenStore(PgStore):
    """The store itself; who called when is noted down beside it."""

    def __init__(self, conninfo: str, seen: Seen) -> None:
        super().__init__(conninfo, default_limits=RiskLimits(), worker="bench")
        self._seen = seen

    def run_starts(self, run_ids: Sequence[RunId], *, recent: int) -> list[RunStart]:
        starts = super().run_starts(run_ids, recent=recent)
        with self._seen.changed:
            self._seen.loaded.extend(start.state.run.id for start in starts)
            self._seen.changed.notify_all()
        return starts

    def settle(self, ops: Sequence[LedgerOp]) -> list[LedgerResult]:
        if any(isinstance(op, ProposeIntent) for op in ops):
            self._seen.proposed_s.append(monotonic())
        return super().settle(ops)

    def report(self, report: SlotReport) -> int:
        new = super().report(report)
        with self._seen.changed:
            if report.ticks:  # lost asks are written later, when nobody waits for them
                self._seen.stored_s.append(monotonic())
            self._seen.ticks.extend(report.ticks)
            self._seen.evaluations += len(report.executions)
            self._seen.changed.notify_all()
        return new

    def __getattribute__(self, name: str) -> Any:
        """Every method of the protocol as it is, noted down."""
        found = super().__getattribute__(name)
        if name not in _CALLS:
            return found
        calls = self._seen.calls

        def noted(*given: Any, **named: Any) -> Any:
            began_s = monotonic()
            try:
                return found(*given, **named)
            finally:
                calls.append(Call(name, began_s, monotonic(), _size(given)))

        return noted


def _size(given: Sequence[Any]) -> int:
    """Rows or operations of a batch; 1 for a call about one thing."""
    match given:
        case [SlotReport() as report]:
            return len(report.ticks)
        case [list() | tuple() as batch]:
            return len(batch)
    return 1


class SeenFeed(HeldFeed):
    """The venue asks for a price when an order has been handed to it."""

    def __init__(self, source: ColumnSource, seen: Seen) -> None:
        super().__init__(source, (WARM_UP_SLOT - HISTORY, SLOT + AFTERWARDS))
        self._seen = seen

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        self._seen.placed_s.append(monotonic())
        return await super().opening(symbol, at, timeout_s)


def market() -> ColumnSource:
    """Generated minutes of several symbols; the first one falls in the minute that closes at SLOT."""
    generated = GeneratedMarket(GENERATOR_SEED)
    series = {}
    for number, symbol in enumerate(generated.symbols()):
        columns = generated.candles(symbol, Timeframe.M1, WARM_UP_SLOT - HISTORY, SLOT + AFTERWARDS)
        key = Series(venue=generated.venue, market=Market.PERP, symbol=symbol, timeframe=Timeframe.M1)
        series[key] = columns if number else _fallen(columns)
    return ColumnSource(origin=generated.origin, venue=generated.venue, series=series)


def _fallen(columns: CandleColumns) -> CandleColumns:
    data, at = columns.data.copy(), _closing_at(columns, SLOT)
    data[4, at] = round(data[4, at] * DROP, 1)
    data[3, at] = min(data[3, at], data[4, at])
    return CandleColumns(data)


def _closing_at(columns: CandleColumns, slot: datetime) -> int:
    return int(columns.open_time.searchsorted(to_ms(slot - Timeframe.M1.delta)))


def definitions(source: ColumnSource, count: int) -> list[StrategyDefinition]:
    """`count` RSI strategies over the symbols in turn; only the first one trades, and only at SLOT."""
    symbols = source.symbols()
    columns = source.candles(symbols[0], Timeframe.M1, WARM_UP_SLOT - HISTORY, SLOT)
    rsi = RSI(columns.close, 14)
    before, fallen = (float(rsi[_closing_at(columns, slot)]) for slot in (WARM_UP_SLOT, SLOT))
    assert fallen < before
    found = []
    for number in range(count):
        oversold = (before + fallen) / 2 if number == 0 else number / count
        found.append(
            StrategyDefinition(
                id=StrategyId(UUID(int=number + 1)),
                owner_id=OWNER,
                name=f"RSI {number}",
                template="rsi_oversold_overbought",
                parameters={"rsi_period": 14, "rsi_oversold": oversold, "rsi_overbought": 99.9},
                symbol=symbols[number % len(symbols)],
                timeframe=Timeframe.M1,
                venue=source.venue,
                market=Market.PERP.value,
            )
        )
    return found


def is_failing(number: int, runs: int, failing: int) -> bool:
    """Whether the venue of this run's account takes no order: `failing` of them, evenly among the others."""
    return number * failing // runs != (number + 1) * failing // runs


def seed(
    store: PgStore, strategies: Sequence[StrategyDefinition], runs: int, failing: int
) -> frozenset[RunId]:
    """`runs` active runs, each of a user of its own with a paper account of its own; those whose venue fails.

    Those that trade stand evenly among the others, so that no place in the queue flatters the first order.
    """
    for definition in strategies:
        store.create_strategy(definition)
    others = strategies[1:] or strategies
    plan = [
        strategies[0] if number % TRADING_SHARE == TRADING_SHARE // 2 else others[number % len(others)]
        for number in range(runs)
    ]
    numbered = [
        (number, definition, is_failing(number, runs, failing)) for number, definition in enumerate(plan)
    ]
    parts = [numbered[at : at + SEEDED_AT_ONCE] for at in range(0, runs, SEEDED_AT_ONCE)]
    with ThreadPoolExecutor(SEEDERS) as pool:
        for _ in pool.map(partial(_engage, store), parts):
            pass
    return frozenset(_run_id(number) for number, _, fails in numbered if fails)


def _run_id(number: int) -> RunId:
    return RunId(UUID(int=(1 << 64) + number))


def _engage(store: PgStore, numbered: Sequence[tuple[int, StrategyDefinition, bool]]) -> None:
    """Rows of active runs, many in one transaction: one by one, as users come, takes several times as long."""

    def create(connection: Connection) -> None:
        for number, definition, fails in numbered:
            user, id_ = UserId(f"user-{number}"), _run_id(number)
            outage = OUTAGE_ORDERS if fails else 0
            account = Account(id=AccountId(id_), user_id=user, name="bench", outage_orders=outage)
            run = Run(
                id=id_,
                user_id=user,
                strategy=definition,
                account_id=account.id,
                settings=RunSettings(order_size_pct=Decimal(10)),
                status=RunStatus.ACTIVE,
            )
            pg_records.create_account(connection, account)
            pg_records.create_run(connection, run)

    store.database.run(create)


def of_slot(ticks: Iterable[TickRow], slot: datetime) -> list[TickRow]:
    return [row for row in ticks if row.slot == slot]
