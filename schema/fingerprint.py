"""Fingerprints of venues' keys: equal for equal keys, and nothing to whoever has the database alone.

An HMAC-SHA256 (RFC 2104) under a key of the installation's, which is sealed like a connection's keys. Master keys may
therefore change without any fingerprint changing.
"""

from __future__ import annotations

import hmac
from typing import Final
from uuid import UUID

from core.connection import Venue
from core.ids import AccountId, UserId
from core.redact import Secret
from schema.vault import KEY_BYTES, Owner, RandomBytes, SealedKeys, Vault

_OWNER: Final = Owner(user_id=UserId(""), account_id=AccountId(UUID("5b0f5d5e-6f0e-4c5c-9a55-0c7a2b9d1f10")))
"""No user's; the id is that of the row in `installation_secrets`."""
_PURPOSE: Final = b"strategy-runner key fingerprint 1"


def sealed_secret(vault: Vault, random_bytes: RandomBytes) -> SealedKeys:
    """A new key to make fingerprints under; of those that are offered the store keeps the first."""
    made = Secret(random_bytes(KEY_BYTES).hex())
    return vault.seal(_OWNER, key=made, secret=made)


def fingerprint(vault: Vault, sealed: SealedKeys, venue: Venue, key: Secret) -> bytes:
    """32 bytes. Raises VaultError where the master keys do not open `sealed`."""
    under = bytes.fromhex(vault.open(sealed).key.reveal())
    parts = (_PURPOSE, venue.encode(), key.reveal().encode())
    text = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.digest(under, text, "sha256")
