"""One WebSocket connection that hands each message on as it is read, and knows when it last heard anything.

Messages do not queue here: what is read is handed on before the next read, so a slow subscriber slows the sender
by TCP's own means. `websockets` does the protocol; its log is silenced, since at DEBUG it holds addresses with
listen keys and signed logins.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State

from core.clock import Clock

_WHOLE_TEXT: Final = 0x81
_SIZE_16: Final = 126
_SIZE_64: Final = 127
MAX_HEAD_BYTES: Final = 16_384
MAX_PARTS: Final = 1024
"""Frames of one message; a venue sends one."""
CLOSE_TIMEOUT_S: Final = 5.0
RATE_WINDOW_S: Final = 1.0

_SILENT: Final = logging.getLogger("exchanges.web_socket.wire")
_SILENT.setLevel(logging.CRITICAL + 1)

Sleep = Callable[[float], Awaitable[None]]
OnMessage = Callable[[bytes], None]


class Sender(Protocol):
    """What a login and its subscriptions are said through; paced to the messages a second the venue allows."""

    async def say(self, text: str) -> None:
        """Raises ConnectionClosed or OSError where the connection is gone."""
        ...

    async def ask(self, text: str, is_answer: Callable[[bytes], bool], *, timeout_s: float) -> bytes:
        """The first message after `text` that is its answer; the subscriber does not get it, all others it does.

        One question at a time. Raises TimeoutError, ConnectionClosed or OSError.
        """
        ...


class WebSocket(ClientConnection):
    """See `opened`. `faulted` is told what the subscriber raised; the connection is cut off then."""

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        on_message: OnMessage,
        faulted: Callable[[Exception], None],
        messages_per_s: int,
        clock: Clock,
        sleep: Sleep,
        **options: Any,
    ) -> None:
        super().__init__(protocol, **options)
        self._on_message = on_message
        self._faulted = faulted
        self._clock = clock
        self._sleep = sleep
        self._said: deque[float] = deque(maxlen=messages_per_s)
        self._saying = asyncio.Lock()
        self._parts: list[bytes] = []
        self._asked: tuple[Callable[[bytes], bool], asyncio.Future[bytes]] | None = None
        self._cut_off = False
        self._begun = b""
        """A frame, or the answer to the handshake, of which some bytes have not come yet."""
        self._answered = False
        assert protocol.max_message_size is not None
        self._max_bytes = protocol.max_message_size
        self.reads = 0
        """How often bytes came: pings and answers to ours are signs of life too."""
        self.heard_at: datetime = clock.now()
        self.heard_s: float = clock.monotonic()

    async def say(self, text: str) -> None:
        await self._paced(partial(self.send, text))

    async def say_ping(self) -> None:
        """A ping frame; its answer counts as a sign of life and is not waited for."""
        await self._paced(self.ping)

    async def ask(self, text: str, is_answer: Callable[[bytes], bool], *, timeout_s: float) -> bytes:
        answer: asyncio.Future[bytes] = self.loop.create_future()
        self._asked = (is_answer, answer)
        try:
            async with asyncio.timeout(timeout_s):
                await self.say(text)
                ends: set[asyncio.Future[Any]] = {answer, self.connection_lost_waiter}
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._asked = None
        if not answer.done():
            raise self.close_exc
        return answer.result()

    def cut_off(self) -> None:
        """End at once, without the closing handshake; nothing read after this is handed on."""
        self._cut_off = True
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self.heard_at = self._clock.now()
        self.heard_s = self._clock.monotonic()
        data = self._begun + data if self._begun else data
        self._begun = b""
        if not self._answered:
            # The answer to the handshake by itself: what follows it is frames.
            end = data.find(b"\r\n\r\n") + 4
            if end < 4 and len(data) < MAX_HEAD_BYTES:
                self._begun = data
                return
            self._answered = True
            end = end if end >= 4 else len(data)
            super().data_received(data[:end])
            data = data[end:]
        if self.protocol.state is State.OPEN:
            data = self._frames(data)
        if data:
            super().data_received(data)

    def _frames(self, data: bytes) -> bytes:
        """Hands on text messages of one frame; gives the library every other frame, whole; what is left is its too.

        Nearly all that comes are text messages in one frame (RFC 6455 section 5.2: FIN, opcode 1, no mask). Read here
        they cost a fourth. The library, always at the beginning of a frame, judges all else: what breaks the protocol
        or its bounds is left to it from there on.
        """
        at, end, protocol = 0, len(data), self.protocol
        while end - at >= 2:
            size, begin = data[at + 1], at + 2
            if size >= _SIZE_16:
                begin += 2 if size == _SIZE_16 else 8
                if size > _SIZE_64:
                    return data[at:]
                if begin > end:
                    break
                size = int.from_bytes(data[at + 2 : begin], "big")
                if size > self._max_bytes:
                    return data[at:]
            after = begin + size
            if after > end:
                break
            if data[at] == _WHOLE_TEXT and protocol.current_size is None:
                self._tell(data[begin:after])
            else:
                super().data_received(data[at:after])
                if protocol.state is not State.OPEN:
                    return data[after:]
            at = after
        self._begun = data[at:]
        return b""

    def process_event(self, event: Frame | Any) -> None:
        if type(event) is Frame and event.opcode in _DATA:
            self._frame(event)
        else:
            super().process_event(event)

    def _frame(self, frame: Frame) -> None:
        message = bytes(frame.data)
        if not frame.fin or frame.opcode is Opcode.CONT:
            # The protocol bounds the bytes of a message, but not how many empty frames it may come in.
            if len(self._parts) >= MAX_PARTS:
                self.cut_off()
                return
            self._parts.append(message)
            if not frame.fin:
                return
            message = b"".join(self._parts)
            self._parts.clear()
        self._tell(message)

    def _tell(self, message: bytes) -> None:
        if self._cut_off:
            return
        try:
            if self._asked is None or not self._answers(*self._asked, message):
                self._on_message(message)
        except Exception as error:
            self.cut_off()
            self._faulted(error)

    @staticmethod
    def _answers(is_answer: Callable[[bytes], bool], answer: asyncio.Future[bytes], message: bytes) -> bool:
        if answer.done() or not is_answer(message):
            return False
        answer.set_result(message)
        return True

    async def _paced(self, send: Callable[[], Awaitable[Any]]) -> None:
        async with self._saying:
            said = self._said
            if len(said) == said.maxlen:
                wait_s = said[0] + RATE_WINDOW_S - self._clock.monotonic()
                if wait_s > 0:
                    await self._sleep(wait_s)
            said.append(self._clock.monotonic())
            await send()


_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


async def opened(
    url: str,
    *,
    on_message: OnMessage,
    faulted: Callable[[Exception], None],
    clock: Clock,
    sleep: Sleep,
    messages_per_s: int,
    open_timeout_s: float,
    max_message_bytes: int,
) -> WebSocket:
    """A connection after its handshake. Raises OSError (with TimeoutError) or `websockets` WebSocketException."""
    made = partial(
        WebSocket,
        on_message=on_message,
        faulted=faulted,
        messages_per_s=messages_per_s,
        clock=clock,
        sleep=sleep,
    )
    connection = await connect(
        url,
        create_connection=cast(Any, made),
        open_timeout=open_timeout_s,
        close_timeout=CLOSE_TIMEOUT_S,
        max_size=max_message_bytes,
        # Messages are short, and decompressing them costs more than the line saves.
        compression=None,
        # The caller pings by the venue's rule.
        ping_interval=None,
        proxy=None,
        logger=_SILENT,
    )
    assert isinstance(connection, WebSocket)
    return connection
