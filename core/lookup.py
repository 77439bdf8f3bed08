"""When the absence of an order at the venue is final (invariants §4): only then it was not placed."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from core.order import Order

RECV_WINDOW = timedelta(seconds=5)
SETTLING = timedelta(seconds=10)
APART = timedelta(seconds=5)
LOOK_EVERY_S = 5.0


class Absences(msgspec.Struct, frozen=True, kw_only=True):
    """When the order was first looked for in vain, late enough to count; None: not yet."""

    first: datetime | None = None


class LookedUp(msgspec.Struct, frozen=True, kw_only=True):
    absences: Absences
    final: bool


def absent(order: Order, absences: Absences, *, venue_now: datetime) -> LookedUp:
    """The venue had neither the order nor a fill of it at `venue_now`.

    Final at venue time ≥ sign_ts + receive window + 10 s, seen twice at least 5 s apart. An order without
    `sign_ts` was never signed and counts from its creation.
    """
    signed = order.sign_ts or order.created_at
    if signed is None or venue_now < signed + RECV_WINDOW + SETTLING:
        return LookedUp(absences=absences, final=False)
    if absences.first is None:
        return LookedUp(absences=Absences(first=venue_now), final=False)
    return LookedUp(absences=absences, final=venue_now - absences.first >= APART)
