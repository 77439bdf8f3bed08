"""What HTTP and the page read beyond the store's protocol. Every list has a bound; a user's view is by user id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from core.definition import StrategyDefinition
from core.errors import Reason
from core.ids import AccountId, RunId, StrategyId, UserId
from core.position import ZERO
from core.risk import RiskLimits, gate, risk_day
from core.run import Run
from core.timeframe import Timeframe
from schema.pg_database import Connection, Database
from schema.pg_history import PgHistory
from schema.pg_past import PgPast
from schema.pg_rows import (
    Row,
    as_type,
    definition_of,
    limits_of,
    many,
    one,
    position_of,
    risk_of,
    runs_of,
    uuid_array,
    value,
)
from schema.pg_watched import Watched, watched
from schema.records import Account, EquityPoint, Event, OpenPosition, RiskView, TickRow, TickStatus
from schema.tenancy import asked_for

MAX_RUNS = 1_000
MAX_USERS = 20_000
DETAIL_EVENTS = 50
LAG_WINDOW = timedelta(minutes=15)
ACTIVITY_WINDOW = timedelta(hours=24)
ACTIVITY_TICKS = 50_000
"""Ticks one overview counts at most, the newest."""
MAX_PAUSE_USERS = 200
_LAST_TICK_WINDOW = timedelta(days=2)


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its last tick and signal. `realised` USDT: net of fees and funding, the open round trip included."""

    run: Run
    created_at: datetime
    last_run_at: datetime | None
    last_status: str | None
    last_signal: str | None
    last_signal_at: datetime | None
    position: OpenPosition | None
    realised: Decimal
    ending: bool = False
    """Cancelled: archived as soon as it is flat."""


class StrategyView(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy with the asking user's runs of it."""

    strategy: StrategyDefinition
    created_at: datetime
    runs: tuple[RunSummary, ...]


class StrategyDetail(msgspec.Struct, frozen=True, kw_only=True):
    """`events`: the user's latest of this strategy, newest first."""

    view: StrategyView
    subscribers: int
    executions: int
    average_execution_ms: float | None
    events: tuple[Event, ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """How many active strategies and runs trade on a candle series."""

    symbol: str
    timeframe: Timeframe
    strategies: int
    runs: int


class RunnerNumbers(msgspec.Struct, frozen=True, kw_only=True):
    """The runner in numbers. `blocked`: users with active runs whose next entry would be refused, and why."""

    now: datetime
    active_runs: int
    active_strategies: int
    last_tick_at: datetime | None
    last_tick_status: str | None
    blocked: Mapping[UserId, Reason]
    series: tuple[Series, ...]
    slot_lag_p50_ms: float | None
    slot_lag_p99_ms: float | None


class AccountCurve(msgspec.Struct, frozen=True, kw_only=True):
    """An account with its last equity points, oldest first."""

    account: Account
    equity: tuple[EquityPoint, ...]


class TickCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many of a user's ticks in ACTIVITY_WINDOW came to this."""

    user_id: UserId
    status: TickStatus
    reason: str | None
    ticks: int


class PauseCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many pauses began for this reason in ACTIVITY_WINDOW."""

    user_id: UserId
    reason: Reason
    pauses: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows at once. `ticks`: each run's newest; counts cover ACTIVITY_WINDOW of market time."""

    now: datetime
    runs: tuple[RunSummary, ...]
    ticks: tuple[TickRow, ...]
    accounts: tuple[AccountCurve, ...]
    risks: tuple[RiskView, ...]
    tick_counts: tuple[TickCount, ...]
    pause_counts: tuple[PauseCount, ...]
    slot_lag_p50_ms: float | None
    slot_lag_p99_ms: float | None


class PgReads(PgHistory, PgPast):
    """Each method is one read-only transaction, but the list of strategies: its rows need not be of one moment."""

    def __init__(self, database: Database, default_limits: RiskLimits) -> None:
        self._database = database
        self._limits = default_limits

    def use_limits(self, default_limits: RiskLimits) -> None:
        self._limits = default_limits

    def strategies(
        self, user_id: UserId, *, limit: int = 50, before: tuple[datetime, StrategyId] | None = None
    ) -> list[StrategyView]:
        """Own strategies and those the user runs, newest first, older than the cursor `before`."""

        def read(connection: Connection) -> list[StrategyView]:
            at, last = before or (None, None)
            named = {"user_id": user_id, "limit": limit, "before_at": at, "before_id": last}
            rows = many(connection, "strategies_seen_by", named)
            return _views(connection, rows, user_id)

        return self._database.read_as(user_id, read)

    def strategy(self, strategy_id: StrategyId, user_id: UserId) -> StrategyDetail | None:
        """None when there is none or the user may not see it."""

        named = {"strategy_id": strategy_id, "user_id": user_id}
        with asked_for(None):  # how many they are, of all users
            subscribers = self._database.read(lambda connection: value(connection, "subscribers", named))

        def read(connection: Connection) -> StrategyDetail | None:
            row = one(connection, "strategy_seen_by", named)
            if row is None:
                return None
            totals = one(connection, "execution_totals", named)
            assert totals is not None
            events = many(connection, "strategy_events_of", named | {"limit": DETAIL_EVENTS})
            return StrategyDetail(
                view=_views(connection, [row], user_id)[0],
                subscribers=subscribers,
                executions=totals["total"],
                average_execution_ms=totals["average_ms"],
                events=tuple(as_type(Event)(event) for event in events),
            )

        return self._database.read_as(user_id, read)

    def subscriptions(
        self, user_id: UserId, *, limit: int = 50, before: tuple[datetime, RunId] | None = None
    ) -> list[RunSummary]:
        """The user's unarchived runs that were made by subscribing or are of somebody else's strategy, newest first."""

        def read(connection: Connection) -> list[RunSummary]:
            at, last = before or (None, None)
            named = {"user_id": user_id, "limit": limit, "before_at": at, "before_id": last}
            return _with_positions(connection, many(connection, "subscriptions_of", named))

        return self._database.read_as(user_id, read)

    def run(self, run_id: RunId, user_id: UserId | None) -> RunSummary | None:
        """One run of the user, or with None of anybody."""

        def read(connection: Connection) -> RunSummary | None:
            rows = many(connection, "run_summary", {"run_id": run_id, "user_id": user_id})
            return next(iter(_with_positions(connection, rows)), None)

        return self._database.run(read) if user_id is None else self._database.read_as(user_id, read)

    def watched(self, user_ids: Sequence[UserId]) -> list[Watched]:
        """What these users follow on candles."""
        return self._database.read(lambda connection: watched(connection, user_ids))

    def numbers(self) -> RunnerNumbers:
        def read(connection: Connection) -> RunnerNumbers:
            now: datetime = value(connection, "market_now")
            active = one(connection, "active_counts") or {}
            tick = one(connection, "last_tick", {"since": now - _LAST_TICK_WINDOW}) or {}
            lag = one(connection, "slot_lag", {"since": now - LAG_WINDOW}) or {}
            views = self._risks(connection, now, user_id=None, inactive_too=False)
            return RunnerNumbers(
                now=now,
                active_runs=active["runs"],
                active_strategies=active["strategies"],
                last_tick_at=tick.get("finished_at"),
                last_tick_status=tick.get("status"),
                blocked={view.user_id: view.blocked for view in views if view.blocked is not None},
                series=tuple(as_type(Series)(row) for row in many(connection, "active_series")),
                slot_lag_p50_ms=lag["p50"],
                slot_lag_p99_ms=lag["p99"],
            )

        return self._database.run(read)

    def overview(self, *, user_id: UserId | None = None, equity_points: int = 200) -> Overview:
        """Of one user, or of all (for an admin), at most MAX_RUNS runs."""

        def read(connection: Connection) -> Overview:
            now: datetime = value(connection, "market_now")
            runs = _summaries(connection, user_id=user_id, strategies=None, archived=False)
            risks = self._risks(connection, now, user_id=user_id, inactive_too=True)
            since = now - ACTIVITY_WINDOW
            named = {"run_ids": [each.run.id for each in runs], "since": since, "limit": ACTIVITY_TICKS}
            named |= {"user_id": user_id, "user_ids": [view.user_id for view in risks[:MAX_PAUSE_USERS]]}
            lag = one(connection, "slot_lag", {"since": now - LAG_WINDOW}) or {}
            return Overview(
                now=now,
                runs=tuple(runs),
                ticks=tuple(as_type(TickRow)(row) for row in many(connection, "last_ticks", named)),
                accounts=tuple(_curves(connection, user_id, equity_points)),
                risks=tuple(risks),
                tick_counts=tuple(as_type(TickCount)(row) for row in many(connection, "tick_counts", named)),
                pause_counts=tuple(
                    as_type(PauseCount)(row) for row in many(connection, "pause_counts", named)
                ),
                slot_lag_p50_ms=lag["p50"],
                slot_lag_p99_ms=lag["p99"],
            )

        return self._database.run(read)

    def _risks(
        self, connection: Connection, now: datetime, *, user_id: UserId | None, inactive_too: bool
    ) -> list[RiskView]:
        named = {"today": risk_day(now), "user_id": user_id, "inactive_too": inactive_too, "limit": MAX_USERS}
        return [self._risk(row, now) for row in many(connection, "risks_to_judge", named)]

    def _risk(self, row: Row, now: datetime) -> RiskView:
        state = risk_of(row, [row] if row["day"] is not None else [])
        own = row if row["daily_max_loss_usdt"] is not None else None
        limits = limits_of(own, self._limits)
        return RiskView(user_id=row["user_id"], state=state, limits=limits, blocked=gate(state, limits, now))


def _views(connection: Connection, rows: list[Row], user_id: UserId) -> list[StrategyView]:
    strategies = [definition_of(row) for row in rows]
    runs: defaultdict[StrategyId, list[RunSummary]] = defaultdict(list)
    for summary in _summaries(connection, user_id=user_id, strategies=strategies, archived=True):
        runs[summary.run.strategy.id].append(summary)
    return [
        StrategyView(strategy=strategy, created_at=row["created_at"], runs=tuple(runs[strategy.id]))
        for strategy, row in zip(strategies, rows, strict=True)
    ]


def _summaries(
    connection: Connection,
    *,
    user_id: UserId | None,
    strategies: Sequence[StrategyDefinition] | None,
    archived: bool,
) -> list[RunSummary]:
    """Of these strategies, at their newest versions, or of all."""
    ids = None if strategies is None else uuid_array(each.id for each in strategies)
    named: dict[str, Any] = {"user_id": user_id, "strategy_ids": ids, "archived": archived}
    rows = many(connection, "run_summaries", named | {"limit": MAX_RUNS})
    return _with_positions(connection, rows, strategies or ())


def _with_positions(
    connection: Connection, rows: list[Row], known: Sequence[StrategyDefinition] = ()
) -> list[RunSummary]:
    held: dict[RunId, OpenPosition] = {
        row["run_id"]: position_of(row)
        for row in many(connection, "positions_of", {"run_ids": uuid_array(row["id"] for row in rows)})
    }
    runs = runs_of(rows, known)
    return [_summary(row, run, held.get(run.id)) for row, run in zip(rows, runs, strict=True)]


def _summary(row: Row, run: Run, held: OpenPosition | None) -> RunSummary:
    open_trip = ZERO
    if held is not None:
        open_trip = held.position.realised_gross - held.position.fees + held.position.funding
    return RunSummary(
        run=run,
        created_at=row["created_at"],
        last_run_at=row["last_run_at"],
        last_status=row["last_status"],
        last_signal=row["last_signal"],
        last_signal_at=row["last_signal_at"],
        position=None if held is None or held.position.is_flat else held,
        realised=row["closed_pnl"] + open_trip,
        ending=row["ending"],
    )


def _curves(connection: Connection, user_id: UserId | None, points: int) -> list[AccountCurve]:
    named = {"user_id": user_id, "limit": MAX_RUNS}
    accounts = [as_type(Account)(row) for row in many(connection, "accounts_with_runs", named)]
    curves: defaultdict[AccountId, list[EquityPoint]] = defaultdict(list)
    asked = {"account_ids": [account.id for account in accounts], "points": points}
    for row in reversed(many(connection, "equity_of", asked)):
        curves[row["account_id"]].append(as_type(EquityPoint)(row))
    return [AccountCurve(account=account, equity=tuple(curves[account.id])) for account in accounts]
