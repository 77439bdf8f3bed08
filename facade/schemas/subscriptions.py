"""Subscriptions: runs on strategies, one's own or somebody else's, with capital, risk and leverage of their own."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from msgspec import UNSET, UnsetType

from core.ids import RunId
from core.run import SizeBy
from core.timeframe import Timeframe
from facade.schemas.form import Answer, Asked
from facade.schemas.runs import RunShown
from facade.schemas.trading import TradingFields


class Subscribe(TradingFields, frozen=True, kw_only=True):
    """On one's own connection or portfolio; on neither: a new paper portfolio of `capital`.

    With `riskPct` an entry loses that share of the capital when its stop is touched; else `orderSizePct` sizes it.
    """

    connection_id: UUID | None = None
    portfolio_id: UUID | None = None
    capital: Decimal | UnsetType = UNSET
    risk_pct: Decimal | UnsetType | None = UNSET


class EditSubscription(TradingFields, frozen=True, kw_only=True):
    """What is not given stays. Leverage and margin mode change only while nothing is open."""

    capital: Decimal | UnsetType = UNSET
    risk_pct: Decimal | UnsetType | None = UNSET


class CancelAsked(Asked, frozen=True, kw_only=True):
    close_positions: bool = False
    """Have what is open closed, reduce-only; else it stays until its stop, its target or somebody closes it."""


class SubscriptionShown(RunShown, frozen=True, kw_only=True):
    """A run as its subscriber sees it. `ending`: cancelled, archived as soon as it is flat."""

    strategy_name: str
    symbol: str
    timeframe: Timeframe
    strategy_version: int
    capital: Decimal
    size_by: SizeBy
    ending: bool
    last_run_at: datetime | None
    last_signal: str | None
    pnl_usdt: Decimal


class SubscriptionsAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    subscriptions: tuple[SubscriptionShown, ...]
    next_cursor: str | None = None


class SubscriptionAnswer(Answer, frozen=True, kw_only=True):
    id: RunId
    subscription: SubscriptionShown
