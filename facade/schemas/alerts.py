"""What is or was wrong with the installation."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from facade.schemas.form import Answer, Asked, Shown


class AlertsAsked(Asked, frozen=True, kw_only=True):
    """`open`: only what is still so. `cursor`: the `nextCursor` of the page before."""

    open: bool = False
    limit: Annotated[int, Meta(ge=1, le=200)] = 50
    cursor: Annotated[int, Meta(ge=1, le=9_223_372_036_854_775_807)] | None = None


class AlertShown(Shown, frozen=True, kw_only=True):
    """`subject`: with what it is wrong, a run, a user, an order, a connection; empty for the whole."""

    kind: str
    subject: str
    detail: str
    raised_at: datetime
    cleared_at: datetime | None


class AlertsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    alerts: tuple[AlertShown, ...]
    next_cursor: int | None = None
