"""What runs have done, a page at a time, and what it came to. Every read names the run's user (I12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from core.definition import StrategyDefinition
from core.ids import RunId, StrategyId, UserId
from core.order import Order
from core.position import ZERO
from core.run import Run
from core.strategy_warning import StrategyWarning
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, as_type, definition_of, many, one, value
from schema.records import Event, ExecutionStatus, TickRow, TickStatus, Trade
from schema.tenancy import asked_for

NEWEST: Final = 2**63 - 1
MAX_SCANNED: Final = 20_000
"""Events one page looks at for those of a level; the next page goes on behind them."""
TOTALS_WINDOW: Final = timedelta(days=30)
ROLLING: Final = 20
"""Evaluations in a rolling average."""
MAX_WARNINGS: Final = 20
_EVALUATED: Final = frozenset({TickStatus.OK, TickStatus.SKIPPED, TickStatus.ERROR})
"""What a tick came to whose evaluation, of before they were named, is looked for by its strategy."""
MAX_RECORD_RUNS: Final = 50
MAX_RECORD_TRADES: Final = 100
"""What a public record is made of: a strategy's first runs, who all hear the same signals, and the newest round trips
of each. A page of 200 strategies reads a million rows at most."""


class OrderRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An order and why it was made: signal, indicators, what each gate said."""

    order: Order
    number: int
    why: Mapping[str, Any]
    updated_at: datetime


class TradeRecord(msgspec.Struct, frozen=True, kw_only=True):
    trade: Trade
    number: int


class EvaluationRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The evaluation that a tick shared."""

    evaluation_status: ExecutionStatus
    duration_ms: float
    action: str | None
    price: float | None
    evaluation_reason: str | None
    indicators: Mapping[str, float | None]
    runs_reached: int
    nodes_executed: int
    error: str | None
    used_ms: float | None
    limit_ms: float | None
    average_ms: float


class AuthoredEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation as its author sees it. `orders_made` of all runs."""

    evaluation: EvaluationRecord
    evaluation_key: str
    slot: datetime
    worker: str
    orders_made: int
    printed: str | None


class TickRecord(msgspec.Struct, frozen=True, kw_only=True):
    tick: TickRow
    evaluation: EvaluationRecord | None
    orders_made: int


class EventsPage(msgspec.Struct, frozen=True, kw_only=True):
    """Newest first; `before`: the id the next page goes on below, None at the end."""

    events: tuple[Event, ...]
    before: int | None


class RunTotals(msgspec.Struct, frozen=True, kw_only=True):
    """Closed round trips, and ticks of TOTALS_WINDOW. USDT; `max_drawdown_share` of capital and what was made."""

    trades: int
    wins: int
    losses: int
    pnl: Decimal
    fees: Decimal
    funding: Decimal
    gained: Decimal
    lost: Decimal
    best: Decimal | None
    worst: Decimal | None
    max_drawdown: Decimal
    max_drawdown_share: Decimal
    ticks: Mapping[TickStatus, int] = {}
    average_ms: float | None = None


class PublicRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of a strategy came to. Shares are of each run's capital; `return_share` the mean of them."""

    trades: int = 0
    wins: int = 0
    pnl: Decimal = ZERO
    return_share: Decimal = ZERO
    max_drawdown_share: Decimal = ZERO


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy anybody may run. `since`: when the first of its runs was started; `left_out`: how many of its runs
    the record does not look at.
    """

    strategy: StrategyDefinition
    created_at: datetime
    runs: int
    active_runs: int
    since: datetime | None
    left_out: int
    record: PublicRecord


class PgHistory:
    """Each method is one read-only transaction."""

    _database: Database

    def orders(self, run: Run, *, before: int = NEWEST, limit: int = 50) -> list[OrderRecord]:
        rows = self._page("orders_page", run, before=before, limit=limit)
        return [
            OrderRecord(
                order=as_type(Order)(row), number=row["number"], why=row["why"], updated_at=row["updated_at"]
            )
            for row in rows
        ]

    def trades(self, run: Run, *, before: int = NEWEST, limit: int = 50) -> list[TradeRecord]:
        rows = self._page("trades_page", run, before=before, limit=limit)
        return [TradeRecord(trade=as_type(Trade)(row), number=row["number"]) for row in rows]

    def executions(self, run: Run, *, before: datetime | None = None, limit: int = 50) -> list[TickRecord]:
        def read(connection: Connection) -> list[Row]:
            at = before or value(connection, "market_now") + timedelta(days=1)
            return many(connection, "executions_page", _named(run) | {"before": at, "limit": limit})

        rows = self._database.run(read)
        evaluated = [row for row in rows if row["evaluation"] is not None or row["status"] in _EVALUATED]
        named = {"slots": [row["slot"] for row in evaluated], "strategy_id": run.strategy.id}
        named |= {"evaluations": [row["evaluation"] for row in evaluated], "rolling": ROLLING}
        with asked_for(None):  # the row may be of another user's strategy of the same content
            found = self._database.read(lambda connection: many(connection, "evaluations_of", named))
        by_slot = {row["slot"]: as_type(EvaluationRecord)(row) for row in found}
        return [
            TickRecord(
                tick=as_type(TickRow)(row),
                evaluation=by_slot.get(row["slot"]),
                orders_made=row["orders_made"],
            )
            for row in rows
        ]

    def evaluations(
        self,
        strategy_id: StrategyId,
        user_id: UserId,
        *,
        before: tuple[datetime, str] | None = None,
        limit: int = 50,
    ) -> list[AuthoredEvaluation]:
        """None where `user_id` is not the strategy's author: orders and runs are everybody's."""

        def read(connection: Connection) -> list[Row]:
            slot, key = before or (None, "")
            named = {"strategy_id": strategy_id, "user_id": user_id, "limit": limit, "rolling": ROLLING}
            return many(connection, "evaluations_page", named | {"before_slot": slot, "before_key": key})

        with asked_for(None):
            rows = self._database.read(read)
        return [as_type(AuthoredEvaluation)(row | {"evaluation": row}) for row in rows]

    def warnings(self, strategy_id: StrategyId) -> list[StrategyWarning]:
        named = {"strategy_id": strategy_id, "limit": MAX_WARNINGS}
        rows = self._database.read(lambda connection: many(connection, "warnings_of", named))
        return [as_type(StrategyWarning)(row) for row in rows]

    def answers_differently(self, strategy_id: StrategyId, version: int) -> bool:
        named = {"strategy_id": strategy_id, "version": version}
        with asked_for(None):  # its subscribers are held to what its author is told
            return bool(self._database.read(lambda c: value(c, "answers_differently", named)))

    def events_page(
        self,
        run: Run,
        *,
        before: int = NEWEST,
        limit: int = 50,
        kinds: Sequence[str] | None = None,
        among: bool = True,
        scanned: int = MAX_SCANNED,
    ) -> EventsPage:
        """`kinds`: patterns of types, of which they are to be, or with `among` False are not."""
        named = _named(run) | {"before": before, "limit": limit, "scanned": scanned}
        named |= {"kinds": None if kinds is None else list(kinds), "among": among}

        def read(connection: Connection) -> EventsPage:
            events = tuple(as_type(Event)(row) for row in many(connection, "events_page", named))
            if len(events) == limit:
                return EventsPage(events=events, before=events[-1].id)
            looked_at = one(connection, "events_scanned", named) or {}
            more = looked_at["events"] == scanned
            return EventsPage(events=events, before=looked_at["lowest"] if more else None)

        return self._database.run(read)

    def totals(self, run: Run) -> RunTotals:
        def read(connection: Connection) -> RunTotals:
            named = _named(run) | {"capital": run.settings.capital}
            named |= {"since": value(connection, "market_now") - TOTALS_WINDOW}
            trades = one(connection, "trade_totals", named)
            assert trades is not None
            ticks = many(connection, "tick_totals", named)
            decided = next((row["average_ms"] for row in ticks if row["status"] == TickStatus.OK), None)
            counts = {TickStatus(row["status"]): row["ticks"] for row in ticks}
            return msgspec.convert(trades | {"ticks": counts, "average_ms": decided}, RunTotals)

        return self._database.run(read)

    def marketplace(
        self,
        *,
        symbol: str | None = None,
        before: tuple[datetime, StrategyId] | None = None,
        limit: int = 50,
    ) -> list[Listing]:
        def read(connection: Connection) -> list[Listing]:
            at, last = before or (None, None)
            named = {"symbol": symbol, "before_at": at, "before_id": last, "limit": limit}
            rows = many(connection, "marketplace_page", named)
            asked = {"strategy_ids": [row["id"] for row in rows], "runs": MAX_RECORD_RUNS}
            asked |= {"trades": MAX_RECORD_TRADES}
            records = {row["strategy_id"]: row for row in many(connection, "records_of", asked)}
            return [_listing(row, records.get(row["id"])) for row in rows]

        with asked_for(None):  # a record is of everybody's runs
            return self._database.run(read)

    def _page(self, query: str, run: Run, *, before: int, limit: int) -> list[Row]:
        named = _named(run) | {"before": before, "limit": limit}
        return self._database.read(lambda connection: many(connection, query, named))


def _named(run: Run) -> dict[str, Any]:
    run_id: RunId = run.id
    user_id: UserId = run.user_id
    return {"run_id": run_id, "user_id": user_id}


def _listing(row: Row, record: Row | None) -> Listing:
    return Listing(
        strategy=definition_of(row),
        created_at=row["created_at"],
        runs=row["runs"],
        active_runs=row["active_runs"],
        since=row["since"],
        left_out=max(0, row["runs"] - MAX_RECORD_RUNS),
        record=PublicRecord() if record is None else msgspec.convert(record, PublicRecord),
    )
