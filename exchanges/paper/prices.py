"""Where the paper venue learns the price a market order meets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, Protocol

from exchanges.paper.book import Opening

MAX_AGE: Final = timedelta(minutes=2)
"""How long ago the candle may have closed, or the next one opened, whose price stands for the present one."""


class PriceSource(Protocol):
    """Openings of the finest candles there are of a symbol."""

    async def opening(self, symbol: str, at: datetime, timeout_s: float) -> Opening | None:
        """The opening of the first candle that opens at or after `at`.

        A recorded or generated feed knows it at once; a live one waits for its first kline. None: there was none
        within `timeout_s` process seconds, or the data ends.
        """
        ...

    async def running(self, symbol: str, at: datetime) -> Opening | None:
        """The price known at `at`, which is now: as of a candle that opened by then, or of the last one closed.

        None: there is none that is at most MAX_AGE old.
        """
        ...
