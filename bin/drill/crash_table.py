"""The crash drill's report for people: gap by blow."""

from __future__ import annotations

from rich.table import Table

from bin.commands.backtest_run import output
from bin.drill.crash import CrashReport
from bin.drill.gaps import Blow, Gap
from bin.drill.table import show_statements


def show(report: CrashReport) -> None:
    console = output()
    venues = sorted({cell.venue for cell in report.cells})
    blows = [blow for blow in Blow if any(cell.blow is blow for cell in report.cells)]
    columns = [f"{venue} {blow}" for venue in venues for blow in blows]
    table = Table("Gap", *columns, box=None, padding=(0, 2, 0, 0))
    for gap in Gap:
        row = [_cells(report, venue, gap, blow) for venue in venues for blow in blows]
        if any(row):
            table.add_row(gap.value, *row)
    console.print(table)
    console.print()
    show_statements(report.statements)
    console.print(
        f"\n{report.seconds:.0f} s, {len(report.cells)} blows, {report.orders:,} orders. What was open at a blow had"
        f" its outcome after {report.longest_settled_s:.1f} s at most."
    )


def _cells(report: CrashReport, venue: str, gap: Gap, blow: Blow) -> str:
    cells = [each for each in report.cells if (each.venue, each.gap, each.blow) == (venue, gap, blow)]
    held = sum(1 for cell in cells if cell.held)
    if not cells:
        return ""
    return f"held {held}" if held == len(cells) else f"[red]{len(cells) - held} of {len(cells)} NOT[/red]"
