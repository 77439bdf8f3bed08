"""Where the paper venue learns the price a market order meets."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from exchanges.paper.book import Opening


class PriceSource(Protocol):
    """Openings of the finest candles there are of a symbol."""

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        """The opening of the first candle that opens at or after `at`.

        A recorded or generated feed knows it at once; a live one waits for its first kline. None: there was none
        within `timeout_s` process seconds, or the data ends.
        """
        ...
