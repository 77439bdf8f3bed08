"""The report's folder: report.html, report.json, and the CSV files a spreadsheet opens."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from actors.backtest import BacktestRequest, BacktestResult
from actors.backtest_result import Charted
from core.errors import RunnerError
from core.statistics import drawdowns
from facade.report.charts import lowest_and_highest
from facade.report.equity import equity_curve
from facade.report.figures import rfc3339
from facade.report.heat import Axes
from facade.report.page import grid_page, report_page, search_page

MAX_EQUITY_ROWS: Final = 100_000

_TRADE_COLUMNS: Final = (
    "side", "entryTime", "entryPrice", "exitTime", "exitPrice", "quantity", "fees", "funding", "pnl", "exitReason",
)  # fmt: skip
_GRID_COLUMNS: Final = (
    "pnl", "roiPct", "trades", "winRatePct", "profitFactor", "expectancy", "sharpe", "sortino", "maxDrawdown",
    "maxDrawdownPct", "exposurePct", "fees", "funding", "finalEquity",
)  # fmt: skip
_SETTING_COLUMNS: Final = (
    "pnl", "roiPct", "trades", "winRatePct", "profitFactor", "sharpe", "sortino", "maxDrawdownPct",
)  # fmt: skip


class ReportNotWritten(RunnerError):
    """The report's folder cannot be written; says which path and why."""


def prepare_folder(folder: Path) -> None:
    """Makes the folder and proves that it takes files, before hours of replay depend on it."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise _not_written(folder, error) from error


def write_report(result: BacktestResult, document: Mapping[str, Any], folder: Path) -> Path:
    """Writes all files of one backtest, replacing those of an earlier one; returns the page's path."""
    _write(folder, "report.json", _json(document))
    _write(folder, "trades.csv", _csv(_TRADE_COLUMNS, document["trades"]))
    _write(folder, "signals.csv", _csv(("slot", "action"), document["signals"]))
    _write(folder, "equity.csv", _equity(result))
    if result.charted is not None:
        _write(folder, "indicators.csv", _indicators(result.charted))
    return _write(folder, "report.html", report_page(result, document).encode())


def write_grid_report(
    request: BacktestRequest, document: Mapping[str, Any], axes: Axes, folder: Path
) -> Path:
    """Writes the files of a sweep; returns the page's path."""
    flat = [{**row["parameters"], **row["summary"]} for row in document["grid"]]
    _write(folder, "report.json", _json(document))
    _write(folder, "grid.csv", _csv((*axes, *_GRID_COLUMNS), flat))
    return _write(folder, "report.html", grid_page(request, document, axes).encode())


def write_search_report(request: BacktestRequest, document: Mapping[str, Any], folder: Path) -> Path:
    """Writes the files of a walk-forward search; returns the page's path."""
    names = tuple(document["space"])
    flat = [{**row, **row["parameters"]} for row in document["tried"]]
    _write(folder, "report.json", _json(document))
    _write(folder, "settings.csv", _csv((*names, "score", *_SETTING_COLUMNS), flat))
    return _write(folder, "report.html", search_page(request, document).encode())


def _equity(result: BacktestResult) -> bytes:
    """One row per candle; of more than MAX_EQUITY_ROWS those with the extremes of every stretch."""
    curve = equity_curve(result)
    depths, percents = drawdowns(curve, result.request.settings.capital)
    kept = lowest_and_highest(curve.equity, MAX_EQUITY_ROWS)
    moments = np.datetime_as_string(curve.at_ms[kept].astype("datetime64[ms]"), unit="s", timezone="UTC")
    values = (column[kept].round(8).tolist() for column in (curve.equity, depths, percents))
    rows = zip(moments.tolist(), *values, strict=True)
    return _lines(("time", "equity", "drawdown", "drawdownPct"), rows)


def _indicators(charted: Charted) -> bytes:
    """One row per slot that was evaluated."""
    moments = np.datetime_as_string(charted.slot_ms.astype("datetime64[ms]"), unit="s", timezone="UTC")
    rows = zip(moments.tolist(), *charted.values.T.round(8).tolist(), strict=True)
    return _lines(("slot", *charted.names), rows)


def _json(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> bytes:
    return _lines(columns, ([_cell(row[column]) for column in columns] for row in rows))


def _lines(columns: Sequence[str], rows: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return rfc3339(value) if hasattr(value, "isoformat") else value


def _write(folder: Path, name: str, content: bytes) -> Path:
    """Whole or not at all: a reader never meets half a file."""
    path = folder / name
    partial = folder / f".{name}.partial"
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        raise _not_written(path, error) from error
    return path


def _not_written(path: Path, error: OSError) -> ReportNotWritten:
    return ReportNotWritten(f"The report cannot be written to {path}: {error.strerror or error}.")
