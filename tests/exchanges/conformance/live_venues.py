"""The venues beyond the process: a new one joins by a line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from core.connection import Venue as VenueName
from exchanges.simulator import binance_face, bybit_face
from tests.exchanges.conformance import traits
from tests.exchanges.conformance.simulated_venue import SimulatedVenue

BINANCE = (VenueName.BINANCE, binance_face.BinanceFace, binance_face.MANNERS, traits.BINANCE)
BYBIT = (VenueName.BYBIT, bybit_face.BybitFace, bybit_face.MANNERS, traits.BYBIT)

LIVE: dict[str, Callable[[], SimulatedVenue]] = {
    "binance": partial(SimulatedVenue, *BINANCE),
    "bybit": partial(SimulatedVenue, *BYBIT),
}
