"""Mark prices of every venue's symbols in which accounts of this process hold positions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from threading import Lock

from core.mark import Mark
from exchanges.feeds.mark_streams import MarkStreams


class MarketMarks:
    """Accounts say from their threads what they hold; the streams follow on the loop that `run` runs on."""

    def __init__(self, make: Mapping[str, Callable[[Callable[[], frozenset[str]]], MarkStreams]]) -> None:
        """By venue, its streams over what is held there."""
        self._held: dict[tuple[str, str], frozenset[str]] = {}  # by venue and account: one entry each
        self._lock = Lock()
        self._streams = {venue: made(partial(self._held_at, venue)) for venue, made in make.items()}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for streams in self._streams.values():
                group.create_task(streams.run())

    def hold(self, venue: str, account: str, symbols: frozenset[str]) -> None:
        """The symbols an account holds positions in from now on."""
        with self._lock:
            if symbols:
                self._held[venue, account] = symbols
            else:
                self._held.pop((venue, account), None)

    def latest(self, venue: str, symbol: str) -> Mark | None:
        """None: no account holds it, or its stream is away."""
        streams = self._streams.get(venue)
        return None if streams is None else streams.latest(symbol)

    def _held_at(self, venue: str) -> frozenset[str]:
        with self._lock:
            return frozenset().union(*(held for (at, _), held in self._held.items() if at == venue))
