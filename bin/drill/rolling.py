"""The drill of a rolling restart: processes are replaced one by one while runs tick, and no slot is missed."""

from __future__ import annotations

import sys
import tempfile
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from actors.demo import demo_of
from actors.demo_source import demo_source
from bin.drill.node import Node, settings_of
from bin.drill.report import Statement
from bin.drill.standstill import pass_by, stand_still
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
"""As by default, so that processes look for each other no more often than live ones do."""
UP_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 30.0
LOOK_S: Final = 0.05

MISSED: Final = "I9: no slot of any run was missed or cut off while processes were replaced"
WHOLE: Final = "every run has a row for every minute"
ENDS: Final = "SIGTERM ends each process with exit code 0 within 30 s (I16)"
TRUTH: Final = "a process that was asked to end says that it is not ready, and still answers"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    minutes: int
    processes: int
    runs: int
    speed: float


class RollingReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    held: bool
    seconds: float
    minutes: int
    processes: int
    runs: int
    restarts: int
    rounds: int
    slots: int
    ticks: Mapping[str, int]
    longest_stop_s: float
    statements: Sequence[Statement]


def drill(plan: Plan) -> RollingReport:
    """Raises RunnerError when the drill cannot be held."""
    with tempfile.TemporaryDirectory(prefix="runner-rolling-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        with EmbeddedPostgres(folder / "postgres") as server:
            migrate(server.owner_dsn)
            owners = _seed(plan, server.service_dsn, folder)
            with evidence.witness(server.service_dsn) as connection:
                return _Held(plan, server.service_dsn, folder, connection, owners).held()


def _seed(plan: Plan, dsn: str, folder: Path) -> Mapping[RunId, UserId]:
    _say(f"Creating {plan.runs} runs …")
    settings = load_settings(environ=settings_of(dsn, folder, LEASE_S))
    store = PgStore(dsn, default_limits=RiskLimits(), worker="drill")
    try:
        return make_world(
            store,
            demo_of(demo_source(None, folder, settings).candles),
            runs=plan.runs,
            speed=plan.speed,
            before_midnight=timedelta(minutes=max(2, plan.minutes // 2)),
        )
    finally:
        store.close()


class _Held:
    def __init__(
        self,
        plan: Plan,
        dsn: str,
        folder: Path,
        connection: evidence.Connection,
        owners: Mapping[RunId, UserId],
    ) -> None:
        self._plan = plan
        self._dsn = dsn
        self._connection = connection
        self._owners = owners
        told = settings_of(dsn, folder, LEASE_S)
        self._nodes = [Node(place + 1, folder, told, plan.speed) for place in range(plan.processes)]
        self._stops: list[float] = []
        self._checked: Counter[str] = Counter()
        self._broken: dict[str, list[Any]] = {}

    def held(self) -> RollingReport:
        _say(f"Starting {len(self._nodes)} processes …")
        try:
            for node in self._nodes:
                node.start(renamed=True)
            for node in self._nodes:
                self._await_ready(node)
            first = self._next_slot()
            last = first + timedelta(minutes=self._plan.minutes - 1)
            began_s = monotonic()
            rounds = self._roll_until(last)
            pass_by(self._connection, last + timedelta(seconds=1))
            seconds = monotonic() - began_s
            if not stand_still(self._dsn, self._connection, evidence.SETTLED, speed=self._plan.speed):
                raise RunnerError(
                    "Claims have no row, or orders no outcome, wherever market time is stopped."
                )
            for node in self._nodes:
                self._stop(node)
        finally:
            for node in self._nodes:
                node.kill()
        return self._judged(first, last, seconds, rounds)

    # -- the restart ----------------------------------------------------------------------------

    def _roll_until(self, last: datetime) -> int:
        """One process after the other, over and over, as long as time is left; how often all were replaced."""
        done = 0
        while evidence.market_now(self._connection) < last or done < len(self._nodes):
            node = self._nodes[done % len(self._nodes)]
            self._stop(node)
            node.start(renamed=True)
            self._await_ready(node)
            done += 1
            _say(f"{evidence.market_now(self._connection):%H:%M:%S}  {node.name} is up")
        return done // len(self._nodes)

    def _stop(self, node: Node) -> None:
        began_s = monotonic()
        node.ask_to_end()
        answers = []
        while node.ended is None and monotonic() - began_s < STOP_TIMEOUT_S:
            answers.append(_ready(node))
            sleep(LOOK_S)
        self._stops.append(monotonic() - began_s)
        self._say_if(ENDS, node.ended != 0, f"{node.name}: exit code {node.ended}")
        heard = [each for each in answers[1:] if each is not None]
        self._say_if(TRUTH, 200 in heard[1:], f"{node.name}: {heard[:20]}")

    def _await_ready(self, node: Node) -> None:
        deadline_s = monotonic() + UP_TIMEOUT_S
        while _ready(node) != 200:
            if node.ended is not None or monotonic() > deadline_s:
                raise RunnerError(f"{node.name} did not come up: {_tail(node.log)}")
            sleep(LOOK_S)

    def _next_slot(self) -> datetime:
        """The first minute of which every run is awaited a row: the one after next."""
        now = evidence.market_now(self._connection)
        return now.replace(second=0, microsecond=0) + timedelta(minutes=2)

    # -- what came of it ------------------------------------------------------------------------

    def _rows(self, first: datetime, last: datetime) -> int:
        runs = [str(run_id) for run_id in self._owners]
        row = self._connection.execute(
            "SELECT count(*) FROM strategy_tick_runs WHERE run_id = ANY(%s::uuid[]) AND slot BETWEEN %s AND %s",
            [runs, first, last],
        ).fetchone()
        return 0 if row is None else int(row[0])

    def _judged(self, first: datetime, last: datetime, seconds: float, rounds: int) -> RollingReport:
        named = {"runs": [str(run_id) for run_id in self._owners], "first": first, "last": last}
        cut_off = self._connection.execute(
            """SELECT run_id::text, slot::text, status, reason FROM strategy_tick_runs
                WHERE run_id = ANY(%(runs)s::uuid[]) AND slot >= %(first)s
                  AND (status = 'missed' OR reason = 'interrupted') ORDER BY slot LIMIT 20""",
            named,
        ).fetchall()
        ticks = self._connection.execute(
            """SELECT status || coalesce(' ' || reason, ''), count(*) FROM strategy_tick_runs
                WHERE run_id = ANY(%(runs)s::uuid[]) AND slot BETWEEN %(first)s AND %(last)s GROUP BY 1""",
            named,
        ).fetchall()
        wanted, found = self._plan.minutes * len(self._owners), self._rows(first, last)
        self._say_if(MISSED, bool(cut_off), *cut_off, times=wanted)
        self._say_if(WHOLE, found != wanted, f"{found:,} rows of {wanted:,}", times=wanted)
        for text, rows in evidence.broken(self._connection, evidence.ALWAYS, evidence.SETTLED).items():
            self._say_if(text, True, *rows)
        for text in (*evidence.ALWAYS, *evidence.SETTLED):
            self._checked[text] += 1
        return RollingReport(
            held=not self._broken,
            seconds=round(seconds, 1),
            minutes=self._plan.minutes,
            processes=self._plan.processes,
            runs=self._plan.runs,
            restarts=len(self._stops) - len(self._nodes),
            rounds=rounds,
            slots=wanted,
            ticks=dict(ticks),
            longest_stop_s=round(max(self._stops), 1),
            statements=[
                Statement(text=text, checked=times, rows=self._broken.get(text, []))
                for text, times in self._checked.items()
            ],
        )

    def _say_if(self, text: str, broken: bool, *rows: Any, times: int = 1) -> None:
        self._checked[text] += times
        if broken:
            _say(f"BROKEN: {text}: {rows[:1]}")
            self._broken.setdefault(text, []).extend(rows[:20])


def _ready(node: Node) -> int | None:
    """The status of /readyz; None while nobody answers."""
    if node.address is None:
        return None
    try:
        with urllib.request.urlopen(f"{node.address}readyz", timeout=2.0) as answer:  # noqa: S310 (our own process)
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
