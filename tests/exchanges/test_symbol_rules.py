"""The shipped filters are readable, plausible and exact."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from core.market import Rounding
from exchanges.symbol_rules import plain_rules, shipped_rules

SYMBOLS = {"BTCUSDT", "ETHUSDT", "SOLUSDT", "AVAXUSDT", "LTCUSDT", "XRPUSDT", "LINKUSDT", "BNBUSDT"}
FIELDS = {
    "tick_size": ("PRICE_FILTER", "tickSize"),
    "step_size": ("LOT_SIZE", "stepSize"),
    "min_quantity": ("LOT_SIZE", "minQty"),
    "max_quantity": ("LOT_SIZE", "maxQty"),
    "min_notional": ("MIN_NOTIONAL", "notional"),
    "market_step_size": ("MARKET_LOT_SIZE", "stepSize"),
    "max_market_quantity": ("MARKET_LOT_SIZE", "maxQty"),
}


def test_the_perpetuals_of_the_demo_have_rules() -> None:
    rules = shipped_rules()
    assert set(rules) == SYMBOLS
    assert all(rule.symbol == symbol for symbol, rule in rules.items())
    assert rules["BTCUSDT"].tick_size == Decimal("0.1")


@pytest.mark.requires_recorded_data
def test_shipped_rules_equal_the_venues_own_answer(recorded_data: Path) -> None:
    answer = json.loads(
        (recorded_data / "instruments" / "binance-perp-exchangeInfo-20260704.json").read_text()
    )
    rules = shipped_rules()
    for listed in answer["symbols"]:
        if listed["symbol"] not in rules:
            continue
        filters = {each["filterType"]: each for each in listed["filters"]}
        for field, (kind, name) in FIELDS.items():
            assert getattr(rules[listed["symbol"]], field) == Decimal(filters[kind][name]), field


@pytest.mark.parametrize("price", [0.0000123, 0.0123, 0.5, 1.0, 12.3, 999.9, 51234.0])
def test_an_unknown_symbol_gets_five_digits_and_a_small_step(price: float) -> None:
    rules = plain_rules("ANYUSDT", price)
    assert abs(float(rules.price(Decimal(repr(price)), Rounding.NEAREST)) - price) <= price / 10_000
    assert float(rules.step_size) * price < 100
