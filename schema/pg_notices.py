"""`PgNotices`: who wants to hear of what, and deliveries: made out once for each event, carried out at least once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from core.ids import UserId
from core.notice import TYPES, Notice, notice_of
from schema.ledger import PLATFORM_USER
from schema.notices import (
    CLAIMED_FOR_S,
    GATHERED_AT_ONCE,
    KEPT_DAYS,
    MAX_WAITING,
    Channel,
    Delivery,
    NoticeSettings,
    sealed_id,
)
from schema.pg_database import SQL, Connection, Database
from schema.pg_rows import Row, as_type, changed, many, plain_json, value
from schema.vault import SealedKeys

_SEALED = ("master_key_id", "data_key_id", "wrapped_key", "sealed_key", "sealed_secret")


class PgNotices:
    """Each method is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def settings(self, user_id: UserId) -> NoticeSettings:
        found = self.settings_of([user_id])
        return found.get(user_id) or NoticeSettings(user_id=user_id)

    def settings_of(self, user_ids: Sequence[UserId]) -> dict[UserId, NoticeSettings]:
        """Of those who have set any."""
        return self._database.read(lambda connection: _settings(connection, user_ids))

    def put(self, settings: NoticeSettings) -> None:
        """`sealed` None keeps the signing secret there is."""
        sealed = settings.sealed
        row: Row = {
            "user_id": settings.user_id,
            "webhook_url": settings.webhook_url,
            "email": settings.email,
            "wanted": sorted(kind.value for kind in settings.wanted),
            "secret_id": None if sealed is None else sealed.account_id,
        }
        row |= {name: None if sealed is None else getattr(sealed, name) for name in _SEALED}
        self._database.run(lambda connection: changed(connection, "put_notice_settings", row))

    def gather(self, operator: frozenset[Channel]) -> int:
        """Make out deliveries for events nobody has looked at yet; how many there were. Bounded; ask again for more.

        0 also while another process is at it. `operator`: by which channels alerts of the installation go.
        """

        def gather(connection: Connection) -> int:
            after = value(connection, "lock_notice_cursor")
            if after is None:
                return 0
            # Its own statement first: no event below it is still to come.
            horizon = value(connection, "events_horizon")
            named = {"after_id": after, "horizon": horizon, "types": list(TYPES), "limit": GATHERED_AT_ONCE}
            events = many(connection, "notable_events", named)
            rows = _deliveries(connection, events, operator)
            if rows:
                with connection.cursor() as cursor:
                    cursor.executemany(SQL["insert_delivery"], rows)
            last = events[-1]["id"] if len(events) == GATHERED_AT_ONCE else horizon
            if last > after:
                changed(connection, "move_notice_cursor", {"last_event_id": last})
            return len(events)

        return self._database.run(gather)

    def claim(self, limit: int) -> list[Delivery]:
        """What is due, each this process's for CLAIMED_FOR_S."""
        named = {"claimed_s": CLAIMED_FOR_S, "limit": limit}
        rows = self._database.run(lambda connection: many(connection, "claim_deliveries", named))
        return sorted((as_type(Delivery)(row) for row in rows), key=lambda each: each.id)

    def sent(self, delivery_id: int) -> None:
        self._database.run(lambda connection: changed(connection, "delivery_sent", {"id": delivery_id}))

    def failed(self, delivery_id: int, error: str, again_s: float | None) -> None:
        """`again_s` None: for good."""
        named = {"id": delivery_id, "error": error[:500], "again_s": again_s}
        self._database.run(lambda connection: changed(connection, "delivery_failed", named))

    def latest(self, user_id: UserId, limit: int) -> list[Delivery]:
        """Newest first."""
        named = {"user_id": user_id, "limit": limit}
        rows = self._database.read(lambda connection: many(connection, "deliveries_of", named))
        return [as_type(Delivery)(row) for row in rows]

    def forget_old(self) -> int:
        return self._database.run(
            lambda connection: changed(connection, "forget_deliveries", {"days": KEPT_DAYS})
        )


def _deliveries(
    connection: Connection, events: Sequence[Row], operator: frozenset[Channel]
) -> list[Mapping[str, Any]]:
    told = [(event, kind) for event in events if (kind := notice_of(event["type"], event["payload"]))]
    users = sorted({event["user_id"] for event, _ in told})
    settings = _settings(connection, users) if users else {}
    waiting = {
        row["user_id"]: row["waiting"]
        for row in (many(connection, "waiting_deliveries", {"user_ids": users}) if users else ())
    }
    rows: list[Mapping[str, Any]] = []
    for event, kind in told:
        user_id = event["user_id"]
        for channel in sorted(_channels(kind, user_id, settings.get(user_id), operator)):
            if waiting.get(user_id, 0) >= MAX_WAITING:
                break
            waiting[user_id] = waiting.get(user_id, 0) + 1
            rows.append(_row(event, kind, channel))
    return rows


def _channels(
    kind: Notice, user_id: UserId, wanted: NoticeSettings | None, operator: frozenset[Channel]
) -> frozenset[Channel]:
    if kind is Notice.ALERT:
        return operator if user_id == PLATFORM_USER else frozenset()
    if wanted is None or kind not in wanted.wanted:
        return frozenset()
    by = {Channel.WEBHOOK: wanted.webhook_url, Channel.EMAIL: wanted.email}
    return frozenset(channel for channel, address in by.items() if address is not None)


def _row(event: Row, kind: Notice, channel: Channel) -> Mapping[str, Any]:
    content = {
        "id": event["id"],
        "kind": kind.value,
        "type": event["type"],
        "at": event["at"],
        "runId": event["run_id"],
        "payload": event["payload"],
    }
    return {
        "event_id": event["id"],
        "user_id": event["user_id"],
        "channel": channel.value,
        "kind": kind.value,
        "content": Jsonb(plain_json(content)),
    }


def _settings(connection: Connection, user_ids: Sequence[UserId]) -> dict[UserId, NoticeSettings]:
    rows = many(connection, "notice_settings", {"user_ids": list(user_ids)})
    return {row["user_id"]: _one(row) for row in rows}


def _one(row: Row) -> NoticeSettings:
    sealed = None
    if row["secret_id"] is not None:
        owner = {"user_id": row["user_id"], "account_id": sealed_id(row["secret_id"])}
        sealed = as_type(SealedKeys)(owner | {name: row[name] for name in _SEALED})
    known = set(Notice)
    return NoticeSettings(
        user_id=row["user_id"],
        webhook_url=row["webhook_url"],
        email=row["email"],
        wanted=frozenset(Notice(kind) for kind in row["wanted"] if kind in known),
        sealed=sealed,
    )
