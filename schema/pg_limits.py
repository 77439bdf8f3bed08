"""`PgLimits`: a user's risk limits, tightened by the user, loosened by an administrator."""

from __future__ import annotations

import msgspec

from core.errors import RunnerError
from core.ids import UserId
from core.limit_change import LimitChange, changed_limits, looser_than
from core.risk import RiskLimits
from schema.ledger import end_old_pause
from schema.ledger.payloads import plain
from schema.pg_database import Connection, Database
from schema.pg_rows import changed, fields, limits_of, one
from schema.pg_tx import PgTx

LIMITS_UPDATED = "risk.limits.updated"


class TooLoose(RunnerError):
    """A user may have less than the ceiling, never more; `names` are the limits that would be."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"only an administrator can loosen {', '.join(names)}")
        self.names = names


class OwnLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force for a user, and the ceiling the user may tighten; `own`: they are not the platform's."""

    limits: RiskLimits
    ceiling: RiskLimits
    own: bool


class PgLimits:
    """Each method is one transaction."""

    def __init__(self, database: Database, default: RiskLimits) -> None:
        self._database = database
        self._default = default

    def use_limits(self, default_limits: RiskLimits) -> None:
        self._default = default_limits

    def of(self, user_id: UserId) -> OwnLimits:
        return self._database.run(lambda connection: self._read(connection, user_id))

    def tighten(self, user_id: UserId, change: LimitChange) -> OwnLimits:
        """By the user. Raises TooLoose, or SettingsError for limits that cannot be; nothing is changed then."""

        def put(connection: Connection) -> OwnLimits:
            before = self._locked(connection, user_id)
            after = changed_limits(before.limits, change)
            loose = looser_than(after, before.ceiling)
            if loose:
                raise TooLoose(loose)
            self._write(connection, user_id, before, after, by=user_id)
            return self._read(connection, user_id)

        return self._database.run(put)

    def set_ceiling(self, user_id: UserId, change: LimitChange, *, by: UserId) -> OwnLimits:
        """By an administrator: what is given is in force at once, and the user may tighten it again."""

        def put(connection: Connection) -> OwnLimits:
            before = self._locked(connection, user_id)
            ceiling = changed_limits(before.ceiling, change)
            after = changed_limits(before.limits, change)
            changed(connection, "put_ceiling", fields(ceiling) | {"user_id": user_id, "set_by": by})
            self._write(connection, user_id, before, after, by=by)
            return self._read(connection, user_id)

        return self._database.run(put)

    def _locked(self, connection: Connection, user_id: UserId) -> OwnLimits:
        """Under the user's risk lock: no gate reads between, and an old pause ends by the limits it ran under."""
        end_old_pause(self._tx(connection), user_id)
        return self._read(connection, user_id)

    def _read(self, connection: Connection, user_id: UserId) -> OwnLimits:
        own = one(connection, "limits", {"user_id": user_id})
        ceiling = one(connection, "ceiling", {"user_id": user_id})
        return OwnLimits(
            limits=limits_of(own, self._default),
            ceiling=limits_of(ceiling, self._default),
            own=own is not None,
        )

    def _write(
        self, connection: Connection, user_id: UserId, before: OwnLimits, after: RiskLimits, *, by: UserId
    ) -> None:
        if after == before.limits:
            return
        changed(connection, "put_limits", fields(after) | {"user_id": user_id})
        tx = self._tx(connection)
        payload = {"by": by, "before": _said(before.limits), "after": _said(after)}
        tx.append_event(user_id=user_id, run_id=None, type=LIMITS_UPDATED, at=tx.now(), payload=payload)

    def _tx(self, connection: Connection) -> PgTx:
        return PgTx(connection, self._database.months, self._default)


def _said(limits: RiskLimits) -> dict[str, object]:
    return plain(**{name: getattr(limits, name) for name in limits.__struct_fields__})
