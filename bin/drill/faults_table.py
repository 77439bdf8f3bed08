"""The faults drill's report for people."""

from __future__ import annotations

from rich.table import Table

from bin.commands.backtest_run import output
from bin.drill.faults import FaultsReport
from bin.drill.table import show_statements


def show(report: FaultsReport) -> None:
    console = output()
    table = Table("Venue", "Fault", "Orders", "Settled after", box=None, padding=(0, 2, 0, 0))
    for each in report.faults:
        table.add_row(each.venue, each.fault, str(len(each.orders)), f"{each.settled_s:.1f} s")
    console.print(table)
    console.print()
    show_statements(report.statements)
    last = f"{report.last_sent_s:.3f} s" if report.last_sent_s > 0 else "at no time"
    console.print(
        f"\n{report.seconds:.0f} s, {len(report.faults)} faults, settled after {report.longest_settled_s:.1f} s at"
        f" most; after the kill switch the last order was sent {last} after it."
    )
