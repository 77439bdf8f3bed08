"""Streams as WebSockets, on the paths of their server-sent events: the asking half of one is a GET like any other.

A browser cannot set headers here. It names two subprotocols instead, `bearer` and its token, and `bearer` is
accepted; no token is ever part of an address. A page of another origin is served where FRONTEND_URL lists it, and
never by a cookie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from facade.access import Access
from facade.decoding import decode_query
from facade.endpoint import Call, Services, error_response
from facade.errors import ApiError
from facade.event_stream import Following
from facade.schemas.form import Asked
from facade.stream_words import StreamOpened

A = TypeVar("A", bound=Asked)

SUBPROTOCOL: Final = "bearer"
FELL_BEHIND: Final = 1013
"""The stream was cut, or its server stops: come back with the last id as `lastEventId`."""
SPOKE: Final = 1008
"""Streams take no messages."""


def socket_route(
    path: str, follow: Callable[[Call, A], Awaitable[Following]], form: type[A]
) -> WebSocketRoute:
    """`follow` admits the caller to the stream, or raises what the answer to the request is made of."""

    async def endpoint(socket: WebSocket) -> None:
        services: Services = socket.app.state.services
        offered = socket.scope["subprotocols"]
        request = _asking_half(socket)
        try:
            foreign = _is_foreign(socket, services.settings.frontend_url)
            principal = await services.gatekeeper.admit(
                _without_cookies(request) if foreign else request, Access.USER
            )
            following = await follow(Call(request, services, principal), decode_query(request, form))
        except Exception as error:  # as for every route: the one place where errors become answers
            await socket.send_denial_response(error_response(request, error))
            return
        async with aclosing(following):
            await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
            await _serve(socket, following)

    return WebSocketRoute(path, endpoint, name=f"WebSocket {path}")


async def _serve(socket: WebSocket, following: Following) -> None:
    """Tell events until the stream is cut or the other side speaks or goes."""
    telling = asyncio.create_task(_tell(socket, following))
    hearing = asyncio.create_task(socket.receive())
    try:
        await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        telling.cancel()
        hearing.cancel()
        await asyncio.gather(telling, hearing, return_exceptions=True)
    spoke = not hearing.cancelled() and hearing.exception() is None
    if spoke and hearing.result()["type"] == "websocket.disconnect":
        return
    try:
        if spoke:
            await socket.close(SPOKE, "this stream takes no messages")
        else:
            await socket.close(FELL_BEHIND, "come back with lastEventId")
    except (WebSocketDisconnect, RuntimeError):
        return  # gone meanwhile


async def _tell(socket: WebSocket, following: Following) -> None:
    await socket.send_text(msgspec.json.encode(StreamOpened(id=following.cursor)).decode())
    async for some in following:  # none of them now and then: the server pings by itself
        for told in some:
            await socket.send_text(told.words.decode())


def _asking_half(socket: WebSocket) -> Request:
    """The GET that asks for the WebSocket, its token where a route's would be."""
    headers = list(socket.scope["headers"])
    offered = socket.scope["subprotocols"]
    if "authorization" not in socket.headers and len(offered) == 2 and offered[0] == SUBPROTOCOL:
        headers.append((b"authorization", b"Bearer " + offered[1].encode("latin-1", "replace")))
    return Request({**socket.scope, "type": "http", "method": "GET", "headers": headers})


def _without_cookies(request: Request) -> Request:
    headers = [(name, value) for name, value in request.scope["headers"] if name != b"cookie"]
    return Request({**request.scope, "headers": headers})


def _is_foreign(connection: HTTPConnection, allowed: tuple[str, ...]) -> bool:
    """Whether another origin's page asks; ApiError 403 for one that is not configured."""
    origin = connection.headers.get("origin")
    if origin is None or urlsplit(origin).netloc == connection.headers.get("host"):
        return False
    if origin in allowed:
        return True
    raise ApiError(403, "Pages of this origin may not open streams.", code="FOREIGN_ORIGIN")
