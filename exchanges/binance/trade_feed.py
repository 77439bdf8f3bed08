"""How Binance's public trade streams are asked for and read. Pure.

Source: USDⓈ-M Futures, "Aggregate Trade Streams"; Spot, "WebSocket Streams": pings every 20 s, 24 hours a connection,
five messages a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from core.market import Market
from core.public_trade import PublicTrade
from exchanges.binance.market_feed import RULES, commands
from exchanges.binance.market_stream import market_news
from exchanges.feeds.trade_series import CountedTrades

_TRADE: Final = b'{"e":"aggTrade"'
_ROUTES: Final = {Market.PERP: "/market/ws", Market.SPOT: "/ws"}


class BinanceTrades:
    """A `TradeDialect` of `exchanges.feeds.trade_streams`."""

    rules = RULES

    def __init__(self, base_url: str, market: Market) -> None:
        self.name = f"binance {market}"
        self._url = f"{base_url.rstrip('/')}{_ROUTES[market]}"

    def url(self, topics: Sequence[str]) -> str:
        return f"{self._url}/{topics[0]}"

    def topic(self, symbol: str) -> str:
        return f"{symbol.lower()}@aggTrade"

    def subscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("SUBSCRIBE", topics)

    def unsubscriptions(self, topics: Sequence[str]) -> Iterator[str]:
        return commands("UNSUBSCRIBE", topics)

    def trades(self, message: bytes) -> Sequence[PublicTrade]:
        if not message.startswith(_TRADE):
            return ()
        news = market_news(message)
        return (news,) if isinstance(news, PublicTrade) else ()

    def series(self, now_ms: Callable[[], int]) -> CountedTrades:
        return CountedTrades(now_ms)
