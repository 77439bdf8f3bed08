"""Exchange connections as rows: what their owner may see, and the sealed keys nobody can read here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol
from uuid import UUID

import msgspec

from core.connection import Environment, Venue
from core.errors import Conflict
from core.ids import AccountId, RunId, UserId
from core.key_rights import KeyRights
from schema.vault import SealedKeys

MAX_CONNECTIONS: Final = 50
"""Of one user; a list is always whole."""
MAX_REWRAP_BATCH: Final = 200
TEST_OK: Final = "ok"
KEY_IN_USE: Final = "key_in_use"
"""What a test of a key came to that another connection has."""


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection without its keys. `key_hint`: the last characters of the key's id.

    `last_test_result` is `ok`, a `KeyProblem` or an error kind of the venue; `rights` as the venue last named them.
    """

    id: AccountId
    user_id: UserId
    name: str
    venue: Venue
    environment: Environment
    key_hint: str
    max_leverage: int
    max_notional: Decimal | None
    kill_switch: bool
    created_at: datetime
    data_key_id: UUID
    sealed_at: datetime
    last_test_at: datetime | None
    last_test_result: str | None
    rights: KeyRights | None
    rights_at: datetime | None


class NewConnection(msgspec.Struct, frozen=True, kw_only=True):
    """A connection about to be stored; its keys have been tested."""

    name: str
    venue: Venue
    environment: Environment
    max_leverage: int
    max_notional: Decimal | None = None


class KeyInUse(Conflict):
    """Another connection has this key of the venue, whoever's it is. Only who holds key and secret is told so."""

    def __init__(self) -> None:
        super().__init__(
            "this API key is another connection's already; make a key of its own account at the venue"
        )


class StoredKeys(msgspec.Struct, frozen=True, kw_only=True):
    """Sealed keys with what is shown of them and what the venue said of them just now.

    `fingerprint`: what the key is known by (schema/fingerprint.py); None: it is not compared with others'.
    """

    sealed: SealedKeys
    key_hint: str
    rights: KeyRights
    fingerprint: bytes | None = None


class Rewrapped(msgspec.Struct, frozen=True, kw_only=True):
    """Keys under their new wrapping; `was`: the master key that wrapped them when they were read."""

    sealed: SealedKeys
    was: str


class ConnectionStore(Protocol):
    """One method is one transaction; all block. Raises StoreUnavailable as the store does.

    What names a user answers for that user alone: another's connection is none (I12).
    """

    def add(self, new: NewConnection, keys: StoredKeys) -> Connection:
        """Raises Conflict for a user with MAX_CONNECTIONS already, and KeyInUse."""
        ...

    def of_user(self, user_id: UserId) -> list[Connection]:
        """Oldest first."""
        ...

    def of_all(self) -> list[Connection]:
        """For who runs the installation; oldest first, the first 10,000."""
        ...

    def one(self, user_id: UserId, account_id: AccountId) -> Connection | None: ...

    def get(self, account_id: AccountId) -> Connection | None:
        """Whoever's it is: for the process itself."""
        ...

    def rename(self, user_id: UserId, account_id: AccountId, name: str) -> Connection | None: ...

    def replace_keys(self, keys: StoredKeys) -> Connection | None:
        """A new key and secret of the same account at the venue; None: the connection is gone. Raises KeyInUse."""
        ...

    def remove(self, user_id: UserId, account_id: AccountId) -> bool:
        """Forget the keys at once, and the account unless it has a history. Whether there was one.

        Raises Conflict while a run that is not archived trades on it.
        """
        ...

    def save_test(
        self, account_id: AccountId, data_key_id: UUID, result: str, rights: KeyRights | None
    ) -> None:
        """What a test came to; without effect where the key is another by now."""
        ...

    def claim_checks(self, *, every_s: float, retry_s: float, limit: int) -> list[AccountId]:
        """Connections whose rights are older than `every_s`; each is one process's and rests for `retry_s`."""
        ...

    def recognise(self, account_id: AccountId, data_key_id: UUID, fingerprint: bytes) -> bool:
        """Keep what a stored key is known by; False: another connection is known by it."""
        ...

    def fingerprint_secret(self, offered: SealedKeys) -> SealedKeys:
        """What fingerprints are made under; `offered` where nothing is kept yet."""
        ...

    def active_runs(self, account_id: AccountId) -> list[RunId]: ...

    def sealed(self, account_ids: Sequence[AccountId]) -> list[SealedKeys]:
        """Those that are there, in no order."""
        ...

    def to_rewrap(
        self, master_key_id: str, *, after: AccountId | None, limit: int = MAX_REWRAP_BATCH
    ) -> list[SealedKeys]:
        """Keys another master key wraps, by connection id, beyond `after`."""
        ...

    def count_to_rewrap(self, master_key_id: str) -> int: ...

    def rewrap(self, rewrapped: Sequence[Rewrapped]) -> int:
        """Compare-and-set of each wrapping; how many were still as read."""
        ...
