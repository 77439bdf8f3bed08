"""Requests to close a run's position, as rows: asked by an operator or owner, done by whoever follows the account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

import msgspec

from core.ids import AccountId, RunId, UserId

MAX_OPEN: Final = 1_000
"""Requests looked at in one pass, the oldest; the next pass takes what is left."""


class FlattenOutcome(StrEnum):
    FLAT = "flat"
    GIVEN_UP = "given_up"


class Flatten(msgspec.Struct, frozen=True, kw_only=True):
    """`outcome` None: under way. `by_operator`: it passes the kill switches; its owner's waits until they are off."""

    id: UUID
    run_id: RunId
    user_id: UserId
    account_id: AccountId
    symbol: str
    asked_by: str
    asked_at: datetime
    by_operator: bool = True
    ended_at: datetime | None = None
    outcome: FlattenOutcome | None = None


class FlattenStore(Protocol):
    """One method is one transaction; both block."""

    def open(self) -> Sequence[Flatten]:
        """Requests under way, oldest first."""
        ...

    def end(self, flatten_id: UUID, outcome: FlattenOutcome) -> None:
        """With its event; one that has ended stays as it ended."""
        ...
