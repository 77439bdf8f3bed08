"""One suite for every adapter: a new venue joins by a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from core.connection import Venue as VenueName
from exchanges.simulator import binance_face, bybit_face
from tests.exchanges.conformance import traits
from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.simulated_venue import SimulatedVenue
from tests.exchanges.conformance.venue import Venue

BINANCE = (VenueName.BINANCE, binance_face.BinanceFace, binance_face.MANNERS, traits.BINANCE)
BYBIT = (VenueName.BYBIT, bybit_face.BybitFace, bybit_face.MANNERS, traits.BYBIT)

LIVE: dict[str, Callable[[], SimulatedVenue]] = {
    "binance": partial(SimulatedVenue, *BINANCE),
    "bybit": partial(SimulatedVenue, *BYBIT),
}
VENUES: dict[str, Callable[[], Venue]] = {"paper": PaperVenue, **LIVE}


@pytest.fixture(params=sorted(VENUES))
def venue(request: pytest.FixtureRequest) -> Iterator[Venue]:
    made = VENUES[request.param]()
    made.opens(1000.0)
    yield made
    made.close()


@pytest.fixture(params=sorted(LIVE))
def live(request: pytest.FixtureRequest) -> Iterator[SimulatedVenue]:
    made = LIVE[request.param]()
    yield made
    made.close()
