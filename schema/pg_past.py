"""What was known at an instant, read from events and versions, folded by `core.past`. Each read names its user (I12).

Every read has a bound: what would need more is refused by name (Unknowable), as is what retention has taken.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

import msgspec

from core.definition import StrategyDefinition
from core.ids import AccountId, ClientOrderId, StrategyId, UserId
from core.order import Order
from core.past import Happened, HeldThen, Unknowable, limits_at, position_at, risk_at, run_at
from core.protection import Protection, protection_of
from core.risk import RiskLimits, RiskState, risk_day
from core.run import Run
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, as_type, definition_of, limits_of, many, one, value

MAX_EVENTS: Final = 10_000
"""Of one kind and question; a user trading in every minute of a day stays below."""
VENUE_AHEAD: Final = timedelta(minutes=1)
"""A fill may have been executed, by the venue's clock, so much later than it was stored."""


class VersionThen(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy as of a version. `named` False: its name, description and visibility are those of now, as what they
    were is not recorded.
    """

    strategy: StrategyDefinition
    since: datetime
    named: bool


class PositionThen(msgspec.Struct, frozen=True, kw_only=True):
    """`wanted`: stop and target; how far a trailing stop had come is not recorded."""

    account_id: AccountId
    symbol: str
    leverage: int
    held: HeldThen
    wanted: Protection


class RiskThen(msgspec.Struct, frozen=True, kw_only=True):
    """`limits` None: they were the platform's."""

    state: RiskState
    limits: RiskLimits | None


class PgPast:
    """Each method is one read-only transaction."""

    _database: Database
    _limits: RiskLimits

    def run_then(self, run: Run, at: datetime) -> Run:
        """The run with its strategy's version of that time; see `core.past.run_at`."""

        def read(connection: Connection) -> Run:
            complete = _complete(connection, run.user_id, at)
            named = _of(run) | {"limit": MAX_EVENTS + 1}
            events = _bounded(many(connection, "run_past", named), "status")
            version = _version(connection, run.strategy.id, at)
            then = run_at(run, _happened(events), at, complete=complete)
            return msgspec.structs.replace(then, strategy=version.strategy if version else run.strategy)

        return self._database.run(read)

    def version_then(self, strategy_id: StrategyId, at: datetime) -> VersionThen | None:
        """Whoever asks may see the strategy: that is looked up before."""
        return self._database.run(lambda connection: _version(connection, strategy_id, at))

    def position_then(self, run: Run, at: datetime) -> PositionThen | None:
        """None where it was flat."""

        def read(connection: Connection) -> PositionThen | None:
            complete = _complete(connection, run.user_id, at)
            named = _of(run) | {"at": at, "limit": MAX_EVENTS + 1}
            flat = value(connection, "last_flat", named)
            if flat is None and not complete:
                # What is left does not begin at a flat position.
                raise Unknowable("positions")
            rows = _bounded(many(connection, "position_past", named | {"flat": flat or 0}), "positions")
            held = position_at(_happened([*many(connection, "last_drift", named), *rows]), at)
            if held.position.is_flat or run.account_id is None:
                return None
            guard = held.guarded
            ids = [held.entered_by, *([] if guard is None else [guard.client_order_id])]
            found = many(connection, "orders_then", _of(run) | {"client_order_ids": ids})
            orders = {order.client_order_id: order for order in map(as_type(Order), found)}
            return PositionThen(
                account_id=run.account_id,
                symbol=next(row["payload"]["symbol"] for row in rows if row["type"] == "order_fill"),
                leverage=orders[ClientOrderId(str(held.entered_by))].leverage,
                held=held,
                wanted=Protection()
                if guard is None
                else protection_of(orders[guard.client_order_id], guard.entry_price),
            )

        return self._database.run(read)

    def risk_then(self, user_id: UserId, at: datetime) -> RiskThen:
        def read(connection: Connection) -> RiskThen:
            complete = _complete(connection, user_id, at)
            since = datetime.combine(risk_day(at), time(), tzinfo=UTC) - VENUE_AHEAD
            named = {"user_id": user_id, "at": at, "since": since, "limit": MAX_EVENTS + 1}
            carried = many(connection, "risk_past", named)
            whole = complete and len(carried) <= MAX_EVENTS
            of_day = _bounded(many(connection, "risk_day_past", named), "realizedPnlUsdt", "tradesCount")
            rows = {row["id"]: row for row in [*carried, *of_day]}
            rows |= {row["id"]: row for row in many(connection, "last_entry_past", named)}
            state = risk_at(_happened([rows[each] for each in sorted(rows)]), at, complete=whole)
            changes = _bounded(many(connection, "limits_past", named), "limits")
            own = one(connection, "limits", named)
            row = None if own is None else limits_of(own, self._limits)
            return RiskThen(state=state, limits=limits_at(row, _happened(changes), at))

        return self._database.run(read)


def _complete(connection: Connection, user_id: UserId, at: datetime) -> bool:
    """Whether no event of the user's has been taken out. Raises Unknowable for a time before those that are left."""
    kept = one(connection, "kept_since", {"user_id": user_id})
    assert kept is not None
    if kept["dropped"] and (kept["first_at"] is None or at < kept["first_at"]):
        raise Unknowable("asOf")
    return not kept["dropped"]


def _version(connection: Connection, strategy_id: StrategyId, at: datetime) -> VersionThen | None:
    row = one(connection, "version_at", {"strategy_id": strategy_id, "at": at})
    return (
        None
        if row is None
        else VersionThen(strategy=definition_of(row), since=row["version_created_at"], named=row["named"])
    )


def _of(run: Run) -> dict[str, Any]:
    return {"run_id": run.id, "user_id": run.user_id}


def _bounded(rows: list[Row], *names: str) -> list[Row]:
    if len(rows) > MAX_EVENTS:
        raise Unknowable(*names)
    return rows


def _happened(rows: list[Row]) -> list[Happened]:
    return [as_type(Happened)(row) for row in rows]
