"""`PgConnections`: exchange connections and their sealed keys on PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from core.errors import Conflict
from core.ids import AccountId, RunId, UserId
from core.key_rights import KeyRights
from schema.connections import (
    MAX_CONNECTIONS,
    MAX_REWRAP_BATCH,
    TEST_OK,
    Connection,
    KeyInUse,
    NewConnection,
    Rewrapped,
    StoredKeys,
)
from schema.pg_database import SQL, Database
from schema.pg_database import Connection as Session
from schema.pg_rows import as_type, changed, fields, many, one, plain_json, value
from schema.records import Account, AccountKind
from schema.tenancy import asked_for
from schema.vault import SealedKeys

MAX_LISTED = 10_000


class PgConnections:
    """A `ConnectionStore` over the store's own pool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: NewConnection, keys: StoredKeys) -> Connection:
        sealed = keys.sealed
        # Its money is the venue's to say: nothing is there to trade with until the account has been read.
        account = Account(
            id=sealed.account_id,
            user_id=sealed.user_id,
            name=new.name,
            kind=AccountKind.CONNECTION,
            venue=new.venue,
            bankroll=Decimal(0),
            balance=Decimal(0),
            max_leverage=new.max_leverage,
            max_notional=new.max_notional,
        )

        def add(session: Session) -> Connection:
            named = {"user_id": sealed.user_id}
            value(session, "lock_user_connections", named)
            if value(session, "count_connections", named) >= MAX_CONNECTIONS:
                raise Conflict(f"you have {MAX_CONNECTIONS} connections already")
            changed(session, "insert_account", fields(account))
            stored = _parameters(keys) | {"environment": str(new.environment)}
            changed(session, "insert_connection_keys", stored)
            _know(session, keys)
            added = _one(session, sealed.account_id, sealed.user_id)
            assert added is not None
            return added

        return self._database.run(add)

    def of_user(self, user_id: UserId) -> list[Connection]:
        return self._database.read_as(
            user_id, lambda session: _several(session, user_id, None, MAX_CONNECTIONS)
        )

    def of_all(self) -> list[Connection]:
        return self._database.read(lambda session: _several(session, None, None, MAX_LISTED))

    def one(self, user_id: UserId, account_id: AccountId) -> Connection | None:
        return self._database.read_as(user_id, lambda session: _one(session, account_id, user_id))

    def get(self, account_id: AccountId) -> Connection | None:
        return self._database.read(lambda session: _one(session, account_id, None))

    def rename(self, user_id: UserId, account_id: AccountId, name: str) -> Connection | None:
        def rename(session: Session) -> Connection | None:
            changed(
                session, "rename_connection", {"account_id": account_id, "user_id": user_id, "name": name}
            )
            return _one(session, account_id, user_id)

        return self._database.run(rename)

    def replace_keys(self, keys: StoredKeys) -> Connection | None:
        def replace(session: Session) -> Connection | None:
            if changed(session, "replace_connection_keys", _parameters(keys)):
                _know(session, keys)
            return _one(session, keys.sealed.account_id, keys.sealed.user_id)

        return self._database.run(replace)

    def remove(self, user_id: UserId, account_id: AccountId) -> bool:
        def remove(session: Session) -> bool:
            named = {"account_id": account_id, "user_id": user_id}
            if value(session, "lock_connection", named) is None:
                return False
            runs = one(session, "runs_on_account", named)
            assert runs is not None
            if runs["live"]:
                raise Conflict("a run uses this connection; stop and archive it first")
            changed(session, "delete_connection_keys", named)
            changed(session, "retire_account" if runs["ever"] else "delete_account", named)
            return True

        return self._database.run(remove)

    def save_test(
        self, account_id: AccountId, data_key_id: UUID, result: str, rights: KeyRights | None
    ) -> None:
        named = {
            "account_id": account_id,
            "data_key_id": data_key_id,
            "result": result,
            "rights": _json(rights),
        }
        self._database.run(lambda session: changed(session, "save_key_test", named))

    def claim_checks(self, *, every_s: float, retry_s: float, limit: int) -> list[AccountId]:
        named = {"every_s": every_s, "retry_s": retry_s, "limit": limit}
        rows = self._database.run(lambda session: many(session, "claim_key_checks", named))
        return [row["account_id"] for row in rows]

    def recognise(self, account_id: AccountId, data_key_id: UUID, fingerprint: bytes) -> bool:
        try:
            self._database.run(
                lambda session: _set_fingerprint(session, account_id, data_key_id, fingerprint)
            )
        except KeyInUse:
            return False
        return True

    def fingerprint_secret(self, offered: SealedKeys) -> SealedKeys:
        def keep(session: Session) -> SealedKeys:
            changed(session, "offer_secret", fields(offered))
            kept = one(session, "installation_secret", {"secret_id": offered.account_id})
            assert kept is not None
            return as_type(SealedKeys)(kept)

        with asked_for(None):  # it is no user's
            return self._database.run(keep)

    def active_runs(self, account_id: AccountId) -> list[RunId]:
        named = {"account_id": account_id}
        rows = self._database.read(lambda session: many(session, "active_runs_on_account", named))
        return [row["id"] for row in rows]

    def sealed(self, account_ids: Sequence[AccountId]) -> list[SealedKeys]:
        return self._sealed("sealed_keys", {"account_ids": list(account_ids)})

    def to_rewrap(
        self, master_key_id: str, *, after: AccountId | None, limit: int = MAX_REWRAP_BATCH
    ) -> list[SealedKeys]:
        named = {"master_key_id": master_key_id, "after": after, "limit": limit}
        return self._sealed("keys_to_rewrap", named)

    def count_to_rewrap(self, master_key_id: str) -> int:
        named = {"master_key_id": master_key_id}
        left: int = self._database.read(lambda session: value(session, "count_to_rewrap", named))
        return left

    def rewrap(self, rewrapped: Sequence[Rewrapped]) -> int:
        rows = [fields(each.sealed) | {"was": each.was} for each in rewrapped]

        def rewrap(session: Session) -> int:
            with session.cursor() as cursor:
                cursor.executemany(SQL["rewrap_keys"], rows)
                return cursor.rowcount

        return self._database.run(rewrap)

    def _sealed(self, query: str, named: Mapping[str, Any]) -> list[SealedKeys]:
        rows = self._database.read(lambda session: many(session, query, named))
        return [as_type(SealedKeys)(row) for row in rows]


def _know(session: Session, keys: StoredKeys) -> None:
    if keys.fingerprint is not None:
        _set_fingerprint(session, keys.sealed.account_id, keys.sealed.data_key_id, keys.fingerprint)


def _set_fingerprint(session: Session, account_id: AccountId, data_key_id: UUID, fingerprint: bytes) -> None:
    named = {"account_id": account_id, "data_key_id": data_key_id, "fingerprint": fingerprint}
    try:
        changed(session, "set_fingerprint", named)
    except psycopg.errors.UniqueViolation:
        raise KeyInUse from None


def _several(
    session: Session, user_id: UserId | None, account_id: AccountId | None, limit: int
) -> list[Connection]:
    named = {"user_id": user_id, "account_id": account_id, "limit": limit}
    return [as_type(Connection)(row) for row in many(session, "connections", named)]


def _one(session: Session, account_id: AccountId, user_id: UserId | None) -> Connection | None:
    return next(iter(_several(session, user_id, account_id, 1)), None)


def _parameters(keys: StoredKeys) -> dict[str, Any]:
    said = {"key_hint": keys.key_hint, "result": TEST_OK, "rights": _json(keys.rights)}
    return fields(keys.sealed) | said


def _json(rights: KeyRights | None) -> Jsonb | None:
    return None if rights is None else Jsonb(plain_json(fields(rights)))
