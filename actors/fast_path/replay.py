"""A backtest by the fast path, from request to result."""

from __future__ import annotations

import numpy as np

from actors.backtest_result import (
    NO_GATES,
    BacktestRequest,
    BacktestResult,
    ReplayPath,
    Span,
    account_of,
    definition_of,
    run_of,
    span_of,
)
from actors.fast_path.answers import TOO_FEW, Answers, answers_by_slot
from actors.fast_path.books import Books
from actors.fast_path.slots import Slots
from actors.fast_path.track import Track
from actors.fast_path.unserved import Unserved
from actors.fast_path.walk import Walk
from actors.feed import HeldFeed, rules_of
from actors.prepared import Prepared, prepare
from actors.runtime.process_time import process_s
from core.candles import CandleColumns, check
from core.errors import ImpossibleVenueData
from core.strategy import ActionCodes, SeriesStrategy
from core.timeframe import Timeframe, to_ms
from exchanges.feeds.base import CandleSource
from exchanges.paper.terms import Terms


def fast_replay(request: BacktestRequest, source: CandleSource) -> BacktestResult:
    """The result the actors would come to. Raises Unserved for what only they follow, RunnerError as they do."""
    began_s = process_s()
    definition = definition_of(request, source)
    prepared = prepare(definition)
    span = span_of(request, source, prepared.lead)
    candles = source.candles(request.symbol, request.timeframe, *span.loaded)
    feed = HeldFeed(source, (span.first_slot, span.last_slot))
    slots = Slots.between(span.first_slot, span.last_slot, request.timeframe)
    account, run = account_of(request), run_of(request, definition)
    codes = _answers(prepared, candles, slots)
    answers = Answers(codes)
    try:
        books = Books(
            run=run,
            account=account,
            terms=Terms(
                maker_fee_pct=account.maker_fee_pct,
                taker_fee_pct=account.taker_fee_pct,
                slippage_pct=account.slippage_pct,
                participation_pct=account.participation_pct,
                max_leverage=account.max_leverage,
            ),
            rules=rules_of(feed, {request.symbol: float(candles.close[-1])})[request.symbol],
            limits=request.limits or NO_GATES,
        )
        walk = Walk(
            books=books,
            answers=answers,
            slots=slots,
            candles=candles,
            track=_track(request, feed, span, codes, slots),
        )
        walk.to_the_end()
    except ImpossibleVenueData as error:
        raise Unserved(str(error)) from error
    opened = span.first_slot - request.timeframe.delta
    return BacktestResult(
        request=request,
        origin=source.origin,
        candles=candles.between(to_ms(opened), to_ms(span.last_slot)),
        signals=answers.told(slots, walk.hidden),
        trades=books.trades(),
        equity=books.equity(),
        ticks=walk.ticks(),
        open_position=books.open_position(),
        funding_known=bool(source.funding(request.symbol)),
        run_slots=slots.count,
        seconds=process_s() - began_s,
        path=ReplayPath.FAST,
    )


def _answers(prepared: Prepared, candles: CandleColumns, slots: Slots) -> ActionCodes:
    strategy = prepared.strategy
    if prepared.windows:
        raise Unserved(f"{strategy.name} looks at further candles beside its own.")
    if not isinstance(strategy, SeriesStrategy) or strategy.uses_position:
        raise Unserved(f"{strategy.name} offers no array form.")
    if not len(candles) or int(candles.open_time[-1]) != slots.ms(slots.count - 2):
        raise Unserved("The candles end before the last slot does.")
    try:
        check(candles, slots.timeframe)
    except ImpossibleVenueData as error:
        raise Unserved(str(error)) from error
    return answers_by_slot(strategy, candles, prepared.parameters, slots)


def _track(request: BacktestRequest, feed: HeldFeed, span: Span, answers: ActionCodes, slots: Slots) -> Track:
    """The finest candles from the first slot on; one that opens at the last slot is there to fill at."""
    finest = feed.finest(request.symbol)
    candles = feed.source.candles(
        request.symbol, finest, span.first_slot - finest.delta, span.last_slot + finest.delta
    )
    if not len(candles):
        raise Unserved(f"There are no {finest} candles to trade on.")
    if finest is not request.timeframe:
        _check_finer(candles, finest, answers, slots)
    return Track(candles, finest, feed.funding(request.symbol))


def _check_finer(candles: CandleColumns, finest: Timeframe, answers: ActionCodes, slots: Slots) -> None:
    """Where the strategy says something, the account must have met the candle that closes there."""
    try:
        check(candles, finest)
    except ImpossibleVenueData as error:
        raise Unserved(str(error)) from error
    closes = candles.open_time + finest.ms
    told = slots.first_ms + np.flatnonzero((answers != 0) & (answers > TOO_FEW)) * slots.timeframe.ms
    if not np.isin(told, closes).all():
        raise Unserved(f"A signal stands at a hole in the {finest} candles.")
