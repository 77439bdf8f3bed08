"""`PgPublished`: signals on their way outside: judged once, kept a while, and told to each receiver in order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from core.ids import UserId
from core.published_signal import Announced, PublishedSignal, published_from_event
from core.signal_policy import SignalLimits, Told, withheld
from schema.pg_database import Connection, Database
from schema.pg_rows import as_type, changed, many, one, value

GATHERED_AT_ONCE: Final = 500
TOLD_AT_ONCE: Final = 100
MAX_BEHIND: Final = 100_000
"""How many signals, withheld ones counted, a receiver may be behind; what is older is lost to it."""
KEPT_DAYS: Final = 7
"""For how long signals are kept for receivers that do not answer."""
FORGOTTEN_AT_ONCE: Final = 1_000
LEASE_S: Final = 30.0
"""How long a process has the telling of a receiver, and another takes it over after it died."""


class Receiver(StrEnum):
    REDIS = "redis"
    INFLUXDB = "influxdb"


class ToTell(msgspec.Struct, frozen=True, kw_only=True):
    """`left_s`: for how long it may still be acted upon when the rows were read; below 0 it has expired."""

    id: int
    content: PublishedSignal
    left_s: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass came to: everything up to `last_id` is settled. `refused`: what the receiver will never take."""

    last_id: int
    sent: int
    expired: int
    refused: int = 0


class ReceiverState(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting`: signals it has not got yet. `failing`: it did not take the last ones."""

    name: str
    sent: int
    expired: int
    lost: int
    failing: bool
    last_error: str | None
    waiting: int


class PublishedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signal that was judged; `withheld` None: it is told."""

    id: int
    user_id: UserId
    at: datetime
    withheld: str | None
    content: PublishedSignal


Heard = tuple[UserId, PublishedSignal, float]
"""Of whose run, what, and how many seconds ago it was decided."""


class PgPublished:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def gather(self, limits: SignalLimits, users: Sequence[UserId]) -> int:
        """Judge signals nobody has looked at yet; how many events there were. Bounded; ask again for more.

        0 also while another process is at it. `users`: whose runs' signals are told; nobody named is everybody.
        """

        def gather(connection: Connection) -> int:
            after = value(connection, "lock_signal_cursor")
            if after is None:
                return 0
            # Its own statement first: no event below it is still to come.
            horizon = value(connection, "events_horizon")
            named = {"after_id": after, "horizon": horizon, "limit": GATHERED_AT_ONCE}
            events = many(connection, "signal_events", named)
            ttl_s = limits.ttl_s
            heard = [
                (event["user_id"], signal, event["age_s"])
                for event in events
                if (not users or event["user_id"] in users)
                and (signal := published_from_event(event["payload"], event["at"], ttl_s=ttl_s)) is not None
            ]
            _judge(connection, heard, limits)
            last = events[-1]["id"] if len(events) == GATHERED_AT_ONCE else horizon
            if last > after:
                changed(connection, "move_signal_cursor", {"last_event_id": last})
            return len(events)

        return self._database.run(gather)

    def offer(self, signals: Sequence[PublishedSignal], user_id: UserId, limits: SignalLimits) -> None:
        """Judge signals that come from no run; never in a demo, whose time is another."""

        def offer(connection: Connection) -> None:
            # Whoever judges waits for its turn: cooldowns hold between them.
            value(connection, "await_signal_cursor")
            now = value(connection, "market_now")
            ages = [max(0.0, (now - each.timestamp).total_seconds()) for each in signals]
            heard = [(user_id, each, age_s) for each, age_s in zip(signals, ages, strict=True)]
            _judge(connection, heard, limits)

        self._database.run(offer)

    def enter(self, receiver: Receiver) -> None:
        self._database.run(
            lambda connection: changed(connection, "enter_signal_receiver", {"name": receiver})
        )

    def take(self, receiver: Receiver, owner: str) -> list[ToTell] | None:
        """What to tell next, in order; None where another process tells this receiver."""

        def take(connection: Connection) -> list[ToTell] | None:
            named: dict[str, Any] = {"name": receiver.value, "owner": owner, "lease_s": LEASE_S}
            held = one(connection, "lease_signal_receiver", named)
            if held is None:
                return None
            after = held["last_id"]
            if held["newest_id"] - after > MAX_BEHIND:
                after = held["newest_id"] - MAX_BEHIND
                changed(connection, "pass_signals_over", named | {"last_id": after})
            rows = many(connection, "signals_to_tell", {"after_id": after, "limit": TOLD_AT_ONCE})
            return [as_type(ToTell)(row) for row in rows]

        return self._database.run(take)

    def told(self, receiver: Receiver, owner: str, progress: Progress) -> None:
        named = {
            "name": receiver.value,
            "owner": owner,
            "last_id": progress.last_id,
            "sent": progress.sent,
            "expired": progress.expired,
            "refused": progress.refused,
        }
        self._database.run(lambda connection: changed(connection, "signals_told", named))

    def failed(self, receiver: Receiver, owner: str, error: str) -> None:
        named = {"name": receiver.value, "owner": owner, "error": error[:500]}
        self._database.run(lambda connection: changed(connection, "signal_receiver_failed", named))

    def leave(self, receiver: Receiver, owner: str) -> None:
        named = {"name": receiver.value, "owner": owner}
        self._database.run(lambda connection: changed(connection, "leave_signal_receiver", named))

    def forget_old(self) -> int:
        named = {"days": KEPT_DAYS, "rows": FORGOTTEN_AT_ONCE}
        return self._database.run(lambda connection: changed(connection, "forget_published_signals", named))

    def states(self) -> list[ReceiverState]:
        rows = self._database.read(lambda connection: many(connection, "observed_receivers"))
        return [as_type(ReceiverState)(row) for row in rows]

    def page(
        self, *, symbol: str | None, withheld_only: bool, limit: int, before_id: int | None
    ) -> list[PublishedRow]:
        """Newest first, over all users: for who operates the installation."""
        named = {
            "symbol": symbol,
            "withheld_only": withheld_only,
            "limit": limit,
            "before_id": before_id,
        }
        rows = self._database.read(lambda connection: many(connection, "published_page", named))
        return [as_type(PublishedRow)(row) for row in rows]


def _judge(connection: Connection, heard: Sequence[Heard], limits: SignalLimits) -> None:
    new: dict[UUID, Heard] = {}
    for each in heard:
        new.setdefault(each[1].signal_id, each)
    if not new:
        return
    for row in many(connection, "known_signals", {"signal_ids": list(new)}):
        del new[row["signal_id"]]
    first = min((signal.timestamp for _, signal, _ in new.values()), default=None)
    if first is None:
        return
    told = {
        row["symbol"]: Told(action=Announced(row["action"]), at=row["at"])
        for row in many(connection, "told_signals", {"after": first - limits.memory})
    }
    for user_id, signal, age_s in new.values():
        reason = withheld(signal.symbol, signal.action, signal.timestamp, told, limits)
        if reason is None:
            told[signal.symbol] = Told(action=signal.action, at=signal.timestamp)
        row = {
            "signal_id": signal.signal_id,
            "user_id": user_id,
            "symbol": signal.symbol,
            "action": signal.action.value,
            "at": signal.timestamp,
            "left_s": limits.ttl_s - age_s,
            "withheld": None if reason is None else reason.value,
            "content": Jsonb(msgspec.to_builtins(signal)),
        }
        changed(connection, "insert_published_signal", row)
