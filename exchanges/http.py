"""HTTP/1.1 to one host over connections that are kept: what httpx does, at a tenth of its price.

One deadline holds for a whole call: place in the pool, connection, request and answer. No redirects, no cookies, no
content coding, no proxies. `NoAnswer.sent` is False only where no byte of the request can have left.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec

from core.errors import RunnerError
from exchanges.http_answer import AnswerReader, MalformedAnswer
from exchanges.wire import Answer, NoAnswer, Request

_PORTS: Final = {"http": 80, "https": 443}
AGENT: Final = "strategy-runner"
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
_NEVER_IN_TARGET: Final = re.compile(r"[\x00-\x20\x7f]")


class PoolRules(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the connections to one host."""

    max_connections: int = 32
    max_waiting: int = 1_000
    """Calls that wait for a connection; one more is refused."""
    max_idle_s: float = 45.0
    connect_timeout_s: float = 3.0
    max_body: int = 16 << 20


class _Lost(Exception):
    """The connection ended under a request. `begun`: some of the answer had come."""

    def __init__(self, why: str, *, begun: bool) -> None:
        super().__init__(why)
        self.begun = begun


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, pool: HttpPool, loop: asyncio.AbstractEventLoop) -> None:
        self._pool = pool
        self._loop = loop
        self._answer: asyncio.Future[Answer] | None = None
        self._reader: AnswerReader | None = None
        self.transport: asyncio.Transport | None = None
        self.open = True
        self.placed = False
        """Whether the place it takes in the pool is given back by its end."""
        self.idle_since: float | None = None
        """None until it has carried a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, request: bytes, *, deadline: float, max_body: int) -> Answer:
        """Raises _Lost, MalformedAnswer or TimeoutError; the connection is of no further use then."""
        assert self.transport is not None
        reader = self._reader = AnswerReader(max_body=max_body)
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answer = answer
        timer = self._loop.call_at(deadline, self._too_late)
        try:
            self.transport.write(request)
            whole = await answer
        except BaseException:
            self.close()
            raise
        finally:
            timer.cancel()
            self._answer = None
        if not reader.keeps:
            self.close()
        return whole

    def data_received(self, data: bytes) -> None:
        answer, reader = self._answer, self._reader
        if answer is None or reader is None or answer.done():
            # Nothing was asked: what came belongs to no request.
            self.close()
            return
        try:
            whole = reader.read(data)
        except MalformedAnswer as error:
            answer.set_exception(error)
            return
        if whole is not None:
            answer.set_result(whole)

    def connection_lost(self, error: Exception | None) -> None:
        answer, reader = self._answer, self._reader
        if answer is not None and reader is not None and not answer.done():
            whole = reader.end() if error is None else None
            if whole is not None:
                answer.set_result(whole)
            else:
                answer.set_exception(_Lost("The connection ended before the answer.", begun=reader.begun))
        self._ended()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        self._ended()

    def _too_late(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(TimeoutError())

    def _ended(self) -> None:
        if self.open:
            self.open = False
            self._pool.gone(self)


class HttpPool:
    """Kept connections to `base_url`, in one event loop; `close` it."""

    def __init__(
        self,
        base_url: str,
        *,
        rules: PoolRules = PoolRules(),  # noqa: B008 - frozen
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if (
            parts.scheme not in _PORTS
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise RunnerError(
                f"A venue's base URL is http or https, a host and perhaps a path: not {base_url!r}."
            )
        self.host = parts.hostname
        self.scheme = parts.scheme
        self.port = parts.port or _PORTS[parts.scheme]
        self.address = f"{self.host}:{self.port}"
        self._prefix = parts.path.rstrip("/")
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._fixed = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\n"
        self._rules = rules
        self._idle: list[_Connection] = []
        self._standing = 0
        """Connections that are open or being opened."""
        self._waiting: deque[asyncio.Future[_Connection | None]] = deque()

    async def send(self, request: Request, *, timeout_s: float) -> Answer:
        """Raises NoAnswer. A read whose kept connection turns out to be gone is asked once more on a new one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        sent = self._bytes(request)
        connection = await self._permitted(request, loop, deadline)
        try:
            try:
                return await connection.ask(sent, deadline=deadline, max_body=self._rules.max_body)
            except _Lost as lost:
                if lost.begun or request.method != "GET" or connection.idle_since is None:
                    raise
            connection = await self._connection(loop, deadline, kept=False)
            return await connection.ask(sent, deadline=deadline, max_body=self._rules.max_body)
        except TimeoutError as error:
            raise NoAnswer(
                f"{self.host} did not answer in {timeout_s:g} s.", timed_out=True, sent=True
            ) from error
        except (_Lost, MalformedAnswer) as error:
            raise NoAnswer(f"{self.host}: {error}", timed_out=False, sent=True) from error
        finally:
            self._free(connection, loop)

    async def _permitted(
        self, request: Request, loop: asyncio.AbstractEventLoop, deadline: float
    ) -> _Connection:
        """A connection on which the first byte may leave at once."""
        while True:
            connection = await self._connection(loop, deadline)
            if request.leave is None:
                return connection
            try:
                await request.leave()
            except BaseException:
                self._free(connection, loop)
                raise
            if connection.open and loop.time() < deadline:
                return connection
            self._free(connection, loop)  # unless it ended meanwhile: then another one, with a new leave
            if loop.time() >= deadline:
                raise NoAnswer(f"The leave to send to {self.host} came too late.", timed_out=True, sent=False)

    def close(self) -> None:
        """Idle connections end; one that is in use ends with its call."""
        for connection in tuple(self._idle):
            connection.close()

    def gone(self, connection: _Connection) -> None:
        """Called by a connection when it has ended: its place is free."""
        if connection in self._idle:
            self._idle.remove(connection)
        if connection.placed:
            self._place_free()

    def _bytes(self, request: Request) -> bytes:
        target = (
            f"{self._prefix}{request.path}?{request.query}" if request.query else self._prefix + request.path
        )
        lines = "".join([f"{name}: {value}\r\n" for name, value in request.headers])
        count = len(request.headers)
        if _NEVER_IN_TARGET.search(target) or not lines.count("\r") == lines.count("\n") == count:
            raise RunnerError("A request to a venue has a space or a line end where none may be.")
        if request.body or request.method in _WITH_BODY:
            lines += f"Content-Length: {len(request.body)}\r\n"
        return f"{request.method} {target}{self._fixed}{lines}\r\n".encode("latin-1") + request.body

    async def _connection(
        self, loop: asyncio.AbstractEventLoop, deadline: float, *, kept: bool = True
    ) -> _Connection:
        """One that is free; `kept` False: a new one, and those that idle are not trusted any more."""
        oldest = loop.time() - self._rules.max_idle_s
        while self._idle:
            connection = self._idle.pop()
            if kept and connection.open and (connection.idle_since or 0.0) >= oldest:
                return connection
            connection.close()
        if self._standing < self._rules.max_connections:
            self._standing += 1
            return await self._new(loop, deadline)
        if len(self._waiting) >= self._rules.max_waiting:
            raise NoAnswer(f"{len(self._waiting)} calls wait for {self.host}.", timed_out=False, sent=False)
        turn: asyncio.Future[_Connection | None] = loop.create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                handed = await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                # It was handed over at the very moment of giving up.
                self._hand_on(turn.result())
            if isinstance(error, TimeoutError):
                raise NoAnswer(
                    f"No connection to {self.host} got free.", timed_out=True, sent=False
                ) from error
            raise
        if handed is None:
            return await self._new(loop, deadline)
        # One that has ended since it was handed over has given up its place.
        return handed if handed.open else await self._connection(loop, deadline)

    async def _new(self, loop: asyncio.AbstractEventLoop, deadline: float) -> _Connection:
        """A new connection, in a place that is counted already."""
        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._rules.connect_timeout_s)):
                _, connection = await loop.create_connection(
                    lambda: _Connection(self, loop),
                    self.host,
                    self.port,
                    ssl=self._tls,
                    server_hostname=self.host if self._tls is not None else None,
                )
        except BaseException as error:
            self._place_free()
            if isinstance(error, OSError):
                late = isinstance(error, TimeoutError)
                why = "in time" if late else f"({type(error).__name__})"
                raise NoAnswer(
                    f"{self.host} took no connection {why}.", timed_out=late, sent=False
                ) from error
            raise
        connection.placed = True
        if not connection.open:
            self._place_free()
            raise NoAnswer(f"{self.host} took a connection and ended it.", timed_out=False, sent=False)
        return connection

    def _free(self, connection: _Connection, loop: asyncio.AbstractEventLoop) -> None:
        if connection.open:
            connection.idle_since = loop.time()
            self._hand_on(connection)

    def _hand_on(self, connection: _Connection | None) -> None:
        """A free connection, or the place of one, to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is None:
            self._standing -= 1
        elif connection.open:
            self._idle.append(connection)

    def _place_free(self) -> None:
        self._hand_on(None)
