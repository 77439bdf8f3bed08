"""The drill of faults: outcomes nobody tells, a switch thrown from outside, a second look that finds nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import msgspec

from bin.drill.crash_checks import LOST, ONCE, RE_SENT, STOPS, UNSETTLED
from bin.drill.crash_world import LOOK_S, CrashWorld, WorldPlan, crash_world, say
from bin.drill.gaps import Armed, Blow, Gap, arm, struck_within
from bin.drill.left import SECRETS
from bin.drill.report import Statement
from bin.drill.stage import rows, set_rate
from core.connection import Venue
from core.order import Leg
from schema import evidence

REACH_TIMEOUT_S: Final = 60.0
SETTLE_TIMEOUT_S: Final = 60.0
AWAY_S: Final = 12.0
SILENCE_S: Final = 1.0
"""I8: the last order is sent so long after the switch commits."""
WATCHED_S: Final = 3.0
LOOKED_TIMEOUT_S: Final = 45.0
ORDER_PATH: Final = {Venue.BINANCE: "/fapi/v1/order", Venue.BYBIT: "/v5/order/create"}
POSITIONS: Final = ("/fapi/v3/positionRisk", "/fapi/v2/positionRisk", "/v5/position/list")
REAL_TIME: Final = 1.0
"""Market seconds per second once a fault has struck: how long an absence takes to be final is said in real ones."""

RESOLVED: Final = "I4: an order of unknown outcome has one within 60 s of the venue answering"
STRUCK: Final = "every fault struck an order"
SILENT: Final = "I8: no order is sent later than 1 s after the kill switch commits in another process"
SECOND: Final = "I17: a second reconciliation tells nothing"

_UNKNOWN = '{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
_BUSY = '{"code":-1,"msg":"Service Unavailable."}'
_INTERNAL = '{"code":-1,"msg":"Internal error; unable to process your request. Please try again."}'
_SERVER = '{"retCode":10016,"retMsg":"Server error.","result":{},"retExtInfo":{},"time":0}'
_TIMED_OUT = '{"retCode":10000,"retMsg":"Server Timeout","result":{},"retExtInfo":{},"time":0}'

AWAY: Final = "accepted, then the venue is away"
LISTED_LATE: Final = "accepted, never answered, listed 20 s later"
UNTOLD: Final = "accepted, never answered, and the stream tells nothing"
EVERYWHERE: Final[Mapping[str, Mapping[str, Any]]] = {
    "accepted, never answered": {"kind": "silent"},
    "accepted, connection closed": {"kind": "drop_after"},
    "never arrived, connection closed": {"kind": "drop_before"},
    "accepted, answer cut off": {"kind": "truncate", "bytes": 5},
    "accepted, 502": {"kind": "afterwards", "status": 502, "body": "<html>Bad Gateway</html>"},
    UNTOLD: {"kind": "silent"},
    LISTED_LATE: {"kind": "silent"},
    AWAY: {"kind": "silent"},
}
AT: Final[Mapping[Venue, Mapping[str, Mapping[str, Any]]]] = {
    Venue.BINANCE: {
        "accepted, 503 Unknown error": {"kind": "afterwards", "status": 503, "body": _UNKNOWN},
        "not taken, 503 Unknown error": {"kind": "instead", "status": 503, "body": _UNKNOWN},
        "not taken, 503 Service Unavailable": {"kind": "instead", "status": 503, "body": _BUSY},
        "not taken, 503 Internal error": {"kind": "instead", "status": 503, "body": _INTERNAL},
    },
    Venue.BYBIT: {
        "accepted, 10016 Server error": {"kind": "afterwards", "status": 200, "body": _SERVER},
        "not taken, 10000 Server Timeout": {"kind": "instead", "status": 200, "body": _TIMED_OUT},
    },
}


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    venues: tuple[Venue, ...]
    users: int
    speed: float
    lease_s: float
    switches: int
    seed: int
    data: Path | None = None


class FaultSettled(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`settled_s`: from the fault, or from when the venue answered again."""

    venue: Venue
    fault: str
    orders: Sequence[str]
    settled_s: float


class FaultsReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`last_sent_s`: of orders, after a switch; below 0: none was sent after it."""

    held: bool
    seconds: float
    faults: Sequence[FaultSettled]
    longest_settled_s: float
    last_sent_s: float
    statements: Sequence[Statement]


def drill(plan: Plan) -> FaultsReport:
    """Raises RunnerError when the drill cannot be held."""
    world = WorldPlan(
        venues=plan.venues,
        users=plan.users * len(plan.venues),
        speed=plan.speed,
        lease_s=plan.lease_s,
        length=timedelta(days=2),
        data=plan.data,
    )
    with crash_world(world) as made:
        return Faults(plan, made).held()


class Faults:
    def __init__(self, plan: Plan, world: CrashWorld) -> None:
        self._plan = plan
        self._world = world
        self._victim = world.victims[0]
        self._rng = random.Random(plan.seed)  # noqa: S311 - when the switch is thrown
        self._checked: dict[str, int] = {}
        self._broken: dict[str, list[Any]] = {}
        self._last_sent_s = -1.0

    def held(self) -> FaultsReport:
        began_s = monotonic()
        self._world.start(self._victim)
        settled = list(self._strike_all())
        self._throw_switches()
        self._look_twice()
        self._statement(SECRETS, *self._world.traces())
        return FaultsReport(
            held=not self._broken,
            seconds=round(monotonic() - began_s, 1),
            faults=settled,
            longest_settled_s=max((each.settled_s for each in settled), default=0.0),
            last_sent_s=round(self._last_sent_s, 3),
            statements=[
                Statement(text=text, checked=times, rows=self._broken.get(text, []))
                for text, times in self._checked.items()
            ],
        )

    # -- outcomes nobody tells ------------------------------------------------------------------

    def _strike_all(self) -> Iterator[FaultSettled]:
        for venue in self._plan.venues:
            for name, fault in {**EVERYWHERE, **AT[venue]}.items():
                done = self._strike(venue, name, fault)
                self._agree(f"{venue} {name}")
                if done is not None:
                    say(f"{venue} {name}: settled after {done.settled_s:.1f} s")
                    yield done

    def _strike(self, venue: Venue, name: str, fault: Mapping[str, Any]) -> FaultSettled | None:
        world, stand_in = self._world, self._world.venues[venue]
        if name == LISTED_LATE:
            stand_in.ask("POST", "faults", {"kind": "lookup_lag", "seconds": 20})
        if name in (UNTOLD, LISTED_LATE, AWAY):
            stand_in.ask("POST", "faults", {"kind": "streams", "lose": 1.0})
        stand_in.ask("POST", "faults", {**fault, "method": "POST", "path": ORDER_PATH[venue]})
        orders = self._await_struck(venue)
        since_s = monotonic()
        self._statement(STRUCK, *([] if orders else [f"{venue} {name}"]))
        if not orders:
            stand_in.ask("DELETE", "faults")
            return None
        set_rate(world.dsn, REAL_TIME)
        if name == AWAY:
            stand_in.ask("POST", "faults", {"kind": "drop_before", "times": None})
            stand_in.ask("POST", "faults", {"kind": "drop_sockets"})
            sleep(AWAY_S)
            stand_in.ask("DELETE", "faults")
            since_s = monotonic()
        sleep(LOOK_S)
        settled_s = world.settled_after(since_s, orders, SETTLE_TIMEOUT_S)
        stand_in.ask("DELETE", "faults")
        self._statement(RESOLVED, *([] if settled_s is not None else [f"{venue} {name}: {sorted(orders)}"]))
        took_s = SETTLE_TIMEOUT_S if settled_s is None else settled_s
        return FaultSettled(venue=venue, fault=name, orders=sorted(orders), settled_s=round(took_s, 1))

    def _await_struck(self, venue: Venue) -> set[str]:
        """The orders that the fault met."""
        stand_in = self._world.venues[venue]
        known = len(self._world.sent(venue))
        deadline_s = monotonic() + REACH_TIMEOUT_S
        while monotonic() < deadline_s:
            if any(each["struck"] for each in stand_in.ask("GET", "faults")):
                return {each["client_id"] for each in self._world.sent(venue)[known:] if "fault" in each}
            sleep(LOOK_S)
        return set()

    # -- the kill switch ------------------------------------------------------------------------

    def _throw_switches(self) -> None:
        for number in range(self._plan.switches):
            sleep(self._rng.uniform(0.5, 3.0))
            frozen = self._frozen_at((Gap.COMMITTED, Gap.RE_READ)[number % 2]) if number % 3 else None
            with rows(self._world.dsn) as store:
                store.set_kill_switch(on=True, reason="drill")
                thrown_s = monotonic()
                if frozen is not None:
                    sleep(SILENCE_S * 1.5)
                    self._victim.node.resume()
                sleep(WATCHED_S)
                self._count_sent(thrown_s)
                store.set_kill_switch(on=False, reason="drill")
        say(
            f"The switch was thrown {self._plan.switches} times; last order {self._last_sent_s:.3f} s after it"
        )
        self._agree("kill switch")

    def _frozen_at(self, gap: Gap) -> str | None:
        """The process stands still with an order between intent and first byte; which one."""
        armed = Armed(
            gap=gap,
            blow=Blow.FREEZE,
            runs=frozenset(trader.run_id for trader in self._world.traders),
            legs=frozenset({Leg.ENTRY.value, Leg.EXIT.value}),
        )
        arm(self._victim.gap_file, armed)
        struck = struck_within(self._victim.gap_file, REACH_TIMEOUT_S)
        self._statement(STRUCK, *([] if struck is not None else [f"{gap} for the switch"]))
        return None if struck is None else struck.what

    def _count_sent(self, thrown_s: float) -> None:
        late = []
        for venue in self._plan.venues:
            for entry in self._world.sent(venue):
                after_s = entry["process_s"] - thrown_s
                self._last_sent_s = max(self._last_sent_s, after_s) if after_s > 0 else self._last_sent_s
                if after_s > SILENCE_S:
                    late.append(f"{venue} {entry['client_id']}: {after_s:.2f} s")
        self._statement(SILENT, *late)

    # -- a second look --------------------------------------------------------------------------

    def _look_twice(self) -> None:
        """Market time stands; a process begins anew, reconciles, and the next one after it as well."""
        world = self._world
        set_rate(world.dsn, 0.0)
        self._look()
        before = evidence.number(world.connection, "SELECT coalesce(max(id), 0) FROM strategy_events")
        self._look()
        told = world.connection.execute(
            "SELECT type, run_id::text, payload::text FROM strategy_events WHERE id > %s", [before]
        ).fetchmany(5)
        self._statement(SECOND, *map(str, told))

    def _look(self) -> None:
        """Every account is looked at by a process that has just begun."""
        world = self._world
        marks = {venue: self._entries(venue, 0)[-1]["seq"] for venue in self._plan.venues}
        self._victim.node.stop(30.0)
        world.start(self._victim)
        deadline_s = monotonic() + LOOKED_TIMEOUT_S
        while self._looked_at(marks) < len(world.traders) and monotonic() < deadline_s:
            sleep(LOOK_S)
        self._statement(
            SECOND, *([] if self._looked_at(marks) == len(world.traders) else ["not all were looked at"])
        )
        sleep(WATCHED_S)

    def _looked_at(self, marks: Mapping[Venue, int]) -> int:
        return sum(
            len({each["key"] for each in self._entries(venue, mark) if each["path"] in POSITIONS})
            for venue, mark in marks.items()
        )

    def _entries(self, venue: Venue, since: int) -> list[Mapping[str, Any]]:
        entries: list[Mapping[str, Any]] = self._world.venues[venue].ask("GET", f"journal?since={since}")[
            "entries"
        ]
        return entries

    # -- statements -----------------------------------------------------------------------------

    def _agree(self, after: str) -> None:
        wrong = self._world.wrong()
        for text in (ONCE, RE_SENT, LOST, UNSETTLED, STOPS, *evidence.ALWAYS):
            self._statement(text, *(f"{after}: {row}" for row in wrong.get(text, ())))

    def _statement(self, text: str, *broken: str) -> None:
        self._checked[text] = self._checked.get(text, 0) + 1
        if broken:
            say(f"BROKEN: {text}: {broken[0]}")
            self._broken.setdefault(text, []).extend(broken)
