"""Alerts of chart services, and the keys they carry in their bodies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from core.alert_key import AlertKey
from core.ids import StrategyId
from facade.schemas.external import Moment, SignalFields
from facade.schemas.form import Answer


class SendAlert(SignalFields, frozen=True, kw_only=True):
    """`key`: of the strategy, in place of any header. `id`: another one for each alert; without it `sentAt` (when it
    fired) and `time` (of its candle) tell alerts apart, and without these the minute. `expiresInSeconds`: after its
    receipt; 30 where nothing, or more, is said. `action` and the rest as of any signal from outside.
    """

    key: AlertKey
    id: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    sent_at: Moment | None = None
    time: Moment | None = None
    expires_in_seconds: Annotated[int, Meta(ge=1, le=3_600)] | None = None


class AlertKeyAnswer(Answer, frozen=True, kw_only=True):
    """`key` is told here and never again. `message`: what to paste as the alert's text, to be sent to `path`."""

    strategy_id: StrategyId
    key: str
    since: datetime
    path: str
    message: str
