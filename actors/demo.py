"""The demo: which candles it plays, and the users, strategies and runs it shows them to.

Everything is real but the market time and the money: rows in PostgreSQL, the same actors, paper portfolios. Some
users are set up so that each gate can be seen at work.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from actors.prepared import prepare
from core.definition import StrategyDefinition, Visibility
from core.errors import RunnerError
from core.ids import AccountId, RunId, StrategyId, UserId
from core.order import Leg
from core.position import Fill
from core.risk import RiskLimits
from core.run import Direction, Run, RunCommand, RunSettings, RunStatus, TradingMode
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import CandleSource, Stretch
from exchanges.feeds.looped import LoopedSource
from schema.ops import ObserveFill, closing_side
from schema.records import Account, OpenPosition
from schema.store import Store

WARM_UP = timedelta(days=6)
"""History before the demo's first minute, so that every strategy has its lookback."""

LEAST_SPAN = timedelta(days=1)
"""A stretch shorter than this is not worth a demo."""

LONG_ENOUGH = timedelta(days=30)
"""Beyond this, more symbols make a better demo than more time."""

MAX_SYMBOLS = 4
DESK = UserId("demo-desk")
VISITORS = (UserId("demo-user-1"), UserId("demo-user-2"))
"""Whoever looks at the demo acts as one of them."""
CALM = RiskLimits(daily_max_loss_usdt=Decimal(1_000), max_trades_per_day=200, max_consecutive_losses=20)
"""With the limits a user has by default, a run on one-minute candles is soon shut out for the day."""
OUTAGE = 1_000
"""Orders the failing venue refuses: more than three ticks can try."""


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """What a demo plays: symbols with candles of one timeframe over one span, and when its time starts."""

    symbols: tuple[str, ...]
    timeframe: Timeframe
    span: tuple[datetime, datetime]
    start: datetime


def stage_of(source: CandleSource) -> Stage:
    """The finest and longest stretch most symbols share; RunnerError when there is none worth playing."""
    for timeframe in Timeframe:
        held = {
            symbol: max(coverage.stretches, key=_length)
            for symbol in source.symbols()
            if (coverage := source.coverage(symbol, timeframe)) is not None
        }
        held = {symbol: stretch for symbol, stretch in held.items() if _length(stretch) >= LEAST_SPAN}
        if held:
            return _stage(held, timeframe)
    raise RunnerError(f"The candles of {source.origin} hold no stretch of a day or more.")


def _stage(held: dict[str, Stretch], timeframe: Timeframe) -> Stage:
    def shared(with_: Stretch) -> list[str]:
        """Symbols that cover most of the time of `with_`."""
        return [
            symbol
            for symbol, stretch in held.items()
            if min(stretch.end, with_.end) - max(stretch.start, with_.start) > _length(with_) * 0.8
        ]

    anchor = max(held.values(), key=lambda stretch: len(shared(stretch)) * min(_length(stretch), LONG_ENOUGH))
    symbols = sorted(shared(anchor))[:MAX_SYMBOLS]
    start = max(held[symbol].start for symbol in symbols)
    end = min(held[symbol].end for symbol in symbols)
    warm_up = min(WARM_UP, (end - start) / 4)
    start, end = _whole_days(start, end)
    return Stage(
        symbols=tuple(symbols),
        timeframe=timeframe,
        span=(start, end),
        start=Timeframe.M15.floor(start + warm_up),
    )


def _whole_days(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Of that span the days it can start over with: cut at midnight where a day fits, else as coarsely as one does.

    A candle that straddles the cut would be missing in every round.
    """
    for timeframe in reversed(Timeframe):
        last = timeframe.floor(end)
        if days := max(0, (last - start).days):
            return last - timedelta(days=days), last
    raise RunnerError("The candles the symbols share are less than a day; a demo needs one at least.")


def _length(stretch: Stretch) -> timedelta:
    return stretch.end - stretch.start


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """A demo's candles, repeating, and where it begins in each round."""

    source: LoopedSource
    stage: Stage

    def start_of(self, round_: int) -> datetime:
        """The first minute played in a round: after its warm-up."""
        return self.source.start_of(round_) + (self.stage.start - self.stage.span[0])

    def end_of(self, round_: int) -> datetime:
        """The last slot of a round: one candle before the next round's jump in price."""
        return self.source.start_of(round_ + 1) - self.stage.timeframe.delta


def demo_of(source: CandleSource) -> Demo:
    """Raises RunnerError when the source holds nothing worth playing."""
    stage = stage_of(source)
    return Demo(source=LoopedSource(source, stage.span), stage=stage)


def start_over(store: Store, demo: Demo, round_: int, *, now: datetime) -> None:
    """Book out what is open at the last close, archive all runs, and seed fresh ones at the round's start.

    Repeatable: what was done before a crash, or by another process (`now` is then in the round), is passed over.
    """
    if now < demo.start_of(round_):
        _close_round(store, demo, demo.end_of(round_ - 1))
        store.set_clock(at=demo.start_of(round_), ceiling=demo.start_of(round_))
    seed(store, demo.source, demo.stage, round_=round_)


def _close_round(store: Store, demo: Demo, last: datetime) -> None:
    """What stands at a venue, if only a stand-in, is for the venue to say: its runs are stopped and left so."""
    runs = store.runs(statuses=[status for status in RunStatus if status is not RunStatus.ARCHIVED])
    live = {run.id for run in runs if run.trading_mode is TradingMode.LIVE}
    for held in store.open_positions():
        if not held.position.is_flat and held.run_id not in live:
            store.settle([_closing_fill(demo, held, last)])
    for run in runs:
        if run.status is RunStatus.ACTIVE:
            store.command(run.id, RunCommand.STOP, by="demo", reason="the candles start over")
        if run.id not in live:
            store.command(run.id, RunCommand.ARCHIVE, by="demo", reason="the candles start over")


def _closing_fill(demo: Demo, held: OpenPosition, at: datetime) -> ObserveFill:
    timeframe = demo.stage.timeframe
    candle = demo.source.candles(held.symbol, timeframe, at - timeframe.delta, at)
    fill = Fill(
        trade_id=f"over-{to_ms(at)}",
        side=closing_side(held.position),
        quantity=held.position.size,
        price=Decimal(repr(float(candle.close[-1]))),
        commission=Decimal(0),
        executed_at=at,
    )
    return ObserveFill(
        account_id=held.account_id, symbol=held.symbol, fill=fill, run_id=held.run_id, venue_leg=Leg.MANUAL
    )


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """One demo run: who, what, how."""

    user: str
    strategy: str
    settings: RunSettings
    limits: RiskLimits | None = None
    outage_orders: int = 0
    mode: TradingMode = TradingMode.PAPER


def seed(store: Store, source: CandleSource, stage: Stage, *, round_: int = 0) -> None:
    """Create those of the demo's rows that are missing.

    `round_` counts how often its data has started over (fresh portfolios each time). A seeding that was cut off
    is completed by the next; ids are a function of round and role.
    """
    for visitor in VISITORS:
        store.set_limits(visitor, CALM)
    definitions = _definitions(source, stage)
    for definition in definitions.values():
        prepare(definition)
        if store.strategy(definition.id) is None:
            store.create_strategy(definition)
    for number, cast in enumerate(_cast()):
        if cast.strategy in definitions:
            _engage(store, cast, definitions[cast.strategy], f"{round_}:{number}")


def _engage(store: Store, cast: Cast, definition: StrategyDefinition, key: str) -> None:
    user = UserId(cast.user)
    account_id = None
    if cast.mode is TradingMode.PAPER:
        account = Account(
            id=AccountId(_id("account", key)),
            user_id=user,
            name=f"{cast.user} paper",
            bankroll=cast.settings.capital,
            balance=cast.settings.capital,
            slippage_pct=Decimal("0.01"),
            outage_orders=cast.outage_orders,
        )
        if store.account(account.id) is None:
            store.create_account(account)
        account_id = account.id
    run = Run(
        id=RunId(_id("run", key)),
        user_id=user,
        strategy=definition,
        account_id=account_id,
        trading_mode=cast.mode,
        settings=cast.settings,
    )
    stored = store.run(run.id)
    if stored is None:
        if cast.limits is not None:
            store.set_limits(user, cast.limits)
        store.create_run(run)
    if stored is None or stored.status is RunStatus.DRAFT:
        store.command(run.id, RunCommand.START, by="demo")


def _definitions(source: CandleSource, stage: Stage) -> dict[str, StrategyDefinition]:
    first = stage.symbols[0]
    second = stage.symbols[1 % len(stage.symbols)]
    third = stage.symbols[2 % len(stage.symbols)]
    wanted = {
        "RSI reversal": ("rsi_oversold_overbought", first, Timeframe.M5, {}),
        "Fast trend": ("sma_trend", second, Timeframe.M1, {"period": 10}),
        "Slow trend": ("sma_trend", first, Timeframe.M15, {}),
        "EMA cross": ("ema_cross", third, Timeframe.M3, {}),
        "MACD": ("macd", second, Timeframe.M5, {}),
        "Bollinger reversion": ("bollinger_reversion", third, Timeframe.M1, {}),
        "Donchian breakout": ("donchian_breakout", first, Timeframe.M10, {}),
    }
    return {
        name: StrategyDefinition(
            id=StrategyId(_id("strategy", name)),
            owner_id=DESK,
            name=name,
            template=template,
            parameters=parameters,
            symbol=symbol,
            timeframe=timeframe,
            venue=source.venue,
            market=source.market(symbol).value,
            visibility=Visibility.PUBLIC,
        )
        for name, (template, symbol, timeframe, parameters) in wanted.items()
        if stage.timeframe.divides(timeframe)
    }


def _cast() -> list[Cast]:
    """Who shows what: ordinary traders, one for each gate, one whose venue fails."""
    hundred = Decimal(100)
    return [
        Cast(user="alice", strategy="RSI reversal", settings=RunSettings(leverage=3), limits=CALM),
        Cast(user="alice", strategy="EMA cross", settings=RunSettings(order_size_pct=Decimal(50))),
        Cast(
            user="bob",
            strategy="MACD",
            settings=RunSettings(leverage=2, take_profit_pct=Decimal("0.8"), stop_loss_pct=Decimal("0.4")),
            limits=CALM,
        ),
        Cast(user="bob", strategy="Donchian breakout", settings=RunSettings(direction=Direction.LONG)),
        # Loses a little on fees at every turn of a fast trend, with a limit it soon meets.
        Cast(
            user="carol",
            strategy="Fast trend",
            settings=RunSettings(leverage=5, capital=Decimal(5_000)),
            limits=RiskLimits(
                daily_max_loss_usdt=Decimal(60), max_consecutive_losses=50, max_trades_per_day=500
            ),
        ),
        # Three losing round trips in a row pause the user for half an hour of market time.
        Cast(
            user="dora",
            strategy="Bollinger reversion",
            settings=RunSettings(leverage=2),
            limits=RiskLimits(
                daily_max_loss_usdt=Decimal(5_000), max_trades_per_day=500, pause_duration_min=Decimal(30)
            ),
        ),
        # Six trades a day, ten minutes apart at least, then no more.
        Cast(
            user="emil",
            strategy="Fast trend",
            settings=RunSettings(order_size_pct=Decimal(20)),
            limits=RiskLimits(
                daily_max_loss_usdt=Decimal(5_000),
                cooldown_after_trade_s=Decimal(600),
                max_trades_per_day=6,
                max_consecutive_losses=50,
            ),
        ),
        # The venue refuses every order as unreachable: the third failure in a row pauses the run.
        Cast(
            user="frank",
            strategy="Slow trend",
            settings=RunSettings(order_size_pct=hundred),
            limits=CALM,
            outage_orders=OUTAGE,
        ),
        Cast(user="grace", strategy="RSI reversal", settings=RunSettings(), mode=TradingMode.SIGNALS),
    ]


def _id(kind: str, key: str) -> UUID:
    return uuid5(NAMESPACE_URL, f"strategy-runner/demo/{kind}/{key}")
