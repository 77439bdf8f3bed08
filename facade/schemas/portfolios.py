"""Accounts with their money: paper portfolios, and connections in the same form."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from core.ids import AccountId, RunId
from facade.schemas.form import Answer, Body, Name, Page, Shown


class Mode(StrEnum):
    """`paper`: a portfolio of ours; `live`: a connection to a venue."""

    PAPER = "paper"
    LIVE = "live"


class PortfoliosAsked(Page, frozen=True, kw_only=True):
    """Without `mode`: paper and live."""

    mode: Mode | None = None


class AddPortfolio(Body, frozen=True, kw_only=True):
    """A paper account. Its fees, slippage and leverage stay: a curve under changing terms means nothing.

    `venue`: whose prices its orders meet; none: the first there are. Percentages are of the traded value.
    """

    name: Name
    bankroll_usdt: Decimal = Decimal(10_000)
    venue: Annotated[str, Meta(max_length=32)] | None = None
    maker_fee_pct: Decimal = Decimal("0.02")
    taker_fee_pct: Decimal = Decimal("0.04")
    slippage_pct: Decimal = Decimal(0)
    max_leverage: Annotated[int, Meta(ge=1, le=125)] = 125


class RenamePortfolio(Body, frozen=True, kw_only=True):
    name: Name


class PortfolioShown(Shown, frozen=True, kw_only=True):
    """`bankrollUsdt` and the terms: of paper accounts. `balanceUsdt` of a connection: as last read at its venue."""

    id: AccountId
    name: str
    mode: Mode
    venue: str
    bankroll_usdt: Decimal | None
    balance_usdt: Decimal
    used_margin_usdt: Decimal
    maker_fee_pct: Decimal | None
    taker_fee_pct: Decimal | None
    slippage_pct: Decimal | None
    max_leverage: int
    kill_switch: bool
    created_at: datetime


class TotalsShown(Shown, frozen=True, kw_only=True):
    """Of all booked round trips; `winRatePct` null before the first. `realizedPnlUsdt` is net of fees and funding."""

    trades: int
    won: int
    win_rate_pct: float | None
    realized_pnl_usdt: Decimal
    fees_usdt: Decimal


class PortfoliosAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    portfolios: tuple[PortfolioShown, ...]
    next_cursor: str | None = None


class PortfolioAnswer(Answer, frozen=True, kw_only=True):
    portfolio: PortfolioShown
    totals: TotalsShown


class CurveAsked(Page, frozen=True, kw_only=True):
    since: Annotated[datetime, Meta(tz=True)] | None = None


class CurvePointShown(Shown, frozen=True, kw_only=True):
    at: datetime
    balance_usdt: Decimal


class CurveAnswer(Answer, frozen=True, kw_only=True):
    """Balance after each fill and funding, newest first."""

    points: tuple[CurvePointShown, ...]
    next_cursor: str | None = None


class AccountTradeShown(Shown, frozen=True, kw_only=True):
    """A booked round trip; `pnlUsdt` is net of fees and funding."""

    id: UUID
    run_id: RunId
    symbol: str
    side: str
    quantity: Decimal
    entry_time: datetime
    entry_price: Decimal
    exit_time: datetime
    exit_price: Decimal
    fees_usdt: Decimal
    funding_usdt: Decimal
    pnl_usdt: Decimal
    exit_reason: str


class AccountTradesAnswer(Answer, frozen=True, kw_only=True):
    """Newest first."""

    trades: tuple[AccountTradeShown, ...]
    next_cursor: str | None = None


class AccountPositionShown(Shown, frozen=True, kw_only=True):
    """An open position of a run. `standingStopLoss`: what the venue was last seen to hold; null on paper.

    `drift`: by how much the venue holds more of the symbol than the run, signed.
    """

    run_id: RunId
    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    opened_at: datetime
    stop_loss: Decimal | None
    take_profit: Decimal | None
    standing_stop_loss: Decimal | None
    drift: Decimal


class AccountPositionsAnswer(Answer, frozen=True, kw_only=True):
    positions: tuple[AccountPositionShown, ...]


class BalanceAnswer(Answer, frozen=True, kw_only=True):
    """As the venue says at `readAt`, USDT."""

    balance_usdt: Decimal
    available_usdt: Decimal
    read_at: datetime


class VenuePositionShown(Shown, frozen=True, kw_only=True):
    """What the venue holds in a symbol, whoever opened it."""

    symbol: str
    side: str
    quantity: Decimal
    entry_price: Decimal
    leverage: int
    liquidation_price: Decimal | None
    stop_loss: Decimal | None
    take_profit: Decimal | None


class VenuePositionsAnswer(Answer, frozen=True, kw_only=True):
    """As the venue says at `readAt`."""

    positions: tuple[VenuePositionShown, ...]
    read_at: datetime
