"""`PgEventsOut`: the event log told to a receiver in order, and how far it has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from core.ids import UserId
from schema.pg_database import Connection, Database
from schema.pg_rows import as_type, changed, many, one, value
from schema.records import Event

EVENTS_AT_ONCE: Final = 500
MAX_EVENTS_BEHIND: Final = 100_000
"""How many events a receiver may be behind; what is older is lost to it."""
LEASE_S: Final = 30.0
RECEIVER: Final = "redis"


class EventsToTell(msgspec.Struct, frozen=True, kw_only=True):
    """`upto`: the id up to which these are all there are. `log`: whose ids they are."""

    events: tuple[Event, ...]
    upto: int
    log: UUID


class EventsTold(msgspec.Struct, frozen=True, kw_only=True):
    sent: int
    lost: int
    failing: bool


class PgEventsOut:
    """Each method is one transaction. `users`: whose events are told; nobody named is everybody."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, owner: str, users: Sequence[UserId]) -> EventsToTell | None:
        """What to tell next; None where another process tells them."""

        def take(connection: Connection) -> EventsToTell | None:
            named: dict[str, Any] = {
                "name": RECEIVER,
                "owner": owner,
                "lease_s": LEASE_S,
                "users": list(users) or None,
                "limit": EVENTS_AT_ONCE,
            }
            changed(connection, "enter_event_receiver", named)
            held = one(connection, "lease_event_receiver", named)
            if held is None:
                return None
            after = held["last_event_id"]
            # Its own statement first: no event below it is still to come.
            horizon = value(connection, "events_horizon")
            if horizon - after > MAX_EVENTS_BEHIND:
                after = horizon - MAX_EVENTS_BEHIND
                changed(connection, "pass_events_over", named | {"last_id": after})
            rows = many(connection, "events_to_tell", named | {"after_id": after, "horizon": horizon})
            found = tuple(as_type(Event)(row) for row in rows)
            upto = found[-1].id if len(found) == EVENTS_AT_ONCE else max(after, horizon)
            return EventsToTell(events=found, upto=upto, log=held["log"])

        return self._database.run(take)

    def told(self, owner: str, upto: int, sent: int) -> None:
        named = {"name": RECEIVER, "owner": owner, "last_id": upto, "sent": sent}
        self._database.run(lambda connection: changed(connection, "events_told", named))

    def failed(self, owner: str, error: str) -> None:
        named = {"name": RECEIVER, "owner": owner, "error": error[:500]}
        self._database.run(lambda connection: changed(connection, "event_receiver_failed", named))

    def leave(self, owner: str) -> None:
        named = {"name": RECEIVER, "owner": owner}
        self._database.run(lambda connection: changed(connection, "leave_event_receiver", named))

    def state(self) -> EventsTold | None:
        """None where nobody has been told yet."""
        row = self._database.read(
            lambda connection: one(connection, "observed_event_receiver", {"name": RECEIVER})
        )
        return None if row is None else as_type(EventsTold)(row)
