"""One candle close, many runs: the live actor system over a real PostgreSQL, measured from the boundary.

The system is started as the service starts it (`actors.system.start`, the same options, threads and store). Market
time is a demo's at rate 1, set to some seconds before the slot; nothing else is different from production. One slot
in which nobody trades goes before, so that connections, statements and caches are as in any later slot.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from time import monotonic, process_time, sleep
from typing import Any, Final

from actors.feed import rules_of
from actors.interpreter import Interpreter
from actors.launch import POLL_S
from actors.market_clock import MarketClock
from actors.passing import Passing
from actors.runtime.spec import StopMode
from actors.runtime.system import ActorSystem
from actors.service import DB_WORKERS
from actors.system import Options, Parts, start
from bin.commands.bench_fanout_world import (
    SLOT,
    WARM_UP_SLOT,
    Seen,
    SeenFeed,
    SeenStore,
    definitions,
    market,
    of_slot,
    seed,
)
from bin.commands.bench_runtime import rss_kb
from bin.kept_server import kept_server
from core.errors import RunnerError
from core.ids import NodeId, RunId
from core.version import VERSION
from schema.migrate import migrate
from schema.store import Store

AHEAD: Final = timedelta(seconds=7)
"""How far before a slot time is set: beyond the due window and the early claims."""
LOAD_TIMEOUT_S: Final = 300.0
SLOT_TIMEOUT_S: Final = 120.0
QUIET_S: Final = 0.5


def measure(
    *, runs: int, strategies: int, database: str | None, profile: bool = False, failing: int = 0
) -> dict[str, Any]:
    """`bench fanout --json`. `failing`: so many of the runs are on accounts whose venue takes no order. `database`: an
    empty one to fill and leave so; None starts a server of its own. `profile`: with the store's calls around the
    boundary.
    """
    with opened_database(database) as dsn:
        seen = Seen()
        store = SeenStore(dsn, seen)
        try:
            if store.runs():
                raise RunnerError("The database for the benchmark must be empty; this one holds runs.")
            figures = _measured(store, seen, runs, strategies, failing)
            return figures | {"calls": _calls(seen)} if profile else figures
        finally:
            store.close()


@contextmanager
def opened_database(database: str | None) -> Iterator[str]:
    """Where it can be reached, migrated: the one that is given, or a server of its own."""
    if database is not None:
        migrate(database)
        yield database
        return
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as folder:
        Path(folder).chmod(0o755)  # the server may run as another user
        with kept_server(Path(folder) / "postgres") as server:
            migrate(server.owner_dsn)
            yield server.service_dsn


def _measured(store: SeenStore, seen: Seen, runs: int, strategies: int, failing: int) -> dict[str, Any]:
    _say(f"Creating {runs:,} runs of {strategies:,} strategies …")
    store.mark_demo(start=WARM_UP_SLOT - AHEAD, rate=0.0)
    source = market()
    outage = seed(store, definitions(source, strategies), runs, failing)
    warnings: Counter[str] = Counter()

    def sink(action: str, fields: Mapping[str, object]) -> None:
        warnings[action] += 1

    clock = MarketClock(store.clock(), monotonic)
    system = ActorSystem.live(clock, db_workers=DB_WORKERS, sink=sink)
    feed = SeenFeed(source, seen)
    interpreter = Interpreter()
    rules, options = rules_of(feed, {}), _options()
    parts = Parts(store=store, feed=feed, rules=rules, options=options, on_loaded=interpreter.loaded)
    parts.journal.passing = Passing(clock.now)  # as a service has it, whoever listens
    _say("Starting their actors …")
    seen.loaded.clear()
    before_kb, began_s = rss_kb(), monotonic()
    interpreter.begin()
    start(system, parts)
    try:
        _await_loaded(system, seen, runs)
        loaded_s, resident_kb = monotonic() - began_s, rss_kb() - before_kb
        _say("A slot to warm up, then the one that is measured …")
        _play(system, store, clock, seen, WARM_UP_SLOT, runs)
        cpu_began_s = process_time()
        _play(system, store, clock, seen, SLOT, runs)
        cpu_s = process_time() - cpu_began_s
    finally:
        system.stop(StopMode.DRAIN)
        interpreter.end()
    return {
        "runs": runs,
        "strategies": strategies,
        **_figures(seen),
        "failing": failing,
        "othersDecidedMs": round(max(_latencies_ms(seen, outage)), 1),
        "cpuMs": round(cpu_s * 1_000, 1),
        "kbPerRun": round(resident_kb / runs, 2),
        "startSeconds": round(loaded_s, 2),
        "warnings": dict(warnings),
    }


def _options() -> Options:
    """As the service's, with the settings' defaults."""
    return Options(node=NodeId("bench"), version=VERSION, worker="bench", poll_s=POLL_S)


def _await_loaded(system: ActorSystem, seen: Seen, runs: int) -> None:
    """Every run's actor has its row, and nothing waits in a mailbox."""
    deadline_s = monotonic() + LOAD_TIMEOUT_S
    with seen.changed:
        if not seen.changed.wait_for(lambda: len(seen.loaded) >= runs, LOAD_TIMEOUT_S):
            raise RunnerError(
                f"{len(seen.loaded):,} of {runs:,} runs had started after {LOAD_TIMEOUT_S:g} s."
            )
    while _waiting(system):
        if monotonic() > deadline_s:
            raise RunnerError(f"The actors were not at rest after {LOAD_TIMEOUT_S:g} s.")
        sleep(QUIET_S)


def _waiting(system: ActorSystem) -> int:
    root = system.snapshot()
    assert root is not None
    actors = [root, *root.children]
    return sum(actor.mailbox for actor in actors) + sum(
        child.mailbox for actor in root.children for child in actor.children
    )


def _play(
    system: ActorSystem, store: Store, clock: MarketClock, seen: Seen, slot: datetime, runs: int
) -> None:
    """Let time run over `slot` and stand again once all its rows are stored."""
    seen.ticks.clear()
    seen.stored_s.clear()
    seen.evaluations = 0
    clock.update(store.set_clock(at=slot - AHEAD, rate=1.0))
    seen.boundary_s = monotonic() + clock.seconds_until(slot)
    system.timers.wake()
    with seen.changed:
        if not seen.changed.wait_for(lambda: len(of_slot(seen.ticks, slot)) >= runs, SLOT_TIMEOUT_S):
            raise RunnerError(f"{len(seen.ticks):,} of {runs:,} runs had ticked after {SLOT_TIMEOUT_S:g} s.")
    clock.update(store.set_clock(rate=0.0))
    system.timers.wake()


def _figures(seen: Seen) -> dict[str, Any]:
    """Milliseconds from the boundary. A run is decided when it holds, is refused, or has proposed its order."""
    ticks, boundary_s = of_slot(seen.ticks, SLOT), seen.boundary_s
    traded = [row for row in ticks if row.signal not in (None, "hold")]
    without_order_ms = [row.latency_ms for row in ticks if row.signal in (None, "hold")]
    proposed_ms = [(at_s - boundary_s) * 1_000 for at_s in seen.proposed_s]
    if not seen.placed_s or not proposed_ms:
        raise RunnerError("No order was placed in the measured slot, so there is nothing to report.")
    return {
        "evaluations": seen.evaluations,
        "firstOrderMs": round((seen.placed_s[0] - boundary_s) * 1_000, 1),
        "decidedMs": round(max([*without_order_ms, *proposed_ms]), 1),
        "durableMs": round((seen.stored_s[-1] - boundary_s) * 1_000, 1),
        "heldMs": round(max(without_order_ms, default=0.0), 1),
        "filledMs": round(max(row.latency_ms for row in traded), 1),
        "orders": len(seen.placed_s),
        "outcomes": dict(Counter(f"{row.signal} {row.status}" for row in ticks)),
    }


def _latencies_ms(seen: Seen, outage: frozenset[RunId]) -> list[float]:
    """When each run whose venue answers had done with its slot, orders filled."""
    return [row.latency_ms for row in of_slot(seen.ticks, SLOT) if row.run_id not in outage]


def _calls(seen: Seen) -> list[dict[str, Any]]:
    """The store's calls from the measured slot's claims on, milliseconds from its boundary."""
    return [
        {
            "name": call.name,
            "beganMs": round((call.began_s - seen.boundary_s) * 1_000, 1),
            "endedMs": round((call.ended_s - seen.boundary_s) * 1_000, 1),
            "size": call.size,
        }
        for call in sorted(seen.calls, key=attrgetter("began_s"))
        if call.began_s > seen.boundary_s - AHEAD.total_seconds()
    ]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
