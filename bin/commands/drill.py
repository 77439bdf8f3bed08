"""`drill`: what the service promises, tried on real processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from core.connection import Venue


def register(app: typer.Typer) -> None:
    drill = typer.Typer(help="Try the service's promises on real processes of this machine.")

    @drill.callback()
    def drills() -> None:
        """Try the service's promises on real processes of this machine."""

    drill.command()(kill)
    drill.command()(wires)
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
    if json:
        from bin.commands.output import write_json

        write_json(report)
    else:
        show(report)
    if not report.held:
        raise typer.Exit(1)


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
    if json:
        from bin.commands.output import write_json

        write_json(report)
    else:
        show_wires(report)
    if not report.held:
        raise typer.Exit(1)
