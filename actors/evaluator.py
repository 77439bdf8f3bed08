"""Evaluator: one evaluation per strategy content and slot, told to every run that shares it (I20).

Looks at the shared candle windows; where the closing candle is not there yet it waits for MarketData's word,
at most until the slot's candle deadline.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from actors.holds import Holds, holds_of
from actors.journal import JournalBuffer
from actors.messages import EvaluateSlot, Evaluation, SeriesAdvanced, TickDue
from actors.portions import NextPortion, Portions
from actors.runtime.behaviour import Behaviour, Context
from actors.windows import Windows
from core.candles import CandleColumns, CandleView, Gap, NotYet, TooFew
from core.definition import StrategyDefinition
from core.errors import Reason, RunnerError
from core.market import Market, Series, SymbolRules
from core.signal import Action, BadSignal, Signal, SignalFault
from core.strategies import strategy_of
from core.strategies.code import CodeStrategy
from core.strategy import Context as DecisionContext
from core.strategy import Parameters, Strategy, WantedWindow, evaluation_key, strategy_parameters
from core.timeframe import candle_deadline
from schema.records import ExecutionRow, ExecutionStatus

MAX_REMEMBERED = 20_000
"""Evaluations kept for runs that ask late; the oldest go first."""


MAX_ARRAYS = 1_000
"""Array forms kept, a byte a candle each."""


class Overdue(msgspec.Struct, frozen=True):
    """The candle deadline of a slot has passed."""

    slot: datetime


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation of one strategy version needs, worked out once."""

    strategy: Strategy | CodeStrategy
    parameters: Parameters
    series: Series
    key: str
    lookback: int
    min_candles: int
    windows: tuple[WantedWindow, ...] = ()

    @property
    def all_windows(self) -> tuple[WantedWindow, ...]:
        """Its own candles, then what it looks at beside them."""
        own = WantedWindow(series=self.series, lookback=self.lookback, min_candles=self.min_candles)
        return (own, *self.windows)

    @property
    def lead(self) -> timedelta:
        """How far before its first slot the oldest candle opens that it may look at."""
        return max(each.series.timeframe.delta * (each.lookback + 1) for each in self.all_windows)


class NoView(msgspec.Struct, frozen=True, kw_only=True):
    """A window cannot be shown at a slot."""

    series: Series
    why: NotYet | TooFew | Gap

    @property
    def named(self) -> str:
        series = self.series
        return f"{series.market} {series.symbol} {series.timeframe} of {series.venue}"


def series_of(definition: StrategyDefinition) -> Series:
    """The candle series a strategy decides on."""
    return Series(
        venue=definition.venue,
        market=Market(definition.market),
        symbol=definition.symbol,
        timeframe=definition.timeframe,
    )


def prepare(definition: StrategyDefinition) -> Prepared:
    """Raises ParameterError or LookupError sentences for definitions that cannot be evaluated."""
    strategy = strategy_of(definition)
    parameters = strategy_parameters(strategy, definition.parameters)
    series = series_of(definition)
    return Prepared(
        strategy=strategy,
        parameters=parameters,
        series=series,
        key=evaluation_key(strategy=strategy, parameters=parameters, series=series),
        lookback=strategy.lookback(parameters),
        min_candles=strategy.min_candles(parameters),
        windows=strategy.windows(series, parameters),
    )


# Looked up once: an enum's member costs more than the comparison it is for.
_HOLDS, _NO_SIGNAL, _SUCCESS, _SKIPPED = (
    Action.HOLD,
    ExecutionStatus.NO_SIGNAL,
    ExecutionStatus.SUCCESS,
    ExecutionStatus.SKIPPED,
)
_HOLD = Signal(action=_HOLDS)


class Evaluator(Behaviour):
    __slots__ = (
        "_array_signals",
        "_done",
        "_holds",
        "_journal",
        "_latest",
        "_portions",
        "_prepared",
        "_rules",
        "_waiting",
        "_windows",
        "_worker",
    )

    def __init__(
        self,
        ctx: Context,
        *,
        windows: Windows,
        journal: JournalBuffer,
        rules: Mapping[str, SymbolRules],
        worker: str,
        array_signals: bool = False,
    ) -> None:
        """`array_signals`: series are loaded whole, and a strategy with an array form says there when it holds."""
        super().__init__(ctx)
        self._array_signals = array_signals
        self._holds: dict[str, Holds | None] = {}
        self._latest: tuple[StrategyDefinition, Prepared] | None = None
        self._windows = windows
        self._journal = journal
        self._rules = rules
        self._worker = worker
        self._prepared: OrderedDict[tuple[object, int], Prepared] = OrderedDict()
        self._done: OrderedDict[tuple[str, datetime], Evaluation] = OrderedDict()
        self._waiting: dict[Series, dict[datetime, list[EvaluateSlot]]] = {}
        self._portions = Portions(ctx)

    def receive(self, message: object) -> None:
        match message:
            case EvaluateSlot():
                self._evaluate(message)
            case SeriesAdvanced():
                self._advanced(message)
            case Overdue():
                self._give_up(message.slot)
            case NextPortion():
                self._portions.next()
            case _:
                raise TypeError(f"evaluator cannot handle {type(message).__name__}")

    def _advanced(self, advanced: SeriesAdvanced) -> None:
        """A loaded window reaches further than the slot somebody waits for: everything up to it can be answered."""
        by_slot = self._waiting.get(advanced.series)
        if by_slot is None:
            return
        floor = advanced.series.timeframe.floor
        for slot in sorted(slot for slot in by_slot if floor(slot) <= advanced.close_time):
            for request in by_slot.pop(slot):
                self._evaluate(request)
        if not by_slot:
            self._waiting.pop(advanced.series, None)

    def _evaluate(self, request: EvaluateSlot) -> None:
        try:
            latest = self._latest
            if latest is not None and latest[0] is request.definition:
                prepared = latest[1]
            else:
                prepared = self._prepare(request.definition)
        except RunnerError as problem:  # one strategy that cannot be evaluated stops no other (I20)
            self._tell(request, self._fault(request.slot, str(problem)))
            return
        if self._array_signals and not prepared.windows and self._holding(prepared, request.slot):
            self._tell(request, Evaluation(slot=request.slot, status=_NO_SIGNAL, signal=_HOLD))
            return
        key = (prepared.key, request.slot)
        done = self._done.get(key)
        if done is None:
            views = self._views(prepared, request.slot)
            if isinstance(views, NoView) and isinstance(views.why, NotYet):
                self._wait(views.series, request)
                return
            done = self._decide(prepared, request, views)
            self._remember(key, done)
        self._tell(request, done)

    def _views(self, prepared: Prepared, slot: datetime) -> list[CandleView] | NoView:
        """Its own window, then the further ones; the first that cannot be shown instead."""
        series = prepared.series
        view = self._windows.view(series, slot, prepared.lookback, prepared.min_candles)
        if not isinstance(view, CandleView):
            return NoView(series=series, why=view)
        views = [view]
        for wanted in prepared.windows:
            reach = wanted.series.timeframe.floor(slot)
            view = self._windows.view(wanted.series, reach, wanted.lookback, wanted.min_candles)
            if not isinstance(view, CandleView):
                return NoView(series=wanted.series, why=view)
            views.append(view)
        return views

    def _tell(self, request: EvaluateSlot, evaluation: Evaluation) -> None:
        ticks = request.ticks
        if len(ticks) == 1:  # a replay's every slot
            self.ctx.tell(ticks[0].run, TickDue(tick=ticks[0], evaluation=evaluation))
        else:
            self._portions.tell(ticks, evaluation)

    def _holding(self, prepared: Prepared, slot: datetime) -> bool:
        """Whether the array form says that the strategy holds at `slot`; what else it says is for `decide`."""
        try:
            holds = self._holds[prepared.key]
        except KeyError:
            window = self._windows.get(prepared.series)
            if window is None:
                return False
            if len(self._holds) >= MAX_ARRAYS:
                self._holds.clear()
            timeframe = prepared.series.timeframe
            holds = holds_of(prepared.strategy, prepared.parameters, timeframe, window.columns)
            self._holds[prepared.key] = holds
        return holds is not None and holds.at(slot)

    def _decide(
        self, prepared: Prepared, request: EvaluateSlot, views: list[CandleView] | NoView
    ) -> Evaluation:
        started = self.ctx.clock.monotonic()
        evaluation = self._answer(prepared, request, views)
        signal = evaluation.signal
        self._journal.executed(
            ExecutionRow(
                evaluation_key=prepared.key,
                strategy_id=request.definition.id,
                slot=request.slot,
                worker=self._worker,
                duration_ms=(self.ctx.clock.monotonic() - started) * 1_000,
                status=evaluation.status,
                action=None if signal is None else signal.action.value,
                price=None if evaluation.price is None else float(evaluation.price),
                reason=signal.reason if signal is not None else evaluation.reason,
                indicators={} if signal is None else signal.indicators,
                runs_reached=len(request.ticks),
                error=evaluation.detail,
            )
        )
        return evaluation

    def _answer(
        self, prepared: Prepared, request: EvaluateSlot, views: list[CandleView] | NoView
    ) -> Evaluation:
        if isinstance(views, NoView):
            reason = Reason.CANDLE_GAP if isinstance(views.why, Gap) else Reason.TOO_FEW_CANDLES
            return Evaluation(slot=request.slot, status=_SKIPPED, reason=reason, detail=views.named)
        extra: dict[Series, CandleColumns] = {
            wanted.series: view for wanted, view in zip(prepared.windows, views[1:], strict=True)
        }
        context = DecisionContext(
            candles=views[0], extra=extra, parameters=prepared.parameters, slot=request.slot
        )
        strategy = prepared.strategy
        if isinstance(strategy, CodeStrategy):
            return self._fault(request.slot, "There is nothing here that runs code.")
        try:
            signal = strategy.decide(context)
        except BadSignal as bad:
            if bad.fault is SignalFault.TOO_FEW_CANDLES:
                return Evaluation(
                    slot=request.slot, status=_SKIPPED, reason=Reason.TOO_FEW_CANDLES, detail=str(bad)
                )
            return self._fault(request.slot, str(bad))
        except Exception as error:  # a strategy may raise anything; it must not take the Evaluator down (I20)
            return self._fault(request.slot, f"{type(error).__name__}: {error}")
        hold = signal.action is _HOLDS
        return Evaluation(
            slot=request.slot,
            status=_NO_SIGNAL if hold else _SUCCESS,
            signal=signal,
            price=None if hold else self._rules[prepared.series.symbol].price_of(context.price),
        )

    def _fault(self, slot: datetime, detail: str) -> Evaluation:
        return Evaluation(
            slot=slot, status=ExecutionStatus.FAILED, reason=Reason.STRATEGY_ERROR, detail=detail
        )

    def _prepare(self, definition: StrategyDefinition) -> Prepared:
        key = (definition.id, definition.version)
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = prepare(definition)
            if len(self._prepared) > MAX_REMEMBERED:
                self._prepared.popitem(last=False)
        self._latest = (definition, prepared)
        return prepared

    def _remember(self, key: tuple[str, datetime], evaluation: Evaluation) -> None:
        self._done[key] = evaluation
        if len(self._done) > MAX_REMEMBERED:
            self._done.popitem(last=False)

    def _wait(self, series: Series, request: EvaluateSlot) -> None:
        deadline = candle_deadline(request.slot)
        if self.ctx.clock.now() >= deadline:
            self._tell(request, self._missing(request.slot))
            return
        by_slot = self._waiting.setdefault(series, {})
        if request.slot not in by_slot:
            self.ctx.at(deadline, Overdue(request.slot))
        by_slot.setdefault(request.slot, []).append(request)

    def _give_up(self, slot: datetime) -> None:
        for series, by_slot in list(self._waiting.items()):
            for request in by_slot.pop(slot, ()):
                self._tell(request, self._missing(slot))
            if not by_slot:
                del self._waiting[series]

    def _missing(self, slot: datetime) -> Evaluation:
        return Evaluation(slot=slot, status=ExecutionStatus.SKIPPED, reason=Reason.NO_CANDLES)
