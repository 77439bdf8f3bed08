"""A plain loop over candles: what a strategy's signals would have traded, written without any of the program's parts.

Follows decisions 17 and 27: market orders fill at the next candle's open plus slippage, an opposite signal exits
and enters there, stop and target work from that candle on, the worse of both touched counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

Row = tuple[float, float, float, float]
"""Open, high, low, close."""


@dataclass(frozen=True)
class Terms:
    tick: Decimal
    step: Decimal
    min_notional: Decimal
    capital: Decimal
    leverage: int
    fee: Decimal
    slippage: Decimal
    stop: Decimal
    target: Decimal


@dataclass(frozen=True)
class PlainTrade:
    side: int
    quantity: Decimal
    entry_index: int
    entry: Decimal
    exit_index: int
    exit: Decimal
    pnl: Decimal


@dataclass
class Held:
    side: int
    quantity: Decimal
    entry: Decimal
    index: int
    stop: Decimal
    target: Decimal


def on_tick(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick


def exact(price: float) -> Decimal:
    return Decimal(repr(price))


class PlainAccount:
    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.balance = terms.capital
        self.held: Held | None = None
        self.trades: list[PlainTrade] = []

    def market_price(self, side: int, open_: float) -> Decimal:
        slipped = exact(open_) * (1 + side * self.terms.slippage)
        return on_tick(slipped, self.terms.tick, ROUND_CEILING if side > 0 else ROUND_FLOOR)

    def close(self, price: Decimal, index: int) -> None:
        held = self.held
        assert held is not None
        gross = (price - held.entry) * held.quantity * held.side
        self.balance += gross - price * held.quantity * self.terms.fee
        fees = (price + held.entry) * held.quantity * self.terms.fee
        trade = PlainTrade(held.side, held.quantity, held.index, held.entry, index, price, gross - fees)
        self.trades.append(trade)
        self.held = None

    def open(self, side: int, last_close: float, open_: float, index: int) -> None:
        terms = self.terms
        reference = on_tick(exact(last_close), terms.tick, ROUND_HALF_UP)
        wanted = terms.capital * terms.leverage / reference
        worst = reference * (1 + terms.slippage)
        affordable = self.balance / (worst * (1 / Decimal(terms.leverage) + terms.fee))
        quantity = (min(wanted, affordable) / terms.step).to_integral_value(ROUND_FLOOR) * terms.step
        if quantity * reference < terms.min_notional:
            return
        entry = self.market_price(side, open_)
        self.balance -= entry * quantity * terms.fee
        rounding = ROUND_FLOOR if side > 0 else ROUND_CEILING
        stop = on_tick(entry * (1 - side * terms.stop), terms.tick, rounding)
        target = on_tick(entry * (1 + side * terms.target), terms.tick, rounding)
        self.held = Held(side, quantity, entry, index, stop, target)

    def touch(self, row: Row, index: int) -> None:
        held = self.held
        if held is None:
            return
        open_, high, low, _ = row
        side, stop, target = held.side, float(held.stop), float(held.target)
        hit = []
        if (low <= stop) if side > 0 else (high >= stop):
            behind = open_ <= stop if side > 0 else open_ >= stop
            hit.append(exact(open_) if behind else held.stop)
        if (high >= target) if side > 0 else (low <= target):
            beyond = open_ >= target if side > 0 else open_ <= target
            hit.append(exact(open_) if beyond else held.target)
        if hit:
            self.close(min(hit) if side > 0 else max(hit), index)


def trade(rows: Sequence[Row], actions: Sequence[int], terms: Terms) -> PlainAccount:
    """`actions`: 1 long, -1 short, 0 hold at the close of each candle."""
    account = PlainAccount(terms)
    for index, row in enumerate(rows):
        account.touch(row, index)
        side = actions[index]
        if not side or index + 1 == len(rows):
            continue
        next_open = rows[index + 1][0]
        if account.held is not None and account.held.side == side:
            continue
        if account.held is not None:
            account.close(account.market_price(side, next_open), index + 1)
        account.open(side, row[3], next_open, index + 1)
    return account
