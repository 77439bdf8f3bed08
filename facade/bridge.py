"""The only place that talks to the running system: the store off the event loop, the actors through `Runner`.

The facade's names for what lies below are imported from here, so that this file and `facade/runner.py`, which says
what is asked of the running system, alone know those layers.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from actors.backtest import BacktestRequest
from actors.converter import Converter, ConverterAway, ConverterBusy
from actors.keys import KeyRefused, Keys, Tested, VenueAway
from actors.passing import PassingEvent
from actors.publishers.webhook import NotDelivered, check_url
from actors.sandbox.host import SandboxAway
from actors.sandbox.validation import CodeError, Validated, sample_series
from actors.sandbox.worker_handle import Starved
from actors.service import Vitals
from actors.venue_numbers import VenueNumbers
from actors.work.backfill import BackfillJob
from actors.work.backtest import BacktestJob, strategy_asked_for
from actors.work.graph_trial import TriedGraph, try_graph
from actors.work.what_if import Variant, WhatIfJob
from core.errors import RunnerError
from core.ids import RunId, UserId
from core.timeframe import Timeframe
from facade.runner import ActorNode, DemoClock, DemoTime, Reads, Runner
from schema.connections import Connection, KeyInUse, NewConnection
from schema.desk import (
    Arranged,
    CancelRun,
    MoveSubscription,
    OpenRun,
    RetireStrategy,
    ReviseStrategy,
    SetRunSettings,
)
from schema.external import (
    Accepted,
    CameTooLate,
    KeyTaken,
    NewSignal,
    NoSuchStrategy,
    Receipt,
    TooFast,
)
from schema.flattens import Flatten
from schema.idempotency import Asked as KeyedRequest
from schema.idempotency import Attempt, Busy, IdempotencyKeys, Kept, Reused, TooManyKeys
from schema.jobs import Job, JobId, TooManyJobs
from schema.notices import Delivery, NoticeSettings
from schema.ops import LedgerOp, LedgerResult, OpRefused, ResumeUser, RiskSettled, SimulateTrade
from schema.pg_candles import MAX_STRETCHES, StoredStretch
from schema.pg_database import DatabaseTimes
from schema.pg_history import (
    AuthoredEvaluation,
    EvaluationRecord,
    EventsPage,
    Listing,
    OrderRecord,
    RunTotals,
    TickRecord,
    TradeRecord,
)
from schema.pg_limits import OwnLimits, TooLoose
from schema.pg_observations import Observed
from schema.pg_portfolios import CurvePoint, Portfolio, Totals
from schema.pg_portfolios import PgPortfolios as PortfolioRows
from schema.pg_reads import RunnerNumbers, RunSummary, StrategyDetail, StrategyView
from schema.pg_signals import SignalRow, SignalsAsked
from schema.pg_watched import Watched
from schema.records import (
    Account,
    AccountKind,
    Event,
    LostTrigger,
    Node,
    OpenPosition,
    Platform,
    RiskView,
    TickPlace,
    TickRow,
    TickSource,
    TickStatus,
    Trade,
)
from schema.store import Store, StoreUnavailable
from schema.tenancy import asked_for, caused_by
from schema.vault import OpenedKeys, Owner, Vault

__all__ = [
    "MAX_STRETCHES",
    "Accepted",
    "Account",
    "AccountKind",
    "ActorNode",
    "Arranged",
    "Attempt",
    "AuthoredEvaluation",
    "BackfillJob",
    "BacktestJob",
    "BacktestRequest",
    "Bridge",
    "BridgeTimeout",
    "Busy",
    "CameTooLate",
    "CancelRun",
    "CodeError",
    "Connection",
    "Converter",
    "ConverterAway",
    "ConverterBusy",
    "CurvePoint",
    "DatabaseTimes",
    "Delivery",
    "DemoClock",
    "DemoTime",
    "EvaluationRecord",
    "Event",
    "EventsPage",
    "Flatten",
    "IdempotencyKeys",
    "Job",
    "JobId",
    "Kept",
    "KeyInUse",
    "KeyRefused",
    "KeyTaken",
    "KeyedRequest",
    "Keys",
    "Listing",
    "LostTrigger",
    "MoveSubscription",
    "NewConnection",
    "NewSignal",
    "NoSuchStrategy",
    "Node",
    "NotDelivered",
    "NoticeSettings",
    "Observed",
    "OpRefused",
    "OpenPosition",
    "OpenRun",
    "OpenedKeys",
    "OrderRecord",
    "OwnLimits",
    "Owner",
    "PassingEvent",
    "Platform",
    "Portfolio",
    "PortfolioRows",
    "Reads",
    "Receipt",
    "ResumeUser",
    "RetireStrategy",
    "Reused",
    "ReviseStrategy",
    "RiskSettled",
    "RiskView",
    "RunSummary",
    "RunTotals",
    "Runner",
    "RunnerAway",
    "RunnerNumbers",
    "SandboxAway",
    "SetRunSettings",
    "SignalRow",
    "SignalsAsked",
    "SimulateTrade",
    "Starved",
    "Store",
    "StoreUnavailable",
    "StoredStretch",
    "StrategyDetail",
    "StrategyView",
    "Tested",
    "TickPlace",
    "TickRecord",
    "TickRow",
    "TickSource",
    "TickStatus",
    "TooFast",
    "TooLoose",
    "TooManyJobs",
    "TooManyKeys",
    "Totals",
    "Trade",
    "TradeRecord",
    "TriedGraph",
    "Validated",
    "Variant",
    "Vault",
    "VenueAway",
    "VenueNumbers",
    "Vitals",
    "Waits",
    "Watched",
    "WhatIfJob",
    "check_url",
    "sample_series",
    "strategy_asked_for",
    "try_graph",
]

T = TypeVar("T")

STORE_THREADS: Final = 8
MAX_WAITING: Final = 256
"""Requests at the store at once, running and queued; the next one is refused."""
STORE_TIMEOUT_S: Final = 5.0
SETTLE_TIMEOUT_S: Final = 5.0
_POLL_FIRST_S: Final = 0.01
_POLL_LONGEST_S: Final = 0.1


class BridgeTimeout(RunnerError):
    """Whoever was asked did not answer in time; what was asked may still happen."""


class RunnerAway(RunnerError):
    """Nobody is there to ask, or too many are asking."""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """How long callers wait for ticks, seconds. A cron call up to 5 s before the boundary looks for the last time
    `cron_answer_s` after it; `cron_longest_s` ends the wait when market time stands still.
    """

    tick_s: float = 10.0
    cron_answer_s: float = 1.7
    cron_longest_s: float = 8.0


class SlotOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the ticks of a slot had come to when the answer was due, and how many runs were still undecided."""

    counts: Mapping[TickStatus, int]
    undecided: int


class Bridge:
    """Asks the running system for the event loop: every call off the loop, bounded in number and time."""

    def __init__(self, runner: Runner, waits: Waits) -> None:
        self.runner = runner
        self._waits = waits
        self._threads = ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="facade-store")
        self._outcomes: dict[datetime, asyncio.Task[SlotOutcome]] = {}
        self._places = threading.BoundedSemaphore(MAX_WAITING)
        self._user_id: UserId | None = None
        self._request_id: str | None = None

    def for_user(self, user_id: UserId) -> Bridge:
        """The same threads and places; what is asked of the database is behind this user's wall (schema/tenancy.py)."""
        bound = copy.copy(self)
        bound._user_id = user_id
        return bound

    def because_of(self, request_id: str) -> Bridge:
        """The same; events of what is changed, and ticks that are asked for, carry this request's id."""
        bound = copy.copy(self)
        bound._request_id = request_id
        return bound

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def ask(self, fn: Callable[[Store], T], *, timeout_s: float = STORE_TIMEOUT_S) -> T:
        """`fn(store)` on a thread of ours. Raises BridgeTimeout, RunnerAway, or what `fn` raised."""
        return await self.call(lambda: fn(self.runner.store), timeout_s=timeout_s)

    async def read(self, fn: Callable[[Reads], T]) -> T:
        """`fn(reads)` likewise."""
        return await self.call(lambda: fn(self.runner.reads), timeout_s=STORE_TIMEOUT_S)

    async def call(self, fn: Callable[[], T], *, timeout_s: float) -> T:
        if not self._places.acquire(blocking=False):
            raise RunnerAway("too many requests are waiting for the database")
        future = self._threads.submit(_asked_for, self._user_id, self._request_id, fn)
        future.add_done_callback(lambda _: self._places.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout_s)
        except TimeoutError as error:
            raise BridgeTimeout(f"there was no answer within {timeout_s:g} s") from error

    async def settle(self, op: LedgerOp) -> LedgerResult:
        """By the risk ledger, which works for everybody."""
        if isinstance(op, SimulateTrade | ResumeUser):
            op = msgspec.structs.replace(op, request_id=self._request_id)
        return await self.call(
            lambda: _asked_for(None, None, lambda: self.runner.settle(op, SETTLE_TIMEOUT_S)),
            timeout_s=SETTLE_TIMEOUT_S + STORE_TIMEOUT_S,
        )

    async def tick(self, run_id: RunId, slot: datetime) -> TickRow:
        """The run's tick in `slot`: the one there is, or the one that follows from asking for it."""
        found = await self._tick_row(run_id, slot)
        if found is not None:
            return found
        self.runner.execute_tick(run_id, slot, self._request_id)
        deadline = _now_s() + self._waits.tick_s
        pause_s = _POLL_FIRST_S
        while _now_s() < deadline:
            await asyncio.sleep(pause_s)
            found = await self._tick_row(run_id, slot)
            if found is not None:
                return found
            pause_s = min(pause_s * 2, _POLL_LONGEST_S)
        raise BridgeTimeout(f"the run did not finish its tick within {self._waits.tick_s:g} s")

    async def due_slot(self, slot: datetime) -> SlotOutcome:
        """Everything due in `slot`, asked of every process; whole when all is in or the time is up.

        Answers within 2 s of the boundary or of the call, whichever is later (decision 11).
        """
        called = _now_s()
        self.runner.tick_due(source=TickSource.CRON)
        waits, ahead_s = self._waits, self.runner.seconds_until(slot)
        answer_by = called + min(ahead_s + waits.cron_answer_s, waits.cron_longest_s)
        outcome: SlotOutcome | None = None
        pause_s = _POLL_FIRST_S
        while True:
            # What is known is told in time; only where nothing is, the first reading is waited for.
            with suppress(TimeoutError):
                left_s = None if outcome is None else answer_by - _now_s()
                outcome = await asyncio.wait_for(self._outcome(slot), left_s)
            assert outcome is not None, "the first reading has no limit but the store's own"
            left_s = answer_by - _now_s()
            if not outcome.undecided or left_s <= 0:
                return outcome
            await asyncio.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 2, _POLL_LONGEST_S)

    async def _outcome(self, slot: datetime) -> SlotOutcome:
        """What the slot has come to so far. Who asks while it is being read is told the same: a crowd of cron calls
        costs no more than one.
        """
        reading = self._outcomes.get(slot)
        if reading is None:
            reading = self._outcomes[slot] = asyncio.create_task(
                self.ask(lambda store: _outcome_of(store, slot))
            )
            reading.add_done_callback(lambda _: self._outcomes.pop(slot, None))
        return await asyncio.shield(reading)

    def slot_due_now(self, grace_s: float) -> datetime | None:
        """The boundary that is due at this moment, if any: windows of 30 s at most never meet another one's."""
        now = self.runner.market_now()
        return Timeframe.M1.slot(now) if Timeframe.M1.is_due(now, None, grace_s) else None

    async def _tick_row(self, run_id: RunId, slot: datetime) -> TickRow | None:
        rows = await self.ask(lambda store: store.ticks(run_id=run_id, slot=slot, limit=1))
        return rows[0] if rows else None


def _outcome_of(store: Store, slot: datetime) -> SlotOutcome:
    undecided = store.pending(slot)  # first: what is decided meanwhile is counted, not lost
    return SlotOutcome(counts=store.slot_counts(slot), undecided=undecided)


def _asked_for(user_id: UserId | None, request_id: str | None, fn: Callable[[], T]) -> T:
    with asked_for(user_id), caused_by(request_id):
        return fn()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
