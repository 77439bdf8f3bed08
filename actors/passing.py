"""What is told and not kept (decision 14): candles that closed, evaluations that began and ended.

Whoever has such news adds it, an append; it becomes events when somebody asks for them, the streams of this process or,
where other processes live, the notes to them. It is bounded, the newest stays: nobody resumes after it, and nothing
waits for it. An event is a strategy's or a series', never a run's: who sees it is worked out where it is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from actors.messages import EvaluateSlot, Evaluation
from core.definition import StrategyDefinition
from core.ids import StrategyId
from core.market import Series
from core.timeframe import from_ms
from schema.ledger.payloads import plain
from schema.records import CandleRow, ExecutionStatus

CANDLE_CLOSE: Final = "candle.close"
EXECUTION_START: Final = "strategy.execution.start"
EXECUTION_COMPLETE: Final = "strategy.execution.complete"
EXECUTION_ERROR: Final = "strategy.execution.error"

MAX_KEPT: Final = 10_000
"""News that wait to be asked for; of more the oldest goes."""
MAX_NOTE_BYTES: Final = 7_500
"""PostgreSQL takes 8,000 bytes in a notification."""


class PassingEvent(msgspec.Struct, frozen=True, kw_only=True):
    """`key`: another process that tells the same has the same. It is a series' or a strategy's."""

    type: str
    key: str
    at: datetime
    payload: Mapping[str, Any]
    series: Series | None = None
    strategy_id: StrategyId | None = None


News = tuple[datetime, CandleRow | EvaluateSlot, Evaluation | None]


class Passing:
    """Adding is for any thread; `take` for one, `notes` for one."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._here: deque[News | PassingEvent] = deque(maxlen=MAX_KEPT)
        self._there: deque[News] = deque(maxlen=MAX_KEPT)
        self._sending = False
        self.others: Callable[[], bool] = lambda: False
        """Whether other processes are to be told."""
        self.wake: Callable[[], bool] = lambda: False
        """Has somebody call `notes` soon; whether somebody will."""

    def candle_closed(self, row: CandleRow) -> None:
        self._add((self._now(), row, None))

    def evaluating(self, request: EvaluateSlot) -> None:
        self._add((self._now(), request, None))

    def evaluated(self, request: EvaluateSlot, evaluation: Evaluation) -> None:
        self._add((self._now(), request, evaluation))

    def heard(self, note: bytes | msgspec.Raw) -> None:
        """Another process's note."""
        self._here.extend(msgspec.json.decode(note, type=list[PassingEvent]))

    def take(self) -> list[PassingEvent]:
        """What has come since it was last asked for, here and elsewhere."""
        return [each if isinstance(each, PassingEvent) else event_of(*each) for each in _drained(self._here)]

    def notes(self) -> Iterator[bytes]:
        """For the other processes: what has come here, in as few notes as it fits."""
        while self._there:
            yield from _packed([event_of(*news) for news in _drained(self._there)])
            if not self._there:
                self._sending = False
                if not self._there:
                    return
                self._sending = True  # added between the look and the flag

    def _add(self, news: News) -> None:
        self._here.append(news)
        if self.others():
            self._there.append(news)
            if not self._sending:
                self._sending = True  # before the wake: who is woken may be done before it returns
                if not self.wake():
                    self._sending = False


def event_of(at: datetime, subject: CandleRow | EvaluateSlot, evaluation: Evaluation | None) -> PassingEvent:
    if isinstance(subject, CandleRow):
        return _candle_close(at, subject)
    if evaluation is None:
        return _execution(at, EXECUTION_START, subject.definition, subject.slot)
    failed = evaluation.status is ExecutionStatus.FAILED
    signal = evaluation.signal
    reason = signal.reason if signal is not None else evaluation.reason
    return _execution(
        at,
        EXECUTION_ERROR if failed else EXECUTION_COMPLETE,
        subject.definition,
        subject.slot,
        status=evaluation.status.value,
        signal=None if signal is None else signal.action.value,
        price=evaluation.price,
        reason=None if reason is None else str(reason),
        error=evaluation.detail,
    )


def _execution(
    at: datetime, type: str, definition: StrategyDefinition, slot: datetime, **more: str | Decimal | None
) -> PassingEvent:
    return PassingEvent(
        type=type,
        key=f"{type}:{definition.id}:{slot.isoformat()}",
        at=at,
        strategy_id=definition.id,
        payload=plain(
            strategy_id=str(definition.id),
            symbol=definition.symbol,
            timeframe=definition.timeframe.value,
            slot=slot,
            **more,
        ),
    )


def _candle_close(at: datetime, row: CandleRow) -> PassingEvent:
    series, candle = row.series, row.candle
    opened = from_ms(candle.open_time_ms)
    named = f"{series.venue}:{series.market}:{series.symbol}:{series.timeframe}"
    return PassingEvent(
        type=CANDLE_CLOSE,
        key=f"{CANDLE_CLOSE}:{named}:{candle.open_time_ms}",
        at=at,
        series=series,
        payload=plain(
            venue=series.venue,
            market=series.market.value,
            symbol=series.symbol,
            timeframe=series.timeframe.value,
            slot=opened + series.timeframe.delta,
            open_time=opened,
            open=_price(candle.open),
            high=_price(candle.high),
            low=_price(candle.low),
            close=_price(candle.close),
            volume=_price(candle.volume),
        ),
    )


def _price(value: float) -> Decimal:
    return Decimal(repr(value))


def _drained(waiting: deque[Any]) -> list[Any]:
    """Others may append meanwhile."""
    return [waiting.popleft() for _ in range(len(waiting))]


def _packed(events: Sequence[PassingEvent]) -> Iterator[bytes]:
    """One that is too large for a note by itself is left out."""
    held: list[bytes] = []
    size = 2
    for event in events:
        encoded = msgspec.json.encode(event)
        if size + len(encoded) + 1 > MAX_NOTE_BYTES and held:
            yield _note(held)
            held, size = [], 2
        if size + len(encoded) <= MAX_NOTE_BYTES:
            held.append(encoded)
            size += len(encoded) + 1
    if held:
        yield _note(held)


def _note(encoded: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(encoded) + b"]"
