"""A venue's stream for tests: a real WebSocket server that obeys the test."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


class StreamVenue:
    """`refuse`: so many handshakes are answered with 503 first. `answers`: text → reply."""

    def __init__(self) -> None:
        self.connections: list[ServerConnection] = []
        self.heard: list[tuple[int, str]] = []
        """(which connection, text), in order of arrival."""
        self.refuse = 0
        self.asked = 0
        self.answers: dict[str, list[str]] = {}
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/private/ws?listenKey=canary-listen-key"

    @property
    def standing(self) -> list[ServerConnection]:
        return [connection for connection in self.connections if connection.state.name == "OPEN"]

    def texts(self, connection: int) -> list[str]:
        return [text for which, text in self.heard if which == connection]

    async def tell(self, text: str) -> None:
        """To every connection that stands, as a venue tells an account's news."""
        for connection in self.standing:
            await connection.send(text)

    async def handle(self, connection: ServerConnection) -> None:
        which = len(self.connections)
        self.connections.append(connection)
        try:
            async for message in connection:
                assert isinstance(message, str)
                self.heard.append((which, message))
                for answer in self.answers.get(message, ()):
                    await connection.send(answer)
        except ConnectionClosed:
            return

    def greet(self, connection: ServerConnection, request: Request) -> Response | None:
        self.asked += 1
        if self.refuse > 0:
            self.refuse -= 1
            return connection.respond(503, "busy\n")
        return None


@asynccontextmanager
async def streaming(tls: ssl.SSLContext | None = None) -> AsyncIterator[StreamVenue]:
    venue = StreamVenue()
    server: Server = await serve(
        venue.handle,
        "127.0.0.1",
        0,
        ssl=tls,
        process_request=venue.greet,
        ping_interval=None,
        close_timeout=0.1,
    )
    venue.port = next(iter(server.sockets)).getsockname()[1]
    try:
        yield venue
    finally:
        server.close()
        await asyncio.wait_for(server.wait_closed(), 5)
