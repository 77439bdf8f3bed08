"""Streams of stored events: as server-sent events and, on the same paths, as WebSockets."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from starlette.responses import Response, StreamingResponse
from starlette.routing import WebSocketRoute

from core.ids import RunId, StrategyId
from facade.access import Access
from facade.bridge import Event
from facade.endpoint import Call, route
from facade.errors import not_found
from facade.event_stream import Following, Wanted
from facade.operation import OperationRoute
from facade.routes.runs import run_of
from facade.schemas.form import Asked
from facade.sockets import socket_route
from facade.stream_words import cursor_of, frames

EVENTS: Final = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class StreamAsked(Asked, frozen=True, kw_only=True):
    last_event_id: Annotated[str, Meta(max_length=40)] | None = None
    """As the header `Last-Event-ID`, which comes first."""


async def stream(call: Call, query: StreamAsked) -> Response:
    """Every event the caller may see: an administrator everybody's, a user their own."""
    return told(await _every_event(call, query))


async def run_stream(call: Call, query: StreamAsked) -> Response:
    """Events of one run."""
    return told(await _run_events(call, query))


async def strategy_stream(call: Call, query: StreamAsked) -> Response:
    """Events of a strategy: of the caller's runs of it, and of its settings."""
    return told(await _strategy_events(call, query))


def told(following: Following) -> Response:
    return StreamingResponse(frames(following), media_type=EVENTS, headers=_HEADERS)


async def followed(call: Call, last_event_id: str | None, wanted: Wanted) -> Following:
    """The stream from the caller's cursor on."""
    cursor = call.request.headers.get("last-event-id") or last_event_id
    return await call.services.hub.follow(wanted, owner=call.user_id, after_id=cursor_of(cursor))


async def _every_event(call: Call, query: StreamAsked) -> Following:
    return await followed(
        call, query.last_event_id, Wanted(user_id=None if call.principal.admin else call.user_id)
    )


async def _run_events(call: Call, query: StreamAsked) -> Following:
    run = await run_of(call)
    return await followed(call, query.last_event_id, Wanted(user_id=run.user_id, run_id=run.id))


async def _strategy_events(call: Call, query: StreamAsked) -> Following:
    strategy_id, user_id = StrategyId(call.path_id()), call.user_id
    found = await call.bridge.read(lambda reads: reads.strategy(strategy_id, user_id))
    if found is None:
        raise not_found()
    runs: set[RunId] = {summary.run.id for summary in found.view.runs}

    def accepts(event: Event) -> bool:
        if event.payload.get("strategy_id") != str(strategy_id):
            return event.run_id in runs
        if event.run_id is not None:
            runs.add(event.run_id)  # one that began after the stream: its first event names the strategy
        return True

    return await followed(
        call, query.last_event_id, Wanted(user_id=user_id, accepts=accepts, strategy_id=strategy_id)
    )


ROUTES: list[OperationRoute] = [
    route("GET", "/api/events/stream", stream, Access.USER, produces=EVENTS),
    route("GET", "/api/runs/{id}/stream", run_stream, Access.USER, produces=EVENTS),
    route("GET", "/api/strategies/{id}/stream", strategy_stream, Access.USER, produces=EVENTS),
]
SOCKETS: list[WebSocketRoute] = [
    socket_route("/api/events/stream", _every_event, StreamAsked),
    socket_route("/api/runs/{id}/stream", _run_events, StreamAsked),
    socket_route("/api/strategies/{id}/stream", _strategy_events, StreamAsked),
]
