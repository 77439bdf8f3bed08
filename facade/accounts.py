"""Accounts, their curves, round trips and positions as they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from facade.bridge import (
    AccountKind,
    CurvePoint,
    OpenPosition,
    Portfolio,
    Totals,
    Trade,
    VenueNumbers,
)
from facade.cursor import cursor_text
from facade.schemas.portfolios import (
    AccountPositionsAnswer,
    AccountPositionShown,
    AccountTradesAnswer,
    AccountTradeShown,
    BalanceAnswer,
    CurveAnswer,
    CurvePointShown,
    Mode,
    PortfolioShown,
    TotalsShown,
    VenuePositionsAnswer,
    VenuePositionShown,
)


def portfolio_shown(portfolio: Portfolio) -> PortfolioShown:
    account = portfolio.account
    paper = account.kind is AccountKind.PORTFOLIO
    return PortfolioShown(
        id=account.id,
        name=account.name,
        mode=Mode.PAPER if paper else Mode.LIVE,
        venue=account.venue,
        bankroll_usdt=account.bankroll if paper else None,
        balance_usdt=account.balance,
        used_margin_usdt=account.used_margin,
        maker_fee_pct=account.maker_fee_pct if paper else None,
        taker_fee_pct=account.taker_fee_pct if paper else None,
        slippage_pct=account.slippage_pct if paper else None,
        max_leverage=account.max_leverage,
        kill_switch=account.kill_switch,
        created_at=portfolio.created_at,
    )


def totals_shown(totals: Totals) -> TotalsShown:
    return TotalsShown(
        trades=totals.trades,
        won=totals.won,
        win_rate_pct=round(100 * totals.won / totals.trades, 2) if totals.trades else None,
        realized_pnl_usdt=totals.pnl,
        fees_usdt=totals.fees,
    )


def curve_answer(found: Sequence[CurvePoint], limit: int) -> CurveAnswer:
    """A page of `limit` out of the one more that was read."""
    page = found[:limit]
    return CurveAnswer(
        points=tuple(CurvePointShown(at=each.at, balance_usdt=each.balance) for each in page),
        next_cursor=cursor_text(page[-1].at, UUID(int=page[-1].id)) if len(found) > limit else None,
    )


def trades_answer(found: Sequence[Trade], limit: int) -> AccountTradesAnswer:
    """A page of `limit` out of the one more that was read."""
    page = found[:limit]
    return AccountTradesAnswer(
        trades=tuple(
            AccountTradeShown(
                id=each.id,
                run_id=each.run_id,
                symbol=each.symbol,
                side=each.side,
                quantity=each.quantity,
                entry_time=each.entry_time,
                entry_price=each.entry_price,
                exit_time=each.exit_time,
                exit_price=each.exit_price,
                fees_usdt=each.fees,
                funding_usdt=each.funding,
                pnl_usdt=each.pnl,
                exit_reason=each.exit_reason,
            )
            for each in page
        ),
        next_cursor=cursor_text(page[-1].exit_time, page[-1].id) if len(found) > limit else None,
    )


def positions_answer(held: Sequence[OpenPosition]) -> AccountPositionsAnswer:
    return AccountPositionsAnswer(
        positions=tuple(
            AccountPositionShown(
                run_id=each.run_id,
                symbol=each.symbol,
                side="long" if each.position.quantity > 0 else "short",
                quantity=each.position.size,
                entry_price=each.position.entry_price,
                leverage=each.leverage,
                opened_at=each.position.opened_at,
                stop_loss=each.stop_loss,
                take_profit=each.take_profit,
                standing_stop_loss=each.standing_stop,
                drift=each.drift,
            )
            for each in held
            if each.position.opened_at is not None
        )
    )


def balance_answer(numbers: VenueNumbers) -> BalanceAnswer:
    return BalanceAnswer(
        balance_usdt=numbers.balance.balance,
        available_usdt=numbers.balance.available,
        read_at=numbers.read_at,
    )


def venue_positions_answer(numbers: VenueNumbers) -> VenuePositionsAnswer:
    return VenuePositionsAnswer(
        positions=tuple(
            VenuePositionShown(
                symbol=each.symbol,
                side="long" if each.quantity > 0 else "short",
                quantity=abs(each.quantity),
                entry_price=each.entry_price,
                leverage=each.leverage,
                liquidation_price=each.liquidation_price,
                stop_loss=each.stop_loss,
                take_profit=each.take_profit,
            )
            for each in numbers.positions
        ),
        read_at=numbers.read_at,
    )
