"""A host for tests that answers each request with exactly the bytes the test has named."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Act = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


def ok(body: bytes = b"{}", *, status: int = 200, headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def say(data: bytes, *, then_end: bool = False) -> Act:
    async def act(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if then_end:
            writer.close()

    return act


async def reset(_: Seen, writer: asyncio.StreamWriter) -> None:
    """End the connection without a word."""
    writer.transport.abort()


async def silence(_: Seen, __: asyncio.StreamWriter) -> None:
    """Accept and never answer."""


class Seen:
    """A request as it arrived."""

    def __init__(self, connection: int, head: str, body: bytes) -> None:
        self.connection = connection
        self.line, _, headers = head.partition("\r\n")
        self.headers = headers
        self.body = body


class RawHost:
    """`acts` are done first, one a request; then every request is answered 200 `{}`."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.acts: list[Act] = []
        self.connections = 0
        self.ended = 0
        self.port = 0
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hang_up(self) -> None:
        """Ends every connection without a word."""
        for writer in self._writers:
            writer.transport.abort()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = self.connections
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = re.search(r"(?i)content-length: (\d+)", head)
                body = await reader.readexactly(int(length[1])) if length else b""
                seen = Seen(connection, head, body)
                self.seen.append(seen)
                await (self.acts.pop(0) if self.acts else say(ok()))(seen, writer)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self.ended += 1
            writer.close()


@asynccontextmanager
async def answering(tls: ssl.SSLContext | None = None) -> AsyncIterator[RawHost]:
    host = RawHost()
    server = await asyncio.start_server(host.handle, "127.0.0.1", 0, ssl=tls)
    host.port = server.sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.close()
