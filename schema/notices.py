"""What users are told outside, as rows: what they want to hear of, and what is on its way to them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import msgspec

from core.ids import AccountId, UserId
from core.notice import Notice
from schema.vault import SealedKeys

MAX_WAITING: Final = 1_000
"""Deliveries one user may have on their way; what happens beyond is not told outside."""
GATHERED_AT_ONCE: Final = 1_000
CLAIMED_FOR_S: Final = 60.0
"""How long an attempt may take; a process that dies over one leaves it to another after that."""
KEPT_DAYS: Final = 7


class Channel(StrEnum):
    WEBHOOK = "webhook"
    EMAIL = "email"


class NoticeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`sealed`: what webhooks of the user are signed with."""

    user_id: UserId
    webhook_url: str | None = None
    email: str | None = None
    wanted: frozenset[Notice] = frozenset()
    sealed: SealedKeys | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way by one channel. `content` is what is said of it; `event_id` the same however often."""

    id: int
    event_id: int
    user_id: UserId
    channel: Channel
    kind: Notice
    content: Mapping[str, Any]
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime


def sealed_id(secret_id: UUID) -> AccountId:
    """The vault binds what it seals to a user and an id; a signing secret has one of its own."""
    return AccountId(secret_id)
