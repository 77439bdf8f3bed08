"""The drill of crash points: a process is struck in each gap of an order's life, and the venue's own books decide."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from bin.drill.crash_checks import LOST, ONCE, RE_SENT, STOPS, UNSETTLED
from bin.drill.crash_world import LOOK_S, CrashWorld, Victim, WorldPlan, crash_world, say
from bin.drill.gaps import Armed, Blow, Gap, Struck, arm, struck_within
from bin.drill.left import SECRETS
from bin.drill.report import Statement
from core.connection import Venue
from core.order import Leg
from schema import evidence

REACH_TIMEOUT_S: Final = 90.0
"""How long it may take until an order comes to the gap."""
SETTLE_TIMEOUT_S: Final = 60.0
"""I4: an outcome is known so long after the venue can be asked."""
STANDS_LEASES: Final = 1.5
RENAMED_SHARE: Final = 0.3
LEGS: Final = ({Leg.ENTRY.value}, {Leg.EXIT.value}, {Leg.ENTRY.value, Leg.EXIT.value})
REACHED: Final = "every gap was reached and the blow dealt there"
ENDED: Final = "SIGKILL, SIGSTOP and SIGTERM do what they do; SIGTERM ends a process with exit code 0 (I16)"
SETTLED: Final = "I4: what was open at the blow has its outcome within 60 s"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    seeds: tuple[int, ...]
    venues: tuple[Venue, ...]
    gaps: tuple[Gap, ...]
    blows: tuple[Blow, ...]
    users: int
    speed: float
    lease_s: float
    data: Path | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One blow in one gap. `wrong`: what it broke. `settled_s`: until all that was open had its outcome."""

    seed: int
    venue: Venue
    gap: Gap
    blow: Blow
    what: str = ""
    settled_s: float = 0.0
    wrong: Sequence[str] = ()

    @property
    def held(self) -> bool:
        return not self.wrong


class CrashReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    held: bool
    seconds: float
    cells: Sequence[Cell]
    orders: int
    longest_settled_s: float
    statements: Sequence[Statement]


def drill(plan: Plan) -> CrashReport:
    """Raises RunnerError when the drill cannot be held."""
    cells = len(plan.seeds) * len(plan.venues) * len(plan.gaps) * len(plan.blows)
    world = WorldPlan(
        venues=plan.venues,
        users=plan.users * len(plan.venues),
        speed=plan.speed,
        lease_s=plan.lease_s,
        length=timedelta(minutes=cells * 30),
        data=plan.data,
    )
    with crash_world(world) as made:
        return Crash(plan, made).held()


class Crash:
    def __init__(self, plan: Plan, world: CrashWorld) -> None:
        self._plan = plan
        self._world = world
        self._broken: dict[str, list[Any]] = {}
        self._checked = 0

    def held(self) -> CrashReport:
        began_s = monotonic()
        world, (victim, other) = self._world, self._world.victims
        world.start(victim)
        cells: list[Cell] = []
        places = list(self._places())
        for number, cell in enumerate(places, 1):
            if cell.blow is Blow.FREEZE and not other.node.started:
                world.start(other)
            done = self._strike(cell, victim)
            cells.append(done)
            end = "held" if done.held else f"BROKEN: {done.wrong[0]}"
            say(
                f"{monotonic() - began_s:6.1f} s  {number}/{len(places)}  {cell.venue} {cell.gap} {cell.blow}"
                f" seed {cell.seed}: {end}, settled after {done.settled_s:.1f} s"
            )
        return self._report(cells, monotonic() - began_s)

    def _places(self) -> Iterator[Cell]:
        """Freezes last: for them a second process takes over, before them the first one is alone."""
        plan = self._plan
        for blow in sorted(plan.blows, key=lambda blow: blow is Blow.FREEZE):
            for seed in plan.seeds:
                for venue in plan.venues:
                    yield from (Cell(seed=seed, venue=venue, gap=gap, blow=blow) for gap in plan.gaps)

    # -- one blow -------------------------------------------------------------------------------

    def _strike(self, cell: Cell, victim: Victim) -> Cell:
        world = self._world
        rng = random.Random(f"{cell.seed}/{cell.venue}/{cell.gap}/{cell.blow}")  # noqa: S311
        struck = self._struck(cell, victim, rng)
        wrong: list[tuple[str, str]] = []
        settled_s: float | None = 0.0
        if struck is None:
            wrong.append((REACHED, f"not within {REACH_TIMEOUT_S:g} s"))
            if victim.node.ended is not None:
                wrong.append((ENDED, f"{victim.node.name} ended by itself with {victim.node.ended}"))
                world.start(victim)
        else:
            sleep(LOOK_S)  # a transaction that was sent commits or not by now
            open_then = world.open_orders()
            since_s, fault = self._back(cell.blow, victim, struck, rng)
            if fault is not None:
                wrong.append((ENDED, fault))
            settled_s = world.settled_after(since_s, open_then, SETTLE_TIMEOUT_S)
            if settled_s is None:
                wrong.append((SETTLED, f"{sorted(open_then & world.open_orders())}"))
        wrong += [(text, row) for text, rows in world.wrong().items() for row in rows]
        self._note(cell, wrong)
        return msgspec.structs.replace(
            cell,
            what="" if struck is None else struck.what,
            settled_s=round(settled_s if settled_s is not None else SETTLE_TIMEOUT_S, 1),
            wrong=[f"{text}: {row}" for text, row in wrong],
        )

    def _struck(self, cell: Cell, victim: Victim, rng: random.Random) -> Struck | None:
        armed = Armed(
            gap=cell.gap,
            blow=cell.blow,
            runs=self._world.runs_at(cell.venue),
            legs=frozenset(rng.choice(LEGS)),
            nth=rng.randint(1, 2),
            simulator=self._world.venues[cell.venue].base_url,
            late=rng.random() < 0.5,
        )
        arm(victim.gap_file, armed)
        return struck_within(victim.gap_file, REACH_TIMEOUT_S)

    def _back(
        self, blow: Blow, victim: Victim, struck: Struck, rng: random.Random
    ) -> tuple[float, str | None]:
        """From when on somebody can settle what is open, and what was wrong with the process itself."""
        world, node = self._world, victim.node
        if blow is Blow.FREEZE:
            sleep(max(0.0, struck.at_s + self._plan.lease_s * STANDS_LEASES - monotonic()))
            fault = None if node.ended is None else f"{node.name} ended by itself with {node.ended}"
            node.resume()
            return struck.at_s, fault
        wanted = 0 if blow is Blow.END else -int(blow.number)
        code = world.await_end(victim)
        if code is None:
            node.kill()
        since_s = monotonic()
        world.start(victim, renamed=rng.random() < RENAMED_SHARE)
        return since_s, None if code == wanted else f"{node.name}: exit code {code} instead of {wanted}"

    # -- report ---------------------------------------------------------------------------------

    def _note(self, cell: Cell, wrong: Iterable[tuple[str, str]]) -> None:
        self._checked += 1
        for text, row in wrong:
            self._broken.setdefault(text, []).append(f"{cell.venue} {cell.gap} {cell.blow}: {row}")

    def _report(self, cells: Sequence[Cell], seconds: float) -> CrashReport:
        if found := self._world.traces():
            self._broken[SECRETS] = found
        texts = (REACHED, ENDED, SETTLED, ONCE, RE_SENT, LOST, UNSETTLED, STOPS, SECRETS, *evidence.ALWAYS)
        return CrashReport(
            held=not self._broken,
            seconds=round(seconds, 1),
            cells=cells,
            orders=len(evidence.live_orders(self._world.connection)),
            longest_settled_s=max((cell.settled_s for cell in cells), default=0.0),
            statements=[
                Statement(text=text, checked=self._checked, rows=self._broken.get(text, [])) for text in texts
            ],
        )
