"""Paper accounts on the system's feed: the adapter built from what the store knows of the account."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from actors.feed import Feed, venue_of
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.clock import Clock
from core.errors import RunnerError
from core.market import SymbolRules
from core.order import OrderStatus
from exchanges.base import Listener
from exchanges.paper.account import Holding
from exchanges.paper.adapter import PaperExchange
from exchanges.paper.terms import Terms
from schema.records import AccountKind, OpenPosition

_RESTING = frozenset({OrderStatus.SUBMITTED, OrderStatus.PARTIAL})


def paper_venues(
    *, feed: Feed, rules: Mapping[str, SymbolRules], clock: Clock, sleep: Callable[[float], Awaitable[None]]
) -> MakeVenue:
    """What a Connection calls to have its paper account rebuilt."""

    def make(state: VenueState, on_news: Listener) -> PaperExchange:
        account = state.account
        exchange = PaperExchange(
            terms=Terms(
                maker_fee_pct=account.maker_fee_pct,
                taker_fee_pct=account.taker_fee_pct,
                slippage_pct=account.slippage_pct,
                participation_pct=account.participation_pct,
                max_leverage=account.max_leverage,
            ),
            rules=rules,
            prices=feed.prices(venue_of(feed, account.venue)),
            clock=clock,
            sleep=sleep,
            on_news=on_news,
            balance=account.balance,
            outage_orders=account.outage_orders,
        )
        exchange.restore(
            balance=account.balance,
            holdings=[_holding(position) for position in state.positions if not position.position.is_flat],
            open_orders=[order for order in state.open_orders if order.status in _RESTING],
        )
        return exchange

    return make


def only_paper(paper: MakeVenue) -> MakeVenue:
    """For a process without a way to venues: a connection's orders are never filled on paper in its stead (I18)."""

    def make(state: VenueState, on_news: Listener) -> PaperVenue:
        if state.account.kind is AccountKind.CONNECTION:
            raise RunnerError(f"This process has no way to {state.account.venue}: it trades on paper alone.")
        return paper(state, on_news)

    return make


def _holding(held: OpenPosition) -> Holding:
    return Holding(
        symbol=held.symbol,
        position=held.position,
        leverage=held.leverage,
        since=held.updated_at,
        protection=held.protection,
    )
