"""The ring: sealed keys of the connections this process trades on, opened anew for each call (I13)."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from core.ids import AccountId
from exchanges.credentials import Credentials, Unseal
from schema.connections import ConnectionStore
from schema.vault import SealedKeys, Vault, VaultError


def credentials_of(vault: Vault, sealed: SealedKeys) -> Credentials:
    """In the clear, for the call at hand. Raises VaultError."""
    opened = vault.open(sealed)
    return Credentials(key=opened.key, secret=opened.secret)


class KeyRing:
    """Holds ciphertext only: a row for each connection that was asked for and is not let go.

    `hold` and `refresh` read the database and block; what `hold` returns does not. Used from several threads.
    """

    def __init__(self, connections: ConnectionStore, vault: Vault) -> None:
        self._connections = connections
        self._vault = vault
        self._sealed: dict[AccountId, SealedKeys | None] = {}
        self._lock = threading.Lock()

    def hold(self, account_id: AccountId) -> Unseal:
        """What opens this connection's keys, whichever they are at that moment, for as long as it is held.

        The call raises VaultError for a connection that has gone and for keys that do not open.
        """
        self._read([account_id])

        def unseal() -> Credentials:
            with self._lock:
                sealed = self._sealed.get(account_id)
            if sealed is None:
                raise VaultError(f"Connection {account_id} has no keys here.")
            return credentials_of(self._vault, sealed)

        return unseal

    def refresh(self, account_id: AccountId | None = None) -> None:
        """Read the rows held anew, or one of them: on a hint of the channel `connections`, and now and then."""
        with self._lock:
            held = (
                list(self._sealed)
                if account_id is None
                else [account_id]
                if account_id in self._sealed
                else []
            )
        if held:
            self._read(held)

    def drop(self, account_id: AccountId) -> None:
        with self._lock:
            self._sealed.pop(account_id, None)

    def _read(self, account_ids: Sequence[AccountId]) -> None:
        found = {each.account_id: each for each in self._connections.sealed(account_ids)}
        with self._lock:
            for account_id in account_ids:
                self._sealed[account_id] = found.get(account_id)
