"""Signals from outside, as they are received and as they are owed to runs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from core.chart_alert import SAME_WITHIN
from core.errors import Reason
from core.external_signal import DEADLINE, ExternalSignal, SentSignal
from core.ids import RunId, StrategyId, UserId
from schema.records import TickRow, TickSource, TickStatus

KEPT: Final = timedelta(days=7)
"""For how long a signal and its key are known at least."""
SETTLED_AT_ONCE: Final = 1_000
CLEARED_AT_ONCE: Final = 5_000
"""Of what is owed no more; a second's work for the database."""


class NewSignal(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody sends to a strategy. `user_id`: the sender; `received_at`: market time.

    `within`: for how long it may be acted upon. `other_keys`: it is the signal that came under one of these less
    than `SAME_WITHIN` apart.
    """

    id: UUID
    strategy_id: StrategyId
    user_id: UserId
    key: str
    received_at: datetime
    sent: SentSignal
    within: timedelta = DEADLINE
    other_keys: tuple[str, ...] = ()

    def came_at(self, received_at: datetime) -> bool:
        """Whether what was received then under another key of it is this signal."""
        return abs(self.received_at - received_at) < SAME_WITHIN


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """It is stored and will be acted upon, or recorded as expired. `repeated`: it had come before."""

    signal: ExternalSignal
    repeated: bool = False


class KeyTaken(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Another signal came under this key."""


class CameTooLate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """It had expired when it came."""


class TooFast(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """More than a signal a second comes to this strategy, for longer than can be made up for."""


class NoSuchStrategy(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The sender has no such strategy that takes signals."""


Receipt = Accepted | KeyTaken | CameTooLate | TooFast | NoSuchStrategy


class DueSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A signal and the runs that are owed it next."""

    signal: ExternalSignal
    run_ids: tuple[RunId, ...]


def missed_row(
    run_id: RunId, user_id: UserId, *, slot: datetime, received_at: datetime, active: bool, now: datetime
) -> TickRow:
    """Of a signal that a run did not get in time."""
    return TickRow(
        run_id=run_id,
        user_id=user_id,
        slot=slot,
        status=TickStatus.MISSED,
        reason=(Reason.EXPIRED if active else Reason.NOT_ACTIVE).value,
        source=TickSource.EXTERNAL,
        asked_at=received_at,
        scheduled_at=slot,
        finished_at=now,
    )
