"""`data`: check candle files, import them into a folder of recorded candles, fetch a venue's public ones."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from core.timeframe import Timeframe
    from exchanges.feeds.archive import Imported
    from exchanges.feeds.candle_file import CandleFile

Files = Annotated[list[Path], typer.Argument(help="Candle files: Binance archive CSV, gzip or not.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
Into = Annotated[
    Path | None, typer.Option(help="Folder of recorded candles (default: candles/ in the data folder).")
]
FETCH_CHUNK = 15_000
"""Candles between two steps of the progress bar: ten requests."""


def register(app: typer.Typer) -> None:
    data = typer.Typer(help="Check, import or fetch candles.", no_args_is_help=True)
    app.add_typer(data, name="data")

    @data.command()
    def check(files: Files, json: Json = False) -> None:
        """Read every file and say what is in it, or the first thing wrong with it."""
        from exchanges.feeds.candle_file import read_candle_file

        _report(files, lambda path: _described(read_candle_file(path)), json=json)

    @data.command("import")
    def import_(
        files: Files,
        into: Into = None,
        symbol: Annotated[str | None, typer.Option(help="Where the file's name does not tell.")] = None,
        market: Annotated[
            str | None, typer.Option(help="perp or spot, where the name does not tell.")
        ] = None,
        venue: Annotated[str | None, typer.Option(help="Where the name does not tell.")] = None,
        json: Json = False,
    ) -> None:
        """Copy clean files into the folder `serve --demo --data` reads, named for what they hold."""
        from core.market import Market
        from exchanges.feeds.archive import import_file

        if market not in (None, *Market):
            raise typer.BadParameter(f"{market!r} is not perp or spot", param_hint="--market")
        folder = into or _default_folder()
        chosen = Market(market) if market else None
        _report(
            files,
            lambda path: _stored(import_file(path, folder, symbol=symbol, market=chosen, venue=venue)),
            json=json,
        )

    @data.command()
    def fetch(
        symbol: str,
        timeframe: str,
        start: Annotated[
            str, typer.Option("--from", help="First open time, UTC: 2025-01-01 or with a time.")
        ],
        end: Annotated[str, typer.Option("--to", help="Last close time, UTC.")],
        into: Into = None,
        json: Json = False,
    ) -> None:
        """Download Binance's public perpetual candles into the folder."""
        from bin.commands.output import write_json
        from core.symbols import parse_symbol
        from core.timeframe import Timeframe, parse_range

        fetched = _fetch(
            parse_symbol(symbol),
            Timeframe.parse(timeframe),
            parse_range(start, end),
            into or _default_folder(),
        )
        if json:
            write_json(fetched)
        else:
            typer.echo(_sentence(fetched))


def _report(files: list[Path], work: Callable[[Path], dict[str, object]], *, json: bool) -> None:
    """Works through all files, whatever some are like; exit code 1 when any is refused."""
    from bin.commands.output import write_json
    from core.errors import RunnerError

    outcomes: list[dict[str, object]] = []
    for path in files:
        try:
            outcomes.append({"file": str(path), "ok": True, **work(path)})
        except RunnerError as refusal:
            outcomes.append({"file": str(path), "ok": False, "error": str(refusal)})
    bad = sum(not outcome["ok"] for outcome in outcomes)
    if json:
        write_json({"files": outcomes, "bad": bad})
    else:
        for outcome in outcomes:
            typer.echo(_sentence(outcome) if outcome["ok"] else outcome["error"], err=not outcome["ok"])
    if bad:
        raise typer.Exit(1)


def _described(file: CandleFile) -> dict[str, object]:
    from exchanges.feeds.base import coverage_of

    coverage = coverage_of(file.columns, file.timeframe)
    return {
        "timeframe": file.timeframe,
        "candles": coverage.candles,
        "from": coverage.start,
        "to": coverage.end,
        "gaps": len(coverage.stretches) - 1,
        "takerVolume": file.has_taker_volume,
    }


def _stored(imported: Imported) -> dict[str, object]:
    return {
        "stored": str(imported.path),
        "added": imported.added,
        "symbol": imported.series.symbol,
        "market": imported.series.market,
        "timeframe": imported.series.timeframe,
        "candles": imported.candles,
    }


def _sentence(outcome: dict[str, object]) -> str:
    candles = f"{outcome['candles']:,} {outcome['timeframe']} candles"
    if "stored" not in outcome:
        taker = "with" if outcome["takerVolume"] else "without"
        return (
            f"{outcome['file']}: {candles}, {outcome['from']:%Y-%m-%d %H:%M} to "
            f"{outcome['to']:%Y-%m-%d %H:%M} UTC, {outcome['gaps']} gaps, {taker} taker volume."
        )
    verb = "stored" if outcome["added"] else "already there"
    return f"{outcome['stored']}: {verb}, {candles} of {outcome['symbol']} ({outcome['market']})."


def _default_folder() -> Path:
    return Path(os.environ.get("RUNNER_DATA_DIR") or "var") / "candles"


def _fetch(
    symbol: str, timeframe: Timeframe, span: tuple[datetime, datetime], folder: Path
) -> dict[str, object]:
    import asyncio

    from rich.console import Console
    from rich.progress import Progress

    from core.candles import CandleColumns
    from core.market import Market, Series
    from exchanges.feeds.archive import store_columns
    from exchanges.feeds.base import NoCandles
    from exchanges.feeds.binance_public import BASE_URL, BinancePublic

    start, end = span

    async def download(progress: Progress) -> CandleColumns:
        source = BinancePublic(os.environ.get("BINANCE_BASE_URL") or BASE_URL)
        total = max(1, int((end - start) / timeframe.delta))
        task = progress.add_task(f"{symbol} {timeframe}", total=total)
        parts: list[CandleColumns] = []
        try:
            at = start
            while at < end:
                until = min(end, at + FETCH_CHUNK * timeframe.delta)
                part = await source.candles(symbol, timeframe, at, until)
                if len(part):
                    parts.append(part)
                progress.advance(task, (until - at) / timeframe.delta)
                at = until
        finally:
            await source.aclose()
        if not parts:
            raise NoCandles(f"Binance has no {timeframe} candles of {symbol} in that range.")
        return CandleColumns.joined(parts)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        columns = asyncio.run(download(progress))
    series = Series(venue="binance", market=Market.PERP, symbol=symbol, timeframe=timeframe)
    return _stored(store_columns(columns, series, folder))
