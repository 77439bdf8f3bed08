"""One simulated process: the actors of `actors.system` on a lane of their own, which can die, freeze or stop."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, cast

import msgspec

from actors.live.venue import LiveVenue
from actors.runtime.deterministic import DeterministicDispatcher, DeterministicTimers, VirtualClock
from actors.runtime.effects import Delivery, DeterministicEffects
from actors.runtime.letter import ANY_INCARNATION
from actors.runtime.ref import ShellRef
from actors.runtime.spec import StopMode
from actors.runtime.system import DISPATCHERS, ActorSystem
from actors.simulation.checks.candles import CheckedWindows
from actors.simulation.checks.watch import Watch
from actors.simulation.faults import Faults
from actors.simulation.feed import SimulatedFeed
from actors.simulation.market import SimulatedMarket
from actors.simulation.store import Frozen, SimulatedPermits, StoreLink, WatchedStore
from actors.simulation.venue import SimulatedVenue, VenueWatch, WatchedPaper
from actors.system import Options, Parts, start
from actors.venue_calls import MakeVenue, PaperVenue, VenueState
from core.ids import NodeId
from exchanges.base import News
from exchanges.paper.adapter import PaperExchange
from schema.records import AccountKind
from schema.store import Store

T = TypeVar("T")


class Standing(StrEnum):
    UP = "up"
    FROZEN = "frozen"
    STOPPING = "stopping"
    DOWN = "down"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What all processes of a seed share."""

    clock: VirtualClock
    rng: random.Random
    faults: Faults
    store: WatchedStore
    market: SimulatedMarket
    venue: SimulatedVenue
    watch: Watch
    venue_watch: VenueWatch
    options: Options
    funding_at: tuple[datetime, ...]


class StoreCall:
    """A call to the store; when its process freezes on the way there, it is made once that goes on."""

    def __init__(self, lane: DeterministicDispatcher, fn: Callable[[], object], delivery: Delivery) -> None:
        self._lane = lane
        self._fn = fn
        self._delivery = delivery

    def run_batch(self, throughput: int, monotonic: Callable[[], float] | None, slice_s: float) -> None:
        try:
            answer = self._fn()
        except Frozen:
            self._lane.schedule(self)
        except Exception as error:
            self._delivery.fail(error)
        else:
            self._delivery.succeed(answer)


class SimulatedEffects(DeterministicEffects):
    """Calls to the store sometimes wait for a connection first."""

    def __init__(self, lane: DeterministicDispatcher, faults: Faults) -> None:
        super().__init__(lane)
        self._lane = lane
        self._faults = faults

    def call(
        self,
        to: ShellRef,
        fn: Callable[[], T],
        reply: Callable[[T], object],
        failed: Callable[[Exception], object],
        incarnation: int = ANY_INCARNATION,
    ) -> None:
        call = StoreCall(self._lane, fn, Delivery(to, reply, failed, incarnation))
        delay_s = self._faults.store_delay_s()
        if not delay_s:
            self._lane.schedule(call)
            return

        def begin() -> None:
            self._lane.schedule(call)

        self._lane.call_at(self._lane.clock.us + round(delay_s * 1e6), begin)


class Process:
    """`name` is the node's; `life` counts its starts."""

    def __init__(self, name: str, around: Surroundings) -> None:
        self.name = name
        self.life = 0
        self.runs = False
        """Whether its actors get turns."""
        self._standing = Standing.DOWN
        self.failed = False
        self.lane = DeterministicDispatcher(around.clock, around.rng)
        self._around = around
        self._system: ActorSystem | None = None
        self._link: StoreLink | None = None

    @property
    def id(self) -> str:
        return f"{self.name}#{self.life}"

    @property
    def standing(self) -> Standing:
        return self._standing

    @standing.setter
    def standing(self, standing: Standing) -> None:
        self._standing = standing
        self.runs = standing in (Standing.UP, Standing.STOPPING)

    @property
    def is_stopped(self) -> bool:
        return self._system is None or self._system.is_stopped

    def start(self) -> None:
        around = self._around
        self.life += 1
        self.failed = False
        lane = self.lane = DeterministicDispatcher(around.clock, around.rng)
        effects = SimulatedEffects(lane, around.faults)
        system = self._system = ActorSystem(
            clock=around.clock,
            dispatchers=dict.fromkeys(DISPATCHERS, lane),
            effects=effects,
            timers=DeterministicTimers(lane),
            rng=around.rng,
            sink=self._report,
            virtual=lane,
        )
        system.on_failure = self._failed
        link = self._link = StoreLink(around.store, around.faults, around.clock, self.id)
        feed = SimulatedFeed(around.market, around.faults, around.clock, effects.sleep, around.funding_at)
        node = NodeId(self.name)
        parts = Parts(
            store=cast(Store, link),
            permits=SimulatedPermits(link, around.faults, effects.sleep),
            feed=feed,
            rules=around.market.rules,
            options=msgspec.structs.replace(around.options, node=node, worker=self.name),
            windows=CheckedWindows(around.watch.candles.seen),
            venues=self._venues,
        )
        start(system, parts)
        self.standing = Standing.UP

    def tell(self, name: str, message: object) -> bool:
        """Whether an actor called `name` was there to be told."""
        if self._system is None:
            return False
        try:
            self._system.ref(name).tell(message)
        except LookupError:
            return False
        return True

    def actors(self) -> list[str]:
        """The names of all living actors, in the order they were started."""
        assert self._system is not None
        root = self._system.snapshot()
        assert root is not None
        names = []
        for child in root.children:
            names.append(child.name)
            names.extend(grandchild.name for grandchild in child.children)
        return names

    def evaluator_restarts(self) -> int:
        if self._system is None:
            return 0
        try:
            return self._system.ref("evaluator").incarnation - 1
        except LookupError:
            return 0

    def die(self) -> None:
        """Killed: whatever it was about to do never happens; what it had asked of the venue may."""
        assert self._system is not None
        self._system.vanish()
        self._around.venue.disconnect(self.id)
        self._system = self._link = None
        self.standing = Standing.DOWN

    def begin_stop(self) -> None:
        assert self._system is not None
        self._system.begin_stop(StopMode.DRAIN)
        self.standing = Standing.STOPPING

    def lose_store(self, seconds: float) -> None:
        if self._link is not None:
            self._link.down_until_s = self._around.clock.monotonic() + seconds

    def freeze_on_the_way(self, method: str, freeze: Callable[[], None]) -> None:
        """`freeze` once what was decided is on its way to the store, before it gets there."""
        if self._link is not None:
            self._link.freeze_before = (method, freeze)

    def _failed(self, error: BaseException) -> None:
        self.failed = True

    def _report(self, action: str, fields: Mapping[str, Any]) -> None:
        self._around.watch.log.note(self.id, f"{action} {dict(fields)}")

    def _venues(self, paper: MakeVenue) -> MakeVenue:
        around, process = self._around, self.id
        assert self._system is not None
        sleep = self._system.effects.sleep

        def make(state: VenueState, on_news: Callable[[News], None]) -> PaperVenue:
            if state.account.kind is AccountKind.CONNECTION:
                return LiveVenue(around.venue.connect(state.account.id, process, sleep, on_news))
            return WatchedPaper(
                cast(PaperExchange, paper(state, on_news)),
                faults=around.faults,
                process=process,
                sleep=sleep,
                watch=around.venue_watch,
            )

        return make
