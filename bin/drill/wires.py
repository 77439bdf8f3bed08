"""The drill of wires: real processes trade at simulated venues, then the venues' own books are held against ours."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from actors.demo import Demo
from bin.drill.books import Compared, by_account, compare
from bin.drill.left import SECRETS, traces_left
from bin.drill.node import Node, settings_of
from bin.drill.report import Statement
from bin.drill.stage import CANDLES, make_rows, make_tapes, master_keys, set_rate
from bin.drill.stand_in import StandIn
from bin.drill.traders import Trader
from bin.kept_server import kept_server
from core.connection import Venue
from core.errors import RunnerError
from core.ids import ClientOrderId, parse_client_order_id
from schema import evidence
from schema.migrate import migrate

LEASE_S: Final = 10.0
LOOK_S: Final = 0.5
SETTLED_EVERY: Final = timedelta(hours=8)
FUNDING_RATE: Final = Decimal("0.0001")
UP_TIMEOUT_S: Final = 60.0
SETTLE_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 30.0
TOLD_EVERY: Final = timedelta(hours=2)

_COUNTS: Final = """
    WITH live AS (SELECT id FROM strategy_runs WHERE trading_mode = 'live')
    SELECT 'orders', count(*) FROM orders WHERE run_id IN (SELECT id FROM live)
     UNION ALL SELECT 'trades', count(*) FROM trades WHERE run_id IN (SELECT id FROM live)"""
BOOKS: Final = "the venues' own books and ours agree, fill by fill and to the last cent"
ONCE: Final = "I3: no client id made two orders at a venue"
ENDS: Final = "every process ends on SIGTERM with exit code 0 (I16)"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    hours: float
    users: int
    processes: int
    speed: float
    venues: tuple[Venue, ...]
    data: Path | None


class WiresReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    held: bool
    seconds: float
    market_hours: float
    users: int
    venues: Sequence[str]
    orders: int
    fills: int
    funding: int
    trades: int
    statements: Sequence[Statement]


def drill(plan: Plan) -> WiresReport:
    """Raises RunnerError when the drill cannot be held."""
    with tempfile.TemporaryDirectory(prefix="runner-wires-") as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        demo, tapes = make_tapes(plan.data, timedelta(hours=plan.hours), folder)
        server = stack.enter_context(kept_server(folder / "postgres"))
        migrate(server.owner_dsn)
        at = demo.stage.start.isoformat()
        venues = {}
        for venue in plan.venues:
            venues[venue] = StandIn(venue, folder, tapes, at)
            stack.callback(venues[venue].stop)
        return _Held(plan, server.service_dsn, folder, demo, venues).held()


class _Held:
    def __init__(self, plan: Plan, dsn: str, folder: Path, demo: Demo, venues: dict[Venue, StandIn]) -> None:
        self._plan = plan
        self._dsn = dsn
        self._folder = folder
        self._demo = demo
        self._venues = venues
        self._settings = settings_of(dsn, folder, LEASE_S) | {
            "RUNNER_MASTER_KEYS": master_keys(),
            "RUNNER_GRACE_SEC": "5",
        }
        for venue in venues.values():
            self._settings |= venue.settings
        self._broken: dict[str, list[Any]] = {}
        self._checked: dict[str, int] = {}

    def held(self) -> WiresReport:
        traders = self._seed()
        began_s = monotonic()
        nodes = [
            Node(place + 1, self._folder, self._settings, self._plan.speed, data=self._folder / CANDLES)
            for place in range(self._plan.processes)
        ]
        with evidence.witness(self._dsn) as connection:
            try:
                for node in nodes:
                    node.start(renamed=False)
                start = evidence.market_now(connection)
                self._play(connection, nodes, start + timedelta(hours=self._plan.hours))
                market_hours = (evidence.market_now(connection) - start).total_seconds() / 3600
                self._stand_still(connection)
                compared = self._compare(connection, traders)
                for node in nodes:
                    code = node.stop(STOP_TIMEOUT_S)
                    self._statement(ENDS, *([] if code == 0 else [f"{node.name}: exit code {code}"]))
            finally:
                for node in nodes:
                    node.kill()
            secrets = [each for venue in self._venues.values() for each in venue.secrets]
            found, _ = traces_left(secrets, self._folder, [connection])
            self._statement(SECRETS, *found)
            counts = evidence.counts(connection, _COUNTS)
        return WiresReport(
            held=not self._broken,
            seconds=round(monotonic() - began_s, 1),
            market_hours=round(market_hours, 2),
            users=len(traders),
            venues=sorted(self._venues),
            fills=sum(each.fills for each in compared),
            funding=sum(each.funding for each in compared),
            statements=[
                Statement(text=text, checked=times, rows=self._broken.get(text, []))
                for text, times in self._checked.items()
            ],
            **counts,
        )

    def _seed(self) -> list[Trader]:
        _say(f"Creating {self._plan.users} users on {' and '.join(sorted(self._venues))} …")
        for venue in self._venues.values():
            for symbol in self._demo.stage.symbols:
                venue.set_funding(symbol, _funding(self._demo))
        return make_rows(
            self._dsn, self._settings, self._demo, self._venues, self._plan.users, speed=self._plan.speed
        )

    def _play(self, connection: evidence.Connection, nodes: Sequence[Node], end: datetime) -> None:
        told = now = evidence.market_now(connection)
        began_s = monotonic()
        while now < end:
            sleep(LOOK_S)
            now = evidence.market_now(connection)
            if now - told >= TOLD_EVERY:
                told = now
                _say(f"{monotonic() - began_s:6.1f} s  {now:%m-%d %H:%M} of {end:%m-%d %H:%M}")
            for node in nodes:
                if node.ended is not None:
                    raise RunnerError(f"{node.name} ended by itself: see {_tail(node.log)}")

    def _stand_still(self, connection: evidence.Connection) -> None:
        """Market time stands; what is under way ends."""
        _say("Market time stands; waiting for what is under way")
        set_rate(self._dsn, 0.0)
        deadline_s = monotonic() + SETTLE_TIMEOUT_S
        while evidence.broken(connection, evidence.SETTLED, evidence.GAPS) and monotonic() < deadline_s:
            sleep(1.0)
        sleep(LEASE_S)

    def _compare(self, connection: evidence.Connection, traders: Sequence[Trader]) -> list[Compared]:
        """Until they agree or the time to settle is over: a fill may be on its way."""
        deadline_s = monotonic() + SETTLE_TIMEOUT_S
        while True:
            books = by_account(evidence.books(connection), traders)
            theirs = {venue: stand_in.accounts() for venue, stand_in in self._venues.items()}
            compared = [
                compare(trader, theirs[trader.venue][trader.name], books[trader.account_id])
                for trader in traders
            ]
            differences = [line for each in compared for line in each.differences]
            if not differences or monotonic() > deadline_s:
                break
            sleep(2.0)
        self._statement(BOOKS, *differences, times=len(traders))
        for venue, stand_in in self._venues.items():
            created = {
                client_id: times
                for client_id, times in stand_in.created().items()
                if parse_client_order_id(ClientOrderId(client_id)) is not None
            }
            twice = [f"{venue}: {client_id} made {n}" for client_id, n in created.items() if n > 1]
            self._statement(ONCE, *twice, times=len(created))
        for text, found in evidence.broken(
            connection, evidence.ALWAYS, evidence.SETTLED, evidence.GAPS, evidence.RECOUNTED
        ).items():
            self._statement(text, *found)
        for text in (*evidence.ALWAYS, *evidence.SETTLED, *evidence.GAPS, *evidence.RECOUNTED):
            self._checked[text] = self._checked.get(text, 0) + 1
        return compared

    def _statement(self, text: str, *broken: Any, times: int = 1) -> None:
        self._checked[text] = self._checked.get(text, 0) + times
        if broken:
            _say(f"BROKEN: {text}: {broken[0]}")
            self._broken.setdefault(text, []).extend(broken[:20])


def _funding(demo: Demo) -> dict[datetime, Decimal]:
    """Every eight hours of what is played, paid by the longs and by the shorts in turn."""
    start, end = demo.stage.span
    times = [start + SETTLED_EVERY * number for number in range((end - start) // SETTLED_EVERY + 1)]
    return {at: FUNDING_RATE * (-1) ** number for number, at in enumerate(times)}


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
