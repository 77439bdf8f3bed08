"""The sandbox's limits as settings say them."""

from __future__ import annotations

from actors.sandbox.host import Limits
from core.config import Settings


def limits_of(settings: Settings) -> Limits:
    return Limits(wall_s=settings.sandbox_timeout_sec, memory=settings.sandbox_memory_mb << 20)
