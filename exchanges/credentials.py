"""The keys of a connection, in the clear only while a call of the adapter holds them (I13)."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from core.key_rights import KeyRights
from core.redact import Secret

__all__ = ["Credentials", "KeyRights", "Unseal"]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Key id and secret of one account at one venue; neither can be printed, logged or pickled."""

    key: Secret
    secret: Secret


Unseal = Callable[[], Credentials]
"""Opens the sealed keys for one call; what it returns is not kept."""
