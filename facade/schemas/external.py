"""Signals sent to a strategy of kind external."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from core.ids import StrategyId
from facade.schemas.form import Answer, Body, Sentence, Shown

SignalKey = Annotated[str, Meta(pattern="^[A-Za-z0-9._:-]{8,64}(?!\n)$")]
Moment = Annotated[datetime, Meta(tz=True)]


class SignalFields(Body, frozen=True, kw_only=True):
    """What a signal from outside may say."""

    action: Annotated[str, Meta(max_length=16)]
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    amount: Decimal | None = None
    size_factor: Decimal | None = None
    leverage: int | None = None
    score: float | None = None
    confidence: float | None = None
    reason: Sentence | None = None


class SendSignal(SignalFields, frozen=True, kw_only=True):
    """`idempotencyKey`: one signal of the strategy; in the body, as what sends alerts often sets no headers. `action`:
    long, short, exit_long, exit_short; buy, sell, close and flat (whichever side is held) are read as their equals.
    `expiresAt`: 30 s from now where nothing, or more, is said. Outside `minPrice` to `maxPrice` nothing is opened.
    """

    idempotency_key: SignalKey
    expires_at: Moment | None = None


class SentSignalShown(Shown, frozen=True, kw_only=True):
    """`slot` names it in the history of each of the `runs` it is owed to."""

    id: UUID
    strategy_id: StrategyId
    idempotency_key: str
    action: str
    received_at: datetime
    slot: datetime
    expires_at: datetime
    min_price: Decimal | None
    max_price: Decimal | None
    reason: str | None
    runs: int


class SentAnswer(Answer, frozen=True, kw_only=True):
    """`repeated`: it had come before under this key."""

    signal: SentSignalShown
    repeated: bool


class SentSignalsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first; they are kept for seven days."""

    signals: tuple[SentSignalShown, ...]
    next_cursor: str | None = None
