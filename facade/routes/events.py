"""Streams of stored events."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta
from starlette.responses import Response, StreamingResponse

from core.ids import RunId, UserId
from facade.access import Access
from facade.endpoint import Call, route
from facade.event_stream import cursor_of
from facade.operation import OperationRoute
from facade.routes.runs import run_of
from facade.schemas.form import Asked

_EVENTS: Final = "text/event-stream"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class StreamAsked(Asked, frozen=True, kw_only=True):
    last_event_id: Annotated[str, Meta(max_length=40)] | None = None
    """As the header `Last-Event-ID`, which comes first."""


async def stream(call: Call, query: StreamAsked) -> Response:
    """Every event the caller may see: an administrator everybody's, a user their own."""
    return await _stream(call, query, None if call.principal.admin else call.user_id, None)


async def run_stream(call: Call, query: StreamAsked) -> Response:
    """Events of one run."""
    run = await run_of(call)
    return await _stream(call, query, run.user_id, run.id)


async def _stream(call: Call, query: StreamAsked, user_id: UserId | None, run_id: RunId | None) -> Response:
    cursor = call.request.headers.get("last-event-id") or query.last_event_id
    frames = await call.services.hub.stream(
        owner=call.user_id, user_id=user_id, run_id=run_id, after_id=cursor_of(cursor)
    )
    return StreamingResponse(frames, media_type=_EVENTS, headers=_HEADERS)


ROUTES: list[OperationRoute] = [
    route("GET", "/api/events/stream", stream, Access.USER, produces=_EVENTS),
    route("GET", "/api/runs/{id}/stream", run_stream, Access.USER, produces=_EVENTS),
]
