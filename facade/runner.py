"""What the facade needs of the running system, without how it is asked: `facade/bridge.py` does that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from actors.passing import PassingEvent
from actors.sandbox.validation import Validated
from actors.service import Vitals
from core.definition import StrategyKind
from core.ids import RunId, StrategyId, UserId
from core.run import Run
from core.strategy_warning import StrategyWarning
from core.timeframe import Timeframe
from schema.idempotency import IdempotencyKeys
from schema.ops import LedgerOp, LedgerResult
from schema.pg_alert_keys import PgAlertKeys
from schema.pg_alerts import PgAlerts
from schema.pg_candles import PgCandles
from schema.pg_config import PgConfig
from schema.pg_external import PgExternal
from schema.pg_flattens import PgFlattens
from schema.pg_history import (
    AuthoredEvaluation,
    EventsPage,
    Listing,
    OrderRecord,
    RunTotals,
    TickRecord,
    TradeRecord,
)
from schema.pg_jobs import PgJobs
from schema.pg_limits import PgLimits
from schema.pg_notices import PgNotices
from schema.pg_observations import PgObservations
from schema.pg_past import PositionThen, RiskThen, VersionThen
from schema.pg_portfolios import PgPortfolios as PortfolioRows
from schema.pg_published import PgPublished
from schema.pg_reads import RunnerNumbers, RunSummary, StrategyDetail, StrategyView
from schema.pg_signals import PgSignals
from schema.pg_watched import Watched
from schema.records import Node, TickSource
from schema.store import Store


class ActorNode(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One actor of the supervision tree."""

    name: str
    state: str
    mailbox_length: int
    restarts: int
    last_error: str | None = None
    children: tuple[ActorNode, ...] = ()


class DemoTime(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Market time of a demo; `speed` 60 means a minute a second."""

    now: datetime
    speed: float
    paused: bool


class DemoClock(Protocol):
    """The demo's pause and speed; both methods may block on the database."""

    def time(self) -> DemoTime: ...

    def set(self, *, speed: float | None, paused: bool | None) -> DemoTime:
        """None leaves as is."""
        ...


class Reads(Protocol):
    """What routes read beyond the store's protocol; every method blocks."""

    def run_then(self, run: Run, at: datetime) -> Run: ...
    def version_then(self, strategy_id: StrategyId, at: datetime) -> VersionThen | None: ...
    def position_then(self, run: Run, at: datetime) -> PositionThen | None: ...
    def risk_then(self, user_id: UserId, at: datetime) -> RiskThen: ...

    def strategies(
        self, user_id: UserId, *, limit: int = 50, before: tuple[datetime, StrategyId] | None = None
    ) -> list[StrategyView]: ...

    def strategy(self, strategy_id: StrategyId, user_id: UserId) -> StrategyDetail | None: ...

    def subscriptions(
        self, user_id: UserId, *, limit: int = 50, before: tuple[datetime, RunId] | None = None
    ) -> list[RunSummary]: ...

    def run(self, run_id: RunId, user_id: UserId | None) -> RunSummary | None: ...

    def orders(self, run: Run, *, before: int = ..., limit: int = 50) -> list[OrderRecord]: ...

    def trades(self, run: Run, *, before: int = ..., limit: int = 50) -> list[TradeRecord]: ...

    def executions(
        self, run: Run, *, before: datetime | None = None, limit: int = 50
    ) -> list[TickRecord]: ...

    def evaluations(
        self,
        strategy_id: StrategyId,
        user_id: UserId,
        *,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> list[AuthoredEvaluation]: ...

    def warnings(self, strategy_id: StrategyId) -> list[StrategyWarning]: ...

    def answers_differently(self, strategy_id: StrategyId, version: int) -> bool: ...

    def events_page(
        self,
        run: Run,
        *,
        before: int = ...,
        limit: int = 50,
        kinds: Sequence[str] | None = None,
        among: bool = True,
    ) -> EventsPage: ...

    def totals(self, run: Run) -> RunTotals: ...

    def marketplace(
        self,
        *,
        symbol: str | None = None,
        before: tuple[datetime, StrategyId] | None = None,
        limit: int = 50,
    ) -> list[Listing]: ...

    def numbers(self) -> RunnerNumbers: ...

    def watched(self, user_ids: Sequence[UserId]) -> list[Watched]: ...


class Runner(Protocol):
    """What routes need of the running system. Methods that return at once may be called on the event loop."""

    @property
    def store(self) -> Store:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def reads(self) -> Reads:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def idempotency(self) -> IdempotencyKeys:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def portfolios(self) -> PortfolioRows:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def flattens(self) -> PgFlattens:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def notices(self) -> PgNotices:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def alerts(self) -> PgAlerts:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def config(self) -> PgConfig:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def observations(self) -> PgObservations:
        """`read` blocks: used through `Bridge` only."""
        ...

    def vitals(self) -> Vitals:
        """What this process has done and how it is; returns at once."""
        ...

    @property
    def published(self) -> PgPublished:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def signals(self) -> PgSignals:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def alert_keys(self) -> PgAlertKeys:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def external(self) -> PgExternal:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def jobs(self) -> PgJobs:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def market(self) -> PgCandles:
        """Blocks: used through `Bridge` only."""
        ...

    @property
    def limits(self) -> PgLimits:
        """Blocks: used through `Bridge` only."""
        ...

    def validate(
        self,
        *,
        kind: StrategyKind,
        text: str,
        symbol: str,
        timeframe: Timeframe,
        parameters: Mapping[str, object],
    ) -> Validated:
        """Try code in the sandbox. Blocks for seconds: used through `Bridge` only; raises SandboxAway, Starved."""
        ...

    def tick_due(self, *, source: TickSource) -> None:
        """Run everything due, on every process; returns at once."""
        ...

    def execute_tick(self, run_id: RunId, slot: datetime, request_id: str | None = None) -> None:
        """Ask whichever process has the run to tick it in `slot`; returns at once."""
        ...

    def signal_sent(self) -> None:
        """Have a signal from outside told to its runs, wherever they are; returns at once."""
        ...

    def rows_changed(self) -> None:
        """Hint that runs or switches changed; returns at once."""
        ...

    def passed(self) -> Sequence[PassingEvent]:
        """What is told and not kept, since it was last asked for; returns at once."""
        ...

    def actors(self) -> Sequence[ActorNode]:
        """Roots of the supervision tree; returns at once."""
        ...

    def nodes(self) -> Sequence[Node]:
        """Processes that beat, as this one last saw them; returns at once."""
        ...

    def settle(self, op: LedgerOp, timeout_s: float) -> LedgerResult:
        """Through the risk ledger; blocks. Raises TimeoutError, or StoreUnavailable when the ledger is down."""
        ...

    def market_now(self) -> datetime: ...

    def seconds_until(self, when: datetime) -> float:
        """Of process time, as market time runs now; infinite where it stands."""
        ...

    @property
    def venues(self) -> tuple[str, ...]:
        """Whose candles there are, at least one."""
        ...

    def ready(self) -> dict[str, bool]:
        """What must be up to serve, by name; returns at once."""
        ...

    def demo_clock(self) -> DemoClock | None:
        """None in production."""
        ...
