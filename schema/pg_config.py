"""`PgConfig`: settings changed while the service runs, each change with its event."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core.ids import UserId
from core.risk import RiskLimits
from schema.ledger import PLATFORM_USER
from schema.ledger.payloads import plain
from schema.pg_database import Connection, Database
from schema.pg_rows import changed, fields, many, value
from schema.pg_tx import PgTx

CONFIG_EVENT: Final = "config.updated"


class PgConfig:
    """Each method is one transaction."""

    def __init__(self, database: Database, default_limits: RiskLimits) -> None:
        self._database = database
        self._limits = default_limits

    def overrides(self) -> dict[str, str]:
        return self._database.read(_overrides)

    def put(
        self, changes: Mapping[str, str | None], *, by: UserId, limits: RiskLimits | None = None
    ) -> dict[str, str]:
        """All of them or none; None goes back to what environment and file say. What is so already is no event.

        `limits`: the platform's after it, where they change; users' own that are looser are tightened with them.
        """

        def put(connection: Connection) -> dict[str, str]:
            value(connection, "lock_config")
            before = _overrides(connection)
            for name, text in sorted(changes.items()):
                if before.get(name) == text:
                    continue
                query = "drop_override" if text is None else "put_override"
                changed(connection, query, {"name": name, "value": text, "by": by})
                tx = PgTx(connection, self._database.months, self._limits)
                tx.append_event(
                    user_id=PLATFORM_USER,
                    run_id=None,
                    type=CONFIG_EVENT,
                    at=tx.now(),
                    payload=plain(name=name, before=before.get(name), after=text, by=by),
                )
            if limits is not None:
                changed(connection, "clip_limits", fields(limits))
            return _overrides(connection)

        return self._database.run(put)


def _overrides(connection: Connection) -> dict[str, str]:
    return {row["name"]: row["value"] for row in many(connection, "config_overrides")}
