"""The backtest: the whole actor system on a virtual clock over stored candles, with the in-memory store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from actors.evaluator import prepare
from actors.feed import HeldFeed, rules_of
from actors.runtime.deterministic import VirtualClock
from actors.runtime.process_time import process_s
from actors.runtime.system import ActorSystem
from actors.system import Options, Parts, start
from core.candles import CandleColumns
from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import AccountId, NodeId, RunId, StrategyId, UserId
from core.risk import RiskLimits
from core.run import Run, RunCommand, RunSettings
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import CandleSource
from schema.memory import MemoryStore
from schema.records import Account, EquityPoint, ExecutionStatus, OpenPosition, SlotReport, Trade

STRIDES = 200
ALL = 1 << 60
TICKS_KEPT = 1_000
MAX_LEVERAGE = 125
STRATEGY_ID = StrategyId(UUID(int=1))
ACCOUNT_ID = AccountId(UUID(int=2))
RUN_ID = RunId(UUID(int=3))

NO_GATES = RiskLimits(
    daily_max_loss_usdt=Decimal(10) ** 15,
    max_trades_per_day=10**9,
    max_consecutive_losses=10**9,
    cooldown_after_trade_s=Decimal(0),
    pause_duration_min=Decimal(1),
)

Progress = Callable[[int, int], None]
"""Called with (slots done, slots in all), at most a few hundred times a run."""


class BacktestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to replay. `limits` None: no risk gates. `start`, `end` None: all the source has."""

    template: str
    symbol: str
    timeframe: Timeframe
    parameters: Mapping[str, int | float | bool | str] = {}
    start: datetime | None = None
    end: datetime | None = None
    settings: RunSettings = RunSettings()
    limits: RiskLimits | None = RiskLimits()
    taker_fee_pct: Decimal = Decimal("0.04")
    maker_fee_pct: Decimal = Decimal("0.02")
    slippage_pct: Decimal = Decimal(0)
    participation_pct: Decimal = Decimal(100)
    user_id: UserId = UserId("backtest")


class BacktestSignal(msgspec.Struct, frozen=True):
    """What the strategy answered at a slot, before the run's direction and gates; holds are left out."""

    slot: datetime
    action: str


class BacktestResult(msgspec.Struct, frozen=True, kw_only=True):
    """`ticks` counts tick rows by (status, reason); `funding_known`: the source had a funding series."""

    request: BacktestRequest
    origin: str
    candles: CandleColumns
    signals: tuple[BacktestSignal, ...]
    trades: tuple[Trade, ...]
    equity: tuple[EquityPoint, ...]
    ticks: Mapping[tuple[str, str], int]
    open_position: OpenPosition | None
    funding_known: bool
    run_slots: int
    seconds: float


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What is replayed: slots from first to last, and the candles loaded for them (warm-up included)."""

    first_slot: datetime
    last_slot: datetime
    loaded: tuple[datetime, datetime]


class RecordingStore(MemoryStore):
    """The in-memory store, which also keeps what every evaluation answered."""

    def __init__(self, clock: VirtualClock, limits: RiskLimits) -> None:
        super().__init__(clock, limits, tick_window=TICKS_KEPT)
        self.signals: list[BacktestSignal] = []

    def report(self, report: SlotReport) -> int:
        for execution in report.executions:
            if execution.status is ExecutionStatus.SUCCESS and execution.action is not None:
                self.signals.append(BacktestSignal(execution.slot, execution.action))
        return super().report(report)


def run_backtest(
    request: BacktestRequest, source: CandleSource, *, progress: Progress | None = None
) -> BacktestResult:
    """Replay `request` over `source`. Raises RunnerError sentences for what cannot be replayed."""
    began_s = process_s()
    definition = _definition(request, source)
    span = _span(request, source, prepare(definition).lookback)
    columns = source.candles(request.symbol, request.timeframe, *span.loaded)
    clock = VirtualClock(span.first_slot - request.timeframe.delta / 2)
    store = RecordingStore(clock, request.limits or NO_GATES)
    _seed(store, request, definition)
    system = ActorSystem.deterministic(clock)
    feed = HeldFeed(source, (span.first_slot, span.last_slot))
    parts = Parts(
        store=store,
        feed=feed,
        rules=rules_of(feed, {request.symbol: float(columns.close[-1])}),
        options=_options(span.loaded),
    )
    start(system, parts)
    slots = _replay(system, span, request.timeframe, progress)
    system.stop()
    opened = span.first_slot - request.timeframe.delta
    positions = [held for held in store.open_positions() if not held.position.is_flat]
    return BacktestResult(
        request=request,
        origin=source.origin,
        candles=columns.between(to_ms(opened), to_ms(span.last_slot)),
        signals=tuple(store.signals),
        trades=tuple(sorted(store.trades(limit=ALL), key=lambda trade: trade.exit_time)),
        equity=tuple(store.equity(ACCOUNT_ID, limit=ALL)),
        ticks={
            (str(status), str(reason or "")): count
            for (status, reason), count in store.tick_counts(RUN_ID).items()
        },
        open_position=positions[0] if positions else None,
        funding_known=bool(source.funding(request.symbol)),
        run_slots=slots,
        seconds=process_s() - began_s,
    )


def _replay(system: ActorSystem, span: Span, timeframe: Timeframe, progress: Progress | None) -> int:
    """Run the clock to the last slot in some hundred strides, so that progress can be shown; slots in all."""
    assert system.virtual is not None
    slots = (span.last_slot - span.first_slot) // timeframe.delta + 1
    stride = max(1, slots // STRIDES)
    for done in [*range(stride, slots, stride), slots]:
        system.virtual.run_until(span.first_slot + timeframe.delta * (done - 1))
        if system.failure is not None:
            raise system.failure
        if progress is not None:
            progress(done, slots)
    return slots


def _definition(request: BacktestRequest, source: CandleSource) -> StrategyDefinition:
    return StrategyDefinition(
        id=STRATEGY_ID,
        owner_id=request.user_id,
        name=request.template,
        template=request.template,
        parameters=request.parameters,
        symbol=request.symbol,
        timeframe=request.timeframe,
        venue=source.venue,
        market=source.market(request.symbol).value,
    )


def _span(request: BacktestRequest, source: CandleSource, lookback: int) -> Span:
    timeframe = request.timeframe
    coverage = source.coverage(request.symbol, timeframe)
    if coverage is None:
        raise RunnerError(f"There are no {timeframe} candles of {request.symbol}.")
    start = coverage.start if request.start is None else request.start
    end = coverage.end if request.end is None else request.end
    held = f"{coverage.start:%Y-%m-%d %H:%M} to {coverage.end:%Y-%m-%d %H:%M} UTC"
    if start >= end:
        raise RunnerError(f"The range starts at {start:%Y-%m-%d %H:%M}, which is not before its end.")
    if start >= coverage.end or end <= coverage.start:
        raise RunnerError(f"The range lies outside the {request.symbol} candles, which cover {held}.")
    first = timeframe.next_close(max(start, coverage.start))
    last = timeframe.floor(min(end, coverage.end))
    if last < first:
        raise RunnerError(f"The range holds no whole {timeframe} candle; the candles cover {held}.")
    # What lies further back no window shows; a source may hold far more than can be loaded.
    oldest = max(coverage.start, first - timeframe.delta * (lookback + 1))
    return Span(first_slot=first, last_slot=last, loaded=(oldest, last))


def _seed(store: MemoryStore, request: BacktestRequest, definition: StrategyDefinition) -> None:
    """One user, one portfolio, one active run."""
    store.create_strategy(definition)
    account = Account(
        id=ACCOUNT_ID,
        user_id=request.user_id,
        name="backtest",
        bankroll=request.settings.capital,
        balance=request.settings.capital,
        maker_fee_pct=request.maker_fee_pct,
        taker_fee_pct=request.taker_fee_pct,
        slippage_pct=request.slippage_pct,
        participation_pct=request.participation_pct,
        max_leverage=MAX_LEVERAGE,
    )
    store.create_account(account)
    run = Run(
        id=RUN_ID,
        user_id=request.user_id,
        strategy=definition,
        account_id=ACCOUNT_ID,
        settings=request.settings,
    )
    store.create_run(run)
    store.command(RUN_ID, RunCommand.START, by="backtest")


def _options(loaded: tuple[datetime, datetime]) -> Options:
    return Options(
        node=NodeId("backtest"),
        version="backtest",
        worker="backtest",
        safety_s=0.0,
        poll_s=0.0,
        flush_after_s=0.0,
        claim_lead=timedelta(0),
        preload=loaded,
    )
