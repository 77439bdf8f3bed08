"""Evaluator: one evaluation per strategy content and slot, told to every run that shares it (I20).

Looks at the shared candle windows; where the closing candle is not there yet it waits for MarketData's word,
at most until the slot's candle deadline.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from uuid import UUID

import msgspec
from msgspec.structs import replace

from actors.holds import Holds, holds_of
from actors.journal import JournalBuffer
from actors.messages import EvaluateSlot, Evaluation, SeriesAdvanced, TickDue
from actors.portions import NextPortion, Portions
from actors.prepared import NoView, Prepared, missing_key, named, prepare
from actors.runtime.behaviour import Behaviour, Context
from actors.sandbox.judge import AskCode, CodeTask, NoVerdict, Verdict
from actors.strategy_watch import Shadowed, Shadows, StrategyWatch
from actors.windows import Windows
from core.candles import CandleColumns, CandleView, Gap, NotYet
from core.definition import StrategyDefinition
from core.errors import Reason, RunnerError
from core.market import Series, SymbolRules
from core.signal import Action, BadSignal, Signal, SignalFault
from core.strategies.code import CodeStrategy
from core.strategy import Context as DecisionContext
from core.strategy import HeldPosition, evaluation_key
from core.timeframe import candle_deadline
from schema.records import ExecutionRow, ExecutionStatus, Reached

MAX_REMEMBERED = 20_000
"""Evaluations kept for runs that ask late; the oldest go first."""


ID_DIGITS = 32
"""Of a key, which is hexadecimal, those that name its evaluation in tick rows."""
MAX_ARRAYS = 1_000
"""Array forms kept, a byte a candle each."""


class Overdue(msgspec.Struct, frozen=True):
    """The candle deadline of a slot has passed."""

    slot: datetime


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The sandbox has answered for this key, or failed to."""

    key: tuple[str, datetime]
    verdict: Verdict


class Done(msgspec.Struct, kw_only=True):
    """An evaluation, and how many runs of this process it has reached."""

    evaluation: Evaluation
    runs: int


class AskedCode(msgspec.Struct, kw_only=True):
    """Code whose verdict is awaited, and who waits for it."""

    prepared: Prepared
    task: CodeTask
    requests: list[EvaluateSlot]
    started_s: float


def _key(prepared: Prepared, request: EvaluateSlot) -> str:
    """Of what the evaluation depends on; what a run holds counts for strategies that look at it."""
    if request.position is None or not prepared.strategy.uses_position:
        return prepared.key
    return evaluation_key(
        strategy=prepared.strategy,
        parameters=prepared.parameters,
        series=prepared.series,
        position=HeldPosition.of(request.position, request.position.entry_price),
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
        "_asked",
        "_code",
        "_done",
        "_holds",
        "_journal",
        "_latest",
        "_portions",
        "_prepared",
        "_rules",
        "_waiting",
        "_watch",
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
        code: AskCode | None = None,
        shadows: Shadows | None = None,
    ) -> None:
        """`array_signals`: series are loaded whole, and a strategy with an array form says there when it holds.

        Without `code` strategies that are code are skipped.
        """
        super().__init__(ctx)
        self._code = code
        self._watch = StrategyWatch(ctx, journal, shadows)
        self._asked: dict[tuple[str, datetime], AskedCode] = {}
        self._array_signals = array_signals
        self._holds: dict[str, Holds | None] = {}
        self._latest: tuple[StrategyDefinition, Prepared] | None = None
        self._windows = windows
        self._journal = journal
        self._rules = rules
        self._worker = worker
        self._prepared: OrderedDict[tuple[object, int], Prepared] = OrderedDict()
        self._done: OrderedDict[tuple[str, datetime], Done] = OrderedDict()
        self._waiting: dict[Series, dict[datetime, list[EvaluateSlot]]] = {}
        self._portions = Portions(ctx)

    def receive(self, message: object) -> None:
        match message:
            case EvaluateSlot():
                self._journal.evaluating(message)
                self._evaluate(message)
            case SeriesAdvanced():
                self._advanced(message)
            case Overdue():
                self._give_up(message.slot)
            case Judged():
                self._judged(message)
            case Shadowed():
                self._watch.shadowed(message)
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
        key = (_key(prepared, request), request.slot)
        done = self._done.get(key)
        # Of a strategy that looks at positions, nothing is known about a run that has not said what it holds.
        has_to_be_told = prepared.strategy.uses_position and not request.position_told
        if done is not None and not has_to_be_told:
            done.runs += len(request.ticks)
            self._journal.reached_late(
                Reached(evaluation_key=key[0], slot=key[1], worker=self._worker, runs=done.runs)
            )
            evaluation = done.evaluation
        else:
            views = self._views(prepared, request.slot)
            if isinstance(views, NoView) and isinstance(views.why, NotYet):
                self._wait(views.series, request)
                return
            if has_to_be_told:
                for tick in request.ticks:
                    self.ctx.tell(tick.run, TickDue(tick=tick, evaluation=None))
                return
            if not isinstance(views, NoView) and isinstance(prepared.strategy, CodeStrategy):
                self._ask(key, prepared, request, self._context(prepared, request, views))
                return
            started_s = self.ctx.clock.monotonic()
            evaluation = self._answer(prepared, request, views)
            evaluation = self._note(key, prepared, [request], evaluation, started_s)
        self._tell(request, evaluation)

    def _ask(
        self,
        key: tuple[str, datetime],
        prepared: Prepared,
        request: EvaluateSlot,
        context: DecisionContext,
    ) -> None:
        """Have the sandbox judge; who asks for the same meanwhile waits for the same verdict."""
        asked = self._asked.get(key)
        if asked is not None:
            asked.requests.append(request)
            return
        strategy = prepared.strategy
        assert isinstance(strategy, CodeStrategy)
        started_s = self.ctx.clock.monotonic()
        task = CodeTask(
            strategy=strategy, series=prepared.series, context=context, owner=request.definition.owner_id
        )
        self._asked[key] = AskedCode(prepared=prepared, task=task, requests=[request], started_s=started_s)
        away = Verdict(nothing=NoVerdict.AWAY, sentence="There is no sandbox here that runs code.")
        if self._code is None:
            self._judged(Judged(key=key, verdict=away))
            return
        self._code(
            self.ctx,
            task,
            lambda verdict: Judged(key=key, verdict=verdict),
            lambda _: Judged(key=key, verdict=away),
        )

    def _judged(self, judged: Judged) -> None:
        asked = self._asked.pop(judged.key, None)
        if asked is None:
            return
        verdict, slot = judged.verdict, judged.key[1]
        if verdict.signal is not None:
            evaluation = self._signalled(asked.prepared, asked.task.context, verdict.signal)
        elif verdict.failed is not None:
            evaluation = self._fault(slot, verdict.sentence)
        else:
            starved = verdict.nothing is NoVerdict.STARVED
            reason = Reason.HOST_BUSY if starved else Reason.SANDBOX_AWAY
            evaluation = Evaluation(slot=slot, status=_SKIPPED, reason=reason, detail=verdict.sentence)
        evaluation = self._note(
            judged.key, asked.prepared, asked.requests, evaluation, asked.started_s, verdict
        )
        for request in asked.requests:
            self._tell(request, evaluation)
        self._watch.judged(asked.requests, judged.key, verdict, asked.task)

    def _context(self, prepared: Prepared, request: EvaluateSlot, views: list[CandleView]) -> DecisionContext:
        extra: dict[Series, CandleColumns] = {
            wanted.series: view for wanted, view in zip(prepared.windows, views[1:], strict=True)
        }
        held = None
        if request.position is not None and prepared.strategy.uses_position:
            held = HeldPosition.of(request.position, Decimal(repr(float(views[0].close[-1]))))
        return DecisionContext(
            candles=views[0],
            extra=extra,
            series=prepared.series,
            parameters=prepared.parameters,
            slot=request.slot,
            position=held,
        )

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
        self._journal.evaluated(request, evaluation)
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

    def _note(
        self,
        key: tuple[str, datetime],
        prepared: Prepared,
        requests: list[EvaluateSlot],
        evaluation: Evaluation,
        started_s: float,
        verdict: Verdict | None = None,
    ) -> Evaluation:
        """Remember it for who asks late, and have its row written; as it is told, with its id."""
        duration_ms = (self.ctx.clock.monotonic() - started_s) * 1_000
        runs = self._write(key[0], prepared, requests, evaluation, duration_ms, verdict)
        evaluation = replace(evaluation, id=UUID(key[0][:ID_DIGITS]))
        self._done[key] = Done(evaluation=evaluation, runs=runs)
        if len(self._done) > MAX_REMEMBERED:
            self._done.popitem(last=False)
        return evaluation

    def _write(
        self,
        key: str,
        prepared: Prepared,
        requests: Sequence[EvaluateSlot],
        evaluation: Evaluation,
        duration_ms: float,
        verdict: Verdict | None = None,
    ) -> int:
        """How many runs it reaches."""
        signal = evaluation.signal
        runs = sum(len(request.ticks) for request in requests)
        self._journal.executed(
            ExecutionRow(
                evaluation_key=key,
                strategy_id=requests[0].definition.id,
                slot=evaluation.slot,
                worker=self._worker,
                duration_ms=duration_ms,
                status=evaluation.status,
                action=None if signal is None else signal.action.value,
                price=None if evaluation.price is None else float(evaluation.price),
                reason=signal.reason if signal is not None else evaluation.reason,
                indicators={} if signal is None else signal.indicators,
                nodes_executed=prepared.nodes if signal is not None else 0,
                runs_reached=runs,
                error=evaluation.detail,
                used_ms=None if verdict is None else verdict.used_ms,
                limit_ms=None if verdict is None else verdict.limit_ms,
            )
        )
        return runs

    def _answer(
        self, prepared: Prepared, request: EvaluateSlot, views: list[CandleView] | NoView
    ) -> Evaluation:
        if isinstance(views, NoView):
            reason = Reason.CANDLE_GAP if isinstance(views.why, Gap) else Reason.TOO_FEW_CANDLES
            return Evaluation(
                slot=request.slot, status=_SKIPPED, reason=reason, detail=views.named(request.slot)
            )
        strategy, context = prepared.strategy, self._context(prepared, request, views)
        assert not isinstance(strategy, CodeStrategy)
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
        return self._signalled(prepared, context, signal)

    def _signalled(self, prepared: Prepared, context: DecisionContext, signal: Signal) -> Evaluation:
        hold = signal.action is _HOLDS
        return Evaluation(
            slot=context.slot,
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

    def _wait(self, series: Series, request: EvaluateSlot) -> None:
        deadline = candle_deadline(request.slot)
        if self.ctx.clock.now() >= deadline:
            self._miss(series, [request])
            return
        by_slot = self._waiting.setdefault(series, {})
        if request.slot not in by_slot:
            self.ctx.at(deadline, Overdue(request.slot))
        by_slot.setdefault(request.slot, []).append(request)

    def _give_up(self, slot: datetime) -> None:
        for series, by_slot in list(self._waiting.items()):
            requests = by_slot.pop(slot, [])
            if not by_slot:
                del self._waiting[series]
            self._miss(series, requests)

    def _miss(self, series: Series, requests: Sequence[EvaluateSlot]) -> None:
        """Of a series beside a strategy's own a row says which; its candles may come yet, so it is no evaluation that
        is remembered, nor of the evaluation's key."""
        by_key: dict[str, list[EvaluateSlot]] = {}
        for request in requests:
            prepared = self._prepare(request.definition)
            key = prepared.key if series == prepared.series else missing_key(prepared.key, series)
            by_key.setdefault(key, []).append(request)
        for key, sharing in by_key.items():
            first, prepared = sharing[0], self._prepare(sharing[0].definition)
            missing = Evaluation(slot=first.slot, status=_SKIPPED, reason=Reason.NO_CANDLES)
            if key != prepared.key:
                missing = replace(missing, id=UUID(key[:ID_DIGITS]), detail=named(series))
                self._write(key, prepared, sharing, missing, 0.0)
            for request in sharing:
                self._tell(request, missing)
