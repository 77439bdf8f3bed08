"""Signals of the caller's runs: their history, and as they come."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import WebSocketRoute

from core.ids import RunId
from core.symbols import SymbolError, parse_symbol
from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, Event, SignalsAsked
from facade.cursor import cursor_text, read_cursor
from facade.endpoint import Call, route
from facade.errors import bad_field
from facade.event_stream import Following, Wanted
from facade.operation import OperationRoute
from facade.routes.events import EVENTS, followed, told
from facade.schemas.signals import SignalsAnswer, SignalShown, SignalsListed, SignalsStreamed
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
    page = rows[:limit]
    return SignalsAnswer(
        signals=tuple(
            SignalShown(**{name: getattr(row, name) for name in row.__struct_fields__}) for row in page
        ),
        next_cursor=cursor_text(page[-1].slot, page[-1].run_id) if len(rows) > limit else None,
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

    return await followed(call, query.last_event_id, Wanted(user_id=call.user_id, accepts=accepts))


def _symbol(text: str | None) -> str | None:
    try:
        return None if text is None else parse_symbol(text)
    except SymbolError as error:
        raise bad_field("symbol", str(error)) from error


ROUTES: list[OperationRoute] = [
    route("GET", "/api/signals", list_signals, Access.USER),
    route("GET", "/api/signals/stream", stream, Access.USER, produces=EVENTS),
]
SOCKETS: list[WebSocketRoute] = [socket_route("/api/signals/stream", _signals, SignalsStreamed)]
