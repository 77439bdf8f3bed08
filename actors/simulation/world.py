"""One seed from start to verdict: rows, processes and venues, driven one step at a time."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec

from actors.runtime.deterministic import VirtualClock, epoch_us
from actors.simulation.checks.ending import EndingCheck
from actors.simulation.checks.findings import Finding
from actors.simulation.checks.watch import Watch
from actors.simulation.faults import Faults
from actors.simulation.happenings import Happenings
from actors.simulation.log import EventLog
from actors.simulation.market import FINEST, PRICES, SimulatedMarket
from actors.simulation.population import populate
from actors.simulation.process import Process, Standing, Surroundings
from actors.simulation.senders import Senders
from actors.simulation.store import WatchedStore
from actors.simulation.venue import SimulatedVenue, VenueWatch
from actors.system import Options
from core.ids import NodeId
from core.risk import RiskLimits
from core.run import RunCommand, RunStatus
from core.timeframe import from_ms, to_ms
from schema.records import AccountKind

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC)
HISTORY = timedelta(hours=66)
PROCESSES = 3
SETTLING = timedelta(minutes=20)
"""Calm until everything owed is done: leases, back-offs, looks at the venue."""
WITNESSED = timedelta(minutes=35)
"""Calm in which every slot of every run must be ticked."""
STOP_LIMIT_S = 25.0
"""As live: a stop that takes longer is cut off."""
OVERDUE_EVERY_S = 60.0

LIVE = Options(
    node=NodeId("p1"), version="1", worker="p1", safety_s=45.0, poll_s=24.0, node_live_s=30.0, lease_s=120.0
)


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """`steps` counts turns given to actors and effects; `happenings` the faults beyond single calls."""

    seed: int
    hash: str
    steps: int
    happenings: int
    orders: int
    fills: int
    found: list[Finding]
    last_at: str


class World:
    """`days` of faults, then a calm stretch."""

    def __init__(
        self,
        seed: int,
        *,
        days: float = 1.0,
        users: int = 4,
        trace: Callable[[str], None] | None = None,
        options: Options = LIVE,
    ) -> None:
        self.seed = seed
        self.rng = random.Random(seed)  # noqa: S311 - a seed's own source, not a secret's
        length = timedelta(days=days)
        # Midnight lies inside, for some seeds in the first minutes.
        before = length * self.rng.choice((0.25, 0.25, 0.5, 0.02))
        self.start = from_ms(to_ms(MIDNIGHT - before) // 60_000 * 60_000 + 30_000)
        self.ceased = self.start + length
        self.end = self.ceased + SETTLING + WITNESSED
        self.clock = VirtualClock(self.start)
        self.faults = Faults(self.rng)
        self.steps = 0
        self.happened = 0
        self.calm_since_s = 0.0
        self._timers: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self._countdown: tuple[int, Callable[[], None]] | None = None
        self.log = EventLog(self.clock, trace)
        market = self.market = SimulatedMarket(seed, FINEST.floor(self.start - HISTORY), self.end + HISTORY)
        self.people = populate(self.rng, users=users)
        self.store = WatchedStore(self.clock, RiskLimits())
        self.watch = Watch(
            store=self.store,
            clock=self.clock,
            log=self.log,
            market=market,
            runs={run.id: run for run in self.people.runs},
            accounts={account.id: account for account in self.people.accounts},
            limits=self.people.limits,
            restarts=self._evaluator_restarts,
        )
        self.store.watch = self.watch
        venue_watch = VenueWatch(sending=self.watch.sending, arrived=self.watch.arrived, news=self.watch.news)
        self.venue = SimulatedVenue(
            market=market, clock=self.clock, faults=self.faults, later=self.later, watch=venue_watch
        )
        around = Surroundings(
            clock=self.clock,
            rng=self.rng,
            faults=self.faults,
            store=self.store,
            market=market,
            venue=self.venue,
            watch=self.watch,
            venue_watch=venue_watch,
            options=options,
            funding_at=tuple(MIDNIGHT + timedelta(hours=8) * each for each in range(-6, 99)),
        )
        self.processes = [Process(f"p{number + 1}", around) for number in range(PROCESSES)]
        self.happenings = Happenings(self)
        self.senders = Senders(self)

    # -- what is to come ------------------------------------------------------------------------

    def later(self, seconds: float, do: Callable[[], None]) -> None:
        self.at_us(self.clock.us + max(1, round(seconds * 1e6)), do)

    def at_us(self, us: int, do: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (us, next(self._numbers), do))

    def after_steps(self, steps: int, do: Callable[[], None]) -> None:
        """Between two steps of this moment; one at a time, the earlier one is done first."""
        if self._countdown is not None:
            self._countdown[1]()
        self._countdown = (self.steps + steps, do)

    def disturbed(self) -> None:
        """Something is in the way of asking a venue; what is owed counts from here."""
        self.calm_since_s = self.clock.monotonic()

    # -- life -----------------------------------------------------------------------------------

    def play(self) -> SeedResult:
        self._settle_in()
        self._run_until(self.ceased)
        if not self.watch.findings.found:
            self._calm_down()
            self._run_until(self.ceased + SETTLING)
        if not self.watch.findings.found:
            ending = EndingCheck(self.watch, self.store, self.venue, self.people)
            ending.settled()
            self._run_until(self.end)
            if not self.watch.findings.found:
                ending.settled()
                ending.all_ticked(self.ceased + SETTLING, self.end - timedelta(minutes=2))
        for process in self.processes:
            if process.standing is not Standing.DOWN:
                process.die()
        return self.result()

    def result(self) -> SeedResult:
        return SeedResult(
            seed=self.seed,
            hash=self.log.hexdigest(),
            steps=self.steps,
            happenings=self.happened,
            orders=len(self.watch.orders.orders),
            fills=len(self.watch.booked),
            found=self.watch.findings.found,
            last_at=f"{self.clock.now():%Y-%m-%d %H:%M:%S.%f}",
        )

    def _settle_in(self) -> None:
        for user, limits in self.people.limits.items():
            self.store.set_limits(user, limits)
        for strategy in self.people.strategies:
            self.store.create_strategy(strategy)
        for account in self.people.accounts:
            self.store.create_account(account)
            if account.kind is AccountKind.CONNECTION:
                self.venue.open_account(account)
        for run in self.people.runs:
            self.store.create_run(run)
            self.store.command(run.id, RunCommand.START, by="people")
        for process in self.processes:
            process.start()
        self._candle_due(to_ms(FINEST.next_close(self.start)))
        self._look_for_overdue()
        self.happenings.begin()
        self.senders.begin()

    def _candle_due(self, close_ms: int) -> None:
        def closed() -> None:
            for symbol in PRICES:
                self.venue.candle(symbol, self.market.candle_at(symbol, from_ms(close_ms - FINEST.ms)))
            self._candle_due(close_ms + FINEST.ms)

        self.at_us(close_ms * 1_000 + 1, closed)

    def _look_for_overdue(self) -> None:
        if self.watch.orders.unknown:
            self.watch.orders.overdue(self.calm_since_s)
        self.later(OVERDUE_EVERY_S, self._look_for_overdue)

    def _calm_down(self) -> None:
        """Faults cease; whoever is down or frozen comes back, and every run is active again."""
        self.faults.on = False
        self.log.note("world", "faults cease")
        self.disturbed()
        if self._countdown is not None:
            self._countdown = None
        self.store.set_kill_switch(on=False, reason="calm")
        for account in self.people.accounts:
            self.store.set_kill_switch(on=False, reason="calm", account_id=account.id)
        self.venue.down_until = None
        for process in self.processes:
            process.lose_store(0.0)
            if process.standing is Standing.FROZEN:
                process.standing = Standing.UP
            elif process.standing is Standing.DOWN:
                process.start()
            elif process.standing is Standing.STOPPING:
                process.die()
                process.start()
        for run in self.store.runs():
            if run.status is not RunStatus.ACTIVE:
                self.store.command(run.id, RunCommand.RESUME, by="people")

    # -- processes that come and go ---------------------------------------------------------------

    def kill(self, process: Process, down_s: float) -> None:
        if process.standing is Standing.DOWN:
            return
        self.disturbed()
        self.log.note("world", f"{process.id} is killed for {down_s:.1f} s")
        process.die()
        self._start_later(process, down_s)

    def freeze(self, process: Process, frozen_s: float) -> None:
        if process.standing is not Standing.UP:
            return
        self.disturbed()
        self.log.note("world", f"{process.id} freezes for {frozen_s:.1f} s")
        process.standing = Standing.FROZEN
        life = process.life

        def thaw() -> None:
            if process.life == life and process.standing is Standing.FROZEN:
                self.disturbed()
                self.log.note("world", f"{process.id} thaws")
                process.standing = Standing.UP

        self.later(frozen_s, thaw)

    def stop(self, process: Process, down_s: float) -> None:
        if process.standing is not Standing.UP:
            return
        self.log.note("world", f"{process.id} is told to stop")
        process.begin_stop()
        self.watch.stops.told(process.id)
        life, deadline_s = process.life, self.clock.monotonic() + STOP_LIMIT_S

        def look() -> None:
            if process.life != life or process.standing is not Standing.STOPPING:
                return
            self.disturbed()
            if process.is_stopped or self.clock.monotonic() >= deadline_s:
                if process.is_stopped:
                    self.watch.stops.stopped(process.id)
                    self.store.leave(NodeId(process.name))
                self.kill(process, down_s)
            else:
                self.later(1.0, look)

        self.later(0.2, look)

    def _start_later(self, process: Process, seconds: float) -> None:
        def again() -> None:
            if process.standing is Standing.DOWN:
                self.disturbed()
                process.start()
                self.log.note("world", f"{process.id} starts")

        self.later(seconds, again)

    def _evaluator_restarts(self, process_id: str) -> int:
        return next(
            (process.evaluator_restarts() for process in self.processes if process.id == process_id), 0
        )

    # -- the drive --------------------------------------------------------------------------------

    def _run_until(self, until: datetime) -> None:
        until_us, found = epoch_us(until), self.watch.findings.found
        while not found:
            ready = [process for process in self.processes if process.runs and process.lane.is_ready]
            if ready:
                self._give_turns(ready)
            elif not self._go_on(until_us):
                break

    def _give_turns(self, ready: list[Process]) -> None:
        """Turns of processes drawn among those `ready`, until nobody has anything left to do at this moment.

        A turn makes nobody else ready, for processes meet only in the store and by timers of the world; its own
        process may freeze in it. What befalls processes in between may: then whoever is ready is looked for anew.
        """
        random_, found = self.rng.random, self.watch.findings.found
        while ready and not found:
            process = ready[0] if len(ready) == 1 else ready[int(random_() * len(ready))]
            process.lane.turn()
            self.steps += 1
            if process.failed:
                self.kill(process, 5.0)
                ready = []
            elif process.standing is Standing.FROZEN or not process.lane.is_ready:
                ready.remove(process)
            if self._countdown is not None and self.steps >= self._countdown[0]:
                do, self._countdown = self._countdown[1], None
                do()
                ready = []

    def _go_on(self, until_us: int) -> bool:
        """On to the next moment something is due; False: nothing before `until_us`."""
        timers, clock = self._timers, self.clock
        due_us = timers[0][0] if timers else until_us + 1
        for process in self.processes:
            if process.runs and process.lane.next_us < due_us:
                due_us = process.lane.next_us
        if due_us > until_us:
            clock.move_to(until_us)
            return False
        clock.move_to(due_us)
        while timers and timers[0][0] <= clock.us:
            heapq.heappop(timers)[2]()
        for process in self.processes:
            if process.runs and process.lane.next_us <= clock.us:
                process.lane.fire_due()
        return True
