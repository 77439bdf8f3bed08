"""EventPublisher: tells a Redis channel every event, in order and behind the event log; no tick knows of it.

How far it is stands in PostgreSQL, so neither Redis' absence nor a restart here loses any within the bound there. One
process at a time tells them, by a lease. Redis keeps the id of the last: what is told again is not published again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.publishers.leased_publisher import TELL_S, LeasedPublisher
from actors.publishers.redis import RedisAddress, redis_client, told_no_further
from actors.publishers.webhook import why_not
from actors.runtime.behaviour import Context
from core.ids import UserId
from schema.pg_events_out import EVENTS_AT_ONCE, EventsToTell, PgEventsOut
from schema.records import Event

SCRIPT: Final = """
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
for place = 2, #ARGV, 2 do
    local id = tonumber(ARGV[place])
    if id > last then
        redis.call('PUBLISH', ARGV[1], ARGV[place + 1])
        last = id
    end
end
redis.call('SET', KEYS[1], string.format('%.0f', last))
return last
"""


class Taken(msgspec.Struct, frozen=True):
    """None: another process tells them, or the database is away."""

    found: EventsToTell | None


class Ended(msgspec.Struct, frozen=True):
    """`error`: why Redis has not got them, or nobody knows whether it has."""

    found: EventsToTell
    error: str | None


class RedisEvents:
    """A connection for each pass, so that none goes stale."""

    def __init__(self, address: RedisAddress, *, channel: str) -> None:
        self._address = address
        self._channel = channel

    async def tell(self, log: UUID, events: Sequence[Event]) -> None:
        """Raises NotDelivered."""
        values: list[bytes | str] = [self._channel]
        for event in events:
            values += [str(event.id), msgspec.json.encode(event)]
        async with told_no_further(), redis_client(self._address) as client:
            await client.execute_command("EVAL", SCRIPT, 1, f"{self._channel}:last:{log}", *values)


class EventPublisher(LeasedPublisher):
    __slots__ = ("_owner", "_receiver", "_rows", "_users")

    def __init__(
        self, ctx: Context, *, rows: PgEventsOut, receiver: RedisEvents, users: Sequence[UserId], owner: str
    ) -> None:
        super().__init__(ctx, leave=lambda: rows.leave(owner))
        self._rows = rows
        self._receiver = receiver
        self._users = users
        self._owner = owner

    def look(self) -> None:
        rows, owner, users = self._rows, self._owner, self._users
        self.ctx.call(lambda: rows.take(owner, users), Taken, lambda _: Taken(None))

    def goes_on(self, message: object) -> None:
        match message:
            case Taken():
                self._taken(message)
            case Ended():
                self.told(message.error)
                self._note(message.found, message.error)
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    def _taken(self, taken: Taken) -> None:
        found = taken.found
        if found is None:
            self.over(more=False)
        elif not found.events:
            self._note(found, None)
        else:
            self.ctx.run(
                self._receiver.tell(found.log, found.events),
                lambda _: Ended(found, None),
                lambda error: Ended(found, why_not(error)),
                timeout_s=TELL_S,
            )

    def _note(self, found: EventsToTell, error: str | None) -> None:
        rows, owner = self._rows, self._owner

        def write() -> bool:
            if error is None:
                rows.told(owner, found.upto, len(found.events))
            else:
                rows.failed(owner, error)
            return error is None and len(found.events) == EVENTS_AT_ONCE

        self.note(write)
