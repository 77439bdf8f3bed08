"""Accounts of the caller with their money: paper portfolios, and connections in the same form."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from core.ids import AccountId
from facade.access import Access
from facade.accounts import curve_answer, portfolio_shown, positions_answer, totals_shown, trades_answer
from facade.bridge import STORE_TIMEOUT_S, Account, AccountKind, Portfolio, PortfolioRows
from facade.cursor import cursor_text, read_cursor
from facade.decoding import within
from facade.endpoint import Call, route
from facade.errors import bad_field, not_found
from facade.operation import OperationRoute
from facade.schemas.form import Answer, Page
from facade.schemas.portfolios import (
    AccountPositionsAnswer,
    AccountTradesAnswer,
    AddPortfolio,
    CurveAnswer,
    CurveAsked,
    Mode,
    PortfolioAnswer,
    PortfoliosAnswer,
    PortfoliosAsked,
    RenamePortfolio,
)

MIN_BANKROLL: Final = 100
MAX_BANKROLL: Final = 1_000_000
MAX_FEE_PCT: Final = 5
_KIND: Final = {Mode.PAPER: AccountKind.PORTFOLIO, Mode.LIVE: AccountKind.CONNECTION}


async def list_portfolios(call: Call, query: PortfoliosAsked) -> PortfoliosAnswer:
    """The caller's accounts: paper, live, or both."""
    rows, user_id, limit = _rows(call), call.user_id, query.limit
    kind = None if query.mode is None else _KIND[query.mode]
    before = read_cursor(query.cursor)
    found = await call.bridge.call(
        lambda: rows.of_user(user_id, kind=kind, limit=limit + 1, before=before), timeout_s=STORE_TIMEOUT_S
    )
    page = found[:limit]
    more = len(found) > limit
    return PortfoliosAnswer(
        portfolios=tuple(portfolio_shown(each) for each in page),
        next_cursor=cursor_text(page[-1].created_at, page[-1].account.id) if more else None,
    )


async def add(call: Call, body: AddPortfolio) -> PortfolioAnswer:
    """Open a paper account."""
    rows, venues = _rows(call), call.services.runner.venues
    if body.venue is not None and body.venue not in venues:
        raise bad_field("venue", f"must be one whose candles there are: {', '.join(venues)}")
    bankroll = within("bankrollUsdt", body.bankroll_usdt, MIN_BANKROLL, MAX_BANKROLL)
    account = Account(
        id=AccountId(call.new_id()),
        user_id=call.user_id,
        name=body.name,
        venue=body.venue or venues[0],
        bankroll=bankroll,
        balance=bankroll,
        maker_fee_pct=within("makerFeePct", body.maker_fee_pct, -MAX_FEE_PCT, MAX_FEE_PCT),
        taker_fee_pct=within("takerFeePct", body.taker_fee_pct, 0, MAX_FEE_PCT),
        slippage_pct=within("slippagePct", body.slippage_pct, 0, MAX_FEE_PCT),
        max_leverage=body.max_leverage,
    )
    added = await call.bridge.call(lambda: rows.add(account), timeout_s=STORE_TIMEOUT_S)
    return await _answer(call, added)


async def show(call: Call) -> PortfolioAnswer:
    """One account and what its round trips come to."""
    return await _answer(call, await own_account(call))


async def rename(call: Call, body: RenamePortfolio) -> PortfolioAnswer:
    """Give a paper account another name."""
    rows, user_id, account_id = _rows(call), call.user_id, AccountId(call.path_id())
    after = await call.bridge.call(
        lambda: rows.rename(user_id, account_id, body.name), timeout_s=STORE_TIMEOUT_S
    )
    if after is None:
        raise not_found()
    return await _answer(call, after)


async def remove(call: Call) -> Answer:
    """Close a paper account; refused while runs use it."""
    rows, user_id, account_id = _rows(call), call.user_id, AccountId(call.path_id())
    removed = await call.bridge.call(lambda: rows.remove(user_id, account_id), timeout_s=STORE_TIMEOUT_S)
    if not removed:
        raise not_found()
    return Answer()


async def equity(call: Call, query: CurveAsked) -> CurveAnswer:
    """The balance of an account after each of its fills, newest first."""
    return await curve(call, query, None)


async def trades(call: Call, query: Page) -> AccountTradesAnswer:
    """Booked round trips of an account, newest first."""
    own = await own_account(call)
    rows, before, limit = _rows(call), read_cursor(query.cursor), query.limit
    found = await call.bridge.call(
        lambda: rows.trades(own.account.user_id, own.account.id, limit=limit + 1, before=before),
        timeout_s=STORE_TIMEOUT_S,
    )
    return trades_answer(found, limit)


async def positions(call: Call) -> AccountPositionsAnswer:
    """What the caller's runs hold on an account, by our own books."""
    own = await own_account(call)
    rows = _rows(call)
    held = await call.bridge.call(
        lambda: rows.positions(own.account.user_id, own.account.id), timeout_s=STORE_TIMEOUT_S
    )
    return positions_answer(held)


async def curve(call: Call, query: CurveAsked, kind: AccountKind | None) -> CurveAnswer:
    """Equity of the caller's account in the path, of this kind."""
    own = await own_account(call, kind)
    rows, limit = _rows(call), query.limit
    place = read_cursor(query.cursor)
    before = None if place is None else (place[0], place_number(place))
    found = await call.bridge.call(
        lambda: rows.equity(own.account.id, since=query.since, limit=limit + 1, before=before),
        timeout_s=STORE_TIMEOUT_S,
    )
    return curve_answer(found, limit)


def place_number(place: tuple[datetime, UUID]) -> int:
    """The number of a point in a cursor of ours."""
    number = place[1].int
    if number >= 1 << 63:
        raise bad_field("cursor", "must be one that a page before gave")
    return number


async def own_account(call: Call, kind: AccountKind | None = None) -> Portfolio:
    """The caller's account in the path; 404 for anything else (I12)."""
    rows, user_id, account_id = _rows(call), call.user_id, AccountId(call.path_id())
    found = await call.bridge.call(lambda: rows.one(user_id, account_id, kind), timeout_s=STORE_TIMEOUT_S)
    if found is None:
        raise not_found()
    return found


async def _answer(call: Call, portfolio: Portfolio) -> PortfolioAnswer:
    rows = _rows(call)
    totals = await call.bridge.call(lambda: rows.totals(portfolio.account.id), timeout_s=STORE_TIMEOUT_S)
    return PortfolioAnswer(portfolio=portfolio_shown(portfolio), totals=totals_shown(totals))


def _rows(call: Call) -> PortfolioRows:
    return call.services.runner.portfolios


ROUTES: list[OperationRoute] = [
    route("GET", "/api/portfolios", list_portfolios, Access.USER),
    route("POST", "/api/portfolios", add, Access.USER, status=201),
    route("GET", "/api/portfolios/{id}", show, Access.USER),
    route("PATCH", "/api/portfolios/{id}", rename, Access.USER),
    route("DELETE", "/api/portfolios/{id}", remove, Access.USER),
    route("GET", "/api/portfolios/{id}/equity", equity, Access.USER),
    route("GET", "/api/portfolios/{id}/trades", trades, Access.USER),
    route("GET", "/api/portfolios/{id}/positions", positions, Access.USER),
]
