"""A demo's market time told to the stand-ins for venues it trades at, so that their tape runs with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import httpx

from core.timeframe import to_ms

TIMEOUT_S = 2.0


class StandIns:
    """The simulators (`bin/runner simulator`) at these base URLs; one that does not answer is told the next time."""

    def __init__(self, base_urls: Iterable[str]) -> None:
        self._urls = [f"{url.rstrip('/')}/simulator/clock" for url in base_urls]

    async def set_clock(self, *, at: datetime, rate: float, ceiling: datetime | None) -> None:
        """Market time is `at` now, runs on at `rate` and stops at `ceiling`."""
        wanted = {"at": to_ms(at), "rate": rate, "ceiling": None if ceiling is None else to_ms(ceiling)}
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            for url in self._urls:
                try:
                    await client.put(url, json=wanted)
                except httpx.HTTPError:
                    continue
