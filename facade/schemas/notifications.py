"""What a user is told of outside, and how."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from facade.schemas.form import Answer, Body, Shown


class Wanted(StrEnum):
    """`pause`: runs or entries were paused or stopped by a rule; `error`: a run or its venue failed; `fill`: a fill."""

    PAUSE = "pause"
    ERROR = "error"
    FILL = "fill"


class SetNotifications(Body, frozen=True, kw_only=True):
    """Takes the place of what was set. `rotateSecret`: sign webhooks with another secret from now on."""

    webhook_url: Annotated[str, Meta(min_length=1, max_length=2_000)] | None = None
    email: Annotated[str, Meta(min_length=3, max_length=320)] | None = None
    on: Annotated[tuple[Wanted, ...], Meta(max_length=8)] = (Wanted.PAUSE, Wanted.ERROR)
    rotate_secret: bool = False


class DeliveryShown(Shown, frozen=True, kw_only=True):
    """`state`: waiting, sent or failed. A receiver knows a repetition by `eventId`."""

    event_id: int
    channel: str
    kind: str
    state: str
    attempts: int
    last_error: str | None
    created_at: datetime


class NotificationsAnswer(Answer, frozen=True, kw_only=True):
    """`secret`: what webhooks are signed with, only in the answer that made it. `deliveries`: the latest, newest first.

    A webhook's header `X-Runner-Signature` is `t=<seconds>,v1=<hex>`: HMAC-SHA256 of `<seconds>.<body>`.
    """

    webhook_url: str | None
    email: str | None
    on: tuple[Wanted, ...]
    secret: str | None = None
    deliveries: tuple[DeliveryShown, ...] = ()
