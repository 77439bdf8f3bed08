"""Signals: what strategies said of their slots, hold aside."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from core.ids import RunId, StrategyId
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
    run_id: RunId
    strategy_id: StrategyId
    slot: datetime
    symbol: str
    action: str
    score: float | None
    at: datetime


class SignalsAnswer(Answer, frozen=True, kw_only=True):
    """Newest slot first."""

    signals: tuple[SignalShown, ...]
    next_cursor: str | None = None
