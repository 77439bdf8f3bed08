"""A lease on a run: who may decide for it, until when, under which fence (invariants §3)."""

from __future__ import annotations

import msgspec

from core.ids import RunId

TRUSTED_SHARE = 110 / 120
"""Part of its time to live for which a holder trusts a lease, counted from before it was asked for."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """`trusted_until_s` is process time (`Clock.monotonic`), never a wall clock."""

    run_id: RunId
    owner: str
    fence: int
    trusted_until_s: float


def trusted_until(asked_at_s: float, ttl_s: float) -> float:
    """The holder's own deadline: measured from before the acquiring statement was sent."""
    return asked_at_s + ttl_s * TRUSTED_SHARE


def may_start(lease: Lease, *, effect_timeout_s: float, monotonic_s: float) -> bool:
    """Whether an effect that may take `effect_timeout_s` ends before trust in the lease does."""
    return monotonic_s + effect_timeout_s <= lease.trusted_until_s
