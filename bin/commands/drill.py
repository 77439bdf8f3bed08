"""`drill`: what the service promises, tried on real processes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Protocol, TypeVar

import typer

from bin.drill.gaps import Blow, Gap
from core.connection import Venue


class Judged(Protocol):
    """A drill's report."""

    @property
    def held(self) -> bool: ...


R = TypeVar("R", bound=Judged)


def register(app: typer.Typer) -> None:
    drill = typer.Typer(help="Try the service's promises on real processes of this machine.")

    @drill.callback()
    def drills() -> None:
        """Try the service's promises on real processes of this machine."""

    drill.command()(kill)
    drill.command()(wires)
    drill.command()(crash)
    drill.command()(faults)
    for name in ("rolling", "cron", "operator"):
        importlib.import_module(f"bin.commands.drill_{name}").register(drill)
    app.add_typer(drill, name="drill", no_args_is_help=True)


def kill(
    minutes: Annotated[float, typer.Option(min=0.1, max=1_440, help="How long to go on.")] = 5.0,
    processes: Annotated[int, typer.Option(min=2, max=9, help="`serve` processes on one database.")] = 3,
    runs: Annotated[int, typer.Option(min=10, max=5_000, help="One-minute runs, ten to a user.")] = 200,
    lease: Annotated[float, typer.Option(min=5, max=120, help="RUNNER_LEASE_SEC of the processes.")] = 5.0,
    speed: Annotated[float, typer.Option(min=1, max=3_600, help="Market seconds per second.")] = 60.0,
    every: Annotated[
        float, typer.Option(min=1, max=600, help="Mean seconds from one blow to the next.")
    ] = 5.0,
    seed: Annotated[
        int, typer.Option(help="Who is struck, when and how. The machine's timing is its own.")
    ] = 1,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An empty database to fill and leave so, for a look at it afterwards. Without it a server of "
            "its own, gone afterwards; DATABASE_URL is not touched.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Kill -9 and freeze processes that share one database, and check that nothing is lost or done twice.

    Starts some `serve --demo` processes on one PostgreSQL, with runs of many users that trade on paper under tight
    limits, over a midnight. Every few seconds one of them gets SIGKILL and is started again, or SIGSTOP for longer
    than its lease and then SIGCONT. After each blow the database is asked for rows that break a promise: a slot
    decided twice, an order without its intent, a gap in the events, a risk total that its fills do not add up to.
    At the end time stands still, all totals are counted anew from orders, fills and round trips, and the longest
    time any run was left alone is held against a lease and a slot.

    Exit code 0: every statement held. 1: one was broken; the table says which, with the first rows that show it.

        bin/runner drill kill                           five minutes, three processes, 200 runs
        bin/runner drill kill --minutes 0.5 --runs 40   a quick look
    """
    from bin.drill.kill import Plan, drill
    from bin.drill.table import show

    plan = Plan(
        seconds=minutes * 60,
        processes=processes,
        runs=runs,
        lease_s=lease,
        speed=speed,
        every_s=every,
        seed=seed,
    )
    report = drill(plan, database)
    end(report, show, json=json)


def wires(
    hours: Annotated[float, typer.Option(min=0.1, max=240, help="Market hours to trade.")] = 24.0,
    users: Annotated[int, typer.Option(min=1, max=200, help="Users, each with a connection and a run.")] = 20,
    processes: Annotated[int, typer.Option(min=1, max=5, help="`serve` processes on one database.")] = 2,
    speed: Annotated[float, typer.Option(min=1, max=600, help="Market seconds per second.")] = 120.0,
    venue: Annotated[
        list[Venue] | None, typer.Option(help="A venue to trade at; may be given twice. Without: both.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Recorded one-minute candles; without them, generated ones."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Trade at simulated venues over real HTTP and WebSockets, and hold their books against ours.

    Starts a simulator for each venue and some `serve` processes on one database, with users whose keys are sealed
    as live ones are. They trade some hours of candles, with stops and targets at the venue; then time stands still,
    and every fill, position, day and funding in the venue's own ledger is compared with the rows.

    Exit code 0: the books agree to the last cent and every statement held. 1: they do not; the table says where.

        bin/runner drill wires                                a day, 20 users, both venues
        bin/runner drill wires --hours 1 --venue binance      a quick look
    """
    from bin.drill.table import show_wires
    from bin.drill.wires import Plan, drill

    plan = Plan(
        hours=hours,
        users=users,
        processes=processes,
        speed=speed,
        venues=tuple(venue or Venue),
        data=data,
    )
    report = drill(plan)
    end(report, show_wires, json=json)


def crash(
    seeds: Annotated[int, typer.Option(min=1, max=100, help="How often each blow, differently drawn.")] = 1,
    venue: Annotated[
        list[Venue] | None, typer.Option(help="A venue to trade at; may be given twice. Without: both.")
    ] = None,
    gap: Annotated[
        list[Gap] | None, typer.Option(help="A gap to strike in; may be repeated. Without: all.")
    ] = None,
    blow: Annotated[
        list[Blow] | None, typer.Option(help="A blow to deal; may be repeated. Without: all three.")
    ] = None,
    users: Annotated[int, typer.Option(min=2, max=50, help="Users at each venue, each with a run.")] = 6,
    speed: Annotated[float, typer.Option(min=1, max=240, help="Market seconds per second.")] = 60.0,
    lease: Annotated[float, typer.Option(min=5, max=120, help="RUNNER_LEASE_SEC of the processes.")] = 5.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Strike a process in every gap of an order's life, and let the venue's own books decide.

    A `serve --demo` process that trades at simulated venues strikes itself between two effects of an order's life:
    with SIGKILL or SIGTERM, after which it is started again, or with SIGSTOP for longer than its lease while another
    process has its runs, after which it goes on. Then time stands, and the venue's journal and ledger are held
    against the rows: no order made twice or sent again, none lost, none without its outcome, no position without
    its stop.

    Exit code 0: every cell held. 1: one did not; the table says which, and what was found.

        bin/runner drill crash                                          every gap and blow, both venues
        bin/runner drill crash --venue binance --gap on-wire --blow kill --seeds 5
    """
    from bin.drill.crash import Plan, drill
    from bin.drill.crash_table import show

    plan = Plan(
        seeds=tuple(range(1, seeds + 1)),
        venues=tuple(venue or Venue),
        gaps=tuple(gap or Gap),
        blows=tuple(blow or Blow),
        users=users,
        speed=speed,
        lease_s=lease,
    )
    report = drill(plan)
    end(report, show, json=json)


def faults(
    venue: Annotated[
        list[Venue] | None, typer.Option(help="A venue to trade at; may be given twice. Without: both.")
    ] = None,
    users: Annotated[int, typer.Option(min=2, max=50, help="Users at each venue, each with a run.")] = 6,
    speed: Annotated[float, typer.Option(min=1, max=240, help="Market seconds per second.")] = 60.0,
    switches: Annotated[int, typer.Option(min=0, max=1_000, help="How often the kill switch is thrown.")] = 9,
    seed: Annotated[int, typer.Option(help="When it is thrown.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Leave orders without an answer, throw the kill switch, and look twice.

    A `serve --demo` process trades at simulated venues that take orders and never answer, answer with errors that
    say nothing, list orders late, or go away. From the moment a fault has struck time runs as fast as it does, and
    the outcome of the order must be known within 60 s, without its being sent again. Then the kill switch is thrown
    from outside, twice in three times while the process stands still right before a first byte; at last time
    stands, and a second process that begins anew must find nothing to tell.

    Exit code 0: every statement held. 1: one was broken; the table says which.
    """
    from bin.drill.faults import Plan, drill
    from bin.drill.faults_table import show

    plan = Plan(
        venues=tuple(venue or Venue), users=users, speed=speed, lease_s=5.0, switches=switches, seed=seed
    )
    report = drill(plan)
    end(report, show, json=json)


def end(report: R, show: Callable[[R], None], *, json: bool) -> None:
    """The report as it was asked for; exit code 1 where a statement was broken."""
    if json:
        from bin.commands.output import write_json

        write_json(report)
    else:
        show(report)
    if not report.held:
        raise typer.Exit(1)
