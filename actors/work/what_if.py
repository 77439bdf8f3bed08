"""What a change would have done: a user's runs replayed together over stored candles, as they are and as they would be.

Both replays begin flat, on paper, with the accounts' own terms; limits hold for all runs of the user together, as live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from actors.backtest import ALL, TICKS_KEPT, Progress, PromptJournal, young_collections
from actors.feed import HeldFeed, rules_of
from actors.prepared import prepare
from actors.runtime.deterministic import VirtualClock
from actors.runtime.system import ActorSystem
from actors.sandbox.host import Limits
from actors.sandbox.warm import WarmSandbox
from actors.system import Options, Parts, start
from actors.work.stored import StoredRange
from core.errors import RunnerError
from core.ids import NodeId, RunId
from core.order import Order
from core.position import ZERO
from core.risk import RiskLimits
from core.run import Run, RunCommand
from exchanges.feeds.base import CandleSource
from schema.memory import MemoryStore
from schema.pg_candles import PgCandles
from schema.records import Account

MAX_ROWS: Final = 500
"""Orders of each list that are told one by one; more are counted."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two: how the runs are set and what they are limited by."""

    runs: tuple[Run, ...]
    limits: RiskLimits


class WhatIfJob(msgspec.Struct, frozen=True, kw_only=True):
    """`accounts`: those the runs name, each with the money it begins with. `left_out`: runs that are not replayed."""

    venue: str
    start: datetime
    end: datetime
    accounts: tuple[Account, ...]
    before: Variant
    after: Variant
    left_out: int = 0


class Figures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Round trips that ended within the range; `blocked`: ticks by the reason that shut them out."""

    orders: int
    trades: int
    pnl_usdt: Decimal
    fees_usdt: Decimal
    blocked: Mapping[str, int]


class Traded(msgspec.Struct, frozen=True, kw_only=True):
    quantity: Decimal
    price: Decimal


class Differing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order by its place; `before` None: added, `after` None: removed, else resized."""

    run_id: RunId
    symbol: str
    slot: datetime
    leg: str
    side: str
    before: Traded | None
    after: Traded | None


class WhatIf(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Lists oldest first, at most MAX_ROWS of each; `counts` are of all. `left_out`: runs beyond what is replayed."""

    start: datetime = msgspec.field(name="from")
    end: datetime = msgspec.field(name="to")
    origin: str
    runs: int
    left_out: int
    counts: Mapping[str, int]
    added: tuple[Differing, ...]
    removed: tuple[Differing, ...]
    resized: tuple[Differing, ...]
    before: Figures
    after: Figures


Hours = Callable[[int], None]
"""Called with the hours of market time that are done."""
Place = tuple[datetime, RunId, str, str]
"""Slot, run, leg and side: one order, whatever its attempts."""


def what_if(job: WhatIfJob, market: PgCandles, progress: Progress, sandbox: Limits) -> WhatIf:
    """`sandbox`: for code. Raises RunnerError where candles are missing."""
    runs = [*job.before.runs, *job.after.runs]
    if not runs:
        raise RunnerError("You have no active run that a change could have held back or let through.")
    stored = StoredRange(market, job.venue, start=job.start, end=job.end)
    prepared = [prepare(run.strategy) for run in runs]
    wanted = [window for each in prepared for window in each.all_windows]
    source = stored.source(
        sorted(wanted, key=lambda each: (each.series.symbol, each.series.timeframe.seconds, -each.lookback))
    )
    span = _covered(job, source, runs)
    lead = max(each.lead for each in prepared)
    steps = (span[1] - span[0]) // timedelta(hours=1)

    def first(done: int) -> None:
        progress(done, 2 * steps)

    def second(done: int) -> None:
        progress(steps + done, 2 * steps)

    orders, before = _replayed(job, job.before, source, span, lead, first, sandbox)
    changed, after = _replayed(job, job.after, source, span, lead, second, sandbox)
    added, removed, resized = differences(orders, changed)
    return WhatIf(
        start=span[0],
        end=span[1],
        origin=source.origin,
        runs=len(job.after.runs),
        left_out=job.left_out,
        counts={"added": len(added), "removed": len(removed), "resized": len(resized)},
        added=tuple(added[:MAX_ROWS]),
        removed=tuple(removed[:MAX_ROWS]),
        resized=tuple(resized[:MAX_ROWS]),
        before=before,
        after=after,
    )


def differences(
    before: Iterable[Order], after: Iterable[Order]
) -> tuple[list[Differing], list[Differing], list[Differing]]:
    """Added, removed and resized orders, by (slot, leg) of each run; what was not filled was no order."""
    old, new = _placed(before), _placed(after)
    added: list[Differing] = []
    removed: list[Differing] = []
    resized: list[Differing] = []
    for place in sorted({*old, *new}):
        was, is_now = old.get(place), new.get(place)
        if was is None:
            added.append(_differing(place, None, is_now))
        elif is_now is None:
            removed.append(_differing(place, was, None))
        elif was[1].quantity != is_now[1].quantity:
            resized.append(_differing(place, was, is_now))
    return added, removed, resized


def _placed(orders: Iterable[Order]) -> dict[Place, tuple[str, Traded]]:
    placed: dict[Place, tuple[str, Traded]] = {}
    for order in orders:
        if not order.filled_quantity:
            continue
        place = (order.slot, order.run_id, order.leg.value, order.side.value)
        quantity, value = order.filled_quantity, order.filled_value
        if place in placed:
            earlier = placed[place][1]
            quantity, value = quantity + earlier.quantity, value + earlier.quantity * earlier.price
        placed[place] = order.symbol, Traded(quantity=quantity, price=value / quantity)
    return placed


def _differing(place: Place, was: tuple[str, Traded] | None, is_now: tuple[str, Traded] | None) -> Differing:
    slot, run_id, leg, side = place
    named = was or is_now
    assert named is not None
    return Differing(
        run_id=run_id,
        symbol=named[0],
        slot=slot,
        leg=leg,
        side=side,
        before=None if was is None else was[1],
        after=None if is_now is None else is_now[1],
    )


def _covered(job: WhatIfJob, source: CandleSource, runs: Sequence[Run]) -> tuple[datetime, datetime]:
    """From first slot to last, where every series has candles; HeldFeed wants them for all of it."""
    begin, end = job.start, job.end
    for run in runs:
        strategy = run.strategy
        coverage = source.coverage(strategy.symbol, strategy.timeframe)
        if coverage is None:
            raise RunnerError(f"There are no {strategy.timeframe} candles of {strategy.symbol} stored.")
        begin = max(begin, coverage.start)
        end = min(end, coverage.end)
    coarsest = max((run.strategy.timeframe for run in runs), key=lambda each: each.seconds)
    begin, end = coarsest.next_close(begin), coarsest.floor(end)
    if begin >= end:
        raise RunnerError(
            f"The stored candles of these runs have no stretch in common from {job.start:%Y-%m-%d %H:%M} to "
            f"{job.end:%Y-%m-%d %H:%M} UTC; POST /api/market-data/backfill downloads them."
        )
    return begin, end


def _replayed(
    job: WhatIfJob,
    variant: Variant,
    source: CandleSource,
    span: tuple[datetime, datetime],
    lead: timedelta,
    progress: Hours,
    sandbox: Limits,
) -> tuple[list[Order], Figures]:
    finest = min((run.strategy.timeframe for run in variant.runs), key=lambda each: each.seconds)
    clock = VirtualClock(span[0] - finest.delta / 2)
    store = MemoryStore(clock, variant.limits, tick_window=TICKS_KEPT)
    _seed(store, job.accounts, variant.runs)
    feed = HeldFeed(source, span)
    prices = {
        run.strategy.symbol: float(
            source.candles(run.strategy.symbol, run.strategy.timeframe, *span).close[-1]
        )
        for run in variant.runs
    }
    system = ActorSystem.deterministic(clock, answers_at_once=True)
    options = Options(
        node=NodeId("what-if"),
        version="what-if",
        worker="what-if",
        safety_s=0.0,
        poll_s=0.0,
        flush_after_s=0.0,
        claim_lead=timedelta(0),
        preload=(span[0] - lead, span[1]),
        array_signals=True,
    )
    rules = rules_of(feed, prices)
    parts = Parts(store=store, feed=feed, rules=rules, options=options, journal=PromptJournal(store))
    with WarmSandbox(sandbox) as warm:
        start(system, msgspec.structs.replace(parts, code=warm.ask))
        _run_all(system, span, progress)
        system.stop()
    return _told(store, variant.runs)


def _run_all(system: ActorSystem, span: tuple[datetime, datetime], progress: Hours) -> None:
    assert system.virtual is not None
    with young_collections() as tidy:
        for hour in range((span[1] - span[0]) // timedelta(hours=1)):
            system.virtual.run_until(span[0] + timedelta(hours=hour + 1))
            tidy()
            if system.failure is not None:
                raise system.failure
            progress(hour + 1)
        system.virtual.run_until(span[1])


def _seed(store: MemoryStore, accounts: Iterable[Account], runs: Iterable[Run]) -> None:
    for strategy in {run.strategy.id: run.strategy for run in runs}.values():
        store.create_strategy(strategy)
    for account in accounts:
        store.create_account(account)
    for run in runs:
        store.create_run(run)
        store.command(run.id, RunCommand.START, by="what-if")


def _told(store: MemoryStore, runs: Iterable[Run]) -> tuple[list[Order], Figures]:
    ids = [run.id for run in runs]
    orders = [order for run_id in ids for order in store.orders(run_id=run_id, limit=ALL)]
    trades = [trade for run_id in ids for trade in store.trades(run_id=run_id, limit=ALL)]
    blocked: Counter[str] = Counter()
    for run_id in ids:
        for (status, reason), count in store.tick_counts(run_id).items():
            if status == "blocked":
                blocked[str(reason)] += count
    return orders, Figures(
        orders=sum(1 for order in orders if order.filled_quantity),
        trades=len(trades),
        pnl_usdt=sum((trade.pnl for trade in trades), ZERO),
        fees_usdt=sum((trade.fees for trade in trades), ZERO),
        blocked=dict(blocked),
    )
