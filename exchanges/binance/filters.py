"""Filters and leverage tiers of the symbols. Pure. Source: "Exchange Information", "Notional and Leverage Brackets"."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from core.leverage import LeverageTier
from core.market import SymbolRules
from exchanges.binance.wire import BracketsRow, ExchangeInfo, InstrumentRow, Unreadable, number, read


def instruments(body: bytes) -> Mapping[str, SymbolRules]:
    """Rules of the perpetuals that are margined in USDT and trade now."""
    return {
        row.symbol: symbol_rules(row)
        for row in read(body, ExchangeInfo).symbols
        if row.status == "TRADING" and row.margin_asset == "USDT" and row.contract_type.endswith("PERPETUAL")
    }


def symbol_rules(row: InstrumentRow) -> SymbolRules:
    """The filters of a symbol. Its precisions are not its tick and step."""
    by_type = {entry.get("filterType"): entry for entry in row.filters}
    try:
        lot = by_type["LOT_SIZE"]
        market = by_type.get("MARKET_LOT_SIZE", lot)
        return SymbolRules(
            symbol=row.symbol,
            tick_size=_filter(by_type["PRICE_FILTER"], "tickSize"),
            step_size=_filter(lot, "stepSize"),
            min_quantity=max(_filter(lot, "minQty"), _filter(market, "minQty")),
            max_quantity=_filter(lot, "maxQty"),
            min_notional=_filter(by_type.get("MIN_NOTIONAL", {"notional": "0"}), "notional"),
            market_step_size=_filter(market, "stepSize"),
            max_market_quantity=_filter(market, "maxQty"),
        )
    except KeyError as error:
        raise Unreadable(f"Binance names no {error} in the filters of {row.symbol}.") from None


def leverage_brackets(body: bytes) -> Mapping[str, tuple[LeverageTier, ...]]:
    """Tiers by symbol, smallest notional first; the venue answers a list or one object."""
    rows = read(body, list[BracketsRow] | BracketsRow)  # type: ignore[arg-type]  # msgspec takes unions
    return {
        row.symbol: tuple(
            LeverageTier(
                up_to=tier.notional_cap,
                max_leverage=Decimal(tier.initial_leverage),
                maintenance_rate=tier.maint_margin_ratio,
            )
            for tier in sorted(row.brackets, key=lambda tier: tier.bracket)
        )
        for row in (rows if isinstance(rows, list) else [rows])
    }


def _filter(entry: Mapping[str, Any], name: str) -> Decimal:
    value = entry[name]
    if not isinstance(value, str):
        raise Unreadable(f"Binance says a filter's {name} in another form than text.")
    return number(value, name)
