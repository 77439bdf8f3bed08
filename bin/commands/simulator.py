"""`simulator`: a venue's stand-in on this machine, to try the whole path without a key."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Venue(StrEnum):
    BINANCE = "binance"
    BYBIT = "bybit"


def register(app: typer.Typer) -> None:
    @app.command()
    def simulator(
        venue: Annotated[Venue, typer.Option(help="Whose face it wears.")],
        port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 lets the system choose.")] = 9443,
        tape: Annotated[
            list[Path] | None,
            typer.Option(
                metavar="FILE",
                help="One-minute candles or trades of a symbol (Binance archive CSV, gzip or not; trades have "
                "trades or aggTrades in their name); may be given several times. Without: a market made up "
                "from --seed.",
            ),
        ] = None,
        speed: Annotated[float, typer.Option(min=0, max=3600, help="Venue seconds per second.")] = 1.0,
        at: Annotated[
            str | None,
            typer.Option(metavar="TIME", help="Where its time begins (RFC 3339); default: the tape's start."),
        ] = None,
        key: Annotated[str | None, typer.Option(help="API key; default: one is made up and printed.")] = None,
        secret: Annotated[str | None, typer.Option(help="Its secret.")] = None,
        balance: Annotated[str, typer.Option(help="USDT of the account.")] = "10000",
        journal: Annotated[
            Path | None, typer.Option(metavar="FILE", help="Append every request to it, one JSON line each.")
        ] = None,
        seed: Annotated[int, typer.Option(help="Of the made-up market.")] = 1,
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        json: Annotated[bool, typer.Option("--json", help="Address and key as one JSON document.")] = False,
    ) -> None:
        """Run a stand-in of a venue: its REST and WebSocket faces, matching orders against a candle tape.

        Nothing leaves this machine and no money is real. Start it, set the printed variables, add a connection
        with the printed key, and start the runner as for the real venue. Clients of the venue's own API work as
        well when pointed at it by URL.

        Its time, prices, keys and faults are set over HTTP under /simulator/ (clock, price, keys, faults); what it
        was asked and did is at /simulator/journal, and its books are at /simulator/ledger. Ctrl-C ends it.
        """
        from core.errors import RunnerError
        from exchanges.simulator.tape import TapeError

        if (key is None) != (secret is None):
            raise RunnerError("--key and --secret belong together.")
        try:
            _run(venue, port, tuple(tape or ()), speed, at, key, secret, balance, journal, seed, host, json)
        except TapeError as error:
            raise RunnerError(str(error)) from error
        except OSError as error:
            raise RunnerError(f"The simulator cannot start: {error}.") from error


def _run(
    venue: Venue, port: int, tapes: tuple[Path, ...], speed: float, at: str | None, key: str | None,
    secret: str | None, balance: str, journal: Path | None, seed: int, host: str, json: bool,
) -> None:  # fmt: skip
    import asyncio
    import secrets
    import time

    from bin.commands.output import write_json
    from exchanges.simulator import program

    plan = program.Plan(
        venue=venue,
        now_ms=int(time.time() * 1000),
        tapes=tapes,
        start_ms=None if at is None else _milliseconds(at),
        speed=speed,
        seed=seed,
        key=key or secrets.token_hex(32),
        secret=secret or secrets.token_hex(32),
        balance=_amount(balance),
        journal=journal,
    )

    def announce(bound: int) -> None:
        variables = program.environment(venue, host, bound)
        if json:
            write_json({**dict(variables), "key": plan.key, "secret": plan.secret})
            return
        print(f"A stand-in for {venue} listens on http://{host}:{bound}. Point the runner at it:\n")
        for name, value in variables:
            print(f"  export {name}={value}")
        print(f"\n  API key     {plan.key}\n  API secret  {plan.secret}\n")
        print(f"Balance {plan.balance} USDT, time runs at {speed:g}x. Ctrl-C ends it.", flush=True)

    asyncio.run(program.serve(plan, time.monotonic, host=host, port=port, announce=announce))


def _milliseconds(text: str) -> int:
    from datetime import UTC, datetime

    from core.errors import RunnerError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise RunnerError(f"--at {text!r} is no time such as 2026-04-01T00:00:00Z.") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _amount(text: str) -> Decimal:
    from core.errors import RunnerError

    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise RunnerError(f"--balance {text!r} is no amount of USDT.")
    return amount
