"""One WebSocket stream that is kept: connects, says hello, watches for silence, connects again, rolls over.

A venue closes each connection after a day. Before that a second one is opened and greeted while the first is still
read; both are read for a while, then the first is closed. So nothing is missed then, and messages may come twice.
After any other end news may have been lost, and `on_open` is told since when.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec
from websockets.exceptions import WebSocketException

from core.backoff import Backoff
from core.clock import Clock
from core.errors import RunnerError
from exchanges.errors import Banned, RateLimited
from exchanges.web_socket import OnMessage, Sender, Sleep, WebSocket, opened

MAX_WAIT_S: Final = 900.0
"""A refusal may ask for a longer pause than back-off does; not for longer than this."""

_log: Final = logging.getLogger("exchanges.stream")


class VenuePings(msgspec.Struct, frozen=True, kw_only=True):
    """The venue pings us; silence of `idle_timeout_s`, pings included, means that the connection is dead."""

    idle_timeout_s: float


class WePing(msgspec.Struct, frozen=True, kw_only=True):
    """We ping every `every_s`; nothing heard within `within_s` after one means that the connection is dead.

    `text` is the venue's own ping message; None: a ping frame of the protocol.
    """

    every_s: float
    within_s: float
    text: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.within_s <= self.every_s:
            raise ValueError("a ping must be answered before the next one is due")


PingRule = VenuePings | WePing


class StreamRules(msgspec.Struct, frozen=True, kw_only=True):
    """How a venue wants its streams kept. `max_age_s`: when to roll over, before the venue closes by itself."""

    ping: PingRule
    max_age_s: float
    overlap_s: float = 5.0
    open_timeout_s: float = 10.0
    hello_timeout_s: float = 10.0
    max_message_bytes: int = 1 << 20
    messages_per_s: int = 5
    backoff: Backoff = Backoff(min_s=0.5, max_s=30.0, random_factor=0.5)


class Stream:
    """`run` it until cancelled.

    `url`: where to connect, asked anew each time (a listen key ends). `hello`: login and all subscriptions, said on
    each connection. `on_open` is called after a hello, with the time of the last sign of life before it (None: the
    first time), but not at a rollover that lost nothing. Whatever `url` and `hello` raise of RunnerError, OSError and
    WebSocketException is tried again after a pause; anything else, and anything that `on_message` or `on_open`
    raises, is a fault of ours: it is logged and ends `run`.
    """

    def __init__(
        self,
        *,
        name: str,
        url: Callable[[], Awaitable[str]],
        hello: Callable[[Sender], Awaitable[None]],
        on_message: OnMessage,
        on_open: Callable[[datetime | None], None],
        rules: StreamRules,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._name = name
        self._url = url
        self._hello = hello
        self._on_message = on_message
        self._on_open = on_open
        self._rules = rules
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._attempts = 0
        # One, greeted or about to be; at a rollover two.
        self._sockets: list[WebSocket] = []
        self._greeted: list[WebSocket] = []
        self._fault: asyncio.Future[None] | None = None
        self._rollover = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether news arrives now: a connection stands and has been greeted."""
        return any(not socket.connection_lost_waiter.done() for socket in self._greeted)

    async def send(self, text: str) -> None:
        """To each connection that stands, paced. A connection that comes later learns it from `hello` alone."""
        for socket in tuple(self._sockets):
            try:
                await socket.say(text)
            except (OSError, WebSocketException):
                continue  # lost: the next hello says it

    def roll_over(self) -> None:
        """Replace the connection now, with overlap: the venue has announced that it will close it."""
        self._rollover.set()

    def drop(self) -> None:
        """End the connection now: it stands but no longer tells anything (a listen key has expired)."""
        for socket in self._sockets:
            socket.cut_off()

    async def run(self) -> None:
        self._fault = asyncio.get_running_loop().create_future()
        keeping = asyncio.create_task(self._keep())
        try:
            await asyncio.wait({keeping, self._fault}, return_when=asyncio.FIRST_COMPLETED)
            ended = self._fault if self._fault.done() else keeping
            ended.result()
        except Exception:
            _log.exception("stream_faulted name=%s", self._name)
            raise
        finally:
            self._fault.cancel()
            await _cancelled(keeping)
            self.drop()
            self._sockets.clear()
            self._greeted.clear()

    async def _keep(self) -> None:
        socket = await self._connected()
        self._on_open(None)
        while True:
            socket = await self._followed(socket)

    async def _followed(self, socket: WebSocket) -> WebSocket:
        """The connection that takes over from this one, once it has to."""
        began_s = self._clock.monotonic()
        lost = asyncio.create_task(socket.wait_closed())
        watching = asyncio.create_task(self._watch(socket))
        ringing = asyncio.create_task(self._ring(self._rules.max_age_s))
        rolling = asyncio.create_task(self._rollover.wait())
        try:
            await asyncio.wait({lost, rolling}, return_when=asyncio.FIRST_COMPLETED)
            if self._clock.monotonic() - began_s >= self._rules.backoff.quiet_s:
                self._attempts = 0
            if lost.done():
                _log.warning("stream_lost name=%s last_heard_at=%s", self._name, socket.heard_at)
            successor = await self._connected()
            if lost.done():
                self._on_open(socket.heard_at)
            else:
                await self._sleep(self._rules.overlap_s)
                await socket.close()
            return successor
        finally:
            self._rollover.clear()
            await _cancelled(lost, watching, ringing, rolling)
            self._greeted.remove(socket)
            self._sockets.remove(socket)
            socket.cut_off()

    async def _ring(self, after_s: float) -> None:
        await self._sleep(after_s)
        self._rollover.set()

    async def _watch(self, socket: WebSocket) -> None:
        """Cuts the connection off when it gives no sign of life."""
        ping = self._rules.ping
        while True:
            if isinstance(ping, VenuePings):
                quiet_s = self._clock.monotonic() - socket.heard_s
                if quiet_s >= ping.idle_timeout_s:
                    break
                await self._sleep(ping.idle_timeout_s - quiet_s)
            else:
                await self._sleep(ping.every_s - ping.within_s)
                reads = socket.reads
                try:
                    await (socket.say_ping() if ping.text is None else socket.say(ping.text))
                except (OSError, WebSocketException):
                    return
                await self._sleep(ping.within_s)
                if socket.reads == reads:
                    break
        _log.warning("stream_silent name=%s last_heard_at=%s", self._name, socket.heard_at)
        socket.cut_off()

    async def _connected(self) -> WebSocket:
        """A greeted connection, however many attempts that takes."""
        while True:
            if self._attempts:
                await self._sleep(self._rules.backoff.delay_s(self._attempts - 1, self._jitter()))
            self._attempts += 1
            try:
                socket = await self._connect()
            except (RunnerError, OSError, WebSocketException) as error:
                # Its words may hold the address, and that a listen key.
                _log.warning("stream_refused name=%s error=%s", self._name, type(error).__name__)
                await self._sleep(self._asked_pause_s(error))
            else:
                self._greeted.append(socket)
                return socket

    async def _connect(self) -> WebSocket:
        rules = self._rules
        async with asyncio.timeout(rules.open_timeout_s):
            url = await self._url()
        socket = await opened(
            url,
            on_message=self._on_message,
            faulted=self._faulted,
            clock=self._clock,
            sleep=self._sleep,
            messages_per_s=rules.messages_per_s,
            open_timeout_s=rules.open_timeout_s,
            max_message_bytes=rules.max_message_bytes,
        )
        # From here on `send` reaches it too: what is subscribed while it is greeted may not be in its hello.
        self._sockets.append(socket)
        try:
            async with asyncio.timeout(rules.hello_timeout_s):
                await self._hello(socket)
        except BaseException:
            self._sockets.remove(socket)
            socket.cut_off()
            raise
        return socket

    def _faulted(self, error: Exception) -> None:
        if self._fault is not None and not self._fault.done():
            self._fault.set_exception(error)

    def _asked_pause_s(self, error: Exception) -> float:
        if isinstance(error, RateLimited):
            return min(error.retry_after_s, MAX_WAIT_S)
        if isinstance(error, Banned):
            return min(self._clock.seconds_until(error.until), MAX_WAIT_S)
        return 0.0


async def _cancelled(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
