"""`drill rolling`: processes replaced one by one while runs tick."""

from __future__ import annotations

from typing import Annotated

import typer


def register(drill: typer.Typer) -> None:
    drill.command()(rolling)


def rolling(
    minutes: Annotated[int, typer.Option(min=2, max=1_440, help="Market minutes to go on.")] = 30,
    processes: Annotated[int, typer.Option(min=2, max=9, help="`serve` processes on one database.")] = 3,
    runs: Annotated[int, typer.Option(min=10, max=5_000, help="One-minute runs, ten to a user.")] = 60,
    speed: Annotated[float, typer.Option(min=1, max=60, help="Market seconds per second.")] = 15.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Replace processes one by one while runs tick, and check that no slot is missed or decided twice.

    Starts some `serve --demo` processes on one PostgreSQL. Each in turn gets SIGTERM, says on /readyz that it is not
    ready, hands its runs over, ends, and comes back as another process, over and over until the minutes are past.

    Exit code 0: every run has exactly one decided row for every minute. 1: one has not; the table says which.

        bin/runner drill rolling                                  three processes, 60 runs, 30 minutes
        bin/runner drill rolling --minutes 4 --processes 2        a quick look
    """
    from bin.commands.backtest_run import output
    from bin.commands.drill import end
    from bin.drill.rolling import Plan, RollingReport, drill
    from bin.drill.table import show_statements

    def show(report: RollingReport) -> None:
        show_statements(report.statements)
        ticks = ", ".join(f"{count:,} {kind}" for kind, count in sorted(report.ticks.items()))
        output().print(
            f"\n{report.seconds:.0f} s for {report.minutes} market minutes, {report.processes} processes,"
            f" {report.runs} runs, {report.restarts} restarts; {report.slots:,} slots: {ticks}."
            f" The longest stop took {report.longest_stop_s:.1f} s."
        )

    end(drill(Plan(minutes=minutes, processes=processes, runs=runs, speed=speed)), show, json=json)
