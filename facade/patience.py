"""The server's HTTP connections, each with a bound on how long it may keep us waiting.

uvicorn bounds the pause between two requests only. Here a request's head and its body have to arrive, and what is
sent has to be taken, within a time; one address has so many connections at once, and what is no HTTP is answered
in our form.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import Counter
from contextlib import suppress
from typing import Any, Final
from uuid import uuid4

import h11
import msgspec
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from facade.callers import Callers
from facade.errors import ApiError
from facade.middleware import REQUEST_ID_HEADER, SECURITY_HEADERS

_RESET: Final = struct.pack("ii", 1, 0)


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how often a caller may keep the server waiting.

    `head_s`: from the connection, or the first byte of a further request, to the last header. `body_s`: from there to
    the last byte of the body; routes wait BODY_TIMEOUT_S for it and then answer 400. `taken_s`: for how long nothing of
    what is sent may be taken; an event stream is resumed by its cursor. `per_address`: connections of one address that
    is no trusted proxy's.
    """

    head_s: float = 10.0
    body_s: float = 20.0
    taken_s: float = 30.0
    per_address: int = 400


class Crowd:
    """Who is connected, by address."""

    def __init__(self, callers: Callers, patience: Patience) -> None:
        self._callers = callers
        self.patience = patience
        self._open: Counter[str] = Counter()

    def enter(self, host: str) -> bool:
        """Whether there is still a place for this address."""
        if self._open[host] >= self.patience.per_address and not self._callers.is_proxy(host):
            return False
        self._open[host] += 1
        return True

    def leave(self, host: str) -> None:
        self._open[host] -= 1
        if self._open[host] <= 0:
            del self._open[host]


class NotTaken:
    """Ends a connection once nothing of what is to be sent was taken for `within_s`, however much is left of it.

    The kernel holds little of an answer (facade/server.py): a large one waits here for as long as its reader is slow.
    """

    __slots__ = ("_left", "_loop", "_timer", "_transport", "_within_s")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, within_s: float
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._within_s = within_s
        self._wait()

    def cancel(self) -> None:
        self._timer.cancel()

    def _wait(self) -> None:
        self._left = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._within_s, self._look)

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() < self._left:
            self._wait()
        else:
            cut(self._transport)


class PatientProtocol(H11Protocol):
    """One connection. `crowd` is the server's: see `protocol_in`."""

    crowd: Crowd

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._waits_for: type | None = None
        self._not_taken: NotTaken | None = None
        self._host: str | None = None
        self._upgraded = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else "unknown"
        if not self.crowd.enter(host):
            self._cut()
            return
        self._host = host
        self._wait_for(h11.IDLE, self.crowd.patience.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()
        if self._not_taken is not None:
            self._not_taken.cancel()
        if self._host is not None:
            self.crowd.leave(self._host)
            self._host = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The connection is another protocol's from here on, its place among the address's with it."""
        self._stop_waiting()
        self._upgraded = True
        self._host = None
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._not_taken is None:
            self._not_taken = NotTaken(self.loop, self.transport, self.crowd.patience.taken_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._not_taken is not None:
            self._not_taken.cancel()
            self._not_taken = None

    def send_400_response(self, msg: str) -> None:
        """For what is no HTTP. Where an answer has begun there is nothing left to say."""
        if self.cycle is not None:
            self.cycle.disconnected = True  # whoever works on the request before it is not heard any more
            self.cycle.message_event.set()
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._cut()
            return
        request_id = str(uuid4())
        body = msgspec.json.encode(ApiError(400, "This is not HTTP/1.1.").body(request_id))
        headers = {
            **SECURITY_HEADERS,
            REQUEST_ID_HEADER: request_id,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Cache-Control": "no-store",
            "Connection": "close",
        }
        listed = [(name.encode(), value.encode()) for name, value in headers.items()]
        events = (
            h11.Response(status_code=400, headers=listed, reason=b"Bad Request"),
            h11.Data(data=body),
            h11.EndOfMessage(),
        )
        self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        self.transport.close()

    def _cut(self) -> None:
        cut(self.transport)

    def _look(self) -> None:
        """What is to arrive now, and until when."""
        if self._upgraded:
            return
        state = self.conn.their_state
        if state is h11.IDLE and self.conn.trailing_data[0]:
            self._wait_for(h11.IDLE, self.crowd.patience.head_s)
        elif state is h11.SEND_BODY:
            self._wait_for(h11.SEND_BODY, self.crowd.patience.body_s)
        else:
            self._stop_waiting()

    def _wait_for(self, what: type, within_s: float) -> None:
        if self._waits_for is what:
            return
        self._stop_waiting()
        self._waits_for = what
        self._deadline = self.loop.call_later(within_s, self._cut)

    def _stop_waiting(self) -> None:
        self._waits_for = None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class PatientSocket(WebSocketsSansIOProtocol):
    """A connection that has become a WebSocket: cut, too, when nothing of what is sent is taken.

    Pings find out who has gone without a word; they cannot end a connection whose buffer is full.
    """

    crowd: Crowd

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._not_taken: NotTaken | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.resume_writing()
        self.crowd.leave(self.client[0] if self.client else "unknown")

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._not_taken is None:
            self._not_taken = NotTaken(self.loop, self.transport, self.crowd.patience.taken_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._not_taken is not None:
            self._not_taken.cancel()
            self._not_taken = None


def cut(transport: asyncio.Transport) -> None:
    """Ends the connection by a reset: the kernel forgets what is still to be sent as well."""
    opened = transport.get_extra_info("socket")
    if opened is not None:
        with suppress(OSError):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()


def protocol_in(crowd: Crowd) -> type[PatientProtocol]:
    """The protocol of a server whose callers are counted in `crowd`."""
    return type("CrowdedProtocol", (PatientProtocol,), {"crowd": crowd})


def socket_in(crowd: Crowd) -> type[PatientSocket]:
    """Likewise for what has become a WebSocket."""
    return type("CrowdedSocket", (PatientSocket,), {"crowd": crowd})
