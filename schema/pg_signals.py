"""`PgSignals`: what a user's strategies said, asked for by the user's id (I12)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from core.ids import RunId, StrategyId, UserId
from core.published_signal import Said
from schema.pg_database import Database
from schema.pg_rows import as_type, fields, many
from schema.records import TickPlace


class SignalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signal other than hold; `score` where the strategy gave one."""

    run_id: RunId
    strategy_id: StrategyId
    slot: datetime
    symbol: str
    action: str
    score: float | None
    strategy: str
    said: Said | None
    at: datetime


class SignalsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`min_score`: a signal without a score has none that is enough."""

    run_id: RunId | None = None
    symbol: str | None = None
    action: str | None = None
    min_score: float | None = None
    since: datetime | None = None


class PgSignals:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_user(
        self, user_id: UserId, asked: SignalsAsked, *, limit: int, before: TickPlace | None = None
    ) -> list[SignalRow]:
        """Newest slot first, and by run within a slot; `before`: only what follows that place."""
        slot, run_id = before or (None, None)
        named = fields(asked) | {
            "user_id": user_id,
            "before_slot": slot,
            "before_run": run_id,
            "limit": limit,
        }
        rows = self._database.read(lambda connection: many(connection, "signals_of", named))
        return [as_type(SignalRow)(row) for row in rows]
