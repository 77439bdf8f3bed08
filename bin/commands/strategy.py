"""`strategy`: an author's kit. Begin one in a file, check it as the service would, try it, search its parameters."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from bin.commands.backtest import (
    Config,
    Fee,
    Files,
    Folder,
    From,
    Json,
    NoGates,
    Params,
    Report,
    Slippage,
    To,
    gates,
    parse_params,
    parse_span,
    sandbox_limits,
)

if TYPE_CHECKING:
    from bin.strategy_file import StrategyFile

BACKTEST: Final = (
    "Every option of `bin/runner backtest` may follow the file: its own symbol, timeframe and settings stand where "
    "none is given. Example: bin/runner strategy backtest examples/sma_trend.json --data recorded --report out"
)
OPTIMIZE: Final = (
    "Example: bin/runner strategy optimize rsi_oversold_overbought --range rsi_period=5:40 --trials 200 "
    "--report out"
)


class Kinds(StrEnum):
    """As bin.strategy_skeleton.Kind, for which `--help` would have to wait."""

    PYTHON = "python"
    TYPESCRIPT = "typescript"
    TEMPLATE = "template"
    GRAPH = "graph"


class Objectives(StrEnum):
    """As bin.commands.optimize.Objective, for which `--help` would have to wait."""

    SHARPE = "sharpe"
    SORTINO = "sortino"
    PNL = "pnl"
    PROFIT_FACTOR = "profitFactor"


Named = Annotated[
    str,
    typer.Argument(
        metavar="STRATEGY", help="A file (.py, .ts, .js, .json), or the name of a built-in strategy."
    ),
]
Ranges = Annotated[
    list[str] | None,
    typer.Option("--range", metavar="K=LOW:HIGH", help="Search K within narrower bounds than declared."),
]

_app = typer.Typer(help="Write, check, try and tune a strategy in a file.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(_app, name="strategy")


@_app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and _.")],
    kind: Annotated[Kinds, typer.Option("--kind", "--language", help="What it is made of.")] = Kinds.PYTHON,
    into: Annotated[Path, typer.Option(metavar="DIR", help="The folder it is put in.")] = Path(),
    json: Json = False,
) -> None:
    """Begin a strategy: a commented file that runs as it is, and for Python a test of it."""
    from bin.commands.output import write_json
    from bin.strategy_skeleton import Kind, begin

    made = begin(name, Kind(kind.value), into)
    if json:
        write_json({"files": [str(path) for path in made]})
        return
    for path in made:
        print(path)
    print(f"Next: bin/runner strategy check {made[0]}")


@_app.command()
def check(
    strategy: Named,
    symbol: Annotated[str | None, typer.Option(help="Instead of the file's.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Instead of the file's.")] = None,
    param: Params = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check a strategy as the service does before it keeps one, and try it on generated candles."""
    from bin.commands.output import write_json
    from bin.commands.strategy_words import document, print_check
    from bin.strategy_check import check as checked
    from bin.strategy_file import strategy_named

    found = strategy_named(strategy)
    told = checked(
        found,
        symbol=symbol or found.symbol,
        timeframe=timeframe or found.timeframe,
        given=parse_params(param or []),
        sandbox=sandbox_limits(config),
    )
    if json:
        write_json(document(told))
    else:
        print_check(told)
    if not told.ok:
        raise typer.Exit(1)


@_app.command(epilog=BACKTEST, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def backtest(context: typer.Context, strategy: Named) -> None:
    """Replay a strategy over history, as `bin/runner backtest` does."""
    from bin.commands.main import application
    from bin.strategy_file import strategy_named

    found = strategy_named(strategy)
    given = ["backtest", "--strategy", strategy, *_options(found), *context.args]
    application()(args=given, prog_name="bin/runner", standalone_mode=False)


@_app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="In another language, or plain words.")],
    into: Annotated[Path, typer.Option(metavar="FILE.py", help="Written only if the code runs.")],
    language: Annotated[str | None, typer.Option(help="What it is written in, in any words.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Turn a strategy of another language into Python, by the model that CONVERTER_URL and CONVERTER_MODEL name."""
    from bin.commands.output import write_json
    from bin.strategy_convert import convert as carry_out
    from facade.settings_file import load_settings

    found = carry_out(load_settings(config=config), source, into, language=language)
    errors = found.validated.errors if found.validated is not None else ()
    if json:
        complaints = [{"line": each.line, "message": each.message} for each in errors]
        told = {
            "ok": found.ok,
            "explanation": found.explanation,
            "rounds": found.rounds,
            "errors": complaints,
        }
        write_json({**told, "file": str(into) if found.ok else None})
    else:
        print(found.explanation)
        for each in errors:
            print(f"{'' if each.line is None else f'line {each.line}: '}{each.message}")
        print(f"Written to {into}." if found.ok else f"{into} is not written: the code does not run.")
    if not found.ok:
        raise typer.Exit(1)


@_app.command(epilog=OPTIMIZE)
def optimize(
    strategy: Named,
    symbol: Annotated[str | None, typer.Option(help="Instead of the file's.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="Instead of the file's.")] = None,
    candles: Files = None,
    data: Folder = None,
    start: From = None,
    end: To = None,
    param: Params = None,
    within: Ranges = None,
    trials: Annotated[int, typer.Option(min=8, max=5_000, help="Settings tried in each fold.")] = 100,
    folds: Annotated[int, typer.Option(min=1, max=20, help="Each tried on a part it has not seen.")] = 4,
    by: Annotated[Objectives, typer.Option(help="What the best setting is best by.")] = Objectives.SHARPE,
    seed: Annotated[int, typer.Option(min=0, help="The same seed tries the same settings.")] = 1,
    fee_pct: Fee = Decimal("0.04"),
    slippage_pct: Slippage = Decimal(0),
    no_gates: NoGates = False,
    report: Report = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Search a strategy's parameters fold by fold, each answer tried on candles it has not seen; Ctrl-C ends it."""
    from actors.backtest_result import declared_by
    from bin.commands.backtest_request import Asked, request_of
    from bin.commands.backtest_source import SourceChoice
    from bin.commands.optimize import Objective, Plan, space_of
    from bin.commands.optimize import optimize as carry_out
    from bin.strategy_check import ready
    from bin.strategy_file import strategy_named

    if candles and data is not None:
        raise typer.BadParameter("give --candles or --data, not both", param_hint="--data")
    found, given = strategy_named(strategy), parse_params(param or [])
    sandbox = sandbox_limits(config)
    symbol, timeframe = symbol or found.symbol, timeframe or found.timeframe
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
        found.settings,
    )
    plan = Plan(
        space=space_of(declared_by(request).specs, given, within or []),
        objective=Objective(by.value),
        trials=trials,
        folds=folds,
        seed=seed,
    )
    source = SourceChoice.of(request, files=tuple(candles or ()), folder=data)
    carry_out(request, source, plan, report=report, json=json)


def _options(found: StrategyFile) -> list[str]:
    """What the file says, as options that later ones overrule."""
    said = {
        f"--{name.replace('_', '-')}": value for name, value in found.trading.items() if value is not None
    }
    options = {"--symbol": found.symbol, "--timeframe": found.timeframe, **said}
    return [part for name, value in options.items() for part in (name, str(value))]
