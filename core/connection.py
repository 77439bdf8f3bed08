"""An exchange connection's plain facts: which venues there are, and of which of a venue's installations it is."""

from __future__ import annotations

from enum import StrEnum


class Venue(StrEnum):
    """Where a connection may lead."""

    BINANCE = "binance"
    BYBIT = "bybit"


class Environment(StrEnum):
    """A venue's installation: real money, its test network, or its demo accounts. Keys of one are void at another."""

    LIVE = "live"
    TESTNET = "testnet"
    DEMO = "demo"
