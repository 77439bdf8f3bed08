"""`cycle` and `test-signals`: every symbol looked at once, and what that says told outside, or only shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from actors.signal_cycle import Candles, Looked
    from core.config import Settings

Template = Annotated[str, typer.Option(help="The built-in strategy that looks.")]
Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Recorded candles instead of InfluxDB or the venue.")
]
At = Annotated[datetime | None, typer.Option(help="Look as of this time (UTC); the last close before it.")]
VenueName = Annotated[
    Literal["binance", "bybit"], typer.Option(help="Whose candles are looked at over REST.")
]
Config = Annotated[str | None, typer.Option(metavar="FILE", help="YAML settings file, or a folder with one.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]
TELL_LEASE_NAME = "cycle"
LOOKED_AT_ONCE = 4
"""Symbols whose candles are asked for at a time."""


def register(app: typer.Typer) -> None:
    @app.command()
    def cycle(
        template: Template = "squeezeflow",
        data: Data = None,
        venue: VenueName = "binance",
        continuous: Annotated[
            bool, typer.Option("--continuous", help="Again each RUN_INTERVAL_SECONDS, until Ctrl-C.")
        ] = False,
        config: Config = None,
        json: Json = False,
    ) -> None:
        """Look at each symbol once and tell Redis and InfluxDB what that says, by the policy for signals.

        Symbols are SYMBOL_WHITELIST, or FreqTrade's pair whitelist (FREQTRADE_CONFIG); candles are from DIR, from
        trades in InfluxDB (INFLUX_TRADES_DATABASE), or from the venue. Exit code 1 when a receiver did not take it.
        """
        import time

        from actors.publishers.signals_out import receivers
        from core.errors import RunnerError
        from facade.settings_file import load_settings

        settings = load_settings(config=config)
        if not receivers(settings):
            raise RunnerError(
                "Nobody is to be told: set REDIS_HOST or INFLUX_URL. test-signals shows signals without telling."
            )
        if continuous and json:
            raise typer.BadParameter("one document is told; not with --continuous", param_hint="--json")
        while True:
            began_s = time.monotonic()
            looked = look_at_all(settings, template=template, data=data, venue=venue, at=None)
            outcome = _tell(settings, looked)
            _show(looked, outcome, json=json)
            if not continuous:
                break
            time.sleep(max(0.0, settings.run_interval_seconds - (time.monotonic() - began_s)))
        if any(outcome.values()):
            raise typer.Exit(1)

    @app.command("test-signals")
    def test_signals(
        template: Template = "squeezeflow",
        data: Data = None,
        venue: VenueName = "binance",
        at: At = None,
        config: Config = None,
        json: Json = False,
    ) -> None:
        """Look at each symbol once and show what that says; nobody is told, and nothing is kept."""
        from facade.settings_file import load_settings

        settings = load_settings(config=config)
        _show(look_at_all(settings, template=template, data=data, venue=venue, at=at), {}, json=json)


def look_at_all(
    settings: Settings, *, template: str, data: Path | None, venue: str, at: datetime | None
) -> list[Looked]:
    from concurrent.futures import ThreadPoolExecutor

    from actors.signal_cycle import look
    from core.strategies import template as built_in
    from core.strategies.configured import configured

    parameters = configured(built_in(template).specs, min_data_points=settings.min_data_points)
    timeframe = settings.default_timeframe
    symbols = settings.symbol_whitelist[: settings.max_symbols_per_cycle]
    now = datetime.now(UTC) if at is None else at.replace(tzinfo=UTC)
    with _candles(settings, data, symbols, now) as candles:

        def one(symbol: str) -> Looked:
            return look(
                symbol,
                template=template,
                venue=venue,
                parameters=parameters,
                timeframe=timeframe,
                slot=timeframe.floor(now),
                ttl_s=settings.signal_ttl_seconds,
                candles=candles,
            )

        # What is read from files or kept in memory waits for nobody.
        over_rest = data is None and settings.influx_trades_database is None
        together = LOOKED_AT_ONCE if over_rest and settings.enable_parallel_processing else 1
        with ThreadPoolExecutor(together) as pool:
            return list(pool.map(one, symbols))


@contextmanager
def _candles(
    settings: Settings, data: Path | None, symbols: Sequence[str], now: datetime
) -> Iterator[Candles]:
    from datetime import timedelta

    from actors.publishers.signals_out import trades_of
    from exchanges.feeds.base import CandleSource, candles_of
    from exchanges.feeds.files import FolderCandles
    from exchanges.feeds.influx_trades import influx_candles

    source: CandleSource
    where = trades_of(settings)
    if data is not None:
        source = FolderCandles(data)
    elif where is not None:
        back = timedelta(hours=settings.data_lookback_hours)
        source = influx_candles(where, symbols, now - back, now)
    else:
        yield _venue_candles(settings)
        return
    yield lambda series, start, end: candles_of(source, series, start, end)


def _venue_candles(settings: Settings) -> Candles:
    """The venues' own over REST: perpetuals, and spot where its candles tell takers."""
    import asyncio

    from actors.launch import venue_addresses
    from core.candles import CandleColumns
    from core.connection import Environment, Venue
    from core.market import Series
    from exchanges.venues import address, public_candles, rest_of

    given = venue_addresses(settings)

    async def fetched(series: Series, start: datetime, end: datetime) -> CandleColumns:
        venue = Venue(series.venue)
        rest = rest_of(address(venue, Environment.LIVE, given), series.market)
        public = public_candles(venue, rest, None, series.market)
        try:
            return await public.candles(series.symbol, series.timeframe, start, end)
        finally:
            await public.aclose()

    return lambda series, start, end: asyncio.run(fetched(series, start, end))


def _tell(settings: Settings, looked: Sequence[Looked]) -> dict[str, str | None]:
    """By receiver, why it did not take what waits for it; None: it has all."""
    import time

    from actors.launch import installation, opened_store
    from actors.publishers.signals_out import limits_of, receivers
    from actors.signal_cycle import CYCLE_USER, deliver

    signals = [each.signal for each in looked if each.signal is not None]
    monotonic: Callable[[], float] = time.monotonic
    with (
        installation(settings, Path(settings.runner_data_dir)) as there,
        opened_store(settings, there.dsn) as store,
    ):
        found = receivers(settings)
        for receiver in found:
            store.published.enter(receiver.name)
        store.published.offer(signals, CYCLE_USER, limits_of(settings))
        owner = f"{TELL_LEASE_NAME}:{settings.worker_id}"
        return {each.name.value: deliver(store.published, each, owner, monotonic) for each in found}


def _show(looked: Sequence[Looked], outcome: dict[str, str | None], *, json: bool) -> None:
    from bin.commands.output import write_json

    if json:
        document: dict[str, Any] = {"looked": looked, "receivers": outcome}
        write_json(document)
        return
    for each in looked:
        said = each.action if each.signal is None else each.signal.action.value
        print(f"{each.symbol} {each.slot:%Y-%m-%d %H:%M}: {said}" + (f" — {each.why}" if each.why else ""))
    for name, why in outcome.items():
        print(f"{name}: " + ("has everything" if why is None else why))
