"""A small venue for tests: one clock moved by hand, a walk or a given tape, one account."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from itertools import count

from exchanges.simulator.account import Account, Fees
from exchanges.simulator.clock import VenueClock
from exchanges.simulator.engine import Engine
from exchanges.simulator.instruments import instrument_of
from exchanges.simulator.market import Market
from exchanges.simulator.model import (
    ConditionalRequest,
    Event,
    OrderKind,
    OrderRequest,
    PositionSide,
    Side,
    TimeInForce,
    TriggerKind,
)
from exchanges.simulator.tape import MINUTE_MS, Tape, WalkTape
from exchanges.simulator.venue import Manners

START_MS = 1_750_000_020_000 // MINUTE_MS * MINUTE_MS
PRICES = {"BTCUSDT": Decimal(60000), "ETHUSDT": Decimal(2500)}


@lru_cache(maxsize=64)
def walk(seed: int, symbol: str, start_ms: int) -> WalkTape:
    """Made once: a tape only ever grows at its end."""
    tick = instrument_of(symbol).tick
    return WalkTape(seed=seed, symbol=symbol, start_ms=start_ms, price=PRICES[symbol], tick=tick)


class World:
    """`seconds` is the process clock; at rate 1 the venue's clock goes with it."""

    def __init__(
        self,
        *,
        seed: int = 1,
        balance: str = "10000",
        manners: Manners | None = None,
        tapes: dict[str, Tape] | None = None,
        fees: Fees | None = None,
        start_ms: int = START_MS,
    ) -> None:
        self.seconds = 0.0
        self.clock = VenueClock(lambda: self.seconds, at_ms=start_ms)
        instruments = {symbol: instrument_of(symbol) for symbol in PRICES}
        walks: dict[str, Tape] = {symbol: walk(seed, symbol, start_ms) for symbol in PRICES}
        self.engine = Engine(self.clock, Market(instruments, {**walks, **(tapes or {})}), manners)
        self.events: list[Event] = []
        self.engine.listen(self.events.append)
        self.account: Account = self.engine.add_account("a", Decimal(balance), fees)
        self._ids = count(1)

    def go(self, seconds: float) -> None:
        self.seconds += seconds
        self.engine.advance()

    def order(self, side: str, quantity: str, price: str | None = None, **more: object) -> OrderRequest:
        fields = {
            "symbol": "BTCUSDT",
            "side": Side(side),
            "kind": OrderKind.MARKET if price is None else OrderKind.LIMIT,
            "quantity": Decimal(quantity),
            "price": None if price is None else Decimal(price),
            "client_id": f"t-{next(self._ids)}",
            "tif": TimeInForce.GTC,
            "position_side": PositionSide.BOTH,
        }
        return OrderRequest(**{**fields, **more})  # type: ignore[arg-type]

    def conditional(self, kind: str, side: str, **more: object) -> ConditionalRequest:
        fields = {
            "symbol": "BTCUSDT",
            "side": Side(side),
            "kind": TriggerKind(kind),
            "client_id": f"c-{next(self._ids)}",
            "rises": (side == "buy") == (kind != "take_profit"),
        }
        return ConditionalRequest(**{**fields, **more})  # type: ignore[arg-type]
