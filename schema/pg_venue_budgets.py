"""Weight and bans of venue hosts, as all processes on one database share them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from schema.pg_database import Database
from schema.pg_rows import as_type, many, one

BANS_CHANNEL = "venue_bans"
"""NOTIFY tells a host on it when a ban was noted."""


class TakenWeight(msgspec.Struct, frozen=True, kw_only=True):
    """`granted` of a host's weight for one process until `ends_in_s` from when it was given."""

    granted: int
    ends_in_s: float
    banned_until: datetime | None


class PgVenueBudgets:
    """Raises StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, host: str, *, wanted: int, weight: int, window_s: float) -> TakenWeight:
        """At most `wanted` of the `weight` of the present window of `window_s`, which begin at multiples of it."""
        named = {"host": host, "wanted": wanted, "weight": weight, "window_s": window_s}
        row = self._database.run(lambda connection: one(connection, "take_venue_weight", named))
        assert row is not None
        return as_type(TakenWeight)(row)

    def ban(self, host: str, until: datetime) -> None:
        self._database.run(lambda connection: one(connection, "ban_venue", {"host": host, "until": until}))

    def bans(self) -> Mapping[str, datetime]:
        rows = self._database.read(lambda connection: many(connection, "venue_bans"))
        return {row["host"]: row["until"] for row in rows}
