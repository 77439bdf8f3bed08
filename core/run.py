"""A run: a user's instance of a strategy; its statuses, commands and adapter-error counter (invariants §5)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from core.definition import StrategyDefinition, StrategyKind
from core.errors import IllegalTransition
from core.ids import AccountId, RunId, UserId
from core.position import ZERO, Side

ADAPTER_ERROR_LIMIT = 3
_MARGIN_STEP = Decimal("1E-12")


class RunStatus(StrEnum):
    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"
    AUTO_PAUSED = "auto_paused"
    ERROR = "error"
    ARCHIVED = "archived"


class RunCommand(StrEnum):
    """What may be asked of a run. The last two come from policy, not from people.

    DEPLOY makes a MANUAL run ready for execute-tick: it is active, and no slot claims it.
    """

    DEPLOY = "deploy"
    START = "start"
    RESUME = "resume"
    PAUSE = "pause"
    STOP = "stop"
    ARCHIVE = "archive"
    AUTO_PAUSE = "auto_pause"
    FAIL = "fail"


class TradingMode(StrEnum):
    PAPER = "paper"
    LIVE = "live"
    SIGNALS = "signals"


class ExecutionMode(StrEnum):
    AUTO = "AUTO"
    SCHEDULED = "SCHEDULED"
    MANUAL = "MANUAL"


class Direction(StrEnum):
    BOTH = "both"
    LONG = "long"
    SHORT = "short"

    def allows(self, side: Side) -> bool:
        return self is _BOTH or str.__eq__(self, side)


_BOTH = Direction.BOTH  # looked up once: an enum's member costs more than the comparison it is for


class SizeBy(StrEnum):
    """How an entry is sized: share of capital, risk to the stop, or the signal's own amount."""

    PERCENT = "percent"
    RISK = "risk"
    AMOUNT = "amount"


class MissingStop(StrEnum):
    """What becomes of an open position whose stop is missing at its venue (decision 22)."""

    REPAIR = "repair"
    """Tried again for ten seconds, then the position is closed."""
    CLOSE = "close"
    """The position is closed at once."""


class RunSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a run trades. Capital in USDT, fixed; percentages of the entry price are unleveraged (decision 17)."""

    direction: Direction = Direction.BOTH
    leverage: int = 1
    margin_mode: str = "isolated"
    position_mode: str = "one_way"
    capital: Decimal = Decimal(10_000)
    size_by: SizeBy = SizeBy.PERCENT
    order_size_pct: Decimal = Decimal(100)
    risk_pct: Decimal | None = None
    take_profit_pct: Decimal | None = None
    stop_loss_pct: Decimal | None = None
    trailing_callback_pct: Decimal | None = None
    trailing_activation_pct: Decimal = ZERO
    missing_stop: MissingStop = MissingStop.REPAIR


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its row says, with the latest version of its strategy."""

    id: RunId
    user_id: UserId
    strategy: StrategyDefinition
    account_id: AccountId | None
    trading_mode: TradingMode = TradingMode.PAPER
    execution_mode: ExecutionMode = ExecutionMode.AUTO
    schedule: str | None = None
    settings: RunSettings = RunSettings()
    status: RunStatus = RunStatus.DRAFT
    status_reason: str | None = None
    adapter_errors: int = 0
    version: int = 1
    last_slot: datetime | None = None
    activated_at: datetime | None = None


_MOVES: dict[RunCommand, tuple[frozenset[RunStatus], RunStatus]] = {
    RunCommand.DEPLOY: (frozenset({RunStatus.DRAFT}), RunStatus.ACTIVE),
    RunCommand.PAUSE: (frozenset({RunStatus.ACTIVE}), RunStatus.PAUSED),
    RunCommand.STOP: (
        frozenset({RunStatus.ACTIVE, RunStatus.PAUSED, RunStatus.AUTO_PAUSED, RunStatus.ERROR}),
        RunStatus.STOPPED,
    ),
    RunCommand.START: (
        frozenset(
            {RunStatus.DRAFT, RunStatus.PAUSED, RunStatus.STOPPED, RunStatus.AUTO_PAUSED, RunStatus.ERROR}
        ),
        RunStatus.ACTIVE,
    ),
    RunCommand.RESUME: (
        frozenset({RunStatus.PAUSED, RunStatus.STOPPED, RunStatus.AUTO_PAUSED, RunStatus.ERROR}),
        RunStatus.ACTIVE,
    ),
    RunCommand.AUTO_PAUSE: (frozenset({RunStatus.ACTIVE}), RunStatus.AUTO_PAUSED),
    RunCommand.FAIL: (frozenset({RunStatus.ACTIVE}), RunStatus.ERROR),
    RunCommand.ARCHIVE: (
        frozenset(set(RunStatus) - {RunStatus.ACTIVE, RunStatus.ARCHIVED}),
        RunStatus.ARCHIVED,
    ),
}


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """Where a command leads; `changed` is False when the run is there already (no event is written then)."""

    status: RunStatus
    changed: bool
    adapter_errors: int


def transition(
    run: Run, command: RunCommand, *, flat: bool = True, open_orders: bool = False
) -> StatusChange:
    """The status `command` leads to. Raises IllegalTransition (the caller's 409); the row stays as it is."""
    sources, target = _MOVES[command]
    if command is RunCommand.START and run.execution_mode is ExecutionMode.MANUAL:
        raise IllegalTransition("a MANUAL run ticks by execute-tick only and cannot be started")
    if run.status is target:
        return StatusChange(status=target, changed=False, adapter_errors=run.adapter_errors)
    if run.status not in sources:
        raise IllegalTransition(f"a run that is {run.status} cannot {command}")
    if command is RunCommand.ARCHIVE and (not flat or open_orders):
        what = "a position" if not flat else "an open order"
        raise IllegalTransition(f"a run with {what} cannot be archived")
    errors = 0 if target is RunStatus.ACTIVE else run.adapter_errors
    return StatusChange(status=target, changed=True, adapter_errors=errors)


class AdapterVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """The counter after a tick, and whether it pauses the run."""

    adapter_errors: int
    auto_pause: bool


def after_adapter_error(run: Run) -> AdapterVerdict:
    """At most one per tick: the third in a row pauses an active run."""
    errors = run.adapter_errors + 1
    return AdapterVerdict(
        adapter_errors=errors, auto_pause=errors >= ADAPTER_ERROR_LIMIT and run.status is RunStatus.ACTIVE
    )


def ticks(run: Run) -> bool:
    """Whether slots claim this run by themselves: active, not MANUAL, and not waiting for signals from outside."""
    return (
        run.status is RunStatus.ACTIVE
        and run.execution_mode is not ExecutionMode.MANUAL
        and run.strategy.kind is not StrategyKind.EXTERNAL
    )


def margin_of(open_cost: Decimal, leverage: int) -> Decimal:
    """Initial margin in USDT that an open position ties up, rounded so that sums of changes end at exactly 0."""
    return (open_cost / leverage).quantize(_MARGIN_STEP) if open_cost else ZERO
