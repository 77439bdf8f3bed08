"""A venue put together and run: tapes or a walk, a clock, one face, one server."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from exchanges.simulator.binance_face import MANNERS as BINANCE_MANNERS
from exchanges.simulator.binance_face import BinanceFace
from exchanges.simulator.bybit_face import MANNERS as BYBIT_MANNERS
from exchanges.simulator.bybit_face import BybitFace
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.engine import Engine
from exchanges.simulator.face import Face
from exchanges.simulator.instruments import instrument_of
from exchanges.simulator.market import Market
from exchanges.simulator.server import Server
from exchanges.simulator.tape import Tape, WalkTape, read_tapes
from exchanges.simulator.trade_tape import is_trade_file, read_trade_tapes
from exchanges.simulator.venue import Key

VENUES = ("binance", "bybit")
MAJORS = {"BTCUSDT": Decimal(60000), "ETHUSDT": Decimal(2500), "SOLUSDT": Decimal(150)}
ACCOUNT = "main"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run. `start_ms`: where time begins; None: at the tapes' start, or at `now_ms` without tapes."""

    venue: str
    now_ms: int
    tapes: tuple[Path, ...] = ()
    start_ms: int | None = None
    speed: float = 1.0
    seed: int = 1
    key: str = ""
    secret: str = ""
    balance: Decimal = Decimal(10000)
    journal: Path | None = None


def build(plan: Plan, process_s: Callable[[], float]) -> Face:
    """The face on its engine, with the one key of the plan. Raises TapeError."""
    ticks = {symbol: instrument_of(symbol).tick for symbol in MAJORS}
    trades = read_trade_tapes([path for path in plan.tapes if is_trade_file(path)], ticks)
    candles = read_tapes([path for path in plan.tapes if not is_trade_file(path)], ticks)
    # Where both are given, orders are matched against the candles: they cover what the trades' file leaves out.
    tapes: dict[str, Tape] = {**trades, **candles}
    start_ms = plan.start_ms
    if start_ms is None:
        start_ms = max((tape.first_ms for tape in tapes.values()), default=plan.now_ms)
    instruments = {symbol: instrument_of(symbol) for symbol in (*MAJORS, *tapes)}
    for symbol, price in MAJORS.items():
        if symbol not in tapes:
            tick = instruments[symbol].tick
            tapes[symbol] = WalkTape(seed=plan.seed, symbol=symbol, start_ms=start_ms, price=price, tick=tick)
    clock = VenueClock(process_s, at_ms=start_ms, rate=plan.speed)
    face = _face(plan.venue, clock, Market(instruments, tapes, trades))
    if plan.key:
        face.engine.add_account(ACCOUNT, plan.balance)
        face.engine.set_key(Key(key=plan.key, secret=plan.secret.encode(), account=ACCOUNT))
    return face


def _face(venue: str, clock: VenueClock, market: Market) -> Face:
    if venue == "binance":
        return BinanceFace(Engine(clock, market, BINANCE_MANNERS))
    if venue == "bybit":
        return BybitFace(Engine(clock, market, BYBIT_MANNERS))
    raise ValueError(f"There is no stand-in for {venue}; there is {' and '.join(VENUES)}.")


def environment(venue: str, host: str, port: int) -> Sequence[tuple[str, str]]:
    """The settings that point the runner at it."""
    name = venue.upper()
    return (
        (f"{name}_BASE_URL", f"http://{host}:{port}"),
        (f"{name}_WS_URL", f"ws://{host}:{port}"),
    )


async def serve(
    plan: Plan, process_s: Callable[[], float], *, host: str, port: int, announce: Callable[[int], None]
) -> None:
    """Runs until SIGINT or SIGTERM; `announce` is told the port once it listens. Raises TapeError, OSError."""
    # What the venue books it keeps, so looking through all of it for cycles again and again finds nothing.
    gc.set_threshold(50_000, 20, 1000)
    server = Server(build(plan, process_s), plan.journal)
    bound = await server.start(host, port)
    task = asyncio.ensure_future(server.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    # Whoever reads the announcement may end it at once, also where the shell had it ignore interrupts.
    announce(bound)
    with contextlib.suppress(asyncio.CancelledError):
        await task
