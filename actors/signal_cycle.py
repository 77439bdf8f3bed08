"""One cycle of signals without runs: each symbol looked at once, and what that says told to who listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

import msgspec

from actors.prepared import Prepared, prepare
from actors.publishers.signal_publisher import SignalReceiver, Timed
from core.candles import CandleColumns, CandleView, CandleWindow, Gap, NotYet, TooFew
from core.definition import StrategyDefinition
from core.errors import RunnerError
from core.ids import StrategyId, UserId
from core.market import Series
from core.published_signal import PublishedSignal, Said, published
from core.signal import Action, Signal
from core.strategies.code import CodeStrategy
from core.strategy import Context, WantedWindow
from core.timeframe import Timeframe
from schema.pg_published import PgPublished, Progress

CYCLE_USER: Final = UserId("signal-cycle")
_CYCLES: Final = UUID("6f1b2f0e-4a57-5d0e-9d55-0f6f6d1c9a31")
MAX_PASSES: Final = 20
_MISSING: Final = {
    NotYet: "its closing candle is not there",
    TooFew: "there are too few candles",
    Gap: "a candle is missing",
}

Candles = Callable[[Series, datetime, datetime], CandleColumns]
"""Closed candles of a series between two times. Raises RunnerError."""


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a symbol said. `signal` None: `why` says what stood in the way, or the strategy holds."""

    symbol: str
    slot: datetime
    action: str
    signal: PublishedSignal | None
    why: str | None


def look(
    symbol: str,
    *,
    template: str,
    venue: str,
    parameters: Mapping[str, int | float],
    timeframe: Timeframe,
    slot: datetime,
    ttl_s: int,
    candles: Candles,
) -> Looked:
    """As for one who holds nothing. A symbol that cannot be looked at stops no other."""
    definition = StrategyDefinition(
        id=StrategyId(uuid5(_CYCLES, f"{template}|{venue}|{symbol}|{timeframe}")),
        owner_id=CYCLE_USER,
        name=template,
        template=template,
        parameters=parameters,
        symbol=symbol,
        timeframe=timeframe,
        venue=venue,
    )
    nothing = Looked(symbol=symbol, slot=slot, action=Action.HOLD.value, signal=None, why=None)
    try:
        prepared = prepare(definition)
        views = [_view(wanted, slot, candles) for wanted in prepared.all_windows]
        signal = _decided(prepared, views, slot)
    except RunnerError as problem:
        return msgspec.structs.replace(nothing, why=str(problem))
    if signal.action is Action.HOLD:
        return msgspec.structs.replace(nothing, why=signal.reason)
    price = float(views[0].close[-1])
    said = Said(
        price=signal.price,
        size_factor=signal.size_factor,
        leverage=signal.leverage,
        confidence=signal.confidence,
        reason=signal.reason,
    )
    told = published(
        strategy_id=definition.id,
        strategy=template,
        slot=slot,
        at=slot,
        symbol=symbol,
        action=signal.action,
        score=signal.score,
        said=said,
        ttl_s=ttl_s,
    )
    if told.entry_price is None:
        told = msgspec.structs.replace(told, entry_price=price)
    return Looked(symbol=symbol, slot=slot, action=signal.action.value, signal=told, why=signal.reason)


def deliver(
    rows: PgPublished, receiver: SignalReceiver, owner: str, monotonic: Callable[[], float]
) -> str | None:
    """Tell a receiver what waits for it; what it came to where another process tells it, or it is away."""
    for _ in range(MAX_PASSES):
        asked_s = monotonic()
        taken = rows.take(receiver.name, owner)
        if taken is None:
            return "another process tells it"
        if not taken:
            break
        timed = [Timed(id=each.id, content=each.content, until_s=asked_s + each.left_s) for each in taken]
        delivered = asyncio.run(receiver.tell(timed, monotonic))
        settled = timed[: delivered.settled]
        sent = delivered.settled - delivered.expired - delivered.refused
        progress = Progress(
            last_id=settled[-1].id if settled else 0,
            sent=sent,
            expired=delivered.expired,
            refused=delivered.refused,
        )
        rows.told(receiver.name, owner, progress)
        if delivered.error is not None:
            rows.failed(receiver.name, owner, delivered.error)
            rows.leave(receiver.name, owner)
            return delivered.error
    rows.leave(receiver.name, owner)
    return None


def _view(wanted: WantedWindow, slot: datetime, candles: Candles) -> CandleView:
    series, reach = wanted.series, wanted.series.timeframe.floor(slot)
    columns = candles(series, reach - series.timeframe.delta * wanted.lookback, reach)
    window = CandleWindow(series.timeframe, max(wanted.lookback, len(columns)))
    window.load(columns)
    view = window.view(reach, wanted.lookback, wanted.min_candles)
    if isinstance(view, CandleView):
        return view
    raise RunnerError(f"{series.market} {series.symbol} {series.timeframe}: {_MISSING[type(view)]}.")


def _decided(prepared: Prepared, views: Sequence[CandleView], slot: datetime) -> Signal:
    if isinstance(prepared.strategy, CodeStrategy):
        raise RunnerError("A cycle looks with built-in strategies.")
    extra = {wanted.series: view for wanted, view in zip(prepared.windows, views[1:], strict=True)}
    context = Context(
        candles=views[0], extra=extra, series=prepared.series, parameters=prepared.parameters, slot=slot
    )
    return prepared.strategy.decide(context)
