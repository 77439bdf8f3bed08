"""`PgIdempotency`: requests under idempotency keys on PostgreSQL."""

from __future__ import annotations

import hashlib
from typing import Any, Final
from uuid import UUID

from schema.idempotency import (
    BUSY_S,
    KEPT_S,
    MAX_KEYS,
    Asked,
    Attempt,
    Begun,
    Busy,
    Kept,
    Reused,
    TooManyKeys,
)
from schema.pg_database import Connection, Database
from schema.pg_rows import Row, changed, one, value
from schema.tenancy import asked_for

FORGOTTEN_AT_ONCE: Final = 20
"""Old keys deleted with each new one, so that they go at least as fast as they come."""


class PgIdempotency:
    """An `IdempotencyKeys` over the store's own pool."""

    def __init__(self, database: Database, *, kept_s: float = KEPT_S, busy_s: float = BUSY_S) -> None:
        self._database = database
        self._times = {"kept_s": kept_s, "busy_s": busy_s}

    def begin(self, asked: Asked, *, seed: UUID) -> Begun:
        named = _key(asked) | self._times
        with asked_for(None):  # those of users who never come again, too
            old = self._times | {"limit": FORGOTTEN_AT_ONCE}
            self._database.run(lambda connection: changed(connection, "idempotency_forget_old", old))

        def begin(connection: Connection) -> Begun:
            known = one(connection, "idempotency_lock", named)
            if known is not None and known["is_old"]:
                changed(connection, "idempotency_forget", named | {"attempt": known["attempts"]})
                known = None
            if known is None:
                if value(connection, "idempotency_count", named | {"most": MAX_KEYS}) >= MAX_KEYS:
                    return TooManyKeys()
                new = {"operation": asked.operation, "body_hash": _hash(seed, asked), "seed": seed}
                inserted = one(connection, "idempotency_insert", named | new)
                if inserted is not None:
                    return _attempt(inserted)
                # Somebody else's insert came between, and has been waited for.
                known = one(connection, "idempotency_lock", named)
                if known is None:
                    return Busy(for_s=1.0)
            return self._again(connection, asked, known)

        return self._database.run(begin)

    def finish(self, asked: Asked, attempt: Attempt, *, status: int, answer: bytes) -> None:
        named = _key(asked) | {"attempt": attempt.number, "status": status, "answer": answer}
        self._database.run(lambda connection: changed(connection, "idempotency_finish", named))

    def give_up(self, asked: Asked, attempt: Attempt, *, changed_nothing: bool) -> None:
        # Of a later attempt nobody knows what the earlier ones still did: its key keeps its ids.
        query = "idempotency_forget" if changed_nothing and attempt.number == 1 else "idempotency_reopen"
        named = _key(asked) | {"attempt": attempt.number}
        self._database.run(lambda connection: changed(connection, query, named))

    def _again(self, connection: Connection, asked: Asked, known: Row) -> Begun:
        same = known["operation"] == asked.operation and known["body_hash"] == _hash(known["seed"], asked)
        if not same:
            return Reused()
        if known["state"] == "done":
            return Kept(status=known["status"], answer=bytes(known["answer"]))
        if known["state"] == "running" and known["busy_s"] > 0:
            return Busy(for_s=known["busy_s"])
        again = one(connection, "idempotency_try_again", _key(asked) | self._times)
        assert again is not None
        return _attempt(again)


def _key(asked: Asked) -> dict[str, Any]:
    return {"user_id": asked.user_id, "key": asked.key}


def _hash(seed: UUID, asked: Asked) -> bytes:
    return hashlib.sha256(seed.bytes + asked.content).digest()


def _attempt(row: Row) -> Attempt:
    return Attempt(number=row["attempts"], seed=row["seed"], asked_at=row["asked_at"])
