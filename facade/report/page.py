"""The report's pages: one HTML file each, with its scripts, styles and data inside.

Everything is escaped but the project's own files and the embedded JSON, whose `<` `>` `&` are spelled as escapes,
so that no text in it can end the script element. The page's own policy forbids loading anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec

from actors.backtest import BacktestRequest, BacktestResult
from facade.report.charts import chart_data
from facade.report.figures import FILTERS, headline, monthly_table, price_digits
from facade.report.heat import Axes, heat_map
from facade.report.prose import assumptions, is_generated, path_text, reason_text
from facade.report.surface import slices, surface

MAX_TRADE_ROWS: Final = 1_000
MAX_GRID_ROWS: Final = 1_000

_HERE: Final = Path(__file__).parent / "templates"
_VENDOR: Final = Path(__file__).parent.parent / "static" / "vendor"
_SCRIPTS: Final = (
    _VENDOR / "lightweight-charts" / "lightweight-charts.standalone.production.js",
    _VENDOR / "uplot" / "uPlot.iife.min.js",
    _HERE / "report.js",
)
_STYLES: Final = (_VENDOR / "uplot" / "uPlot.min.css", _HERE / "report.css")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def report_page(result: BacktestResult, document: Mapping[str, Any]) -> str:
    """The page of one backtest; `document` is its JSON document."""
    digits = price_digits(result.candles)
    drawn = chart_data(result, digits)
    trades = document["trades"]
    rows = document["ticks"]
    ticks = sum(row["count"] for row in rows)
    return _render(
        "report.html.j2",
        result.request,
        document,
        data=_json(drawn),
        digits=digits,
        figures=headline(document["summary"], funding_known=result.funding_known),
        years=monthly_table(document["summary"]["monthlyReturns"]),
        month_names=_MONTHS,
        charts=() if result.charted is None else result.charted.charts,
        position=document["openPosition"],
        trades=trades[-MAX_TRADE_ROWS:],
        more_trades=max(0, len(trades) - MAX_TRADE_ROWS),
        ticks=[{**row, "share": 100 * row["count"] / ticks} for row in rows],
        shown=_shown(drawn, result),
        scripts=[path.read_text(encoding="utf-8") for path in _SCRIPTS],
    )


def grid_page(request: BacktestRequest, document: Mapping[str, Any], axes: Axes) -> str:
    """The page of a sweep; `request` is what all its backtests share, the grid's rows come best first."""
    rows = document["grid"]
    return _render(
        "grid.html.j2",
        request,
        document,
        names=list(axes),
        axes=axes,
        rows=rows[:MAX_GRID_ROWS],
        more_rows=max(0, len(rows) - MAX_GRID_ROWS),
        left_out=document["leftOut"],
        heat=heat_map(axes, rows),
    )


def search_page(request: BacktestRequest, document: Mapping[str, Any]) -> str:
    """The page of a walk-forward search; `request` is what all its backtests share."""
    rows = document["tried"]
    kept = ("best", "objective", "trials", "seed", "warnings", "folds", "leftOut")
    return _render(
        "search.html.j2",
        request,
        document,
        names=list(document["space"]),
        rows=rows[:MAX_GRID_ROWS],
        more_rows=max(0, len(rows) - MAX_GRID_ROWS),
        surface=surface(document),
        slices=slices(document),
        **{name: document[name] for name in kept},
    )


def _render(template: str, request: BacktestRequest, document: Mapping[str, Any], **values: Any) -> str:
    replayed = document["replayed"]
    return (
        _environment()
        .get_template(template)
        .render(
            replayed=replayed,
            candles=document["candles"],
            generated=is_generated(replayed["origin"]),
            assumptions=assumptions(
                request,
                funding_known=replayed["fundingKnown"],
                path=path_text(replayed["path"], replayed["pathReason"]),
            ),
            styles="\n".join(path.read_text(encoding="utf-8") for path in _STYLES),
            **values,
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    environment.filters["reason"] = reason_text
    return environment


def _json(document: object) -> str:
    text = msgspec.json.encode(document).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _shown(drawn: Mapping[str, Any], result: BacktestResult) -> str:
    count, timeframe = len(drawn["candles"]["time"]), drawn["timeframe"]
    sentence = f"{count:,} {timeframe} candles"
    if timeframe is not result.request.timeframe:
        sentence += f", built from {len(result.candles):,} of {result.request.timeframe}"
    marked = len(drawn["markers"])
    return f"{sentence}; {marked:,} entries and exits marked."
