"""Signals that come from outside: when they count, until when, and at which prices they may open a position.

Such a signal's slot is the whole second it was received in, as client order ids name slots by seconds; of several
in one second each later one has the next second. It may be acted upon for 30 s (decision 26), or less where its sender
says so.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec

from core.errors import Reason
from core.ids import StrategyId, UserId
from core.signal import Signal
from core.timeframe import ENTRY_WINDOW

DEADLINE: Final = ENTRY_WINDOW
MAX_AHEAD: Final = timedelta(seconds=5)
"""How far the slot of a signal may lie behind its receipt where many come at once; beyond it they come too fast."""
_SECOND: Final = timedelta(seconds=1)


class SentSignal(msgspec.Struct, frozen=True, kw_only=True):
    """What was sent. Below `min_price` and above `max_price` it opens nothing; it closes at any price.

    `closes`: whichever side is held; its action is one of both exits.
    """

    signal: Signal
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    expires_at: datetime | None = None
    closes: bool = False

    @property
    def content(self) -> str:
        """The same text for the same signal, whoever sends it in whatever spelling."""
        return msgspec.json.encode(self, order="deterministic").decode()


class ExternalSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal as it is stored. `runs`: how many were active when it came, each of which is told."""

    id: UUID
    strategy_id: StrategyId
    user_id: UserId
    strategy_version: int
    key: str
    received_at: datetime
    slot: datetime
    expires_at: datetime
    sent: SentSignal
    runs: int


def slot_of(received_at: datetime, last: datetime | None) -> datetime | None:
    """The slot of a signal received then, behind the strategy's `last` one; None: they come too fast."""
    slot = received_at.replace(microsecond=0)
    if last is not None and last >= slot:
        slot = last + _SECOND
    return None if slot - received_at > MAX_AHEAD else slot


def expiry_of(received_at: datetime, sent: SentSignal, within: timedelta = DEADLINE) -> datetime | None:
    """Until when it may be acted upon, `within` of its receipt; None: it came too late."""
    latest = received_at + min(within, DEADLINE)
    expires_at = latest if sent.expires_at is None else min(latest, sent.expires_at)
    return expires_at if expires_at > received_at else None


def bars_entry(sent: SentSignal, price: Decimal) -> Reason | None:
    """Why it may open nothing at `price`; both ends of the collar are inside."""
    too_low = sent.min_price is not None and price < sent.min_price
    too_high = sent.max_price is not None and price > sent.max_price
    return Reason.OUTSIDE_COLLAR if too_low or too_high else None
