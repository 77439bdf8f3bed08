"""A secret of one external strategy, by which a chart service that can set no header sends it signals and no more.

It is kept as a digest alone: it has 256 random bits, so nobody finds it again from that.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from typing import Final

from core.redact import Secret

RANDOM_BYTES: Final = 32
PREFIX: Final = "sra_"
"""Tells people, and scanners of repositories, what it is."""


class AlertKey(Secret):
    """As it is told once, or offered by whoever sends an alert: any text may be offered."""

    __slots__ = ()

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.reveal().encode(errors="surrogatepass")).digest()


def alert_key_of(random: bytes) -> AlertKey:
    """The key made of RANDOM_BYTES that nobody else knows."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"an alert key is made of {RANDOM_BYTES} random bytes, not of {len(random)}")
    return AlertKey(PREFIX + urlsafe_b64encode(random).rstrip(b"=").decode())
