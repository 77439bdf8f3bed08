"""`drill cron`: many cron calls at once."""

from __future__ import annotations

from typing import Annotated

import typer


def register(drill: typer.Typer) -> None:
    drill.command()(cron)


def cron(
    calls: Annotated[int, typer.Option(min=3, max=1_000, help="Cron calls at each boundary.")] = 200,
    processes: Annotated[int, typer.Option(min=1, max=9, help="`serve` processes, each with its timer.")] = 3,
    runs: Annotated[int, typer.Option(min=10, max=5_000, help="One-minute runs, ten to a user.")] = 500,
    slots: Annotated[int, typer.Option(min=1, max=60, help="Boundaries to call at, a minute each.")] = 3,
    speed: Annotated[
        float, typer.Option(min=1, max=10, help="Market seconds per second; figures are those at 1.")
    ] = 1.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Call cron from everywhere at once around a boundary, and check that each slot is ticked exactly once.

    Starts some `serve --demo` processes on one PostgreSQL, each with its own timer, at the speed of real time.
    Calls begin before the boundary and at it. Seven seconds later each process is called once more.

    Exit code 0: every run ticked once at each boundary, and 99 of 100 calls were answered within 2 s of it.

        bin/runner drill cron                                    200 calls, three processes, 500 runs, three minutes
        bin/runner drill cron --calls 30 --runs 50 --slots 1     a quick look
    """
    from bin.commands.backtest_run import output
    from bin.commands.drill import end
    from bin.drill.cron import CronReport, Plan, drill
    from bin.drill.table import show_statements

    def show(report: CronReport) -> None:
        show_statements(report.statements)
        asked = ", ".join(f"{count:,} by {source}" for source, count in sorted(report.sources.items()))
        output().print(
            f"\n{report.calls:,} calls at {report.slots} boundaries, {report.processes} processes,"
            f" {report.runs:,} runs: answered {report.answered_ms['p50']:.0f} ms after the boundary (p50),"
            f" {report.answered_ms['p99']:.0f} ms (p99). Ticks asked for first: {asked};"
            f" {report.lost_asks:,} asks lost."
        )

    end(drill(Plan(slots=slots, calls=calls, processes=processes, runs=runs, speed=speed)), show, json=json)
