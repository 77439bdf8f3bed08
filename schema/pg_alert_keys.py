"""`PgAlertKeys`: the keys by which chart services send signals to one strategy, kept as digests."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from core.ids import StrategyId, UserId
from core.risk import RiskLimits
from schema import pg_external
from schema.external import NewSignal, NoSuchStrategy, Receipt
from schema.ledger.payloads import plain
from schema.pg_database import Connection, Database
from schema.pg_rows import as_type, changed, one, optional, value
from schema.pg_tx import PgTx
from schema.tenancy import asked_for

MADE: Final = "strategy.alert_key.made"
ENDED: Final = "strategy.alert_key.ended"


class KeyHolder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose signals a key sends, and to which strategy."""

    strategy_id: StrategyId
    user_id: UserId


class PgAlertKeys:
    """Each method is one transaction."""

    def __init__(self, database: Database, default_limits: RiskLimits) -> None:
        self._database = database
        self._limits = default_limits

    def make(self, strategy_id: StrategyId, user_id: UserId, digest: bytes) -> datetime | None:
        """Since when this is the strategy's key, in place of the one before; None: the user has no such strategy."""

        def make(connection: Connection) -> datetime | None:
            tx = self._tx(connection)
            named = {"strategy_id": strategy_id, "user_id": user_id, "digest": digest, "made_at": tx.now()}
            made = one(connection, "put_alert_key", named)
            if made is None:
                return None
            made_at: datetime = made["made_at"]
            told = plain(strategy_id=str(strategy_id), by=user_id)
            tx.append_event(user_id=user_id, run_id=None, type=MADE, at=made_at, payload=told)
            return made_at

        return self._database.run(make)

    def end(self, strategy_id: StrategyId, user_id: UserId) -> None:
        """From the return on nothing more is taken under the key there was, if any."""

        def end(connection: Connection) -> None:
            if changed(connection, "delete_alert_key", {"strategy_id": strategy_id, "user_id": user_id}):
                tx = self._tx(connection)
                told = plain(strategy_id=str(strategy_id), by=user_id)
                tx.append_event(user_id=user_id, run_id=None, type=ENDED, at=tx.now(), payload=told)

        self._database.run(end)

    def since(self, strategy_id: StrategyId, user_id: UserId) -> datetime | None:
        named = {"strategy_id": strategy_id, "user_id": user_id}
        found: datetime | None = self._database.read(
            lambda connection: value(connection, "alert_key_since", named)
        )
        return found

    def holder(self, digest: bytes) -> KeyHolder | None:
        """Of no key there is, or of one whose strategy is archived: None."""
        return self._database.read(
            lambda connection: optional(
                one(connection, "alert_key_holder", {"digest": digest}), as_type(KeyHolder)
            )
        )

    def receive(self, digest: bytes, new: NewSignal) -> Receipt:
        """The signal as it is stored now, where the key still is its strategy's."""

        def receive(connection: Connection) -> Receipt:
            named = {"digest": digest, "strategy_id": new.strategy_id}
            if one(connection, "hold_alert_key", named) is None:
                return NoSuchStrategy()
            return pg_external.receive(connection, new)

        with asked_for(None):  # the runs of all subscribers, as for any signal
            return self._database.run(receive)

    def _tx(self, connection: Connection) -> PgTx:
        return PgTx(connection, self._database.months, self._limits)
