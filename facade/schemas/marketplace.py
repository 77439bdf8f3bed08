"""Strategies anybody may run, with their public record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta

from core.ids import StrategyId
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Page, Shown


class MarketAsked(Page, frozen=True, kw_only=True):
    symbol: Annotated[str, Meta(max_length=32)] | None = None


class RecordShown(Shown, frozen=True, kw_only=True):
    """Trades and what derives from them are of its first 50 runs, each by its newest 100 round trips; nobody's runs
    are told apart. `leftOut`: how many of `runs` came later and are not in them.

    `returnPct`: the mean of what the runs that traded made, in percent of the capital of each; `maxDrawdownPct` the
    largest of any.
    """

    runs: int
    active_runs: int
    since: datetime | None
    left_out: int
    trades: int
    win_rate_pct: float | None
    pnl_usdt: Decimal
    return_pct: float
    max_drawdown_pct: float


class ListingShown(Shown, frozen=True, kw_only=True):
    id: StrategyId
    name: str
    description: str
    type: str
    template: str
    params: Mapping[str, Any]
    venue: str
    symbol: str
    timeframe: Timeframe
    version: int
    created_at: datetime
    own: bool
    record: RecordShown


class MarketplaceAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    strategies: tuple[ListingShown, ...]
    next_cursor: str | None = None
