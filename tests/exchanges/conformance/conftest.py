"""One suite for every adapter: a new venue joins by a line here."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.exchanges.conformance.paper_venue import PaperVenue
from tests.exchanges.conformance.venue import Venue

VENUES: dict[str, Callable[[], Venue]] = {"paper": PaperVenue}


@pytest.fixture(params=sorted(VENUES))
def venue(request: pytest.FixtureRequest) -> Venue:
    made = VENUES[request.param]()
    made.opens(1000.0)
    return made
