"""The leave of a first byte: what it was given on is looked at again where time has passed since."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial

import pytest

from actors.permit import FRESH_S, OUTDATED, SILENCE_S, Later, Permit, StorePermits
from actors.runtime.deterministic import VirtualClock
from core.errors import Reason
from core.order import Order
from core.risk import RiskLimits
from exchanges.errors import Withheld
from schema.memory import MemoryStore
from schema.store import StoreUnavailable
from tests.actors.candles import START
from tests.strategies import order


class Rows:
    """Answers one after the other, each after so many seconds of process time."""

    def __init__(self, clock: VirtualClock, answers: Sequence[tuple[Reason | None, float]]) -> None:
        self._clock = clock
        self.answers = list(answers)

    def ask(self, order: Order) -> Awaitable[Reason | None]:
        return Later(partial(self._answered, *self.answers.pop(0)))

    async def _answered(self, refusal: Reason | None, after_s: float) -> Reason | None:
        pass_s(self._clock, after_s)
        return refusal


def pass_s(clock: VirtualClock, seconds: float) -> None:
    clock.move_to(clock.us + round(seconds * 1e6))


@pytest.mark.parametrize(
    ("waited_s", "answers", "withheld"),
    [
        (0.0, [(None, 0.0)], None),
        (0.0, [(Reason.KILL_SWITCH, 0.0)], "kill_switch"),
        (FRESH_S, [(None, 0.0)], None),
        (FRESH_S + 0.001, [(None, 0.0), (None, 0.0)], None),
        (FRESH_S + 0.001, [(None, 0.0), (Reason.LEASE_LOST, 0.0)], "lease_lost"),
        (3.0, [(None, 0.0), (None, SILENCE_S)], None),
        (3.0, [(None, 0.0), (None, SILENCE_S + 0.001)], OUTDATED),
        (3.0, [(Reason.OPEN_LEG, 0.0)], "open_leg"),
    ],
)
def test_i5_i8_no_first_byte_leaves_on_what_was_read_more_than_a_second_before(
    waited_s: float, answers: list[tuple[Reason | None, float]], withheld: str | None
) -> None:
    """`waited_s`: for a turn at the venue or a connection, after the first re-read was asked for."""
    clock = VirtualClock(START)
    rows = Rows(clock, answers)
    permit = Permit(order(), rows, clock)
    pass_s(clock, waited_s)
    if withheld is None:
        asyncio.run(permit())
    else:
        with pytest.raises(Withheld) as refused:
            asyncio.run(permit())
        assert refused.value.reason == withheld
        assert not refused.value.counts, "no failure of the venue"
    assert rows.answers == []


def test_rows_that_cannot_be_read_permit_nothing() -> None:
    class Away(MemoryStore):
        def may_send(self, asked: Sequence[tuple[str, int]]) -> list[Reason | None]:
            raise StoreUnavailable("away")

    clock = VirtualClock(START)
    permit = Permit(order(), StorePermits(Away(clock, RiskLimits())), clock)
    with pytest.raises(Withheld) as refused:
        asyncio.run(permit())
    assert refused.value.reason == "store_unavailable"
