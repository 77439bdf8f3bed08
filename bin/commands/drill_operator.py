"""`drill operator`: the operator's path from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(drill: typer.Typer) -> None:
    drill.command()(operator)


def operator(
    previous: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A checkout of the version before: it makes the tables and trades, and is upgraded from.",
            file_okay=False,
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="A server, as a role that may make roles and databases; both are gone afterwards. Without it: a "
            "server of its own. DATABASE_URL is not touched.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Walk the operator's path with processes of its own, and say what came of each step.

    Settings, database, venue stand-in, service, connection, strategy; watching, pausing, the kill switch; new keys;
    the next version beside this one; backup, restore, and trading on. Up to a minute, most of it until a candle closes.

    Exit code 0: every step held. 1: one did not; it is the last that was tried.

        bin/runner drill operator
        bin/runner drill operator --previous ../runner-0.1.0      upgrading from that checkout
    """
    from rich.table import Table

    from bin.commands.backtest_run import output
    from bin.commands.drill import end
    from bin.drill.operator_path import OperatorReport, Plan, drill

    def show(report: OperatorReport) -> None:
        table = Table("Step", "Outcome", "s", box=None, padding=(0, 2, 0, 0))
        for step in report.steps:
            table.add_row(
                step.name, step.outcome if step.held else f"FAILED: {step.outcome}", f"{step.seconds:.1f}"
            )
        output().print(table, markup=False)
        output().print(f"\n{report.seconds:.0f} s.")

    end(drill(Plan(previous=previous, database=database)), show, json=json)
