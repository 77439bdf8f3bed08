from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.symbols import SymbolError, parse_symbol


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTCUSDT", "BTCUSDT"),
        ("btcusdt", "BTCUSDT"),
        ("BTC_USDT", "BTCUSDT"),
        ("BTC/USDT", "BTCUSDT"),
        ("BTC/USDT:USDT", "BTCUSDT"),
        (" eth/usdt ", "ETHUSDT"),
        ("1000PEPE/USDT:USDT", "1000PEPEUSDT"),
    ],
)
def test_a_symbol_is_read_in_every_spelling_clients_use(text: str, symbol: str) -> None:
    assert parse_symbol(text) == symbol


@pytest.mark.parametrize(
    "text", ["", "B", "BTC/USD:BTC", "BTC//USDT", "BTC-USDT", "../etc", "BTC/USDT:", "Ⅷ" * 4]
)
def test_i15_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SymbolError, match="not a symbol"):
        parse_symbol(text)


@given(st.text(max_size=30))
def test_what_is_read_reads_the_same_again(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except SymbolError:
        return
    assert parse_symbol(symbol) == symbol
    assert symbol.isascii()
