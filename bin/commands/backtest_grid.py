"""A parameter sweep: every combination replayed, one process per core, the best PnL first."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec
from rich.table import Table

from actors.backtest import BacktestRequest, ReplayPath
from actors.backtest_result import declared_by
from bin.commands.backtest_many import SweepFailed, opened_replays
from bin.commands.backtest_run import output, print_heading, progress_bar
from bin.commands.backtest_source import SourceChoice
from bin.commands.output import write_json
from core.parameters import Number, ParameterError, ParameterSpec, check_parameters
from core.strategy import strategy_parameters
from facade.report.figures import money, number, percent, ratio, share, whole
from facade.report.folder import prepare_folder, write_grid_report
from facade.report.heat import Axes

MAX_COMBINATIONS: Final = 10_000
SHOWN_ROWS: Final = 20


def parse_axes(specs: Sequence[ParameterSpec], texts: Sequence[str], fixed: Mapping[str, str]) -> Axes:
    """`rsi_period=7,14,21` as numbers, each checked by itself. Raises ParameterError with every problem."""
    axes: dict[str, Sequence[Number]] = {}
    problems: list[str] = []
    for text in texts:
        key, _, values = text.partition("=")
        key = key.strip()
        if key in axes or key in fixed:
            problems.append(f"{key} is given twice.")
        if not key or not values.strip():
            problems.append(f"--grid {text!r} is not like rsi_period=7,14,21.")
            continue
        numbers: dict[Number, None] = {}
        for value in values.split(","):
            try:
                numbers[check_parameters(specs, {key: value.strip()})[key]] = None
            except ParameterError as error:
                problems.extend(error.problems)
        axes[key] = tuple(numbers)
    if problems:
        raise ParameterError(list(dict.fromkeys(problems)))
    return axes


def sweep(
    request: BacktestRequest,
    source: SourceChoice,
    axes: Axes,
    *,
    path: ReplayPath,
    report: Path | None,
    json: bool,
) -> None:
    """Replays every combination and tells what came of them; the report's folder is proved first."""
    began_s = perf_counter()
    requests, left_out = combinations(request, axes)
    if report is not None:
        prepare_folder(report)
    with (
        opened_replays(source, path, count=len(requests), kind=request.kind) as replays,
        progress_bar() as progress,
    ):
        task = progress.add_task("combinations", total=len(requests))
        outcomes = replays.outcomes(requests, lambda: progress.advance(task))
    outcomes.sort(key=lambda outcome: Decimal(outcome.summary["pnl"]), reverse=True)
    shared = {name: value for name, value in outcomes[0].replayed["parameters"].items() if name not in axes}
    told = {
        "grid": [{"parameters": outcome.parameters, "summary": outcome.summary} for outcome in outcomes],
        "seconds": round(perf_counter() - began_s, 6),
        "candles": outcomes[0].candles,
        "leftOut": left_out,
        "replayed": {**outcomes[0].replayed, "parameters": shared},
    }
    page = write_grid_report(request, told, axes, report) if report is not None else None
    if json:
        write_json(told)
        return
    print_heading(told)
    _print_table(told, axes)
    if page is not None:
        print(f"Report: {page}")


def combinations(request: BacktestRequest, axes: Axes) -> tuple[list[BacktestRequest], int]:
    """A request for each combination whose parameters fit together, and how many do not."""
    count = prod(len(values) for values in axes.values())
    if count > MAX_COMBINATIONS:
        raise SweepFailed(f"The grid has {count:,} combinations; at most {MAX_COMBINATIONS:,} are replayed.")
    strategy = declared_by(request)
    made: list[BacktestRequest] = []
    refusal: ParameterError | None = None
    for values in itertools.product(*axes.values()):
        given = {**request.parameters, **dict(zip(axes, values, strict=True))}
        try:
            parameters = strategy_parameters(strategy, given)
        except ParameterError as error:
            refusal = error
        else:
            made.append(msgspec.structs.replace(request, parameters=dict(parameters)))
    if not made and refusal is not None:
        raise refusal
    return made, count - len(made)


def _print_table(told: Mapping[str, Any], axes: Axes) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in (*axes, "PnL", "ROI", "Trades", "Won", "Profit factor", "Sharpe", "Drawdown"):
        table.add_column(name, justify="right", overflow="fold")
    rows = told["grid"]
    for row in rows[:SHOWN_ROWS]:
        figures = row["summary"]
        table.add_row(
            *(number(row["parameters"][name]) for name in axes),
            money(figures["pnl"]),
            percent(figures["roiPct"]),
            whole(figures["trades"]),
            share(figures["winRatePct"]),
            ratio(figures["profitFactor"]),
            ratio(figures["sharpe"]),
            share(figures["maxDrawdownPct"]),
        )
    output().print(table)
    if len(rows) > SHOWN_ROWS:
        print(f"The best {SHOWN_ROWS} of {len(rows):,}; --report and --json hold all.")
    if told["leftOut"]:
        print(f"{told['leftOut']:,} combinations were left out: their parameters contradict each other.")
