"""What anybody may subscribe to, with its record."""

from __future__ import annotations

from core.ids import StrategyId, UserId
from core.symbols import parse_symbol
from facade.access import Access
from facade.bridge import Listing
from facade.cursor import cursor_text, read_cursor
from facade.endpoint import Call, route
from facade.operation import OperationRoute
from facade.schemas.marketplace import ListingShown, MarketAsked, MarketplaceAnswer, RecordShown


async def list_marketplace(call: Call, query: MarketAsked) -> MarketplaceAnswer:
    """Strategies that are not private, newest first, with the record of their runs."""
    limit, place = query.limit, read_cursor(query.cursor)
    before = None if place is None else (place[0], StrategyId(place[1]))
    symbol = None if query.symbol is None else parse_symbol(query.symbol)
    found = await call.bridge.read(
        lambda reads: reads.marketplace(symbol=symbol, before=before, limit=limit + 1)
    )
    page = found[:limit]
    return MarketplaceAnswer(
        strategies=tuple(_shown(each, call.user_id) for each in page),
        next_cursor=cursor_text(page[-1].created_at, page[-1].strategy.id) if len(found) > limit else None,
    )


def _shown(listing: Listing, viewer: UserId) -> ListingShown:
    strategy, record = listing.strategy, listing.record
    return ListingShown(
        id=strategy.id,
        name=strategy.name,
        description=strategy.description,
        type=strategy.kind.value,
        template=strategy.template,
        params=strategy.parameters,
        venue=strategy.venue,
        symbol=strategy.symbol,
        timeframe=strategy.timeframe,
        version=strategy.version,
        created_at=listing.created_at,
        own=strategy.owner_id == viewer,
        record=RecordShown(
            runs=listing.runs,
            active_runs=listing.active_runs,
            since=listing.since,
            left_out=listing.left_out,
            trades=record.trades,
            win_rate_pct=100 * record.wins / record.trades if record.trades else None,
            pnl_usdt=record.pnl,
            return_pct=float(100 * record.return_share),
            max_drawdown_pct=float(100 * record.max_drawdown_share),
        ),
    )


ROUTES: list[OperationRoute] = [route("GET", "/api/marketplace", list_marketplace, Access.USER)]
