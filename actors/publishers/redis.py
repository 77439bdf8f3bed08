"""Signals in Redis: the newest of each symbol as a key that ends with it, and each on a channel.

One script sets the key and publishes, unless the signal's own mark says that both have been done, or the server's
clock that it is too late: a command that a hung server finds in its buffer later does nothing. A server that forgets
everything when it dies forgets the marks too. Of the one signal of which it is not known whether the channel has heard
it, only the key is set anew then.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from actors.publishers.signal_publisher import Delivered, Timed
from actors.publishers.webhook import NotDelivered
from core.errors import SettingsError
from core.redact import Secret
from schema.pg_published import Receiver

TIMEOUT_S: Final = 2.0
"""To connect, and for each answer."""
BATCH_S: Final = 8.0
SCRIPT: Final = """
local time = redis.call('TIME')
local left = tonumber(ARGV[2]) - (time[1] * 1000 + math.floor(time[2] / 1000))
if left <= 0 then return 'late' end
if not redis.call('SET', KEYS[2], '1', 'NX', 'PX', left) then return 'known' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', left)
if ARGV[4] == '1' then redis.call('PUBLISH', ARGV[3], ARGV[1]) end
return 'told'
"""


class RedisAddress(msgspec.Struct, frozen=True, kw_only=True):
    """`url`, or host and port."""

    url: Secret | None = None
    host: str = ""
    port: int = 6379
    password: Secret | None = None
    db: int = 0


class RedisSignals:
    """A connection for each pass, so that none goes stale."""

    name: Final = Receiver.REDIS

    def __init__(self, address: RedisAddress, *, key_prefix: str, channel: str) -> None:
        """`key_prefix`: before the symbol. Raises SettingsError, which does not quote the URL."""
        self._address = address
        self._key_prefix = key_prefix
        self._channel = channel
        self._doubt: tuple[UUID, str] | None = None
        try:
            redis_client(self._address)
        except ValueError as error:
            raise SettingsError("REDIS_URL must begin with redis://, rediss:// or unix://.") from error

    async def tell(self, signals: Sequence[Timed], monotonic: Callable[[], float]) -> Delivered:
        settled = expired = 0
        try:
            async with asyncio.timeout(BATCH_S), redis_client(self._address) as client:
                server, now_ms = await _greeted(client)
                # The two clocks at one instant; the answer's way makes the deadline earlier, never later.
                offset_ms = now_ms - monotonic() * 1_000
                for signal in signals:
                    late = await self._tell(client, signal, server, offset_ms)
                    settled += 1
                    expired += late
        except (RedisError, OSError, TimeoutError) as error:
            return Delivered(settled=settled, expired=expired, error=_said(error))
        return Delivered(settled=settled, expired=expired)

    async def probe(self) -> None:
        async with told_no_further(), redis_client(self._address) as client:
            await client.execute_command("PING")

    async def _tell(self, client: Any, signal: Timed, server: str, offset_ms: float) -> bool:
        """Whether it was too late."""
        content = signal.content
        publish = self._doubt is None or self._doubt[0] != content.signal_id or self._doubt[1] == server
        mark = f"{self._channel}:told:{content.signal_id}"
        keys = (f"{self._key_prefix}{content.symbol}", mark)
        until_ms = int(signal.until_s * 1_000 + offset_ms)
        values = (msgspec.json.encode(content), until_ms, self._channel, "1" if publish else "0")
        if publish:
            self._doubt = (content.signal_id, server)
        answer = await client.execute_command("EVAL", SCRIPT, len(keys), *keys, *values)
        self._doubt = None
        return bool(answer == b"late")


def redis_client(at: RedisAddress) -> Any:
    """Untyped where it takes commands in its own words. Raises ValueError for a URL of something else."""
    shared: dict[str, Any] = {
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
        # Whoever tries again must know of the doubt: here, and not in the client.
        "retry": Retry(NoBackoff(), 0),
        "single_connection_client": True,
        "protocol": 2,
    }
    if at.url is not None:
        return Redis.from_url(at.url.reveal(), **shared)
    password = None if at.password is None else at.password.reveal()
    return Redis(host=at.host, port=at.port, db=at.db, password=password, **shared)


@asynccontextmanager
async def told_no_further() -> AsyncIterator[None]:
    """What goes wrong on the way is NotDelivered, after BATCH_S at the latest."""
    try:
        async with asyncio.timeout(BATCH_S):
            yield
    except (RedisError, OSError, TimeoutError) as error:
        raise NotDelivered(_said(error)) from error


async def _greeted(client: Any) -> tuple[str, float]:
    """Which life of which server this is, and its clock in milliseconds."""
    about = await client.execute_command("INFO", "server")
    seconds, microseconds = await client.execute_command("TIME")
    return str(about.get("run_id", "")), int(seconds) * 1_000 + int(microseconds) / 1_000


def _said(error: Exception) -> str:
    # Only the kind: a server may quote what it was told.
    return f"Redis did not take it ({type(error).__name__})"
