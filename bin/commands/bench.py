"""`bench`: what this machine reaches with one slot of many runs, the actor runtime, in replay, at a venue's wire."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from bin.commands.bench_check import Row

Json = Annotated[bool, typer.Option("--json", help="One JSON document.")]


def register(app: typer.Typer) -> None:
    bench = typer.Typer(help="Measure this machine: a slot of many runs, the runtime, replay, orders.")
    bench.command()(fanout)
    bench.command()(runtime)
    bench.command()(replay)
    bench.command()(gateway)
    bench.command()(streams)
    bench.command()(outside)
    bench.command()(http)
    bench.command()(pages)
    bench.command()(sandbox)
    bench.command()(check)
    app.add_typer(bench, name="bench", no_args_is_help=True)


def fanout(
    runs: Annotated[
        int, typer.Option(min=100, max=100_000, help="Active runs, all due in the slot.")
    ] = 10_000,
    strategies: Annotated[
        int, typer.Option(min=1, max=10_000, help="Strategies they share; of a single one all runs trade.")
    ] = 100,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="An empty database to fill and leave so. Without it a server of its own, gone afterwards; "
            "DATABASE_URL is not touched.",
        ),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also list the store's calls around the boundary.")
    ] = False,
    failing: Annotated[
        int, typer.Option(min=0, max=50_000, help="Runs on accounts whose venue takes no order.")
    ] = 0,
    json: Json = False,
) -> None:
    """One candle close: runs of RSI strategies on PostgreSQL, one in a hundred trading, timed from the boundary."""
    from bin.commands.bench_fanout import measure

    figures = measure(
        runs=runs, strategies=strategies, database=database, profile=profile, failing=min(failing, runs - 1)
    )
    _tell(
        figures,
        json,
        [
            *(
                (call["name"], f"{call['beganMs']:,.0f} to {call['endedMs']:,.0f} ms", f"{call['size']:,}")
                for call in figures.get("calls", ())
            ),
            ("Runs, strategies", f"{figures['runs']:,}, {figures['strategies']:,}", ""),
            (
                "Evaluations",
                f"{figures['evaluations']:,}",
                f"{figures['runs'] / figures['evaluations']:.0f} runs each",
            ),
            ("First order at the venue", f"{figures['firstOrderMs']:,.0f} ms", "after the boundary"),
            (
                "Last run decided",
                f"{figures['decidedMs']:,.0f} ms",
                _each(figures["decidedMs"], figures["runs"]),
            ),
            (
                "Last run done whose venue answers",
                f"{figures['othersDecidedMs']:,.0f} ms",
                f"{figures['failing']:,} others' venues take no order",
            ),
            ("Last order filled", f"{figures['filledMs']:,.0f} ms", f"{figures['orders']:,} orders"),
            (
                "All rows durable",
                f"{figures['durableMs']:,.0f} ms",
                _each(figures["durableMs"], figures["runs"]),
            ),
            ("Memory of a run", f"{figures['kbPerRun']:.1f} kB", ""),
            ("Start of all actors", f"{figures['startSeconds']:.1f} s", ""),
        ],
    )


def runtime(
    actors: Annotated[int, typer.Option(min=1_000, max=1_000_000, help="Supervised actors.")] = 10_000,
    asks: Annotated[
        int, typer.Option(min=1_000, max=10_000_000, help="Asks raced with their actors' stop.")
    ] = 1_000_000,
    runs: Annotated[
        int, typer.Option(min=100, max=20_000, help="Runs beside a slow venue, a tenth of them on it.")
    ] = 2_000,
    rounds: Annotated[
        int,
        typer.Option(min=1, max=100, help="Measurements beside a slow venue; of a prompt one twice as many."),
    ] = 5,
    json: Json = False,
) -> None:
    """The actor runtime: memory, asks, fan-out, stops, races; and what runs notice of others' slow venue."""
    from bin.commands import bench_runtime, bench_slow_venue

    figures = bench_runtime.measure(actors, asks=asks) | bench_slow_venue.measure(runs=runs, rounds=rounds)
    spread = f"equal ones differ {figures['promptVenueSpread']:.2f} times"
    ask_ratio = figures["askP50Us"] / figures["queueRoundTripUs"]
    _tell(
        figures,
        json,
        [
            ("Memory of an actor", f"{figures['kbPerActor']:.2f} kB", "at most 2"),
            (
                "Ask, median",
                f"{figures['askP50Us']:.1f} µs",
                f"{ask_ratio:.2f} queue round trips, at most 2.5",
            ),
            ("RSI fan-out", f"{figures['rsiTickRatioToLoop']:.2f}", "bare loops, at most 2.0 at 10,000"),
            ("pykka's ThreadingActor", f"{figures['threadingActorRatio']:.1f}", "times as long"),
            (
                "Stop of all",
                f"{figures['stopRatio']:.1f}",
                "times a stop of 1,000 in its worst order, at most 15",
            ),
            (
                "Asks left hanging",
                f"{figures['hungAsks']:,}",
                f"of {figures['racedAsks']:,} raced with stops",
            ),
            (
                "Beside a slow venue, p99",
                f"{figures['slowVenueP99Ms']:.0f} ms",
                f"{figures['slowVenueP99Ratio']:.2f} times a prompt one's ({spread}), at most 5",
            ),
        ],
    )


def replay(
    candles: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A candle file without holes, instead of generated ones."),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1_000, max=5_000_000, help="Generated one-minute candles.")
    ] = 1_000_000,
    json: Json = False,
) -> None:
    """Candles a second in replay: one long-only RSI run with all gates on, by both paths."""
    from bin.commands.bench_replay import measure

    figures = measure(count=count, file=candles)
    ratio = figures["limitPerSecond"] / figures["actorsPerSecond"]
    fast = figures["limitPerSecond"] / figures["fastPerSecond"]
    _tell(
        figures,
        json,
        [
            ("Candles", f"{figures['candles']:,}", figures["origin"]),
            ("Through the actors", f"{figures['actorsPerSecond']:,} /s", f"{figures['seconds']:.1f} s"),
            ("By the fast path", f"{figures['fastPerSecond']:,} /s", f"{fast:.2f} times a bare loop's time"),
            ("TA-Lib and a loop", f"{figures['limitPerSecond']:,} /s", f"{ratio:.0f} times as fast"),
            ("Round trips", f"{figures['trades']:,}", f"{figures['limitTrades']:,} without gates"),
        ],
    )


_PACES: Final = {
    "inFlight1": "1 in flight",
    "inFlight32": "32 in flight",
    "nowAndThen": "1 now and then",
}


def gateway(
    orders: Annotated[
        int,
        typer.Option(min=32, max=100_000, help="Orders of each client in a round, one in flight, then 32."),
    ] = 960,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds; the clients take turns.")] = 5,
    simulator: Annotated[
        bool,
        typer.Option(
            "--simulator",
            help="Order at the venue simulator, and through the whole gateway path too, instead of at a server that "
            "only answers.",
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the simulator's market and of all keys.")] = 1,
    database: Annotated[
        str | None,
        typer.Option(
            metavar="DSN", help="With --simulator: an empty database to fill, instead of a server of its own."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Signed orders a second and their latency beside httpx, aiohttp and ccxt; stream messages a second, decoded.

    Everything it needs it starts by itself, on this machine, and ends again. *ours* is the adapter's way to the venue.
    With --simulator, *gateway* is the whole path: gateway and connection actors, the re-read of switch and lease on a
    PostgreSQL of its own, sealed keys, adapter, simulator, private stream, report; rows are written after each volley.
    *booked* is the same with rows written beside the orders that follow; *stored*: the last fill is committed.
    Ratios are to the first client listed. The clients take turns, so compare ratios, not absolute figures, where the
    machine has other work.
    """
    from bin.commands.bench_gateway import measure

    figures = measure(
        orders=orders, rounds=rounds, simulator=simulator, seed=seed, database=database, say=_say
    )
    rows = [
        (
            f"{client}, {called}",
            f"{figure['p50Us']:,.0f} µs, {figure['perSecond']:,.0f} /s",
            f"{figure['p50Ratio']:.2f} times the latency, {figure['perSecondRatio']:.2f} times the time an order"
            + (f"; stored {figure['storedP50Us']:,.0f} µs" if "storedP50Us" in figure else ""),
        )
        for pace, called in _PACES.items()
        for client, figure in figures.get(pace, {}).items()
    ]
    rows += [
        (f"{what}, {way}", f"{figure['perSecond']:,} /s", f"{figure['cpuUs']:.2f} µs of CPU each")
        for what in ("klines", "trades")
        for way, figure in figures.get(what, {}).items()
    ]
    _tell(figures, json, rows)


def outside(
    runs: Annotated[int, typer.Option(min=100, max=20_000, help="Active runs, all due in each slot.")] = 400,
    rounds: Annotated[int, typer.Option(min=1, max=7, help="Slots in each state, up twice.")] = 4,
    json: Json = False,
) -> None:
    """Ticks while Redis and InfluxDB are up, stopped and hanging; and what they have of it in the end."""
    from bin.commands.bench_outside import measure

    figures = measure(runs=runs, rounds=rounds)
    lines = [
        (
            f"Redis and InfluxDB {state}",
            f"p50 {of['p50Ms']:,.0f}, p99 {of['p99Ms']:,.0f} ms",
            f"stored {of['durableMs']:,.0f}",
        )
        for state, of in figures["states"].items()
    ]
    for name, told in {**figures["signals"], "events": figures["events"]}.items():
        lines.append((f"Told {name}", f"{told['sent']:,}", f"{told['lost']:,} lost"))
    _tell(figures, json, lines)


def streams(
    readers: Annotated[
        int, typer.Option(min=1, max=180, help="Readers of the event stream that take nothing.")
    ] = 100,
    seconds: Annotated[float, typer.Option(min=2, max=600, help="Of each stretch that is measured.")] = 5.0,
    rounds: Annotated[
        int, typer.Option(min=1, max=100, help="Rounds, of two stretches with, two without.")
    ] = 10,
    runs: Annotated[
        int, typer.Option(min=20, max=5_000, help="One-minute runs that tick every second; one in 20 trades.")
    ] = 200,
    at_most: Annotated[
        float | None,
        typer.Option("--at-most", min=0.5, max=10, help="Exit code 1 where the ratio of p99 is above this."),
    ] = None,
    json: Json = False,
) -> None:
    """A service's ticks without and with stalled readers of its events, and what a reader that comes and goes hears.

    A tick that holds ends when it is decided, one that trades when its orders are filled and booked. Ratios stand
    between what 95 of 100 draws of the stretches give; beside them, what the stretches without readers give among
    themselves.
    """
    from bin.commands.bench_streams import measure

    figures = measure(readers=readers, seconds=seconds, rounds=rounds, runs=runs)
    alone, beside, p99 = figures["alone"], figures["besideStalled"], figures["p99"]
    named = (("without readers", alone), (f"beside {figures['readers']} stalled", beside))
    ratio, twice = p99["besideToAlone"], p99["aloneTwice"]
    rows = [
        (
            f"p99 {title}",
            f"{part['p99Ms']:.1f} ms",
            f"{part['ticks']:,}; holding {part['held']['p99Ms']:.1f} ms, trading {part['traded']['p99Ms']:.1f} ms",
        )
        for title, part in named
    ]
    rows += [
        (
            "Ratio",
            f"{ratio['ratio']:.3f}",
            f"{ratio['low']:.3f} to {ratio['high']:.3f}; twice the same {twice['low']:.3f} to {twice['high']:.3f}",
        ),
        (
            "Processor time a second",
            f"{beside['cpuMsASecond']:.0f} ms",
            f"{alone['cpuMsASecond']:.0f} ms without; {figures['openingCpuMsEach']:.1f} ms to open a stream",
        ),
        (
            "Events heard in visits",
            f"{figures['eventsHeard']:,} in {figures['visits']:,}",
            f"{figures['eventsLost']} lost, {figures['eventsRepeated']} repeated",
        ),
    ]
    _tell(figures, json, rows)
    if at_most is not None and ratio["ratio"] > at_most:
        raise typer.Exit(1)


def http(
    requests: Annotated[
        int, typer.Option(min=100, max=1_000_000, help="Requests of each kind in a round.")
    ] = 1_000,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds; the kinds take turns.")] = 3,
    runs: Annotated[int, typer.Option(min=10, max=20_000, help="Active runs in the database.")] = 1_000,
    database: Annotated[
        str | None,
        typer.Option(metavar="DSN", help="An empty database to fill, instead of a server of its own."),
    ] = None,
    json: Json = False,
) -> None:
    """Requests a second of the running service: its status and a list of 50 strategies, eight at a time.

    Beside them a bare Starlette route with as many bytes, and the list's statement by bare psycopg on one connection.
    """
    from bin.commands.bench_http import measure

    figures = measure(requests=requests, rounds=rounds, runs=runs, database=database)
    named = {
        "bare": "A bare Starlette route",
        "query": "A bare query",
        "status": "/api/runner/status",
        "strategies": "/api/strategies",
    }
    rows = []
    for name, called in named.items():
        figure = figures[name]
        ratios = ""
        if "ratioToBareRoute" in figure:
            ratios = f"{figure['ratioToBareRoute']} bare routes, {figure['ratioToBareQuery']} bare queries"
        rows.append(
            (
                called,
                f"{figure['perSecond']:,} /s",
                f"p50 {figure['p50Ms']} ms, p99 {figure['p99Ms']} ms {ratios}",
            )
        )
    _tell(figures, json, rows)


def pages(
    events: Annotated[
        int, typer.Option(min=1_000, max=100_000_000, help="Events in the database, and as many ticks.")
    ] = 1_000_000,
    database: Annotated[
        str | None,
        typer.Option(metavar="DSN", help="An empty database to fill, instead of a server of its own."),
    ] = None,
    json: Json = False,
) -> None:
    """How long status, ticks, strategies and event pages take with millions of events; exit code 1 beyond 300 ms."""
    from bin.commands.bench_pages import measure

    figures = measure(events=events, database=database, say=_say)
    rows = [
        (path, f"{page['p50Ms']} ms", f"at most {page['maxMs']} ms")
        for path, page in figures["pages"].items()
    ]
    _tell(figures, json, rows)
    if not figures["withinLimit"]:
        raise typer.Exit(1)


def sandbox(
    calls: Annotated[int, typer.Option(min=100, max=1_000_000, help="Evaluations in a warm worker.")] = 3_000,
    forks: Annotated[
        int, typer.Option(min=10, max=100_000, help="Evaluations in workers of their own.")
    ] = 300,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Stretches beside an attacker, 12 s each.")] = 5,
    json: Json = False,
) -> None:
    """An RSI over 200 candles in the sandbox: warm, forked for each call, a thousand at once, beside an attacker."""
    from bin.commands.bench_sandbox import measure

    figures = measure(calls=calls, forks=forks, rounds=rounds)
    beside, batch = figures["underAttack"], figures["batch"]
    named = {
        "The same in this process": figures["inProcess"],
        "Warm worker": figures["warm"],
        "A worker for each call": figures["forkPerCall"],
        "A worker that stood by, every 20 ms": figures["stoodBy"],
        "Warm, every 2 ms": beside["replay"]["without"],
        "Warm, every 2 ms, beside an attacker": beside["replay"]["beside"],
        "Live, every 20 ms": beside["live"]["without"],
        "Live, every 20 ms, beside an attacker": beside["live"]["beside"],
    }
    rows = [
        (name, f"p50 {each['p50Ms']} ms, p99 {each['p99Ms']} ms", f"{each['perSecond']:,} /s")
        for name, each in named.items()
    ]
    rows.append((f"{batch['evaluations']:,} at once", f"{batch['ms']} ms", f"{batch['perSecond']:,} /s"))
    rows += [
        (
            f"p99 beside an attacker, {name}",
            f"{beside[key]['p99Ratio']} times that without",
            f"twice without: {beside[key]['p99RatioOfNothing']} times",
        )
        for key, name in (("replay", "warm"), ("live", "live"))
    ]
    rows.append(
        (
            "Latest end of an attacker",
            f"{beside['latestKillMs']} ms",
            f"its limit is {beside['limitMs']:.0f} ms",
        )
    )
    _tell(figures, json, rows)


def check(
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Measure three times; the medians become the baseline.")
    ] = False,
    json: Json = False,
) -> None:
    """Short runs of all, as ratios to bare loops, beside the committed baseline; exit code 1 beyond four times."""
    from datetime import UTC, datetime

    import msgspec

    from bin.commands import bench_check
    from bin.commands.output import write_json

    if rewrite:
        bench_check.rewrite(bench_check.parts(), bench_check.BASELINE, datetime.now(UTC))
    rows = bench_check.check(bench_check.parts(), bench_check.BASELINE)
    if json:
        write_json([msgspec.to_builtins(row) for row in rows])
    else:
        _tell_rows(rows)
    if not all(row.ok for row in rows):
        raise typer.Exit(1)


def _tell_rows(rows: list[Row]) -> None:
    from rich.table import Table

    from bin.commands.backtest_run import output

    table = Table("Figure", box=None, padding=(0, 2, 0, 0))
    for title in ("Baseline", "Ratio", "At most"):
        table.add_column(title, justify="right")
    table.add_column("")
    for row in rows:
        numbers = (f"{number:.2f}" for number in (row.baseline, row.ratio, row.limit))
        table.add_row(row.figure, *numbers, "" if row.ok else "too slow")
    output().print(table)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _each(total_ms: float, runs: int) -> str:
    return f"{total_ms / runs * 1_000:.0f} µs a run"


def _tell(figures: Mapping[str, Any], json: bool, rows: list[tuple[str, str, str]]) -> None:
    if json:
        from bin.commands.output import write_json

        write_json(figures)
        return
    from rich.table import Table

    from bin.commands.backtest_run import output

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    output().print(table)
