"""Every hour old rows go, piece by piece, and a database that is away is asked again an hour later."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from actors.retention_keeper import FIRST_S, MAX_STEPS, PASS_S, PAUSE_S, RetentionKeeper
from actors.runtime.deterministic import VirtualClock
from actors.runtime.spec import ChildSpec
from actors.runtime.system import ActorSystem
from schema.pg_retention import Retired
from schema.store import StoreUnavailable
from tests.actors.candles import START


class Keeping:
    def __init__(self, step: Callable[[int], Retired]) -> None:
        self.steps = 0
        self.told: list[str | None] = []
        self.clock = VirtualClock(START)
        self._answer = step
        self.system = ActorSystem.deterministic(self.clock)
        spec = ChildSpec(
            id="retention",
            factory=lambda ctx: RetentionKeeper(
                ctx, step=self._step, told=lambda retired: self.told.append(retired.month)
            ),
        )
        self.system.start([spec])

    def _step(self) -> Retired:
        self.steps += 1
        return self._answer(self.steps)

    def wait(self, seconds: float) -> None:
        virtual = self.system.virtual
        assert virtual is not None
        virtual.run_until(self.clock.now() + timedelta(seconds=seconds))


def test_a_pass_goes_on_while_there_is_more_and_comes_back_an_hour_later() -> None:
    keeping = Keeping(lambda n: Retired(month="events_1" if n == 1 else None, more=n < 4))
    keeping.wait(FIRST_S + 5 * PAUSE_S)
    assert (keeping.steps, keeping.told) == (4, ["events_1"])
    keeping.wait(PASS_S)
    assert keeping.steps == 5


def test_a_pass_ends_after_its_steps_however_much_is_left() -> None:
    keeping = Keeping(lambda n: Retired(more=True))
    keeping.wait(FIRST_S + PASS_S - 1)
    assert keeping.steps == MAX_STEPS


def test_a_database_that_is_away_is_asked_again_with_the_next_pass() -> None:
    def step(n: int) -> Retired:
        if n == 1:
            raise StoreUnavailable("away")
        return Retired()

    keeping = Keeping(step)
    keeping.wait(FIRST_S + 1)
    keeping.wait(PASS_S)
    assert keeping.steps == 2
