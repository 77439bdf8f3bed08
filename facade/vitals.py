"""How the process and its installation are: read together, at most once every few seconds however often one asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from core.errors import RunnerError
from facade.bridge import STORE_TIMEOUT_S, ActorNode, Bridge, DatabaseTimes, Node, Observed, Vitals

OBSERVE_EVERY_S: Final = 5.0
PROBE_EVERY_S: Final = 1.0
PROBE_TIMEOUT_S: Final = 2.0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """`observed` None: the database does not answer."""

    vitals: Vitals
    observed: Observed | None
    database: DatabaseTimes | None
    actors: Sequence[ActorNode]
    nodes: Sequence[Node]
    streams: int
    streams_cut: int


class VitalSigns:
    """One for each application."""

    def __init__(self, bridge: Bridge, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bridge = bridge
        self._monotonic = monotonic
        self._observed: Observed | None = None
        self._observed_s = float("-inf")
        self._reachable = False
        self._probed_s = float("-inf")
        self._asking = asyncio.Lock()

    async def reading(self, *, streams: int, streams_cut: int) -> Reading:
        runner = self._bridge.runner
        async with self._asking:
            if self._monotonic() - self._observed_s >= OBSERVE_EVERY_S:
                self._observed = await self._observe()
                self._observed_s = self._monotonic()
        try:
            database = runner.observations.times()
        except RunnerError:
            database = None
        return Reading(
            vitals=runner.vitals(),
            observed=self._observed,
            database=database,
            actors=runner.actors(),
            nodes=runner.nodes(),
            streams=streams,
            streams_cut=streams_cut,
        )

    async def database_answers(self) -> bool:
        async with self._asking:
            if self._monotonic() - self._probed_s >= PROBE_EVERY_S:
                try:
                    await self._bridge.ask(lambda store: store.clock(), timeout_s=PROBE_TIMEOUT_S)
                    self._reachable = True
                except RunnerError:
                    self._reachable = False
                self._probed_s = self._monotonic()
        return self._reachable

    async def _observe(self) -> Observed | None:
        try:
            return await self._bridge.call(
                lambda: self._bridge.runner.observations.read(), timeout_s=STORE_TIMEOUT_S
            )
        except RunnerError:
            return None
