"""What befalls processes, actors and rows: drawn times, often close to a slot, between any two steps of a moment."""

from __future__ import annotations

from datetime import timedelta
from math import log
from typing import TYPE_CHECKING

from actors.messages import DueRequested, RowsChanged, TickRequested
from actors.simulation.faults import BETWEEN_HAPPENINGS_S, Happening
from actors.simulation.market import FINEST
from actors.simulation.population import drawn_limits
from actors.simulation.process import Process, Standing
from core.errors import IllegalTransition
from core.run import Run, RunCommand, RunStatus
from schema.records import TickSource

if TYPE_CHECKING:
    from actors.simulation.world import World

STEPS_MOST = 80
STEPS_OF_SLOT = 150
"""A happening waits for up to so many steps; one at a slot comes anywhere in what all runs do there."""

FREEZES_BEFORE = (None, "settle", "settle", "may_send")
"""At once, before an exit's intent is committed, before the re-read ahead of the first byte."""


class Happenings:
    def __init__(self, world: World) -> None:
        self._world = world
        self._faults = world.faults

    def begin(self) -> None:
        self._next()

    def _next(self) -> None:
        """The next one: three in four within seconds of a slot."""
        world, faults = self._world, self._faults
        wait_s = -BETWEEN_HAPPENINGS_S * log(1.0 - faults.rng.random())
        at, most = world.clock.now() + timedelta(seconds=wait_s), STEPS_MOST
        if faults.rng.random() < 0.75:
            at, most = FINEST.next_close(at), STEPS_OF_SLOT
            if faults.rng.random() < 0.6:
                at, most = at + timedelta(seconds=faults.between(-3.0, 15.0)), STEPS_MOST
        steps = int(faults.rng.random() * most)

        def now() -> None:
            if faults.on:
                world.after_steps(steps, self._happen)
                self._next()

        world.later((at - world.clock.now()).total_seconds(), now)

    def _happen(self) -> None:
        world, faults = self._world, self._faults
        kind = faults.happening()
        if kind is None:
            return
        world.happened += 1
        process = faults.one_of(world.processes)
        world.log.add("happening", (kind, process.name))
        match kind:
            case Happening.ACTOR:
                self._fail_actor(process)
            case Happening.KILL:
                world.kill(process, faults.between(0.5, 400.0))
            case Happening.FREEZE:
                self._freeze(process)
            case Happening.STOP:
                world.stop(process, faults.between(0.5, 200.0))
            case Happening.STORE_OUTAGE:
                self._store_outage(process)
            case Happening.VENUE_OUTAGE:
                world.disturbed()
                world.venue.down_until = world.clock.now() + timedelta(seconds=faults.between(1.0, 60.0))
            case Happening.TRIGGER:
                self._trigger()
            case Happening.RUN_COMMAND:
                self._command()
            case Happening.KILL_SWITCH:
                self._switch()
            case Happening.BY_HAND:
                self._by_hand()
            case Happening.LIMITS:
                user = faults.one_of(list(world.people.limits))
                world.store.set_limits(user, drawn_limits(faults.rng))

    def _fail_actor(self, process: Process) -> None:
        """It meets a message nobody understands."""
        if process.standing is Standing.UP:
            self._world.disturbed()
            process.tell(self._faults.one_of(process.actors()), object())

    def _freeze(self, process: Process) -> None:
        """At once, or between a decision and the store: what it believed may be stale when it goes on."""
        world, faults, seconds = self._world, self._faults, self._faults.between(1.0, 300.0)
        before = faults.one_of(FREEZES_BEFORE)

        def freeze() -> None:
            if faults.on:
                world.freeze(process, seconds)

        if before is None:
            freeze()
        else:
            process.freeze_on_the_way(before, freeze)

    def _store_outage(self, process: Process) -> None:
        self._world.disturbed()
        seconds = self._faults.between(0.5, 25.0)
        everybody = self._faults.rng.random() < 0.4
        for each in self._world.processes if everybody else [process]:
            each.lose_store(seconds)
        self._world.later(seconds, self._world.disturbed)

    def _trigger(self) -> None:
        """Cron and operators ask, several processes are told, some twice."""
        world, faults = self._world, self._faults
        run = faults.one_of(world.people.runs)
        slot = run.strategy.timeframe.slot(world.clock.now())
        for process in world.processes:
            for _ in range(int(faults.rng.random() * 3)):
                process.tell("scheduler", DueRequested(source=TickSource.CRON))
                process.tell("scheduler", TickRequested(run_id=run.id, slot=slot))

    def _command(self) -> None:
        world, faults = self._world, self._faults
        run = world.store.run(faults.one_of(world.people.runs).id)
        assert run is not None
        asked = RunCommand.RESUME
        if run.status is RunStatus.ACTIVE:
            asked = faults.one_of((RunCommand.PAUSE, RunCommand.STOP, RunCommand.PAUSE))
        self._order(run, asked)
        if asked is not RunCommand.RESUME:
            world.later(faults.between(5.0, 2_000.0), lambda: self._order(run, RunCommand.RESUME))
        for other in world.store.runs(statuses=(RunStatus.AUTO_PAUSED, RunStatus.ERROR)):
            self._order(other, RunCommand.RESUME)

    def _order(self, run: Run, command: RunCommand) -> None:
        """As the API does: the row first, then a hint that may get lost."""
        if not self._faults.on:
            return
        try:
            self._world.store.command(run.id, command, by="people")
        except IllegalTransition:
            return
        for process in self._world.processes:
            if self._faults.rng.random() < 0.8:
                process.tell("runs", RowsChanged())

    def _by_hand(self) -> None:
        """Somebody closes a position, or half of it, at the venue itself, or takes its stops away."""
        world, faults = self._world, self._faults
        engines = world.venue.engines
        held = sorted(account_id for account_id, engine in engines.items() if engine.holdings())
        if held and faults.rng.random() < 0.5:
            world.venue.bare_by_hand(faults.one_of(held))
            return
        account_id = faults.one_of(sorted(engines))
        world.venue.close_by_hand(account_id, half=faults.rng.random() < 0.5)

    def _switch(self) -> None:
        world, faults = self._world, self._faults
        account = faults.one_of([None, *(each.id for each in world.people.accounts)])
        world.store.set_kill_switch(on=True, reason="a drill", account_id=account)
        world.later(
            faults.between(0.5, 900.0),
            lambda: world.store.set_kill_switch(on=False, reason="over", account_id=account),
        )
