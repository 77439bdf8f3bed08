"""What actors tell each other. Commands are imperative, events past tense; payloads are values, never state.

Logical names: `scheduler`, `external`, `market_data`, `evaluator`, `risk_ledger`, `gateway`, `journal`, `runs` (the
supervisor of runs), `run:<id>`, `account:<id>`.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

import msgspec

from core.candles import Candle
from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import AccountId, RunId, UserId
from core.market import Series
from core.order import Order
from core.position import Position
from core.quiet import Quiet
from core.run import Run, RunSettings
from core.signal import Signal
from core.timeframe import Timeframe
from schema.flattens import Flatten
from schema.ops import LedgerOp, LedgerResult
from schema.records import Ask, Claim, ExecutionStatus, TickSource


@lru_cache(maxsize=16_384)
def run_name(run_id: RunId) -> str:
    return f"run:{run_id}"


@lru_cache(maxsize=16_384)
def account_name(account_id: AccountId) -> str:
    return f"account:{account_id}"


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Base of all messages."""


# -- slots ------------------------------------------------------------------------------------------


class Resident(Message, frozen=True, kw_only=True):
    """To the Scheduler, or of a strategy of kind external to `external`: this process has the run's actor; also when
    its row changed.
    """

    run: Run


class Gone(Message, frozen=True, kw_only=True):
    """To the Scheduler and to `external`: the run no longer ticks here."""

    run_id: RunId


class TickRequested(Message, frozen=True, kw_only=True):
    """To the Scheduler: claim `slot` for this run now, due or not (execute-tick)."""

    run_id: RunId
    slot: datetime
    request_id: str | None = None


class DueRequested(Message, frozen=True, kw_only=True):
    """To the Scheduler: claim whatever is due now (cron, safety pass)."""

    source: TickSource


class SignalsSent(Message, frozen=True, kw_only=True):
    """To `external`: there may be signals from outside that it has not seen (a hint)."""


class ClaimedTick(Message, frozen=True, kw_only=True):
    """A claim and who asked for it, and the name of the run's actor; when (process seconds) it was asked for, its
    candle closed, trust in it ends.
    """

    claim: Claim
    ask: Ask
    run: str
    asked_at_s: float
    closed_at_s: float
    trusted_until_s: float
    strategy_version: int = 0
    """The version that is evaluated; a run that follows another one by then asks anew."""
    gated_at: datetime | None = None
    blocked: Reason | None = None
    """What the gate said at `gated_at`; at another moment it is asked again."""


class EvaluateSlot(Message, frozen=True, kw_only=True):
    """To the Evaluator: one evaluation of `definition` on the candles closing at `slot`, told to all these runs.

    `position_told`: they hold `position`; without it, strategies that look at one have the runs asked first.
    """

    definition: StrategyDefinition
    slot: datetime
    ticks: tuple[ClaimedTick, ...]
    position_told: bool = False
    position: Position | None = None


class Evaluation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An evaluation's outcome, shared by all runs. `price` is the last close; no signal: `reason` says why.

    Of a signal from outside: `bars_entry` says why it may open nothing, `expires_at` until when it may be acted upon,
    `closes` that it exits whichever side is held.
    """

    slot: datetime
    status: ExecutionStatus
    signal: Signal | None = None
    price: Decimal | None = None
    reason: Reason | None = None
    detail: str | None = None
    bars_entry: Reason | None = None
    expires_at: datetime | None = None
    closes: bool = False
    id: UUID | None = None
    """Names its row: the first half of its key."""


class TickDue(Message, frozen=True, kw_only=True):
    """To a StrategyRun: the slot is yours. `evaluation` None: entries are blocked by the pre-gate."""

    tick: ClaimedTick
    evaluation: Evaluation | None


# -- market data ------------------------------------------------------------------------------------


class Subscribe(Message, frozen=True, kw_only=True):
    """To MarketData: keep a window of this series with at least `lookback` candles."""

    series: Series
    lookback: int


class SeriesWanted(Message, frozen=True, kw_only=True):
    """To MarketData: all that the runs of this process look at; what is neither among it nor watched is left."""

    series: tuple[Series, ...]


class Watch(Message, frozen=True, kw_only=True):
    """To MarketData: tell the actor named `watcher` the closed candles of the symbol's finest series.

    Candles that closed after `since` and are there already come first, so that none is missed. Those that stay at
    `quiet` prices need not be told, except the first that closes after `due`.
    """

    venue: str
    symbol: str
    watcher: str
    since: datetime
    quiet: Quiet | None = None
    due: datetime | None = None


class Unwatch(Message, frozen=True, kw_only=True):
    venue: str
    symbol: str
    watcher: str


class ToldAll(Message, frozen=True, kw_only=True):
    """To MarketData: answer `CandlesTold` behind every candle up to `until` that the watcher wants to hear of.

    Where candles come one by one it is told each of them: what is not there yet needs no answer.
    """

    venue: str
    symbol: str
    watcher: str
    until: datetime


class CandlesTold(Message, frozen=True, kw_only=True):
    """To a watcher: it has been told of every candle up to this close that it wants to hear of."""

    symbol: str
    timeframe: Timeframe
    close_time: datetime


class CandleClosed(Message, frozen=True, kw_only=True):
    """From MarketData to watchers."""

    symbol: str
    timeframe: Timeframe
    close_time: datetime
    candle: Candle


class SeriesAdvanced(Message, frozen=True, kw_only=True):
    """From MarketData to the Evaluator: the window of this series now reaches `close_time`.

    To the Scheduler where that candle has just closed: it asks for the runs of the series.
    """

    series: Series
    close_time: datetime


# -- orders -----------------------------------------------------------------------------------------


class Record(Message, frozen=True, kw_only=True):
    """To the RiskLedger: commit `op`; the actor named `reply_to` is told `Recorded`.

    `failure`: the venue failure behind this news, if it counts against the run.
    """

    user_id: UserId
    op: LedgerOp
    reply_to: str | None = None
    failure: str | None = None


class SettleAsked(Message, frozen=True, kw_only=True):
    """To the RiskLedger, asked from outside: the answer is the LedgerResult."""

    user_id: UserId
    op: LedgerOp


class Recorded(Message, frozen=True, kw_only=True):
    """The operation is durable, or refused."""

    op: LedgerOp
    result: LedgerResult
    failure: str | None = None


class SubmitOrder(Message, frozen=True, kw_only=True):
    """To the gateway: send a committed order. `settings`, of its run, matter to an entry alone."""

    order: Order
    settings: RunSettings = RunSettings()


class SyncVenue(Message, frozen=True, kw_only=True):
    """To the gateway: answer once everything the venue did up to `slot` is in the ledger."""

    run: Run
    slot: datetime


class FlattensAsked(Message, frozen=True, kw_only=True):
    """To the Flattener: there may be requests it has not seen (a hint)."""


class FlattenWanted(Message, frozen=True, kw_only=True):
    """To the gateway: where this process follows the account, answer `FlattenHere`."""

    flatten: Flatten


class FlattenHere(Message, frozen=True, kw_only=True):
    """To the Flattener: the account of this request is followed here."""

    flatten: Flatten


class AccountsHere(Message, frozen=True, kw_only=True):
    """To the gateway, when the processes have changed: accounts whose users live here; others are another's now."""

    account_ids: frozenset[AccountId]


class OrdersExpected(Message, frozen=True, kw_only=True):
    """To the gateway, when runs have come or gone: orders a minute if all of them trade in each of their slots."""

    a_minute: float


class ReadAgain(Message, frozen=True, kw_only=True):
    """To the gateway: another process has traded on this account; what its actor knows is outdated."""

    account_id: AccountId


class VenueSynced(Message, frozen=True, kw_only=True):
    """To a StrategyRun, behind all settled fills."""

    slot: datetime


class ReconcileRun(Message, frozen=True, kw_only=True):
    """To the gateway: settle the fate of these orders, then answer `Reconciled`.

    `since`: when the run's open position was opened; what the venue executed from then on is asked for.
    """

    run: Run
    orders: tuple[Order, ...]
    since: datetime | None = None


class Reconciled(Message, frozen=True, kw_only=True):
    """To a StrategyRun: nothing of it is left open at the venue that the ledger does not know."""


class Barrier(Message, frozen=True, kw_only=True):
    """To the RiskLedger: pass `answer` on to `reply_to` once all earlier operations of the user are settled."""

    user_id: UserId
    reply_to: str
    answer: Message


# -- runs -------------------------------------------------------------------------------------------


class AdapterFailed(Message, frozen=True, kw_only=True):
    """To the supervisor of runs, at most once per tick."""

    run_id: RunId
    slot: datetime
    kind: str
    detail: str


class AdapterRecovered(Message, frozen=True, kw_only=True):
    """To the supervisor of runs: a tick with venue calls, all good, after errors."""

    run_id: RunId


class StrategyFaulted(Message, frozen=True, kw_only=True):
    """To the supervisor of runs: the strategy itself failed; the run goes to `error`."""

    run_id: RunId
    detail: str


class RunChanged(Message, frozen=True, kw_only=True):
    """To a StrategyRun: its row as it is now."""

    run: Run


class ResidentsWanted(Message, frozen=True, kw_only=True):
    """To the supervisor of runs, from a restarted Scheduler or `external`: tell every `Resident` again."""


class AccountsWanted(Message, frozen=True, kw_only=True):
    """To the supervisor of runs, from a restarted gateway: have all that is held or open taken up again."""


class RowsOutdated(Message, frozen=True, kw_only=True):
    """To a run: read the rows again. Another process may have acted for it, or its account's actor is a new one."""


class StandDown(Message, frozen=True, kw_only=True):
    """To `scheduler`, `external` and the supervisor of runs: this process goes. It claims nothing more, ends what it
    has claimed, and is none of those any more that runs live on.
    """


class RowsChanged(Message, frozen=True, kw_only=True):
    """To the supervisor of runs: re-read the rows (a hint)."""
