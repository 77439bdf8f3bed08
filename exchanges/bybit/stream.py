"""Bybit's private stream, kept: login, subscription, pings, and what its messages say told as news.

Source: Bybit v5 API documentation, "WebSocket Connect": a ping every 20 s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec

from core.clock import Clock
from core.errors import ImpossibleVenueData
from core.timeframe import to_ms
from exchanges.base import Listener, StreamGap
from exchanges.bybit.private import SUBSCRIBE, StreamRefused, Teller, heard
from exchanges.bybit.signing import stream_login
from exchanges.bybit.wire import Topic, Unreadable, read
from exchanges.credentials import Unseal
from exchanges.stream import Stream, StreamRules, WePing
from exchanges.web_socket import Sender, Sleep

RULES: Final = StreamRules(
    ping=WePing(every_s=20.0, within_s=10.0, text='{"op":"ping"}'), max_age_s=23 * 3600.0
)
ANSWER_TIMEOUT_S: Final = 8.0
LOGIN_LASTS: Final = timedelta(minutes=1)
UNUSABLE_AGE: Final = timedelta(seconds=10)
"""How far back a message that cannot be used may speak of."""
PAUSE_AFTER_FAULT_S: Final = 5.0

_MESSAGE: Final = msgspec.json.Decoder(Topic)
_log: Final = logging.getLogger("exchanges.bybit.stream")


class PrivateStream:
    """`prices`: what commissions in other assets than USDT are converted at, as long as they are fresh."""

    def __init__(
        self,
        *,
        url: str,
        unseal: Unseal,
        clock: Clock,
        venue_now: Callable[[], datetime],
        sleep: Sleep,
        prices: Callable[[], Mapping[str, Decimal]],
        on_news: Listener,
    ) -> None:
        self._url = url
        self._unseal = unseal
        self._clock = clock
        self._venue_now = venue_now
        self._sleep = sleep
        self._prices = prices
        self._on_news = on_news
        self._teller = Teller()
        self._stream = self._made()

    @property
    def is_open(self) -> bool:
        return self._stream.is_open

    async def follow(self) -> None:
        """Runs until cancelled. A fault of ours ends a stream, not the following of it."""
        while True:
            try:
                await self._stream.run()
            except Exception:
                _log.exception("private_stream_faulted")
            await self._sleep(PAUSE_AFTER_FAULT_S)
            self._stream = self._made()

    def _made(self) -> Stream:
        return Stream(
            name="bybit private",
            url=self._address,
            hello=self._hello,
            on_message=self._heard,
            on_open=self._opened,
            rules=RULES,
            clock=self._clock,
            sleep=self._sleep,
        )

    async def _address(self) -> str:
        return self._url

    async def _hello(self, sender: Sender) -> None:
        login = stream_login(self._unseal(), to_ms(self._venue_now() + LOGIN_LASTS))
        for op, text in (("auth", login), ("subscribe", SUBSCRIBE)):
            answer = await sender.ask(text, partial(_answers, op), timeout_s=ANSWER_TIMEOUT_S)
            if read(answer, _MESSAGE).success is not True:
                raise StreamRefused(f"Bybit refused to {op} on the private stream.")

    def _opened(self, since: datetime | None) -> None:
        self._teller.opened(self._venue_now())
        self._on_news(StreamGap(since=since))

    def _heard(self, body: bytes) -> None:
        """A message that cannot be used is a gap: REST will say what it meant, or refuse it by name."""
        try:
            told = heard(body, self._prices())
        except (Unreadable, ImpossibleVenueData, StreamRefused) as error:
            _log.warning("private_message_unusable error=%s", error)
            self._on_news(StreamGap(since=self._venue_now() - UNUSABLE_AGE))
            return
        for news in self._teller.tell(told):
            self._on_news(news)


def _answers(op: str, body: bytes) -> bool:
    try:
        message = read(body, _MESSAGE)
    except Unreadable:
        return False
    return message.op == op and message.success is not None
