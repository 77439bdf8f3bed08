"""Streams of stored events."""

from __future__ import annotations

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from core.ids import RunId, UserId
from facade.access import Access
from facade.decoding import Query
from facade.endpoint import Call, route
from facade.event_stream import cursor_of
from facade.routes.runs import run_of

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream(call: Call) -> Response:
    """Every event the caller may see: an administrator everybody's, a user their own."""
    return await _stream(call, None if call.principal.admin else call.user_id, None)


async def run_stream(call: Call) -> Response:
    run = await run_of(call)
    return await _stream(call, run.user_id, run.id)


async def _stream(call: Call, user_id: UserId | None, run_id: RunId | None) -> Response:
    query = Query(call.request)
    cursor = call.request.headers.get("last-event-id") or query.text("lastEventId")
    query.done()
    frames = await call.services.hub.stream(
        owner=call.user_id, user_id=user_id, run_id=run_id, after_id=cursor_of(cursor)
    )
    return StreamingResponse(frames, media_type="text/event-stream", headers=_HEADERS)


ROUTES: list[Route] = [
    route("GET", "/api/events/stream", stream, Access.USER),
    route("GET", "/api/runs/{id}/stream", run_stream, Access.USER),
]
