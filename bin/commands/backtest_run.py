"""One backtest from the command line: progress on stderr, its figures or its JSON document on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from actors.backtest import BacktestRequest, BacktestResult, ReplayPath, run_backtest
from bin.commands.backtest_source import SourceChoice
from bin.commands.output import write_json
from facade.report.document import document
from facade.report.figures import headline, moment, money
from facade.report.folder import prepare_folder, write_report
from facade.report.prose import is_generated, path_text, reason_text

PIPED_WIDTH: Final = 160


def replay(
    request: BacktestRequest, source: SourceChoice, *, path: ReplayPath, report: Path | None, json: bool
) -> None:
    """Replays `request` and tells what came of it; the report's folder is proved before anything is replayed."""
    if report is not None:
        prepare_folder(report)
    result = _replayed(request, source, path)
    told = document(result)
    page = write_report(result, told, report) if report is not None else None
    if json:
        write_json(told)
        return
    print_heading(told)
    _print_figures(told)
    if page is not None:
        print(f"Report: {page}")


def progress_bar() -> Progress:
    """On stderr where that is a terminal, gone when done; stdout is for what was asked."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def output() -> Console:
    """stdout; without a terminal to fit into, wide enough that no figure is cut."""
    console = Console()
    return console if console.is_terminal else Console(width=PIPED_WIDTH)


def print_heading(told: Mapping[str, Any]) -> None:
    """What was replayed; generated candles are never mistaken for recorded ones."""
    what = told["replayed"]
    span = f"{moment(what['from'])} to {moment(what['to'])} UTC"
    print(f"{what['template']} on {what['symbol']} {what['timeframe']}, {span}")
    print(f"{told['candles']:,} candles, {what['origin']}", end="")
    print(": nobody traded at these prices." if is_generated(what["origin"]) else ".")
    print(path_text(what["path"], what["pathReason"]))


def _replayed(request: BacktestRequest, source: SourceChoice, path: ReplayPath) -> BacktestResult:
    with progress_bar() as progress:
        task = progress.add_task("reading candles", total=None)
        opened = source.open()

        def show(done: int, slots: int) -> None:
            progress.update(task, description="replaying", completed=done, total=slots)

        return run_backtest(request, opened, path=path, progress=show)


def _print_figures(told: Mapping[str, Any]) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for figure in headline(told["summary"], funding_known=told["replayed"]["fundingKnown"]):
        style = {"up": "green", "down": "red"}.get(figure.tone, "")
        table.add_row(figure.name, Text(figure.value, style=style), figure.note)
    for reason, count in told["summary"]["blocked"].items():
        table.add_row(f"Blocked: {reason_text(reason).lower()}", f"{count:,}", "ticks")
    held = told["openPosition"]
    if held is not None:
        table.add_row(f"Still open: {held['side']}", held["quantity"], f"{money(held['pnl'])} USDT so far")
    output().print(table)
