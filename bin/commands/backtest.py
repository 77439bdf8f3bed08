"""`backtest`: replays a strategy over stored candles through the whole system and reports what came of it."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from actors.backtest import BacktestRequest
    from actors.sandbox.host import Limits
    from bin.commands.backtest_source import SourceChoice
    from bin.strategy_file import StrategyFile
    from core.risk import RiskLimits

EXAMPLE = (
    "Example: bin/runner backtest --template rsi_oversold_overbought --symbol BTCUSDT --timeframe 5m "
    "--candles BTCUSDT-5m-2025-03.csv.gz --param rsi_period=14 --stop-loss-pct 2 --report out"
)
MAX_COST_PCT: Final = 10


class Way(StrEnum):
    """As actors.backtest.ReplayPath, for which `--help` would have to wait."""

    AUTO = "auto"
    FAST = "fast"
    ACTORS = "actors"


class Sides(StrEnum):
    """As core.run.Direction, for which `--help` would have to wait."""

    BOTH = "both"
    LONG = "long"
    SHORT = "short"


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise typer.BadParameter(f"{text!r} is not a number of at least 0")
    return amount


def _above_zero(text: str) -> Decimal:
    amount = _amount(text)
    if not amount:
        raise typer.BadParameter("it must be above 0")
    return amount


def _percentage(text: str) -> Decimal:
    amount = _above_zero(text)
    if amount > 100:
        raise typer.BadParameter(f"{text} is more than 100 %")
    return amount


def _cost(text: str) -> Decimal:
    amount = _amount(text)
    if amount > MAX_COST_PCT:
        raise typer.BadParameter(f"{text} is more than {MAX_COST_PCT} %")
    return amount


def _callback(text: str) -> Decimal:
    from core.protection import is_callback

    percent = _amount(text)
    if not is_callback(percent):
        raise typer.BadParameter(f"{text} is not within 0.1 to 10 in steps of 0.1")
    return percent


def _activation(text: str) -> Decimal:
    from core.protection import MOST_ACTIVATION_PCT

    percent = _amount(text)
    if percent > MOST_ACTIVATION_PCT:
        raise typer.BadParameter(f"{text} is more than {MOST_ACTIVATION_PCT} %")
    return percent


Template = Annotated[
    str | None, typer.Option(help="Built-in strategy, like rsi_oversold_overbought; or --strategy.")
]
StrategyPath = Annotated[
    str | None,
    typer.Option("--strategy", metavar="FILE", help="A strategy in a file, instead of --template."),
]
Symbol = Annotated[str, typer.Option(help="Like BTCUSDT or BTC/USDT:USDT.")]
TimeframeText = Annotated[str, typer.Option(help="1m 3m 5m 10m 15m 30m 1h 2h 4h 6h 12h 1d")]
Files = Annotated[
    list[Path] | None,
    typer.Option(
        "--candles", metavar="FILE", help="Binance archive CSV, gzip or not; repeat for more files."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Folder of recorded candles, instead of --candles."),
]
Influx = Annotated[
    bool,
    typer.Option("--influx", help="Candles of trades in InfluxDB: INFLUX_URL, INFLUX_TRADES_DATABASE."),
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="T", help="First open time, UTC: 2025-03-01, also with T12:00."),
]
To = Annotated[str | None, typer.Option("--to", metavar="T", help="Last close time, UTC.")]
Params = Annotated[
    list[str] | None, typer.Option("--param", metavar="K=V", help="A parameter of the strategy; repeatable.")
]
Direction = Annotated[Sides, typer.Option(help="Sides the run may take.")]
Capital = Annotated[Decimal, typer.Option(parser=_above_zero, metavar="USDT", help="Fixed for every entry.")]
Leverage = Annotated[int, typer.Option(min=1, max=125)]
OrderSize = Annotated[
    Decimal, typer.Option(parser=_percentage, metavar="PCT", help="Of the capital, for each entry.")
]
TakeProfit = Annotated[
    Decimal | None, typer.Option(parser=_above_zero, metavar="PCT", help="Of the entry price.")
]
StopLoss = Annotated[
    Decimal | None, typer.Option(parser=_percentage, metavar="PCT", help="Of the entry price.")
]
TrailingCallback = Annotated[
    Decimal | None,
    typer.Option(
        parser=_callback,
        metavar="PCT",
        help="A stop so far behind the best price: 0.1 to 10 in steps of 0.1.",
    ),
]
TrailingActivation = Annotated[
    Decimal,
    typer.Option(
        parser=_activation, metavar="PCT", help="The trailing stop begins so far beyond the entry price."
    ),
]
Fee = Annotated[Decimal, typer.Option(parser=_cost, metavar="PCT", help="Taker fee of the traded value.")]
Slippage = Annotated[
    Decimal, typer.Option(parser=_cost, metavar="PCT", help="By which market fills are worse.")
]
NoGates = Annotated[
    bool, typer.Option("--no-gates", help="Without risk limits; otherwise they apply as live.")
]
Grid = Annotated[
    list[str] | None, typer.Option(metavar="K=A,B,C", help="Replay every combination; repeatable.")
]
Through = Annotated[
    Way,
    typer.Option(
        "--path",
        help="fast: the strategy over the whole array, then only slots that can change anything; actors: every slot "
        "through the whole system. Both come to the same; auto takes the fast one where it serves.",
    ),
]
Report = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Write report.html, report.json and CSV files there.")
]
Config = Annotated[
    str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one: risk limits.")
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def register(app: typer.Typer) -> None:
    app.command(epilog=EXAMPLE)(backtest)


def backtest(
    symbol: Symbol,
    timeframe: TimeframeText,
    template: Template = None,
    strategy: StrategyPath = None,
    candles: Files = None,
    data: Folder = None,
    influx: Influx = False,
    start: From = None,
    end: To = None,
    param: Params = None,
    direction: Direction = Sides.BOTH,
    capital: Capital = Decimal(10_000),
    leverage: Leverage = 1,
    order_size_pct: OrderSize = Decimal(100),
    take_profit_pct: TakeProfit = None,
    stop_loss_pct: StopLoss = None,
    trailing_callback_pct: TrailingCallback = None,
    trailing_activation_pct: TrailingActivation = Decimal(0),
    fee_pct: Fee = Decimal("0.04"),
    slippage_pct: Slippage = Decimal(0),
    no_gates: NoGates = False,
    grid: Grid = None,
    path: Through = Way.AUTO,
    report: Report = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Replay a strategy over history through the whole system: fills, fees and risk gates as they would be live.

    Without --candles or --data it replays generated candles, and says so.
    """
    from actors.backtest import ReplayPath
    from actors.backtest_result import declared_by
    from bin.commands.backtest_grid import parse_axes, sweep
    from bin.commands.backtest_request import Asked, request_of
    from bin.commands.backtest_run import replay
    from bin.strategy_check import ready
    from core.run import Direction as Taken
    from core.run import RunSettings

    _together(candles, data, influx, trailing_callback_pct, trailing_activation_pct)
    found, given, sandbox = _chosen(template, strategy), parse_params(param or []), sandbox_limits(config)
    request = request_of(
        ready(found, symbol=symbol, timeframe=timeframe, given=given, sandbox=sandbox),
        Asked(
            symbol=symbol,
            timeframe=timeframe,
            parameters=given,
            span=parse_span(start, end),
            limits=None if no_gates else gates(config),
            taker_fee_pct=fee_pct,
            slippage_pct=slippage_pct,
            sandbox=sandbox,
        ),
        RunSettings(
            direction=Taken(direction.value),
            leverage=leverage,
            capital=capital,
            order_size_pct=order_size_pct,
            take_profit_pct=take_profit_pct,
            stop_loss_pct=stop_loss_pct,
            trailing_callback_pct=trailing_callback_pct,
            trailing_activation_pct=trailing_activation_pct,
        ),
        partly=bool(grid),
    )
    source = _source(request, candles, data, config, influx=influx)
    play = partial(sweep, axes=parse_axes(declared_by(request).specs, grid, given)) if grid else replay
    play(request, source, path=ReplayPath(path.value), report=report, json=json)


def _chosen(template: str | None, file: str | None) -> StrategyFile:
    from bin.strategy_file import built_in, strategy_named

    if template is not None and file is None:
        return built_in(template)
    if file is not None and template is None:
        return strategy_named(file)
    raise typer.BadParameter("give --template or --strategy, one of them", param_hint="--template")


def _source(
    request: BacktestRequest, candles: Files, data: Folder, config: str | None, *, influx: bool
) -> SourceChoice:
    from bin.commands.backtest_source import SourceChoice

    files = tuple(candles or ())
    return SourceChoice.of(request, files=files, folder=data, influx=influx, config=config)


def _together(
    candles: Files, data: Folder, influx: bool, callback_pct: Decimal | None, activation_pct: Decimal
) -> None:
    """Refuses options that are wrong together, naming one of them."""
    if influx and (candles or data is not None):
        raise typer.BadParameter("is instead of --candles and --data", param_hint="--influx")
    if candles and data is not None:
        raise typer.BadParameter("give --candles or --data, not both", param_hint="--data")
    if activation_pct and callback_pct is None:
        raise typer.BadParameter("needs --trailing-callback-pct", param_hint="--trailing-activation-pct")


def gates(config: str | None) -> RiskLimits:
    """The risk limits a user without limits of their own would have here."""
    from facade.settings_file import load_settings

    return load_settings(config=config).risk_limits()


def sandbox_limits(config: str | None) -> Limits:
    """What code may take here."""
    from actors.sandbox.configured import limits_of
    from facade.settings_file import load_settings

    return limits_of(load_settings(config=config))


def parse_span(start: str | None, end: str | None) -> tuple[datetime | None, datetime | None]:
    """Both ends, either of which may be left to the candles."""
    from core.timeframe import parse_range, parse_time

    if start is not None and end is not None:
        return parse_range(start, end)
    return (parse_time(start) if start is not None else None, parse_time(end) if end is not None else None)


def parse_params(texts: list[str]) -> dict[str, str]:
    """`rsi_period=14` and so on, as text: the strategy says what it takes."""
    from core.parameters import ParameterError

    found: dict[str, str] = {}
    problems = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            problems.append(f"--param {text!r} is not like rsi_period=14.")
        elif name in found:
            problems.append(f"{name} is given twice.")
        found[name] = value
    if problems:
        raise ParameterError(problems)
    return found
