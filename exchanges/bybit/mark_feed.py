"""How Bybit's public tickers, which carry the mark price, are asked for and read. Pure.

Source: Bybit v5 API documentation, "WebSocket Stream, Public: Ticker": a snapshot first, then what has changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from core.mark import Mark
from exchanges.bybit import parse
from exchanges.bybit.market_feed import TOPICS_PER_MESSAGE, commands
from exchanges.bybit.stream import RULES
from exchanges.bybit.wire import Ticker, Topic, read

_TICKER: Final = b'{"topic":"tickers.'
_MESSAGE: Final = msgspec.json.Decoder(Topic)
_ROW: Final = msgspec.json.Decoder(Ticker)


class BybitMarks:
    """A `MarkDialect` of `exchanges.feeds.mark_streams`."""

    name = "bybit marks"
    rules = RULES

    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url.rstrip('/')}/v5/public/linear"

    def url(self, topics: Sequence[str]) -> str:
        return self._url

    def topic(self, symbol: str) -> str:
        return f"tickers.{symbol}"

    def subscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("subscribe", topics, TOPICS_PER_MESSAGE)

    def unsubscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("unsubscribe", topics, TOPICS_PER_MESSAGE)

    def mark(self, message: bytes) -> tuple[str, Mark] | None:
        if not message.startswith(_TICKER):
            return None
        told = read(message, _MESSAGE)
        row = read(told.data, _ROW)
        price = parse.price(row.mark_price, "a mark price")
        if price is None:
            return None
        return row.symbol, Mark(price=price, at=parse.moment(str(told.ts), "a mark price's time"))
