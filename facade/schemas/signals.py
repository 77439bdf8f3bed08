"""Signals: what strategies said of their slots, hold aside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from core.ids import RunId, StrategyId, UserId
from core.published_signal import PublishedSignal
from facade.schemas.form import Answer, Asked, Page, Shown

SymbolText = Annotated[str, Meta(min_length=1, max_length=32)]
SignalAction = Literal["long", "short", "exit_long", "exit_short"]
Score = Annotated[float, Meta(ge=0, le=10)]


class SignalsListed(Page, frozen=True, kw_only=True):
    """`minScore`: signals whose strategy gave them at least that score; those without one have none."""

    run_id: UUID | None = None
    symbol: SymbolText | None = None
    action: SignalAction | None = None
    min_score: Score | None = None
    since: Annotated[datetime, Meta(tz=True)] | None = None


class SignalsStreamed(Asked, frozen=True, kw_only=True):
    """Filters as of the list; `lastEventId` as of every stream."""

    last_event_id: Annotated[str, Meta(max_length=40)] | None = None
    symbol: SymbolText | None = None
    action: SignalAction | None = None
    min_score: Score | None = None


class SignalShown(Shown, frozen=True, kw_only=True):
    """`signal`: the form it has wherever it is told outside."""

    run_id: RunId
    strategy_id: StrategyId
    slot: datetime
    symbol: str
    action: str
    score: float | None
    at: datetime
    signal: PublishedSignal


class SignalsAnswer(Answer, frozen=True, kw_only=True):
    """Newest slot first."""

    signals: tuple[SignalShown, ...]
    next_cursor: str | None = None


class PublishedListed(Page, frozen=True, kw_only=True):
    """`withheld`: only those that were not told."""

    symbol: SymbolText | None = None
    withheld: bool = False


class PublishedShown(Shown, frozen=True, kw_only=True):
    """`withheld`: why it was not told outside; `cooldown`, `too_many_alive`."""

    id: int
    user_id: UserId
    withheld: str | None
    signal: PublishedSignal


class PublishedAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    signals: tuple[PublishedShown, ...]
    next_cursor: str | None = None
