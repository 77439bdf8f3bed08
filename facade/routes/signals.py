"""Signals of the caller's runs: their history, and as they come."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import WebSocketRoute

from core.ids import RunId
from core.published_signal import Said, published
from core.symbols import SymbolError, base_of, parse_symbol
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, Event, SignalRow, SignalsAsked
from facade.cursor import cursor_text, number_text, read_cursor, read_number
from facade.endpoint import Call, route
from facade.errors import bad_field
from facade.event_stream import Following, Wanted
from facade.operation import OperationRoute
from facade.routes.events import EVENTS, followed, told
from facade.schemas.signals import (
    PublishedAnswer,
    PublishedListed,
    PublishedShown,
    SignalsAnswer,
    SignalShown,
    SignalsListed,
    SignalsStreamed,
)
from facade.sockets import socket_route


async def list_signals(call: Call, query: SignalsListed) -> SignalsAnswer:
    """What the caller's strategies said, hold aside."""
    place = read_cursor(query.cursor)
    before = None if place is None else (place[0], RunId(place[1]))
    asked = SignalsAsked(
        run_id=None if query.run_id is None else RunId(query.run_id),
        symbol=_symbol(query.symbol),
        action=query.action,
        min_score=query.min_score,
        since=query.since,
    )
    user_id, limit, signals = call.user_id, query.limit, call.services.runner.signals
    rows = await call.bridge.call(
        lambda: signals.of_user(user_id, asked, limit=limit + 1, before=before), timeout_s=STORE_TIMEOUT_S
    )
    page, ttl_s = rows[:limit], call.services.settings.signal_ttl_seconds
    return SignalsAnswer(
        signals=tuple(_shown(row, ttl_s) for row in page),
        next_cursor=cursor_text(page[-1].slot, page[-1].run_id) if len(rows) > limit else None,
    )


async def list_published(call: Call, query: PublishedListed) -> PublishedAnswer:
    """Signals that were told outside, or withheld and why: everybody's."""
    limit, before_id, published = query.limit, read_number(query.cursor), call.services.runner.published
    symbol = _symbol(query.symbol)
    rows = await call.bridge.call(
        lambda: published.page(
            symbol=None if symbol is None else base_of(symbol),
            withheld_only=query.withheld,
            limit=limit + 1,
            before_id=before_id,
        ),
        timeout_s=STORE_TIMEOUT_S,
    )
    page = rows[:limit]
    return PublishedAnswer(
        signals=tuple(
            PublishedShown(id=row.id, user_id=row.user_id, withheld=row.withheld, signal=row.content)
            for row in page
        ),
        next_cursor=number_text(page[-1].id) if len(rows) > limit else None,
    )


async def stream(call: Call, query: SignalsStreamed) -> Response:
    """Signals of the caller's runs as they come; as a WebSocket where an upgrade is asked for."""
    return told(await _signals(call, query))


async def _signals(call: Call, query: SignalsStreamed) -> Following:
    symbol, action, least = _symbol(query.symbol), query.action, query.min_score

    def accepts(event: Event) -> bool:
        said = event.payload
        return (
            event.type == "signal"
            and symbol in (None, said.get("symbol"))
            and action in (None, said.get("signal"))
            and (least is None or said.get("score", -1) >= least)
        )

    return await followed(
        call, query.last_event_id, Wanted(user_id=call.user_id, accepts=accepts, passing=False)
    )


def _shown(row: SignalRow, ttl_s: int) -> SignalShown:
    signal = published(
        strategy_id=row.strategy_id,
        strategy=row.strategy,
        slot=row.slot,
        at=row.at,
        symbol=row.symbol,
        action=row.action,
        score=row.score,
        said=row.said or Said(),
        ttl_s=ttl_s,
    )
    return SignalShown(
        run_id=row.run_id,
        strategy_id=row.strategy_id,
        slot=row.slot,
        symbol=row.symbol,
        action=row.action,
        score=row.score,
        at=row.at,
        signal=signal,
    )


def _symbol(text: str | None) -> str | None:
    try:
        return None if text is None else parse_symbol(text)
    except SymbolError as error:
        raise bad_field("symbol", str(error)) from error


ROUTES: list[OperationRoute] = [
    route("GET", "/api/signals", list_signals, Access.USER),
    route("GET", "/api/signals/published", list_published, Access.ADMIN),
    route("GET", "/api/signals/stream", stream, Access.USER, produces=EVENTS),
]
SOCKETS: list[WebSocketRoute] = [socket_route("/api/signals/stream", _signals, SignalsStreamed)]
