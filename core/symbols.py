"""Symbols as the service spells them: `BTCUSDT`, however a client wrote it."""

from __future__ import annotations

import re
from typing import Final

from core.errors import RunnerError

_BARE: Final = re.compile(r"[A-Z0-9]{2,20}")
_PAIR: Final = re.compile(r"(?P<base>[A-Z0-9]{1,20})[/_](?P<quote>[A-Z]{3,5})(?::(?P<settle>[A-Z]{3,5}))?")
_QUOTES: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "EUR")


class SymbolError(RunnerError):
    """A text that names no symbol."""


def parse_symbol(text: str) -> str:
    """`BTCUSDT` for `btcusdt`, `BTC_USDT`, `BTC/USDT` and `BTC/USDT:USDT`.

    A contract settled in another coin than it is quoted in is another instrument, hence refused.
    """
    spelled = text.strip().upper()
    if _BARE.fullmatch(spelled):
        return spelled
    pair = _PAIR.fullmatch(spelled)
    if pair is None or pair["settle"] not in (None, pair["quote"]):
        raise SymbolError(f"{text!r} is not a symbol; write it like BTCUSDT or BTC/USDT:USDT.")
    return pair["base"] + pair["quote"]


def base_of(symbol: str) -> str:
    """`BTC` of `BTCUSDT`; what ends in no quote asset known here is its own base."""
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote)
    return symbol
