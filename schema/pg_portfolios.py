"""`PgPortfolios`: a user's accounts with their curves and round trips, asked for by the user's id (I12)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from core.errors import Conflict
from core.ids import AccountId, UserId
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, as_type, changed, fields, many, one, position_of, value
from schema.records import Account, AccountKind, OpenPosition, Trade

MAX_PORTFOLIOS: Final = 500
"""Of one user; a strategy that goes live without a connection makes one as well."""


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """An account and since when it is there."""

    account: Account
    created_at: datetime


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What the booked round trips of an account come to, USDT."""

    trades: int
    won: int
    pnl: Decimal
    fees: Decimal


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A balance; `id` tells points of the same moment apart."""

    id: int
    at: datetime
    balance: Decimal


class PgPortfolios:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_user(
        self,
        user_id: UserId,
        *,
        kind: AccountKind | None,
        limit: int,
        before: tuple[datetime, UUID] | None = None,
    ) -> list[Portfolio]:
        """Newest first, those older than `before`."""
        at, last = before or (None, None)
        named = {"user_id": user_id, "kind": kind, "limit": limit, "before_at": at, "before_id": last}
        return [_portfolio(row) for row in self._read("portfolios_of", named)]

    def one(
        self, user_id: UserId, account_id: AccountId, kind: AccountKind | None = None
    ) -> Portfolio | None:
        named = {"user_id": user_id, "account_id": account_id, "kind": kind}
        return next(iter(_portfolio(row) for row in self._read("portfolio", named)), None)

    def add(self, account: Account) -> Portfolio:
        """The one there is where it was added before. Raises Conflict for a user with MAX_PORTFOLIOS already."""

        def add(connection: Connection) -> Portfolio:
            whose = {"user_id": account.user_id}
            value(connection, "lock_user_portfolios", whose)
            known = one(connection, "portfolio", whose | {"account_id": account.id, "kind": None})
            if known is not None:
                return _portfolio(known)
            if value(connection, "count_portfolios", whose) >= MAX_PORTFOLIOS:
                raise Conflict(f"you have {MAX_PORTFOLIOS} portfolios already")
            changed(connection, "insert_account", fields(account))
            row = one(connection, "portfolio", whose | {"account_id": account.id, "kind": None})
            assert row is not None
            return _portfolio(row)

        return self._database.run(add)

    def rename(self, user_id: UserId, account_id: AccountId, name: str) -> Portfolio | None:
        def rename(connection: Connection) -> Portfolio | None:
            named = {"user_id": user_id, "account_id": account_id, "name": name}
            if not changed(connection, "rename_portfolio", named):
                return None
            row = one(connection, "portfolio", named | {"kind": None})
            return None if row is None else _portfolio(row)

        return self._database.run(rename)

    def remove(self, user_id: UserId, account_id: AccountId) -> bool:
        """Forget a paper account, or close it where it has a history. Whether there was one.

        Raises Conflict while a run that is not archived trades on it.
        """

        def remove(connection: Connection) -> bool:
            named = {"user_id": user_id, "account_id": account_id}
            if value(connection, "lock_portfolio", named) is None:
                return False
            runs = one(connection, "runs_on_account", named)
            assert runs is not None
            if runs["live"]:
                raise Conflict("a run uses this portfolio; stop and archive it first")
            changed(connection, "retire_account" if runs["ever"] else "delete_account", named)
            return True

        return self._database.run(remove)

    def totals(self, account_id: AccountId) -> Totals:
        (row,) = self._read("account_totals", {"account_id": account_id})
        return as_type(Totals)(row)

    def trades(
        self,
        user_id: UserId,
        account_id: AccountId,
        *,
        limit: int,
        before: tuple[datetime, UUID] | None = None,
    ) -> list[Trade]:
        """Booked round trips, newest first."""
        at, last = before or (None, None)
        named = {
            "user_id": user_id,
            "account_id": account_id,
            "limit": limit,
            "before_at": at,
            "before_id": last,
        }
        return [as_type(Trade)(row) for row in self._read("account_trades", named)]

    def equity(
        self,
        account_id: AccountId,
        *,
        since: datetime | None,
        limit: int,
        before: tuple[datetime, int] | None = None,
    ) -> list[CurvePoint]:
        """Newest first."""
        at, last = before or (None, None)
        named = {
            "account_id": account_id,
            "since": since,
            "limit": limit,
            "before_at": at,
            "before_id": last,
        }
        return [as_type(CurvePoint)(row) for row in self._read("account_equity", named)]

    def positions(self, user_id: UserId, account_id: AccountId) -> list[OpenPosition]:
        """What is open, by run."""
        rows = self._read("open_positions", {"user_id": user_id, "account_id": account_id})
        return [position_of(row) for row in rows]

    def _read(self, query: str, named: Row) -> Sequence[Row]:
        def read(connection: Connection) -> Sequence[Row]:
            return many(connection, query, named)

        user_id = named.get("user_id")
        return self._database.read(read) if user_id is None else self._database.read_as(user_id, read)


def _portfolio(row: Row) -> Portfolio:
    return Portfolio(account=as_type(Account)(row), created_at=row["created_at"])
