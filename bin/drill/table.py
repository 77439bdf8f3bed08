"""A drill's report for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from bin.commands.backtest_run import output
from bin.drill.report import Report, Statement
from bin.drill.wires import WiresReport


def show(report: Report) -> None:
    show_statements(report.statements)
    console = output()
    blows = ", ".join(f"{count} {kind}" for kind, count in report.blows.items())
    ticks = ", ".join(f"{count:,} {kind}" for kind, count in report.ticks.items())
    console.print(
        f"\n{report.seconds:.0f} s, {report.processes} processes, {report.runs:,} runs, {report.slots:,} slots;"
        f" {blows}."
    )
    console.print(f"Ticks: {ticks}.")
    console.print(
        f"{report.orders:,} orders, {report.fills:,} fills, {report.trades:,} round trips, {report.events:,} events."
    )
    console.print(
        f"Left alone for {report.longest_orphan_s:.1f} s at most, of {report.orphan_bound_s:.1f} s that a lease of"
        f" {report.lease_s:g} s and a slot make."
    )


def show_wires(report: WiresReport) -> None:
    show_statements(report.statements)
    output().print(
        f"\n{report.seconds:.0f} s for {report.market_hours:g} market hours, {report.users} users at"
        f" {' and '.join(report.venues)}: {report.orders:,} orders, {report.fills:,} fills,"
        f" {report.funding:,} settlements of funding, {report.trades:,} round trips."
    )


def show_statements(statements: Sequence[Statement]) -> None:
    console = output()
    table = Table("Statement", "Checked", "Held", box=None, padding=(0, 2, 0, 0))
    for statement in statements:
        table.add_row(statement.text, f"{statement.checked:,}", "yes" if statement.held else "[red]NO[/red]")
    console.print(table)
    for statement in statements:
        for row in statement.rows:
            console.print(f"Broken: {statement.text}: {row}", markup=False)
