"""The drill of kills: blows at random moments, the database asked after each, all totals counted anew at the end."""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from actors.clock_keeper import MAX_HOLD_S
from actors.demo import demo_of
from actors.demo_source import demo_source
from bin.drill.node import Node, settings_of
from bin.drill.orphans import Loss, longest_orphan
from bin.drill.report import Report, Statement
from bin.drill.standstill import stand_still
from bin.drill.watch import ClaimWatch
from bin.drill.world import make_world
from bin.kept_server import kept_server
from core.errors import RunnerError
from core.ids import NodeId, RunId, UserId
from core.risk import RiskLimits
from facade.settings_file import load_settings
from schema import evidence
from schema.migrate import migrate
from schema.pg import PgStore

UP_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 30.0
LOOK_S: Final = 0.05
FREEZE_SHARE: Final = 0.25
FREEZE_LEASES: Final = (1.1, 1.8)
"""How long a frozen process stands, in leases: long enough that others have its runs when it wakes."""
RENAMED_SHARE: Final = 0.5
LOG_LINES: Final = 5
SAMPLED_S: Final = 0.2
"""How exactly the moments of claims and blows are known."""

ORPHANS: Final = "no run is left alone for longer than a lease and a slot"
ENDS: Final = "no process ends by itself, and SIGTERM ends each with exit code 0 (I16)"
TIME: Final = "market time never goes back"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float
    processes: int
    runs: int
    lease_s: float
    speed: float
    every_s: float
    seed: int

    @property
    def orphan_bound_s(self) -> float:
        """A lease, and a slot: its minute at this speed, and what time may stand for ticks that are not durable."""
        return self.lease_s + 60 / self.speed + MAX_HOLD_S + SAMPLED_S


def drill(plan: Plan, database: str | None) -> Report:
    """Raises RunnerError when the drill cannot be held: a database that is not empty, processes that do not start."""
    with tempfile.TemporaryDirectory(prefix="runner-drill-") as made:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        with _server(database, folder) as dsn:
            return _held(plan, dsn, folder)


@contextmanager
def _server(database: str | None, folder: Path) -> Iterator[str]:
    if database is not None:
        if (table := evidence.held_by(database)) is not None:
            raise RunnerError(f"A drill needs an empty database; this one has rows in {table}.")
        migrate(database)
        yield database
        return
    with kept_server(folder / "postgres") as server:
        migrate(server.owner_dsn)
        yield server.service_dsn


def _held(plan: Plan, dsn: str, folder: Path) -> Report:
    _say(f"Creating {plan.runs:,} runs …")
    told = settings_of(dsn, folder, plan.lease_s)
    settings = load_settings(environ=told)
    store = PgStore(dsn, default_limits=RiskLimits(), worker="drill")
    try:
        owners = make_world(
            store,
            demo_of(demo_source(None, folder, settings).candles),
            runs=plan.runs,
            speed=plan.speed,
            before_midnight=timedelta(minutes=max(3, round(plan.seconds * plan.speed / 60 / 4))),
        )
    finally:
        store.close()
    with evidence.witness(dsn) as connection:
        nodes = [Node(place + 1, folder, told, plan.speed) for place in range(plan.processes)]
        drill = KillDrill(plan, dsn, connection, nodes, owners)
        try:
            return drill.held()
        finally:
            for node in nodes:
                node.kill()


class KillDrill:
    def __init__(
        self,
        plan: Plan,
        dsn: str,
        connection: evidence.Connection,
        nodes: Sequence[Node],
        owners: Mapping[RunId, UserId],
    ) -> None:
        self._plan = plan
        self._dsn = dsn
        self._connection = connection
        self._nodes = nodes
        self._owners = owners
        self._rng = random.Random(plan.seed)  # noqa: S311 - a repeatable choice of victims
        self._up: dict[NodeId, Node] = {}
        self._coming: dict[NodeId, tuple[Node, Any]] = {}
        self._losses: list[Loss] = []
        self._blows: Counter[str] = Counter()
        self._checked: Counter[str] = Counter()
        self._broken: dict[str, list[Any]] = {}
        self._began_s = 0.0
        self._market = evidence.market_now(connection)

    def held(self) -> Report:
        _say(f"Starting {len(self._nodes)} processes …")
        for node in self._nodes:
            self._start(node, renamed=False)
        self._await_all()
        self._began_s = monotonic()
        watch = ClaimWatch(self._dsn, self._owners)
        try:
            self._strike_on()
            self._await_all()
            self._pass_s(self._plan.lease_s)
        finally:
            watched_until_s = watch.stop()
        seconds = monotonic() - self._began_s
        self._settle()
        self._stop()
        return self._report(watch, watched_until_s, seconds)

    # -- blows ----------------------------------------------------------------------------------

    def _strike_on(self) -> None:
        end_s = self._began_s + self._plan.seconds
        thaws: list[tuple[float, Node]] = []
        blow_s = monotonic() + self._pause_s()
        while (now_s := monotonic()) < end_s or thaws:
            self._look()
            for due in [due for due in thaws if due[0] <= now_s]:
                thaws.remove(due)
                self._thaw(due[1])
            if blow_s <= now_s < end_s and len(self._up) >= 2:  # one is left to take over
                self._strike(thaws)
                self._check(evidence.ALWAYS)
                blow_s = monotonic() + self._pause_s()
            sleep(LOOK_S)

    def _pause_s(self) -> float:
        return self._rng.uniform(0.4, 1.6) * self._plan.every_s

    def _strike(self, thaws: list[tuple[float, Node]]) -> None:
        node = self._rng.choice([self._up[name] for name in sorted(self._up)])
        freeze = not thaws and self._rng.random() < FREEZE_SHARE
        before = sorted(self._up)
        del self._up[NodeId(node.name)]
        if freeze:
            node.freeze()
        else:
            node.kill()
        self._losses.append(Loss(at_s=monotonic(), node=NodeId(node.name), before=before))
        if freeze:
            self._blows["SIGSTOP"] += 1
            thaws.append((monotonic() + self._plan.lease_s * self._rng.uniform(*FREEZE_LEASES), node))
            self._tell(f"SIGSTOP of {node.name}")
            return
        self._blows["SIGKILL"] += 1
        self._tell(f"SIGKILL of {node.name}")
        self._start(node, renamed=self._rng.random() < RENAMED_SHARE)

    def _thaw(self, node: Node) -> None:
        node.resume()
        self._blows["SIGCONT"] += 1
        self._coming[NodeId(node.name)] = (node, evidence.process_now(self._connection))
        self._tell(f"SIGCONT of {node.name}")

    # -- processes ------------------------------------------------------------------------------

    def _start(self, node: Node, *, renamed: bool) -> None:
        node.start(renamed=renamed)
        self._coming[NodeId(node.name)] = (node, evidence.process_now(self._connection))

    def _look(self) -> None:
        """Who has beaten since it came is up; who has ended by itself is broken, and started again."""
        for name, (node, since) in list(self._coming.items()):
            if name in evidence.beating(self._connection, since):
                del self._coming[name]
                self._up[name] = node
        for name, node in [*self._up.items(), *((name, each[0]) for name, each in self._coming.items())]:
            if (code := node.ended) is not None:
                self._break(ENDS, (name, f"exit code {code}", *_last_lines(node.log)))
                self._up.pop(name, None)
                self._coming.pop(name, None)
                self._start(node, renamed=False)
        now = evidence.market_now(self._connection)
        self._checked[TIME] += 1
        if now < self._market:
            self._break(TIME, (self._market, now))
        self._market = max(now, self._market)

    def _await_all(self) -> None:
        deadline_s = monotonic() + UP_TIMEOUT_S
        while len(self._up) < len(self._nodes):
            self._look()
            if monotonic() > deadline_s:
                waiting = ", ".join(sorted(self._coming))
                raise RunnerError(f"After {UP_TIMEOUT_S:g} s these processes had not come up: {waiting}.")
            sleep(LOOK_S)

    def _pass_s(self, seconds: float) -> None:
        end_s = monotonic() + seconds
        while monotonic() < end_s:
            self._look()
            sleep(LOOK_S)

    def _stop(self) -> None:
        for node in self._nodes:
            self._checked[ENDS] += 1
            if (code := node.stop(STOP_TIMEOUT_S)) != 0:
                self._break(ENDS, (node.name, f"exit code {code} after SIGTERM", *_last_lines(node.log)))

    # -- statements -----------------------------------------------------------------------------

    def _settle(self) -> None:
        """Market time stands where what is under way has ended; then everything is counted anew."""
        self._tell("Stopping market time; waiting for what is under way")
        groups = (evidence.SETTLED, evidence.GAPS, evidence.RECOUNTED)
        stand_still(self._dsn, self._connection, *groups, speed=self._plan.speed, wait=self._pass_s)
        self._check(evidence.ALWAYS, *groups)

    def _check(self, *groups: Mapping[str, str]) -> None:
        self._checked.update(text for group in groups for text in group)
        for text, rows in evidence.broken(self._connection, *groups).items():
            for row in rows:
                self._break(text, row)

    def _break(self, text: str, row: object) -> None:
        rows = self._broken.setdefault(text, [])
        if not rows:
            self._tell(f"BROKEN: {text}: {row}")
        if len(rows) < 5 and row not in rows:
            rows.append(row)

    def _report(self, watch: ClaimWatch, watched_until_s: float, seconds: float) -> Report:
        orphan = longest_orphan(watch.seen, self._owners, self._losses, end_s=watched_until_s)
        bound_s = self._plan.orphan_bound_s
        self._checked[ORPHANS] += sum(map(len, watch.seen.values()))
        if orphan is None or min(map(len, watch.seen.values())) == 0:
            self._break(ORPHANS, ("a run was never claimed",))
        elif orphan.seconds > bound_s:
            since_s = orphan.since_s - self._began_s
            self._break(ORPHANS, (str(orphan.run_id), f"{orphan.seconds:.1f} s from second {since_s:.1f} on"))
        counts = evidence.counts(
            self._connection,
            """SELECT 'orders', count(*) FROM orders UNION ALL SELECT 'fills', count(*) FROM fills
                UNION ALL SELECT 'trades', count(*) FROM trades
                UNION ALL SELECT 'events', count(*) FROM strategy_events""",
        )
        ticks = "SELECT coalesce(reason, status), count(*) FROM strategy_tick_runs GROUP BY 1 ORDER BY 2 DESC"
        return Report(
            held=not self._broken,
            seconds=round(seconds, 1),
            processes=self._plan.processes,
            runs=self._plan.runs,
            lease_s=self._plan.lease_s,
            blows=dict(self._blows),
            slots=len(watch.slots),
            ticks=evidence.counts(self._connection, ticks),
            longest_orphan_s=round(orphan.seconds if orphan else 0.0, 1),
            orphan_bound_s=round(bound_s, 1),
            statements=[
                Statement(text=text, checked=times, rows=self._broken.get(text, []))
                for text, times in self._checked.items()
            ],
            **counts,
        )

    def _tell(self, what: str) -> None:
        at_s = monotonic() - self._began_s
        up = ", ".join(sorted(self._up)) or "nobody"
        _say(f"{at_s:6.1f} s  {self._market:%H:%M}  {what}; up: {up}")


def _last_lines(log: Path) -> list[str]:
    return log.read_text(errors="replace").splitlines()[-LOG_LINES:]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
