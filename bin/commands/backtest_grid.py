"""A parameter sweep: every combination replayed, one process per core, the best PnL first."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from decimal import Decimal
from math import prod
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec
from rich.table import Table

from actors.backtest import BacktestRequest, ReplayPath, run_backtest
from bin.commands.backtest_run import output, print_heading, progress_bar
from bin.commands.backtest_source import SourceChoice
from bin.commands.output import write_json
from bin.commands.workers import worker_pool
from core.errors import RunnerError
from core.parameters import Number, ParameterError, check_parameters
from core.strategies import template
from core.strategy import strategy_parameters
from exchanges.feeds.base import CandleSource
from facade.report.document import replayed, summary
from facade.report.figures import money, number, percent, ratio, share, whole
from facade.report.folder import prepare_folder, write_grid_report
from facade.report.heat import Axes

MAX_COMBINATIONS: Final = 10_000
SHOWN_ROWS: Final = 20
ALONE: Final = 24
"""So many combinations are replayed by the fast path before another process has started."""


class SweepFailed(RunnerError):
    """A sweep that cannot be made, or one of whose replays was refused."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a process sends back: the figures of one combination, or the sentence that refused it."""

    parameters: Mapping[str, Any]
    summary: Mapping[str, Any] = {}
    candles: int = 0
    replayed: Mapping[str, Any] = {}
    refusal: str | None = None


def parse_axes(name: str, texts: Sequence[str], fixed: Mapping[str, str]) -> Axes:
    """`rsi_period=7,14,21` as numbers, each checked by itself. Raises ParameterError with every problem."""
    axes: dict[str, Sequence[Number]] = {}
    specs, problems = template(name).specs, []
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
    outcomes = _replay_all(requests, source, path)
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
    strategy = template(request.template)
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


def _replay_all(requests: Sequence[BacktestRequest], source: SourceChoice, path: ReplayPath) -> list[Outcome]:
    """Outcomes in the order of `requests`. One refusal ends the sweep with its sentence."""
    if len(requests) <= ALONE and path is not ReplayPath.ACTORS:
        opened = source.open()
        with progress_bar() as progress:
            return [
                _accepted(_replayed(request, opened, path))
                for request in progress.track(requests, description="combinations")
            ]
    workers = min(os.cpu_count() or 1, len(requests))
    pool = worker_pool(workers, _open_source, source)
    try:
        futures = {pool.submit(_replay_one, request, path): index for index, request in enumerate(requests)}
        done: dict[int, Outcome] = {}
        with progress_bar() as progress:
            for future in progress.track(as_completed(futures), len(futures), description="combinations"):
                done[futures[future]] = _accepted(future.result())
    except BrokenProcessPool as error:
        raise SweepFailed("A process of the sweep was killed, perhaps for want of memory.") from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return [done[index] for index in range(len(requests))]


_SOURCE: CandleSource | str = ""
"""In a process of the sweep: its candles, read once, or the sentence that says why they cannot be."""


def _open_source(source: SourceChoice) -> None:
    global _SOURCE
    # Ctrl-C reaches every process of the terminal; ours ends without a word, the first one answers for all.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        _SOURCE = source.open()
    except RunnerError as refusal:
        _SOURCE = str(refusal)


def _replay_one(request: BacktestRequest, path: ReplayPath) -> Outcome:
    if isinstance(_SOURCE, str):
        return Outcome(parameters=request.parameters, refusal=_SOURCE)
    return _replayed(request, _SOURCE, path)


def _accepted(outcome: Outcome) -> Outcome:
    if outcome.refusal is not None:
        raise SweepFailed(outcome.refusal)
    return outcome


def _replayed(request: BacktestRequest, source: CandleSource, path: ReplayPath) -> Outcome:
    """Refusals travel as text: not every exception survives the way between processes."""
    try:
        result = run_backtest(request, source, path=path)
    except RunnerError as refusal:
        return Outcome(parameters=request.parameters, refusal=str(refusal))
    return Outcome(
        parameters=request.parameters,
        summary=summary(result),
        candles=len(result.candles),
        replayed=replayed(result),
    )


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
