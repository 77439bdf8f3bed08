"""The vault: a connection's key and secret as ciphertext that opens for its own row only (I13).

Two layers. A data key of the connection's own seals the two fields; a master key wraps the data key. Changing the
master key (`rewrap`) therefore touches no field, and a stored field is never in the clear for it.

All is AES-256-GCM under fresh 96-bit nonces (NIST SP 800-38D §8.2.2). Each ciphertext is bound by its associated data
to user, connection, field and key id, so that one moved to another row, field or key does not open.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.errors import RunnerError
from core.ids import AccountId, UserId
from core.redact import Secret

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
WRAPPED_BYTES: Final = NONCE_BYTES + KEY_BYTES + TAG_BYTES
_DATA_KEY, _KEY, _SECRET = "data_key", "key", "secret"
_PURPOSE: Final = "strategy-runner connection 1"

RandomBytes = Callable[[int], bytes]


class VaultError(RunnerError):
    """Keys that do not open. Says which connection's, and nothing of what is in them."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose connection it is, and which."""

    user_id: UserId
    account_id: AccountId


class SealedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """A connection's keys as they are stored. Each ciphertext: nonce, then text and tag.

    `data_key_id` changes with every new key of the venue; `master_key_id` with every re-wrap.
    """

    user_id: UserId
    account_id: AccountId
    master_key_id: str
    data_key_id: UUID
    wrapped_key: bytes
    sealed_key: bytes
    sealed_secret: bytes


class OpenedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """In the clear, and out of reach of print, log and pickle."""

    key: Secret
    secret: Secret


class Vault:
    """Seals with the first of the master keys and opens with any of them.

    `master_keys` is the setting RUNNER_MASTER_KEYS, checked when it was read: `id:base64key`, separated by commas.
    """

    def __init__(self, master_keys: Secret, random_bytes: RandomBytes) -> None:
        self.random_bytes: Final = random_bytes
        self._masters = _ciphers(master_keys)
        self.first_id: Final = next(iter(self._masters))

    def __repr__(self) -> str:
        return f"Vault(first key {self.first_id}, {len(self._masters)} in all)"

    def seal(self, owner: Owner, *, key: Secret, secret: Secret) -> SealedKeys:
        """Under a new data key, which nobody keeps."""
        data_key_id = UUID(bytes=self.random_bytes(16), version=4)
        data_key = self.random_bytes(KEY_BYTES)
        cipher = AESGCM(data_key)
        bound = (owner, str(data_key_id))
        return SealedKeys(
            user_id=owner.user_id,
            account_id=owner.account_id,
            master_key_id=self.first_id,
            data_key_id=data_key_id,
            wrapped_key=self._wrapped(owner, data_key_id, data_key),
            sealed_key=self._encrypted(cipher, key.reveal().encode(), _bound(*bound, _KEY)),
            sealed_secret=self._encrypted(cipher, secret.reveal().encode(), _bound(*bound, _SECRET)),
        )

    def open(self, sealed: SealedKeys) -> OpenedKeys:
        """Raises VaultError: no such master key, or this is not what was sealed here, for this row."""
        opened = self._opened(sealed)
        if opened is None:
            raise self._refusal(sealed)
        return opened

    def rewrap(self, sealed: SealedKeys) -> SealedKeys:
        """The same, its data key wrapped by the first master key. Raises VaultError."""
        owner = Owner(user_id=sealed.user_id, account_id=sealed.account_id)
        data_key = self._data_key(sealed)
        if data_key is None:
            raise self._refusal(sealed)
        return msgspec.structs.replace(
            sealed,
            master_key_id=self.first_id,
            wrapped_key=self._wrapped(owner, sealed.data_key_id, data_key),
        )

    # Whatever failed is told by None: an error raised further in would keep the frames that hold a key alive.

    def _opened(self, sealed: SealedKeys) -> OpenedKeys | None:
        data_key = self._data_key(sealed)
        if data_key is None:
            return None
        cipher = AESGCM(data_key)
        bound = (Owner(user_id=sealed.user_id, account_id=sealed.account_id), str(sealed.data_key_id))
        key = _decrypted(cipher, sealed.sealed_key, _bound(*bound, _KEY))
        secret = _decrypted(cipher, sealed.sealed_secret, _bound(*bound, _SECRET))
        if key is None or secret is None:
            return None
        return OpenedKeys(key=Secret(key.decode()), secret=Secret(secret.decode()))

    def _data_key(self, sealed: SealedKeys) -> bytes | None:
        master = self._masters.get(sealed.master_key_id)
        if master is None or len(sealed.wrapped_key) != WRAPPED_BYTES:
            return None
        owner = Owner(user_id=sealed.user_id, account_id=sealed.account_id)
        wrapping = _bound(owner, f"{sealed.master_key_id}/{sealed.data_key_id}", _DATA_KEY)
        return _decrypted(master, sealed.wrapped_key, wrapping)

    def _wrapped(self, owner: Owner, data_key_id: UUID, data_key: bytes) -> bytes:
        wrapping = _bound(owner, f"{self.first_id}/{data_key_id}", _DATA_KEY)
        return self._encrypted(self._masters[self.first_id], data_key, wrapping)

    def _encrypted(self, cipher: AESGCM, text: bytes, bound: bytes) -> bytes:
        nonce = self.random_bytes(NONCE_BYTES)
        return nonce + cipher.encrypt(nonce, text, bound)

    def _refusal(self, sealed: SealedKeys) -> VaultError:
        where = f"The keys of connection {sealed.account_id} cannot be opened"
        if sealed.master_key_id not in self._masters:
            return VaultError(f"{where}: master key {sealed.master_key_id!r} is not in RUNNER_MASTER_KEYS.")
        return VaultError(f"{where}: what is stored is not what was sealed for it.")


@lru_cache(maxsize=4_096)  # nothing in it is secret, and keys are opened for every request
def _bound(owner: Owner, key_id: str, field: str) -> bytes:
    """Associated data; each part with its length, so that no two lists of parts make the same bytes."""
    parts = (_PURPOSE, owner.user_id, str(owner.account_id), field, key_id)
    texts = [part.encode("utf-8", "surrogatepass") for part in parts]
    return b"".join(len(text).to_bytes(4, "big") + text for text in texts)


def _decrypted(cipher: AESGCM, sealed: bytes, bound: bytes) -> bytes | None:
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        return None
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except InvalidTag:
        return None


def _ciphers(master_keys: Secret) -> dict[str, AESGCM]:
    listed = [each.strip().partition(":") for each in master_keys.reveal().split(",") if each.strip()]
    return {name: AESGCM(base64.b64decode(encoded, validate=True)) for name, _, encoded in listed}
