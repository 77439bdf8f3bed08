"""What counts as an adapter error of a run (invariants §5), and what may be concluded from each failure."""

from __future__ import annotations

import pytest

from exchanges.errors import (
    AuthFailed,
    Banned,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NoPrice,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Refusal,
    Rejected,
    Unreachable,
)
from tests.exchanges.conformance.venue import START


@pytest.mark.parametrize(
    ("error", "counts", "conclusion"),
    [
        (NotPlaced(ErrorKind.CONNECTION, "refused"), True, NotPlaced),
        (NotPlaced(ErrorKind.BUSY, "503"), True, NotPlaced),
        (NoPrice("no candle"), False, NotPlaced),
        (RateLimited("429", retry_after_s=5.0), False, NotPlaced),
        (Banned("418", until=START), False, NotPlaced),
        (ClockSkew("-1021", resynced=True), False, NotPlaced),
        (ClockSkew("-1021", resynced=False), True, NotPlaced),
        (Rejected(Refusal.MIN_NOTIONAL, "too small"), True, Rejected),
        (AuthFailed("-2015"), True, Rejected),
        (OutcomeUnknown(ErrorKind.TIMEOUT, "no answer"), True, OutcomeUnknown),
        (OutcomeUnknown(ErrorKind.DUPLICATE_ID, "-4116"), True, OutcomeUnknown),
        (Unreachable(ErrorKind.SERVER, "500"), True, Unreachable),
    ],
)
def test_failures_of_venue_and_network_count_and_lead_to_one_conclusion(
    error: ExchangeError, counts: bool, conclusion: type[ExchangeError]
) -> None:
    assert error.counts is counts
    classes = (NotPlaced, Rejected, OutcomeUnknown, Unreachable)
    assert [one for one in classes if isinstance(error, one)] == [conclusion]
