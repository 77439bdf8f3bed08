"""EventPublisher: tells a Redis channel every event, in order and behind the event log; no tick knows of it.

How far it is stands in PostgreSQL, so neither Redis' absence nor a restart here loses any within the bound there. One
process at a time tells them, by a lease. Redis keeps the id of the last: what is told again is not published again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from actors.publishers.redis import RedisAddress, redis_client, told_no_further
from actors.publishers.webhook import NotDelivered
from actors.runtime.behaviour import Behaviour, Context
from core.backoff import Backoff
from core.ids import UserId
from schema.pg_events_out import EVENTS_AT_ONCE, EventsToTell, PgEventsOut
from schema.records import Event

PASS_S: Final = 0.5
TELL_S: Final = 10.0
"""Bound of one pass; well below the lease it is told under."""
RETRY: Final = Backoff(min_s=PASS_S, max_s=5.0)
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


class Pass(msgspec.Struct, frozen=True):
    """Look for events."""


class Taken(msgspec.Struct, frozen=True):
    """None: another process tells them, or the database is away."""

    found: EventsToTell | None


class Ended(msgspec.Struct, frozen=True):
    """`error`: why Redis has not got them, or nobody knows whether it has."""

    found: EventsToTell
    error: str | None


class Noted(msgspec.Struct, frozen=True):
    more: bool


class Left(msgspec.Struct, frozen=True):
    """Another process may take over."""


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


class EventPublisher(Behaviour):
    __slots__ = ("_busy", "_draining", "_failures", "_not_before_s", "_owner", "_receiver", "_rows", "_users")

    def __init__(
        self, ctx: Context, *, rows: PgEventsOut, receiver: RedisEvents, users: Sequence[UserId], owner: str
    ) -> None:
        super().__init__(ctx)
        self._rows = rows
        self._receiver = receiver
        self._users = users
        self._owner = owner
        self._busy = self._draining = False
        self._failures = 0
        self._not_before_s = float("-inf")

    def started(self) -> None:
        self.ctx.after(0.0, Pass())
        self.ctx.after(PASS_S, Pass(), every=PASS_S)

    def draining(self) -> None:
        self._draining = True
        if not self._busy:
            self._leave()

    def receive(self, message: object) -> None:
        match message:
            case Pass():
                self._look()
            case Taken():
                self._taken(message)
            case Ended():
                self._ended(message)
            case Noted():
                self._over(more=message.more)
            case Left():
                self.ctx.stop()
            case _:
                raise TypeError(f"{self.ctx.name} cannot handle {type(message).__name__}")

    def _look(self) -> None:
        if self._busy or self._draining or self.ctx.clock.monotonic() < self._not_before_s:
            return
        self._busy = True
        rows, owner, users = self._rows, self._owner, self._users
        self.ctx.call(lambda: rows.take(owner, users), Taken, lambda _: Taken(None))

    def _taken(self, taken: Taken) -> None:
        found = taken.found
        if found is None:
            self._over(more=False)
        elif not found.events:
            self._note(found, None)
        else:
            self.ctx.run(
                self._receiver.tell(found.log, found.events),
                lambda _: Ended(found, None),
                lambda error: Ended(found, _said(error)),
                timeout_s=TELL_S,
            )

    def _ended(self, ended: Ended) -> None:
        if ended.error is None:
            self._failures = 0
        else:
            self._not_before_s = self.ctx.clock.monotonic() + RETRY.delay_s(self._failures, 0.0)
            self._failures += 1
        self._note(ended.found, ended.error)

    def _note(self, found: EventsToTell, error: str | None) -> None:
        rows, owner = self._rows, self._owner

        def note() -> Noted:
            if error is None:
                rows.told(owner, found.upto, len(found.events))
            else:
                rows.failed(owner, error)
            return Noted(error is None and len(found.events) == EVENTS_AT_ONCE)

        self.ctx.call(note, lambda noted: noted, lambda _: Noted(False))

    def _over(self, *, more: bool) -> None:
        self._busy = False
        if self._draining:
            self._leave()
        elif more:
            self._look()

    def _leave(self) -> None:
        rows, owner = self._rows, self._owner
        self.ctx.call(lambda: rows.leave(owner), lambda _: Left(), lambda _: Left())


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, NotDelivered) else f"not delivered ({type(error).__name__})"
