"""A small HTTP/1.1 server on asyncio that can also misbehave on purpose, and hands WebSocket requests on.

Its own, because a venue's faults (half a body, one byte at a time, no answer at all) are what it is for, and
because benchmarks run against it: a request is parsed and answered within one call of the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from exchanges.simulator.web_socket import Socket

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 1024 * 1024
_REASONS = {200: "OK", 101: "Switching Protocols", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
_SLOW_PIECE_S = 0.05


class HttpRequest(msgspec.Struct, kw_only=True):
    """As it came: `query` without the question mark and undecoded, header names in lower case.

    `params`: where a face keeps what it decoded.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    params: dict[str, str] | None = None


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is brought: late, never, cut off after so many bytes of its body, or slowly."""

    delay_s: float = 0.0
    is_silent: bool = False
    is_dropped: bool = False
    cut_at: int | None = None
    bytes_per_s: float | None = None


class HttpReply(msgspec.Struct, kw_only=True):
    status: int = 200
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    delivery: Delivery | None = None


class Deferred(msgspec.Struct, frozen=True, kw_only=True):
    """Look at the request only after so many seconds: it was under way that long."""

    after_s: float
    then: Callable[[], HttpReply]


class Site(Protocol):
    def answer(self, request: HttpRequest) -> HttpReply | Deferred: ...

    def open_socket(self, request: HttpRequest, socket: Socket) -> bool:
        """Takes the socket, or says that there is nothing at that address."""
        ...


class HttpConnection(asyncio.Protocol):
    """One client's connection: requests one after the other, or a WebSocket from the first one on."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._socket: Socket | None = None
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._socket is not None:
            self._socket.lost()

    def data_received(self, data: bytes) -> None:
        if self._socket is not None:
            self._socket.receive(data)
            return
        self._buffer += data
        self._work()

    def _work(self) -> None:
        while not self._is_waiting and self._transport is not None and self._socket is None:
            request = self._next()
            if request is None:
                return
            self._serve(request)

    def _serve(self, request: HttpRequest) -> None:
        try:
            reply = self._site.answer(request)
        except Exception:
            self._send(HttpReply(status=500, body=b'{"msg":"the simulator failed"}'))
            raise
        if isinstance(reply, Deferred):
            self._is_waiting = True
            asyncio.get_running_loop().call_later(reply.after_s, self._resume, reply.then)
        else:
            self._deliver(reply)

    def _resume(self, then: Callable[[], HttpReply]) -> None:
        self._is_waiting = False
        self._deliver(then())
        self._work()

    def _next(self) -> HttpRequest | None:
        """The next whole request in the buffer; None: not yet, or it was a WebSocket's or a broken one."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                self._refuse(431)
            return None
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        parts = lines[0].split(" ")
        if len(parts) != 3:
            self._refuse(400)
            return None
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit():
            self._refuse(411)
            return None
        if int(length) > BODY_BYTES_MAX:
            self._refuse(413)
            return None
        whole = end + 4 + int(length)
        if len(self._buffer) < whole:
            return None
        path, _, query = parts[1].partition("?")
        body = bytes(self._buffer[end + 4 : whole])
        request = HttpRequest(method=parts[0], path=path, query=query, headers=headers, body=body)
        if headers.get("upgrade", "").lower() == "websocket":
            self._upgrade(request)
            return None
        del self._buffer[:whole]
        return request

    def _upgrade(self, request: HttpRequest) -> None:
        assert self._transport is not None
        socket = Socket(self._transport)
        self._socket = socket
        if self._site.open_socket(request, socket):
            socket.receive(bytes(self._buffer))
            self._buffer.clear()
        else:
            self._refuse(404)

    def _refuse(self, status: int) -> None:
        self._send(HttpReply(status=status))
        if self._transport is not None:
            self._transport.close()

    # -- answering

    def _deliver(self, reply: HttpReply) -> None:
        how = reply.delivery
        if how is None:
            self._send(reply)
            return
        if how.is_silent:
            self._is_waiting = True
            return
        loop = asyncio.get_running_loop()
        if how.is_dropped:
            self._is_waiting = True
            loop.call_later(how.delay_s, self._abort)
        elif how.delay_s or how.cut_at is not None or how.bytes_per_s is not None:
            self._is_waiting = True
            loop.call_later(how.delay_s, self._send_badly, reply, how)
        else:
            self._send(reply)

    def _send(self, reply: HttpReply) -> None:
        if self._transport is not None:
            self._transport.write(_head(reply) + reply.body)

    def _send_badly(self, reply: HttpReply, how: Delivery) -> None:
        if self._transport is None:
            return
        if how.cut_at is not None:
            self._transport.write(_head(reply) + reply.body[: how.cut_at])
            self._transport.close()
        elif how.bytes_per_s is not None:
            self._transport.write(_head(reply))
            self._drip(reply.body, max(1, int(how.bytes_per_s * _SLOW_PIECE_S)))
        else:
            self._send(reply)
            self._go_on()

    def _drip(self, body: bytes, size: int) -> None:
        if self._transport is None:
            return
        self._transport.write(body[:size])
        if len(body) > size:
            asyncio.get_running_loop().call_later(_SLOW_PIECE_S, self._drip, body[size:], size)
        else:
            self._go_on()

    def _go_on(self) -> None:
        self._is_waiting = False
        self._work()

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _head(reply: HttpReply) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in reply.headers)
    return (
        f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, 'Status')}\r\n"
        f"content-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\n{more}\r\n"
    ).encode("latin-1")
