"""Keeps the account's news coming: the user stream, its listen key, and what a message alone does not say.

Messages are told in the order they came, by one worker: an execution whose commission must be converted keeps those
behind it waiting, so that no order's end overtakes its fills.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final, Protocol

from core.errors import RunnerError
from exchanges.base import Listener, OrderNews, ProtectionMoved, StreamGap
from exchanges.binance import requests
from exchanges.binance.codes import Doing, Verdict
from exchanges.binance.fills import Fills
from exchanges.binance.line import Line, VenueTime, form
from exchanges.binance.parse import Origin
from exchanges.binance.private import (
    EVENTS,
    FundingSettled,
    Heard,
    KeyExpired,
    SettingsChanged,
    Traded,
    TriggerFired,
    Untold,
    hear,
)
from exchanges.binance.settings import Settings
from exchanges.binance.wire import ListenKey
from exchanges.error_class import ErrorClass
from exchanges.errors import ErrorKind, ExchangeError, Unreachable
from exchanges.stream import StreamRules, WePing
from exchanges.web_socket import OnMessage, Sender

KEEP_EVERY_S: Final = 1800.0
KEEP_AGAIN_S: Final = 60.0
RESTART_S: Final = 5.0
MAX_WAITING: Final = 10_000
OVERLAP: Final = timedelta(seconds=5)
"""How far before the last sign of life a gap begins: what was on its way then may be lost as well."""
RULES: Final = StreamRules(ping=WePing(every_s=30.0, within_s=10.0), max_age_s=23.5 * 3600.0)
"""The venue pings every three minutes, which is long to be deaf without knowing; it closes after a day."""
_EXPIRED: Final = frozenset({ErrorClass.STREAM_EXPIRED})
_log: Final = logging.getLogger("exchanges.binance")


class KeptStream(Protocol):
    """What of `exchanges.stream.Stream` is needed."""

    @property
    def is_open(self) -> bool: ...

    def drop(self) -> None: ...

    async def run(self) -> None: ...


class MakeStream(Protocol):
    """Makes a stream that is not running yet; process clock, sleep and jitter are the maker's."""

    def __call__(
        self,
        *,
        name: str,
        url: Callable[[], Awaitable[str]],
        hello: Callable[[Sender], Awaitable[None]],
        on_message: OnMessage,
        on_open: Callable[[datetime | None], None],
        rules: StreamRules,
    ) -> KeptStream: ...


class UserStream:
    def __init__(
        self,
        *,
        line: Line,
        fills: Fills,
        settings: Settings,
        time: VenueTime,
        sleep: Callable[[float], Awaitable[None]],
        on_news: Listener,
        make_stream: MakeStream,
        ws_url: str,
    ) -> None:
        self._line = line
        self._fills = fills
        self._settings = settings
        self._time = time
        self._sleep = sleep
        self._on_news = on_news
        self._make_stream = make_stream
        self._ws_url = ws_url.rstrip("/")
        self._stream: KeptStream | None = None
        self._waiting: deque[bytes | StreamGap] = deque()
        self._woken = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._stream is not None and self._stream.is_open

    async def follow(self) -> None:
        """Until cancelled; a fault of ours is logged and the stream begun anew."""
        while True:
            tasks = [
                asyncio.ensure_future(part) for part in (self._keep_open(), self._keep_key(), self._tell())
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
                self._stream = None
                self._waiting.clear()
            for end in ends:
                if isinstance(end, Exception):
                    _log.error("user_stream_faulted error=%s", type(end).__name__, exc_info=end)
            await self._sleep(RESTART_S)

    async def _keep_open(self) -> None:
        self._stream = self._make_stream(
            name="binance-user",
            url=self._url,
            hello=_say_nothing,
            on_message=self._put,
            on_open=self._opened,
            rules=RULES,
        )
        await self._stream.run()

    async def _url(self) -> str:
        key = await self._line.ask(
            requests.start_user_stream(), form(ListenKey), "a listen key", doing=Doing.READING
        )
        if not key.listen_key:
            raise Unreachable(ErrorKind.UNPARSABLE, "Binance answered without a listen key.")
        return f"{self._ws_url}/private/ws?listenKey={key.listen_key}&events={EVENTS}"

    async def _keep_key(self) -> None:
        """Renews the listen key; where it is gone, the stream tells nothing more and is begun anew."""
        pause_s = KEEP_EVERY_S
        while True:
            await self._sleep(pause_s)
            try:
                kept = await self._line.attempt(
                    requests.keep_user_stream(), form(ListenKey), "a listen key", allowed=_EXPIRED
                )
                await self._line.sync()
            except ExchangeError as error:
                _log.warning("listen_key_not_kept error=%s", type(error).__name__)
                pause_s = KEEP_AGAIN_S
                continue
            pause_s = KEEP_EVERY_S
            if isinstance(kept, Verdict):
                self._drop()

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.drop()

    def _opened(self, since: datetime | None) -> None:
        self._put(StreamGap(since=None if since is None else self._time.of(since) - OVERLAP))

    def _put(self, one: bytes | StreamGap) -> None:
        if len(self._waiting) >= MAX_WAITING:
            # Nobody took them up: what they told is asked for instead.
            _log.error("user_stream_overrun dropped=%d", len(self._waiting))
            self._waiting.clear()
            one = StreamGap(since=None)
        self._waiting.append(one)
        self._woken.set()

    async def _tell(self) -> None:
        while True:
            while self._waiting:
                await self._tell_one(self._waiting.popleft())
            self._woken.clear()
            await self._woken.wait()

    async def _tell_one(self, one: bytes | StreamGap) -> None:
        if isinstance(one, StreamGap):
            self._settings.forget_all()
            self._on_news(one)
            return
        try:
            for heard in hear(one):
                await self._tell_heard(heard)
        except RunnerError as error:
            # Unreadable, impossible, or in need of a price nobody gave: who asks the venue then hears it as an error.
            _log.warning("user_stream_message_untold error=%s", error)
            self._on_news(StreamGap(since=self._time.now() - OVERLAP))

    async def _tell_heard(self, heard: Heard) -> None:
        match heard:
            case Traded():
                origin = self._fills.known(heard.symbol, heard.order_id, heard.origin)
                self._fills.learn(heard.symbol, heard.order_id, origin)
                commission = await self._fills.in_usdt(heard.fill.commission, heard.commission_asset)
                self._on_news(heard.execution(commission=commission, origin=origin))
            case OrderNews():
                order_id, ours = int(heard.venue_order_id), Origin(client_order_id=heard.client_order_id)
                self._fills.learn(heard.symbol, order_id, ours)
                self._on_news(heard)
            case ProtectionMoved():
                self._on_news(heard)
            case TriggerFired():
                self._fills.learn(heard.symbol, heard.order_id, Origin(venue_leg=heard.leg))
            case FundingSettled():
                for paid in await self._fills.funding(heard.at - timedelta(minutes=1), announced=True):
                    self._on_news(paid)
            case SettingsChanged():
                self._settings.forget(heard.symbol)
            case KeyExpired():
                self._drop()
            case Untold():
                self._on_news(StreamGap(since=heard.at - OVERLAP))


async def _say_nothing(sender: Sender) -> None:
    """The address says which account and which events."""
