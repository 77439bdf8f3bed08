"""How Bybit's public trade streams are asked for and read. Pure.

Source: Bybit v5 API documentation, "WebSocket Stream, Public: Trade" and "WebSocket Connect" (spot takes ten topics a
message).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from core.market import Market
from core.public_trade import PublicTrade
from exchanges.bybit.market_feed import commands
from exchanges.bybit.public import stream_trades, trade_topic
from exchanges.bybit.stream import RULES
from exchanges.feeds.trade_series import NamedTrades

TOPICS_PER_MESSAGE: Final = 10
_TRADE: Final = b'{"topic":"publicTrade.'
_ROUTES: Final = {Market.PERP: "/v5/public/linear", Market.SPOT: "/v5/public/spot"}


class BybitTrades:
    """A `TradeDialect` of `exchanges.feeds.trade_streams`."""

    rules = RULES

    def __init__(self, base_url: str, market: Market) -> None:
        self.name = f"bybit {market}"
        self._url = f"{base_url.rstrip('/')}{_ROUTES[market]}"

    def url(self, topics: Sequence[str]) -> str:
        return self._url

    def topic(self, symbol: str) -> str:
        return trade_topic(symbol)

    def subscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("subscribe", topics, TOPICS_PER_MESSAGE)

    def unsubscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("unsubscribe", topics, TOPICS_PER_MESSAGE)

    def trades(self, message: bytes) -> Sequence[PublicTrade]:
        return stream_trades(message) if message.startswith(_TRADE) else ()

    def series(self, now_ms: Callable[[], int]) -> NamedTrades:
        return NamedTrades(now_ms)
