"""`PgAlerts`: one process at a time looks at what is wrong; each alert is raised once and cleared, with its event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from core.alerts import (
    UNKNOWN_S,
    UNPROTECTED_S,
    AlertKind,
    Changes,
    Named,
    Numbers,
    Thresholds,
    alerts_of,
    changes,
)
from core.key_rights import KeyProblem
from core.risk import RiskLimits
from schema import pg_platform
from schema.connections import KEY_IN_USE
from schema.ledger import PLATFORM_USER
from schema.ledger.payloads import plain
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, as_type, many, one, value
from schema.pg_tx import PgTx

ALERT_EVENT: Final = "alert"
MAX_NAMED: Final = 200
"""Things of one kind that are looked at, so many alerts may be open of it."""
RATE_WINDOW: Final = timedelta(minutes=15)
LAG_WINDOW: Final = timedelta(minutes=5)
SILENCE_WINDOW: Final = timedelta(days=2)
KEY_TROUBLES: Final = (*(problem.value for problem in KeyProblem), "auth", "sealed", KEY_IN_USE)


class RaisedAlert(msgspec.Struct, frozen=True, kw_only=True):
    """`cleared_at` None: still so."""

    id: int
    kind: str
    subject: str
    detail: str
    raised_at: datetime
    cleared_at: datetime | None


class PgAlerts:
    """Each method is one transaction."""

    def __init__(self, database: Database, default_limits: RiskLimits) -> None:
        self._database = database
        self._limits = default_limits

    def look(self, thresholds: Thresholds) -> Changes | None:
        """What is newly wrong and what no longer is, written with its events; None: another process is at it."""

        def look(connection: Connection) -> Changes | None:
            if not value(connection, "lock_alerts"):
                return None
            open_ = {(AlertKind(row["kind"]), str(row["subject"])) for row in many(connection, "open_alerts")}
            wrong = alerts_of(_numbers(connection), thresholds, {kind for kind, _ in open_})
            found = changes(open_, wrong)
            for alert in found.raised:
                named = {"kind": alert.kind.value, "subject": alert.subject, "detail": alert.detail}
                self._tell(connection, many(connection, "raise_alert", named), "raised")
            for kind, subject in found.cleared:
                named = {"kind": kind.value, "subject": subject}
                self._tell(connection, many(connection, "clear_alert", named), "cleared")
            return found

        return self._database.run(look)

    def latest(self, *, open_only: bool, limit: int, before: int | None = None) -> list[RaisedAlert]:
        """Newest first."""
        named = {"open": open_only, "limit": limit, "before": before}
        rows = self._database.read(lambda connection: many(connection, "latest_alerts", named))
        return [as_type(RaisedAlert)(row) for row in rows]

    def _tell(self, connection: Connection, rows: Sequence[Row], action: str) -> None:
        for row in rows:
            tx = PgTx(connection, self._database.months, self._limits)
            payload = plain(action=action, kind=row["kind"], subject=row["subject"], detail=row["detail"])
            tx.append_event(
                user_id=PLATFORM_USER, run_id=None, type=ALERT_EVENT, at=tx.now(), payload=payload
            )


def _numbers(connection: Connection) -> Numbers:
    now: datetime = value(connection, "market_now")
    ticks = one(connection, "alert_ticks", {"since": now - RATE_WINDOW}) or {}
    silence = one(connection, "alert_silence", {"since": now - SILENCE_WINDOW}) or {}
    lag = one(connection, "slot_lag", {"since": now - LAG_WINDOW}) or {}
    # A demo's minute may be a second of ours: what we are slow at is counted in our time.
    clock = pg_platform.clock(connection)
    fast = max(1.0, clock.rate) if clock.demo else 1.0
    named = {
        "now": now,
        "limit": MAX_NAMED,
        "unknown_s": UNKNOWN_S * fast,
        "unprotected_s": UNPROTECTED_S * fast,
        "troubles": list(KEY_TROUBLES),
    }
    return Numbers(
        now=now,
        ticks=ticks.get("ticks", 0),
        failed=ticks.get("failed", 0),
        decided_at=silence.get("decided_at"),
        every_s=silence.get("every_s"),
        lag_p99_ms=None if lag.get("p99") is None else lag["p99"] / fast,
        auto_paused=_named(connection, "alert_auto_paused", named),
        daily_loss=_named(connection, "alert_daily_loss", named),
        unknown_orders=_named(connection, "alert_unknown_orders", named),
        unprotected=_named(connection, "alert_unprotected", named),
        keys=_named(connection, "alert_keys", named),
    )


def _named(connection: Connection, query: str, named: Mapping[str, Any]) -> tuple[Named, ...]:
    return tuple(as_type(Named)(row) for row in many(connection, query, named))
