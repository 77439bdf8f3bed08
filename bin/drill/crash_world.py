"""The world of the crash drill: one database, simulated venues, live accounts, and one or two processes."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from bin.drill import crash_checks
from bin.drill.books import by_account
from bin.drill.gaps import GAP_FILE
from bin.drill.left import traces_left
from bin.drill.node import Node, settings_of
from bin.drill.stage import CANDLES, make_rows, make_tapes, master_keys, set_rate
from bin.drill.stand_in import StandIn
from bin.drill.traders import Trader
from bin.kept_server import kept_server
from core.connection import Venue
from core.errors import RunnerError
from core.ids import RunId
from core.timeframe import Timeframe
from schema import evidence
from schema.migrate import migrate

UP_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 30.0
AGREE_TIMEOUT_S: Final = 60.0
"""Rows and venues may differ for so long while time stands: what was under way ends."""
STAND_S: Final = 12.0
"""After so long without agreement time goes on for a moment: an absence is final by the venue's time only."""
GO_ON_S: Final = 4.0
LOOK_S: Final = 0.1
GAPPED: Final = ("bin.drill.gapped",)


class Victim:
    """A place for a process that can be struck."""

    def __init__(self, place: int, folder: Path, settings: Mapping[str, str], speed: float) -> None:
        self.gap_file = folder / f"node-{place}.gap"
        told = {**settings, GAP_FILE: str(self.gap_file)}
        self.node = Node(place, folder, told, speed, data=folder / CANDLES, program=GAPPED)


class CrashWorld:
    def __init__(
        self,
        dsn: str,
        connection: evidence.Connection,
        venues: Mapping[Venue, StandIn],
        traders: Sequence[Trader],
        victims: tuple[Victim, Victim],
        speed: float,
    ) -> None:
        self.dsn = dsn
        self.connection = connection
        self.venues = venues
        self.traders = traders
        self.victims = victims
        self.speed = speed
        self._known: dict[str, set[str]] = {}

    def traces(self) -> list[str]:
        """Where a piece of a key stands that should not."""
        folder = next(iter(self.venues.values())).log.parent
        secrets = [each for venue in self.venues.values() for each in venue.secrets]
        return traces_left(secrets, folder, [self.connection])[0]

    def runs_at(self, venue: Venue) -> frozenset[RunId]:
        return frozenset(trader.run_id for trader in self.traders if trader.venue is venue)

    # -- processes ------------------------------------------------------------------------------

    def start(self, victim: Victim, *, renamed: bool = False) -> None:
        """Back once it beats; raises RunnerError for one that does not come up."""
        since = evidence.process_now(self.connection)
        victim.node.start(renamed=renamed)
        deadline_s = monotonic() + UP_TIMEOUT_S
        while victim.node.name not in evidence.beating(self.connection, since):
            if victim.node.ended is not None or monotonic() > deadline_s:
                said = victim.node.log.read_text(errors="replace")[-1500:]
                raise RunnerError(f"{victim.node.name} did not come up: {said}")
            sleep(LOOK_S)

    def await_end(self, victim: Victim) -> int | None:
        """The exit code; None when it has not ended in time."""
        deadline_s = monotonic() + STOP_TIMEOUT_S
        while victim.node.ended is None and monotonic() < deadline_s:
            sleep(LOOK_S)
        return victim.node.ended

    # -- what is open, and what is wrong --------------------------------------------------------

    def open_orders(self) -> set[str]:
        """Orders of live runs whose fate is open."""
        return {
            row.client_order_id
            for row in evidence.live_orders(self.connection)
            if row.status in ("intent", "unknown", "submitted", "partial")
        }

    def settled_after(self, since_s: float, orders: set[str], timeout_s: float) -> float | None:
        """When the last of these orders had its outcome, seconds after `since_s`; None: not in time."""
        while orders & self.open_orders():
            if monotonic() - since_s > timeout_s:
                return None
            sleep(LOOK_S)
        return monotonic() - since_s

    def wrong(self) -> dict[str, list[str]]:
        """Once time stands and all agree, or the time to agree is over; time goes on again afterwards.

        What was wrong before is not told again.
        """
        end_s = monotonic() + AGREE_TIMEOUT_S
        set_rate(self.dsn, 0.0)
        stood_s = monotonic()
        while (wrong := self._news_of(self._found())) and monotonic() < end_s:
            if monotonic() - stood_s > STAND_S:
                set_rate(self.dsn, self.speed)
                sleep(GO_ON_S)
                set_rate(self.dsn, 0.0)
                stood_s = monotonic()
            sleep(0.3)
        for text, rows in evidence.broken(self.connection, evidence.ALWAYS).items():
            wrong.setdefault(text, []).extend(map(str, rows))
        wrong = self._news_of(wrong)
        for text, told in wrong.items():
            self._known.setdefault(text, set()).update(told)
        set_rate(self.dsn, self.speed)
        return wrong

    def sent(self, venue: Venue) -> list[Mapping[str, Any]]:
        """Requests that make orders, as the venue's journal has them."""
        entries: list[Mapping[str, Any]] = self.venues[venue].ask("GET", "journal")["entries"]
        return [each for each in entries if (each["method"], each["path"]) in crash_checks.ORDER_PATHS]

    def _found(self) -> dict[str, list[str]]:
        journals = {venue: each.ask("GET", "journal") for venue, each in self.venues.items()}
        told = crash_checks.Venues(
            accounts={venue: each.accounts() for venue, each in self.venues.items()},
            created={venue: journal["created"] for venue, journal in journals.items()},
            sent={venue: journal["entries"] for venue, journal in journals.items()},
        )
        books = by_account(evidence.books(self.connection), self.traders)
        return crash_checks.found(told, evidence.live_orders(self.connection), books, self.traders)

    def _news_of(self, wrong: Mapping[str, list[str]]) -> dict[str, list[str]]:
        fresh = {
            text: [row for row in rows if row not in self._known.get(text, ())]
            for text, rows in wrong.items()
        }
        return {text: rows for text, rows in fresh.items() if rows}


class WorldPlan(msgspec.Struct, frozen=True, kw_only=True):
    venues: tuple[Venue, ...]
    users: int
    speed: float
    lease_s: float
    length: timedelta
    data: Path | None = None


@contextmanager
def crash_world(plan: WorldPlan) -> Iterator[CrashWorld]:
    """Nothing runs yet but database and venues; everything is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="runner-crash-") as made, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o755)  # the database server may run as another user
        demo, tapes = make_tapes(plan.data, plan.length, folder)
        server = stack.enter_context(kept_server(folder / "postgres"))
        migrate(server.owner_dsn)
        dsn = server.service_dsn
        settings = settings_of(dsn, folder, plan.lease_s) | {"RUNNER_MASTER_KEYS": master_keys()}
        venues: dict[Venue, StandIn] = {}
        for venue in plan.venues:
            venues[venue] = StandIn(venue, folder, tapes, demo.stage.start.isoformat())
            stack.callback(venues[venue].stop)
            settings |= venues[venue].settings
        traders = make_rows(
            dsn, settings, demo, venues, plan.users, speed=plan.speed, timeframes=(Timeframe.M1,)
        )
        victims = (Victim(1, folder, settings, plan.speed), Victim(2, folder, settings, plan.speed))
        for victim in victims:
            stack.callback(victim.node.kill)
        connection = stack.enter_context(evidence.witness(dsn))
        yield CrashWorld(dsn, connection, venues, traders, victims, plan.speed)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
