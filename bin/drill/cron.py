"""The drill of cron: many calls at once at several processes, and each slot is still ticked exactly once."""

from __future__ import annotations

import http.client
import json
import secrets
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from actors.demo import demo_of
from actors.demo_source import demo_source
from bin.drill.node import Node, settings_of
from bin.drill.report import Statement
from bin.drill.world import make_world
from core.errors import RunnerError
from core.ids import RunId, UserId
from core.risk import RiskLimits
from facade.settings_file import load_settings
from schema import evidence
from schema.embedded import EmbeddedPostgres
from schema.migrate import migrate
from schema.pg import PgStore

LEASE_S: Final = 120.0
UP_TIMEOUT_S: Final = 90.0
CALL_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 30.0
LOOK_S: Final = 0.02
AHEAD: Final = timedelta(seconds=1.5)
"""From so long before the boundary on calls come, until it is there."""
PAST_WINDOW: Final = timedelta(seconds=7)
SPREAD: Final = 3
ANSWER_S: Final = 2.0
PATH: Final = "/api/runner/cron"

ONCE: Final = "I1: every run has exactly one row for the slot, and it was decided"
ANSWERED: Final = "every call is answered with 200"
IN_TIME: Final = f"99 of 100 calls are answered within {ANSWER_S:g} s of the boundary or of the call"
LATER: Final = "a later call finds nothing due"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    slots: int
    calls: int
    processes: int
    runs: int
    speed: float = 1.0


class CronReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    held: bool
    processes: int
    runs: int
    slots: int
    calls: int
    answered_ms: Mapping[str, float]
    """Of calls, after the boundary or the call, whichever is later."""
    sources: Mapping[str, int]
    lost_asks: int
    statements: Sequence[Statement]


class Answered(msgspec.Struct, frozen=True):
    status: int
    body: dict[str, Any]
    seconds: float


def drill(plan: Plan) -> CronReport:
    """Raises RunnerError when the drill cannot be held."""
    with tempfile.TemporaryDirectory(prefix="runner-cron-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        with EmbeddedPostgres(folder / "postgres") as server:
            migrate(server.owner_dsn)
            secret = secrets.token_urlsafe(24)
            told = settings_of(server.service_dsn, folder, LEASE_S) | {"RUNNER_CRON_SECRET": secret}
            owners = _seed(plan, server.service_dsn, folder, told)
            with evidence.witness(server.service_dsn) as connection:
                nodes = [Node(place + 1, folder, told, plan.speed) for place in range(plan.processes)]
                try:
                    return _Held(plan, connection, nodes, owners, secret).held()
                finally:
                    for node in nodes:
                        node.kill()


def _seed(plan: Plan, dsn: str, folder: Path, told: dict[str, str]) -> Mapping[RunId, UserId]:
    _say(f"Creating {plan.runs:,} runs …")
    store = PgStore(dsn, default_limits=RiskLimits(), worker="drill")
    try:
        demo = demo_of(demo_source(None, folder, load_settings(environ=told)).candles)
        return make_world(
            store, demo, runs=plan.runs, speed=plan.speed, before_midnight=timedelta(minutes=30, seconds=25)
        )
    finally:
        store.close()


class _Held:
    def __init__(
        self,
        plan: Plan,
        connection: evidence.Connection,
        nodes: Sequence[Node],
        owners: Mapping[RunId, UserId],
        secret: str,
    ) -> None:
        self._plan = plan
        self._connection = connection
        self._nodes = nodes
        self._owners = owners
        self._secret = secret
        self._seconds: list[float] = []
        self._checked: Counter[str] = Counter()
        self._broken: dict[str, list[Any]] = {}

    def held(self) -> CronReport:
        _say(f"Starting {len(self._nodes)} processes …")
        for node in self._nodes:
            node.start(renamed=True)
        self._await_up()
        slots = [self._slot() for _ in range(self._plan.slots)]
        for node in self._nodes:
            node.stop(STOP_TIMEOUT_S)
        for text, rows in evidence.broken(self._connection, evidence.ALWAYS).items():
            self._hold(text, False, *rows)
        for text in evidence.ALWAYS:
            self._checked[text] += 1
        return self._report(slots)

    def _await_up(self) -> None:
        deadline_s = monotonic() + UP_TIMEOUT_S
        for node in self._nodes:
            while node.address is None or self._call(node.address, "/readyz", "GET").status != 200:
                if node.ended is not None or monotonic() > deadline_s:
                    raise RunnerError(f"{node.name} did not come up: {node.log.read_text()[-2000:]}")
                sleep(LOOK_S)

    # -- one boundary ---------------------------------------------------------------------------

    def _slot(self) -> datetime:
        now = evidence.market_now(self._connection)
        slot = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
        if self._seconds_of(slot - now - AHEAD) < 2.0:
            slot += timedelta(minutes=1)
        boundary_s = self._boundary(slot)
        sleep(max(0.0, boundary_s - self._seconds_of(AHEAD) - 0.5 - monotonic()))
        boundary_s = self._boundary(slot)
        _say(f"{self._plan.calls} calls at {slot:%H:%M} …")
        answers = self._crowd(boundary_s)
        bad = [(each.status, each.body) for each in answers if each.status != 200]
        self._hold(ANSWERED, not bad, *bad, times=len(answers))
        self._seconds += [each.seconds for each in answers]
        _say(f"… e.g. {answers[-1].body.get('summary')} {answers[-1].body.get('notes')}")
        sleep(max(0.0, self._boundary(slot + PAST_WINDOW) - monotonic()))
        self._judge(slot)
        later = [self._call(str(node.address), PATH, "POST").body for node in self._nodes]
        found = [body for body in later if body.get("summary", {}).get("processed") != 0]
        self._hold(LATER, not found, *found, times=len(later))
        return slot

    def _boundary(self, slot: datetime) -> float:
        """When market time reaches the slot, monotonic."""
        return monotonic() + self._seconds_of(slot - evidence.market_now(self._connection))

    def _seconds_of(self, market: timedelta) -> float:
        return market.total_seconds() / self._plan.speed

    def _crowd(self, boundary_s: float) -> list[Answered]:
        """All at once, a third of them each when the window has opened, at the boundary, and between."""
        together = threading.Barrier(self._plan.calls)

        def call(number: int) -> Answered:
            together.wait(UP_TIMEOUT_S)
            ahead_s = self._seconds_of(AHEAD) * (number % SPREAD) / (SPREAD - 1)
            sleep(max(0.0, boundary_s - ahead_s - monotonic()))
            began_s = monotonic()
            node = self._nodes[number % len(self._nodes)]
            answer = self._call(str(node.address), PATH, "POST")
            return msgspec.structs.replace(answer, seconds=monotonic() - max(began_s, boundary_s))

        with ThreadPoolExecutor(self._plan.calls) as pool:
            return list(pool.map(call, range(self._plan.calls)))

    def _call(self, address: str, path: str, method: str) -> Answered:
        where = urlsplit(address)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=CALL_TIMEOUT_S)
        try:
            connection.request(method, path, headers={"x-cron-secret": self._secret})
            answer = connection.getresponse()
            return Answered(answer.status, json.loads(answer.read()), 0.0)
        except OSError as error:
            return Answered(0, {"error": str(error)}, CALL_TIMEOUT_S)
        finally:
            connection.close()

    def _judge(self, slot: datetime) -> None:
        rows = self._connection.execute(
            """SELECT r.id::text, count(t.run_id), min(t.status), min(t.reason) FROM strategy_runs r
                 LEFT JOIN strategy_tick_runs t ON t.run_id = r.id AND t.slot = %s
                WHERE r.id = ANY(%s::uuid[]) GROUP BY r.id
               HAVING count(t.run_id) <> 1 OR min(t.status) IN ('missed', 'error') LIMIT 20""",
            [slot, [str(run_id) for run_id in self._owners]],
        ).fetchall()
        self._hold(ONCE, not rows, *rows, times=len(self._owners))

    # -- what came of it ------------------------------------------------------------------------

    def _report(self, slots: Sequence[datetime]) -> CronReport:
        p99 = _share(self._seconds, 99)
        self._hold(IN_TIME, p99 <= ANSWER_S, f"p99 {p99:.3f} s", times=len(self._seconds))
        named = {"slots": list(slots)}
        sources = self._connection.execute(
            "SELECT source, count(*) FROM strategy_tick_runs WHERE slot = ANY(%(slots)s) GROUP BY 1", named
        ).fetchall()
        lost = self._connection.execute(
            "SELECT count(*) FROM strategy_tick_triggers WHERE slot = ANY(%(slots)s)", named
        ).fetchone()
        return CronReport(
            held=not self._broken,
            processes=self._plan.processes,
            runs=self._plan.runs,
            slots=len(slots),
            calls=len(self._seconds),
            answered_ms={
                "p50": round(_share(self._seconds, 50) * 1000, 1),
                "p99": round(p99 * 1000, 1),
                "max": round(max(self._seconds) * 1000, 1),
            },
            sources=dict(sources),
            lost_asks=0 if lost is None else lost[0],
            statements=[
                Statement(text=text, checked=times, rows=self._broken.get(text, []))
                for text, times in self._checked.items()
            ],
        )

    def _hold(self, text: str, held: bool, *rows: Any, times: int = 1) -> None:
        self._checked[text] += times
        if not held:
            _say(f"BROKEN: {text}: {rows[:1]}")
            self._broken.setdefault(text, []).extend(rows[:20])


def _share(seconds: Sequence[float], percent: int) -> float:
    """The least of these that so many of a hundred are not above."""
    ordered = sorted(seconds)
    return ordered[-(-len(ordered) * percent // 100) - 1]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
