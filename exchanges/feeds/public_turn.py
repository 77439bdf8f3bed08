"""The weight public reads take of a host, out of what all processes have there together."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from core.clock import Clock
from core.errors import RunnerError
from exchanges.budgets import CEILINGS, SharedBudget
from exchanges.limits import Limits, said
from exchanges.web_socket import Sleep
from exchanges.wire import Answer, Purpose

LIVE_WAIT_S: Final = 3.0
"""A candle that has just closed is no use much later; its feed asks again by itself."""
MAX_SLEEP_S: Final = 5.0
_LEAST_SLEEP_S: Final = 0.01
_CHUNKS: Final = 20
_PORTS: Final = {"http": 80, "https": 443}


class NoTurn(RunnerError):
    """The host's weight is used up, or it has banned this address; nothing was sent."""


class PublicTurn:
    """For one host and event loop. Takes chunks, so that most requests cost no question; `share` of the whole at most,
    so that whoever trades is never left without.
    """

    def __init__(
        self,
        base_url: str,
        limits: Limits,
        shared: SharedBudget,
        *,
        clock: Clock,
        share: float = CEILINGS[Purpose.READ],
        max_wait_s: float = LIVE_WAIT_S,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        parts = urlsplit(base_url)
        self._host = f"{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"
        self._limits = replace(limits, shared_weight=max(1, int(limits.shared_weight * share)))
        self._shared = shared
        self._clock = clock
        self._chunk = max(1, self._limits.shared_weight // _CHUNKS)
        self._max_wait_s = max_wait_s
        self._sleep = sleep
        self._left = 0
        self._ends_s = float("-inf")
        self._banned_until: datetime | None = None
        self._one_asks = asyncio.Lock()

    async def take(self, weight: int) -> None:
        """Waits for `weight`, for `max_wait_s` at most. Raises NoTurn, or what `SharedBudget.take` raises."""
        deadline_s = self._clock.monotonic() + self._max_wait_s
        async with self._one_asks:
            while not self._used(weight):
                self._refuse_banned()
                asked_s = self._clock.monotonic()
                given = await self._shared.take(self._host, self._limits, max(self._chunk, weight))
                self._left, self._ends_s = given.weight, asked_s + given.ends_in_s
                self._banned_until = given.banned_until or self._banned_until
                self._refuse_banned()
                if given.weight < weight:
                    wait_s = min(max(given.ends_in_s, _LEAST_SLEEP_S), MAX_SLEEP_S)
                    if self._clock.monotonic() + wait_s > deadline_s:
                        raise NoTurn(f"No weight is left at {self._host} for {given.ends_in_s:.1f} s.")
                    await self._sleep(wait_s)

    async def heard(self, answer: Answer) -> None:
        """What an answer says of bans is told to every process."""
        until = said(self._limits, answer, self._clock.now()).banned_until
        if until is not None:
            self._banned_until = until
            await self._shared.ban(self._host, until)

    def _used(self, weight: int) -> bool:
        if self._clock.monotonic() >= self._ends_s or self._left < weight:
            return False
        self._left -= weight
        return True

    def _refuse_banned(self) -> None:
        heard = self._shared.banned_until(self._host)
        until = max((each for each in (heard, self._banned_until) if each is not None), default=None)
        if until is not None and until > self._clock.now():
            raise NoTurn(f"{self._host} has banned this address until {until:%Y-%m-%d %H:%M:%S} UTC.")
