"""One suite for every adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.exchanges.conformance.live_venues import LIVE
from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.simulated_venue import SimulatedVenue
from tests.exchanges.conformance.venue import Venue

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
