"""The shipped symbol filters of the perpetuals that paper trading and replay know without asking a venue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from core.market import SymbolRules

_FILE: Final = Path(__file__).with_name("symbol_rules.json")


class _Filters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    min_notional: Decimal
    market_step_size: Decimal
    max_market_quantity: Decimal


class _Shipped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    venue: str
    market: str
    as_of: str
    symbols: dict[str, _Filters]


def shipped_rules() -> Mapping[str, SymbolRules]:
    """Rules by symbol, as the venue published them on the date the file names."""
    shipped = msgspec.json.decode(_FILE.read_bytes(), type=_Shipped)
    return {
        symbol: SymbolRules(symbol=symbol, **msgspec.structs.asdict(filters))
        for symbol, filters in shipped.symbols.items()
    }


def plain_rules(symbol: str, price: float) -> SymbolRules:
    """Rules for a symbol nobody shipped any for, when only paper trades it: five digits of its price.

    A live venue's own filters always stand before these.
    """
    digits = Decimal(repr(price)).adjusted()
    tick = Decimal(1).scaleb(digits - 4)
    step = Decimal(1).scaleb(min(0, 1 - digits)) if digits > 0 else Decimal(1)
    most = Decimal(10) ** 9
    return SymbolRules(
        symbol=symbol,
        tick_size=tick,
        step_size=step,
        min_quantity=step,
        max_quantity=most,
        min_notional=Decimal(5),
        market_step_size=step,
        max_market_quantity=most,
    )
